"""Candidate against base on one task: difference, what it is made of, and the draws that averages are built from."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from harness.coverage import measure_coverage
from harness.findings import Arm, Cell, Coverage, Decomposition, Outcomes, TaskComparison
from harness.pairing import PairedTask
from harness.sample import CELLS, CELLS_UNKNOWN, CellMeans
from harness.schema import Estimate
from harness.stats.decompose import decompose
from harness.stats.estimate import Floats, estimate_mean
from harness.stats.paired import difference_p_value, estimate_difference
from harness.stats.power import minimum_detectable_difference
from harness.stats.resample import percentile_interval
from harness.stats.tango import agreement_interval
from harness.verdicts import TaskVerdicts


@dataclass(frozen=True)
class Settings:
    """How sure, and from which draws."""

    level: float
    seed: int
    num_resamples: int


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
        num_resamples=settings.num_resamples,
    )
    decomposition, parts = _decompose(pair, base, candidate, level)
    ref = pair.base.ref
    comparison = TaskComparison(
        task=ref.name,
        version=ref.version,
        suite=ref.suite,
        metric=pair.candidate.metric,
        num_examples=pair.num_examples,
        base=_arm(pair, pair.base, level),
        candidate=_arm(pair, pair.candidate, level),
        difference=difference,
        p_value=p_value,
        p_method=p_method,
        p_adjusted=math.nan,
        detectable=minimum_detectable_difference(difference.stderr, difference.num_clusters, level),
        num_gained=int((pair.differences > 0).sum()),
        num_lost=int((pair.differences < 0).sum()),
        decomposition=decomposition,
        coverage=_coverage(pair, samples, level),
    )
    return Contrast(pair, comparison, base, candidate, references, *parts)


def _arm(pair: PairedTask, side: TaskVerdicts, level: float) -> Arm:
    num_generations = side.values.shape[1]
    score = estimate_mean(
        side.values.sum(axis=1), np.full(pair.num_examples, float(num_generations)), pair.clusters, level
    )
    knows_finish = bool(side.finish_known.all())
    outcomes = Outcomes(
        no_answer=float(1 - side.answered.mean()),
        truncated=float(side.truncated.mean()) if knows_finish else math.nan,
        timeout=float(side.timeout.mean()),
        mean_tokens=float(side.num_tokens.mean()),
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

    def estimate(value: float, drawn: Floats, answered: bool = True) -> Estimate:
        found = estimate_from_draws(value, drawn, pair, level)
        if answered:
            return found
        # without an answer a generation scores 0 by definition, so such a cell adds nothing, and that is certain
        return msgspec.structs.replace(found, value=0.0, ci_low=0.0, ci_high=0.0, method="0 by definition")

    cells = tuple(
        Cell(
            finished=finished,
            answered=answered,
            base_share=float(base.share[c]),
            candidate_share=float(candidate.share[c]),
            base_accuracy=_accuracy(base, c),
            candidate_accuracy=_accuracy(candidate, c),
            elicitation=estimate(float(parts.elicitation[c]), draws.elicitation[:, c], answered),
            within=estimate(float(parts.within[c]), draws.within[:, c], answered),
        )
        for c, (finished, answered) in enumerate(names)
        if base.share[c] > 0 or candidate.share[c] > 0
    )
    elicitation, within = draws.elicitation.sum(axis=1), draws.within.sum(axis=1)
    decomposition = Decomposition(
        elicitation=estimate(float(parts.elicitation.sum()), elicitation),
        within=estimate(float(parts.within.sum()), within),
        cells=cells,
    )
    return decomposition, (elicitation, within)


def estimate_from_draws(value: float, draws: Floats, pair: PairedTask, level: float) -> Estimate:
    """Return a bootstrapped part of a difference as an estimate.

    Percentile interval. Where the draws do not vary at all, the bound for units that all agree is given instead: what
    was never seen is not known to be impossible.
    """
    num_clusters = pair.num_examples if pair.clusters is None else len(np.unique(pair.clusters))
    stderr = float(draws.std(ddof=1))
    low, high = (float(end) for end in percentile_interval(draws, level))
    method = "bootstrap" if num_clusters > 1 else "undefined: one cluster"
    if stderr < 1e-12:
        stderr, method = 0.0, "bootstrap (no variance seen)"
        low, high = agreement_interval(value, num_clusters, level)
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=low,
        ci_high=high,
        level=level,
        method=method,
        num_examples=pair.num_examples,
        num_clusters=num_clusters,
    )


def _accuracy(means: CellMeans, cell: int) -> float:
    return float(means.correct[cell] / means.share[cell]) if means.share[cell] > 0 else math.nan


def _coverage(pair: PairedTask, samples: TaskVerdicts | None, level: float) -> Coverage:
    if samples is not None:
        return measure_coverage(pair.base, pair.candidate, samples, level)
    nothing = estimate_mean(np.zeros(0), np.zeros(0), None, level)
    return Coverage(0, (), (), nothing, "the base's sampled run does not have these examples")
