"""Is a paired difference above or below a margin: the two one-sided tests of a gate, with the interval they invert.

It differs from harness.stats.paired in one care: losses that are rare and total make differences skewed, where a plain
t test passes too often.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from harness.schema import Estimate
from harness.stats.estimate import Floats, unit_numbers
from harness.stats.paired import Clusters, estimate_difference, margin_p_value
from harness.stats.quantile import t_quantile
from harness.stats.skew import cluster_degrees, skewness_factor, transform, untransform

MIN_DIFFERING = 10
"""With fewer units that differ than this, the spread seen among them is not trusted."""


@dataclass(frozen=True)
class MarginTest:
    """A difference against −margin."""

    difference: Estimate
    """Candidate minus base. At level 1 − 2α its interval excludes −margin exactly where a p-value is below α."""
    p_noninferior: float
    """Small if the candidate is not worse by the margin or more."""
    p_regression: float
    """Small if the candidate is worse by more than the margin."""
    num_differing: int | None
    """Units that differ, where they are too few to trust their spread; None where they are enough, or the test is exact
    about it."""


def compare_to_margin(
    base: Floats, candidate: Floats, clusters: Clusters, margin: float, level: float, *, single_binary: bool
) -> MarginTest:
    """Test the mean difference δ of d_i = candidate_i − base_i against −margin, one-sided both ways.

    Units (examples, or clusters of them) are independent draws. With t = (δ + margin)/SE and G units:

    - One 0/1 verdict per side, no clusters: Tango's score test, as in harness.stats.paired.
    - Otherwise Hall's transformation of t, which removes its skewness to first order and is monotone (Hall 1992, JRSS B
      54:221): T = ((1 + u t/3)³ − 1)/u + u/6, u = γ/√G, with γ the skewness of the units' totals; referred to t with
      G − 1 degrees of freedom, effective ones where clusters differ in size. At γ = 0 it is the t test.
    - Fewer than MIN_DIFFERING units differ: next to no spread would pass for near certainty, so p is at least what it
      would be if all units agreed on δ, and the interval covers that one's (the agreement bound of
      harness.stats.paired): having seen a little variance never proves more than having seen none.

    The interval is the set of margins that neither test rejects.

    Args:
        base: shape (n,), per-example means in [0, 1].
        candidate: shape (n,), the same examples in the same order.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        margin: largest acceptable loss, in [0, 1].
        level: coverage of the two-sided interval.
        single_binary: True where each example has exactly one 0/1 verdict per side.

    Returns:
        The test; p and interval are nan for n = 0, and for one unit without Tango's test.
    """
    arrays = (base, candidate, clusters)
    plain = estimate_difference(*arrays, level, single_binary=single_binary)
    noninferior = margin_p_value(*arrays, margin, "greater", single_binary=single_binary)
    regression = margin_p_value(*arrays, margin, "less", single_binary=single_binary)
    is_tango = single_binary and plain.num_clusters == plain.num_examples
    if math.isnan(noninferior) or is_tango:
        return MarginTest(plain, noninferior, regression, None)
    totals = _unit_totals(candidate - base, clusters)
    if plain.stderr > 0:
        degrees = cluster_degrees(_unit_totals(np.ones(len(base)), clusters))
        plain, noninferior, regression = _skew_adjusted(plain, totals, degrees, margin)
    num_differing = int(np.count_nonzero(np.abs(totals) > 1e-12))
    if num_differing >= MIN_DIFFERING:
        return MarginTest(plain, noninferior, regression, None)
    return _no_surer_than_agreement(MarginTest(plain, noninferior, regression, num_differing), margin)


def _unit_totals(differences: Floats, clusters: Clusters) -> Floats:
    return np.bincount(unit_numbers(clusters, len(differences)), weights=differences).astype(np.float64)


def _skew_adjusted(plain: Estimate, totals: Floats, degrees: float, margin: float) -> tuple[Estimate, float, float]:
    from scipy.special import stdtr

    u = skewness_factor(totals, degrees)
    statistic = transform((plain.value + margin) / plain.stderr, u)
    quantile = t_quantile(degrees, plain.level)
    estimate = msgspec.structs.replace(
        plain,
        ci_low=max(-1.0, plain.value - untransform(quantile, u) * plain.stderr),
        ci_high=min(1.0, plain.value - untransform(-quantile, u) * plain.stderr),
        method=f"{plain.method}, skewness-adjusted",
    )
    return estimate, float(stdtr(degrees, -statistic)), float(stdtr(degrees, statistic))


def _no_surer_than_agreement(test: MarginTest, margin: float) -> MarginTest:
    """Hold a test to what as many units prove that all agree on its difference."""
    found = test.difference
    units = (np.full(found.num_clusters, max(0.0, -found.value)), np.full(found.num_clusters, max(0.0, found.value)))
    bound = estimate_difference(*units, None, found.level, single_binary=False)
    return MarginTest(
        difference=msgspec.structs.replace(
            found,
            ci_low=min(found.ci_low, bound.ci_low),
            ci_high=max(found.ci_high, bound.ci_high),
            method=f"{found.method}, {bound.method}" if found.method != bound.method else found.method,
        ),
        p_noninferior=max(test.p_noninferior, margin_p_value(*units, None, margin, "greater", single_binary=False)),
        p_regression=max(test.p_regression, margin_p_value(*units, None, margin, "less", single_binary=False)),
        num_differing=test.num_differing,
    )
