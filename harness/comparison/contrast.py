"""Candidate against base on one task: difference, what it is made of, and the draws that averages are built from."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from harness.comparison.coverage import measure_coverage
from harness.comparison.length import measure_length_effect
from harness.comparison.sample import CELLS, CELLS_UNKNOWN, CellMeans, cell_columns, merge_cells
from harness.findings import Arm, Cell, Coverage, Decomposition, Outcomes, TaskComparison
from harness.pairing import PairedTask
from harness.schema import Estimate
from harness.stats.average import stretched_interval
from harness.stats.decompose import Parts, decompose
from harness.stats.estimate import NO_VARIANCE, Floats, estimate_mean, unit_numbers
from harness.stats.paired import difference_p_value, estimate_difference
from harness.stats.power import detectable_by_mcnemar, detectable_by_sign_flip
from harness.stats.skew import cluster_degrees, skewed_arms
from harness.stats.tango import agreement_interval
from harness.verdicts import Ints, TaskVerdicts


@dataclass(frozen=True)
class Settings:
    """How sure, and from which draws."""

    level: float
    seed: int
    num_resamples: int
    length_effects: bool = True
    """Whether win rates are controlled for length, which takes seconds a task."""


@dataclass(frozen=True)
class Contrast:
    """One task's comparison with the draws behind it."""

    pair: PairedTask
    comparison: TaskComparison
    """p_adjusted is nan until the whole family of tests is known."""
    base: CellMeans
    candidate: CellMeans
    references: Mapping[str, CellMeans]
    """By label; without those that have other examples."""
    elicitation_draws: Floats
    """Shape (B,)."""
    within_draws: Floats

    @property
    def difference_draws(self) -> Floats:
        """Resampled differences, shape (B,)."""
        return self.candidate.score_draws - self.base.score_draws


def contrast_task(
    pair: PairedTask,
    base: CellMeans,
    candidate: CellMeans,
    references: Mapping[str, CellMeans],
    samples: TaskVerdicts | None,
    settings: Settings,
) -> Contrast:
    """Compare two sides of a task.

    Args:
        pair: the two sides, example by example.
        base: the base's cell means and draws.
        candidate: the candidate's, from the same draws.
        references: other labels' cell means from the same draws.
        samples: sampled generations of the base on the same examples, for coverage; None if they are missing.
        settings: level and draws.
    """
    level = settings.level
    single = pair.is_single_binary
    difference = estimate_difference(pair.base.means, pair.candidate.means, pair.clusters, level, single_binary=single)
    rng = np.random.default_rng([settings.seed, zlib.crc32(pair.name.encode()), 1])
    p_value, p_method = difference_p_value(
        pair.base.means,
        pair.candidate.means,
        pair.clusters,
        rng,
        single_binary=single,
    )
    decomposition, parts = _decompose(pair, base, candidate, level)
    ref = pair.base.ref
    comparison = TaskComparison(
        task=ref.name,
        version=ref.version,
        suite=ref.suite,
        metric=pair.candidate.metric,
        num_examples=pair.num_examples,
        base=measure_arm(pair.base, pair.clusters, level),
        candidate=measure_arm(pair.candidate, pair.clusters, level),
        difference=difference,
        p_value=p_value,
        p_method=p_method,
        p_adjusted=math.nan,
        detectable=_detectable(pair, difference),
        num_gained=int((pair.differences > 0).sum()),
        num_lost=int((pair.differences < 0).sum()),
        decomposition=decomposition,
        coverage=_coverage(pair, samples, level),
        length_effect=measure_length_effect(pair, level, settings.seed, settings.num_resamples)
        if settings.length_effects
        else None,
    )
    return Contrast(pair, comparison, base, candidate, references, *parts)


def _detectable(pair: PairedTask, difference: Estimate) -> float:
    if pair.is_single_binary and pair.clusters is None:
        return detectable_by_mcnemar(int(np.count_nonzero(pair.differences)), pair.num_examples, difference.level)
    degrees = cluster_degrees(np.bincount(unit_numbers(pair.clusters, pair.num_examples)).astype(np.float64))
    return detectable_by_sign_flip(difference.stderr, degrees, difference.num_clusters, difference.level)


def measure_arm(verdicts: TaskVerdicts, clusters: Ints | None, level: float) -> Arm:
    """Measure one side of a task by itself.

    Args:
        verdicts: of examples that all ended without error.
        clusters: cluster number of each example; None if each stands alone.
        level: coverage of the interval.
    """
    num_examples, num_generations = verdicts.values.shape
    score = estimate_mean(verdicts.values.sum(axis=1), np.full(num_examples, float(num_generations)), clusters, level)
    knows_finish = bool(verdicts.finish_known.all())
    outcomes = Outcomes(
        no_answer=float(1 - verdicts.answered.mean()),
        truncated=float(verdicts.truncated.mean()) if knows_finish else math.nan,
        timeout=float(verdicts.timeout.mean()),
        mean_tokens=float(verdicts.num_tokens.mean()),
    )
    return Arm(score=score, outcomes=outcomes)


