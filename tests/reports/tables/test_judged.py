"""Tables of judged conversation; their whole layout is stored in tests/golden/judged."""

import msgspec

from harness.study.findings import JudgedFinding, StudyFindings
from harness.study.judged import find_judged
from reports.table import Table
from reports.tables.judged import length_effect_table, rating_notes, ratings_table, win_rates_table
from tests.judged_runs import KIN, estimate, judged_run
from tests.studies import make_findings


def with_judged(*judged: JudgedFinding) -> StudyFindings:
    return msgspec.structs.replace(make_findings(), judged=judged)


def debates(*kins: str | None) -> list[JudgedFinding]:
    """Return the findings on the pair task of a run for each kinship."""
    runs = {f"run{number}": [judged_run(f"run{number}", 0.5, 0, kin)] for number, kin in enumerate(kins)}
    return [item for item in find_judged(runs, list(runs)) if item.kind == "pair"]


def table_of(*judged: JudgedFinding) -> Table:
    table = win_rates_table(with_judged(*judged))
    assert table is not None
    return table


def test_nothing_judged_no_tables() -> None:
    """Studies without a judge have none of them."""
    findings = make_findings()
    assert win_rates_table(findings) is None
    assert ratings_table(findings) is None
    assert length_effect_table(findings.transfer.comparisons[0]) is None
    assert rating_notes(findings, ["gsm8k"]) == []


def test_columns_are_those_that_some_task_has() -> None:
    """A task without such a metric has a dash, and the note says what that means."""
    first, second = debates(None, None)
    controlled = msgspec.structs.replace(
        second, task="arena", metrics={"style_win_rate": estimate(0.4, 0.02), "characters": estimate(800.0, 20.0)}
    )
    table = table_of(first, controlled)
    titles = [column.title for column in table.columns]
    assert titles[1:4] == ["win rate", "length-controlled", "style-controlled"]
    assert [[cell.text for cell in row.cells[2:4]] for row in table.rows] == [["50.0", "–"], ["–", "40.0"]]
    assert table.rows[1].cells[3].interval == "36.0–44.0"
    assert table.notes[-1] == "– not asked, or not known."
    assert "style-controlled" not in [column.title for column in table_of(first).columns]


def test_kin_is_marked_and_told_once() -> None:
    """Only rows whose judge is kin carry the mark; one note for all of one reason."""
    table = table_of(*debates(None, KIN, KIN))
    assert [row.cells[-1].mark for row in table.rows] == ["", "‡", "‡"]
    assert [note for note in table.notes if note.startswith("‡")] == [
        f"‡ kin: {KIN}, so these verdicts are no independent evidence."
    ]


def test_several_runs_of_a_label_are_told_apart() -> None:
    """By the beginning of their names."""
    first, second = debates(None, None)
    renamed = msgspec.structs.replace(second, label=first.label, spec_id="fedcba9876543210")
    assert [row.cells[0].text for row in table_of(first, renamed).rows] == [
        f"run0 {first.spec_id[:8]}",
        "run0 fedcba98",
    ]


def test_ratings_stand_in_their_own_unit() -> None:
    """From 1 to 10, not times 100; a note tells what the score in points is."""
    findings = with_judged(*find_judged({"run": [judged_run("run", 0.45, 0)]}, ["run"]))
    table = ratings_table(findings)
    assert table is not None
    assert [cell.text for cell in table.rows[0].cells[:5]] == ["run", "4.50", "5.00", "4.00", "1,234"]
    assert [column.unit for column in table.columns[1:5]] == ["plain"] * 4
    assert rating_notes(findings, ["debate", "interview"]) == [
        "Wherever scores are in points, that of interview is the mean rating / 10."
    ]
    assert rating_notes(findings, ["debate"]) == []
