"""How many examples and generations a comparison needs to see a difference, from the variance of pilot runs.

Pure: it reads no run and knows no task; harness.cli.plan brings both.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.findings import AveragePlan, DesignPoint, SizingReport, TaskPlan
from harness.pairing import PairedTask
from harness.stats.domains import average_weights
from harness.stats.power import (
    VariancePair,
    difference_sd,
    minimum_detectable_difference,
    required_examples,
    required_generations,
    split_variance,
    split_variance_one,
)
from harness.verdicts import TaskVerdicts

KS = (1, 4, 8, 16, 64)
"""Generations per example that a plan shows."""
MOST_GENERATIONS = 1024
"""More than anybody would draw; what cannot be seen with these cannot be seen on the task."""
NO_SPLIT = (
    "one generation per example does not tell how much of the variance more generations take away; make a pilot with "
    "--preset avg@8"
)
"""Why a plan ends at k = 1."""


@dataclass(frozen=True)
class Target:
    """What a comparison shall see."""

    difference: float
    """As a fraction: 0.03 is three points."""
    level: float
    power: float


@dataclass(frozen=True)
class TaskVariance:
    """What is known of a task before it is compared."""

    task: str
    suite: str
    num_examples: int
    """That the task has, not the pilot."""
    parts: VariancePair
    basis: str
    """Where the parts come from, for humans."""

    @property
    def is_split(self) -> bool:
        """Whether both sides' variance of sampling is known apart from that between examples."""
        return not math.isnan(self.parts.within_base) and not math.isnan(self.parts.within_candidate)

    @property
    def reason(self) -> str | None:
        """Why nothing can be planned; None where it can."""
        if self.num_examples < 2:
            return "the task has fewer than two examples"
        if math.isnan(self.parts.between):
            return "one example in the pilot shows no variance"
        if difference_sd(self.parts, 1) < 1e-9:
            return "no variance was seen in it (all right, all wrong, or nowhere a difference)"
        return None

    def variance_of_mean(self, k: int) -> float:
        """Squared standard error of the mean difference over all examples the task has."""
        return difference_sd(self.parts, k) ** 2 / self.num_examples


def variance_of_pair(paired: PairedTask, suite: str, num_examples: int) -> TaskVariance:
    """Take the variance of a paired difference from two pilot runs."""
    base, candidate = paired.base.values, paired.candidate.values
    return TaskVariance(
        task=paired.name,
        suite=suite,
        num_examples=num_examples,
        parts=split_variance(base, candidate),
        basis=f"two pilots, {len(base):,} examples, k = {base.shape[1]} and {candidate.shape[1]}",
    )


def variance_of_one(verdicts: TaskVerdicts, suite: str, num_examples: int, correlation: float) -> TaskVariance:
    """Guess the variance of a paired difference from one pilot run; examples that ended in error are left out."""
    values = verdicts.values[~np.isnan(verdicts.means)]
    return TaskVariance(
        task=verdicts.ref.name,
        suite=suite,
        num_examples=num_examples,
        parts=split_variance_one(values, correlation),
        basis=f"one pilot, {len(values):,} examples, k = {values.shape[1]}",
    )


def worst_variance(task: str, suite: str, num_examples: int, correlation: float) -> TaskVariance:
    """Return the largest variance that scores in [0, 1] can have, ¼ on each side: half right, half wrong."""
    nan = math.nan
    parts = VariancePair(between=2 * 0.25 * (1 - correlation), within_base=nan, within_candidate=nan)
    return TaskVariance(task=task, suite=suite, num_examples=num_examples, parts=parts, basis="worst case, no pilot")


def plan_sizes(tasks: Sequence[TaskVariance], target: Target, notes: Sequence[str]) -> SizingReport:
    """Say what a comparison on these tasks can see, by task, domain and overall, and what it takes to see `target`.

    Two-sided paired t tests, without adjustment for several tasks. Of averages, whose tasks are independent:
    SE² = Σ w_t² SE_t² with degrees of freedom after Satterthwaite (1946, Biometrics Bulletin 2:110).
    """
    weights = average_weights({item.task: item.suite for item in tasks})
    by_name = {item.task: item for item in tasks}
    return SizingReport(
        difference=target.difference,
        level=target.level,
        power=target.power,
        tasks=tuple(_plan_task(item, target) for item in tasks),
        averages=tuple(
            _plan_average(name, [(by_name[task], weight) for task, weight in members.items()], target)
            for name, members in weights.items()
        ),
        notes=tuple(notes),
    )


def _plan_task(item: TaskVariance, target: Target) -> TaskPlan:
    most = MOST_GENERATIONS if item.is_split else 1
    ks = () if item.reason else KS if item.is_split else (1,)
    enough_at = None
    if ks:
        enough_at = required_generations(
            item.parts, item.num_examples, target.difference, target.level, target.power, most
        )
    return TaskPlan(
        task=item.task,
        suite=item.suite,
        num_examples=item.num_examples,
        basis=item.basis,
        points=tuple(_task_point(item, k, target) for k in ks),
        enough_at=enough_at,
        best=_detectable([(item, 1.0)], most, target) if ks else math.nan,
        reason=item.reason or (None if item.is_split else NO_SPLIT),
    )


def _task_point(item: TaskVariance, k: int, target: Target) -> DesignPoint:
    sd = difference_sd(item.parts, k)
    return DesignPoint(
        num_generations=k,
        difference_sd=sd,
        detectable=_detectable([(item, 1.0)], k, target),
        required_examples=required_examples(sd, target.difference, target.level, target.power),
    )


def _plan_average(name: str, members: Sequence[tuple[TaskVariance, float]], target: Target) -> AveragePlan:
    tasks = tuple(item.task for item, _ in members)
    blocked = [item.task for item, _ in members if item.reason]
    if blocked:
        reason = f"nothing can be planned for {', '.join(blocked)}"
        return AveragePlan(name=name, tasks=tasks, points=(), enough_at=None, best=math.nan, reason=reason)
    is_split = all(item.is_split for item, _ in members)
    most = MOST_GENERATIONS if is_split else 1
    counts = range(1, most + 1)
    place = bisect.bisect_left(counts, True, key=lambda k: _detectable(members, k, target) <= target.difference)
    return AveragePlan(
        name=name,
        tasks=tasks,
        points=tuple(_average_point(members, k, target) for k in (KS if is_split else (1,))),
        enough_at=counts[place] if place < most else None,
        best=_detectable(members, most, target),
        reason=None if is_split else NO_SPLIT,
    )


def _average_point(members: Sequence[tuple[TaskVariance, float]], k: int, target: Target) -> DesignPoint:
    return DesignPoint(
        num_generations=k,
        difference_sd=math.sqrt(sum(weight**2 * item.variance_of_mean(k) for item, weight in members)),
        detectable=_detectable(members, k, target),
        required_examples=math.nan,
    )


def _detectable(members: Sequence[tuple[TaskVariance, float]], k: int, target: Target) -> float:
    """Smallest difference of a weighted mean of tasks that is seen with all their examples at k generations."""
    parts = [weight**2 * item.variance_of_mean(k) for item, weight in members]
    spread = sum(part**2 / (item.num_examples - 1) for part, (item, _) in zip(parts, members, strict=True))
    degrees = math.floor(sum(parts) ** 2 / spread + 1e-9)
    return minimum_detectable_difference(math.sqrt(sum(parts)), degrees + 1, target.level, target.power)
