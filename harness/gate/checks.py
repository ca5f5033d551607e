"""What a gate tests: for each task, domain and guard rail, the paired difference and its two one-sided p-values.

It gives no verdict; harness.gate.judge does, from all of them together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import msgspec
import numpy as np

from harness.gate.findings import CheckKind
from harness.pairing import PairedTask
from harness.schema import Estimate
from harness.spec import GatePolicy
from harness.stats.average import average_margin_p_value, effective_stderr
from harness.stats.estimate import Floats
from harness.stats.margin import compare_to_margin
from harness.stats.paired import estimate_difference
from harness.stats.quantile import t_quantile, z_quantile
from harness.verdicts import Ints, TaskVerdicts


@dataclass(frozen=True)
class Check:
    """One test before its verdict; fields that GateTest has too mean the same."""

    name: str
    kind: CheckKind
    tasks: tuple[str, ...]
    margin: float
    baseline: float
    candidate: float
    difference: Estimate
    num_worse: int
    num_better: int
    p_noninferior: float
    p_regression: float
    num_generations: int | None = None
    """Of a task with the same k on both sides; None otherwise."""
    noise_share: float = math.nan
    """Share of the difference's variance that comes from drawing generations; nan where one generation hides it."""
    num_differing: int | None = None
    """Units that differ, where they are too few to trust their spread."""

    @property
    def is_guard_rail(self) -> bool:
        """Whether it is about something other than scores."""
        return self.kind not in ("task", "domain")


@dataclass(frozen=True)
class _Sides:
    """Per-example means of a quantity in [0, 1], the same examples on both sides; less is worse."""

    base: Floats
    candidate: Floats
    clusters: Ints | None
    single_binary: bool

    def reversed(self) -> "_Sides":
        """Swap the sides, so that an increase becomes a loss."""
        return replace(self, base=self.candidate, candidate=self.base)


def interval_level(policy: GatePolicy) -> float:
    """Return the coverage at which a two-sided interval excludes a value exactly where a one-sided test rejects it."""
    return 1 - 2 * policy.level


def measure_checks(pairs: Sequence[PairedTask], policy: GatePolicy) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Return all checks of a gate, and a line for each guard rail that could not be tested.

    A domain with one task is the same test as its task, so it is tested only where the task is not, or at another
    margin.
    """
    tasks = [_check_scores(pair, pair.name, "task", policy) for pair in pairs]
    chosen = tasks if "tasks" in policy.gate_on else []
    if "domains" in policy.gate_on:
        chosen = [*chosen, *_check_domains(pairs, tasks, policy, {(task.tasks, task.margin) for task in chosen})]
    rails, notes = _check_guard_rails(pairs, policy)
    return (*chosen, *rails), notes


def _check_scores(pair: PairedTask, name: str, kind: CheckKind, policy: GatePolicy) -> Check:
    sides = _Sides(pair.base.means, pair.candidate.means, pair.clusters, pair.is_single_binary)
    k = pair.base.values.shape[1]
    check = _check(sides, name, kind, policy.margins.get(name, policy.margin) / 100, policy)
    return replace(
        check,
        tasks=(pair.name,),
        num_generations=k if pair.candidate.values.shape[1] == k else None,
        noise_share=_noise_share(pair),
    )


def _check(sides: _Sides, name: str, kind: CheckKind, margin: float, policy: GatePolicy) -> Check:
    tested = compare_to_margin(
        sides.base,
        sides.candidate,
        sides.clusters,
        margin,
        interval_level(policy),
        single_binary=sides.single_binary,
    )
    return Check(
        name=name,
        kind=kind,
        tasks=(name,),
        margin=margin,
        baseline=float(sides.base.mean()),
        candidate=float(sides.candidate.mean()),
        difference=tested.difference,
        num_worse=int(np.count_nonzero(sides.candidate < sides.base)),
        num_better=int(np.count_nonzero(sides.candidate > sides.base)),
        p_noninferior=tested.p_noninferior,
        p_regression=tested.p_regression,
        num_differing=tested.num_differing,
    )


def _noise_share(pair: PairedTask) -> float:
    """Share of the variance of per-example differences that is drawn anew with every generation.

    Within-example variances (n − 1) over k, summed over the two sides and averaged over examples, against the sample
    variance of the differences; at most 1. nan with one generation on a side, one example, or no variance.
    """
    sides = (pair.base.values, pair.candidate.values)
    if min(values.shape[1] for values in sides) < 2 or pair.num_examples < 2:
        return math.nan
    noise = sum(float(values.var(axis=1, ddof=1).mean()) / values.shape[1] for values in sides)
    total = float(pair.differences.var(ddof=1))
    return min(1.0, noise / total) if total > 0 else math.nan


def _check_domains(
    pairs: Sequence[PairedTask],
    tasks: Sequence[Check],
    policy: GatePolicy,
    done: set[tuple[tuple[str, ...], float]],
) -> list[Check]:
    found = []
    for suite in dict.fromkeys(pair.base.ref.suite for pair in pairs):
        rows = [row for row, pair in enumerate(pairs) if pair.base.ref.suite == suite]
        if len(rows) > 1:
            found.append(_check_average(suite, [tasks[row] for row in rows], policy))
        else:
            alone = _check_scores(pairs[rows[0]], suite, "domain", policy)
            found += [alone] if (alone.tasks, alone.margin) not in done else []
    return found


def _check_average(suite: str, members: Sequence[Check], policy: GatePolicy) -> Check:
    """Check the unweighted mean over a domain's tasks, by Welch's t with Satterthwaite's degrees of freedom."""
    margin = policy.margins.get(suite, policy.margin) / 100
    differences = [_with_full_error(task) for task in members]
    return Check(
        name=suite,
        kind="domain",
        tasks=tuple(task.name for task in members),
        margin=margin,
        baseline=fmean(task.baseline for task in members),
        candidate=fmean(task.candidate for task in members),
        difference=_average(differences, interval_level(policy)),
        num_worse=sum(task.num_worse for task in members),
        num_better=sum(task.num_better for task in members),
        p_noninferior=average_margin_p_value(differences, None, margin, "greater"),
        p_regression=average_margin_p_value(differences, None, margin, "less"),
    )


