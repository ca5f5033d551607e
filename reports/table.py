"""The one Table that every result becomes before it is shown, and how numbers are written in it.

A table knows nothing of terminals, LaTeX or HTML: reports.formats renders it. Cells hold the text that is shown and the
number behind it, so that a CSV carries every digit.
"""

from dataclasses import dataclass
from typing import Literal

from harness.schema import Estimate

UNKNOWN = "–"
"""What a cell shows where there is no number."""


@dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str
    """What is shown, without markup."""
    interval: str = ""
    """Shown below or after the text, smaller; empty if there is none."""
    mark: str = ""
    """Footnote marks after the text, such as † or *."""
    strong: bool = False
    """Shown in bold."""
    number: float | Estimate | None = None
    """The number behind the text, in the unit of `Column.unit`; None for text."""


@dataclass(frozen=True)
class Column:
    """One column."""

    title: str
    group: str = ""
    """Heading that neighbouring columns share, such as a domain; empty if none."""
    align: Literal["left", "right"] = "right"
    unit: Literal["points", "percent", "plain", "text"] = "points"
    """`points` and `percent`: Cell.number is a fraction and shown times 100. `plain`: shown as it is."""


@dataclass(frozen=True)
class Row:
    """One row: as many cells as there are columns."""

    cells: tuple[Cell, ...]
    group: str = ""
    """Heading that neighbouring rows share; empty if none."""
    is_total: bool = False
    """An average over other rows, set apart by a rule."""


@dataclass(frozen=True)
class Table:
    """A result, ready for any format."""

    name: str
    """File stem, such as `main`."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Footnotes: what marks mean, levels, what was left out."""
