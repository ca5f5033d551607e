"""Themes can be seen by everyone, and drawing leaves nothing behind."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from reports.figures.catalogue import FIGURES
from reports.figures.style import DARK, LIGHT, THEMES, Theme
from tests.studies import make_findings

ROOT = Path(__file__).parent.parent.parent.parent
# Viénot, Brettel & Mollon 1999, doi:10.1002/(SICI)1520-6378(199908)24:4<243::AID-COL5>3.0.CO;2-3: linear RGB as seen
# without the long- or medium-wavelength cones
BLINDNESS = {
    "protan": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "deutan": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


def _linear(color: str) -> np.ndarray:
    channels = np.array(to_rgb(color))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    light, dark = sorted((float(_linear(color) @ (0.2126, 0.7152, 0.0722)) for color in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_marks_and_text_stand_out(theme: Theme) -> None:
    """Marks keep a contrast of 3 (WCAG 1.4.11), text one of 4.5 (1.4.3), on every background they lie on."""
    for background in (theme.background, theme.band, theme.trained):
        for color in theme.series:
            assert _contrast(color, background) >= 3, (color, background)
        assert _contrast(theme.ink, background) >= 7
        assert _contrast(theme.muted, background) >= 4.5


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_first_colours_differ_for_the_colour_blind(theme: Theme, kind: str) -> None:
    """The first three series and the two ends of the map stay apart without red or green cones."""
    pairs = [*combinations(theme.series[:3], 2), (theme.loss, theme.gain)]
    for one, other in pairs:
        seen = [np.clip(BLINDNESS[kind] @ _linear(color), 0, 1) ** (1 / 2.2) for color in (one, other)]
        assert np.linalg.norm(seen[0] - seen[1]) > 0.1, (one, other)


def test_drawing_leaves_settings_alone() -> None:
    """matplotlib's settings are the same before and after, and the user's own do not reach a figure."""
    with matplotlib.rc_context({"font.size": 30, "axes.edgecolor": "red"}):
        before = dict(matplotlib.rcParams)
        figure = FIGURES["domains"](make_findings(), DARK)
        assert dict(matplotlib.rcParams) == before
    assert not isinstance(figure, str)
    assert {text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()} == {7.0}  # type: ignore[union-attr]


def test_no_global_figures() -> None:
    """Importing and drawing never loads pyplot; importing alone does not even load matplotlib."""
    code = (
        "import sys; from reports.figures.catalogue import FIGURES; from reports.figures.captions import caption;"
        "assert 'matplotlib' not in sys.modules;"
        "from reports.figures.style import LIGHT; from tests.studies import make_findings;"
        "[draw(make_findings(), LIGHT) for draw in FIGURES.values()]; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_themes_have_names() -> None:
    """A page finds both themes by name."""
    assert THEMES == {"light": LIGHT, "dark": DARK}
