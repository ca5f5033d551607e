"""Unweighted averages over tasks, of scores or of paired differences: estimate, interval, one-sided margin test."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from harness.schema import Estimate
from harness.stats.estimate import NO_VARIANCE, Floats
from harness.stats.quantile import t_quantile, z_quantile
from harness.stats.resample import percentile_interval
from harness.stats.skew import lengthened_arms


def estimate_average(
    tasks: Sequence[Estimate],
    draws: Floats,
    level: float = 0.95,
    weights: Floats | None = None,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Estimate:
    """Estimate Σ w_t θ_t over tasks whose examples were resampled independently of one another.

    Tasks are fixed (the average is about these tasks, not about tasks in general); examples within each are the
    sample. Standard error: standard deviation of Σ w_t draws_t. Interval: `stretched_interval` for the degrees of
    freedom of `effective_stderr`.

    A task in which no variance was seen has equal draws and would pass for known exactly. Its own conservative
    interval [l_t, u_t] is joined to the bootstrap's [l, u] by the square-and-add rule MOVER (Zou & Donner 2008,
    Statistics in Medicine 27:1693): low = v − sqrt((v − l)² + Σ w_t² (θ_t − l_t)²), high alike. The standard error
    stays the bootstrap's, which such tasks do not enter.

    Args:
        tasks: the tasks' estimates, each with an interval of the same level as asked for.
        draws: shape (B, T), resampled values of the tasks, column by column.
        level: coverage of the interval.
        weights: shape (T,), positive or zero; None means 1/T each.
        bounds: what the average can be at least and at most; the interval is clipped to it.

    Returns:
        The estimate. No tasks, or any task without a value: all nan, since an average over fewer tasks would be
        another average. A task without a standard error (one example): the value, with nan error and interval.
    """
    if not tasks or any(math.isnan(task.value) for task in tasks):
        reason = "a task without a value" if tasks else "no tasks"
        return _estimate((math.nan,) * 4, level, f"undefined: {reason}", tasks)
    weights = _weights(tasks, weights)
    assert draws.shape[1:] == (len(tasks),), (draws.shape, len(tasks))
    value = float(sum(w * task.value for w, task in zip(weights, tasks, strict=True)))
    if any(math.isnan(task.stderr) for task in tasks):
        return _estimate(
            (value, math.nan, math.nan, math.nan), level, "undefined: a task with one example or cluster", tasks
        )
    averages = draws @ weights
    low, high = stretched_interval(value, averages, effective_stderr(tasks, weights)[1], level)
    quiet = [(w, task) for w, task in zip(weights, tasks, strict=True) if task.stderr < NO_VARIANCE]
    method = "bootstrap"
    if quiet:
        assert all(task.level == level for _, task in quiet), level
        low = value - math.hypot(value - low, *(w * (task.value - task.ci_low) for w, task in quiet))
        high = value + math.hypot(high - value, *(w * (task.ci_high - task.value) for w, task in quiet))
        method = f"bootstrap, MOVER (no variance seen in: {len(quiet)} task{'s' if len(quiet) > 1 else ''})"
    low, high = (float(end) for end in np.clip([low, high], *bounds))
    return _estimate((value, float(averages.std(ddof=1)), low, high), level, method, tasks)


def stretched_interval(value: float, draws: Floats, degrees: float, level: float) -> tuple[float, float]:
    """Return an interval from bootstrap draws, shape (B,), that keeps its level for small and for skewed samples.

    Percentiles alone miss too often where samples are small (a task of 5 examples beside one of 500: 86 % instead of
    95 %; cf. Hesterberg 2015, Am. Stat. 69:371) or skewed (two hard tasks, most examples unsolved: 91 %). So their arms
    about `value` are stretched by t/z, and are at least as long as harness.stats.skew asks for; the skewness of the
    draws of a mean is that of its units over √G. Degrees of freedom that are nan leave the percentiles as they are.
    """
    from scipy.stats import skew

    low, high = (float(end) for end in percentile_interval(draws, level))
    spread = float(draws.std(ddof=1))
    if math.isnan(degrees) or math.isnan(low) or spread < NO_VARIANCE:
        return low, high
    quantile = t_quantile(degrees, level)
    stretch = quantile / z_quantile(level)
    below, above = lengthened_arms(quantile, float(skew(draws)))
    return (
        value - max(stretch * max(0.0, value - low), below * spread),
        value + max(stretch * max(0.0, high - value), above * spread),
    )


def quiet_variance(task: Estimate) -> float:
    """Return the squared standard error that the interval of a task without seen variance implies; 0 for others.

    The longer arm over z, squared: what MOVER recovers (Zou & Donner 2008).
    """
    return _variance(task) if task.stderr < NO_VARIANCE else 0.0


def effective_stderr(tasks: Sequence[Estimate], weights: Floats | None = None) -> tuple[float, float]:
    """Return the analytic standard error of Σ w_t θ_t and its degrees of freedom.

    Tasks are independent: SE² = Σ w_t² v_t with v_t the task's squared standard error. A task in which no variance was
    seen contributes what its conservative interval implies, v_t = (max(θ_t − l_t, u_t − θ_t)/z)², so it is never taken
    for exact (the variance recovery of Zou & Donner 2008, with the longer arm on both sides). Degrees of freedom after
    Satterthwaite (1946, Biometrics Bulletin 2:110): SE⁴ / Σ (w_t² v_t)²/(G_t − 1), G_t the task's number of clusters.

    Returns:
        (standard error, degrees of freedom); both nan without tasks or where a task has no value, standard error or
        interval to take it from. Degrees of freedom are nan if the standard error is 0.
    """
    weights = _weights(tasks, weights)
    if not tasks or any(task.num_clusters < 2 or math.isnan(task.value) for task in tasks):
        return math.nan, math.nan
    parts = [w**2 * _variance(task) for w, task in zip(weights, tasks, strict=True)]
    variance = float(sum(parts))
    spread = float(sum(part**2 / (task.num_clusters - 1) for part, task in zip(parts, tasks, strict=True)))
    return math.sqrt(variance), variance**2 / spread if spread > 0 else math.nan


def average_margin_p_value(
    tasks: Sequence[Estimate],
    weights: Floats | None,
    margin: float,
    alternative: Literal["greater", "less"],
) -> float:
    """Return the one-sided p-value of an average difference against a margin.

    `greater`: the null hypothesis is that the average difference is −margin or worse; a small p says the candidate is
    not worse than that (non-inferiority). `less`: the null hypothesis is that it is −margin or better; a small p says
    the candidate is worse by more than the margin (regression). t = (Σ w_t θ_t + margin)/SE against Student's t, with
    standard error and degrees of freedom of `effective_stderr`. Assumes a nearly normal average.

    Args:
        tasks: the tasks' paired differences, candidate minus base.
        weights: shape (T,); None means 1/T each.
        margin: largest loss that is still accepted, at least 0, in the unit of the differences.
        alternative: which side the test speaks for.

    Returns:
        p; nan where the standard error is undefined or 0.
    """
    from scipy.special import stdtr

    stderr, degrees = effective_stderr(tasks, weights)
    if math.isnan(degrees):
        return math.nan
    value = sum(w * task.value for w, task in zip(_weights(tasks, weights), tasks, strict=True))
    t = (value + margin) / stderr
    return float(stdtr(degrees, -t if alternative == "greater" else t))


def _variance(task: Estimate) -> float:
    if task.stderr >= NO_VARIANCE or math.isnan(task.stderr):
        return task.stderr**2
    longer = max(task.value - task.ci_low, task.ci_high - task.value)
    return (longer / z_quantile(task.level)) ** 2


def _weights(tasks: Sequence[Estimate], weights: Floats | None) -> Floats:
    if weights is None:
        return np.full(len(tasks), 1 / len(tasks)) if tasks else np.zeros(0)
    assert len(weights) == len(tasks), (len(weights), len(tasks))
    return weights


def _estimate(numbers: tuple[float, ...], level: float, method: str, tasks: Sequence[Estimate]) -> Estimate:
    value, stderr, low, high = numbers
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=low,
        ci_high=high,
        level=level,
        method=method,
        num_examples=sum(task.num_examples for task in tasks),
        num_clusters=sum(task.num_clusters for task in tasks),
    )
