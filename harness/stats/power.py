"""How small a difference a comparison can see, and how many examples and generations would see a given one.

Planning for the two-sided paired t test of independent examples. Where examples share clusters, pass the clustered
standard error and the number of clusters to `minimum_detectable_difference`; the splits of variance know no clusters.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.stats.estimate import NO_VARIANCE, Floats
from harness.stats.quantile import z_quantile


@dataclass(frozen=True)
class VariancePair:
    """Variance of the paired difference, split by origin. All nan where fewer than two examples were seen."""

    between: float
    """Variance over examples of the true difference; also holds every `within` part that is nan."""
    within_base: float
    """Mean over examples of the variance of one of the base's generations; nan where it could not be split off."""
    within_candidate: float
    """The same of the candidate."""

    @property
    def within(self) -> float:
        """Sum of the parts that further generations average away."""
        return float(np.nansum([self.within_base, self.within_candidate]))


def minimum_detectable_difference(stderr: float, num_clusters: int, level: float = 0.95, power: float = 0.8) -> float:
    """Return the true difference that a two-sided t test at 1 − level would find with probability `power`.

    Solves the power of the noncentral t distribution with G − 1 degrees of freedom (statsmodels' TTestPower) for the
    standardised effect e and returns e · stderr · sqrt(G). Assumes that stderr would be the same at that
    difference. It describes the design; it is not power after the fact.

    Args:
        stderr: standard error of the paired difference.
        num_clusters: number G of independent units behind it.
        level: 1 − significance level.
        power: probability of finding the difference.

    Returns:
        The difference, in the units of stderr; nan for fewer than two units, where stderr is nan or 0, and for two
        units at a level above 0.9999 (SciPy cannot evaluate that noncentral t).
    """
    if num_clusters < 2 or not stderr > NO_VARIANCE or (num_clusters == 2 and level > 0.9999):
        return math.nan
    from scipy.optimize import brentq

    def gap(effect: float) -> float:
        return _t_power(effect, num_clusters, level) - power

    # TTestPower.solve_power does this too, but gives up where its fixed brackets miss the answer.
    high = _normal_effect(level, power) / math.sqrt(num_clusters)
    while gap(high) < 0:
        high *= 2
    return float(brentq(gap, 0.0, high)) * stderr * math.sqrt(num_clusters)


def detectable_by_sign_flip(
    stderr: float, degrees: float, num_units: int, level: float = 0.95, power: float = 0.8
) -> float:
    """Return the true difference that the sign-flip test of G units at 1 − level would find with probability `power`.

    As `minimum_detectable_difference`, which it agrees with for more than a handful of units, at G* = degrees + 1
    effective ones. Fewer than 6 units can never reject at 5 %: the smallest p is 2^(1 − G).

    Returns:
        The difference in (0, 1]; nan where the test cannot reject, where none up to 1 would be found, or anything is
        undefined.
    """
    if math.isnan(degrees) or 2.0 ** (1 - num_units) > 1 - level:
        return math.nan
    found = minimum_detectable_difference(stderr, max(2, math.floor(degrees + 1e-9) + 1), level, power)
    return found if found <= 1 else math.nan


def detectable_by_mcnemar(num_discordant: int, num_examples: int, level: float = 0.95, power: float = 0.8) -> float:
    """Return the true difference that the exact McNemar test at 1 − level would find with probability `power`.

    With single 0/1 verdicts the exact test is what decides, and it needs at least six pairs that all go one way: hardly
    any discordance does not make it sensitive. Solves Σ_m P(m) P(reject | m) = power for δ, with m ~ Binomial(n, ψ)
    discordant pairs, gains | m ~ Binomial(m, ½ + δ/2ψ), and ψ the larger of the seen share of discordant pairs and δ.

    Args:
        num_discordant: pairs that differ in the pilot.
        num_examples: number of pairs n.
        level: 1 − significance level.
        power: probability of finding the difference.

    Returns:
        δ in (0, 1]; nan for n = 0, and where even δ = 1 would not be found (n < 6 at 5 %).
    """
    if num_examples == 0 or _mcnemar_power(1.0, num_discordant, num_examples, level) < power:
        return math.nan
    from scipy.optimize import brentq

    def lack(difference: float) -> float:
        return _mcnemar_power(difference, num_discordant, num_examples, level) - power

    return float(brentq(lack, 1e-9, 1.0, xtol=1e-5))


def _mcnemar_power(difference: float, num_discordant: int, num_examples: int, level: float) -> float:
    """Return the probability that the two-sided exact test rejects, counting both directions."""
    from scipy.stats import binom

    share = max(num_discordant / num_examples, difference)
    spread = 6 * math.sqrt(num_examples * share * (1 - share)) + 1
    centre = num_examples * share
    discordant = np.arange(max(0, math.floor(centre - spread)), min(num_examples, math.ceil(centre + spread)) + 1)
    weights = binom.pmf(discordant, num_examples, share)
    # the largest count c with P(X ≤ c) ≤ α/2 under ½; ppf gives the first above it
    edge = binom.ppf((1 - level) / 2, discordant, 0.5)
    edge = np.where(binom.cdf(edge, discordant, 0.5) <= (1 - level) / 2, edge, edge - 1)
    gain = 0.5 + difference / (2 * share)
    rejects = binom.cdf(edge, discordant, gain) + binom.sf(discordant - edge - 1, discordant, gain)
    return float(weights @ np.where(edge >= 0, rejects, 0.0))


