"""A study's report as one HTML text that needs nothing else: no network, no files beside it.

What it says is made elsewhere (summary, methods, identity, tables, figures); this module puts it together. Texts that
models wrote reach the page only inside compressed chunks, which scripts show as text.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.study.findings import StudyFindings
from reports.formats.html import render as render_table
from reports.page.examples import ExampleBook
from reports.page.identity import identify_runs
from reports.page.methods import used_methods
from reports.page.summary import answer_study
from reports.sections import CLAIMS, CONTAMINATION, Section
from reports.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
STYLES = ("page.css", "browser.css", "math.css")
SCRIPTS = ("page.js", "chunks.js", "math.js", "list.js", "detail.js", "browser.js")
"""In the order in which they run, all in one scope."""
UNFOLDED = 2
"""Tables of a section that are shown at once; the others open on a click, and for printing."""
ENLARGED = 1.35
"""Figures are made for print, where 8 points are read from near."""
DEFAULT_WIDTH = 640
"""Of a figure that does not say how wide it is, in pixels."""
_PERCENT = re.compile(r"(?<=\d) %")
"""A number and its percent sign, which no line break may part."""
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
"""What UTF-8 or HTML cannot hold."""


@dataclass(frozen=True)
class PageFigure:
    """One figure."""

    name: str
    title: str
    caption: str
    light_svg: str
    dark_svg: str


def render_page(
    findings: StudyFindings,
    sections: Sequence[Section],
    figures: Sequence[PageFigure],
    missing: Sequence[str],
    examples: ExampleBook,
) -> str:
    """Return the report of a study as the text of an HTML file.

    Args:
        findings: what the study found.
        sections: of tables. The page tells claims in words, and has a section of its own for contamination.
        figures: in the order of the page.
        missing: figures that could not be drawn, one line each with the reason.
        examples: packed texts of the runs; without tasks the example browser is left out.
    """
    page = _environment().get_template("page.html.j2")
    text = page.render(
        findings=findings,
        title=findings.spec.title or findings.spec.name,
        newest=max((run.record.finished_at for run in findings.runs), default="")[:10],
        answers=answer_study(findings),
        sections=[_without_repeats(section) for section in sections if section.title not in (CLAIMS, CONTAMINATION)],
        unfolded=UNFOLDED,
        contamination=[_without_repeats(section) for section in sections if section.title == CONTAMINATION],
        figures=figures,
        missing=(*findings.not_run, *missing),
        methods=used_methods(findings),
        runs=identify_runs(findings.runs),
        examples=examples,
        book=_describe_book(findings, examples),
        chunks=_chunks(examples),
    )
    return _UNPRINTABLE.sub("\ufffd", _PERCENT.sub("\u00a0%", text))


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["styles"] = Markup("\n".join(_read("templates", name) for name in STYLES))  # noqa: S704 - our own files
    found.globals["scripts"] = Markup("\n".join(_read("templates", name) for name in SCRIPTS))  # noqa: S704
    licence = f"/*! Temml 0.13.5\n{_read('vendor', 'LICENSE')}*/"  # it asks to go with every copy
    found.globals["temml"] = Markup(f"{licence}\n{_read('vendor', 'temml.min.js')}")  # noqa: S704
    found.filters["table"] = lambda table: Markup(render_table(table))  # noqa: S704 - it escapes its cells
    found.filters["data_uri"] = _as_data_uri
    found.filters["width"] = _shown_width
    return found


def _read(folder: str, name: str) -> str:
    return (FOLDER / folder / name).read_text(encoding="utf-8")


def _as_data_uri(svg: str) -> str:
    # an image rather than inline: scripts do not run in it, and its ids cannot meet those of other figures
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def _shown_width(figure: PageFigure) -> int:
    """Return how wide a figure is shown where there is room, in pixels."""
    found = re.search(r'<svg[^>]*\bwidth="([\d.]+)(pt|px|)"', figure.light_svg)
    if found is None:
        return DEFAULT_WIDTH
    return round(float(found[1]) * (96 / 72 if found[2] == "pt" else 1) * ENLARGED)


def _without_repeats(section: Section) -> Section:
    """Return the section with each note only under the first table that has it."""
    seen: set[str] = set()
    tables: list[Table] = []
    for table in section.tables:
        tables.append(replace(table, notes=tuple(note for note in table.notes if note not in seen)))
        seen.update(table.notes)
    return replace(section, tables=tuple(tables))


def _chunks(examples: ExampleBook) -> dict[str, str]:
    """Return the page's chunks by element id."""
    found = {"chunk-index": examples.index}
    for number, task in enumerate(examples.tasks):
        found[f"chunk-{number}"] = task.prompts
        for position, label in enumerate(examples.labels):
            if label in task.generations:
                found[f"chunk-{number}-{position}"] = task.generations[label]
    return found


def _describe_book(findings: StudyFindings, examples: ExampleBook) -> dict[str, Any]:
    """Return what the browser's scripts start from."""
    standings = {standing.label: standing for standing in findings.standings}
    checkpoints = {checkpoint.label: checkpoint for checkpoint in findings.spec.checkpoints}
    labels = []
    for label in examples.labels:
        known = standings.get(label) or checkpoints.get(label)
        labels.append({"label": label, "title": (known and known.title) or label, "role": known.role if known else ""})
    return {"labels": labels, "num_generations": examples.num_generations, "num_shown": examples.num_shown}
