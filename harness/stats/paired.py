"""The difference between two checkpoints on the same examples: estimate, interval and p-values. Pure functions.

`base` and `candidate` are always per-example mean scores in [0, 1] of the same examples in the same order. Two averages
are never compared without their pairs, so there is no unpaired test here; averages over tasks have only their p-value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.schema import Estimate
from harness.stats.estimate import NO_VARIANCE, Floats, unit_numbers
from harness.stats.skew import cluster_degrees, skewed_arms
from harness.stats.tango import agreement_interval, agreement_statistic, tango_interval, tango_statistic

Clusters = NDArray[np.int64] | None
"""Cluster number of each example; None means that each stands alone."""

_EXACT_BITS = 12
"""Sign-flip distributions with at most 2^12 distinct assignments are enumerated."""


@dataclass(frozen=True)
class _Pairs:
    """The paired differences, summed within independent units (examples, or clusters of them)."""

    value: float
    stderr: float
    """0 exactly where all unit totals agree; nan for fewer than two units."""
    sums: Floats
    """Sum of differences of each unit."""
    residuals: Floats
    """The sums' deviations from what the mean difference predicts."""
    degrees: float
    """Degrees of freedom of the standard error."""
    num_examples: int
    gains: int
    """Examples where the candidate scores higher."""
    losses: int
    """Examples where the base scores higher."""
    binary: bool
    """One 0/1 verdict per example and side, and no clusters: the four-fold table says everything."""

    @property
    def num_units(self) -> int:
        return len(self.sums)


def estimate_difference(
    base: Floats, candidate: Floats, clusters: Clusters, level: float = 0.95, *, single_binary: bool
) -> Estimate:
    """Estimate the mean difference, candidate minus base, paired by example.

    Estimator: the mean δ of d_i = candidate_i − base_i. Units (examples, or clusters) are independent draws from the
    population of problems. Interval and standard error:

    - One 0/1 verdict per side, no clusters: Tango's score interval (Tango 1998, Statistics in Medicine 17:891),
      the differences that its score test does not reject; stderr is sqrt(s²/n) with s² the sample variance of d.
    - Otherwise t, clipped to [−1, 1], with G units and SE² = G/(G − 1) Σ_g (Σ_{i∈g} (d_i − δ))² / n² (Miller 2024,
      arXiv 2411.00640, eq. 4, of d); with singleton clusters this is s²/n. G − 1 degrees of freedom, effective ones
      where clusters differ in size; arms lengthened for skewness (harness.stats.skew).
    - All units agree, so SE = 0 and a t interval would have no width: with w = z²/(G + z²), Wilson's upper limit for a
      share of which 0 in G were seen, at most a share w of the population differs from δ, and does so by values in
      [−1, 1]; hence [δ − w(1 + δ), δ + w(1 − δ)]. Tango's interval is the same one wherever all pairs agree. Clusters
      count as equally large here.

    Args:
        base: shape (n,), per-example mean scores in [0, 1].
        candidate: shape (n,), the same examples in the same order.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        level: coverage of the interval.
        single_binary: True where each example has exactly one 0/1 verdict per side.

    Returns:
        The estimate. n = 0: all nan. One unit: value, nan stderr; nan interval, except that Tango's is defined (and
        wide) for one pair of 0/1 verdicts.
    """
    pairs = _pair(base, candidate, clusters, single_binary)
    low, high = math.nan, math.nan
    if pairs.num_examples == 0:
        method = "undefined: no examples"
    elif pairs.binary:
        low, high = tango_interval(pairs.gains, pairs.losses, pairs.num_examples, level)
        method = "tango"
    elif pairs.num_units == 1:
        method = "undefined: one cluster" if pairs.num_examples > 1 else "undefined: one example"
    elif pairs.stderr == 0:
        low, high = agreement_interval(pairs.value, pairs.num_units, level)
        method = "agreement bound (no variance seen)"
    else:
        below, above = skewed_arms(pairs.residuals, pairs.degrees, level)
        low, high = max(-1.0, pairs.value - below * pairs.stderr), min(1.0, pairs.value + above * pairs.stderr)
        method = "paired t" if pairs.num_units == pairs.num_examples else "paired clustered t"
    return Estimate(
        value=pairs.value,
        stderr=pairs.stderr,
        ci_low=low,
        ci_high=high,
        level=level,
        method=method,
        num_examples=pairs.num_examples,
        num_clusters=pairs.num_units,
    )


