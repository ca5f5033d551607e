"""What each figure shows, in a sentence or two: the text under it on the page and in LaTeX."""

from harness.study.findings import StudyFindings
from reports.figures.content import comparisons, elicited, titles
from reports.figures.pareto import cost_points
from reports.table import percent

_TRAINED = "A bar at the left edge and a tint mark domains that the training prompts came from."
_TEXTS = {
    "deltas": (
        "Scores of the base (open circle) and of each candidate (filled), by task, domain and overall, in points. "
        "Whiskers are the {level} interval of the paired difference, drawn from the base's score: one that holds the "
        "open circle holds 0. Numbers are the differences; † marks p < {alpha} after Holm's adjustment. {trained}"
    ),
    "domains": (
        "Domain averages of every checkpoint with {level} intervals, in points: unweighted means over the domain's "
        "tasks; the overall average weighs {overall} equally. The dashed line is the base. {trained}"
    ),
    "pareto": (
        "Overall score against GPU-hours of all training stages, on a logarithmic axis, with {level} intervals. "
        "The dotted step line is the Pareto front of the checkpoints whose cost is known; horizontal lines are the "
        "base and references without a cost.{uncosted}"
    ),
    "matrix": (
        "Difference to the base by what was trained (rows) and where it was measured (columns), in points; overall "
        "weighs {overall} equally. Blue is a gain; orange and hatched is a loss. † marks p < {alpha} after Holm's "
        "adjustment; frames mark domains that the training prompts came from."
    ),
    "decomposition": (
        "Each difference to the base as the sum of two parts, in points: elicitation, which comes from generations "
        "that now end and answer readably, and accuracy among generations that end alike (Kitagawa's decomposition). "
        "Parts below 0 are stacked to the left; the diamond is their sum with its {level} interval. {trained}"
    ),
    "trajectory": (
        "Score over training steps by domain: unweighted means over the tasks that all steps have, in points. Bands "
        "are {level} intervals; those of several tasks are joined from theirs by square-and-add (standard error "
        "√Σse²/T over T tasks)."
    ),
    "pass_at_k": (
        "Chance that at least one of k generations solves an example (unbiased pass@k), by task, in points, over k on "
        "a logarithmic axis. Bands are {level} intervals."
    ),
    "forest": (
        "Differences to the base by task (squares), domain and overall (diamonds), in points, with {level} intervals, "
        "paired by example.{elicited} {trained}"
    ),
    "lengths": (
        "Mean completion tokens, and share of generations that hit the token limit, by domain: unweighted means over "
        "the domain's tasks. The dashed line is the base; these figures carry no interval. {trained}"
    ),
}


def caption(name: str, findings: StudyFindings) -> str:
    """Return what a figure shows, at which level, and what its marks mean.

    Args:
        name: One of reports.figures.catalogue.FIGURES.
        findings: What the figure is drawn from.
    """
    level = findings.transfer.level
    is_known = any(comparison.transfer.trained_on for comparison in comparisons(findings))
    text = _TEXTS[name].format(
        level=percent(level),
        alpha=f"{1 - level:.6g}",
        overall=findings.transfer.overall,
        trained=_TRAINED if is_known else "",
        elicited=" Open squares and diamonds below are differences to the elicited base." if elicited(findings) else "",
        uncosted=_uncosted(findings),
    )
    return text.strip()


def _uncosted(findings: StudyFindings) -> str:
    """Return which arms of the study have no point, because what they cost or score overall is not known."""
    drawn = {point.label for point in cost_points(findings)}
    arms = [row.label for row in findings.standings if row.role in ("candidate", "control")]
    names = [titles(findings)[label] for label in arms if label not in drawn]
    return f" Without a point, since its cost or overall score is not known: {', '.join(names)}." if names else ""
