"""What a score costs: overall score against GPU-hours, with the checkpoints that none beats for less."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.schema import Estimate
from harness.study.findings import StudyFindings
from reports.figures.content import Look, finite, looks, titles
from reports.figures.panels import add_legend, few_ticks, legend_height, limits, line_handle, sample, spread
from reports.figures.placement import Box, Name, place_names
from reports.figures.style import COLUMN_WIDTH, Missing, Theme, new_figure, themed
from reports.figures.text import with_interval

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES_HEIGHT = 1.75
"""Inches of the panel with its ticks."""
FRONT = "Pareto front"


@dataclass(frozen=True)
class CostPoint:
    """One checkpoint whose cost is known."""

    label: str
    gpu_hours: float
    score: Estimate
    on_front: bool


@themed
def draw_pareto(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw overall score over GPU-hours, the front as a step line, the base and uncosted references as lines.

    Names stand beside what they name where all of them fit, else in a legend.
    """
    points = cost_points(findings)
    if not points:
        return Missing("no checkpoint has both an overall score and a known number of GPU-hours")
    levels = _levels(findings, {point.label for point in points})
    entries = _legend(findings, points, levels, theme)
    front = {name: entry for name, entry in entries.items() if name == FRONT}
    figure = _draw(findings, theme, points, levels, front)
    return figure if _name_all(figure, findings, points, levels) else _draw(findings, theme, points, levels, entries)


def _draw(
    findings: StudyFindings,
    theme: Theme,
    points: list[CostPoint],
    levels: Mapping[str, Estimate],
    entries: dict[str, "Artist"],
) -> "Figure":
    styles = looks(findings, theme)
    height = AXES_HEIGHT + 0.2 + (legend_height(entries, COLUMN_WIDTH) if entries else 0.0)
    figure = new_figure("pareto", theme, (COLUMN_WIDTH, height), _describe(findings, points, levels))
    ax = figure.add_subplot()
    ax.grid(axis="both")
    ax.set_xscale("log")
    _draw_levels(ax, levels, styles)
    for point in points:
        _draw_point(ax, point, styles[point.label])
    _draw_front(ax, points, theme)
    _limit(ax, points, levels)
    ax.set_xlabel("GPU-hours, all training stages (log scale)")
    ax.set_ylabel("overall score (points)")
    if entries:
        add_legend(figure, entries)
    return figure


def _name_all(
    figure: "Figure", findings: StudyFindings, points: list[CostPoint], levels: Mapping[str, Estimate]
) -> bool:
    """Write every name beside what it names; return False, and write none, if one has no place."""
    figure.draw_without_rendering()
    ax = figure.axes[0]
    names = titles(findings)
    frame = Box(*(float(x) / figure.dpi for x in ax.bbox.extents))
    marks = [_around(ax, point) for point in points]
    heights = {label: _height(ax, score.value) for label, score in levels.items()}
    wanted = [
        Name.beside_mark(names[point.label], mark, _height(ax, point.score.value))
        for point, mark in zip(points, marks, strict=True)
    ]
    wanted += [Name.along_line(names[label], height, frame) for label, height in heights.items()]
    placed = place_names(wanted, frame, marks, list(heights.values()))
    width, height = figure.get_size_inches()
    for box, text in placed or ():
        middle = (box.low + box.high) / 2
        ax.text(box.left / width, middle / height, text, transform=figure.transFigure, va="center", zorder=4)
    return placed is not None


def _height(ax: "Axes", score: float) -> float:
    """Return how high a score lies in the figure, in inches."""
    return float(ax.transData.transform((1, 100 * score))[1]) / float(ax.figure.dpi)


def _around(ax: "Axes", point: CostPoint) -> Box:
    """Return the box of a point's marker and interval."""
    x = float(ax.transData.transform((point.gpu_hours, 0))[0]) / float(ax.figure.dpi)
    y = _height(ax, point.score.value)
    ends = [_height(ax, end) for end in finite([point.score.ci_low, point.score.ci_high])]
    return Box(x - 0.04, min([y - 0.04, *ends]), x + 0.04, max([y + 0.04, *ends]))


