"""A Table in the terminal, by rich: intervals dim below their numbers; tight names are folded, numbers never.

A table that is wider than the console is printed in blocks of columns, each with the names again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import StringIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from reports.formats.columns import block_columns, select_columns
from reports.table import Cell, Column, Row, Table

WIDTH = 100
"""Columns of `render`, which knows no console."""
NAME_WIDTH = 9
"""Columns that a name keeps when it is folded."""
GAP = 2
"""Blanks between two columns."""


def render(table: Table) -> str:
    """Return a table as plain text, 100 columns wide."""
    console = Console(width=WIDTH, file=StringIO(), color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        print_table(table, console)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()) + "\n"


def print_table(table: Table, console: Console, inline: bool = False) -> None:
    """Print a table, its notes and a blank line.

    Args:
        table: what to print.
        console: where to.
        inline: intervals stand behind their numbers instead of below, where there is room for that.
    """
    inline = inline and _fits(table, console.width)
    for part in split(table, console.width, inline) if table.rows else []:
        if part.title:
            console.print(Text(part.title, style="bold"))
        console.print(rich_table(part, inline), highlight=False)
    for note in table.notes:
        console.print(Text(note, style="dim"), highlight=False)
    console.print()


def rich_table(table: Table, inline: bool = False) -> RichTable:
    """Return a table as rich prints it, without its title, which may be wider."""
    found = RichTable(pad_edge=False, header_style="dim", box=None)
    for title, column in zip(_headings(table.columns), table.columns, strict=True):
        if column.align == "left":
            found.add_column(Text(title), overflow="fold", min_width=NAME_WIDTH)
        else:
            found.add_column(Text(title), justify="right", no_wrap=True)
    for cells in _body(table, inline):
        found.add_row(*cells)
    return found


def split(table: Table, width: int, inline: bool = False) -> list[Table]:
    """Return the table in blocks of columns that fit a width; as it is where it fits."""
    widths = [_width(table, place, inline) + GAP for place in range(len(table.columns))]
    blocks = [select_columns(table, places) for places in block_columns(table, widths, width + GAP)]
    return [blocks[0], *(replace(block, title=f"{table.title} (continued)") for block in blocks[1:])]


def _fits(table: Table, width: int) -> bool:
    """Say whether a table fits with its intervals behind the numbers and no word of a name broken."""
    needed = 0
    for place, column in enumerate(table.columns):
        words = (word for row in table.rows for word in row.cells[place].text.split())
        longest = max(map(cell_len, words), default=0) if column.align == "left" else 0
        needed += max(_width(table, place, inline=True), longest) + GAP
    return needed - GAP <= width


def _width(table: Table, place: int, inline: bool) -> int:
    """Return what a column needs: of names, which fold, only NAME_WIDTH."""
    column = table.columns[place]
    if column.align == "left":
        return NAME_WIDTH
    texts = [column.group, column.title, *(_text(row.cells[place], inline).plain for row in table.rows)]
    return max(cell_len(line) for text in texts for line in text.splitlines() or [""])


def _headings(columns: Sequence[Column]) -> Iterator[str]:
    """Yield each column's heading; a group stands above its first column."""
    has_groups = any(column.group for column in columns)
    before = ""
    for column in columns:
        group = column.group if column.group != before else ""
        before = column.group
        yield f"{group}\n{column.title}" if has_groups else column.title


def _body(table: Table, inline: bool) -> Iterator[list[RenderableType]]:
    before: Row | None = None
    for row in table.rows:
        if row.group and (before is None or row.group != before.group):
            yield [Text(row.group, style="italic")]
        elif row.is_total and before is not None and not before.is_total:
            yield [Rule(style="dim") for _ in table.columns]
        yield [_text(cell, inline) for cell in row.cells]
        before = row


def _text(cell: Cell, inline: bool) -> Text:
    text = Text(cell.text + cell.mark, style="bold" if cell.strong else "")
    if cell.interval:
        shown = f" ({cell.interval})" if inline else f"\n{cell.interval}"
        text = Text.assemble(text, (shown, "dim"))
    return text
