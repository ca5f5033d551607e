"""What a candidate gains on the examples its training prompts overlap with, and on the clean ones."""

import math
from collections.abc import Sequence

import numpy as np

from harness.audit.findings import CleanDifference, TaskOverlap
from harness.pairing import LabelVerdicts, PairedTask, pair_tasks
from harness.schema import Estimate
from harness.stats.estimate import NO_VARIANCE, Floats, estimate_mean, unit_numbers
from harness.stats.paired import Clusters, estimate_difference
from harness.stats.quantile import t_quantile
from harness.stats.skew import cluster_degrees
from harness.verdicts import Bools, Ints, TaskVerdicts


def clean_differences(
    overlaps: Sequence[TaskOverlap], base: LabelVerdicts, candidate: LabelVerdicts, level: float = 0.95
) -> tuple[CleanDifference, ...]:
    """Compare a candidate with its base on the contaminated and on the clean examples of each task.

    Args:
        overlaps: what an audit of the candidate's training prompts found.
        base: the base's runs.
        candidate: the candidate's runs.
        level: coverage of the intervals.

    Returns:
        One entry for each task that the audit and both labels have, in the audit's order.

    Raises:
        UsageError: if a task has no example in common that ended without error on both sides.
    """
    pairs = {pair.name: pair for pair in pair_tasks(base, candidate)}
    return tuple(
        _split(overlap, pairs[overlap.task], candidate.label, level) for overlap in overlaps if overlap.task in pairs
    )


def difference_in_difference(
    base: Floats,
    candidate: Floats,
    clusters: Clusters,
    contaminated: Bools,
    level: float = 0.95,
    *,
    single_binary: bool,
) -> Estimate:
    """Estimate the paired difference on contaminated examples minus that on clean ones.

    Estimator: D = δ_c − δ_k, the mean of d_i = candidate_i − base_i in the contaminated part minus that in the clean
    part. Units (examples, or clusters) are independent draws; which examples are contaminated is taken as given.

    - SE² = s_c²/n_c + s_k²/n_k (Welch 1947, Biometrika 34:28), each part's as in `estimate_difference`. A cluster with
      examples in both parts counts against itself: with e_g = √(G_c/(G_c−1)) r_gc/n_c − √(G_k/(G_k−1)) r_gk/n_k and r
      the parts' residual sums, SE² = Σ_g e_g², which is Welch's where no cluster is split.
    - Interval: t with Satterthwaite's degrees (1946, Biometrics Bulletin 2:110), (V_c + V_k)²/(V_c²/f_c + V_k²/f_k),
      clipped to [−2, 2].
    - All units of a part agree, as a handful of contaminated examples often do: no variance is no certainty. The
      interval then reaches √(a_c² + a_k²) to each side, a the arms of the parts' own intervals (Zou & Donner 2008,
      Statistics in Medicine 27:1693), which say how little few agreeing examples prove.

    Simulated coverage of 95 % intervals, single verdicts, contaminated/clean examples: 50/450: 95.7 %; 10/120: 94.8 %;
    6/6: 96.0 %; 3/500: 99.8 %.

    Args:
        base: shape (n,), per-example mean scores in [0, 1].
        candidate: shape (n,), the same examples in the same order.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        contaminated: shape (n,), which examples are.
        level: coverage of the interval.
        single_binary: True where each example has exactly one 0/1 verdict per side.

    Returns:
        The estimate; all nan where a part has no examples, and all but the value where one has a single unit.
    """
    rows = (np.flatnonzero(contaminated), np.flatnonzero(~contaminated))
    dirty, clean = (_estimate(base, candidate, clusters, part, level, single_binary) for part in rows)
    value = dirty.value - clean.value
    num_units = len(np.unique(unit_numbers(clusters, len(base)))) if len(base) else 0
    stderr, low, high, method = math.nan, math.nan, math.nan, "undefined: a part with fewer than two independent units"
    if min(dirty.num_clusters, clean.num_clusters) >= 2:
        stderr, degrees = _welch(candidate - base, unit_numbers(clusters, len(base)), rows)
        below = above = t_quantile(degrees, level) * stderr
        method = "Welch"
        if 0 in (dirty.stderr, clean.stderr):
            below = math.hypot(dirty.value - dirty.ci_low, clean.ci_high - clean.value)
            above = math.hypot(dirty.ci_high - dirty.value, clean.value - clean.ci_low)
            method = "combined arms (no variance seen in a part)"
        low, high = max(-2.0, value - below), min(2.0, value + above)
    return Estimate(value, stderr, low, high, level, method, len(base), num_units)


def _welch(differences: Floats, units: Ints, parts: Sequence[Ints]) -> tuple[float, float]:
    """Return standard error and degrees of freedom of the difference of two parts' means."""
    influence = np.zeros(int(units.max()) + 1)
    variances, degrees = [], []
    for rows, sign in zip(parts, (1.0, -1.0), strict=True):
        residuals = np.bincount(units[rows], differences[rows] - differences[rows].mean(), minlength=len(influence))
        sizes = np.bincount(units[rows], minlength=len(influence)).astype(np.float64)
        count = int(np.count_nonzero(sizes))
        scaled = math.sqrt(count / (count - 1)) * residuals / len(rows)
        influence += sign * scaled
        variances.append(float(scaled @ scaled))
        degrees.append(cluster_degrees(sizes[sizes > 0]))
    stderr = math.sqrt(float(influence @ influence))
    spread = sum(variance**2 / count for variance, count in zip(variances, degrees, strict=True))
    return (stderr, sum(variances) ** 2 / spread) if stderr > NO_VARIANCE else (0.0, math.nan)


def _estimate(
    base: Floats, candidate: Floats, clusters: Clusters, rows: Ints, level: float, single_binary: bool
) -> Estimate:
    part = None if clusters is None else clusters[rows]
    return estimate_difference(base[rows], candidate[rows], part, level, single_binary=single_binary)


def _split(overlap: TaskOverlap, pair: PairedTask, label: str, level: float) -> CleanDifference:
    base, candidate = pair.base.means, pair.candidate.means
    ids = frozenset(overlap.contaminated)
    contaminated = np.array([example_id in ids for example_id in pair.base.example_ids], dtype=np.bool_)
    dirty, clean, everything = np.flatnonzero(contaminated), np.flatnonzero(~contaminated), np.arange(len(base))

    def difference(rows: Ints) -> Estimate:
        return _estimate(base, candidate, pair.clusters, rows, level, pair.is_single_binary)

    return CleanDifference(
        label=label,
        task=overlap.task,
        suite=overlap.suite,
        num_contaminated=len(dirty),
        num_clean=len(clean),
        all_examples=difference(everything),
        clean=difference(clean),
        contaminated=difference(dirty),
        difference_in_difference=difference_in_difference(
            base, candidate, pair.clusters, contaminated, level, single_binary=pair.is_single_binary
        ),
        base_clean=_mean(pair.base, pair.clusters, clean, level),
        candidate_clean=_mean(pair.candidate, pair.clusters, clean, level),
    )


def _mean(verdicts: TaskVerdicts, clusters: Clusters, rows: Ints, level: float) -> Estimate:
    values = verdicts.values[rows]
    counts = np.full(len(rows), float(values.shape[1]))
    return estimate_mean(values.sum(axis=1), counts, None if clusters is None else clusters[rows], level)
