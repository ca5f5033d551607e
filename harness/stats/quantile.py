"""Quantiles of two-sided intervals: how many standard errors they reach for a level."""

from statistics import NormalDist


def z_quantile(level: float) -> float:
    """Return the standard normal's quantile of a two-sided interval of that coverage: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def t_quantile(degrees: float, level: float) -> float:
    """Return Student's t quantile of a two-sided interval of that coverage; nan degrees give nan."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))
