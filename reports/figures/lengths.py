"""How long completions are, and how many of them the token limit cut off, by checkpoint and domain."""

import math
from typing import TYPE_CHECKING

from harness.study.findings import StudyFindings
from reports.figures.content import domain_means, domain_names, titles
from reports.figures.panels import (
    ROW_HEIGHT,
    Panels,
    add_legend,
    few_ticks,
    grid_shape,
    grid_width,
    legend_height,
    limits,
    panel_title,
    panel_width,
    tick_text,
)
from reports.figures.standings import Place, draw_checkpoints, label_checkpoints, role_entries
from reports.figures.style import Missing, Theme, new_figure, themed
from reports.figures.text import text_width
from reports.table import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTITIES = {"mean_tokens": "completion tokens (mean)", "truncated": "hit the token limit (%)"}
WIDE_RANGE = 20.0
"""Ratio of the longest mean to the shortest from which on the axis is logarithmic."""
Means = dict[str, dict[str, float]]
"""Domain → label → mean."""


@themed
def draw_lengths(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw mean completion tokens and the share cut off, one panel per domain each, a row per checkpoint."""
    found = {quantity: means for quantity in QUANTITIES if (means := domain_lengths(findings, quantity))}
    if not found:
        return Missing("no run says how long its completions are or how they ended")
    most = max(len(means) for means in found.values())
    rows, columns = grid_shape(most)
    entries = role_entries(findings, theme)
    block = len(findings.standings) * ROW_HEIGHT + 0.25
    height = len(found) * (rows * block + 0.35) + legend_height(entries, grid_width(columns))
    figure = new_figure("lengths", theme, (grid_width(columns), height), _describe(findings, found))
    grid = figure.add_gridspec(len(found) * rows, columns)
    for number, (quantity, means) in enumerate(found.items()):
        places = [grid[number * rows + i // columns, i % columns] for i in range(len(means))]
        panels = Panels(figure, places, columns)
        _draw_block(panels, findings, quantity, means, theme)
    add_legend(figure, entries)
    return figure


def domain_lengths(findings: StudyFindings, quantity: str) -> Means:
    """Return a quantity of the outcomes as unweighted means over each domain's tasks; only domains that have some."""
    means = {
        row.label: domain_means(row, {task.task: getattr(task.outcomes, quantity) for task in row.tasks})
        for row in findings.standings
    }
    found = {
        domain: {label: row[domain] for label, row in means.items() if math.isfinite(row.get(domain, math.nan))}
        for domain in domain_names(findings)
    }
    return {domain: rows for domain, rows in found.items() if rows}


def _draw_block(panels: Panels, findings: StudyFindings, quantity: str, means: Means, theme: Theme) -> None:
    scale = 100 if quantity == "truncated" else 1
    texts = {domain: {label: _text(scale * x, scale) for label, x in rows.items()} for domain, rows in means.items()}
    beside = max(text_width(text) for rows in texts.values() for text in (UNKNOWN, *rows.values()))
    width = panel_width(len(panels.lowest), beside)
    for ax, (domain, rows) in zip(panels.axes, means.items(), strict=True):
        panel_title(ax, domain, width)
        places = {label: Place(scale * x, math.nan, math.nan, texts[domain][label]) for label, x in rows.items()}
        draw_checkpoints(ax, findings.standings, places, domain, theme)
    label_checkpoints(panels, findings)
    _scale(panels.axes[0], [scale * x for rows in means.values() for x in rows.values()], width)
    for ax in panels.lowest:
        ax.set_xlabel(QUANTITIES[quantity])


def _scale(ax: "Axes", values: list[float], width: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = min(values), max(values)
    if low > 0 and high / low >= WIDE_RANGE:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.3, high * 1.3)
        ax.xaxis.set_major_locator(LogLocator(numticks=max(2, int(width / 0.4))))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(*limits([0.0, *values]))
        few_ticks(ax, width)


def _text(value: float, scale: int) -> str:
    return f"{value:.1f}" if scale == 100 else f"{value:,.0f}"


def _describe(findings: StudyFindings, found: dict[str, Means]) -> list[str]:
    names = titles(findings)
    lines = ["Length of completions by checkpoint and domain"]
    for quantity, means in found.items():
        scale = 100 if quantity == "truncated" else 1
        for domain, rows in means.items():
            lines += [
                f"{names[x]}, {domain}, {QUANTITIES[quantity]}: {_text(scale * v, scale)}" for x, v in rows.items()
            ]
    return lines
