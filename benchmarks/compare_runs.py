"""How long does `harness compare` take on a whole study? One base, 10 candidates, 15 tasks, 10,000 resamples.

The run directories hold random verdicts under the names of a realistic mixture; the time does not depend on what they
are. Reading the files and computing are measured apart. The peer for the resampling alone is in resampling.py.

    OMP_NUM_THREADS=1 python benchmarks/compare_runs.py [--generations 1] [--candidates 10]
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, Results, add_json, save

from harness.comparison.report import CompareOptions, Sides, compare_labels
from harness.pairing import LabelVerdicts, gather_labels
from harness.schema import (
    CheckpointRef,
    EngineSpec,
    Example,
    Fingerprint,
    Generation,
    RequestKey,
    RunRecord,
    RunSpec,
    Sampling,
    Score,
    TaskRef,
    TaskSummary,
)
from harness.spec import spec_id
from harness.stats.estimate import estimate_mean
from harness.store import RunStore, run_path
from harness.verdicts import find_runs, load_run

SIZES = (1319, 500, 30, 30, 40, 272, 674, 164, 378, 541, 805, 500, 80, 198, 1000)
"""Examples per task, as in resampling.py."""
SUITES = ("chat", "math", "code")


def write_run(root: Path, label: str, k: int, rng: np.random.Generator) -> Path:
    """Write one finished run directory and return its label's folder."""
    sampling = Sampling(temperature=1.0 if k > 1 else 0.0, num_generations=k)
    refs = tuple(
        TaskRef(f"task{t}", "1", SUITES[t % 3], "0" * 64, "prompt@1", "scorer@1", sampling, size)
        for t, size in enumerate(SIZES)
    )
    fingerprint = Fingerprint(weights=label, tokenizer="t", template="c")
    engine = EngineSpec(name="scripted", dtype="none", device="none")
    spec = RunSpec(CheckpointRef(label, label, None, fingerprint), refs, engine, "chat", None, None)
    store = RunStore(run_path(root, spec), spec)
    store.keep_examples(
        Example(ref.name, str(i), "question", "answer") for ref in refs for i in range(ref.num_examples)
    )
    for ref in refs:
        right = rng.random((ref.num_examples, k)) < rng.uniform(0.2, 0.8)
        for row, index in np.ndindex(right.shape):
            key = RequestKey(task=ref.name, example_id=str(row), index=int(index))
            store.generations.append(Generation(key, "text " * 50, "stop", 100, 200, 0.1))
            store.scores.append(Score(key, float(right[row, index]), "scored", "answer", "scorer@1"))
    summaries = tuple(summary(ref, k) for ref in refs)
    store.finish(RunRecord(spec_id(spec), spec, "complete", summaries, None, (), "2026-01-01T00:00:00+00:00"))
    store.close()
    return root / label


def summary(ref: TaskRef, k: int) -> TaskSummary:
    """Return a summary that says only what comparing reads of it."""
    nothing = estimate_mean(np.zeros(0), np.zeros(0), None)
    n = ref.num_examples
    return TaskSummary(ref.name, "1", ref.suite, "accuracy", nothing, {}, n, k, n * k, n * k, *[0] * 5, None, 0.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=10)
    add_json(parser)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        names = ["base", *(f"candidate{i}" for i in range(options.candidates))]
        paths = [write_run(Path(folder), name, options.generations, rng) for name in names]
        started = time.monotonic()
        labels: list[LabelVerdicts] = list(gather_labels(load_run(find_runs(path)[0]) for path in paths))
        read = time.monotonic()
        compare_labels(Sides(base=labels[0], candidates=tuple(labels[1:])), CompareOptions())
        done = time.monotonic()
    requests = sum(SIZES) * options.generations * len(names)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.candidates} candidates, {len(SIZES)} tasks, {requests:,} requests, 10,000 resamples")
    print(f"read {read - started:.1f} s ({requests / (read - started):,.0f} requests/s), compare {done - read:.1f} s")
    print(f"peak memory {peak:.0f} MB")
    what = f"{options.candidates} candidates on {len(SIZES)} tasks, 10,000 resamples, {requests:,} requests"
    found = (
        Figure(f"reading {what}", read - started, "s"),
        Figure("comparing them", done - read, "s"),
        Figure("peak memory of that", peak, "MB"),
    )
    save(options.json, Results(found))


if __name__ == "__main__":
    main()
