"""From base to candidate, task by task and domain by domain: what training on one domain did to the others."""

import math
from typing import TYPE_CHECKING

from harness.findings import Comparison
from harness.study.findings import StudyFindings
from reports.figures.content import (
    Difference,
    Look,
    RowName,
    comparisons,
    differences,
    looks,
    row_names,
    title_of,
    titles,
    trained_on,
)
from reports.figures.panels import (
    ROW_HEIGHT,
    add_legend,
    band_domains,
    beside,
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
    trained_sample,
    whisker_sample,
    whiskers,
)
from reports.figures.style import Missing, Theme, themed
from reports.figures.text import points, signed, with_interval
from reports.table import DAGGER, UNKNOWN, is_significant, percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER_WIDTH = 0.42
"""Inches for the difference beside a row."""


@themed
def draw_deltas(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw one panel per candidate: a dumbbell from base to candidate per row, with the difference's interval."""
    found = comparisons(findings)
    if not found:
        return Missing("no candidate is compared with the base")
    rows, columns = row_names(found), grid_shape(len(found))[1]
    width = panel_width(columns, NUMBER_WIDTH)
    entries = _legend(findings, found, theme)
    figure, panels = open_panels(
        "deltas",
        theme,
        _describe(findings, found),
        len(found),
        len(rows) * ROW_HEIGHT + 0.4,
        0.35 + legend_height(entries, grid_width(columns)),
    )
    styles = looks(findings, theme)
    for ax, comparison in zip(panels.axes, found, strict=True):
        panel_title(ax, title_of(findings, comparison.candidate), width + NUMBER_WIDTH, trained_on(comparison))
        band_domains(ax, rows, theme, comparison.transfer.trained_on)
        ax.grid(axis="x")
        _draw_rows(ax, comparison, rows, styles[comparison.base], styles[comparison.candidate].color)
        _write_differences(ax, comparison, rows, theme, findings.transfer.level)
    label_rows(panels, rows)
    ends = [x for comparison in found for cell in differences(comparison).values() for x in _ends(cell)]
    panels.axes[0].set_xlim(*limits(ends))
    few_ticks(panels.axes[0], width)
    for ax in panels.lowest:
        ax.set_xlabel("score (points)")
    add_legend(figure, entries)
    return figure


def _ends(cell: Difference) -> tuple[float, float, float, float]:
    """Return base, candidate, and the difference's interval as it lies from the base on, in points."""
    base = cell.base.value
    ends = (base, cell.candidate.value, base + cell.difference.ci_low, base + cell.difference.ci_high)
    return tuple(100 * x for x in ends)  # type: ignore[return-value]


def _draw_rows(ax: "Axes", found: Comparison, rows: list[RowName], base: Look, color: str) -> None:
    """Draw dumbbells, those of averages heavier."""
    cells = differences(found)
    candidate = Look(color, "o", "-", color)
    for is_average, width, size in ((False, 1.8, 4.0), (True, 3.2, 5.2)):
        shown = [
            (y, cells.get((row.name, row.is_average))) for y, row in enumerate(rows) if row.is_average == is_average
        ]
        ends = [(y, *_ends(cell)) for y, cell in shown if cell is not None and not math.isnan(cell.difference.value)]
        if ends:
            ys, starts, stops, _, _ = zip(*ends, strict=True)
            ax.hlines(ys, starts, stops, color=color, lw=width, alpha=0.45, zorder=2)
        whiskers(ax, [(y, low, high) for y, _, _, low, high in ends], base.color, 0.7)
        marks(ax, [(start, y) for y, start, _, _, _ in ends], base, size)
        marks(ax, [(end, y) for y, _, end, _, _ in ends], candidate, size)


def _write_differences(ax: "Axes", found: Comparison, rows: list[RowName], theme: Theme, level: float) -> None:
    cells = differences(found)
    for y, row in enumerate(rows):
        cell = cells.get((row.name, row.is_average))
        mark = DAGGER if cell and is_significant(level, cell.p_adjusted) else ""
        beside(ax, y, f"{signed(cell.difference.value)}{mark}" if cell else UNKNOWN, theme.ink)


def _legend(findings: StudyFindings, found: list[Comparison], theme: Theme) -> dict[str, "Artist"]:
    base = titles(findings)[found[0].base]
    entries = {
        f"base: {base}": sample(theme.ink, marker="o", mfc=theme.background),
        "candidate": sample(theme.muted, marker="o"),
        f"{percent(findings.transfer.level)} interval of the difference": whisker_sample(theme),
    }
    if any(comparison.transfer.trained_on for comparison in found):
        entries["domain trained on"] = trained_sample(theme)
    return entries


def _describe(findings: StudyFindings, found: list[Comparison]) -> list[str]:
    lines = ["Score of the base and of each candidate, by task and domain"]
    for comparison in found:
        name = title_of(findings, comparison.candidate)
        for row in (*comparison.domains, comparison.overall):
            change = with_interval(row.difference, sign=True)
            lines.append(f"{name}, {row.name}: {points(row.base.value)} to {points(row.candidate.value)}, {change}")
    return lines
