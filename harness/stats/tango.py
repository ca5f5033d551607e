"""Tango's score test and interval for paired proportions, and their closed form where all pairs agree."""

import math

from harness.stats.quantile import z_quantile


def tango_statistic(gains: int, losses: int, num_examples: int, difference: float) -> float:
    """Return Tango's score statistic for H0: the paired proportions differ by `difference`.

    T = (b − c − nδ) / sqrt(n (2q + δ(1 − δ))) for b gains and c losses in n pairs, with q the maximum likelihood
    estimate of a loss's probability under H0: q = (sqrt(B² − 4AC) − B)/2A, A = 2n, B = −b − c + (2n − b + c)δ,
    C = −cδ(1 − δ) (Tango 1998). At δ = 0 it is McNemar's (b − c)/sqrt(b + c). Where H0 leaves no variance
    the statistic is 0 if H0 fits the data exactly, else ±inf. Requires n ≥ 1.
    """
    excess, variance = _tango_terms(gains, losses, num_examples, difference)
    if variance > 0:
        return excess / math.sqrt(variance)
    return math.copysign(math.inf, excess) if excess else 0.0


def tango_interval(gains: int, losses: int, num_examples: int, level: float = 0.95) -> tuple[float, float]:
    """Return Tango's score interval for a difference of paired proportions: all δ with |T(δ)| ≤ z.

    Assumes independent pairs. Never of zero width: with n pairs that all agree, the share w = z²/(n + z²) may still
    differ. n = 0 gives nan; n = 1 is defined and wide.
    """
    if num_examples == 0:
        return math.nan, math.nan
    from scipy.optimize import brentq

    value = (gains - losses) / num_examples
    if gains + losses == 0 or num_examples in (gains, losses):
        return agreement_interval(value, num_examples, level)  # T(value) is 0/0 here; the limits have a closed form
    z = z_quantile(level)

    def gap(difference: float, quantile: float) -> float:
        excess, variance = _tango_terms(gains, losses, num_examples, difference)
        return excess - quantile * math.sqrt(max(0.0, variance))  # T − z without its pole at ±1

    return float(brentq(gap, -1.0, value, args=(z,))), float(brentq(gap, value, 1.0, args=(-z,)))


def _tango_terms(gains: int, losses: int, num_examples: int, difference: float) -> tuple[float, float]:
    """Numerator and squared denominator of Tango's statistic."""
    a = 2 * num_examples
    b = -gains - losses + (2 * num_examples - gains + losses) * difference
    c = -losses * difference * (1 - difference)
    loss_share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = num_examples * (2 * loss_share + difference * (1 - difference))
    return gains - losses - num_examples * difference, variance


def agreement_interval(value: float, num_units: int, level: float) -> tuple[float, float]:
    """Return the interval of a difference that all units share; the argument is in `paired.estimate_difference`."""
    z = z_quantile(level)
    share = z * z / (num_units + z * z)
    return value - share * (1 + value), value + share * (1 - value)


def agreement_statistic(value: float, num_units: int, difference: float) -> float:
    """Return the signed z at which the agreement interval's limit touches `difference`; ±inf where none does."""
    room = 1 + difference if value > difference else 1 - difference
    if value == difference:
        return 0.0
    if room == 0:
        return math.copysign(math.inf, value - difference)
    return math.copysign(math.sqrt(num_units * abs(value - difference) / room), value - difference)
