"""A report is one folder that can be made again."""

import csv
import io
from pathlib import Path

import msgspec
import pytest

from harness.errors import StoreError
from harness.store import read_json
from harness.study.findings import StudyFindings
from reports.figures.catalogue import FIGURES
from reports.sections import build_sections
from reports.study import ReportOptions, check_out, write_report
from tests.studies import make_findings

WITHOUT_TEXTS = ReportOptions(formats=("svg",), max_generations=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a written report."""
    return write_report(make_findings(), tmp_path_factory.mktemp("reports") / "toy", WITHOUT_TEXTS).folder


def test_every_table_is_there_in_every_format(folder: Path) -> None:
    """Markdown, LaTeX, CSV and HTML of each table, and one LaTeX file that inputs them all."""
    names = [table.name for section in build_sections(make_findings()) for table in section.tables]
    assert len(set(names)) == len(names) > 15
    files = {path.name for path in (folder / "tables").iterdir()}
    assert files == {f"{name}{end}" for name in names for end in (".md", ".tex", ".csv", ".html")} | {"all.tex"}
    everything = (folder / "tables" / "all.tex").read_text()
    assert all(f"\\input{{tables/{name}}}" in everything for name in names)


def test_every_figure_is_drawn(folder: Path) -> None:
    """The study has something for each figure of the catalogue."""
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{name}.svg" for name in FIGURES}


def test_every_number_is_in_one_file(folder: Path) -> None:
    """numbers.csv has the overall difference with all its digits."""
    rows = list(csv.DictReader(io.StringIO((folder / "numbers.csv").read_text())))
    difference = make_findings().transfer.comparisons[0].overall.difference.value
    assert any(row["value"] and float(row["value"]) == pytest.approx(100 * difference, abs=1e-12) for row in rows)
    assert {row["table"] for row in rows} >= {"main", "differences", "cost", "cost-ratios"}


def test_the_findings_can_be_read_back(folder: Path) -> None:
    """findings.json holds the whole study, nan included."""
    found = read_json(folder / "findings.json", StudyFindings)
    assert msgspec.json.encode(found) == msgspec.json.encode(make_findings())


def test_the_summary_opens_on_the_answer(folder: Path) -> None:
    """summary.md has the sentence on each candidate before its tables."""
    text = (folder / "summary.md").read_text()
    assert text.startswith("# A toy study\n\nGRLO moved the overall average from ")
    assert text.index("RLVR moved") < text.index("## Scores")


def test_a_report_replaces_a_report(folder: Path) -> None:
    """Files of an earlier report do not stay, and the same findings give the same bytes."""
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "figures" / "old.svg").write_text("")
    write_report(make_findings(), folder, WITHOUT_TEXTS)
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_other_folders_are_never_touched(tmp_path: Path) -> None:
    """A folder with anything but a report in it is refused and left as it is."""
    (tmp_path / "thesis.tex").write_text("ten years")
    with pytest.raises(StoreError, match="is no report"):
        write_report(make_findings(), tmp_path, WITHOUT_TEXTS)
    with pytest.raises(StoreError, match="is no report"):
        check_out(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    check_out(tmp_path / "new")


def test_what_breaks_half_way_leaves_the_old_report(folder: Path) -> None:
    """A report that cannot be finished leaves no draft, and the report before it whole."""
    before = sorted(path.name for path in folder.iterdir())

    def stop(step: str) -> None:
        if step == "page":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(make_findings(), folder, WITHOUT_TEXTS, stop)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