def required_examples(sd: float, difference: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest number of examples with which a two-sided paired t test finds `difference`.

    The inverse of `minimum_detectable_difference`, by statsmodels' TTestPower.

    Args:
        sd: standard deviation over examples of the paired difference.
        difference: true difference to be found; its sign does not matter.
        level: 1 − significance level.
        power: probability of finding it.

    Returns:
        A whole number, at least 2; inf where the difference is below sd/100,000 (0 included), which no benchmark could
        show; nan where sd or difference is nan, and where sd is 0 (a pilot without variance plans nothing).
    """
    if math.isnan(difference) or not sd > NO_VARIANCE:
        return math.nan
    effect = abs(difference) / sd
    if effect < 1e-5:
        return math.inf
    # A t test needs more examples than a z test, and never as many as a hundred more.
    first = max(2, math.floor((_normal_effect(level, power) / effect) ** 2))
    window = range(first, first + 100)
    return float(first + bisect_left(window, power, key=lambda n: _t_power(effect, n, level)))


def split_variance(base: Floats, candidate: Floats) -> VariancePair:
    """Split the variance of the per-example paired difference into examples' and generations' share.

    For example i with true success rates p0_i and p1_i and means over k0 and k1 generations, drawn independently,
    Var(d̄) = Var(p1 − p0) + within_0/k0 + within_1/k1. Each within is the mean over examples of the unbiased variance of
    its generations (one-way analysis of variance, method of moments); between is what remains, at least 0.

    Args:
        base: shape (n, k0), score of each generation of each example.
        candidate: shape (n, k1), the same examples in the same order.

    Returns:
        The parts. With one generation on a side nothing of that side can be split: its within is nan and between holds
        it. n = 0 and n = 1: all nan.
    """
    assert len(base) == len(candidate), f"{len(base)} and {len(candidate)} examples cannot be paired"
    if len(base) < 2:
        return VariancePair(math.nan, math.nan, math.nan)
    within_base, within_candidate = _within(base), _within(candidate)
    total = float(np.var(candidate.mean(axis=1) - base.mean(axis=1), ddof=1))
    noise = np.nansum([within_base / base.shape[1], within_candidate / candidate.shape[1]])
    return VariancePair(max(0.0, total - float(noise)), within_base, within_candidate)


def split_variance_one(values: Floats, correlation: float) -> VariancePair:
    """Guess the parts of a paired difference from a pilot run of one checkpoint.

    Assumes, and cannot check, that the other checkpoint has the same variances and that the true success rates of the
    two correlate over examples by `correlation`: between = 2(1 − ρ) σ²_between, and the pilot's within on both sides.

    Args:
        values: shape (n, k), score of each generation of each example.
        correlation: ρ in [−1, 1], of the checkpoints' true success rates. With k = 1 these cannot be told from the
            verdicts, and ρ is the correlation of the verdicts themselves.

    Returns:
        The parts; within is nan for k = 1. n = 0 and n = 1: all nan.
    """
    assert -1 <= correlation <= 1, f"correlation {correlation} is not in [-1, 1]"
    if len(values) < 2:
        return VariancePair(math.nan, math.nan, math.nan)
    within = _within(values)
    noise = 0.0 if math.isnan(within) else within / values.shape[1]
    between = max(0.0, float(np.var(values.mean(axis=1), ddof=1)) - noise)
    return VariancePair(2 * (1 - correlation) * between, within, within)


def difference_sd(parts: VariancePair, num_generations: int) -> float:
    """Return the standard deviation over examples of the paired difference of means over k generations.

    sqrt(between + (within_base + within_candidate)/k). Exact for known parts; with an unknown (nan) within it is right
    for k = 1 and an upper bound beyond, since that part is then not divided. nan where the parts are undefined.
    """
    return math.sqrt(parts.between + parts.within / num_generations)


def required_generations(
    parts: VariancePair, num_examples: int, difference: float, level: float = 0.95, power: float = 0.8, most: int = 1024
) -> int | None:
    """Return the smallest number of generations per example with which n examples show `difference`.

    Generations average away the within part only, so n examples suffice for no k at all where the examples' own
    differences vary too much: the sd that n examples can bear is difference/e, with e the standardised effect that n
    examples show, and k ≥ within/((difference/e)² − between).

    Args:
        parts: variance of the paired difference.
        num_examples: number n of examples.
        difference: true difference to be found; its sign does not matter.
        level: 1 − significance level.
        power: probability of finding it.
        most: largest answer of use.

    Returns:
        k; None where no k up to `most` suffices or is known to (an unknown within part counts as unavoidable), where
        no variance was seen, and for fewer than two examples.
    """
    effect = minimum_detectable_difference(1.0, num_examples, level, power) / math.sqrt(max(num_examples, 1))
    spare = (difference / effect) ** 2 - parts.between
    # Written so that nan, from undefined parts or too few examples, ends here.
    if not spare > 0 or not parts.between + parts.within > NO_VARIANCE**2:
        return None
    needed = max(1.0, math.ceil(parts.within / spare - 1e-9))
    return int(needed) if needed <= most else None


def _t_power(effect: float, num_examples: int, level: float) -> float:
    """Chance that the two-sided t test finds a standardised effect, and on its true side.

    The far tail is left out: at 80 % power it holds less than one in 10^5, and its cdf is nan for few examples.
    """
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().power(effect, num_examples, (1 - level) / 2, alternative="larger"))


def _normal_effect(level: float, power: float) -> float:
    """The z test's effect in standard errors: z_{1−α/2} + z_power, a lower bound of the t test's."""
    return z_quantile(level) + NormalDist().inv_cdf(power)


def _within(values: Floats) -> float:
    """Mean over examples of the variance of one generation; nan for a single generation."""
    return float(np.var(values, axis=1, ddof=1).mean()) if values.shape[1] > 1 else math.nan
