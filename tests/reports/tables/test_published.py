"""Published beside measured: never mixed, every figure with its source."""

import msgspec
import pytest

from harness.errors import UsageError
from harness.study.findings import StudyFindings
from reports.table import UNKNOWN
from reports.tables.published import published_table
from tests.studies import make_findings


def study(**published: tuple[str, ...]) -> StudyFindings:
    """Return the findings of a study that names published figures, by label."""
    findings = make_findings()
    checkpoints = tuple(
        msgspec.structs.replace(it, published=published.get(it.label, ())) for it in findings.spec.checkpoints
    )
    return msgspec.structs.replace(findings, spec=msgspec.structs.replace(findings.spec, checkpoints=checkpoints))


def test_a_study_that_names_none_has_no_table() -> None:
    """None instead of an empty table, also where nothing of the figures was measured."""
    assert published_table(study()) is None
    findings = study(released=("qwen3_report/qwen3-4b-thinking",))
    assert published_table(msgspec.structs.replace(findings, standings=findings.standings[:1])) is None


def test_measured_stands_beside_published() -> None:
    """The toy reference scores 65.2 on IFEval; the Qwen3 report says 81.2, outside the interval."""
    table = published_table(study(released=("qwen3_report/qwen3-4b-non-thinking",)))
    assert table is not None
    rows = {row.cells[0].text: row for row in table.rows}
    assert list(rows) == ["aime24", "ifeval"]
    assert {row.group for row in table.rows} == {"released"}
    measured, published, difference, inside = rows["ifeval"].cells[1:5]
    assert published.number == pytest.approx(0.812)
    assert (measured.text, published.text, difference.text, inside.text) == ("65.2", "81.2", "-16.0", "no")
    assert rows["aime24"].cells[4].text == "yes"  # 25.0 lies within 16.6 to 41.4
    assert [cell.text for cell in rows["aime24"].cells[5:]] == [
        "avg@4 accuracy, chat, 30 examples", "avg@64", "qwen3_report/qwen3-4b-non-thinking"
    ]  # fmt: skip


def test_figures_without_a_measurement_are_listed() -> None:
    """In a note, so that nobody takes the table for the whole publication."""
    table = published_table(study(grlo=("general_reasoner/general-reasoner-4b",)))
    assert table is not None
    assert [row.cells[0].text for row in table.rows] == ["gsm8k", "aime24"]
    assert table.notes[-1] == (
        "Published for grlo (general_reasoner/general-reasoner-4b), not measured here: math500 80.6, olympiadbench "
        "47.7, minerva_math 57.7, amc23 60.0, aime25 15.4, gpqa_diamond 42.9, mmlu_pro 62.8."
    )


def test_averages_over_other_tasks_are_not_subtracted() -> None:
    """GRLO's 63.1 is over tasks that are not public: beside ours, and no difference."""
    table = published_table(study(grlo=("grlo/grlo",)))
    assert table is not None
    (row,) = table.rows
    assert [cell.text for cell in row.cells[:5]] == ["overall", "49.7", "63.1", UNKNOWN, UNKNOWN]
    assert any("no difference is taken" in note for note in table.notes)


def test_every_source_is_cited_once() -> None:
    """Two models of one publication share its citation."""
    table = published_table(study(base=("grlo/qwen3-4b-base",), grlo=("grlo/grlo",)))
    assert table is not None
    assert sum("arXiv 2605.15464" in note for note in table.notes) == 1
    assert any(note.startswith("grlo/grlo: GRLO, abstract; 5K prompts") for note in table.notes)


def test_unknown_figures_are_refused_with_a_suggestion() -> None:
    """A typing error names the nearest model."""
    with pytest.raises(UsageError, match=r"qwen3_report/qwen3-4b: .* mean qwen3_report/qwen3-4b-thinking"):
        published_table(study(grlo=("qwen3_report/qwen3-4b",)))


def test_a_score_without_interval_is_neither_inside_nor_outside() -> None:
    """nan bounds hold nothing, and are no disagreement."""
    findings = study(released=("qwen3_report/qwen3-4b-non-thinking",))
    nan = float("nan")
    standings = tuple(
        msgspec.structs.replace(
            it,
            tasks=tuple(
                msgspec.structs.replace(task, score=msgspec.structs.replace(task.score, ci_low=nan, ci_high=nan))
                for task in it.tasks
            ),
        )
        for it in findings.standings
    )
    table = published_table(msgspec.structs.replace(findings, standings=standings))
    assert table is not None
    assert {row.cells[4].text for row in table.rows} == {UNKNOWN}


def test_a_study_of_fewer_examples_says_so() -> None:
    """A limit makes the measured score one of other examples than the published one."""
    findings = study(released=("qwen3_report/qwen3-4b-non-thinking",))
    limited = msgspec.structs.replace(findings, spec=msgspec.structs.replace(findings.spec, limit=50))
    table = published_table(limited)
    assert table is not None
    assert "Measured on the first 50 examples of each task at most; published on all." in table.notes