def difference_p_value(
    base: Floats,
    candidate: Floats,
    clusters: Clusters,
    rng: np.random.Generator,
    *,
    single_binary: bool,
    num_resamples: int = 10_000,
) -> tuple[float, str]:
    """Return the two-sided p-value of "no difference" and the name of its test.

    - One 0/1 verdict per side, no clusters: exact McNemar, a binomial test of gains against losses (McNemar 1947,
      Psychometrika 12:153); no discordant pair gives p = 1.
    - Otherwise the sign-flip permutation test of Σ d (Fisher 1935, The Design of Experiments, § 21). Null hypothesis:
      each unit's total difference is as likely to be its negative. Exact where there are at most 2^12 distinct
      assignments (units of equal magnitude are interchangeable); else Monte Carlo with p = (1 + #{|S*| ≥ |S|})/(1 + B)
      (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39), which is never 0.

    Args:
        base: shape (n,), per-example mean scores in [0, 1].
        candidate: shape (n,), the same examples in the same order.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        rng: source of the Monte Carlo flips; untouched by the exact tests.
        single_binary: True where each example has exactly one 0/1 verdict per side.
        num_resamples: Monte Carlo draws B.

    Returns:
        p and the test's name. n = 0: nan. One unit, or no difference anywhere: p = 1.
    """
    pairs = _pair(base, candidate, clusters, single_binary)
    if not pairs.binary:
        return _sign_flip(pairs.sums, rng, num_resamples)
    from scipy.stats import binomtest

    if pairs.num_examples == 0:
        return math.nan, "exact McNemar"
    discordant = pairs.gains + pairs.losses
    return float(binomtest(pairs.gains, discordant, 0.5).pvalue) if discordant else 1.0, "exact McNemar"


def pooled_p_value(
    tasks: Sequence[tuple[Floats, Floats, Clusters]],
    weights: Sequence[float],
    rng: np.random.Generator,
    num_resamples: int = 10_000,
) -> tuple[float, str]:
    """Return the two-sided p-value of "no difference on any task" for a weighted average over tasks.

    The statistic is Σ_t w_t δ_t with δ_t the mean difference of task t. All units of all tasks are flipped
    independently, as in `difference_p_value`; the tasks' examples are assumed to be different ones.

    Args:
        tasks: base, candidate and clusters of each task.
        weights: w_t, in the order of the tasks; their scale does not matter.
        rng: source of the Monte Carlo flips.
        num_resamples: Monte Carlo draws.

    Returns:
        p and the test's name; nan for no tasks, and where a task has no examples (its mean is undefined).
    """
    units = []
    for (base, candidate, clusters), weight in zip(tasks, weights, strict=True):
        pairs = _pair(base, candidate, clusters, single_binary=False)
        if pairs.num_examples == 0:
            return math.nan, "undefined: no examples"
        units.append(weight / pairs.num_examples * pairs.sums)
    return _sign_flip(np.concatenate(units) if units else np.empty(0), rng, num_resamples)


def margin_p_value(
    base: Floats,
    candidate: Floats,
    clusters: Clusters,
    margin: float,
    alternative: Literal["greater", "less"],
    *,
    single_binary: bool,
) -> float:
    """Return the one-sided p-value of the difference against −margin.

    "greater" tests H0: difference ≤ −margin, so a small p shows that the candidate is not worse by the margin or more
    (non-inferiority). "less" tests H0: difference ≥ −margin, so a small p shows a regression beyond the margin. The two
    add up to 1. The tests: Tango's score statistic at −margin with a normal tail (Tango 1998); (δ + margin)/SE against
    t, without the skewness of `estimate_difference`'s arms (harness.stats.margin has it); and where all units agree,
    the z at which the agreement bound touches −margin, z² = G (δ + margin)/(1 − margin) from above and
    z² = G (−margin − δ)/(1 + margin) from below, so that a bare agreement of few examples proves little.

    Args:
        base: shape (n,), per-example mean scores in [0, 1].
        candidate: shape (n,), the same examples in the same order.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        margin: largest acceptable loss, in [0, 1].
        alternative: the side for which a small p is evidence.
        single_binary: True where each example has exactly one 0/1 verdict per side.

    Returns:
        p; nan for n = 0 and for one unit without Tango's test. A margin equal to an estimate without error gives 0.5.
    """
    assert 0 <= margin <= 1, f"margin {margin} is not in [0, 1]"
    from scipy.special import ndtr, stdtr

    pairs = _pair(base, candidate, clusters, single_binary)
    sign = -1.0 if alternative == "greater" else 1.0
    if pairs.num_examples == 0 or (pairs.num_units == 1 and not pairs.binary):
        return math.nan
    if pairs.binary:
        return float(ndtr(sign * tango_statistic(pairs.gains, pairs.losses, pairs.num_examples, -margin)))
    if pairs.stderr == 0:
        return float(ndtr(sign * agreement_statistic(pairs.value, pairs.num_units, -margin)))
    return float(stdtr(pairs.degrees, sign * (pairs.value + margin) / pairs.stderr))


