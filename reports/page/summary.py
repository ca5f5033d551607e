"""The answer of a study in sentences: what each candidate moved, what the gain is made of, did it transfer, its price.

A pure function of the findings. It says no more than the tests allow: a difference that is not significant is not
called a gain, and what is not known is named.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.findings import AverageComparison, Comparison, Ratio
from harness.schema import Estimate
from harness.study.findings import ControlContrast, StudyFindings
from harness.study.judge import trained_difference
from reports.page.judged import tell_kin, tell_lengths
from reports.page.price import listed, tell_cost, title_of
from reports.table import (
    is_significant,
    plain,
    plain_interval,
    points,
    probability,
    signed,
    signed_interval,
    true_minus,
)


@dataclass(frozen=True)
class Answer:
    """What the study says of one checkpoint."""

    label: str
    headline: str
    """One sentence."""
    details: tuple[str, ...]
    """Further sentences."""


def answer_study(findings: StudyFindings) -> tuple[Answer, ...]:
    """Return the answer on each candidate and, in one sentence, on each control, in the study's order."""
    found = [
        _answer(findings, checkpoint.label, checkpoint.role == "control")
        for role in ("candidate", "control")
        for checkpoint in findings.spec.checkpoints
        if checkpoint.role == role
    ]
    if not found:
        base = findings.spec.base
        return (
            Answer(base.label, f"The study names no candidate to hold against {title_of(findings, base.label)}.", ()),
        )
    return tuple(found)


def _answer(findings: StudyFindings, label: str, is_control: bool) -> Answer:
    title = title_of(findings, label)
    against = {each.base_kind: each for each in findings.transfer.comparisons if each.candidate == label}
    comparison = against.get("plain")
    if comparison is None:
        return Answer(label, f"{title} was not compared with the base: see what was not run.", ())
    if is_control:
        return Answer(label, f"The control {title} {_movement(findings, comparison)}.", ())
    gained = _is_told_from_0(comparison.overall) and comparison.overall.difference.value > 0
    told = list(_other_arms(findings, comparison, against.get("elicited")))
    doubts = [text for text, is_ahead in told if gained and not is_ahead]
    headline = f"{'; '.join([f'{title} {_movement(findings, comparison)}', *doubts])}."
    details = [f"{text[0].upper()}{text[1:]}." for text, is_ahead in told if is_ahead or not gained]
    details += [*_contradicted_training(findings, comparison), *_domains(findings, comparison)]
    details += [*tell_lengths(comparison), *tell_kin(findings, label)]
    details += [*_ratio(findings, comparison), *_gaps(findings, comparison), *_repeats(findings, label)]
    return Answer(label, headline, (*details, *tell_cost(findings, label)))


def _other_arms(
    findings: StudyFindings, comparison: Comparison, elicited: Comparison | None
) -> Iterator[tuple[str, bool]]:
    """Yield in half a sentence what sets a candidate apart from each control and from the elicited base.

    Beside each, whether it is ahead: a gain over the plain base that is none over these belongs in the headline.
    """
    for pair in findings.against_controls:
        if pair.candidate == comparison.candidate:
            is_ahead = pair.difference.value > 0 and is_significant(pair.difference.level, pair.p_adjusted)
            yield _against_control(findings, pair), is_ahead
    if elicited is not None:
        names = [task.task for task in elicited.tasks]
        same = set(names) == {task.task for task in comparison.tasks}
        what = "the same average" if same else f"the average of {listed(names)}" if len(names) > 1 else names[0]
        change = _change(elicited.overall, what)
        is_ahead = elicited.overall.difference.value > 0 and _is_told_from_0(elicited.overall)
        yield f"against the elicited base, the base in its best prompt style, it {change}", is_ahead


