"""How long does the joint bootstrap take? 10 checkpoints × 15 tasks × 10,000 resamples, beside scipy.stats.bootstrap.

The tasks have the sizes of a realistic mixture; scores are random verdicts, since the time does not depend on them.
The peer does less: one statistic (a task's mean) of one checkpoint at a time, where the joint bootstrap carries ten
columns of every checkpoint. Means and intervals of both are compared, so that the speed is of the same answer.

    OMP_NUM_THREADS=1 python benchmarks/resampling.py [--resamples 10000] [--repeats 3] [--peer-checkpoints 10]
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from figures import Figure, Results, add_json, save
from scipy.stats import bootstrap

from harness.stats.estimate import Floats
from harness.stats.resample import percentile_interval, resample_totals

SIZES = (1319, 500, 30, 30, 40, 272, 674, 164, 378, 541, 805, 500, 80, 198, 1000)
"""Examples per task, from the 30 of AIME to the 1,319 of GSM8K."""
NUM_CHECKPOINTS = 10
COLUMNS = 10
"""Per checkpoint: score, outcomes, and the shares and scores of the decomposition's cells."""
PEER_BATCH = 500
"""Resamples the peer holds at once, its best of 100, 500, 2000 and all."""


def make_tasks(rng: np.random.Generator) -> list[Floats]:
    """Return one array (examples, checkpoints × columns) of 0/1 verdicts per task."""
    return [(rng.random((size, NUM_CHECKPOINTS * COLUMNS)) < 0.5).astype(np.float64) for size in SIZES]


def joint_intervals(tasks: list[Floats], resamples: int) -> list[tuple[Floats, Floats]]:
    """Return percentile intervals of all column means of all tasks."""
    rng = np.random.default_rng(1)
    return [percentile_interval(resample_totals(task, None, resamples, rng) / len(task), 0.95) for task in tasks]


def peer_intervals(tasks: list[Floats], resamples: int, checkpoints: int) -> list[list[tuple[float, float]]]:
    """Return the first column's percentile interval of every task and checkpoint, one scipy call each."""
    rng = np.random.default_rng(1)
    found = []
    for task in tasks:
        columns = [task[:, checkpoint * COLUMNS] for checkpoint in range(checkpoints)]
        settings = {"n_resamples": resamples, "method": "percentile", "vectorized": True, "batch": PEER_BATCH}
        found.append([tuple(bootstrap((c,), np.mean, rng=rng, **settings).confidence_interval) for c in columns])
    return found


def timed(works: list[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Return the wall-clock seconds of each work's runs, taken in turn so that both meet the same load."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, found in zip(works, seconds, strict=True):
            started = time.monotonic()
            work()
            found.append(time.monotonic() - started)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-checkpoints", type=int, default=NUM_CHECKPOINTS, choices=range(1, NUM_CHECKPOINTS + 1))
    add_json(parser)
    options = parser.parse_args()
    tasks = make_tasks(np.random.default_rng(0))
    joint_intervals(tasks, options.resamples)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    works: list[Callable[[], object]] = [
        lambda: joint_intervals(tasks, options.resamples),
        lambda: peer_intervals(tasks, options.resamples, options.peer_checkpoints),
    ]
    ours, peer = timed(works, options.repeats)
    scale = NUM_CHECKPOINTS / options.peer_checkpoints
    examples = f"{len(SIZES)} tasks ({sum(SIZES):,} examples)"
    print(f"{NUM_CHECKPOINTS} checkpoints × {examples} × {options.resamples:,} resamples")
    print(f"{'':<58}{'intervals':>10}{'median s':>10}{'min':>8}{'max':>8}")
    rows = (
        (f"joint bootstrap, {COLUMNS} columns per checkpoint", COLUMNS, ours, 1.0),
        ("scipy.stats.bootstrap in a loop, 1 column per checkpoint", 1, peer, scale),
    )
    for name, columns, seconds, factor in rows:
        count = columns * NUM_CHECKPOINTS * len(SIZES)
        numbers = [factor * value for value in (statistics.median(seconds), min(seconds), max(seconds))]
        print(f"{name:<58}{count:>10,}" + "{:>10.2f}{:>8.2f}{:>8.2f}".format(*numbers))
    if scale > 1:
        print(f"scipy measured on {options.peer_checkpoints} checkpoints; its seconds are multiplied by {scale:g}")
    ratio = scale * statistics.median(peer) / statistics.median(ours)
    print(f"scipy / joint: {ratio:.1f} in all, {ratio * COLUMNS:.0f} per interval; joint peak memory {peak:.0f} MB")
    print(f"largest gap between interval ends, in standard errors: {largest_gap(tasks, options.resamples):.2f}")
    save(options.json, Results(describe(statistics.median(ours), scale * statistics.median(peer), options.resamples)))


def describe(ours: float, peer: float, resamples: int) -> tuple[Figure, ...]:
    """Return the figures: in all, and per interval, of which ours has more."""
    count = NUM_CHECKPOINTS * len(SIZES)
    what = f"{resamples:,} resamples of {NUM_CHECKPOINTS} checkpoints on {len(SIZES)} tasks"
    name = "scipy.stats.bootstrap in a loop"
    return (
        Figure(
            f"{what}: {count * COLUMNS:,} intervals, scipy {count:,}",
            ours,
            "s",
            peer,
            f"{name}, 1 column",
            "bootstrap, in all",
        ),
        Figure(
            "the same, per interval",
            1000 * ours / count / COLUMNS,
            "ms",
            1000 * peer / count,
            name,
            "bootstrap, an interval",
        ),
    )


def largest_gap(tasks: list[Floats], resamples: int) -> float:
    """Return how far the two answers lie apart for the first checkpoint; only ours is rescaled by n/(n − 1)."""
    worst = 0.0
    peers = peer_intervals(tasks, resamples, 1)
    for task, (low, high), [(peer_low, peer_high)] in zip(tasks, joint_intervals(tasks, resamples), peers, strict=True):
        stderr = task[:, 0].std(ddof=1) / np.sqrt(len(task))
        worst = max(worst, abs(low[0] - peer_low) / stderr, abs(high[0] - peer_high) / stderr)
    return float(worst)


if __name__ == "__main__":
    main()
