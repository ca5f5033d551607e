"""The documentation site in a real browser, opened from its folder without a network."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser.pages import Open

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Build the site and return a page two folders deep."""
    if find_spec("mkdocs") is None:
        pytest.skip('the site needs pip install -e ".[docs]"')
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path], cwd=ROOT, check=True)
    return tmp_path / "howto" / "gate.html"


def test_search_works_from_a_folder(page: Path, open_page: Open) -> None:
    """Typing a word finds the handbook's page about it; no request leaves the folder."""
    opened = open_page(page, ready="[data-md-component=search-query]")
    opened.click("[data-md-component=search-query]")
    opened.keyboard.type("Transferability")
    found = opened.wait_for_selector(".md-search-result__item a[href*='handbook/transfer.html']", state="attached")
    assert "Transfer" in found.inner_text()