def _decompose(
    pair: PairedTask, base: CellMeans, candidate: CellMeans, level: float
) -> tuple[Decomposition, tuple[Floats, Floats]]:
    names = CELLS
    if not (base.knows_finish and candidate.knows_finish):
        names, base, candidate = CELLS_UNKNOWN, base.merge_finish(), candidate.merge_finish()
    parts = decompose(base.share, base.correct, candidate.share, candidate.correct)
    draws = decompose(base.share_draws, base.correct_draws, candidate.share_draws, candidate.correct_draws)
    left_out = _parts_without_each_unit(pair, len(names))
    units = unit_numbers(pair.clusters, pair.num_examples)

    def estimate(value: float, drawn: Floats, without: Floats, answered: bool = True) -> Estimate:
        found = _estimate_part(value, drawn, without, units, level)
        if answered:
            return found
        # without an answer a generation scores 0 by definition, so such a cell adds nothing, and that is certain
        return msgspec.structs.replace(found, value=0.0, ci_low=0.0, ci_high=0.0, method="0 by definition")

    def both(of: str, c: int, answered: bool) -> Estimate:
        value, drawn, without = (getattr(part, of) for part in (parts, draws, left_out))
        return estimate(float(value[c]), drawn[:, c], without[:, c], answered)

    cells = tuple(
        Cell(
            finished=finished,
            answered=answered,
            base_share=float(base.share[c]),
            candidate_share=float(candidate.share[c]),
            base_accuracy=_accuracy(base, c),
            candidate_accuracy=_accuracy(candidate, c),
            elicitation=both("elicitation", c, answered),
            within=both("within", c, answered),
        )
        for c, (finished, answered) in enumerate(names)
        if base.share[c] > 0 or candidate.share[c] > 0
    )
    elicitation, within = draws.elicitation.sum(axis=1), draws.within.sum(axis=1)
    decomposition = Decomposition(
        elicitation=estimate(float(parts.elicitation.sum()), elicitation, left_out.elicitation.sum(axis=1)),
        within=estimate(float(parts.within.sum()), within, left_out.within.sum(axis=1)),
        cells=cells,
    )
    return decomposition, (elicitation, within)


def _parts_without_each_unit(pair: PairedTask, num_cells: int) -> Parts:
    """Return the parts of the difference with one unit left out at a time, shape (G, C)."""
    units = unit_numbers(pair.clusters, pair.num_examples)
    columns = np.concatenate([cell_columns(side) for side in (pair.base, pair.candidate)], axis=1)
    totals = np.stack([np.bincount(units, weights=column) for column in columns.T], axis=1)
    sizes = np.bincount(units).astype(np.float64)
    left = np.maximum(pair.num_examples - sizes, 1)[:, None]  # one unit alone leaves nothing, and nothing is used of it
    means = (totals.sum(axis=0) - totals) / left
    shares = np.split(means, 4, axis=1)
    if num_cells == len(CELLS_UNKNOWN):
        shares = [merge_cells(values) for values in shares]
    return decompose(*shares)


def _estimate_part(value: float, draws: Floats, without: Floats, units: Ints, level: float) -> Estimate:
    """Return a part of a difference as an estimate.

    Standard error and percentiles of the bootstrap, the arms stretched by t/z; each arm at least as long as that of a
    mean with the skewness of the jackknife's pseudo-values (harness.stats.skew), since a cell that few generations are
    in is skewed beyond what percentiles show. Where the draws do not vary at all, the bound for units that all agree is
    given: what was never seen is not known to be impossible.
    """
    sizes = np.bincount(units).astype(np.float64)
    stderr = float(draws.std(ddof=1))
    degrees = cluster_degrees(sizes) if len(sizes) > 1 else math.nan
    low, high = stretched_interval(value, draws, degrees, level)
    method = "bootstrap" if len(sizes) > 1 else "undefined: one cluster"
    if stderr < NO_VARIANCE:
        stderr, method = 0.0, "bootstrap (no variance seen)"
        low, high = agreement_interval(value, len(sizes), level)
    elif len(sizes) > 1 and np.ptp(without) > 0:
        below, above = skewed_arms(without.mean() - without, degrees, level)
        low, high = min(low, value - below * stderr), max(high, value + above * stderr)
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=float(np.clip(low, -1, 1)),
        ci_high=float(np.clip(high, -1, 1)),
        level=level,
        method=method,
        num_examples=len(units),
        num_clusters=len(sizes),
    )


def _accuracy(means: CellMeans, cell: int) -> float:
    return float(means.correct[cell] / means.share[cell]) if means.share[cell] > 0 else math.nan


def _coverage(pair: PairedTask, samples: TaskVerdicts | None, level: float) -> Coverage:
    if samples is not None:
        return measure_coverage(pair.base, pair.candidate, samples, level)
    nothing = estimate_mean(np.zeros(0), np.zeros(0), None, level)
    return Coverage(0, (), (), nothing, "the base's sampled run does not have these examples")
