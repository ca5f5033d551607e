"""Differences of all candidates with their intervals, one panel per candidate around one line at 0."""

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.findings import Comparison
from harness.study.findings import StudyFindings
from reports.figures.content import (
    Look,
    RowName,
    comparisons,
    differences,
    elicited,
    looks,
    row_names,
    title_of,
    trained_on,
)
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
from reports.figures.text import with_interval
from reports.table import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@themed
def draw_forest(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw each candidate's differences to the base; where the base was elicited, those to it below, in outline."""
    found, stricter = comparisons(findings), elicited(findings)
    if not found:
        return Missing("no candidate is compared with the base")
    rows, columns = row_names(found), grid_shape(len(found))[1]
    entries = _legend(findings, bool(stricter), theme)
    height = len(rows) * ROW_HEIGHT * (1.35 if stricter else 1) + 0.4
    extra = 0.35 + legend_height(entries, grid_width(columns))
    figure, panels = open_panels("forest", theme, _describe(findings), len(found), height, extra)
    styles = looks(findings, theme)
    for ax, comparison in zip(panels.axes, found, strict=True):
        panel_title(ax, title_of(findings, comparison.candidate), panel_width(columns), trained_on(comparison))
        band_domains(ax, rows, theme, comparison.transfer.trained_on)
        ax.grid(axis="x")
        ax.axvline(0, color=theme.ink, lw=0.7, zorder=2)
        color, other = styles[comparison.candidate].color, stricter.get(comparison.candidate)
        _draw_differences(ax, comparison, rows, Look(color, "s", "-", color), -0.18 if other else 0.0)
        if other is not None:
            _draw_differences(ax, other, rows, Look(theme.muted, "s", "-", theme.background), 0.2)
    label_rows(panels, rows)
    shown = [
        cell.difference for comparison in (*found, *stricter.values()) for cell in differences(comparison).values()
    ]
    panels.axes[0].set_xlim(*limits([0.0, *spread(shown)]))
    few_ticks(panels.axes[0], panel_width(columns))
    for ax in panels.lowest:
        ax.set_xlabel("difference (points)")
    add_legend(figure, entries)
    return figure


def _draw_differences(ax: "Axes", found: Comparison, rows: list[RowName], look: Look, shift: float) -> None:
    """Draw a comparison's differences, `shift` rows below their own."""
    cells = differences(found)
    for is_average, marker, width, size in ((False, "s", 0.8, 3.0), (True, "D", 1.5, 4.2)):
        shown = [
            (y, cells.get((row.name, row.is_average))) for y, row in enumerate(rows) if row.is_average == is_average
        ]
        known = [(y + shift, spread([cell.difference])) for y, cell in shown if cell is not None]
        whiskers(ax, [(y, low, high) for y, (_, low, high) in known], look.color, width)
        marks(ax, [(value, y) for y, (value, _, _) in known], replace(look, marker=marker), size)


def _legend(findings: StudyFindings, with_elicited: bool, theme: Theme) -> dict[str, "Artist"]:
    entries = {"task": sample(theme.muted, marker="s", ms=3.0)}
    if any(row.is_average for row in row_names(comparisons(findings))):
        entries["average"] = sample(theme.muted, marker="D", ms=4.2)
    entries[f"{percent(findings.transfer.level)} interval"] = whisker_sample(theme)
    if with_elicited:
        entries["to the elicited base"] = sample(theme.muted, marker="s", mfc=theme.background)
    if any(comparison.transfer.trained_on for comparison in comparisons(findings)):
        entries["domain trained on"] = trained_sample(theme)
    return entries


def _describe(findings: StudyFindings) -> list[str]:
    lines = ["Differences of each candidate to the base, by task and domain"]
    for comparison in findings.transfer.comparisons:
        name = f"{title_of(findings, comparison.candidate)} against {title_of(findings, comparison.base)}"
        lines += [
            f"{name}, {row.name}: {with_interval(row.difference, sign=True)}"
            for row in differences(comparison).values()
        ]
    return lines
