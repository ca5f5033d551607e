"""Files for those who cite the project or find a flaw in it: valid, and true of this version."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from harness import __version__
from harness.spec import EngineConfig

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    """Return what CITATION.cff says."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    return loaded


def test_the_citation_has_what_the_format_asks_for(citation: dict[str, Any]) -> None:
    """CFF 1.2.0: its four obligatory fields, with the licence of the package."""
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == "GRLO Harness"
    assert citation["message"]
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["license"] == project["license"]


def test_the_citation_is_of_this_version(citation: dict[str, Any]) -> None:
    """The number is raised with the package's."""
    assert citation["version"] == __version__


def test_the_paper_is_cited_as_in_the_reports(citation: dict[str, Any]) -> None:
    """Title, authors in their order and number agree with the published figures that ship."""
    (paper,) = citation["references"]
    published = tomllib.loads((ROOT / "reports" / "published" / "grlo.toml").read_text())
    names = ", ".join(author["family-names"] for author in paper["authors"])
    assert paper["title"] == published["title"]
    assert f"{names} {paper['year']}" == published["authors"]
    assert paper["url"] == f"https://arxiv.org/abs/{published['arxiv']}"
    assert paper["doi"] == f"10.48550/arXiv.{published['arxiv']}"


def test_security_says_how_to_report_and_what_is_promised() -> None:
    """A way to report, the promises and their limits; every file and heading it points to is there."""
    text = (ROOT / "SECURITY.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Report a flaw", "What is promised", "What is not"]
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", text)
    assert ("docs/sandbox.md", "not-protected-against") in links
    for name, anchor in links:
        page = (ROOT / name).read_text()
        headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
        assert not anchor or anchor in headings


def test_security_names_settings_that_exist() -> None:
    """`engine.NAME` and `--FLAG` in the text are settings and flags of the harness."""
    text = (ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"`engine\.(\w+)`", text))
    assert "api_key_env" in named
    assert named <= {field.name for field in msgspec.structs.fields(EngineConfig)}
    options = (ROOT / "harness" / "cli" / "options.py").read_text()
    assert all(flag in options for flag in re.findall(r"`(--[a-z-]+)", text))


def test_nothing_trusts_remote_code() -> None:
    """No module turns on the running of code that comes with weights or data."""
    sources = [path for name in ("harness", "tasks", "trainers", "reports") for path in (ROOT / name).rglob("*.py")]
    assert [path for path in sources if re.search(r"trust_remote_code\W+True", path.read_text())] == []
    loads = [line for path in sources for line in path.read_text().splitlines() if "torch.load(" in line]
    assert all("weights_only=True" in line for line in loads)