def _with_full_error(task: Check) -> Estimate:
    """Return a task's difference with the error that its interval implies where its own spread is not trusted.

    That is where few examples differ, and of single 0/1 verdicts the lower side: if only losses were seen, their
    spread is too small by far for the losses that were missed (13 % false passes of a domain instead of 5 %).
    """
    estimate = task.difference
    below, above = estimate.value - estimate.ci_low, estimate.ci_high - estimate.value
    z = z_quantile(estimate.level)
    if estimate.method == "tango":
        return msgspec.structs.replace(estimate, stderr=max(estimate.stderr, below / z))
    if task.num_differing is None:
        return estimate
    return msgspec.structs.replace(estimate, stderr=max(below, above) / z)


def _average(differences: Sequence[Estimate], level: float) -> Estimate:
    """Return the mean over tasks with the interval that `average_margin_p_value` inverts."""
    value = fmean(estimate.value for estimate in differences)
    stderr, degrees = effective_stderr(differences)
    half = t_quantile(degrees, level) * stderr
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=float(np.clip(value - half, -1, 1)),
        ci_high=float(np.clip(value + half, -1, 1)),
        level=level,
        method="t, Satterthwaite" if not math.isnan(half) else "undefined: a task with one example",
        num_examples=sum(estimate.num_examples for estimate in differences),
        num_clusters=sum(estimate.num_clusters for estimate in differences),
    )


def _check_guard_rails(pairs: Sequence[PairedTask], policy: GatePolicy) -> tuple[list[Check], tuple[str, ...]]:
    """Check each task's truncation, answers and length, as far as the runs know them.

    An increase is the loss of the reversed pair, so the tests are the same. Length is tested on the per-example
    difference candidate − ratio × baseline against 0; tokens are divided by the largest number seen, since the bound
    for agreeing units is one for quantities in [0, 1].
    """
    checks, notes = [], []
    for pair in pairs:
        both = (pair.base, pair.candidate)
        if all(bool(side.finish_known.all()) for side in both):
            shares = [side.truncated.mean(axis=1) for side in both]
            checks.append(_check_share(pair, "truncated", shares, policy.max_truncated_increase, policy))
        else:
            notes.append(f"{pair.name}: truncation is not tested, some generations do not say how they ended")
        shares = [1 - side.answered.mean(axis=1) for side in both]
        checks.append(_check_share(pair, "no_answer", shares, policy.max_no_answer_increase, policy))
        if not any(bool(np.isnan(side.num_tokens).any()) for side in both):
            checks.append(_check_length(pair, policy))
        else:
            notes.append(f"{pair.name}: length is not tested, some generations do not say how many tokens they have")
    return checks, tuple(notes)


def _check_share(
    pair: PairedTask, kind: CheckKind, shares: Sequence[Floats], allowance: float, policy: GatePolicy
) -> Check:
    is_single = all(side.values.shape[1] == 1 for side in (pair.base, pair.candidate))
    sides = _Sides(shares[0], shares[1], pair.clusters, single_binary=is_single)
    return _as_increase(_check(sides.reversed(), pair.name, kind, allowance / 100, policy))


def _as_increase(check: Check) -> Check:
    """Turn the check of a reversed pair into one of candidate minus baseline, where more is worse."""
    loss = check.difference  # 0 − x, since −x would print a difference of none as -0.0
    increase = msgspec.structs.replace(loss, value=0 - loss.value, ci_low=0 - loss.ci_high, ci_high=0 - loss.ci_low)
    return replace(check, baseline=check.candidate, candidate=check.baseline, difference=increase)


def _check_length(pair: PairedTask, policy: GatePolicy) -> Check:
    base, candidate = _mean_tokens(pair.base), _mean_tokens(pair.candidate)
    allowed = policy.max_length_ratio * base
    scale = max(1.0, float(allowed.max()), float(candidate.max()))
    excess = _Sides(candidate / scale, allowed / scale, pair.clusters, single_binary=False)
    tested = _check(excess, pair.name, "length", 0.0, policy)
    plain = _Sides(base / scale, candidate / scale, pair.clusters, single_binary=False)
    difference = estimate_difference(
        plain.base, plain.candidate, plain.clusters, interval_level(policy), single_binary=False
    )
    return replace(
        tested,
        margin=(policy.max_length_ratio - 1) * float(base.mean()),
        baseline=float(base.mean()),
        candidate=float(candidate.mean()),
        difference=_scaled(difference, scale),
    )


def _mean_tokens(side: TaskVerdicts) -> Floats:
    return np.asarray(side.num_tokens.mean(axis=1))


def _scaled(estimate: Estimate, scale: float) -> Estimate:
    return msgspec.structs.replace(
        estimate,
        value=scale * estimate.value,
        stderr=scale * estimate.stderr,
        ci_low=scale * estimate.ci_low,
        ci_high=scale * estimate.ci_high,
    )
