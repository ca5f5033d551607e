"""Several runs of one label: interquartile mean over (run, task), and how far repeated measurement moves.

A run here is one row of task scores, from one training seed or from one repetition of the same evaluation.
"""

import math

import numpy as np
from msgspec.structs import replace

from harness.schema import Estimate
from harness.stats.estimate import NO_VARIANCE, Floats
from harness.stats.quantile import t_quantile


def interquartile_mean(scores: Floats) -> float:
    """Return the mean of the middle half of all run-task scores (Agarwal et al. 2021, rliable, arXiv 2108.13264).

    A quarter of the scores is cut at each end (rounded down), so outlying runs weigh little while more of the data is
    used than by the median.

    Args:
        scores: shape (R, T), one row per run.

    Returns:
        The interquartile mean; nan without scores. One run and one task: that score.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(scores, 0.25, axis=None)) if scores.size else math.nan


def estimate_iqm(
    scores: Floats, level: float, num_resamples: int, rng: np.random.Generator, whole_runs: bool = False
) -> Estimate:
    """Estimate the interquartile mean of several runs with a bootstrap over runs.

    Stratified (rliable): each resample draws runs with replacement, independently within each task, and takes the
    interquartile mean of what it drew. That independence holds where each task was trained or sampled on its own. One
    training seed measured on all tasks moves them together; `whole_runs` then draws whole rows, the honest unit (the
    stratified interval covers 65 to 70 % instead of 95 % where half of a score's variance is its run's).

    Two departures from rliable, whose percentile interval is too narrow for a handful of runs (78 % coverage at R = 2,
    89 % at R = 5): R − 1 runs are drawn rather than R, which restores the lost factor (R − 1)/R of the variance (Rao &
    Wu 1988, JASA 83:231), and the interval is Student's, value ± t · SE with the bootstrap's SE, clipped to [0, 1].
    Degrees of freedom: R − 1 for whole runs, else T(R − 1)/2, since the middle half of the scores decides.
    Tasks and their examples are fixed: this interval is about runs, not about examples.

    Args:
        scores: shape (R, T), one row per run, in [0, 1].
        level: coverage of the interval.
        num_resamples: number of draws.
        rng: source of randomness.
        whole_runs: draw rows instead of (run, task) cells.

    Returns:
        The estimate, with num_examples = R·T scores and num_clusters = R. R = 0: nan. R = 1: the value alone, since
        one run has no spread. All runs equal: nan interval, since no variance was seen.
    """
    variance, degrees = _bootstrap_variance(scores, num_resamples, rng, whole_runs)
    found = _estimate(interquartile_mean(scores), (variance, degrees), level, scores.shape, whole_runs)
    return replace(found, ci_low=_clip(found.ci_low), ci_high=_clip(found.ci_high))


def estimate_iqm_difference(
    base: Floats,
    candidate: Floats,
    level: float,
    num_resamples: int,
    rng: np.random.Generator,
    whole_runs: bool = False,
) -> Estimate:
    """Estimate the candidate's interquartile mean minus the base's, runs resampled on each side independently.

    Each side as in `estimate_iqm`; variances add, degrees of freedom after Welch (1947, Biometrika 34:28). One base run
    (an untrained checkpoint has no training seeds) stays fixed: the interval is then about the candidate's runs only.

    Args:
        base: shape (R0, T).
        candidate: shape (R1, T), the same tasks in the same order.
        level: coverage of the interval.
        num_resamples: number of draws.
        rng: source of randomness.
        whole_runs: draw rows instead of (run, task) cells.

    Returns:
        The estimate; num_examples and num_clusters are the candidate's. R1 = 1 or R0 = 0: nan interval.
    """
    value = interquartile_mean(candidate) - interquartile_mean(base)
    variance, degrees = _bootstrap_variance(candidate, num_resamples, rng, whole_runs)
    if len(base) > 1:
        base_variance, base_degrees = _bootstrap_variance(base, num_resamples, rng, whole_runs)
        spread = variance**2 / degrees + base_variance**2 / base_degrees
        variance += base_variance
        degrees = variance**2 / spread if spread > 0 else math.nan
    elif len(base) == 0:
        variance = math.nan
    return _estimate(value, (variance, degrees), level, candidate.shape, whole_runs)


def flip_rate(verdicts: Floats) -> float:
    """Return the share of disagreeing pairs among an example's verdicts, averaged over examples.

    With m repeated 0/1 verdicts of mean p on an example, 2 p (1 − p) m/(m − 1) is exactly the share of its m(m − 1)/2
    pairs that disagree, and an unbiased estimate of the chance that two more generations would. Assumes the repeats
    are exchangeable (same checkpoint, prompt and sampling; other seeds).

    Args:
        verdicts: shape (n, m), 0 or 1; m = runs × generations per run.

    Returns:
        The rate in [0, 1]; nan for n = 0 or m < 2.
    """
    assert np.all((verdicts == 0) | (verdicts == 1)), "verdicts are 0 or 1"
    n, m = verdicts.shape
    if n == 0 or m < 2:
        return math.nan
    share = verdicts.mean(axis=1)
    return float(np.mean(2 * share * (1 - share) * m / (m - 1)))


def spread(scores: Floats) -> tuple[float, float]:
    """Return mean and sample standard deviation (n − 1) of the runs' scores.

    Args:
        scores: shape (R,).

    Returns:
        (mean, standard deviation). R = 0: both nan. R = 1: the score and nan.
    """
    mean = float(scores.mean()) if len(scores) else math.nan
    return mean, float(scores.std(ddof=1)) if len(scores) > 1 else math.nan


def expected_sd(values: Floats, num_generations: int) -> float:
    """Return the standard deviation of a run's score that sampling alone explains.

    A run's score is the mean over n fixed examples of the mean of k generations, so its variance over repetitions is
    Σ_i s_i²/k / n², with s_i² the sample variance (m − 1) of example i's scores. Compare with `spread` of repeated
    runs: more spread than this comes from something other than sampling.

    Args:
        values: shape (n, m), scores of m generations of each example, pooled over runs.
        num_generations: k, generations per example in one run.

    Returns:
        The standard deviation; nan for n = 0 or m < 2; 0 where every example's scores agree (greedy decoding).
    """
    if len(values) == 0 or values.shape[1] < 2:
        return math.nan
    return math.sqrt(float(values.var(axis=1, ddof=1).sum()) / num_generations) / len(values)


def _bootstrap_variance(
    scores: Floats, num_resamples: int, rng: np.random.Generator, whole_runs: bool
) -> tuple[float, float]:
    """Return the variance of the interquartile mean over resampled runs, and its degrees of freedom."""
    from scipy.stats import trim_mean

    num_runs, num_tasks = scores.shape
    if num_runs < 2:
        return math.nan, math.nan
    picks = rng.integers(0, num_runs, (num_resamples, num_runs - 1, 1 if whole_runs else num_tasks))
    drawn = scores[picks, np.arange(num_tasks)].reshape(num_resamples, -1)
    means = trim_mean(drawn, 0.25, axis=1)
    degrees = num_runs - 1 if whole_runs else max(num_runs - 1, num_tasks * (num_runs - 1) / 2)
    return float(means.var(ddof=1)), degrees


def _estimate(
    value: float, error: tuple[float, float], level: float, shape: tuple[int, ...], whole_runs: bool
) -> Estimate:
    variance, degrees = error
    stderr = math.sqrt(variance)
    half = math.nan
    if math.isnan(stderr):
        method = "undefined: one run has no spread" if shape[0] == 1 else "undefined: no runs"
    elif stderr < NO_VARIANCE:
        method = "undefined: no variance seen between runs"
    else:
        half = t_quantile(degrees, level) * stderr
        method = f"{'bootstrap of whole runs' if whole_runs else 'stratified bootstrap of runs'}, t"
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=value - half,
        ci_high=value + half,
        level=level,
        method=method,
        num_examples=shape[0] * shape[1],
        num_clusters=shape[0],
    )


def _clip(bound: float) -> float:
    return bound if math.isnan(bound) else min(1.0, max(0.0, bound))
