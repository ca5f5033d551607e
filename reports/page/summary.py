"""The answer of a study in sentences: what each candidate moved, what the gain is made of, did it transfer, its price.

A pure function of the findings. It says no more than the tests allow: a difference that is not significant is not
called a gain, and what is not known is named.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.findings import AverageComparison, Comparison, Ratio
from harness.schema import Estimate
from harness.study.findings import CostRow, StudyFindings
from reports.table import count, is_significant, plain, plain_interval, points, signed, signed_interval


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
            Answer(base.label, f"The study names no candidate to hold against {_title(findings, base.label)}.", ()),
        )
    return tuple(found)


def _answer(findings: StudyFindings, label: str, is_control: bool) -> Answer:
    title = _title(findings, label)
    against = {each.base_kind: each for each in findings.transfer.comparisons if each.candidate == label}
    comparison = against.get("plain")
    if comparison is None:
        return Answer(label, f"{title} was not compared with the base: see what was not run.", ())
    name = f"The control {title}" if is_control else title
    headline = f"{name} {_movement(findings, comparison)}."
    if is_control:
        return Answer(label, headline, ())
    details = [*_domains(comparison), *_ratio(comparison)]
    if elicited := against.get("elicited"):
        details.append(f"Against the elicited base, the base in its best prompt style, it {_change(elicited.overall)}.")
    details += [*_gaps(findings, comparison), *_cost(findings, label)]
    return Answer(label, headline, tuple(details))


def _title(findings: StudyFindings, label: str) -> str:
    return findings.spec.checkpoint(label).title or label


def _movement(findings: StudyFindings, comparison: Comparison) -> str:
    """Return the headline's predicate: the overall change, and what it is made of where there is one."""
    overall = comparison.overall
    text = _change(overall, _scope(findings, comparison))
    parts = overall.decomposition
    numbers = (parts.elicitation.value, parts.within.value)
    if not _is_told_from_0(overall) or any(math.isnan(number) for number in numbers):
        return text
    elicitation, accuracy = (_minus(signed(number)) for number in numbers)
    return (
        f"{text}, of which {elicitation} points are elicitation (whether generations end and answer) and {accuracy} "
        "accuracy (whether those that do are right)"
    )


def _scope(findings: StudyFindings, comparison: Comparison) -> str:
    """Return what the overall average is an average of."""
    standings = {standing.label: standing for standing in findings.standings}
    base, candidate = standings.get(comparison.base), standings.get(comparison.candidate)
    if base and candidate:
        has = {task.task for task in candidate.tasks}
        if lacking := [task.task for task in base.tasks if task.task not in has]:
            return f"the average of the tasks it shares with the base (it lacks {_listed(lacking)})"
    if len(comparison.tasks) == 1:
        return comparison.tasks[0].task
    return "the overall average" if len(comparison.domains) > 1 else f"the average of {comparison.domains[0].name}"


def _is_told_from_0(average: AverageComparison) -> bool:
    return is_significant(average.difference.level, average.p_adjusted)


def _change(average: AverageComparison, what: str = "the same average") -> str:
    before, after, difference = points(average.base.value), points(average.candidate.value), average.difference
    if math.isnan(difference.value):
        return f"has no defined difference to the base in {what}"
    if _is_told_from_0(average):
        way = "moved" if difference.value > 0 else "lowered"
        return f"{way} {what} from {before} to {after} ({_in_points(difference)})"
    return (
        f"did not move {what} by anything that could be told from 0: {before} to {after} ({_in_points(difference)}"
        f"{_detectable(average)})"
    )


def _in_points(difference: Estimate) -> str:
    level = "" if math.isnan(difference.ci_low) else f"{100 * difference.level:g} % interval "
    return _minus(f"{signed(difference.value)} points, {level}{signed_interval(difference)}")


def _minus(numbers: str) -> str:
    """Return numbers with true minus signs."""
    return numbers.replace("-", "−")


def _detectable(average: AverageComparison) -> str:
    return "" if math.isnan(average.detectable) else f"; smallest detectable {points(average.detectable)}"


