"""Pages for tests in a browser, and how to read what they show."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reports.page.examples import ExampleBook
from reports.page.page import PageFigure, render_page
from reports.sections import Section
from reports.table import Cell, Column, Row, Table
from tests.reports.page.runs import with_runs

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="500pt" height="90pt"><path d="M0 0L500 90" stroke="{}"/></svg>'
WIDE = Table(
    "wide",
    "A table wider than a telephone",
    (Column("checkpoint", align="left", unit="text"), *(Column(f"task number {i}") for i in range(12))),
    (Row((Cell("base"), *(Cell("50.0", interval="45.0–55.0") for _ in range(12)))),),
)

Open = Callable[..., Any]


def write_page(folder: Path, examples: ExampleBook) -> Path:
    figure = PageFigure("delta", "Deltas", "What moved.", SVG.format("#000"), SVG.format("#fff"))
    path = folder / "report.html"
    path.write_text(render_page(with_runs([]), [Section("Scores", (WIDE,))], [figure], [], examples), encoding="utf-8")
    return path


def wait_for(page: Any, selector: str, pattern: str) -> None:
    """Wait until an element's text matches; the page's policy forbids waiting by a script of ours."""
    page.locator(selector, has_text=re.compile(pattern)).wait_for(timeout=15_000)


def rows(page: Any) -> list[str]:
    found: list[str] = page.locator("#list [role=option] .id").all_text_contents()
    return found
