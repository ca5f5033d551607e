"""A Table as a pipe table of GitHub's Markdown: intervals in brackets behind their numbers, notes below."""

import re

from reports.table import Cell, Column, Row, Table

_ALWAYS = re.compile(r"([\\`*\[\]<|~$])")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITY = re.compile(r"&(?=#?\w+;)")


def render(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [f"**{_escape(table.title)}**", ""] if table.title else []
    lines.append(_line([_heading(column) for column in table.columns]))
    lines.append(_line(["---" if column.align == "left" else "---:" for column in table.columns]))
    group = ""
    for row in table.rows:
        if row.group and row.group != group:
            lines.append(_line([f"**{_escape(row.group)}**", *[""] * (len(table.columns) - 1)]))
        group = row.group
        lines.append(_line(_cells(row)))
    for note in table.notes:
        lines += ["", _escape(note)]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(column: Column) -> str:
    title = f"{column.group}: {column.title}" if column.group and column.title else column.group or column.title
    return _escape(title)


def _cells(row: Row) -> list[str]:
    first, *others = (_cell(cell) for cell in row.cells)
    # a pipe table has no rules: an average is told by its name in italics
    return [f"*{first}*" if row.is_total and first and not row.cells[0].strong else first, *others]


def _cell(cell: Cell) -> str:
    text = _escape(cell.text)
    if cell.strong and text:
        text = f"**{text}**"
    return text + _escape(cell.mark) + (f" ({_escape(cell.interval)})" if cell.interval else "")


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line; underscores inside words need no escaping."""
    text = _ALWAYS.sub(r"\\\1", " ".join(text.split()))
    return _ENTITY.sub("&amp;", _EDGE_UNDERSCORE.sub(r"\\_", text))
