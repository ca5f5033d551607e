"""The A/A noise floor: how far scores move when a run is repeated under other seeds. Measures nothing itself."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from harness.errors import UsageError
from harness.findings import AverageNoise, NoiseReport, TaskNoise
from harness.identity import differing_fields
from harness.pairing import describe_difference
from harness.stats.domains import average_weights
from harness.stats.estimate import Floats
from harness.stats.quantile import t_quantile
from harness.stats.repeats import expected_sd, flip_rate, spread
from harness.verdicts import RunVerdicts, TaskVerdicts

MAY_DIFFER = ("seed", "attempt")
"""Fields in which repeats of one run may differ."""
ALARM = 0.05
"""Share of reports on independent draws that may say falsely that something moves whole runs, whatever their level."""


@dataclass(frozen=True)
class Spread:
    """Scores of repeated runs beside what independent draws of their generations explain."""

    scores: Floats
    """Shape (R,)."""
    variances: Floats
    """Shape (n,): each example's share of the variance of one run's score; they add up to it."""
    degrees: Floats
    """Shape (n,): degrees of freedom behind each of them."""

    @property
    def expected_sd(self) -> float:
        """Standard deviation of one run's score if its generations are drawn independently."""
        return math.sqrt(float(self.variances.sum()))

    def p_value(self) -> float:
        """Return the chance of a spread of the scores as large as seen if draws are independent.

        (R − 1) sd²/expected² is chi-squared with R − 1 degrees of freedom for scores that are means over many
        generations; the expected variance, known from R·k generations of every example, is taken as known. nan for
        fewer than two runs and where nothing varied.
        """
        _, sd = spread(self.scores)
        degrees, expected = len(self.scores) - 1, self.expected_sd
        if degrees < 1 or expected == 0:
            return math.nan
        from scipy.special import chdtrc

        return float(chdtrc(degrees, degrees * (sd / expected) ** 2))

    def limit(self, level: float) -> float:
        """Return the half width of the interval of the difference of two such runs: t · √2 · expected.

        Degrees of freedom after Satterthwaite (1946, Biometrics Bulletin 2:110) over the examples' variances v_i with
        m_i − 1 each: (Σ v_i)²/Σ v_i²/(m_i − 1). nan where nothing varied: that no noise was seen bounds nothing.
        """
        expected = self.expected_sd
        if not expected > 0:
            return math.nan
        degrees = float(self.variances.sum() ** 2 / (self.variances**2 / self.degrees).sum())
        return t_quantile(degrees, level) * math.sqrt(2) * expected

    def limit_of_scores(self, level: float) -> float:
        """Return the same from the scores alone, t · √2 · sd with R − 1 degrees of freedom: rough, but of any cause."""
        _, sd = spread(self.scores)
        return t_quantile(len(self.scores) - 1, level) * math.sqrt(2) * sd


def measure_noise(runs: Sequence[RunVerdicts], level: float = 0.95) -> NoiseReport:
    """Say how far repeated runs of one checkpoint differ, by task and on average.

    Examples are fixed: this is about measuring these examples again, so a difference below the limit cannot be told
    from a repeated measurement; one above it still has to be shown to hold beyond these examples (`harness compare`).

    Raises:
        UsageError: if there are fewer than two runs, they are not repeats of each other, or share no whole example.
    """
    check_repeats(runs)
    tasks, spreads, notes = [], {}, list(_seed_notes(runs))
    for name, first in runs[0].tasks.items():
        values, num_left_out = _stack(name, [run.tasks[name] for run in runs])
        if num_left_out:
            notes.append(f"{name}: examples left out of all runs, since they ended in error in one: {num_left_out}")
        spreads[name] = _spread(values)
        tasks.append(_task_noise(first, values, spreads[name], level))
    weights = average_weights({task.task: task.suite for task in tasks})
    averages = {name: _average_spread(spreads, weight) for name, weight in weights.items()}
    notes += _spread_notes(spreads, averages, level)
    return NoiseReport(
        label=runs[0].label,
        level=level,
        runs=tuple(str(run.path) for run in runs),
        seeds=tuple(_seed(run) for run in runs),
        tasks=tuple(tasks),
        averages=tuple(_average_noise(name, tuple(weights[name]), averages[name], level) for name in weights),
        notes=tuple(notes),
    )


def keep_tasks(run: RunVerdicts, wanted: Sequence[Sequence[str]]) -> RunVerdicts:
    """Return a run with some of its tasks only, as if it had been made with them alone.

    Args:
        run: its spec_id stays, since it still is that run.
        wanted: groups of task names, e.g. a suite's; those of a group that the run has are taken.

    Raises:
        UsageError: if the run has no task of a group.
    """
    for names in wanted:
        if not set(names) & set(run.tasks):
            raise UsageError(f"{run.path} has no {' or '.join(names)}; it has {', '.join(run.tasks)}")
    chosen = {name for names in wanted for name in names}
    spec, summaries = run.record.spec, run.record.tasks
    spec = msgspec.structs.replace(spec, tasks=tuple(ref for ref in spec.tasks if ref.name in chosen))
    summaries = tuple(summary for summary in summaries if summary.task in chosen)
    return replace(
        run,
        record=msgspec.structs.replace(run.record, spec=spec, tasks=summaries),
        tasks={name: verdicts for name, verdicts in run.tasks.items() if name in chosen},
    )


