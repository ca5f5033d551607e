"""A Table as CSV with 12 digits a number, and the long list of every number of a report.

Numbers are in the unit that is shown (points and percent: fractions times 100); an undefined number is an empty field.
The last digits of a float are those of the processor that added it up, so they are left out: a table made again
elsewhere is the same file. (The module is not called csv, as the standard library's is.)
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.schema import Estimate
from reports.table import Cell, Column, Row, Table

NUMBERS_HEADER = (
    "table", "row_group", "row", "column_group", "column",
    "value", "ci_low", "ci_high", "stderr", "level", "method", "num_examples", "unit",
)  # fmt: skip

_NUM_DIGITS = 12


@dataclass(frozen=True)
class _Field:
    """One column of the file."""

    title: str
    read: Callable[[Row], str]


def render(table: Table) -> str:
    """Return a table as CSV: a header line, then a line a row."""
    fields = [field for place in range(len(table.columns)) for field in _fields(table, place)]
    if any(row.group for row in table.rows):
        fields.insert(0, _Field("group", lambda row: row.group))
    return _write([[field.title for field in fields], *([field.read(row) for field in fields] for row in table.rows)])


def all_numbers(tables: Iterable[Table]) -> str:
    """Return every number of some tables as CSV, a line each."""
    return _write([list(NUMBERS_HEADER), *(line for table in tables for line in _number_lines(table))])


def _write(lines: Iterable[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _fields(table: Table, place: int) -> Iterator[_Field]:
    """Yield the fields of one column: its number, then whatever else its cells know of it."""
    column, cells = table.columns[place], [row.cells[place] for row in table.rows]
    name = f"{column.group} {column.title}".strip()
    if column.unit == "text":
        yield _Field(name, lambda row: _words(row.cells[place]))
        return
    scale = _scale(column)
    yield _Field(
        f"{name} ({column.unit})" if column.unit != "plain" else name, lambda row: _number(row.cells[place], scale)
    )
    if any(cell.before is not None for cell in cells):
        yield _Field(f"{name} before", lambda row: _digits(row.cells[place].before, scale))
    if any(isinstance(cell.number, Estimate) for cell in cells):
        yield _Field(f"{name} low", lambda row: _part(row.cells[place], "ci_low", scale))
        yield _Field(f"{name} high", lambda row: _part(row.cells[place], "ci_high", scale))
        yield _Field(f"{name} stderr", lambda row: _part(row.cells[place], "stderr", scale))
        yield _Field(f"{name} n", lambda row: _part(row.cells[place], "num_examples", 1))
    if any(cell.mark for cell in cells):
        yield _Field(f"{name} mark", lambda row: row.cells[place].mark)


def _number_lines(table: Table) -> Iterator[list[str]]:
    for row in table.rows:
        cells = list(zip(row.cells, table.columns, strict=True))
        name = " ".join(cell.text for cell, column in cells if column.unit == "text" and cell.text)
        for cell, column in cells:
            start, scale = [table.name, row.group, name, column.group], _scale(column)
            if cell.before is not None:
                earlier = Cell("", number=cell.before)
                yield [*start, f"{column.title} before", *_everything(earlier, scale), column.unit]
            if cell.number is not None:
                yield [*start, column.title, *_everything(cell, scale), column.unit]


def _everything(cell: Cell, scale: float) -> list[str]:
    parts = [_part(cell, part, scale) for part in ("ci_low", "ci_high", "stderr")]
    number = cell.number
    about = [_digits(number.level, 1), number.method] if isinstance(number, Estimate) else ["", ""]
    return [_number(cell, scale), *parts, *about, _part(cell, "num_examples", 1)]


def _words(cell: Cell) -> str:
    return cell.text + cell.mark + (f" ({cell.interval})" if cell.interval else "")


def _scale(column: Column) -> float:
    return 100 if column.unit in ("points", "percent") else 1


def _number(cell: Cell, scale: float) -> str:
    return _digits(cell.number.value if isinstance(cell.number, Estimate) else cell.number, scale)


def _part(cell: Cell, part: str, scale: float) -> str:
    return _digits(getattr(cell.number, part), scale) if isinstance(cell.number, Estimate) else ""


def _digits(value: float | None, scale: float) -> str:
    """Return a number with 12 digits, a count with all, in the unit shown; empty where it is unknown or undefined."""
    if value is None or math.isnan(value):
        return ""
    return str(value) if isinstance(value, int) and scale == 1 else f"{scale * value + 0.0:.{_NUM_DIGITS}g}"  # no -0
