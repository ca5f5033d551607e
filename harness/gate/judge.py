"""The regression gate: judges a candidate's run against a baseline's under a policy. Measures and prints nothing.

The rules, and why they are these, are in docs/gate.md; the tests themselves are in harness.gate.checks.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

from harness import __version__
from harness.errors import SpecError, StoreError, UsageError
from harness.gate.checks import Check, interval_level, measure_checks
from harness.gate.examples import find_regressed
from harness.gate.findings import GateReport, GateSide, GateTest, GateVerdict, TestVerdict
from harness.pairing import LabelVerdicts, check_comparable, describe_left_out, load_label, pair_tasks
from harness.spec import GatePolicy, did_you_mean
from harness.stats.margin import MIN_DIFFERING
from harness.stats.multiple import holm

NEAR_MARGIN = 0.1
"""A difference within this many standard errors of −margin: no number of examples is promised to decide."""
MAX_GENERATIONS = 1024
"""More generations per example than this are not proposed."""


def gate_paths(baseline: Path, candidate: Path, policy: GatePolicy, allow_drift: Collection[str] = ()) -> GateReport:
    """Judge the run of one path against the run of another; paths as in `harness.verdicts.find_runs`.

    Raises:
        HarnessError: if a run is missing, unfinished or has too many errors, or the two cannot be paired.
    """
    return judge_runs(load_label(baseline, True), load_label(candidate, True), policy, allow_drift)


def judge_runs(
    baseline: LabelVerdicts, candidate: LabelVerdicts, policy: GatePolicy, allow_drift: Collection[str] = ()
) -> GateReport:
    """Judge a candidate against a baseline. Reads the run directories only for the texts of regressed examples.

    Args:
        baseline: what must not be lost.
        candidate: what is judged.
        policy: as from `harness.reading.parse_policy`, so in range.
        allow_drift: fields that may differ between the runs (harness.identity.MUST_AGREE_WITH_BASE).

    Raises:
        HarnessError: if the policy names what neither run has or ignores everything, a run has more errors than it
            allows, the candidate lacks a task of the baseline, or the two cannot be paired.
    """
    _check_names(policy, (baseline, candidate))
    for side in (baseline, candidate):
        if side.num_checkpoints > 1:
            raise UsageError(
                f"{side.label} is {side.num_checkpoints} checkpoints, and a gate judges one: name its run directory"
            )
    baseline, candidate = _without_ignored(baseline, policy), _without_ignored(candidate, policy)
    notes = [*check_comparable(baseline, candidate, allow_drift), *_task_notes(baseline, candidate)]
    for side in (baseline, candidate):
        notes += _error_notes(side, policy)
    pairs = pair_tasks(baseline, candidate)
    notes += [line for pair in pairs for line in describe_left_out(pair)]
    checks, untested = measure_checks(pairs, policy)
    tests = judge_checks(checks, policy)
    failed = {name for test in tests if _is_open(test) for name in test.tasks}
    return GateReport(
        verdict=overall_verdict(tests),
        policy=policy,
        baseline=_describe_side(baseline),
        candidate=_describe_side(candidate),
        tests=tests,
        regressed=find_regressed(
            [pair for pair in pairs if pair.name in failed], baseline.runs, candidate.runs, policy.max_examples_listed
        ),
        notes=(*notes, *untested),
        level=interval_level(policy),
        harness_version=__version__,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def judge_checks(checks: Sequence[Check], policy: GatePolicy) -> tuple[GateTest, ...]:
    """Turn checks into tests with verdicts.

    - Regression: Holm's adjusted p over all checks is below α. So if nothing is worse than its margin, the chance of
      any alarm is at most α (family-wise, under any dependence between the checks; Holm 1979).
    - Pass of a task or domain: its unadjusted p of non-inferiority is below α. The gate passes only if all of them do,
      so this is an intersection-union test and needs no correction: whichever one is worse by its margin, the gate
      passes with a chance of at most α (Berger 1982, Technometrics 24:295).
    - Neither: inconclusive, and how many more examples would decide. A guard rail has no such state: its excess without
      significance is a warning.

    An undefined p decides nothing and does not count in Holm's family.
    """
    adjusted = holm([check.p_regression for check in checks])
    return tuple(_judge(check, p, len(checks), policy.level) for check, p in zip(checks, adjusted, strict=True))


def overall_verdict(tests: Sequence[GateTest]) -> GateVerdict:
    """Return regression if any test found one, else pass if nothing is inconclusive."""
    verdicts = {test.verdict for test in tests}
    if "regression" in verdicts:
        return "regression"
    return "inconclusive" if "inconclusive" in verdicts else "pass"


def _judge(check: Check, adjusted: float, family: int, level: float) -> GateTest:
    verdict: TestVerdict = "inconclusive"
    if adjusted < level:
        verdict = "regression"
    elif check.is_guard_rail:
        verdict = "warning" if check.difference.value > check.margin + 1e-12 else "pass"
    elif check.p_noninferior < level:
        verdict = "pass"
    factor = _needed_factor(check, family, level) if verdict == "inconclusive" else None
    num_examples = check.difference.num_examples
    return GateTest(
        name=check.name,
        kind=check.kind,
        tasks=check.tasks,
        margin=check.margin,
        baseline=check.baseline,
        candidate=check.candidate,
        difference=check.difference,
        num_worse=check.num_worse,
        num_better=check.num_better,
        p_noninferior=check.p_noninferior,
        p_regression=check.p_regression,
        p_regression_adjusted=adjusted,
        verdict=verdict,
        more_examples=None if factor is None else max(1, math.ceil((factor - 1) * num_examples)),
        note="; ".join(_remarks(check, verdict, factor, family, level)) or None,
    )


def _needed_factor(check: Check, family: int, level: float) -> float | None:
    """Return how many times the examples would decide an undecided test, if the present difference held.

    n′/n = (z_α / z_p)², with z_p the normal quantile of the test's p: a test statistic grows with √n. For a z test this
    is n′ = n (z_α SE / |Δ + m|)². Below −margin it is the regression that could be shown, at α over the number of
    tests, the strictest that Holm asks. It promises no power: half of such repetitions decide. None if the difference
    lies within NEAR_MARGIN standard errors of −margin, or there is no p.
    """
    is_beyond = check.difference.value < -check.margin
    p, needed = (check.p_regression, level / family) if is_beyond else (check.p_noninferior, level)
    normal = NormalDist()
    if math.isnan(p) or p > normal.cdf(-NEAR_MARGIN):
        return None
    return (normal.inv_cdf(needed) / normal.inv_cdf(p)) ** 2


def _remarks(check: Check, verdict: TestVerdict, factor: float | None, family: int, level: float) -> list[str]:
    found = []
    if verdict == "inconclusive":
        found.append(_what_would_decide(check, factor))
        if check.p_regression < level:
            found.append(f"the loss exceeds the margin only before the correction for {family} tests")
        if check.num_differing is not None and not math.isnan(check.p_noninferior):
            found.append(
                f"fewer than {MIN_DIFFERING} examples differ ({check.num_differing}), too few to trust their spread"
            )
    if not check.is_guard_rail and verdict != "regression":
        if -check.margin <= check.difference.ci_high < 0:
            found.append("a loss is established, but not that it exceeds the margin")
        if check.baseline < check.margin:
            found.append("the baseline scores less than the margin, so no loss can exceed it: this test cannot fail")
    if verdict == "warning":
        found.append("more than allowed, but chance may explain it")
    return found


def _what_would_decide(check: Check, factor: float | None) -> str:
    if math.isnan(check.p_noninferior):
        return "one independent example says nothing about the error: evaluate more"
    if factor is None:
        return "the difference lies at the margin itself, where no number of examples is sure to decide"
    more = max(1, math.ceil((factor - 1) * check.difference.num_examples))
    where = " over its tasks" if len(check.tasks) > 1 else ""
    text = f"about {more:,} more examples{where} would decide if the difference stayed as it is"
    generations = _needed_generations(check, factor)
    return text if generations is None else f"{text}, or num_generations = {generations} on the same ones"


def _needed_generations(check: Check, factor: float) -> int | None:
    """Return the k at which the same examples would decide; None where noise between generations is not the main part.

    With a share φ of the variance from drawing generations, k′ generations leave (1 − φ) + φ k/k′ of it; that must be
    at most n/n′.
    """
    share, k = check.noise_share, check.num_generations
    room = 1 / factor - (1 - share)
    if k is None or not share >= 0.5 or room <= 0:
        return None
    needed = math.ceil(k * share / room)
    return needed if needed <= MAX_GENERATIONS else None


def _is_open(test: GateTest) -> bool:
    """Say whether a task or domain did not pass, so that its examples are worth reading."""
    return test.kind in ("task", "domain") and test.verdict != "pass"


def _check_names(policy: GatePolicy, sides: Sequence[LabelVerdicts]) -> None:
    refs = [verdicts.ref for side in sides for verdicts in side.tasks.values()]
    known = sorted({ref.name for ref in refs} | {ref.suite for ref in refs})
    for setting, names in (("margins", policy.margins), ("ignore", policy.ignore)):
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise SpecError(
                    f"policy: {setting} names {name}, which neither run has{hint}; known: {', '.join(known)}"
                )


def _without_ignored(side: LabelVerdicts, policy: GatePolicy) -> LabelVerdicts:
    kept = {
        name: verdicts
        for name, verdicts in side.tasks.items()
        if name not in policy.ignore and verdicts.ref.suite not in policy.ignore
    }
    if not kept:
        raise SpecError(f"policy: ignore leaves no task of {side.label} to judge")
    return replace(side, tasks=kept)


def _task_notes(baseline: LabelVerdicts, candidate: LabelVerdicts) -> list[str]:
    missing = [name for name in baseline.tasks if name not in candidate.tasks]
    if missing:
        raise UsageError(
            f"{candidate.label} has no run of {', '.join(missing)}, which {baseline.label} has: evaluate it there too, "
            "or put it into the policy's `ignore`"
        )
    extra = [name for name in candidate.tasks if name not in baseline.tasks]
    notes = [f"not judged, the baseline has no run of it: {', '.join(extra)}"] if extra else []
    if {run.path.resolve() for run in baseline.runs} == {run.path.resolve() for run in candidate.runs}:
        notes.append("baseline and candidate are the same run, so no difference was possible")
    return notes


def _error_notes(side: LabelVerdicts, policy: GatePolicy) -> list[str]:
    notes = []
    for run in side.runs:
        for task in run.record.tasks:
            if task.task not in side.tasks or not task.num_error:
                continue
            found = f"{task.num_error} of {task.num_planned} requests of {task.task} ended in error"
            if task.num_error > policy.max_error_share * task.num_planned:
                raise StoreError(
                    f"{run.path}: {found}, and the policy's max_error_share is {policy.max_error_share:g}; run its "
                    "`harness eval` command again to retry them"
                )
            notes.append(f"{side.label}: {found}; their examples are left out")
    return notes


def _describe_side(side: LabelVerdicts) -> GateSide:
    weights = (run.record.spec.checkpoint.fingerprint.weights for run in side.runs)
    return GateSide(
        label=side.label,
        paths=tuple(str(run.path) for run in side.runs),
        spec_ids=tuple(run.record.spec_id for run in side.runs),
        weights=tuple(dict.fromkeys(weights)),
    )
