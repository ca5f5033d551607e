"""The documentation site: it builds strictly, reaches every page and loads nothing from elsewhere."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from harness.cli.main import COMMANDS, cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")
MAX_SECONDS = 60

lacks_mkdocs = pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDED), reason='the site needs pip install -e ".[docs]"'
)


def nav_pages() -> list[str]:
    """Return the pages that the navigation names, in order."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    return list(_pages(yaml.safe_load(text)))


def _pages(entries: object) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        for entry in entries.values():
            yield from _pages(entry)
    elif isinstance(entries, list):
        for entry in entries:
            yield from _pages(entry)


@cache
def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = [re.sub(r"[`*]|\]\([^)]*\)", "", title) for title in re.findall(r"^#+ (.+)$", text, re.M)]
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once, strictly; returns its folder."""
    folder = tmp_path_factory.mktemp("site")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < MAX_SECONDS
    return folder


def articles(site: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, HTML of the article) of every page, without code."""
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html":
            continue
        text = re.search(r"<article.*?</article>", path.read_text(encoding="utf-8"), re.S)
        assert text is not None, path
        yield (
            path.relative_to(site).as_posix(),
            re.sub(r"<(pre|code)\b.*?</\1>", "", text[0], flags=re.S),
        )


def test_the_navigation_covers_every_page() -> None:
    """Each page once, and no other but those that a command is still to write."""
    named = nav_pages()
    real = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    made = re.search(r"MADE_BY_COMMANDS = \((.*?)\)", (DOCS / "hooks.py").read_text(encoding="utf-8"))
    assert made is not None
    assert len(named) == len(set(named))
    assert real <= set(named)
    assert set(named) - real <= set(re.findall(r'"([^"]+)"', made[1]))


def test_anchors_exist() -> None:
    """Each link to a heading, from README and between pages, names one that is there; reference/ has others."""
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in target or "reference/" in target:
                continue
            if anchor not in headings((page.parent / target).resolve() if target else page):
                broken.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert broken == []


@lacks_mkdocs
def test_the_reference_has_every_command(site: Path) -> None:
    """Every command and every command of a group has its heading and its --help."""
    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    names = [f"harness {name}" for name in COMMANDS]
    for name in ("tasks", "study", "export", "import"):
        group = cli.get_command(None, name)  # type: ignore[arg-type]
        names += [f"harness {name} {member}" for member in group.commands]  # type: ignore[union-attr]
    for name in names:
        assert f'id="{name.replace(" ", "-")}"' in text, name
        assert f"Usage: {name} " in text, name


@lacks_mkdocs
@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("python", ["harness.api.evaluation.evaluate", "harness.api.run.load_run", "harness.api.comparison.compare"]),
        ("interfaces", ["harness.interfaces.Engine", "harness.interfaces.Scorer", "harness.interfaces.Task"]),
        ("settings", ["harness.spec.EvalConfig", "harness.spec.GatePolicy"]),
        ("records", ["harness.schema.Estimate", "harness.findings.TransferReport"]),
        ("scorers", ["harness.scorers.math_answer.MathAnswerScorer", "harness.scorers.program.ProgramScorer"]),
    ],
)
def test_the_reference_has_the_api(site: Path, page: str, names: list[str]) -> None:
    """What users call and fill in is there, from its docstring."""
    text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    assert [name for name in names if f'id="{name}"' not in text] == []


@lacks_mkdocs
def test_every_statistic_is_in_the_reference(site: Path) -> None:
    """Each module of harness.stats that has a public function of its own, but the fitter that others use."""
    text = (site / "reference" / "stats.html").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "harness" / "stats").glob("*.py")} - {"__init__", "logistic"}
    assert [name for name in sorted(modules) if f'id="harness.stats.{name}"' not in text] == []


@lacks_mkdocs
def test_pages_render(site: Path) -> None:
    """No list, table, fence or bold text is left as its Markdown."""
    left = re.compile(r"```|\*\*|\| ?---|<p>(?:(?!</p>).)*?\n(?:[-*]|\d+\.) ", re.S)
    assert [path for path, html in articles(site) if left.search(html)] == []


@lacks_mkdocs
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No script, style, font, frame or picture of a page has another host's address."""
    pattern = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*href=\"?(?:https?:)?//"
    )
    assert [path.name for path in site.rglob("*.html") if pattern.search(path.read_text(encoding="utf-8"))] == []


@lacks_mkdocs
def test_links_out_of_docs_lead_to_copies(site: Path) -> None:
    """A link to a file of the repository opens its text within the site."""
    text = (site / "howto" / "gate.html").read_text(encoding="utf-8")
    assert 'href="../source/github/workflows/regression.yml.txt"' in text
    copy = site / "source" / "github" / "workflows" / "regression.yml.txt"
    assert copy.read_text() == (ROOT / ".github" / "workflows" / "regression.yml").read_text()