def _movement(findings: StudyFindings, comparison: Comparison) -> str:
    """Return the headline's predicate: the overall change, and what it is made of where there is one."""
    overall = comparison.overall
    text = _change(overall, _scope(findings, comparison))
    parts = overall.decomposition
    if not _is_told_from_0(overall) or math.isnan(parts.elicitation.value) or math.isnan(parts.within.value):
        return text
    cells = [cell for task in comparison.tasks for cell in task.decomposition.cells]
    if all(cell.finished is None and cell.answered for cell in cells if cell.base_share or cell.candidate_share):
        return f"{text}; what part is elicitation is not known, since no run says how its generations ended"
    ends = "answer" if any(cell.finished is None for cell in cells) else "end and answer"
    unknown = [task.task for task in comparison.tasks if any(c.finished is None for c in task.decomposition.cells)]
    where = f"; whether they end is not known on {listed(unknown)}" if unknown else ""
    return (
        f"{text}, of which {_part(parts.elicitation)} are elicitation (whether generations {ends}{where}) and "
        f"{_part(parts.within)} accuracy (whether those that do are right)"
    )


def _part(part: Estimate) -> str:
    return true_minus(f"{signed(part.value)} points ({signed_interval(part)})")


def _against_control(findings: StudyFindings, pair: ControlContrast) -> str:
    """Say whether a candidate is ahead of a control, in half a sentence."""
    found = _in_points(pair.difference)
    control = f"the control {title_of(findings, pair.control)}"
    if math.isnan(pair.difference.value):
        return f"its difference to {control} is undefined"
    if not is_significant(pair.difference.level, pair.p_adjusted):
        return f"it cannot be told from {control}: {found} between them"
    return f"it is {'ahead of' if pair.difference.value > 0 else 'behind'} {control} by {found}"


def _scope(findings: StudyFindings, comparison: Comparison) -> str:
    """Return what the overall average is an average of."""
    if lacking := _lacking(findings, comparison):
        return f"the average of the tasks it shares with the base (it lacks {listed(lacking)})"
    if len(comparison.tasks) == 1:
        return comparison.tasks[0].task
    return "the overall average" if len(comparison.domains) > 1 else f"the average of {comparison.domains[0].name}"


def _lacking(findings: StudyFindings, comparison: Comparison) -> list[str]:
    """Return the base's tasks that the candidate lacks."""
    tasks = {standing.label: [task.task for task in standing.tasks] for standing in findings.standings}
    if comparison.candidate not in tasks:
        return []
    return [task for task in tasks.get(comparison.base, []) if task not in tasks[comparison.candidate]]


def _is_told_from_0(average: AverageComparison) -> bool:
    return is_significant(average.difference.level, average.p_adjusted)


def _change(average: AverageComparison, what: str = "the same average") -> str:
    before, after, difference = points(average.base.value), points(average.candidate.value), average.difference
    if math.isnan(difference.value):
        return f"has no defined difference to the base in {what}"
    if _is_told_from_0(average):
        way = "moved" if difference.value > 0 else "lowered"
        return f"{way} {what} from {before} to {after} ({_in_points(difference)}{_adjusted(average)})"
    return (
        f"did not move {what} by anything that could be told from 0: {before} to {after} ({_in_points(difference)}"
        f"{_adjusted(average)}{_detectable(average)})"
    )


def _adjusted(average: AverageComparison) -> str:
    """Return the p-value where it and the interval, which is not adjusted, disagree about 0."""
    difference = average.difference
    excludes = difference.ci_low > 0 or difference.ci_high < 0
    if math.isnan(difference.ci_low) or math.isnan(average.p_adjusted) or excludes == _is_told_from_0(average):
        return ""
    return f"; Holm-adjusted p {probability(average.p_adjusted)}"


def _in_points(difference: Estimate) -> str:
    level = "" if math.isnan(difference.ci_low) else f"{100 * difference.level:g} % interval "
    return true_minus(f"{signed(difference.value)} points, {level}{signed_interval(difference)}")


def _detectable(average: AverageComparison) -> str:
    return "" if math.isnan(average.detectable) else f"; smallest detectable {points(average.detectable)}"


