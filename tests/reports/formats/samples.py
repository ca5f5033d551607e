"""Small tables for tests of formats."""

from harness.schema import Estimate
from reports.table import Cell, Column, Row, Table, change_cell, count_cell, signed_cell, with_interval

NASTY = r"a_b%c&d#e~f^g\h{i}"


def make_estimate(value: float) -> Estimate:
    """Return an estimate with an interval of ten points on each side."""
    return Estimate(value, 0.05, value - 0.1, value + 0.1, 0.95, "t", 200, 150)


def small_table() -> Table:
    """Return a table with everything a table can have: groups, a total, intervals, marks, bold, a nasty name."""
    return Table(
        name="small",
        title="Scores",
        columns=(
            Column("checkpoint", align="left", unit="text"),
            Column("gsm8k", group="math"),
            Column("gain", group="math"),
            Column("truncated", unit="percent"),
            Column("prompts", unit="plain"),
        ),
        rows=(
            _row(NASTY, make_estimate(0.5), make_estimate(-0.05), "candidates"),
            _row("pipe|*star*", make_estimate(0.625), make_estimate(0.25), "candidates", strong=True, mark="†"),
            Row(
                (Cell("average"), Cell("56.2", number=0.5625), Cell("–"), Cell(""), Cell("")),
                "candidates",
                is_total=True,
            ),
        ),
        notes=("† p < .05, 95 % of a_b; −1 → 2 ≥ 1 × “ok”",),
    )


def _row(name: str, score: Estimate, gain: Estimate, group: str, strong: bool = False, mark: str = "") -> Row:
    cells = (
        Cell(name, interval="avg@4"),
        with_interval(score, strong=strong),
        signed_cell(gain, mark=mark),
        change_cell(0.25, 0.125),
        count_cell(5000),
    )
    return Row(cells, group)
