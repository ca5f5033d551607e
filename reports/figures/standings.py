"""Rows of checkpoints in one panel per domain: what the figures of scores and of lengths share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.schema import Estimate
from harness.study.findings import Standing, StudyFindings
from reports.figures.content import Look, titles
from reports.figures.panels import LABEL_WIDTH, Panels, beside, mark_trained, marks, sample, trained_sample, whiskers
from reports.figures.style import Theme
from reports.figures.text import shorten_all
from reports.table import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NUMBER_WIDTH = 0.32
"""Inches for the number beside a row."""
ROLE_MARKERS = {"base": "o", "candidate": "o", "control": "s", "reference": "D"}


@dataclass(frozen=True)
class Place:
    """Where a checkpoint stands in one panel, in the axis's unit."""

    value: float
    low: float
    high: float
    text: str

    @classmethod
    def of(cls, estimate: Estimate, text: str) -> "Place":
        """Return an estimate's place in points."""
        return cls(100 * estimate.value, 100 * estimate.ci_low, 100 * estimate.ci_high, text)


def label_checkpoints(panels: Panels, findings: StudyFindings) -> None:
    """Name the rows after the checkpoints, in the study's order from the top down."""
    names = titles(findings)
    short = shorten_all(names.values(), LABEL_WIDTH)
    panels.axes[0].set_yticks(range(len(names)), [short[name] for name in names.values()])
    panels.axes[0].set_ylim(len(names) - 0.5, -0.5)
    for ax in panels.left:
        ax.tick_params(axis="y", length=0)


def draw_checkpoints(
    ax: "Axes", standings: Sequence[Standing], places: Mapping[str, Place], domain: str, theme: Theme
) -> None:
    """Draw one marker per checkpoint, open for base and references; mark those trained on the panel's domain."""
    ax.grid(axis="x")
    for y, standing in enumerate(standings):
        if domain in standing.trained_on:
            mark_trained(ax, y - 0.5, y + 0.5, theme)
        place = places.get(standing.label)
        beside(ax, y, place.text if place else UNKNOWN, theme.ink)
    shown = [(y, row.role, places[row.label]) for y, row in enumerate(standings) if row.label in places]
    whiskers(ax, [(y, place.low, place.high) for y, _, place in shown], theme.ink)
    for role in ROLE_MARKERS:
        marks(ax, [(place.value, y) for y, of, place in shown if of == role], role_look(role, theme))
    base = next((places[row.label] for row in standings if row.role == "base" and row.label in places), None)
    if base:
        ax.axvline(base.value, color=theme.muted, lw=0.7, ls=(0, (4, 2)), zorder=1.5)


def role_look(role: str, theme: Theme) -> Look:
    """Return the marker of a role: base and references are open."""
    is_open = role in ("base", "reference")
    color = theme.ink if role == "base" else theme.muted if role == "reference" else theme.series[role == "control"]
    return Look(color, ROLE_MARKERS[role], "-", theme.background if is_open else color)


def role_entries(findings: StudyFindings, theme: Theme) -> dict[str, "Artist"]:
    """Return the legend of the roles that the study has, and of the mark of training."""
    entries: dict[str, Artist] = {}
    for role in dict.fromkeys(standing.role for standing in findings.standings):
        look = role_look(role, theme)
        entries[role] = sample(look.color, marker=look.marker, mfc=look.fill)
    if any(standing.trained_on for standing in findings.standings):
        entries["trained on this domain"] = trained_sample(theme)
    return entries