def check_repeats(runs: Sequence[RunVerdicts]) -> None:
    """Check that runs measured the same thing, each once.

    Raises:
        UsageError: if they did not, naming what differs.
    """
    if len(runs) < 2:
        given = f"{runs[0].path} alone" if runs else "none"
        raise UsageError(f"noise shows between runs of one checkpoint: expected two or more, got {given}")
    first = runs[0]
    seen = {first.record.spec_id}
    for run in runs[1:]:
        found = [item for item in differing_fields(first.record.spec, run.record.spec) if item.field not in MAY_DIFFER]
        if found:
            raise UsageError(
                f"{first.path} and {run.path} are not repeats of one run: {describe_difference(found[0])}; give runs "
                f"that differ in their seed only (differing: {', '.join(dict.fromkeys(item.field for item in found))})"
            )
        if run.record.spec_id in seen:
            raise UsageError(f"{run.path} was given twice: a run does not differ from itself")
        seen.add(run.record.spec_id)


def _stack(name: str, repeats: Sequence[TaskVerdicts]) -> tuple[Floats, int]:
    """Return verdicts of shape (R, n, k) over examples without error, and how many were left out."""
    if any(verdicts.example_ids != repeats[0].example_ids for verdicts in repeats):
        raise UsageError(f"the runs were made on different examples of {name}; give runs of the same examples")
    values = np.stack([verdicts.values for verdicts in repeats])
    whole = ~np.isnan(values).any(axis=(0, 2))
    if not whole.any():
        raise UsageError(f"the runs share no example of {name} that ended without error in all of them")
    return values[:, whole], int((~whole).sum())


def _spread(values: Floats) -> Spread:
    num_runs, num_examples, k = values.shape
    pooled = _pool(values)
    return Spread(
        scores=values.mean(axis=(1, 2)),
        variances=pooled.var(axis=1, ddof=1) / k / num_examples**2,
        degrees=np.full(num_examples, num_runs * k - 1.0),
    )


def _pool(values: Floats) -> Floats:
    """Turn (R, n, k) into (n, R·k): all generations of an example side by side."""
    return np.moveaxis(values, 0, 1).reshape(values.shape[1], -1)


def _average_spread(spreads: dict[str, Spread], weights: dict[str, float]) -> Spread:
    """Combine tasks, whose generations are drawn independently of one another."""
    members = [(spreads[task], weight) for task, weight in weights.items()]
    return Spread(
        scores=np.asarray(sum(weight * member.scores for member, weight in members)),
        variances=np.concatenate([weight**2 * member.variances for member, weight in members]),
        degrees=np.concatenate([member.degrees for member, _ in members]),
    )


def _task_noise(first: TaskVerdicts, values: Floats, seen: Spread, level: float) -> TaskNoise:
    mean, sd = spread(seen.scores)
    pooled = _pool(values)
    return TaskNoise(
        task=first.ref.name,
        version=first.ref.version,
        suite=first.ref.suite,
        metric=first.metric,
        num_examples=values.shape[1],
        num_generations=values.shape[2],
        scores=tuple(float(score) for score in seen.scores),
        mean=mean,
        sd=sd,
        expected_sd=expected_sd(pooled, values.shape[2]),
        p_value=seen.p_value(),
        flip_rate=flip_rate(pooled) if bool(np.isin(pooled, (0.0, 1.0)).all()) else math.nan,
        limit=seen.limit(level),
    )


def _average_noise(name: str, tasks: tuple[str, ...], seen: Spread, level: float) -> AverageNoise:
    mean, sd = spread(seen.scores)
    return AverageNoise(
        name=name,
        tasks=tasks,
        scores=tuple(float(score) for score in seen.scores),
        mean=mean,
        sd=sd,
        expected_sd=seen.expected_sd,
        p_value=seen.p_value(),
        limit=seen.limit(level),
    )


def _seed_notes(runs: Sequence[RunVerdicts]) -> Iterable[str]:
    if any(ref.sampling.temperature == 0 for ref in runs[0].record.spec.tasks):
        yield (
            "decoding is greedy, which ignores the seed: these runs differ only by the machine's arithmetic "
            "(batching), so their noise says nothing about runs that sample"
        )
    elif len({_seed(run) for run in runs}) < len(runs):
        yield "some runs share their seed: between those only the machine's arithmetic differs, which hides noise"


def _spread_notes(tasks: dict[str, Spread], averages: dict[str, Spread], level: float) -> Iterable[str]:
    for name, seen in tasks.items():
        if seen.expected_sd == 0:
            yield f"{name}: all generations of an example got the same verdict, in all runs; no noise was seen"
    num_tests = len(tasks) + len(averages)
    for name, seen in (tasks | averages).items():
        if seen.p_value() < ALARM / num_tests:  # Bonferroni: over all lines of the report
            yield (
                f"{name}: the scores spread further than sampling explains (p = {seen.p_value():.2g}), so something "
                f"may move whole runs (software, machine, server); by the scores alone the limit is "
                f"{100 * seen.limit_of_scores(level):.1f} points"
            )


def _seed(run: RunVerdicts) -> int:
    return run.record.spec.tasks[0].sampling.seed
