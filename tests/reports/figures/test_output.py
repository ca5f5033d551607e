"""Figures as files and inline SVG: the same bytes each time, nothing that clashes or leaks on a page."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from reports.figures.catalogue import FIGURES
from reports.figures.output import description, heading, save_figure, svg_text
from reports.figures.style import DARK, LIGHT, Theme
from tests.reports.figures.stress import stress
from tests.studies import make_findings

ROOT = Path(__file__).parent.parent.parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def _draw(name: str, theme: Theme = LIGHT) -> Figure:
    figure = FIGURES[name](make_findings(), theme)
    assert isinstance(figure, Figure)
    return figure


@pytest.fixture(scope="module")
def svgs() -> list[str]:
    """Return all figures in both themes as inline SVG."""
    return [svg_text(_draw(name, theme)) for name in FIGURES for theme in (LIGHT, DARK)]


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """PDF, SVG and PNG hold no date, no version and no random id: two processes with other hash seeds agree."""
    code = (
        "import sys; from pathlib import Path; from reports.figures.catalogue import FIGURES;"
        "from reports.figures.output import save_figure; from reports.figures.style import LIGHT;"
        "from tests.studies import make_findings;"
        "[save_figure(FIGURES[n](make_findings(), LIGHT), Path(sys.argv[1]) / n) for n in ('deltas', 'decomposition')]"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=ROOT, env=environment)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == [f"{name}.{ending}" for name in ("decomposition", "deltas") for ending in ("pdf", "png", "svg")]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_formats_are_what_was_asked_for(tmp_path: Path) -> None:
    """One file per format is written, named after the stem, and returned."""
    paths = save_figure(_draw("matrix"), tmp_path / "fig.1", ("png", "pdf"))
    assert [path.name for path in paths] == ["fig.1.png", "fig.1.pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_ids_of_inline_figures_are_unique(svgs: list[str]) -> None:
    """All figures in both themes on one page share no id, and each refers only to its own."""
    ids = [name for svg in svgs for name in re.findall(r' id="([^"]+)"', svg)]
    assert len(ids) == len(set(ids)) > 100
    for svg in svgs:
        own = set(re.findall(r' id="([^"]+)"', svg))
        used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
        assert {one or other for one, other in used} <= own


def test_inline_figures_are_described_and_do_not_leak(svgs: list[str]) -> None:
    """Each is a labelled image in well-formed XML, under 150 kB, without style sheets, scripts or outside links."""
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert desc is not None
        assert all((title.text, desc.text))
        assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
        assert not any(element.tag in (f"{SVG}style", f"{SVG}script", f"{SVG}text") for element in root.iter())
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
        assert len(svg.encode()) < 150_000


def test_a_description_holds_full_names() -> None:
    """Names that a figure shortens are whole in its description."""
    figure = FIGURES["deltas"](stress(1), LIGHT)
    assert isinstance(figure, Figure)
    svg = svg_text(figure)
    assert "candidate-xxxxxxxxxxxxxxxxxxxxxxxxxxx-00, chat:" in svg
    assert heading(figure) == "Score of the base and of each candidate, by task and domain"
    assert description(figure).count("\n") == 4


def test_markup_in_names_is_text() -> None:
    """A label with markup or mathematics in it is drawn and described as it is."""
    figure = _draw("matrix")
    figure.set_label("a <b> & $x$\n<script>")
    assert '-title">a &lt;b&gt; &amp; $x$</title>' in svg_text(figure)
    assert "&lt;script&gt;</desc>" in svg_text(figure)


def test_glyphs_keep_their_size() -> None:
    """Rounding coordinates leaves the scale of glyphs alone, which is a small number."""
    assert 'scale(0.015625)"' in svg_text(_draw("matrix"))
