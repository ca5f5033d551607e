"""Tables rebuilt from stored run directories are the stored ones, byte by byte.

After a wanted change: UPDATE_GOLDEN=1 pytest tests/reports/test_golden.py, and read the difference before committing.
"""

import os
from pathlib import Path

import pytest

from harness.study.assemble import assemble
from harness.study.runs import find_study_runs
from harness.study.spec import read_study
from reports.formats import FORMATS, SUFFIXES
from reports.sections import build_sections
from reports.table import Table

GOLDEN = Path(__file__).parent.parent / "golden"
STORED = GOLDEN / "tables"


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """Return the tables of the stored study by name."""
    here = Path.cwd()
    os.chdir(GOLDEN)  # the study names its runs relative to its folder
    try:
        spec = read_study(Path("study.toml"))
        findings = assemble(spec, find_study_runs(spec, {}).paths)
    finally:
        os.chdir(here)
    return {table.name: table for section in build_sections(findings) for table in section.tables}


def test_the_same_tables_are_made(tables: dict[str, Table]) -> None:
    """No table is missing and none is new."""
    if os.environ.get("UPDATE_GOLDEN"):
        STORED.mkdir(exist_ok=True)
        for file in STORED.iterdir():
            file.unlink()
        for name, table in tables.items():
            for kind in ("markdown", "latex", "csv"):
                (STORED / f"{name}{SUFFIXES[kind]}").write_text(FORMATS[kind](table), encoding="utf-8")
    assert {file.stem for file in STORED.iterdir()} == set(tables)


@pytest.mark.parametrize("kind", ["markdown", "latex", "csv"])
def test_every_byte_is_the_same(tables: dict[str, Table], kind: str) -> None:
    """Numbers, marks, notes and layout have not moved."""
    for name, table in tables.items():
        stored = (STORED / f"{name}{SUFFIXES[kind]}").read_text(encoding="utf-8")
        assert FORMATS[kind](table) == stored, f"{name}{SUFFIXES[kind]}"
