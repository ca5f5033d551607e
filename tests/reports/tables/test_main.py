"""The main table: who stands where, what is bold, what carries a dagger, and what is missing."""

import msgspec

from harness.schema import Estimate
from harness.study.findings import ControlContrast, StudyFindings
from reports.table import UNKNOWN, Cell, Table
from reports.tables.main import main_table, main_tables_by_domain
from tests.studies import make_findings


def cell(table: Table, label: str, title: str, group: str = "") -> Cell:
    """Return the cell of a checkpoint in a column."""
    (column,) = [i for i, it in enumerate(table.columns) if (it.title, it.group) == (title, group)]
    (row,) = [row for row in table.rows if row.cells[0].text == label]
    return row.cells[column]


def by_label(table: Table) -> dict[str, list[tuple[str, Cell]]]:
    """Return each checkpoint's cells with the titles of their columns."""
    titles = [column.title for column in table.columns]
    return {row.cells[0].text: list(zip(titles, row.cells, strict=True)) for row in table.rows}


def without_task(findings: StudyFindings, label: str, task: str) -> StudyFindings:
    """Return the findings of a study in which a checkpoint lacks a task, and so an average and the overall."""
    standings = []
    for it in findings.standings:
        if it.label == label:
            suite = next(found.suite for found in it.tasks if found.task == task)
            it = msgspec.structs.replace(
                it,
                tasks=tuple(found for found in it.tasks if found.task != task),
                domains={name: score for name, score in it.domains.items() if name != suite},
                overall=None,
            )
        standings.append(it)
    return msgspec.structs.replace(findings, standings=tuple(standings))


def test_tasks_stand_by_domain_with_averages_after_them() -> None:
    """A domain of one task has no average of its own; overall is last."""
    table = main_table(make_findings())
    assert [(column.group, column.title) for column in table.columns] == [
        ("", "checkpoint"),
        ("chat", "ifeval"),
        ("math", "gsm8k"),
        ("math", "aime24"),
        ("math", "average"),
        ("code", "humaneval_plus"),
        ("", "overall"),
    ]


def test_rows_are_grouped_by_role() -> None:
    """Base, candidates, controls, references, whatever their order in the study."""
    findings = make_findings()
    backwards = msgspec.structs.replace(findings, standings=findings.standings[::-1])
    assert [(row.group, row.cells[0].text) for row in main_table(backwards).rows] == [
        ("base", "base"),
        ("candidates", "rlvr"),
        ("candidates", "grlo"),
        ("controls", "random"),
        ("references", "released"),
    ]


def test_cells_are_the_standings_scores() -> None:
    """Points with their interval; the number behind is the estimate itself."""
    findings = make_findings()
    found = cell(main_table(findings), "grlo", "gsm8k", "math")
    score = findings.standings[1].tasks[1].score
    assert found.number is score
    assert found.text == f"{100 * score.value:.1f}"
    assert found.interval == f"{100 * score.ci_low:.1f}–{100 * score.ci_high:.1f}"
    assert cell(main_table(findings), "grlo", "average", "math").number is findings.standings[1].domains["math"]


def test_only_a_significant_lead_is_bold() -> None:
    """The best on gsm8k leads with p = .001; the best on aime24, p = .4, is not bold."""
    table = main_table(make_findings())
    bold = {(label, title) for label, cells in by_label(table).items() for title, it in cells if it.strong}
    assert bold == {("released", title) for title in ("ifeval", "gsm8k", "average", "humaneval_plus", "overall")}


def test_daggers_follow_the_adjusted_p_values() -> None:
    """GRLO differs from the base on every task but aime24; the random-reward control on none; references never."""
    table = main_table(make_findings())
    marked = {label: [title for title, it in cells if it.mark] for label, cells in by_label(table).items()}
    assert marked["grlo"] == ["ifeval", "gsm8k", "average", "humaneval_plus", "overall"]
    assert marked["random"] == marked["released"] == marked["base"] == []


def test_a_stricter_level_takes_daggers_away() -> None:
    """At 99.99 % an adjusted p of .0003 is not significant."""
    findings = make_findings()
    strict = msgspec.structs.replace(findings, spec=msgspec.structs.replace(findings.spec, level=0.9999))
    assert not any(found.mark or found.strong for row in main_table(strict).rows for found in row.cells)


