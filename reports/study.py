"""A study's findings → one folder: the page, every table in every format, every figure, and every number.

The folder is derived from runs and can be made again, so a report replaces the one that was there, whole or not at all;
a folder that is no report is never touched.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StoreError
from harness.store import disk_errors, encode_pretty
from harness.study.findings import StudyFindings
from reports.figures.captions import caption
from reports.figures.catalogue import FIGURES
from reports.figures.output import heading, save_figure, svg_text
from reports.figures.style import DARK, LIGHT, Missing
from reports.formats import FORMATS, SUFFIXES
from reports.formats.comma import all_numbers
from reports.page.examples import pack_examples
from reports.page.page import PageFigure, render_page
from reports.page.summary import answer_study
from reports.sections import Section, build_sections

MARK = "findings.json"
"""Its presence makes a folder a report."""
TABLE_FORMATS = ("markdown", "latex", "csv", "html")


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows."""

    formats: tuple[str, ...] = ("pdf", "svg", "png")
    """Of figures."""
    max_generations: int = 20_000
    """Most generations whose texts go into the page; 0 leaves the example browser out."""


@dataclass(frozen=True)
class WrittenReport:
    """What was written."""

    folder: Path
    sections: tuple[Section, ...]
    figures: tuple[str, ...]
    missing: tuple[str, ...]
    """Figures that were not drawn, with the reason."""


def write_report(
    findings: StudyFindings, out: Path, options: ReportOptions, say: Callable[[str], None] = lambda step: None
) -> WrittenReport:
    """Write a report.

    Args:
        findings: the study.
        out: folder to write; made if missing, replaced if it is a report.
        options: what it shows.
        say: told what is being made, for progress.

    Raises:
        StoreError: if the folder holds something else, or cannot be written.
    """
    check_out(out)
    folder = out.resolve()  # where a link leads, not the link, is replaced
    draft, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{what}") for what in ("draft", "old"))
    with disk_errors(out):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
    try:
        written = _write(findings, draft, options, say)
        with disk_errors(out):
            if folder.exists():
                folder.replace(old)
            draft.replace(folder)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return WrittenReport(out, *written)


def check_out(out: Path) -> None:
    """Check that a report may be written to a folder.

    Raises:
        StoreError: if it holds something that is no report, or is the working directory.
    """
    if Path.cwd().is_relative_to(out.resolve()):
        raise StoreError(f"{out} is the working directory or above it: give a folder of its own with --out")
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise StoreError(f"{out} exists and is no report (it has no {MARK}): give another folder with --out")


def _write(
    findings: StudyFindings, folder: Path, options: ReportOptions, say: Callable[[str], None]
) -> tuple[tuple[Section, ...], tuple[str, ...], tuple[str, ...]]:
    say("tables")
    sections = build_sections(findings)
    _write_tables(sections, folder / "tables")
    _write_text(folder / "numbers.csv", all_numbers([table for section in sections for table in section.tables]))
    drawn, missing = _write_figures(findings, folder / "figures", options, say)
    say("page")
    book = pack_examples(findings.runs, options.max_generations)
    _write_text(folder / "report.html", render_page(findings, sections, drawn, missing, book))
    _write_text(folder / "summary.md", _markdown(findings, sections))
    _write_bytes(folder / MARK, encode_pretty(findings))
    return sections, tuple(figure.name for figure in drawn), missing


def _write_tables(sections: Sequence[Section], folder: Path) -> None:
    folder.mkdir()
    tables = [table for section in sections for table in section.tables]
    names = [table.name for table in tables]
    assert len(set(names)) == len(names), names
    for table in tables:
        for name in TABLE_FORMATS:
            _write_text(folder / f"{table.name}{SUFFIXES[name]}", FORMATS[name](table))
    everything = "".join(f"\\input{{tables/{name}}}\n\n" for name in names)
    _write_text(folder / "all.tex", f"% \\usepackage{{booktabs}}\n{everything}")


def _write_figures(
    findings: StudyFindings, folder: Path, options: ReportOptions, say: Callable[[str], None]
) -> tuple[list[PageFigure], tuple[str, ...]]:
    folder.mkdir()
    drawn, missing = [], []
    for name, draw in FIGURES.items():
        say(f"figure {name}")
        light, dark = draw(findings, LIGHT), draw(findings, DARK)
        if isinstance(light, Missing):
            missing.append(f"figure {name}: {light.reason}")
            continue
        assert not isinstance(dark, Missing), name  # what there is to draw does not depend on colours
        with disk_errors(folder):
            save_figure(light, folder / name, options.formats)
        drawn.append(PageFigure(name, heading(light), caption(name, findings), svg_text(light), svg_text(dark)))
    return drawn, tuple(missing)


def _markdown(findings: StudyFindings, sections: Sequence[Section]) -> str:
    parts = [f"# {findings.spec.title or findings.spec.name}"]
    parts += [" ".join((answer.headline, *answer.details)) for answer in answer_study(findings)]
    for section in sections:
        parts += [f"## {section.title}", *(FORMATS["markdown"](table) for table in section.tables)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _write_text(path: Path, text: str) -> None:
    _write_bytes(path, text.encode())


def _write_bytes(path: Path, data: bytes) -> None:
    with disk_errors(path):
        path.write_bytes(data)
