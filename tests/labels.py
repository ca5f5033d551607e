"""Labels made from arrays, for tests of everything that compares: no run directory, no model."""

from pathlib import Path

import msgspec
import numpy as np

from harness.pairing import LabelVerdicts, gather_labels
from harness.schema import (
    CheckpointRef,
    EngineSpec,
    Fingerprint,
    RunRecord,
    RunSpec,
    Sampling,
    TaskRef,
    TrainingCost,
)
from harness.spec import spec_id
from harness.stats.estimate import Floats
from harness.verdicts import RunVerdicts, TaskVerdicts


def make_task(
    name: str,
    values: Floats,
    suite: str = "math",
    *,
    answered: Floats | None = None,
    truncated: Floats | None = None,
    finish_known: bool = True,
    clusters: tuple[str | None, ...] | None = None,
    ids: tuple[str, ...] | None = None,
    **changes: object,
) -> TaskVerdicts:
    """Return verdicts of shape (n, k); `changes` go into the task's ref."""
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    n, k = values.shape
    temperature = 0.0 if k == 1 else 1.0
    ref = TaskRef(
        name=name,
        version="1",
        suite=suite,
        data_sha256="d" * 64,
        prompt="prompt/chat@1",
        scorer="scorer@1",
        sampling=Sampling(temperature=temperature, num_generations=k),
        num_examples=n,
    )
    known = np.full((n, k), finish_known)
    return TaskVerdicts(
        ref=msgspec.structs.replace(ref, **changes),
        metric="accuracy" if k == 1 else f"avg@{k} accuracy",
        example_ids=ids or tuple(f"q{row}" for row in range(n)),
        clusters=clusters or (None,) * n,
        values=values,
        answered=np.full((n, k), True) if answered is None else np.asarray(answered, dtype=bool).reshape(n, k),
        timeout=np.full((n, k), False),
        truncated=np.full((n, k), False) if truncated is None else np.asarray(truncated, dtype=bool).reshape(n, k),
        finish_known=known,
        num_tokens=np.full((n, k), 10.0),
    )


def make_run(
    label: str,
    tasks: list[TaskVerdicts],
    *,
    weights: str | None = None,
    template: str | None = "t",
    training: TrainingCost | None = None,
    **changes: object,
) -> RunVerdicts:
    """Return a run of some tasks; `changes` go into its spec."""
    fingerprint = Fingerprint(weights=weights or label, tokenizer="k", template=template)
    spec = RunSpec(
        checkpoint=CheckpointRef(label=label, path=label, revision=None, fingerprint=fingerprint),
        tasks=tuple(task.ref for task in tasks),
        engine=EngineSpec(name="hf", dtype="float32", device="cpu"),
        prompting="chat",
        enable_thinking=None,
        limit=None,
    )
    spec = msgspec.structs.replace(spec, **changes)
    record = RunRecord(
        spec_id=spec_id(spec),
        spec=spec,
        status="complete",
        tasks=(),
        training=training,
        sessions=(),
        finished_at="2026-01-01T00:00:00+00:00",
    )
    return RunVerdicts(path=Path("runs") / label / record.spec_id, record=record, tasks={t.ref.name: t for t in tasks})


def make_label(label: str, *tasks: TaskVerdicts, **changes: object) -> LabelVerdicts:
    """Return a label with one run."""
    return gather_labels([make_run(label, list(tasks), **changes)])[0]  # type: ignore[arg-type]


def draw_pair(rng: np.random.Generator, n: int, before: float, after: float, k: int = 1) -> tuple[Floats, Floats]:
    """Return 0/1 verdicts of two sides, shape (n, k) each, whose examples differ in difficulty on both alike."""
    difficulty = rng.normal(0, 0.2, n)
    chances = [np.clip(mean + difficulty, 0, 1)[:, None] for mean in (before, after)]
    first, second = (rng.binomial(1, np.repeat(chance, k, axis=1)).astype(float) for chance in chances)
    return first, second
