"""How generations ended, by task and checkpoint."""

import math

import msgspec

from harness.findings import Outcomes
from harness.study.findings import StudyFindings
from reports.tables.length import length_table
from tests.studies import make_findings


def with_outcomes(outcomes: Outcomes) -> StudyFindings:
    """Return the findings in which every generation of the first checkpoint's first task ended alike."""
    findings = make_findings()
    base, *others = findings.standings
    tasks = (msgspec.structs.replace(base.tasks[0], outcomes=outcomes), *base.tasks[1:])
    return msgspec.structs.replace(findings, standings=(msgspec.structs.replace(base, tasks=tasks), *others))


def test_each_task_has_a_row_for_each_checkpoint() -> None:
    """120 examples of 4 generations, 10 tokens each."""
    findings = make_findings()
    table = length_table(findings)
    assert [row.group for row in table.rows[:6]] == ["ifeval"] * 5 + ["gsm8k"]
    assert [row.cells[0].text for row in table.rows[:5]] == ["base", "grlo", "rlvr", "random", "released"]
    first = table.rows[0].cells
    assert (first[1].text, first[2].text) == ("480", "10")
    assert first[3].number == findings.standings[0].tasks[0].outcomes.truncated
    assert first[4].number == findings.standings[0].tasks[0].outcomes.no_answer


def test_timeouts_have_a_column_only_where_there_are_any() -> None:
    """Most tasks cannot time out."""
    assert "timed out" not in [column.title for column in length_table(make_findings()).columns]
    table = length_table(with_outcomes(Outcomes(no_answer=0.1, truncated=0.2, timeout=0.05, mean_tokens=1234.4)))
    assert [cell.text for cell in table.rows[0].cells] == ["base", "480", "1,234", "20.0 %", "10.0 %", "5.0 %"]


def test_what_a_run_does_not_say_is_a_dash() -> None:
    """Imported generations carry neither lengths nor ends."""
    table = length_table(with_outcomes(Outcomes(no_answer=0.1, truncated=math.nan, timeout=0.0, mean_tokens=math.nan)))
    assert [cell.text for cell in table.rows[0].cells] == ["base", "480", "–", "–", "10.0 %"]
    assert table.notes[-1] == "– the runs do not say."
