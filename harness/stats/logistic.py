"""A weighted logistic fit of shares of a win, and the estimate its bootstrap gives. Terms are the callers' business."""

import math
import warnings

import numpy as np

from harness.schema import Estimate
from harness.stats.estimate import NO_VARIANCE, Floats
from harness.stats.resample import percentile_interval

UNINFORMED = 1000.0
"""A coefficient's standard error, in log-odds, that only a likelihood without a maximum leaves: it is flat there."""


def fit_logistic(design: Floats, shares: Floats, weights: Floats) -> Floats:
    """Return the coefficients of greatest likelihood Σ weight · (share · log p + (1 − share) · log(1 − p)).

    Args:
        design: shape (n, T), terms whose weighted sum is the log-odds of p; nan where a term is undefined.
        shares: shape (n,), in [0, 1].
        weights: shape (n,), how often each row counts.

    Returns:
        Shape (T,); 0 for a term that is 0 in every row. All nan where there is no single maximum: no rows, undefined
        terms, terms that determine each other, shares that the terms separate.
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    nothing = np.full(design.shape[1], np.nan)
    used = design.any(axis=0)
    if not len(design) or np.isnan(design).any() or np.linalg.matrix_rank(design[:, used]) < used.sum():
        return nothing
    coefficients = np.zeros(design.shape[1])
    if not used.any():
        return coefficients
    with warnings.catch_warnings(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # statsmodels calls every exact fit a separation, that of all ties too; `UNINFORMED` tells them apart.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        # Separated verdicts add 1 to the log-odds in each iteration; this tolerance stops far beyond `UNINFORMED`.
        fit = GLM(shares, design[:, used], family=Binomial(), freq_weights=weights).fit(tol=1e-10)
    if not (fit.converged and fit.bse.max() < UNINFORMED):
        return nothing
    coefficients[used] = fit.params
    return coefficients


def bootstrap_estimate(
    value: float, draws: Floats, level: float, num_examples: int, num_clusters: int, reason: str = "no fit"
) -> Estimate:
    """Return an estimate whose error is the spread of refits to resampled units, with their percentile interval.

    Args:
        value: the statistic of the data themselves.
        draws: shape (B,), that of each resample.
        level: coverage of the interval.
        num_examples: rows behind the value.
        num_clusters: independent units behind it.
        reason: why there is no value, where it is nan.

    Returns:
        The estimate. Without error and interval where the value or a single draw is nan; with error 0 and no interval
        where no draw differs.
    """
    stderr = float(draws.std(ddof=1)) if len(draws) > 1 else math.nan
    low, high = math.nan, math.nan
    if math.isnan(value):
        method = f"undefined: {reason}"
    elif math.isnan(stderr):
        method = "undefined: resamples without a fit"
    elif stderr < NO_VARIANCE:
        stderr, method = 0.0, "undefined: no variance seen"
    else:
        low, high = (float(end) for end in percentile_interval(draws, level))
        method = "refitted bootstrap"
    return Estimate(value, stderr, low, high, level, method, num_examples, num_clusters)
