"""pass@k of base and trained checkpoints: does training find new solutions, or the base's own ones sooner?"""

from typing import TYPE_CHECKING

from harness.study.findings import StudyFindings
from reports.figures.content import title_of
from reports.figures.lines import Curve, LineFigure, draw_curves
from reports.figures.style import Missing, Theme, themed
from reports.figures.text import with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TICKS = 5


@themed
def draw_pass_at_k(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw pass@k over k, one panel per task and one curve per checkpoint."""
    panels: dict[str, list[Curve]] = {}
    for found in findings.curves:
        if len(found.ks) > 1:
            curve = Curve(found.label, tuple(map(float, found.ks)), found.pass_at_k)
            panels.setdefault(found.task, []).append(curve)
    if not panels:
        return Missing("no checkpoint has several generations per example")
    description = ["pass@k by task"]
    for task, curves in panels.items():
        for curve in curves:
            ends = f"{with_interval(curve.ys[0])} at k = 1, {with_interval(curve.ys[-1])} at k = {curve.xs[-1]:g}"
            description.append(f"{title_of(findings, curve.label)}, {task}: {ends}")
    figure = draw_curves(findings, theme, LineFigure("pass_at_k", description, "k", "pass@k (points)"), panels)
    ks = sorted({int(x) for curves in panels.values() for curve in curves for x in curve.xs})
    labelled = ks[:: -(-len(ks) // MOST_TICKS)]
    ax = figure.axes[0]
    ax.set_xscale("log", base=2)
    ax.set_xticks(labelled, [str(k) for k in labelled])
    ax.minorticks_off()
    return figure
