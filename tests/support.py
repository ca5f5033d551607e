"""A task and a scorer small enough to read, for tests of the machinery around them."""

import json
import threading
from pathlib import Path

from harness.plan import PlannedTask, pin_task
from harness.rows import Row
from harness.schema import (
    CheckpointRef,
    EngineSpec,
    Example,
    Fingerprint,
    Generation,
    RunSpec,
    Sampling,
    Score,
    ScorerOptions,
)
from tasks.dataset import DataSource
from tasks.prompts import VERBATIM
from tasks.task import BenchmarkTask, presets


class NumberScorer:
    """1 if the target's digits are in the text; breaks on the word `break`, cannot read an empty text."""

    name = "number"
    version = "1"

    def __init__(self, options: ScorerOptions) -> None:
        self.threads: set[str] = set()

    def check(self) -> None:
        """Need nothing."""

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge by containment."""
        self.threads.add(threading.current_thread().name)
        if "break" in generation.text:
            raise RuntimeError("a broken scorer")
        is_right = example.target is not None and example.target in generation.text
        return Score(
            key=generation.key,
            value=float(is_right),
            outcome="scored" if generation.text else "no_answer",
            answer=generation.text or None,
            scorer="number@1",
            parts={"half": (float(is_right), 0.0)},
        )

    def close(self) -> None:
        """Hold nothing."""


def parse(task: str, number: int, row: Row) -> Example:
    """Read a row of `write_rows`."""
    return Example(task=task, example_id=row["id"], input=row["question"], target=row["answer"])


def write_rows(folder: Path, num_rows: int = 12) -> None:
    """Write the toy task's local file."""
    rows = [{"id": f"q{i}", "question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(num_rows)]
    (folder / "toy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def toy_task(sha256: str = "") -> BenchmarkTask:
    """Return the toy task."""
    return BenchmarkTask(
        name="toy",
        version="1",
        suite="math",
        title="sums",
        paper="none",
        licence="none",
        protocol="none",
        metric="accuracy",
        source=DataSource(parse=parse, sha256=sha256, num_examples=12, local="toy.jsonl", hub="org/toy"),
        prompt=VERBATIM,
        scorer_factory=NumberScorer,
        presets=presets(16),
        near_miss=lambda example: "no",
        gold=lambda example: str(example.target),
    )


def toy_plan(folder: Path, num_rows: int = 12, k: int = 2) -> PlannedTask:
    """Return the toy task, pinned."""
    write_rows(folder, num_rows)
    task = toy_task()
    scorer = NumberScorer(ScorerOptions(num_workers=2))
    sampling = Sampling(temperature=1.0, num_generations=k)
    return pin_task(task, task.load(folder, None), scorer, sampling, "chat", None)


def toy_spec(planned: PlannedTask) -> RunSpec:
    """Return a spec of the toy task alone."""
    fingerprint = Fingerprint(weights="w", tokenizer="t", template="c")
    return RunSpec(
        checkpoint=CheckpointRef(label="toy-model", path="scripted:mixed", revision=None, fingerprint=fingerprint),
        tasks=(planned.ref,),
        engine=EngineSpec(name="scripted", dtype="none", device="none"),
        prompting="chat",
        enable_thinking=None,
        limit=None,
    )
