"""The estimate of one score: value, standard error and interval from per-example verdicts. Pure functions of arrays."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.schema import Estimate
from harness.stats.quantile import z_quantile
from harness.stats.skew import cluster_degrees, skewed_arms

Floats = NDArray[np.float64]

NO_VARIANCE = 1e-9
"""A standard error below this is 0 up to rounding: all units agreed. No score in use is finer than 1e-6."""


def estimate_mean(sums: Floats, counts: Floats, clusters: NDArray[np.int64] | None, level: float = 0.95) -> Estimate:
    """Estimate the mean verdict from per-example sums and counts.

    The estimator is R = Σ sums / Σ counts: the plain mean when every example has the same number of verdicts (k
    generations), a ratio of means when it has not (IFEval's instructions).

    Interval and standard error, with examples (or clusters of them) as independent units:

    - One 0/1 verdict per example, no clusters: Wilson score interval (Wilson 1927); stderr is that of the mean,
      sqrt(s²/n) with s² the sample variance (n − 1).
    - Otherwise: clustered standard error (Miller 2024, arXiv 2411.00640, eq. 4) of the linearised ratio,
      SE² = G/(G − 1) Σ_g (Σ_{i∈g} (sums_i − R counts_i))² / (Σ counts)²; with singleton clusters and equal counts this
      is s²/n. Interval: t with G − 1 degrees of freedom (effective ones where clusters differ in size), its arms
      lengthened for skewness (harness.stats.skew), clipped to [0, 1].
    - If all cluster totals agree exactly, SE is 0 and a t interval would have no width; the Wilson interval for G
      verdicts is given instead. It is conservative: no variable in [0, 1] with that mean varies more than a 0/1 one.

    Args:
        sums: shape (n,), sum of each example's verdicts; each verdict in [0, 1].
        counts: shape (n,), number of each example's verdicts, at least 1.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        level: coverage of the interval.

    Returns:
        The estimate. n = 0: all nan. One unit: value, nan stderr; the interval is Wilson's for 0/1 verdicts, else nan.
    """
    num_examples = len(sums)
    if num_examples == 0:
        return _undefined(level, num_examples=0)
    groups = unit_numbers(clusters, num_examples)
    num_clusters = int(groups.max()) + 1
    total = float(counts.sum())
    value = float(sums.sum()) / total
    residuals = np.bincount(groups, weights=sums - value * counts).astype(np.float64)
    stderr = math.nan
    if num_clusters > 1:
        stderr = math.sqrt(num_clusters / (num_clusters - 1) * float(residuals @ residuals)) / total
    single_binary = bool(np.all(counts == 1) and np.all((sums == 0) | (sums == 1)))
    if single_binary and num_clusters == num_examples:
        low, high, method = *wilson_interval(value, num_examples, level), "wilson"
    elif num_clusters == 1:
        low, high, method = math.nan, math.nan, "undefined: one cluster"
    elif stderr < NO_VARIANCE:
        low, high, method = *wilson_interval(value, num_clusters, level), "wilson (no variance seen)"
    else:
        degrees = cluster_degrees(np.bincount(groups, weights=counts).astype(np.float64))
        below, above = skewed_arms(residuals, degrees, level)
        low, high = max(0.0, value - below * stderr), min(1.0, value + above * stderr)
        method = "t" if num_clusters == num_examples else "clustered t"
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=low,
        ci_high=high,
        level=level,
        method=method,
        num_examples=num_examples,
        num_clusters=num_clusters,
    )


def estimate_amount(amounts: Floats, clusters: NDArray[np.int64] | None, level: float = 0.95) -> Estimate:
    """Estimate the mean of amounts that have no upper bound, such as lengths in characters.

    Mean, clustered standard error and interval as in `estimate_mean`, the lower end not below 0. Where no unit differs
    there is an error of 0 and no interval: nothing bounds what was not seen.

    Args:
        amounts: shape (n,), each at least 0.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        level: coverage of the interval.

    Returns:
        The estimate. n = 0: all nan. One unit: value, nan stderr and interval.
    """
    num_examples = len(amounts)
    if num_examples == 0:
        return _undefined(level, num_examples=0)
    groups = unit_numbers(clusters, num_examples)
    sizes = np.bincount(groups).astype(np.float64)
    value = float(amounts.mean())
    residuals = np.bincount(groups, weights=amounts - value).astype(np.float64)
    stderr, low, high, method = math.nan, math.nan, math.nan, "undefined: one cluster"
    if len(sizes) > 1:
        stderr = math.sqrt(len(sizes) / (len(sizes) - 1) * float(residuals @ residuals)) / num_examples
        if stderr <= NO_VARIANCE * value:
            stderr, method = 0.0, "undefined: no variance seen"
        else:
            below, above = skewed_arms(residuals, cluster_degrees(sizes), level)
            low, high = max(0.0, value - below * stderr), value + above * stderr
            method = "t" if len(sizes) == num_examples else "clustered t"
    return Estimate(value, stderr, low, high, level, method, num_examples, len(sizes))


def cluster_numbers(clusters: Sequence[str | None]) -> NDArray[np.int64] | None:
    """Return clusters as numbers, an example without one being its own; None if no example has one."""
    if all(cluster is None for cluster in clusters):
        return None
    names = [f"c{cluster}" if cluster is not None else f"#{row}" for row, cluster in enumerate(clusters)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def unit_numbers(clusters: NDArray[np.int64] | None, num_examples: int) -> NDArray[np.int64]:
    """Return the number of each example's independent unit, from 0 without gaps: its cluster, or the example itself."""
    if clusters is None:
        return np.arange(num_examples)
    return np.asarray(np.unique(clusters, return_inverse=True)[1], dtype=np.int64)


def wilson_interval(share: float, num_trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share (Wilson 1927, JASA 22:209).

    Inverts the score test: centre (p + z²/2n)/(1 + z²/n), half width z/(1 + z²/n) · sqrt(p(1 − p)/n + z²/4n²).
    n = 0 gives nan.
    """
    if num_trials == 0:
        return math.nan, math.nan
    z = z_quantile(level)
    shrink = 1 + z * z / num_trials
    centre = (share + z * z / (2 * num_trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / num_trials + z * z / (4 * num_trials**2))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


def pass_at_k(num_correct: NDArray[np.int64], num_generations: NDArray[np.int64], k: int) -> Floats:
    """Return each example's unbiased pass@k: the chance that k of its generations hold a correct one.

    1 − C(n − c, k)/C(n, k) for c correct of n independent generations, drawn without replacement (Chen et al. 2021,
    arXiv 2107.03374, eq. 1), as the product 1 − Π_{j<k} (n − c − j)/(n − j), which overflows nowhere. No examples give
    an empty array. The task's pass@k is the mean of these, by `estimate_mean`.

    Args:
        num_correct: shape (n,), correct generations c of each example.
        num_generations: shape (n,), generations of each example.
        k: at least 1.

    Raises:
        ValueError: if an example has fewer than k generations, or k < 1.
    """
    if k < 1 or np.any(num_generations < k):
        fewest = num_generations.min() if len(num_generations) else "none"
        raise ValueError(f"pass@{k} needs k >= 1 and at least k generations of each example; the fewest are {fewest}")
    wrong = num_generations - num_correct
    assert bool(np.all((num_correct >= 0) & (wrong >= 0))), "correct generations must be some of all generations"
    draws = np.arange(k)
    # Fewer than k wrong ones make one factor 0, so that the negative factors after it do no harm.
    factors = (wrong[:, None] - draws) / (num_generations[:, None] - draws)
    return np.asarray(1.0 - np.prod(factors, axis=1), dtype=np.float64)


def _undefined(level: float, num_examples: int) -> Estimate:
    nan = math.nan
    return Estimate(
        value=nan,
        stderr=nan,
        ci_low=nan,
        ci_high=nan,
        level=level,
        method="undefined: no examples",
        num_examples=num_examples,
        num_clusters=0,
    )
