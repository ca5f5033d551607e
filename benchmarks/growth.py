"""Do time and memory grow in step with the number of requests? Store, score, compare and report, from 1,000 on.

Each stage of each size is a process of its own, timed after its imports. Requests are three tasks (a domain each) with
8 generations an example, from the scripted engine. *append*: generations and scores of 1 kB each written as a run
writes them; *read*: all of them read back; *score*: whole runs by the runner, with a scorer that costs next to nothing;
*compare*: two such runs loaded and compared, 10,000 resamples; *report*: `harness report` of the two.

A stage has a fixed part, which a run of 24 requests shows. What a request costs on top of it must not grow: the ratio
is the CPU time of a request at the largest size over that at the smallest that takes at least half as long again as the
fixed part, and 0.1 s. Where no two sizes do, the fixed part outweighs all else, and `< 1` says that a request of the
largest size costs less than one of the smallest, fixed part included. --full adds 1,000,000 requests: some 9 minutes on
two busy cores, and 2 GB of scratch files.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [--sizes 1000 10000 100000] [--full]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Figure, Grid, Results, add_json, save

SUITES = ("chat", "math", "code")
K = 8
FIXED = len(SUITES) * K
"""Requests of the smallest run there is: an example a task."""
TEXT = "so we get 42, and " * 55


def plan(num_requests: int) -> list[Any]:
    """Return three tasks that come to about so many requests."""
    from harness.plan import pin_task
    from harness.schema import Example, Generation, LoadedData, Sampling, Score
    from tasks.dataset import DataSource
    from tasks.prompts import VERBATIM
    from tasks.task import BenchmarkTask, presets

    class DigitScorer:
        name, version = "digit", "1"

        def check(self) -> None:
            pass

        def score(self, example: Example, generation: Generation) -> Score:
            value = float(str(example.target) in generation.text)
            return Score(generation.key, value, "scored", str(example.target), "digit@1")

        def close(self) -> None:
            pass

    def parse(*_: Any) -> Example:
        raise AssertionError("rows are made, never read")

    planned = []
    sampling = Sampling(temperature=1.0, num_generations=K)
    for suite in SUITES:
        num_examples = round(num_requests / K / len(SUITES))
        examples = tuple(Example(suite, str(i), f"What is {i} + {i}?", str(2 * i % 10)) for i in range(num_examples))
        source = DataSource(parse=parse, sha256="0" * 64, num_examples=num_examples, local="", hub="")
        task = BenchmarkTask(
            name=suite, version="1", suite=suite, title=suite, paper="", licence="", protocol="", metric="accuracy",
            source=source, prompt=VERBATIM, scorer_factory=lambda _: DigitScorer(), presets=presets(64),
            near_miss=None, gold=None,
        )  # fmt: skip
        data = LoadedData(examples, "0" * 64, "made up")
        planned.append(pin_task(task, data, DigitScorer(), sampling, "chat", None))
    return planned


def open_store(folder: Path, label: str, planned: list[Any]) -> Any:
    """Return the store of a run on the tasks."""
    from harness.schema import CheckpointRef, EngineSpec, Fingerprint, RunSpec
    from harness.store import RunStore, run_path

    checkpoint = CheckpointRef(label, "scripted:mixed", None, Fingerprint(label, "t", "c"))
    engine = EngineSpec(name="scripted", dtype="none", device="none")
    spec = RunSpec(checkpoint, tuple(item.ref for item in planned), engine, "chat", None, None)
    return RunStore(run_path(folder, spec), spec)


def append(num_requests: int, folder: Path) -> Callable[[], None]:
    """Write generations and scores."""
    from harness.plan import plan_requests
    from harness.schema import Generation, Score

    planned = plan(num_requests)

    def work() -> None:
        store = open_store(folder / "raw", "raw", planned)
        for request in plan_requests(planned, "chat"):
            store.generations.append(Generation(request.key, TEXT, "stop", 100, 200, 0.1))
            store.scores.append(Score(request.key, 1.0, "scored", "42", "digit@1"))
        store.close()

    return work


def read(num_requests: int, folder: Path) -> Callable[[], None]:
    """Read back what `append` wrote."""
    from harness.schema import Generation, Score
    from harness.store import read_lines

    (path,) = (folder / "raw" / "raw").iterdir()

    def work() -> None:
        found = sum(1 for _ in read_lines(path / "generations.jsonl", Generation))
        assert found == sum(1 for _ in read_lines(path / "scores.jsonl", Score))

    return work


def score(num_requests: int, folder: Path) -> Callable[[], None]:
    """Run base and candidate from plan to record."""
    import msgspec

    from harness.engines.scripted import ScriptedEngine
    from harness.provenance import collect_provenance
    from harness.runner import Progress, execute

    class Shifted(ScriptedEngine):
        """Another model: it draws otherwise."""

        def generate(self, requests: Any) -> Any:
            yield from super().generate(msgspec.structs.replace(each, seed=each.seed ^ 1) for each in requests)

    planned = plan(num_requests)

    def run(label: str, engine: ScriptedEngine) -> None:
        store = open_store(folder, label, planned)
        execute(planned, store, lambda: engine, collect_provenance, None, Progress(), 2)
        store.close()

    def work() -> None:
        run("base", ScriptedEngine("mixed"))
        run("candidate", Shifted("mixed"))

    return work


def compare(num_requests: int, folder: Path) -> Callable[[], None]:
    """Load both runs and compare them."""
    from harness.comparison.report import CompareOptions, Sides, compare_labels
    from harness.pairing import load_label

    def work() -> None:
        base, candidate = (load_label(folder / label) for label in ("base", "candidate"))
        compare_labels(Sides(base, (candidate,)), CompareOptions())

    return work


def report(num_requests: int, folder: Path) -> Callable[[], None]:
    """Write the report of both runs."""
    from harness.cli.main import main as harness

    def work() -> None:
        arguments = ["report", str(folder / "base"), str(folder / "candidate"), "-o", str(folder / "report")]
        assert harness(arguments) == 0

    return work


STAGES = {"append": append, "read": read, "score": score, "compare": compare, "report": report}
NUM_PASSES = {"score": 2, "compare": 2, "report": 2}
"""Runs that a stage goes through: what it costs is given per request of them."""


@dataclass(frozen=True)
class Cost:
    """What a stage took at one size."""

    num_requests: int
    seconds: float
    cpu_seconds: float
    """Of the process and its children: what other work on the machine does not stretch."""
    megabytes: float


def measure(stage: str, num_requests: int, folder: Path) -> Cost:
    """Let a process of its own do a stage."""
    command = [sys.executable, __file__, "--worker", stage, "--sizes", str(num_requests), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{stage} of {num_requests:,} requests failed:\n{done.stderr[-2000:]}")
    return Cost(num_requests * NUM_PASSES.get(stage, 1), *json.loads(done.stdout.splitlines()[-1]))


def work(stage: str, num_requests: int, folder: Path) -> None:
    """Do a stage and print its seconds, also of CPU, and its peak memory, children included."""
    run = STAGES[stage](num_requests, folder)
    started, cpu_started = time.perf_counter(), sum(os.times()[:4])
    run()
    seconds, cpu_seconds = time.perf_counter() - started, sum(os.times()[:4]) - cpu_started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps([seconds, cpu_seconds, peak]))


def growth(costs: Sequence[Cost]) -> float | None:
    """Return how much dearer a request is at the largest size; None if the fixed part, the first cost, hides it."""
    fixed = costs[0].cpu_seconds
    floor = max(1.5 * fixed, 0.1)
    each = [(cost.cpu_seconds - fixed) / cost.num_requests for cost in costs[1:] if cost.cpu_seconds > floor]
    return each[-1] / each[0] if len(each) > 1 else None


def describe(stage: str, costs: Sequence[Cost]) -> list[tuple[str, ...]]:
    """Return a row a size, the fixed part first."""
    ratio = growth(costs)
    first, last = (cost.cpu_seconds / cost.num_requests for cost in (costs[1], costs[-1]))
    told = f"{ratio:.2f}" if ratio is not None else "< 1" if last < first else "–"
    rows = []
    for cost in costs:
        shown = told if cost is costs[-1] else "–"
        each = "–" if cost is costs[0] else f"{1000 * cost.seconds / cost.num_requests:.3f}"
        times = (f"{cost.seconds:.2f}", f"{cost.cpu_seconds:.2f}", each)
        rows.append((stage, f"{cost.num_requests:,}", *times, f"{cost.megabytes:.0f}", shown))
    return rows


COLUMNS = ("stage", "requests", "s", "s of CPU", "s per 1,000 requests", "peak MB", "largest over smallest")


def main() -> None:
    """Measure every stage at every size, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="requests of a run")
    parser.add_argument("--full", action="store_true", help="1,000,000 requests as well")
    parser.add_argument("--folder", type=Path, help="of scratch files; it is left empty")
    parser.add_argument("--worker", choices=list(STAGES), help=argparse.SUPPRESS)
    add_json(parser)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.sizes[0], options.folder)
        return
    costs: dict[str, list[Cost]] = {stage: [] for stage in STAGES}
    for size in [FIXED, *sorted({*options.sizes, *([1_000_000] if options.full else [])})]:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for stage, found in costs.items():
                found.append(measure(stage, size, Path(folder)))
                print(f"{stage:8} {size:>9,} requests {found[-1].seconds:8.2f} s", file=sys.stderr, flush=True)
    rows = [row for stage, found in costs.items() for row in describe(stage, found)]
    for row in (COLUMNS, *rows):
        print("".join(f"{cell:>{max(len(name), 9) + 2}}" for name, cell in zip(COLUMNS, row, strict=True)))
    figures = [
        Figure(f"growth: {stage}, {found[-1].num_requests:,} requests", found[-1].seconds, "s")
        for stage, found in costs.items()
    ]
    save(options.json, Results(tuple(figures), (Grid("Growth", COLUMNS, tuple(rows)),)))


if __name__ == "__main__":
    main()
