"""The joint bootstrap: one set of resampled units serves every checkpoint and statistic of a task at once.

Draws come from here; what is made of them (averages, ratios, decompositions) is not this module's business.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.stats.estimate import Floats, unit_numbers

BLOCK_ENTRIES = 1 << 17
"""Weights held at once: a few MB, so that memory is bounded and the processor's cache holds them."""


def resample_totals(
    columns: Floats, clusters: NDArray[np.int64] | None, num_resamples: int, rng: np.random.Generator
) -> Floats:
    """Return resampled totals of each column, with the same resampled units for all columns.

    Examples (or clusters of them) are the independent units. A resample draws G − 1 of the G units with replacement
    and multiplies the totals by G/(G − 1): the rescaled bootstrap (McCarthy & Snowden 1985, Vital and Health
    Statistics 2(95); Rao & Wu 1988, JASA 83:231). The variance of a resampled mean is then s²/G, without the factor
    (G − 1)/G that the ordinary bootstrap loses. A resample is a vector of multinomial weights over units, and all
    totals are one product weights × columns; so columns of two checkpoints stay paired. A mean is the ratio of a
    column's total to that of a column of ones; any smooth function of totals may be bootstrapped in the same way.

    Args:
        columns: shape (n, C), one row per example.
        clusters: shape (n,), cluster number of each example; None means that each stands alone.
        num_resamples: number of draws, B.
        rng: source of randomness; B · (G − 1) integers are drawn.

    Returns:
        Totals, shape (B, C). Fewer than two units (n = 0, n = 1, one cluster): all nan.
    """
    units = columns if clusters is None else _sum_within(columns, clusters)
    num_units = len(units)
    totals = np.full((num_resamples, columns.shape[1]), np.nan)
    if num_units < 2:
        return totals
    scaled = units * (num_units / (num_units - 1))
    block = max(1, BLOCK_ENTRIES // num_units)
    for start in range(0, num_resamples, block):
        size = min(block, num_resamples - start)
        totals[start : start + size] = _draw_weights(num_units, size, rng) @ scaled
    return totals


def draw_units(units: NDArray[np.int64], num_resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each unit counts in each resample of the rescaled bootstrap, for statistics that are refitted.

    Args:
        units: shape (n,), number of each row's unit, from 0 without gaps (`unit_numbers`).
        num_resamples: number of draws, B.
        rng: source of randomness; B · (G − 1) integers are drawn.

    Yields:
        Shape (G,), as in `resample_totals`; nothing where there are fewer than two units.
    """
    num_units = int(units.max()) + 1 if len(units) else 0
    for _ in range(num_resamples if num_units > 1 else 0):
        times = np.bincount(rng.integers(0, num_units, num_units - 1), minlength=num_units)
        yield np.asarray(times * (num_units / (num_units - 1)), dtype=np.float64)


def fewest_resamples(level: float) -> int:
    """Return how many draws an interval of this level needs: ten in each tail beyond its ends."""
    return math.ceil(20 / (1 - level))


def percentile_interval(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the equal-tailed percentile interval of bootstrap draws (Efron & Tibshirani 1993, section 13.3).

    Args:
        draws: shape (B, ...), draws along the first axis.
        level: coverage of the interval.

    Returns:
        Lower and upper end, each of shape (...). A single nan draw makes both nan: the draws that are left would be
        those of another, conditional statistic. No draws: nan.
    """
    if len(draws) == 0:
        nothing = np.full(draws.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return low, high


def _sum_within(columns: Floats, clusters: NDArray[np.int64]) -> Floats:
    groups = unit_numbers(clusters, len(columns))
    num_groups = int(groups.max()) + 1 if len(groups) else 0
    sums = [np.bincount(groups, weights=column, minlength=num_groups) for column in columns.T]
    return np.stack(sums, axis=1)


def _draw_weights(num_units: int, size: int, rng: np.random.Generator) -> Floats:
    # Counting uniform integers gives multinomial weights an order of magnitude faster than rng.multinomial,
    # which draws one binomial for each unit.
    drawn = rng.integers(0, num_units, (size, num_units - 1), dtype=np.int32)
    cells = drawn + np.arange(size, dtype=np.int64)[:, None] * num_units
    return np.bincount(cells.ravel(), minlength=size * num_units).reshape(size, num_units).astype(np.float64)
