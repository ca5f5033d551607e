"""Small multiples of curves with bands, one curve per checkpoint: what trajectories and pass@k share."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.schema import Estimate
from harness.study.findings import StudyFindings
from reports.figures.content import Look, looks, title_of
from reports.figures.panels import (
    add_legend,
    few_ticks,
    grid_shape,
    grid_width,
    legend_height,
    limits,
    line_handle,
    open_panels,
    panel_title,
    spread,
)
from reports.figures.style import Theme
from reports.figures.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_HEIGHT = 1.15
"""Inches of a panel of curves."""


@dataclass(frozen=True)
class Curve:
    """One checkpoint's estimates along x."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[Estimate, ...]


@dataclass(frozen=True)
class LineFigure:
    """What a figure of curves is called."""

    name: str
    description: Sequence[str]
    x_label: str
    y_label: str


def draw_curves(
    findings: StudyFindings, theme: Theme, texts: LineFigure, panels_of: Mapping[str, Collection[Curve]]
) -> "Figure":
    """Draw a panel per key of `panels_of` with its curves, all on the same axes, and one legend of the checkpoints."""
    styles = looks(findings, theme)
    labels = dict.fromkeys(curve.label for curves in panels_of.values() for curve in curves)
    entries = {title_of(findings, label): line_handle(styles[label]) for label in labels}
    columns = grid_shape(len(panels_of))[1]
    width = (grid_width(columns) - 0.5) / columns - 0.1
    figure, panels = open_panels(
        texts.name,
        theme,
        texts.description,
        len(panels_of),
        PANEL_HEIGHT + 0.2,
        0.35 + legend_height(entries, grid_width(columns)),
    )
    for ax, (title, curves) in zip(panels.axes, panels_of.items(), strict=True):
        panel_title(ax, shorten(title, width, bold=True), width)
        ax.grid(axis="both")
        for curve in curves:
            _draw_curve(ax, curve, styles[curve.label])
    shown = [estimate for curves in panels_of.values() for curve in curves for estimate in curve.ys]
    panels.axes[0].set_ylim(*limits(spread(shown)))
    few_ticks(panels.axes[0], PANEL_HEIGHT * 1.6, "y")
    few_ticks(panels.axes[0], width * 0.8)
    for ax in panels.axes[::columns]:
        ax.set_ylabel(texts.y_label)
    for ax in panels.lowest:
        ax.set_xlabel(texts.x_label)
    add_legend(figure, entries)
    return figure


def _draw_curve(ax: "Axes", curve: Curve, look: Look) -> None:
    points = [(x, *spread([y])) for x, y in zip(curve.xs, curve.ys, strict=True) if math.isfinite(y.value)]
    if not points:
        return
    xs, values, lows, highs = zip(*points, strict=True)
    ax.fill_between(xs, lows, highs, color=look.color, alpha=0.16, lw=0, zorder=1.5)
    ax.plot(xs, values, color=look.color, ls=look.line, lw=1.1, zorder=2.5)
    ax.plot(xs, values, ls="", marker=look.marker, ms=3.4, mfc=look.fill, mec=look.color, zorder=3)
