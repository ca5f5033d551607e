"""The transfer matrix: which training moved which domain, by how much."""

import math
from typing import TYPE_CHECKING

from harness.findings import AverageComparison, Comparison
from harness.study.findings import StudyFindings
from reports.figures.content import comparisons, title_of, trained_on
from reports.figures.panels import add_legend, legend_height
from reports.figures.style import COLUMN_WIDTH, FULL_WIDTH, Missing, Theme, new_figure, themed
from reports.figures.text import shorten, signed, text_width, with_interval, wrap
from reports.table import DAGGER, is_significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

NAME_WIDTH = 1.25
"""Inches for a row's name."""
GAP = 0.12
"""Between the domains and the overall average, in columns."""
OUTLINE = 2.0
"""Points of the line around a domain that training was on."""
DARK_TEXT, LIGHT_TEXT = "#101216", "#ffffff"


@themed
def draw_matrix(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw a row per candidate and a column per domain, and the overall average apart from them."""
    from matplotlib.patches import Patch

    found = comparisons(findings)
    if not found:
        return Missing("no candidate is compared with the base")
    columns = list(dict.fromkeys(domain.name for comparison in found for domain in comparison.domains))
    if len(columns) > 1:
        columns.append("overall")
    names = [_row_name(findings, comparison) for comparison in found]
    width, cell = _widths(names, columns)
    lines = max(name.count("\n") + 1 for name in names)
    entries = {"domain trained on": Patch(fc="none", ec=theme.ink, lw=OUTLINE)}
    height = len(found) * (0.1 + 0.13 * lines) + 0.3 + legend_height(entries, width)
    figure = new_figure("matrix", theme, (width, height), _describe(findings, found))
    ax = figure.add_subplot()
    ax.set_yticks(range(len(found)), names)
    places = [i + GAP * (name == "overall") for i, name in enumerate(columns)]
    ax.xaxis.tick_top()
    ax.set_xticks(places, [shorten(name, cell - 0.04, bold=name == "overall") for name in columns])
    ax.get_xticklabels()[-1].set_fontweight("bold" if columns[-1] == "overall" else "normal")
    ax.tick_params(length=0, pad=4)
    ax.spines[:].set_visible(False)
    ax.set_xlim(-0.5, places[-1] + 0.5)
    ax.set_ylim(len(found) - 0.5, -0.5)
    _draw_cells(ax, found, dict(zip(columns, places, strict=True)), theme, findings.transfer.level)
    if any(comparison.transfer.trained_on for comparison in found):
        add_legend(figure, entries)
    return figure


def _widths(names: list[str], columns: list[str]) -> tuple[float, float]:
    """Return the width of the figure and of a cell: one column of a page, if the domains' names fit over the cells."""
    beside = max(text_width(line) for name in names for line in name.split("\n")) + 0.15
    needed = max(0.45, *(text_width(name, bold=True) for name in columns)) + 0.05
    width = COLUMN_WIDTH if (COLUMN_WIDTH - beside) / (len(columns) + GAP) >= needed else FULL_WIDTH
    return width, (width - beside) / (len(columns) + GAP)


def _row_name(findings: StudyFindings, found: Comparison) -> str:
    name = shorten(title_of(findings, found.candidate), NAME_WIDTH)
    return f"{name}\n{wrap(trained_on(found), NAME_WIDTH)}"


def _draw_cells(ax: "Axes", found: list[Comparison], places: dict[str, float], theme: Theme, level: float) -> None:
    from matplotlib.patches import Rectangle

    cells = [(y, cell) for y, row in enumerate(found) for cell in (*row.domains, row.overall) if cell.name in places]
    largest = max(
        (abs(cell.difference.value) for _, cell in cells if math.isfinite(cell.difference.value)), default=0.0
    )
    colors = _diverging(theme)
    for y, cell in cells:
        value = cell.difference.value
        share = 0.0 if math.isnan(value) or not largest else value / largest
        fill = colors((share + 1) / 2)
        text = _text_color(fill)
        corner = (places[cell.name] - 0.5, y - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fc=fill, lw=0, zorder=1))
        if value < 0:
            ax.add_patch(Rectangle(corner, 1, 1, fc="none", ec=text, lw=0, alpha=0.35, hatch="////", zorder=1.2))
        ax.add_patch(Rectangle(corner, 1, 1, fc="none", ec=theme.background, lw=2.4, zorder=1.5))
        if cell.is_trained:
            ax.add_patch(Rectangle(corner, 1, 1, fc="none", ec=theme.ink, lw=OUTLINE, zorder=2, clip_on=False))
        dagger = DAGGER if is_significant(level, cell.p_adjusted) else ""
        number = ax.text(
            places[cell.name], y, f"{signed(value)}{dagger}", ha="center", va="center", color=text, zorder=3
        )
        number.set_bbox({"fc": fill, "lw": 0, "pad": 0.8})  # keeps the hatch off the digits


def _diverging(theme: Theme) -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("difference", [theme.loss, theme.zero, theme.gain])


def _text_color(fill: tuple[float, ...]) -> str:
    """Return black or white, whichever stands out more (relative luminance, WCAG 2)."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in fill[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return DARK_TEXT if luminance > 0.18 else LIGHT_TEXT


def _describe(findings: StudyFindings, found: list[Comparison]) -> list[str]:
    return ["Transfer matrix: differences to the base by training and domain"] + [
        f"{title_of(findings, row.candidate)} ({trained_on(row)}), {cell.name}: {_sentence(cell)}"
        for row in found
        for cell in (*row.domains, row.overall)
    ]


def _sentence(cell: AverageComparison) -> str:
    return with_interval(cell.difference, sign=True) + (", trained on" if cell.is_trained else "")
