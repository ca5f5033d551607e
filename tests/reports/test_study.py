"""A report is one folder that can be made again."""

import base64
import csv
import html
import io
import re
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
    """numbers.csv has the overall difference with 12 digits."""
    rows = list(csv.DictReader(io.StringIO((folder / "numbers.csv").read_text())))
    difference = make_findings().transfer.comparisons[0].overall.difference.value
    assert any(row["value"] and float(row["value"]) == pytest.approx(100 * difference, rel=1e-11) for row in rows)
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


def test_the_page_names_figures_in_words(folder: Path) -> None:
    """A heading says what a figure shows, and a caption how to read it; the light one comes first."""
    text = (folder / "report.html").read_text()
    assert "<h3>Score of the base and of each candidate, by task and domain</h3>" in text
    assert "<figcaption>Scores of the base (open circle)" in text
    light, dark = (
        base64.b64decode(found).decode() for found in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)', text)[:2]
    )
    stored = (folder / "figures" / f"{next(iter(FIGURES))}.svg").read_text()
    assert stored.endswith(f"\n{light}\n")
    assert dark != light


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    """A figure without anything to show is named with the reason; a link to the folder stays a link."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    findings = msgspec.structs.replace(make_findings(), trajectories={})
    written = write_report(findings, link, WITHOUT_TEXTS)
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]
    assert "trajectory" not in written.figures
    (told,) = written.missing
    assert told.startswith("figure trajectory: ")
    assert told in html.unescape((tmp_path / "real" / "report.html").read_text())


def test_the_working_directory_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a folder above it: a shell would stand in a folder that is gone."""
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for out in (Path(), Path(".."), tmp_path):
        with pytest.raises(StoreError, match="is the working directory or above it"):
            check_out(out)
    check_out(Path("new"))


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
