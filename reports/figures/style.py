"""How figures look: two themes, two widths, one style file. No pyplot: a figure is an object, nothing global stays.

Both themes keep a contrast of 3 or more between every mark and its background, and no figure says anything by colour
alone: markers, line styles, hatches or text say it too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.study.findings import StudyFindings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN_WIDTH = 3.35
"""Inches: one column of a two-column paper."""
FULL_WIDTH = 6.9
"""Inches: both columns."""
FONT_SIZE = 7.0
"""Points, as in the style file; widths of labels are measured with it."""
STYLE_FILE = Path(__file__).with_name("style.mplstyle")


@dataclass(frozen=True)
class Theme:
    """The colours of a figure."""

    name: str
    background: str
    """What the figure is made to lie on; SVG itself has no background."""
    ink: str
    """Text, and whatever belongs to the base."""
    muted: str
    """Axes, references and whatever should stand back."""
    grid: str
    band: str
    """Every other domain's rows."""
    trained: str
    """The domain that training was on."""
    series: tuple[str, ...]
    """Checkpoints, in the study's order."""
    loss: str
    """Far end of the diverging map, below 0."""
    zero: str
    """Its middle."""
    gain: str
    """Its far end above 0."""


LIGHT = Theme(
    name="light",
    background="#ffffff",
    ink="#1b1d22",
    muted="#666b75",
    grid="#dcdfe4",
    band="#f3f4f7",
    trained="#e3eefa",
    series=("#0072b2", "#c95000", "#00856a", "#8a3d8f", "#a87400", "#3a8fc4", "#8c2d1f"),
    loss="#b35806",
    zero="#f7f7f7",
    gain="#2166ac",
)
DARK = Theme(
    name="dark",
    background="#15171c",
    ink="#e9ebf0",
    muted="#9aa1ad",
    grid="#30343d",
    band="#1d2027",
    trained="#1c2f44",
    series=("#56b4e9", "#f28e3d", "#2fc79d", "#d78bd0", "#e6c229", "#8fa8ff", "#ff7f72"),
    loss="#e08a3c",
    zero="#262a33",
    gain="#5aa9e6",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class Missing:
    """A figure that has nothing to show."""

    reason: str
    """One line, for the list of what is not in the report."""


Draw = Callable[[StudyFindings, Theme], "Figure | Missing"]


@contextmanager
def style_context(theme: Theme = LIGHT) -> Iterator[None]:
    """Let matplotlib's settings be the style file's and the theme's, until the block ends."""
    import matplotlib

    settings: Any = _settings() | _theme_settings(theme)  # matplotlib types each key
    with matplotlib.rc_context(settings):
        yield


@cache
def _settings() -> dict[str, Any]:
    import matplotlib

    settings = matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=True)
    return {key: settings[key] for key in settings if not key.startswith("backend")}  # no window is ever opened


def _theme_settings(theme: Theme) -> dict[str, Any]:
    muted = ("axes.edgecolor", "xtick.color", "ytick.color")
    ink = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor", "hatch.color")
    return {
        **dict.fromkeys(muted, theme.muted),
        **dict.fromkeys(ink, theme.ink),
        "grid.color": theme.grid,
        "figure.facecolor": theme.background,
    }


def themed(draw: Draw) -> Draw:
    """Let a draw function run under the style, and settle its figure's layout once for all formats."""

    @wraps(draw)
    def draw_in_style(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
        with style_context(theme):
            figure = draw(findings, theme)
            if not isinstance(figure, Missing):
                # ticks take their colours when they are first drawn, which must happen inside this block
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
        return figure

    return draw_in_style


def new_figure(name: str, theme: Theme, size: tuple[float, float], description: Sequence[str]) -> "Figure":
    """Return an empty figure that carries its name and what it shows in words, for those who cannot see it.

    Args:
        name: File stem; with the theme it makes the ids of an inlined SVG unique.
        theme: The colours.
        size: Width and height in inches.
        description: A heading, then one line per thing shown, with full names.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_gid(f"{name}-{theme.name}")
    figure.set_label("\n".join(description))
    return figure
