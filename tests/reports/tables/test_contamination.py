"""An audit's tables: counts by search, differences on clean examples, labels that the text contradicts."""

import msgspec

from harness.audit.findings import TaskOverlap
from reports.tables.contamination import clean_table, contamination_table, labels_table
from tests.studies import make_findings

AUDIT = make_findings().audits[0]


def test_counts_stand_by_task() -> None:
    """Examples, what each search found, what counts as contaminated and its share, and what is too short."""
    table = contamination_table(AUDIT)
    assert [(column.group, column.title) for column in table.columns[2:7]] == [
        ("examples found", title) for title in ("exact", "near", "covered", "any 13-gram", "any 8-gram")
    ]
    gsm8k = table.rows[1]
    assert gsm8k.group == "math"
    assert [cell.text for cell in gsm8k.cells] == ["gsm8k", "150", "3", "4", "0", "5", "20", "2", "1.3 %", "1"]
    assert gsm8k.cells[8].number == 2 / 150


def test_a_task_without_examples_has_no_share() -> None:
    """0 of 0 is undefined."""
    empty = TaskOverlap("none", "math", 0, 0, 0, 0, 0, 0, ())
    table = contamination_table(msgspec.structs.replace(AUDIT, tasks=(empty,)))
    assert table.rows[0].cells[8].text == "–"


def test_notes_name_the_file_and_the_rules() -> None:
    """What was searched, by which hash, and what counts."""
    notes = contamination_table(msgspec.structs.replace(AUDIT, notes=("humaneval_plus: docstrings only.",))).notes
    assert notes[0] == (
        "prompts.jsonl: 1,000 prompts, 990 of them different after normalisation (sha256 aaaaaaaaaaaa)."
    )
    assert "from 0.8." in notes[1]
    assert "50 % of the example" in notes[1]
    assert notes[-1] == "humaneval_plus: docstrings only."


def test_tables_of_several_audits_have_names_of_their_own() -> None:
    """Two files of the same name differ in their content."""
    other = msgspec.structs.replace(AUDIT, prompts="elsewhere/prompts.jsonl", sha256="b" * 64)
    assert contamination_table(AUDIT).name == "contamination-prompts-aaaaaa"
    assert contamination_table(other).name == "contamination-prompts-bbbbbb"


def test_differences_stand_on_all_clean_and_contaminated_examples() -> None:
    """30 points on all, 29 on the clean ones, 40 on the others: 11 more, with intervals."""
    table = clean_table(AUDIT)
    assert table is not None
    (row,) = table.rows
    assert row.group == "grlo"
    assert [cell.text for cell in row.cells] == [
        "gsm8k", "138", "12", "20.0", "49.0", "+30.0", "+29.0", "+40.0", "+11.0"
    ]  # fmt: skip
    assert row.cells[8].interval == "-9.0 to +31.0"
    assert row.cells[6].number is AUDIT.differences[0].clean


def test_labels_that_the_text_contradicts_stand_out() -> None:
    """Bold, in words."""
    table = labels_table(AUDIT)
    assert table is not None
    (row,) = table.rows
    assert [cell.text for cell in row.cells] == [
        "data_source", "lighteval/MATH", "1,000", "mathematics", "0 of 1,000 overlap", "contradicted"
    ]  # fmt: skip
    assert row.cells[5].strong
    fine = msgspec.structs.replace(AUDIT, labels=(msgspec.structs.replace(AUDIT.labels[0], contradicts=False),))
    shown = labels_table(fine)
    assert shown is not None
    assert (shown.rows[0].cells[5].text, shown.rows[0].cells[5].strong) == ("borne out", False)


def test_a_bare_audit_has_neither_differences_nor_labels() -> None:
    """None instead of an empty table."""
    bare = msgspec.structs.replace(AUDIT, differences=(), labels=())
    assert clean_table(bare) is None
    assert labels_table(bare) is None


def test_finding_nothing_is_evidence_of_copies_alone() -> None:
    """The note stands under every audit's counts."""
    notes = contamination_table(AUDIT).notes
    assert (
        "A count of 0 is evidence about copies and near copies alone: paraphrases and translations are not found."
        in (notes)
    )
