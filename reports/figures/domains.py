"""Domain averages of every checkpoint, by itself: base, candidates, controls and references on one scale."""

from typing import TYPE_CHECKING

from harness.schema import Estimate
from harness.study.findings import StudyFindings
from reports.figures.content import domain_names, finite, titles
from reports.figures.panels import (
    ROW_HEIGHT,
    add_legend,
    few_ticks,
    grid_shape,
    grid_width,
    legend_height,
    limits,
    open_panels,
    panel_title,
    panel_width,
    spread,
    whisker_sample,
)
from reports.figures.standings import NUMBER_WIDTH, Place, draw_checkpoints, label_checkpoints, role_entries
from reports.figures.style import Missing, Theme, themed
from reports.figures.text import points, with_interval
from reports.table import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@themed
def draw_domains(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw one panel per domain and one for the overall average, a row per checkpoint."""
    found = averages(findings)
    if not found:
        return Missing("no checkpoint has a domain's average")
    columns = grid_shape(len(found))[1]
    width = panel_width(columns, NUMBER_WIDTH)
    entries = role_entries(findings, theme)
    entries[f"{percent(findings.transfer.level)} interval"] = whisker_sample(theme)
    figure, panels = open_panels(
        "domains",
        theme,
        _describe(findings, found),
        len(found),
        len(findings.standings) * ROW_HEIGHT + 0.25,
        0.35 + legend_height(entries, grid_width(columns)),
    )
    for ax, (name, rows) in zip(panels.axes, found.items(), strict=True):
        panel_title(ax, name, width)
        places = {label: Place.of(row, points(row.value)) for label, row in rows.items()}
        draw_checkpoints(ax, findings.standings, places, name, theme)
    label_checkpoints(panels, findings)
    panels.axes[0].set_xlim(*limits(spread([row for rows in found.values() for row in rows.values()])))
    few_ticks(panels.axes[0], width)
    for ax in panels.lowest:
        ax.set_xlabel("score (points)")
    add_legend(figure, entries)
    return figure


def averages(findings: StudyFindings) -> dict[str, dict[str, Estimate]]:
    """Return each domain's averages by label, and the overall ones where there are several domains."""
    found = {
        domain: {row.label: row.domains[domain] for row in findings.standings if domain in row.domains}
        for domain in domain_names(findings)
    }
    if len(found) > 1:
        found["overall"] = {row.label: row.overall for row in findings.standings if row.overall is not None}
    return {name: rows for name, rows in found.items() if finite([row.value for row in rows.values()])}


def _describe(findings: StudyFindings, found: dict[str, dict[str, Estimate]]) -> list[str]:
    names = titles(findings)
    return ["Domain averages of each checkpoint"] + [
        f"{names[label]}, {domain}: {with_interval(row)}"
        for domain, rows in found.items()
        for label, row in rows.items()
    ]
