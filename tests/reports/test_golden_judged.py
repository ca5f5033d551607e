"""Tables of judged runs, made from small arrays, are the stored ones, byte by byte.

After a wanted change: UPDATE_GOLDEN=1 pytest tests/reports/test_golden_judged.py, and read the difference.
"""

import os
from pathlib import Path

import pytest

from harness.study.assemble import assemble_runs
from harness.study.findings import StudyFindings
from harness.study.spec import StudyCheckpoint, StudySpec
from reports.formats import FORMATS, SUFFIXES
from reports.page.summary import answer_study
from reports.sections import build_sections
from reports.table import Table
from tests.judged_runs import KIN, judged_run

STORED = Path(__file__).parent.parent / "golden" / "judged"
FITTED = "length-effect"
"""Begins the names of tables whose last digits are those of an iteration: their CSV is not stored."""


@pytest.fixture(scope="module")
def findings() -> StudyFindings:
    """Return the findings of a base and a candidate that was trained against the judge."""
    spec = StudySpec(
        name="judged",
        num_resamples=400,
        checkpoints=(
            StudyCheckpoint(label="base", role="base", runs=("base",)),
            StudyCheckpoint(label="grlo", role="candidate", runs=("grlo",), trained_on=("chat",)),
        ),
    )
    return assemble_runs(spec, {"base": [judged_run("base", 0.3, 0)], "grlo": [judged_run("grlo", 0.45, 300, KIN)]})


@pytest.fixture(scope="module")
def tables(findings: StudyFindings) -> dict[str, Table]:
    """Return the scores and the section of judged conversation, by name."""
    shown = [section for section in build_sections(findings) if section.title in ("Scores", "Judged conversation")]
    return {table.name: table for section in shown for table in section.tables}


def files(tables: dict[str, Table]) -> dict[str, str]:
    """Return the stored files' names and texts."""
    kinds = ("markdown", "latex", "csv")
    return {
        f"{name}{SUFFIXES[kind]}": FORMATS[kind](table)
        for name, table in tables.items()
        for kind in kinds
        if not (kind == "csv" and name.startswith(FITTED))
    }


def test_every_byte_is_the_same(tables: dict[str, Table]) -> None:
    """Numbers, units, marks and notes have not moved; no table is missing and none is new."""
    found = files(tables)
    if os.environ.get("UPDATE_GOLDEN"):
        STORED.mkdir(exist_ok=True)
        for file in STORED.iterdir():
            file.unlink()
        for name, text in found.items():
            (STORED / name).write_text(text, encoding="utf-8")
    assert found == {file.name: file.read_text(encoding="utf-8") for file in STORED.iterdir()}


def test_the_answer_tells_lengths_and_kin(findings: StudyFindings) -> None:
    """The two parts of the difference stand in one sentence, the judge's kinship in another."""
    (answer,) = answer_study(findings)
    told = [sentence for sentence in answer.details if "debate" in sentence]
    (task,) = (task for task in findings.transfer.comparisons[0].tasks if task.length_effect is not None)
    assert task.length_effect is not None
    raw, effect = 100 * task.length_effect.raw.value, 100 * task.length_effect.length_effect.value
    assert told[0].startswith(f"On debate its win rate moved by {raw:+.1f} points (")
    assert f", of which {effect:+.1f} points (" in told[0]
    assert told[1] == f"Verdicts on debate and interview are no independent evidence: {KIN}."