def _domains(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence on the domains it was not trained on, and one on those it was."""
    unknown = [each for each in comparison.domains if each.is_trained is None]
    if unknown:
        by_domain = "; ".join(f"{each.name} {_moved_by(each)}" for each in unknown) if len(unknown) > 1 else ""
        yield "What it was trained on is not known or was not measured, so transfer cannot be told from training" + (
            f"; by domain: {by_domain}." if by_domain else "."
        )
        return
    for is_trained, which in ((False, "not trained on"), (True, "trained on")):
        of_kind = [each for each in comparison.domains if each.is_trained is is_trained]
        if of_kind:
            names, moves = _listed([each.name for each in of_kind]), _listed([_moved_by(each) for each in of_kind])
            yield f"{names[0].upper()}{names[1:]}, which it was {which}, moved by {moves}."
        elif not is_trained:
            yield "It was trained on every domain that was measured, so nothing here shows transfer."


def _moved_by(average: AverageComparison) -> str:
    difference = average.difference
    text = _minus(f"{signed(difference.value)} ({signed_interval(difference) or 'undefined'})")
    if _is_told_from_0(average) or math.isnan(difference.value):
        return text
    return f"{text} [not told from 0{_detectable(average)}]"


def _listed(items: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _ratio(comparison: Comparison) -> Iterator[str]:
    if {each.is_trained for each in comparison.domains} == {True, False}:
        yield (
            f"Transfer ratio {_as_number(comparison.transfer.ratio)}: the mean difference where it was not trained "
            "over that where it was."
        )


def _as_number(ratio: Ratio) -> str:
    if math.isnan(ratio.estimate.value):
        return f"not identifiable ({ratio.reason})" if ratio.reason else "not identifiable"
    return _minus(f"{plain(ratio.estimate.value)} ({plain_interval(ratio.estimate)})")


def _gaps(findings: StudyFindings, comparison: Comparison) -> Iterator[str]:
    for reference, ratios in comparison.transfer.gap_closed.items():
        estimate = ratios["overall"].estimate
        if not math.isnan(estimate.value):
            interval = f" ({points(estimate.ci_low, 0)} to {points(estimate.ci_high, 0)})"
            share = points(estimate.value, 0) + ("" if math.isnan(estimate.ci_low) else interval)
            yield f"It closed {_minus(share)} % of the gap between the base and {_title(findings, reference)}."


def _cost(findings: StudyFindings, label: str) -> Iterator[str]:
    rows = {row.label: row for row in findings.costs}
    row = rows.get(label)
    if row is None or (row.prompts is None and row.gpu_hours is None):
        yield "What it cost is not known."
        return
    spent = []
    if row.prompts is not None:
        spent.append(f"{count(row.prompts)} prompts")
    if row.gpu_hours is not None:
        spent.append(f"{plain(row.gpu_hours, 1)} GPU-hours")
    stages = f", all of {_listed([_title(findings, each) for each in row.stages])}" if len(row.stages) > 1 else ""
    typed = f", as {row.source}" if row.source.startswith("typed") else ""
    ratios = [
        ratio
        for checkpoint in findings.spec.checkpoints
        if checkpoint.role == "candidate" and checkpoint.label != label and (other := rows.get(checkpoint.label))
        if (ratio := _cost_ratio(row, other, _title(findings, other.label)))
    ]
    against = f": {'; '.join(ratios)}" if ratios else ""
    yield f"It cost {_listed(spent)}{stages}{typed}{against}."


def _cost_ratio(row: CostRow, other: CostRow, title: str) -> str:
    """Return such as `1/46 of the prompts and 1/68 of the GPU-hours of RLVR`; empty where nothing can be compared."""
    parts = [
        _fraction(mine / theirs, unit)
        for mine, theirs, unit in (
            (row.prompts, other.prompts, "prompts"),
            (row.gpu_hours, other.gpu_hours, "GPU-hours"),
        )
        if mine and theirs
    ]
    return f"{_listed(parts)} of {title}" if parts else ""


def _fraction(ratio: float, unit: str) -> str:
    return f"{_times(ratio)} times the {unit}" if ratio >= 1 else f"1/{_times(1 / ratio)} of the {unit}"


def _times(ratio: float) -> str:
    return plain(ratio, 0 if ratio >= 9.95 else 1)
