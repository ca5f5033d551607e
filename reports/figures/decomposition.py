"""What each difference is made of: readable endings and answers (elicitation), or accuracy among alike endings."""

import math
from typing import TYPE_CHECKING, Any

from harness.findings import Comparison
from harness.study.findings import StudyFindings
from reports.figures.content import Look, RowName, comparisons, differences, row_names, title_of, trained_on
from reports.figures.panels import (
    ROW_HEIGHT,
    add_legend,
    band_domains,
    few_ticks,
    grid_shape,
    grid_width,
    label_rows,
    legend_height,
    limits,
    marks,
    open_panels,
    panel_title,
    panel_width,
    sample,
    spread,
    trained_sample,
    whisker_sample,
    whiskers,
)
from reports.figures.style import Missing, Theme, themed
from reports.figures.text import signed, with_interval
from reports.table import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@themed
def draw_decomposition(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw one panel per candidate: per domain two stacked bars that add up to the difference, marked on top."""
    found = [row for row in comparisons(findings) if any(_is_known(row, name) for name in _rows([row]))]
    if not found:
        return Missing("no difference can be decomposed: the runs do not say how generations ended")
    rows, columns = _rows(found), grid_shape(len(found))[1]
    entries = _legend(findings, found, theme)
    height, extra = len(rows) * ROW_HEIGHT * 1.25 + 0.4, 0.35 + legend_height(entries, grid_width(columns))
    figure, panels = open_panels("decomposition", theme, _describe(findings, found, rows), len(found), height, extra)
    for ax, comparison in zip(panels.axes, found, strict=True):
        panel_title(ax, title_of(findings, comparison.candidate), panel_width(columns), trained_on(comparison))
        band_domains(ax, rows, theme, comparison.transfer.trained_on)
        ax.grid(axis="x")
        ax.axvline(0, color=theme.ink, lw=0.7, zorder=3)
        _draw_bars(ax, comparison, rows, theme)
    label_rows(panels, rows)
    panels.axes[0].set_xlim(*limits([0.0, *(x for comparison in found for x in _extent(comparison, rows))]))
    few_ticks(panels.axes[0], panel_width(columns))
    for ax in panels.lowest:
        ax.set_xlabel("difference (points)")
    add_legend(figure, entries)
    return figure


def _rows(found: list[Comparison]) -> list[RowName]:
    """Return the domains, and the overall average last; of a single domain its tasks too."""
    rows = row_names(found)
    alone = {row.domain for row in rows if not row.is_average} - {row.domain for row in rows if row.is_average}
    if len({row.domain for row in rows if row.domain}) == 1:
        return rows
    return [row for row in rows if row.is_average or row.domain in alone]


def _is_known(found: Comparison, row: RowName) -> bool:
    cell = differences(found).get((row.name, row.is_average))
    return cell is not None and math.isfinite(cell.decomposition.within.value)


def _parts(found: Comparison, row: RowName) -> tuple[float, float]:
    """Return elicitation and within in points."""
    decomposition = differences(found)[row.name, row.is_average].decomposition
    return 100 * decomposition.elicitation.value, 100 * decomposition.within.value


def _extent(found: Comparison, rows: list[RowName]) -> list[float]:
    known = [row for row in rows if _is_known(found, row)]
    ends = [sum(x for x in _parts(found, row) if sign * x > 0) for row in known for sign in (-1, 1)]
    return ends + spread([differences(found)[row.name, row.is_average].difference for row in known])


def _draw_bars(ax: "Axes", found: Comparison, rows: list[RowName], theme: Theme) -> None:
    """Stack the parts away from 0, those below it to the left; mark the difference and its interval."""
    totals = []
    for y, row in enumerate(rows):
        if not _is_known(found, row):
            ax.text(0.5, y, "not known", transform=ax.get_yaxis_transform(), ha="center", va="center_baseline")
            continue
        elicitation, within = _parts(found, row)
        start = elicitation if elicitation * within > 0 else 0.0
        edge: dict[str, Any] = {"edgecolor": theme.background, "lw": 0.4, "zorder": 2, "height": 0.62}
        ax.barh(y, elicitation, color=theme.series[0], **edge)
        ax.barh(y, within, left=start, color=theme.series[1], hatch="/////", **edge)
        totals.append((y, *spread([differences(found)[row.name, row.is_average].difference])))
    intervals = [(y, low, high) for y, _, low, high in totals]
    whiskers(ax, intervals, theme.background, 2.4)  # a rim, or the interval would drown in its bar
    whiskers(ax, intervals, theme.ink, 0.9)
    marks(ax, [(value, y) for y, value, _, _ in totals], Look(theme.ink, "D", "-", theme.background), 3.6)


def _legend(findings: StudyFindings, found: list[Comparison], theme: Theme) -> dict[str, "Artist"]:
    from matplotlib.patches import Patch

    entries: dict[str, Artist] = {
        "elicitation": Patch(facecolor=theme.series[0], edgecolor=theme.background, lw=0.4),
        "accuracy within alike endings": Patch(
            facecolor=theme.series[1], edgecolor=theme.background, lw=0.4, hatch="/////"
        ),
        "their sum, the difference": sample(theme.ink, marker="D", ms=3.6, mfc=theme.background),
        f"its {percent(findings.transfer.level)} interval": whisker_sample(theme),
    }
    if any(comparison.transfer.trained_on for comparison in found):
        entries["domain trained on"] = trained_sample(theme)
    return entries


def _describe(findings: StudyFindings, found: list[Comparison], rows: list[RowName]) -> list[str]:
    lines = ["Each difference to the base as elicitation plus accuracy within alike endings"]
    for comparison in found:
        for row in rows:
            if _is_known(comparison, row):
                cell = differences(comparison)[row.name, row.is_average]
                parts = cell.decomposition
                total = with_interval(cell.difference, sign=True)
                name = f"{title_of(findings, comparison.candidate)}, {row.name}"
                elicitation, within = signed(parts.elicitation.value), signed(parts.within.value)
                lines.append(f"{name}: {total} = {elicitation} elicitation, {within} within")
    return lines
