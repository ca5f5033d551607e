"""What the lengths of answers add to a difference of win rates: raw against length-controlled, from the same draws."""

import zlib
from dataclasses import replace

import numpy as np

from harness.findings import LengthEffect
from harness.pairing import PairedTask
from harness.stats.estimate import Floats, unit_numbers
from harness.stats.length_control import Battles, compare_length_control
from harness.stats.resample import fewest_resamples
from harness.verdicts import Ints, TaskVerdicts

MAX_RESAMPLES = 1000
"""Each draw fits two models, about 1 ms each for 805 instructions."""


def measure_length_effect(pair: PairedTask, level: float, seed: int, num_resamples: int) -> LengthEffect | None:
    """Return a difference of win rates with and without length; None where the scores do not have both lengths.

    Args:
        pair: the two sides, example by example.
        level: coverage of the intervals.
        seed: with the task's name it fixes the draws.
        num_resamples: those of the report; MAX_RESAMPLES of them, or as many as the level needs, are drawn.
    """
    units = unit_numbers(pair.clusters, pair.num_examples)
    base, candidate = _battles(pair.base, units), _battles(pair.candidate, units)
    if base is None or candidate is None:
        return None
    if base.difficulties is None or candidate.difficulties is None:  # one model for both, or they cannot be subtracted
        base, candidate = replace(base, difficulties=None), replace(candidate, difficulties=None)
    rng = np.random.default_rng([seed, zlib.crc32(pair.name.encode()), 5])
    draws = min(num_resamples, max(MAX_RESAMPLES, fewest_resamples(level)))
    found = compare_length_control(base, candidate, rng, draws, level)
    return LengthEffect(
        raw=found.raw,
        controlled=found.controlled,
        length_effect=found.length_effect,
        base_length=float(pair.base.measures["length"].mean()),
        candidate_length=float(pair.candidate.measures["length"].mean()),
        baseline_length=float(pair.candidate.measures["baseline_length"].mean()),
    )


def _battles(verdicts: TaskVerdicts, units: Ints) -> Battles | None:
    """Return a side's answers against the baseline's, a row a generation; None without lengths of all of them."""
    lengths, others = (verdicts.measures.get(name) for name in ("length", "baseline_length"))
    if lengths is None or others is None or np.isnan(lengths + others).any():
        return None
    difficulties = verdicts.measures.get("difficulty")
    return Battles(
        preferences=_flat(verdicts.values),
        gaps=_flat(others - lengths),
        difficulties=None if difficulties is None or np.isnan(difficulties).any() else _flat(difficulties),
        clusters=np.repeat(units, verdicts.values.shape[1]),
    )


def _flat(numbers: Floats) -> Floats:
    return np.asarray(numbers.reshape(-1))
