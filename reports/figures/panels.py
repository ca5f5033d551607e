"""Panels and rows that several figures share: small multiples, bands per domain, whiskers, legends."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.schema import Estimate
from reports.figures.content import Look, RowName, finite
from reports.figures.style import COLUMN_WIDTH, FULL_WIDTH, Theme, new_figure
from reports.figures.text import shorten_all, text_width, wrap

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

ROW_HEIGHT = 0.155
"""Inches that a row of text takes."""
LABEL_WIDTH = 1.2
"""Inches that labels of rows may take."""
LEGEND_SAMPLE = 0.42
"""Inches that a legend's sample takes with the space around it."""
MAX_COLUMNS = 4


def grid_shape(num_panels: int) -> tuple[int, int]:
    """Return rows and columns for small multiples, rows as even as they can be."""
    rows = math.ceil(num_panels / MAX_COLUMNS)
    return rows, math.ceil(num_panels / rows)


def grid_width(columns: int) -> float:
    """Return the width of a figure with so many panels side by side, in inches."""
    return COLUMN_WIDTH if columns == 1 else FULL_WIDTH


def panel_width(columns: int, beside: float = 0.0) -> float:
    """Return about how wide a panel comes out, in inches: labels stand left of the first, `beside` right of each."""
    return (grid_width(columns) - LABEL_WIDTH - 0.25) / columns - beside - 0.1


class Panels:
    """Small multiples that share both axes: row labels at the left, tick labels below the lowest panel of a column."""

    def __init__(self, figure: "Figure", places: Sequence["SubplotSpec"], columns: int) -> None:
        self.axes: list[Axes] = []
        for i, place in enumerate(places):
            first = self.axes[0] if self.axes else None
            ax = figure.add_subplot(place, sharex=first, sharey=first)
            ax.tick_params(labelleft=i % columns == 0, labelbottom=i + columns >= len(places))
            if i % columns:
                ax.tick_params(axis="y", length=0)
            self.axes.append(ax)
        self.left = self.axes[::columns]
        self.lowest = self.axes[-columns:]


def open_panels(
    name: str, theme: Theme, description: Sequence[str], num_panels: int, panel_height: float, extra: float
) -> tuple["Figure", Panels]:
    """Return a figure with small multiples.

    Args:
        name: File stem.
        theme: The colours.
        description: What the figure shows, in words.
        num_panels: How many.
        panel_height: Inches of one panel with its title.
        extra: Inches below the panels, for tick labels, axis label and legend.
    """
    shape = grid_shape(num_panels)
    size = (grid_width(shape[1]), shape[0] * panel_height + extra)
    figure = new_figure(name, theme, size, description)
    grid = figure.add_gridspec(*shape)
    return figure, Panels(figure, [grid[divmod(i, shape[1])] for i in range(num_panels)], shape[1])


def label_rows(panels: Panels, rows: Sequence[RowName]) -> None:
    """Name the rows of all panels from the top down, averages in bold."""
    panels.axes[0].set_yticks(range(len(rows)), row_labels(rows))
    panels.axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for ax in panels.left:
        ax.tick_params(axis="y", length=0)
        for label, row in zip(ax.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row.is_average else "normal")


def row_labels(rows: Sequence[RowName]) -> list[str]:
    """Return the rows' labels, all different: a domain that is one task has its name before the task's."""
    alone = {row.domain for row in rows if not row.is_average} - {row.domain for row in rows if row.is_average}
    names = []
    for row in rows:
        if row.is_average:
            names.append(row.name if row.name == "overall" else f"{row.name} (mean)")
        else:
            names.append(f"{row.domain}: {row.name}" if row.domain in alone else row.name)
    pairs = list(zip(names, rows, strict=True))
    short = shorten_all((name for name, row in pairs if not row.is_average), LABEL_WIDTH)
    short |= shorten_all((name for name, row in pairs if row.is_average), LABEL_WIDTH, bold=True)
    return [short[name] for name in names]


def band_domains(ax: "Axes", rows: Sequence[RowName], theme: Theme, trained: Sequence[str] = ()) -> None:
    """Shade the rows of every other domain, and mark those that training was on by a bar at the left edge."""
    domains = list(dict.fromkeys(row.domain for row in rows))
    for number, domain in enumerate(domains):
        places = [i for i, row in enumerate(rows) if row.domain == domain]
        low, high = places[0] - 0.5, places[-1] + 0.5
        is_trained = bool(domain) and domain in trained
        if is_trained:
            mark_trained(ax, low, high, theme)
        elif number % 2 == 0 and domain:
            ax.axhspan(low, high, color=theme.band, lw=0, zorder=0)
        if number:
            ax.axhline(low, color=theme.muted if not domain else theme.grid, lw=0.6, zorder=1)


def mark_trained(ax: "Axes", low: float, high: float, theme: Theme) -> None:
    """Tint the rows that training was on and put a bar at their left edge."""
    ax.axhspan(low, high, color=theme.trained, lw=0, zorder=0)
    place = ax.get_yaxis_transform()
    ax.plot([0, 0], [low, high], transform=place, color=theme.ink, lw=3, solid_capstyle="butt", zorder=4)


