"""What the data say to a claim: supported, refuted or undecided, with the numbers that decide.

A claim is supported where the whole interval lies on the claimed side, refuted where the whole interval lies on the
other. So a claim that just misses being true is called supported with a chance of at most (1 − level)/2.
"""

import math
from collections.abc import Sequence
from typing import Literal

from harness.findings import Comparison, Ratio
from harness.schema import Estimate
from harness.spec import did_you_mean
from harness.stats.domains import Overall
from harness.study.claims import (
    CostClaim,
    DifferenceClaim,
    GapClaim,
    NoDropClaim,
    ParsedClaim,
    ScoreClaim,
    Sign,
    TransferClaim,
    claim_column,
    claim_labels,
    is_satisfied,
    parse_claim,
)
from harness.study.cost import total_cost
from harness.study.findings import ClaimVerdict, Standing
from harness.study.gather import StudyLabels
from harness.study.lead import column_scores
from harness.study.spec import Claim

Verdict = Literal["supported", "refuted", "undecided"]


def judge_claims(study: StudyLabels, standings: Sequence[Standing]) -> tuple[ClaimVerdict, ...]:
    """Judge the claims of a study, in its order.

    Raises:
        HarnessError: if a claim is not understood, or compares labels that may not be compared.
    """
    return tuple(_judge(claim, study, standings) for claim in study.spec.claims)


def _judge(claim: Claim, study: StudyLabels, standings: Sequence[Standing]) -> ClaimVerdict:
    parsed = parse_claim(claim.claim, study.spec.labels)
    reason = _obstacle(parsed, study)
    verdict: Verdict
    verdict, evidence = ("undecided", reason) if reason else _measure(parsed, study, standings)
    return ClaimVerdict(claim=claim.claim, source=claim.source, verdict=verdict, evidence=evidence)


def _obstacle(claim: ParsedClaim, study: StudyLabels) -> str | None:
    """Say what was not measured, or cannot be; None if everything was."""
    if isinstance(claim, CostClaim):
        return None
    names = claim_labels(claim)
    for label in names:
        if label not in study.by_label:
            return f"{label} has no finished run"
    if isinstance(claim, NoDropClaim | GapClaim) and study.base.label in names:
        return f"{study.base.label} is the base, which this is measured from"
    column = claim_column(claim)
    if column is None:
        return None
    if column not in study.columns:
        return f"no checkpoint was measured on {column}{did_you_mean(column, study.columns)}"
    for label in (*names, *([study.base.label] if isinstance(claim, GapClaim) else [])):
        if lacking := _lacking(study, label, column):
            return f"{label} was not measured on {', '.join(lacking)}"
    return None


def _lacking(study: StudyLabels, label: str, column: str) -> list[str]:
    return [task for task in study.columns[column] if task not in study.by_label[label].tasks]


def _measure(claim: ParsedClaim, study: StudyLabels, standings: Sequence[Standing]) -> tuple[Verdict, str]:
    match claim:
        case DifferenceClaim():
            return _judge_difference(claim, study)
        case ScoreClaim():
            return _judge_score(claim, standings)
        case NoDropClaim():
            return _judge_no_drop(claim, study)
        case TransferClaim():
            return _judge_transfer(claim, study)
        case GapClaim():
            return _judge_gap(claim, study)
    return _judge_cost(claim, study)


def _judge_difference(claim: DifferenceClaim, study: StudyLabels) -> tuple[Verdict, str]:
    comparison = study.compare(claim.second, claim.first, study.comparable_tasks(claim.column))
    difference = study.read_column(comparison, claim.column).difference
    return _decide(difference, claim.sign, claim.number), f"{_signed(difference)} against {claim.sign} {claim.number:g}"


def _judge_score(claim: ScoreClaim, standings: Sequence[Standing]) -> tuple[Verdict, str]:
    standing = next(standing for standing in standings if standing.label == claim.label)
    score = column_scores(standing)[claim.column]
    return _decide(score, claim.sign, claim.number), f"{_points(score)} against {claim.sign} {claim.number:g}"


def _judge_no_drop(claim: NoDropClaim, study: StudyLabels) -> tuple[Verdict, str]:
    """Judge a claim about every column at once.

    It is true only if every column's difference is −NUMBER at least. Supporting it takes every interval, each at the
    study's level: whichever column is the one that drops more, its own interval must have missed, so the chance of a
    false support is no larger than one interval's (intersection-union test, Berger 1982, Technometrics 24:295).
    Refuting it takes any one interval, so these are Bonferroni's: each at level 1 − (1 − level)/m for m columns.
    """
    names = study.domains if claim.kind == "domain" else study.base_tasks
    lacking = {task for name in names for task in _lacking(study, claim.label, name)}
    measured = [name for name in names if not _lacking(study, claim.label, name)]
    if not measured:
        return "undecided", f"{claim.label} was not measured on {', '.join(sorted(lacking))}"
    strict = 1 - (1 - study.spec.level) / len(measured)
    by_bonferroni = _differences(study, claim.label, measured, strict)
    worst = min(by_bonferroni, key=lambda name: _or_infinity(by_bonferroni[name].ci_high))
    if 100 * by_bonferroni[worst].ci_high < -claim.number:
        return (
            "refuted",
            f"{worst} {_signed(by_bonferroni[worst])} at {100 * strict:.4g} % against a drop of {claim.number:g}",
        )
    found = _differences(study, claim.label, measured, study.spec.level)
    unknown = [name for name in measured if math.isnan(found[name].ci_low)]
    worst = unknown[0] if unknown else min(measured, key=lambda name: found[name].ci_low)
    evidence = f"{worst} {_signed(found[worst])}, the lowest of {len(measured)}, against a drop of {claim.number:g}"
    if lacking:
        return "undecided", f"{evidence}; not measured on {', '.join(sorted(lacking))}"
    return "supported" if 100 * found[worst].ci_low >= -claim.number else "undecided", evidence


