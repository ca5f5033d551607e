"""A Chromium, and a way to open pages in it.

Needs playwright (Python) and a Chromium on PATH; tests are skipped where either is missing.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.page.examples import pack_examples
from tests.browser.pages import Open, write_page
from tests.reports.page.runs import toy_tasks, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a Chromium."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is needed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("a Chromium is needed on PATH: chromium, chromium-browser or google-chrome")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def toy_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a study of sums: 40 examples, ten of each flip."""
    folder = tmp_path_factory.mktemp("toy")
    runs = [write_run(folder / "runs", label, toy_tasks(label)) for label in ("base", "grlo")]
    return write_page(folder, pack_examples(runs))


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open a file offline; at the end nothing must have been logged, thrown or fetched."""
    contexts, trouble = [], []

    def open_file(
        path: Path, width: int = 1280, scheme: str = "light", address: str = "", ready: str = "#browser[data-ready]"
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file://", "data:")) else trouble.append(request.url),
        )
        page.goto(f"{path.as_uri()}{address}")
        page.wait_for_selector(ready)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert trouble == []