def cost_points(findings: StudyFindings) -> list[CostPoint]:
    """Return the checkpoints that have an overall score and a positive number of GPU-hours, cheapest first."""
    scores = {standing.label: standing.overall for standing in findings.standings}
    found = []
    for row in findings.costs:
        score = scores.get(row.label)
        if row.gpu_hours and score is not None and math.isfinite(score.value):
            found.append(CostPoint(row.label, row.gpu_hours, score, row.on_front))
    return sorted(found, key=lambda point: (point.gpu_hours, point.label))


def _levels(findings: StudyFindings, drawn: set[str]) -> dict[str, Estimate]:
    """Return the overall scores of base and references that have no point."""
    return {
        standing.label: standing.overall
        for standing in findings.standings
        if standing.role in ("base", "reference") and standing.label not in drawn
        and standing.overall is not None and math.isfinite(standing.overall.value)
    }  # fmt: skip


def _draw_levels(ax: "Axes", levels: Mapping[str, Estimate], styles: Mapping[str, Look]) -> None:
    for number, (label, score) in enumerate(levels.items()):
        value, low, high = spread([score])
        look = styles[label]
        if math.isfinite(low) and math.isfinite(high):
            ax.axhspan(low, high, color=look.color, alpha=0.1, lw=0, zorder=1)
        ax.axhline(value, color=look.color, ls=look.line, lw=1, zorder=1.5)
        place = ax.get_yaxis_transform()
        ax.plot([1 - 0.04 * number], [value], transform=place, ls="", marker=look.marker, ms=4.2, mfc=look.fill,
                mec=look.color, zorder=3, clip_on=False)  # fmt: skip


def _draw_point(ax: "Axes", point: CostPoint, look: Look) -> None:
    value, low, high = spread([point.score])
    if math.isfinite(low) and math.isfinite(high):
        ax.plot([point.gpu_hours] * 2, [low, high], color=look.color, lw=0.9, marker="_", ms=3, mew=0.9, zorder=2)
    ax.plot([point.gpu_hours], [value], ls="", marker=look.marker, ms=5, mfc=look.fill, mec=look.color, zorder=3)


def _draw_front(ax: "Axes", points: list[CostPoint], theme: Theme) -> None:
    front = [point for point in points if point.on_front]
    xs, ys = [point.gpu_hours for point in front], [100 * point.score.value for point in front]
    if xs:  # the last one's score is also what more hours can have
        ax.plot([*xs, 2 * max(point.gpu_hours for point in points)], [*ys, ys[-1]], color=theme.ink, lw=0.8,
                ls=(0, (1, 1)), drawstyle="steps-post", zorder=1.8)  # fmt: skip


def _limit(ax: "Axes", points: list[CostPoint], levels: Mapping[str, Estimate]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    hours = [point.gpu_hours for point in points]
    ax.set_xlim(min(hours) / 2, max(hours) * 2)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(hours) / min(hours) < 40 else (1,), numticks=6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(*limits(spread([*(point.score for point in points), *levels.values()])))
    few_ticks(ax, AXES_HEIGHT, "y")


def _legend(
    findings: StudyFindings, points: list[CostPoint], levels: Mapping[str, Estimate], theme: Theme
) -> dict[str, "Artist"]:
    styles, names = looks(findings, theme), titles(findings)
    labels = [*(point.label for point in points), *levels]
    entries = {names[label]: line_handle(styles[label], label in levels) for label in labels}
    if any(point.on_front for point in points):
        entries[FRONT] = sample(theme.ink, marker="", ls=(0, (1, 1)), lw=0.8)
    return entries


def _describe(findings: StudyFindings, points: list[CostPoint], levels: Mapping[str, Estimate]) -> list[str]:
    names, lines = titles(findings), ["Overall score against GPU-hours of training"]
    for point in points:
        front = ", on the Pareto front" if point.on_front else ""
        lines.append(f"{names[point.label]}: {point.gpu_hours:,g} GPU-hours, {with_interval(point.score)}{front}")
    lines += [f"{names[label]}, a line: {with_interval(score)}" for label, score in levels.items()]
    return lines
