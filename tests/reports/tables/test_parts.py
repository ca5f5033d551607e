"""Tables of what differences are made of."""

import msgspec

from harness.schema import Estimate
from reports.table import Row
from reports.tables.parts import cells_table, coverage_table, decomposition_table, group_reasons
from tests.studies import make_findings

COMPARISON = make_findings().transfer.comparisons[0]


def value(row: Row, place: int) -> float:
    """Return the number behind a cell."""
    number = row.cells[place].number
    return number.value if isinstance(number, Estimate) else float(number or 0)


def test_parts_add_up_to_the_difference() -> None:
    """Elicitation plus within is the difference, for tasks, domains and overall."""
    table = decomposition_table(COMPARISON)
    names = ["ifeval", "gsm8k", "aime24", "humaneval_plus", "math", "overall"]
    assert [row.cells[0].text for row in table.rows] == names
    for row in table.rows:
        assert abs(value(row, 1) - value(row, 2) - value(row, 3)) < 1e-12
    assert [cell.text for cell in table.rows[0].cells[1:]] == ["+30.8", "+8.7", "+22.2", "61 → 77 %", "37 → 69 %"]


def test_it_is_said_where_runs_do_not_know_how_generations_ended() -> None:
    """The cell of all that answered is marked with a question mark."""
    task = COMPARISON.tasks[0]
    cells = tuple(msgspec.structs.replace(cell, finished=None) for cell in task.decomposition.cells)
    parts = msgspec.structs.replace(task.decomposition, cells=cells)
    unknown = msgspec.structs.replace(COMPARISON, tasks=(msgspec.structs.replace(task, decomposition=parts),))
    assert decomposition_table(unknown).rows[0].cells[4].text == "?, 61 → 77 %"
    assert cells_table(unknown).rows[0].cells[1].text == "answered"


def test_every_cell_has_its_share() -> None:
    """The shares of a task's cells add up to one on both sides."""
    rows = [row for row in cells_table(COMPARISON).rows if row.cells[0].text == "gsm8k"]
    assert [row.cells[1].text for row in rows] == ["finished, answered", "finished, no answer", "truncated, no answer"]
    assert abs(sum(value(row, 2) for row in rows) - 1) < 1e-12
    assert abs(sum(row.cells[2].before or 0 for row in rows) - 1) < 1e-12


def test_coverage_is_pass_at_k_of_the_base() -> None:
    """Newly solved examples, the base's pass@1 and pass@4 on them, and on the others."""
    table = coverage_table(COMPARISON)
    assert [column.title for column in table.columns][2:4] == ["pass@1", "pass@k, k ≤ 4"]
    assert [cell.text for cell in table.rows[0].cells] == ["ifeval", "56", "14.7", "58.9", "23.7"]
    assert table.rows[0].cells[3].number == COMPARISON.tasks[0].coverage.pass_at_k[-1]


def test_without_coverage_the_reason_is_said() -> None:
    """One generation an example tells nothing: no row, one note."""
    table = coverage_table(make_findings(num_generations=1).transfer.comparisons[0])
    assert table.rows == ()
    assert table.notes[0].startswith("no coverage: ifeval; gsm8k; aime24; humaneval_plus: the base has one generation")


def test_each_reason_is_said_once() -> None:
    """Names that share a reason share a line."""
    assert group_reasons("none", [("a", "x"), ("b", "y"), ("c", "x"), ("a", "x")]) == ["none: a; c: x", "none: b: y"]
