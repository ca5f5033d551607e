r"""A Table in LaTeX, for `\input` into a two-column paper that loads booktabs and nothing else.

Intervals stand in a line of their own below their row, so that columns stay narrow. A table too wide for one column of
the paper is a `table*` across both; one too wide for that is set smaller, and if need be in panels, one above the
other. Nothing is scaled.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from reports.formats.columns import block_columns, select_columns
from reports.formats.latex_text import escape, escape_number
from reports.table import Cell, Column, Row, Table

COLUMN_WIDTH = 240.0
"""Points of one column of a two-column paper."""
PAGE_WIDTH = 495.0
"""Points of both."""
LONG_TEXT = 34
"""Characters from which a column of words is a paragraph."""
LONGEST = 3 * LONG_TEXT
"""Characters from which more text gets a paragraph no more width."""
TITLE_WIDTH = 12
"""Characters that a heading is broken at."""
_TITLE_PART = re.compile(rf".{{0,{TITLE_WIDTH - 1}}}[-_@+/]|.{{1,{TITLE_WIDTH}}}")
_WORD_JOINT = re.compile(r"\\_|[@+/]")
"""Where a long word of a paragraph may be broken, as TeX breaks it only at hyphens."""
INTERVAL_SCALE = 0.85
"""How wide an interval's characters are, against a number's."""


@dataclass(frozen=True)
class _Size:
    """How large a table is set."""

    command: str
    character: float
    """Points that a character takes, on average."""
    gap: float
    """Points on each side of a column."""

    def width(self, needed: Sequence[float]) -> float:
        """Return how wide columns of so many characters are; paragraphs at the width that they are broken at."""
        return sum(self.column(need) for need in needed) - 2 * self.gap  # none outside the outer columns

    def column(self, need: float) -> float:
        """Return how wide one column is, with its gaps."""
        return min(need, LONG_TEXT) * self.character + 2 * self.gap


SMALL, FOOTNOTE = _Size(r"\small", 5.0, 4.0), _Size(r"\footnotesize", 4.5, 3.0)


def render(table: Table) -> str:
    """Return a table as LaTeX."""
    needed = _characters(table)
    is_narrow = SMALL.width(needed) <= COLUMN_WIDTH
    environment, width = ("table", COLUMN_WIDTH) if is_narrow else ("table*", PAGE_WIDTH)
    size = SMALL if SMALL.width(needed) <= PAGE_WIDTH else FOOTNOTE
    widths = [size.column(need) for need in needed]
    panels: list[str] = []
    for places in block_columns(table, widths, width + 2 * size.gap):
        if panels:
            panels.append(r"\par\medskip")
        panels += _panel(select_columns(table, places), [needed[place] for place in places], size, width)
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"\centering",
        size.command,
        rf"\setlength{{\tabcolsep}}{{{size.gap:g}pt}}",
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{_label(table.name)}}}",
        r"\smallskip",
        *panels,
        *_notes(table.notes),
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"


def _panel(table: Table, needed: Sequence[float], size: _Size, width: float) -> list[str]:
    specs = [_column_spec(place, table, needed, size, width) for place in range(len(needed))]
    return [
        rf"\begin{{tabular}}{{@{{}}{''.join(specs)}@{{}}}}",
        r"\toprule",
        *_head(table.columns),
        r"\midrule",
        *_body(table, [need > LONG_TEXT for need in needed]),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _label(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-:.") else "-" for letter in name)


def _characters(table: Table) -> list[float]:
    """Return how many characters each column takes; a group's heading widens its last column."""
    needed: list[float] = []
    for group, members in groupby(enumerate(table.columns), key=lambda item: item[1].group):
        widths = [_column_characters(table, place) for place, _ in members]
        widths[-1] += max(len(group) - sum(widths), 0)
        needed += widths
    return needed


def _column_characters(table: Table, place: int) -> float:
    cells = [row.cells[place] for row in table.rows]
    widths: list[float] = [len(line) for line in _broken(table.columns[place].title)]
    widths += [len(cell.text) for cell in cells]
    widths += [INTERVAL_SCALE * len(cell.interval) for cell in cells]
    return max(widths, default=0)