def whiskers(ax: "Axes", places: Sequence[tuple[float, float, float]], color: str, width: float = 0.8) -> None:
    """Draw intervals along x with small caps, given as (y, low, high); none where one is nan."""
    known = [place for place in places if all(map(math.isfinite, place))]
    if known:
        ys, lows, highs = zip(*known, strict=True)
        ax.hlines(ys, lows, highs, color=color, lw=width, zorder=2.5)
        ax.plot([*lows, *highs], [*ys, *ys], ls="", color=color, marker="|", ms=3, mew=width, zorder=2.5)


def marks(ax: "Axes", places: Sequence[tuple[float, float]], look: Look, size: float = 4.2) -> None:
    """Draw a checkpoint's marker at each (x, y); none where one is nan."""
    known = [place for place in places if all(map(math.isfinite, place))]
    if known:
        xs, ys = zip(*known, strict=True)
        ax.plot(xs, ys, ls="", marker=look.marker, ms=size, mfc=look.fill, mec=look.color, zorder=3, clip_on=False)


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return ends of an axis that holds all values that are numbers, and a little more."""
    known = finite(values) or [0.0]
    low, high = min(known), max(known)
    pad = 0.06 * (high - low) or max(0.5, 0.1 * abs(high))
    return low - pad, high + pad


def spread(estimates: Sequence[Estimate]) -> list[float]:
    """Return estimates and the ends of their intervals, in points."""
    return [100 * x for estimate in estimates for x in (estimate.value, estimate.ci_low, estimate.ci_high)]


def few_ticks(ax: "Axes", width: float, axis: str = "x") -> None:
    """Let an axis have about one tick label per 0.35 inches, at round numbers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    lines = ax.xaxis if axis == "x" else ax.yaxis
    lines.set_major_locator(MaxNLocator(nbins=max(2, min(6, int(width / 0.35))), steps=[1, 2, 2.5, 5, 10]))
    lines.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def tick_text(value: float) -> str:
    """Return a tick's label: at most five characters for what people measure here."""
    divisor, unit = (1e6, "M") if abs(value) >= 1e6 else (1e3, "k") if abs(value) >= 1e4 else (1, "")
    return f"{value / divisor:,.10g}{unit}".replace("-", "−")


def beside(ax: "Axes", y: float, text: str, color: str) -> None:
    """Write a number right of a panel, at a row."""
    ax.annotate(
        text, (1, y), (4, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points", color=color,
        ha="left", va="center_baseline", annotation_clip=False,
    )  # fmt: skip


def add_legend(figure: "Figure", entries: Mapping[str, "Artist"]) -> None:
    """Put a legend below everything, with as many columns as fit; long names are shortened."""
    width = float(figure.get_figwidth())
    short, columns = list(_legend_texts(entries, width).values()), legend_columns(entries, width)
    figure.legend(list(entries.values()), short, loc="outside lower center", ncols=columns)


def legend_columns(names: Iterable[str], width: float) -> int:
    """Return how many columns a legend gets within a figure so many inches wide."""
    texts = list(_legend_texts(names, width).values())
    for columns in range(len(texts), 1, -1):
        deep, more = divmod(len(texts), columns)  # the first `more` columns have one entry more, as matplotlib fills
        starts = [i * deep + min(i, more) for i in range(columns + 1)]
        parts = (texts[start:end] for start, end in itertools.pairwise(starts))
        if sum(max(map(text_width, part)) + LEGEND_SAMPLE for part in parts) <= width - 0.1:
            return columns
    return 1


def legend_height(names: Collection[str], width: float) -> float:
    """Return the inches that the legend takes."""
    return 0.08 + 0.145 * math.ceil(len(names) / legend_columns(names, width))


def _legend_texts(names: Iterable[str], width: float) -> dict[str, str]:
    return shorten_all(names, width - LEGEND_SAMPLE - 0.15)


def line_handle(look: Look, with_line: bool = True) -> "Artist":
    """Return a legend's sample of a checkpoint."""
    from matplotlib.lines import Line2D

    line = look.line if with_line else ""
    return Line2D([], [], color=look.color, marker=look.marker, ms=4.2, mfc=look.fill, mec=look.color, ls=line)


def sample(color: str, **kwargs: Any) -> "Artist":
    """Return a legend's sample of a mark that is no checkpoint's: a marker or a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, **{"ls": "", "ms": 4.2, "mec": color, **kwargs})


def whisker_sample(theme: Theme) -> "Artist":
    """Return a legend's sample of an interval."""
    return sample(theme.ink, ls="-", lw=0.8, marker="|", ms=4)


def trained_sample(theme: Theme) -> "Artist":
    """Return a legend's sample of a domain that training was on."""
    from matplotlib.patches import Patch

    return Patch(facecolor=theme.trained, edgecolor=theme.ink, lw=1)


def panel_title(ax: "Axes", name: str, width: float, note: str = "") -> None:
    """Write a panel's title, at most two lines of the name, and below it a note in plain type."""
    lines = wrap(name, width, bold=True).split("\n")
    if len(lines) > 2:
        lines = [lines[0], *shorten_all([" ".join(lines[1:])], width, bold=True).values()]
    notes = wrap(note, width).split("\n") if note else []
    ax.set_title("\n".join(lines), loc="left", pad=4 + 8.6 * len(notes))
    if notes:
        ax.annotate("\n".join(notes), (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", va="bottom")