def _differences(study: StudyLabels, label: str, columns: Sequence[str], level: float) -> dict[str, Estimate]:
    comparison = study.compare(study.base.label, label, study.base_tasks, level)
    return {column: study.read_column(comparison, column).difference for column in columns}


def _judge_transfer(claim: TransferClaim, study: StudyLabels) -> tuple[Verdict, str]:
    plain = {item.candidate: item for item in study.transfer.comparisons if item.base_kind == "plain"}
    if claim.label not in plain:
        return "undecided", f"{claim.label} is no candidate or control, so its transfer is not measured"
    comparison = plain[claim.label]
    ratio = comparison.transfer.ratio
    if ratio.reason is None and trained_difference(comparison, study.spec.overall) < 0:
        return "undecided", f"{claim.label} lost where it was trained, so this would be a share of a loss"
    return _judge_ratio(ratio, claim.sign, claim.number)


def trained_difference(comparison: Comparison, overall: Overall) -> float:
    """Return the mean difference on trained domains, the transfer ratio's denominator; nan without such domains."""
    trained = [domain for domain in comparison.domains if domain.is_trained]
    weights = [1 if overall == "domains" else len(domain.tasks) for domain in trained]
    total = sum(weight * domain.difference.value for weight, domain in zip(weights, trained, strict=True))
    return total / sum(weights) if trained else math.nan


def _judge_gap(claim: GapClaim, study: StudyLabels) -> tuple[Verdict, str]:
    tasks = study.columns[claim.column]
    comparison = study.compare(study.base.label, claim.label, tasks, references=(claim.reference,))
    # only the column's tasks were compared, so it is their overall average
    ratio = comparison.transfer.gap_closed[claim.reference]["overall"]
    if ratio.reason is None:
        gap = study.compare(study.base.label, claim.reference, tasks).overall.difference.value
        if gap < 0:
            return "undecided", f"{claim.reference} scores less than {study.base.label}, so there is no gap to close"
    return _judge_ratio(ratio, claim.sign, claim.number)


def _judge_ratio(ratio: Ratio, sign: Sign, number: float) -> tuple[Verdict, str]:
    if ratio.reason is not None:
        return "undecided", f"not identifiable: {ratio.reason}"
    found = ratio.estimate
    evidence = f"{found.value:.2f} ({found.ci_low:.2f} to {found.ci_high:.2f}) against {sign} {number:g}"
    return _decide(found, sign, number, scale=1), evidence


def _judge_cost(claim: CostClaim, study: StudyLabels) -> tuple[Verdict, str]:
    """Compare two known figures: there is nothing to be unsure of, and no run is needed."""
    figures = []
    for label in (claim.first, claim.second):
        if label in (study.base.label, study.spec.elicited_label):
            return "undecided", f"{label} is the base, whose training is not counted"
        figure = getattr(total_cost(study, label), claim.figure)
        if not figure:
            return "undecided", f"{claim.figure} of {label}: {'0' if figure == 0 else 'not known'}"
        figures.append(figure)
    ratio = figures[0] / figures[1]
    verdict: Verdict = "supported" if is_satisfied(ratio, claim.sign, claim.number) else "refuted"
    return verdict, f"{figures[0]:,.6g} / {figures[1]:,.6g} = {ratio:,.4g} against {claim.sign} {claim.number:g}"


def _decide(estimate: Estimate, sign: Sign, number: float, scale: float = 100) -> Verdict:
    ends = (scale * estimate.ci_low, scale * estimate.ci_high)
    if any(math.isnan(end) for end in ends):
        return "undecided"
    sides = {is_satisfied(end, sign, number) for end in ends}
    if len(sides) > 1:
        return "undecided"
    return "supported" if sides == {True} else "refuted"


def _or_infinity(number: float) -> float:
    return math.inf if math.isnan(number) else number


def _signed(estimate: Estimate) -> str:
    return _show(estimate, "+.1f")


def _points(estimate: Estimate) -> str:
    return _show(estimate, ".1f")


def _show(estimate: Estimate, form: str) -> str:
    value, low, high = (
        format(round(100 * x, 1) + 0.0, form) for x in (estimate.value, estimate.ci_low, estimate.ci_high)
    )
    return f"{value} (no interval: {estimate.method})" if math.isnan(estimate.ci_low) else f"{value} ({low} to {high})"