def _column_spec(place: int, table: Table, needed: Sequence[float], size: _Size, width: float) -> str:
    need = needed[place]
    if need <= LONG_TEXT:
        return table.columns[place].align[0]
    # paragraphs share what the other columns leave, the longer text more of it
    taken = sum(other * size.character for other in needed if other <= LONG_TEXT) + 2 * size.gap * (len(needed) - 1)
    share = min(need, LONGEST) / sum(min(other, LONGEST) for other in needed if other > LONG_TEXT)
    return rf"p{{{share * (width - taken):.0f}pt}}"


def _broken(title: str) -> list[str]:
    """Return a heading in lines of at most TITLE_WIDTH characters; words stay whole unless they are two lines long."""
    lines: list[str] = []
    for word in title.split():
        for number, part in enumerate(_TITLE_PART.findall(word) if len(word) > 2 * TITLE_WIDTH else [word]):
            longer = f"{lines[-1]}{'' if number else ' '}{part}" if lines else part
            if lines and len(longer) <= TITLE_WIDTH:
                lines[-1] = longer
            else:
                lines.append(part)
    return lines


def _head(columns: Sequence[Column]) -> Iterator[str]:
    if any(column.group for column in columns):
        cells, rules, place = [], [], 1
        for group, members in groupby(columns, key=lambda column: column.group):
            span = len(list(members))
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}" if group else " & ".join([""] * span))
            if group:
                rules.append(rf"\cmidrule(lr){{{place}-{place + span - 1}}}")
            place += span
        yield _line(cells)
        yield "".join(rules)
    yield _line([_heading(column) for column in columns])


def _heading(column: Column) -> str:
    lines = [escape(line) for line in _broken(column.title)]
    if len(lines) < 2:
        return "".join(lines)
    stacked = r"\\".join(lines)
    return rf"\shortstack[{column.align[0]}]{{{stacked}}}"


def _body(table: Table, is_paragraph: Sequence[bool]) -> Iterator[str]:
    before: Row | None = None
    for row in table.rows:
        starts_group = bool(row.group) and (before is None or row.group != before.group)
        if before is not None and (starts_group or (row.is_total and not before.is_total)):
            yield r"\midrule"
        if starts_group:
            yield rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\textit{{{escape(row.group)}}}}} \\"
        yield from _row(row, table.columns, is_paragraph)
        before = row


def _row(row: Row, columns: Sequence[Column], is_paragraph: Sequence[bool]) -> Iterator[str]:
    line = _line([_cell(*both) for both in zip(row.cells, columns, is_paragraph, strict=True)])
    if not any(cell.interval for cell in row.cells):
        yield line
        return
    yield rf"{line}[-2pt]"
    yield rf"{_line([_interval(*both) for both in zip(row.cells, columns, strict=True)])}[2pt]"


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(cell: Cell, column: Column, is_paragraph: bool) -> str:
    is_number = column.align == "right"
    text = escape_number(cell.text) if is_number else escape(cell.text)
    if cell.strong:
        text = rf"\textbf{{{text}}}"
    if cell.mark:
        mark = rf"$^{{{_mark(cell.mark)}}}$"
        text += rf"\rlap{{{mark}}}" if is_number else mark  # marks do not push digits out of line
    if not is_paragraph:
        return text
    breakable = _WORD_JOINT.sub(lambda joint: rf"{joint[0]}\allowbreak{{}}", text)
    return rf"{{\raggedright\hspace{{0pt}}{breakable}\par}}"


def _mark(mark: str) -> str:
    known = {"†": r"\dagger", "‡": r"\ddagger", "*": "*", "§": r"\S", "¶": r"\P"}
    return "".join(known[letter] if letter in known else rf"\mathrm{{{escape(letter)}}}" for letter in mark)


def _interval(cell: Cell, column: Column) -> str:
    if not cell.interval:
        return ""
    text = escape_number(cell.interval) if column.align == "right" else escape(cell.interval)
    return rf"{{\scriptsize {text}}}"


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    text = r"\par ".join(escape(note) for note in notes)
    return [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize\raggedright {text}}}"]
