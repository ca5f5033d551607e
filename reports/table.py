"""The one Table that every result becomes before it is shown, and how numbers are written in it.

A table knows nothing of terminals, LaTeX or HTML: reports.formats renders it. Cells hold the text that is shown and the
number behind it, so that a CSV carries more digits.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from harness.findings import Ratio
from harness.schema import Estimate

UNKNOWN = "–"
"""What a cell shows where there is no number."""
DAGGER = "†"
"""Mark of a difference that is significant after adjustment."""
_HYPHEN_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


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
    before: float | None = None
    """The earlier number of a text like `22 → 60 %`, whose later one is `number`; None if there is none."""


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


def points(value: float | None, digits: int = 1) -> str:
    """Return a fraction in points from 0 to 100; `–` where it is undefined."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{_rounded(100 * value, digits):.{digits}f}"


def signed(value: float | None, digits: int = 1) -> str:
    """Return a difference in points with its sign; 0 is +0.0."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{_rounded(100 * value, digits):+.{digits}f}"


def plain(value: float | None, digits: int = 2) -> str:
    """Return a number as it is, with thousands set apart, such as GPU-hours or a ratio."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{_rounded(value, digits):,.{digits}f}"


def count(value: int | None) -> str:
    """Return a number of things, with thousands set apart."""
    return UNKNOWN if value is None else f"{value:,}"


def probability(p: float | None) -> str:
    """Return a p-value as papers print it."""
    if p is None or math.isnan(p):
        return UNKNOWN
    return "<.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float) -> str:
    """Return a level as a percentage with all its digits, so that 0.9999 is not 100 %."""
    return f"{100 * share:g} %"


def is_significant(level: float, p_adjusted: float) -> bool:
    """Say whether an adjusted p-value is below 1 − level; nan is not."""
    return p_adjusted < round(1 - level, 12)  # 1 − 0.95 is a little more than 0.05


def true_minus(text: str) -> str:
    """Return numbers for print: a hyphen that begins one becomes a minus sign."""
    return _HYPHEN_MINUS.sub("−", text)


def interval(estimate: Estimate) -> str:
    """Return the interval of a score in points; says so where the number has none."""
    return _joined(estimate, (points(estimate.ci_low), points(estimate.ci_high)), "–")


def signed_interval(estimate: Estimate, digits: int = 1) -> str:
    """Return the interval of a difference in points; says so where the number has none."""
    ends = signed(estimate.ci_low, digits), signed(estimate.ci_high, digits)
    return _joined(estimate, ends, " to ")


def plain_interval(estimate: Estimate, digits: int = 2) -> str:
    """Return the interval of a plain number; says so where the number has none."""
    return _joined(estimate, (plain(estimate.ci_low, digits), plain(estimate.ci_high, digits)), " to ")


def text_cell(text: str, strong: bool = False) -> Cell:
    """Return a cell of words."""
    return Cell(text, strong=strong)


def with_interval(estimate: Estimate, strong: bool = False, mark: str = "") -> Cell:
    """Return a score in points with its interval."""
    return Cell(points(estimate.value), interval(estimate), mark, strong, estimate)


def signed_cell(estimate: Estimate, strong: bool = False, mark: str = "") -> Cell:
    """Return a difference in points with its interval."""
    return Cell(signed(estimate.value), signed_interval(estimate), mark, strong, estimate)


def ratio_cell(ratio: Ratio, digits: int = 2) -> Cell:
    """Return a quotient with its interval, for a `plain` column; `–` where it is not identifiable."""
    if ratio.reason is not None:
        return Cell(UNKNOWN)
    estimate = ratio.estimate
    return Cell(plain(estimate.value, digits), plain_interval(estimate, digits), number=estimate)


def points_cell(value: float | None) -> Cell:
    """Return a fraction in points, without interval."""
    return Cell(points(value), number=value)


def share_cell(share: float | None, digits: int = 0) -> Cell:
    """Return a share as a percentage, for a `percent` column."""
    text = points(share, digits)
    return Cell(text if text == UNKNOWN else f"{text} %", number=share)


def change_cell(before: float, after: float) -> Cell:
    """Return two shares as percentages, for a `percent` column; `?` where a run does not say."""
    text = " → ".join("?" if math.isnan(share) else points(share, 0) for share in (before, after))
    return Cell(f"{text} %", number=after, before=before)


def number_cell(value: float | None, digits: int = 2) -> Cell:
    """Return a number as it is, for a `plain` column."""
    return Cell(plain(value, digits), number=value)


def count_cell(value: int | None) -> Cell:
    """Return a number of things, for a `plain` column."""
    return Cell(count(value), number=value)


def probability_cell(p: float | None) -> Cell:
    """Return a p-value, for a `plain` column."""
    return Cell(probability(p), number=p)


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # + 0.0 turns -0.0 into 0.0


def _joined(estimate: Estimate, ends: tuple[str, str], between: str) -> str:
    if math.isnan(estimate.value):
        return ""
    return "no interval" if math.isnan(estimate.ci_low) else between.join(ends)