def _pair(base: Floats, candidate: Floats, clusters: Clusters, single_binary: bool) -> _Pairs:
    assert base.shape == candidate.shape == (len(base),), f"unpaired shapes {base.shape} and {candidate.shape}"
    scores = np.concatenate([base, candidate])
    assert bool(np.all((scores >= -1e-9) & (scores <= 1 + 1e-9))), "scores must be numbers in [0, 1]"
    assert not single_binary or bool(np.all((scores == 0) | (scores == 1))), "single verdicts must be 0 or 1"
    num_examples = len(base)
    differences = candidate - base
    value = float(differences.mean()) if num_examples else math.nan
    groups = unit_numbers(clusters, num_examples)
    sums = np.bincount(groups, weights=differences).astype(np.float64)
    residuals = np.bincount(groups, weights=differences - value).astype(np.float64)
    num_units = len(sums)
    stderr = math.nan
    if num_units > 1:
        stderr = math.sqrt(num_units / (num_units - 1) * float(residuals @ residuals)) / num_examples
        stderr = 0.0 if stderr < NO_VARIANCE else stderr  # rounding of equal numbers is not variance
    return _Pairs(
        value=value,
        stderr=stderr,
        sums=sums,
        residuals=residuals,
        degrees=cluster_degrees(np.bincount(groups).astype(np.float64)) if num_units > 1 else math.nan,
        num_examples=num_examples,
        gains=int(np.count_nonzero(differences > 0)),
        losses=int(np.count_nonzero(differences < 0)),
        binary=single_binary and num_units == num_examples,
    )


def _sign_flip(units: Floats, rng: np.random.Generator, num_resamples: int) -> tuple[float, str]:
    """Two-sided sign-flip test of Σ units.

    Flipping m units of equal magnitude v adds v (2 Binomial(m, ½) − m), so that the work grows with the number of
    distinct magnitudes (k of them for avg@k scores), not of units.
    """
    if len(units) == 0:
        return math.nan, "undefined: no examples"
    scale = float(np.abs(units).max())
    if scale == 0:
        return 1.0, "exact sign-flip"
    magnitudes, counts = np.unique(np.round(np.abs(units) / scale, 12), return_counts=True)
    magnitudes, counts = magnitudes[magnitudes > 0], counts[magnitudes > 0]
    # A sum that ties with the observed one in exact arithmetic must count as reaching it.
    reached = abs(float(units.sum())) / scale - 1e-9 * float(magnitudes @ counts)
    if np.log2(counts + 1.0).sum() <= _EXACT_BITS:
        return _exact_tail(magnitudes, counts, reached), "exact sign-flip"
    sums = np.zeros(num_resamples)
    for magnitude, count in zip(magnitudes, counts, strict=True):
        sums += magnitude * (2 * rng.binomial(count, 0.5, num_resamples) - count)
    return (1 + int(np.count_nonzero(np.abs(sums) >= reached))) / (1 + num_resamples), "sign-flip"


def _exact_tail(magnitudes: Floats, counts: NDArray[np.int64], reached: float) -> float:
    """P(|S*| ≥ reached) over all sign assignments."""
    from scipy.stats import binom

    sums, shares = np.zeros(1), np.ones(1)
    for magnitude, count in zip(magnitudes, counts, strict=True):
        flips = np.arange(count + 1)
        sums = np.add.outer(sums, magnitude * (2 * flips - count)).ravel()
        shares = np.multiply.outer(shares, binom.pmf(flips, count, 0.5)).ravel()
    return min(1.0, float(shares[np.abs(sums) >= reached].sum()))