def test_outcomes_stand_beside_each_task_on_request() -> None:
    """Cap-hit and no-answer shares, after tasks and not after averages."""
    findings = make_findings()
    table = main_table(findings, show_outcomes=True)
    assert [it.title for it in table.columns if it.group == "math"] == [
        "gsm8k", "cap hit", "no answer", "aime24", "cap hit", "no answer", "average"
    ]  # fmt: skip
    outcomes = findings.standings[0].tasks[0].outcomes
    assert [found.number for found in table.rows[0].cells[2:4]] == [outcomes.truncated, outcomes.no_answer]
    assert any("Cap hit" in note for note in table.notes)


def test_a_missing_task_is_a_dash_with_a_note() -> None:
    """So are the averages that need it."""
    table = main_table(without_task(make_findings(), "rlvr", "aime24"))
    for title, group in (("aime24", "math"), ("average", "math"), ("overall", "")):
        assert cell(table, "rlvr", title, group) == Cell(UNKNOWN)
    assert cell(table, "rlvr", "gsm8k", "math").text != UNKNOWN
    assert f"{UNKNOWN} not measured, or an average that lacks a task." in table.notes


def test_notes_say_what_was_measured() -> None:
    """Metric, examples of each task, weights and level."""
    notes = main_table(make_findings()).notes
    assert notes[:3] == (
        "Scores in points from 0 to 100, with 95 % intervals.",
        "Metric: avg@4 accuracy.",
        "Examples: ifeval 120, gsm8k 150, aime24 30, humaneval_plus 80.",
    )
    assert any("weighs domains equally" in note for note in notes)


def test_rows_and_columns_that_the_study_asked_for_and_lacks_are_named() -> None:
    """A checkpoint without runs, and the tasks of a suite that nobody was measured on."""
    findings = make_findings()
    spec = msgspec.structs.replace(findings.spec, tasks=("code", "ifeval"))
    table = main_table(msgspec.structs.replace(findings, spec=spec, standings=findings.standings[:-1]))
    assert table.notes[-2:] == (
        "Without a finished run: released.",
        "Not measured on any checkpoint: mbpp_plus.",
    )


def test_a_narrow_table_is_not_split() -> None:
    """Six columns of numbers fit a page."""
    assert main_tables_by_domain(make_findings()) == ()


def test_a_wide_table_is_split_by_domain() -> None:
    """Nine columns: averages first, then one table a domain."""
    findings = make_findings()
    wide = []
    for it in findings.standings:
        more = [msgspec.structs.replace(it.tasks[1], task=name) for name in ("math500", "amc23", "aime25")]
        wide.append(msgspec.structs.replace(it, tasks=(*it.tasks, *more)))
    tables = main_tables_by_domain(msgspec.structs.replace(findings, standings=tuple(wide)))
    assert [table.name for table in tables] == ["main-domains", "main-chat", "main-math", "main-code"]
    assert [it.title for it in tables[0].columns[1:]] == ["chat", "math", "code", "overall"]
    assert [it.title for it in tables[2].columns[1:]] == ["gsm8k", "aime24", "math500", "amc23", "aime25", "average"]
    assert cell(tables[0], "grlo", "overall").mark == "†"


def test_a_task_that_the_base_lacks_is_named() -> None:
    """It has a column, and stands in no average."""
    notes = main_table(without_task(make_findings(), "base", "aime24")).notes
    assert "In no average, since the base lacks it: aime24." in notes
    assert not any("In no average" in note for note in main_table(make_findings()).notes)


def test_candidates_are_held_against_controls_in_a_note() -> None:
    """A difference to a control is what shows that the reward mattered."""
    notes = main_table(make_findings()).notes
    assert not any("control" in note and "Overall, " in note for note in notes)
    nearer = ControlContrast("grlo", "random", Estimate(0.01, 0.02, -0.03, 0.05, 0.95, "t", 100, 100), 0.6)
    further = ControlContrast("rlvr", "random", Estimate(0.3, 0.02, 0.26, 0.34, 0.95, "t", 100, 100), 0.001)
    found = main_table(msgspec.structs.replace(make_findings(), against_controls=(nearer, further)))
    assert (
        "Overall, candidate − control: grlo − random +1.0 (-3.0 to +5.0); rlvr − random +30.0† (+26.0 to +34.0)."
    ) in found.notes