def _domains(findings: StudyFindings, comparison: Comparison) -> Iterator[str]:
    """Yield a sentence on the domains it was not trained on, and one on those it was."""
    unknown = [each for each in comparison.domains if each.is_trained is None]
    if unknown:
        by_domain = "; ".join(f"{each.name} {_moved_by(each)}" for each in unknown) if len(unknown) > 1 else ""
        what = "What it was trained on is not known, so transfer cannot be told from training"
        yield what + (f"; by domain: {by_domain}." if by_domain else ".")
        return
    if not any(each.is_trained for each in comparison.domains):
        yield f"It was trained on {listed(_trained_on(findings, comparison))}, which was not measured."
    for is_trained, which in ((False, "not trained on"), (True, "trained on")):
        of_kind = [each for each in comparison.domains if each.is_trained is is_trained]
        if of_kind:
            names, moves = listed([each.name for each in of_kind]), listed([_moved_by(each) for each in of_kind])
            yield f"{names[0].upper()}{names[1:]}, which it was {which}, moved by {moves}."
        elif not is_trained:
            yield "It was trained on every domain that was measured, so nothing here shows transfer."


def _moved_by(average: AverageComparison) -> str:
    difference = average.difference
    text = true_minus(f"{signed(difference.value)} ({signed_interval(difference) or 'undefined'})")
    if _is_told_from_0(average) or math.isnan(difference.value):
        return text
    return f"{text} [not told from 0{_adjusted(average)}{_detectable(average)}]"


def _contradicted_training(findings: StudyFindings, comparison: Comparison) -> Iterator[str]:
    """Say it where the study file and training.json disagree on what it was trained on."""
    typed = findings.spec.checkpoint(comparison.candidate).trained_on
    recorded = comparison.training.trained_on if comparison.training else ()
    if typed and recorded and _domain_names(typed) != _domain_names(recorded):
        yield (
            f"It was trained on {listed(recorded)} by its training.json and on {listed(typed)} by the study file, "
            "which counts."
        )


def _trained_on(findings: StudyFindings, comparison: Comparison) -> tuple[str, ...]:
    """Return the domains it was trained on, measured or not; empty if not known."""
    recorded = comparison.training.trained_on if comparison.training else ()
    return findings.spec.checkpoint(comparison.candidate).trained_on or recorded


def _domain_names(given: Sequence[str]) -> set[str]:
    return {name.removeprefix("lab-") for name in given}


def _ratio(findings: StudyFindings, comparison: Comparison) -> Iterator[str]:
    ratio = comparison.transfer.ratio
    if {each.is_trained for each in comparison.domains} == {True, False}:
        is_loss = ratio.reason is None and trained_difference(comparison, findings.transfer.overall) < 0
        yield (
            f"Transfer ratio {_as_number(ratio)}: the mean difference where it was not trained over that where it was"
            f"{', which is a loss' if is_loss else ''}."
        )


def _as_number(ratio: Ratio) -> str:
    if math.isnan(ratio.estimate.value):
        return f"not identifiable ({ratio.reason})" if ratio.reason else "not identifiable"
    return true_minus(f"{plain(ratio.estimate.value)} ({plain_interval(ratio.estimate)})")


def _gaps(findings: StudyFindings, comparison: Comparison) -> Iterator[str]:
    for reference, ratios in comparison.transfer.gap_closed.items():
        estimate = ratios["overall"].estimate
        if comparison.overall.difference.value * estimate.value < 0:  # so the reference's difference is negative
            yield f"{title_of(findings, reference)} scores less than the base, so there is no gap to close."
        elif not math.isnan(estimate.value):
            interval = f" ({points(estimate.ci_low, 0)} to {points(estimate.ci_high, 0)})"
            share = points(estimate.value, 0) + ("" if math.isnan(estimate.ci_low) else interval)
            where = " on the tasks it shares with the base" if _lacking(findings, comparison) else ""
            title = title_of(findings, reference)
            yield f"It closed {true_minus(share)} % of the gap between the base and {title}{where}."


def _repeats(findings: StudyFindings, label: str) -> Iterator[str]:
    """Say what another training seed would give, where there are several."""
    for found in findings.transfer.repeats:
        if found.label == label and found.num_checkpoints > 1 and not math.isnan(found.difference.value):
            yield (
                f"All this is about its {found.num_checkpoints} training runs; over such runs, the interquartile mean "
                f"differs from the base's by {_in_points(found.difference)}."
            )
