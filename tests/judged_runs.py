"""Judged runs made from arrays and hand-made summaries, for tests of what is shown of them: no judge, no model."""

import msgspec
import numpy as np

from harness.schema import Estimate, Provenance, TaskSummary
from harness.verdicts import RunVerdicts, TaskVerdicts
from tests.labels import make_run, make_task

NUM_PROMPTS = 40
JUDGE = "big-judge"
KIN = "grlo was trained against big-judge itself"


def judged_run(label: str, chance: float, extra_length: int, kin: str | None = None) -> RunVerdicts:
    """Return a run of `debate`, judged against a baseline, of `interview`, which is rated, and of `sums`, unjudged.

    Args:
        label: of the run.
        chance: of a win at equal lengths.
        extra_length: mean characters of an answer beyond the baseline's 900; longer answers win more often.
        kin: why the judge is kin of it.
    """
    rng = np.random.default_rng(list(label.encode()))
    gaps = np.round(rng.normal(-extra_length, 200, NUM_PROMPTS))
    values = np.clip(chance - gaps / 2000 + rng.normal(0, 0.1, NUM_PROMPTS), 0.02, 0.98)
    ratings = np.round(np.clip(rng.normal(10 * chance, 1.5, NUM_PROMPTS), 1, 10))
    tasks = [
        pair_task("debate", values, 900 - gaps, np.full(NUM_PROMPTS, 900.0)),
        _with_scorer(make_task("interview", ratings / 10, "chat"), "rating", {"rating": ratings}),
        make_task("sums", (np.arange(NUM_PROMPTS) < 40 * chance).astype(float), "math"),
    ]
    run = make_run(label, tasks)
    summaries = (_debate(tasks[0], chance), _interview(tasks[1], chance))
    sessions = (_session({"name": JUDGE, "kin": kin}),)
    record = msgspec.structs.replace(run.record, tasks=summaries, sessions=sessions)
    return RunVerdicts(path=run.path, record=record, tasks=run.tasks)


def pair_task(name: str, values: np.ndarray, lengths: np.ndarray, others: np.ndarray) -> TaskVerdicts:
    """Return verdicts on answers against a baseline's, with the lengths of both."""
    task = make_task(name, values, "chat")
    return _with_scorer(task, "win rate", {"length": lengths, "baseline_length": others})


def judge_summary(task: TaskVerdicts, value: float, **metrics: Estimate) -> TaskSummary:
    """Return what a run record says of a judged task."""
    return TaskSummary(
        task=task.ref.name,
        version="1",
        suite="chat",
        metric=task.metric,
        score=estimate(value, 0.03),
        other_metrics=metrics,
        num_examples=NUM_PROMPTS,
        num_generations=1,
        num_planned=NUM_PROMPTS,
        num_scored=NUM_PROMPTS,
        num_no_answer=0,
        num_timeout=0,
        num_error=0,
        num_truncated=2,
        num_finish_unknown=0,
        num_completion_tokens=400,
        seconds=1.0,
    )


def estimate(value: float, stderr: float) -> Estimate:
    """Return a number with an interval of two standard errors."""
    return Estimate(value, stderr, value - 2 * stderr, value + 2 * stderr, 0.95, "t", NUM_PROMPTS, NUM_PROMPTS)


def _with_scorer(task: TaskVerdicts, metric: str, measures: dict[str, np.ndarray]) -> TaskVerdicts:
    ref = msgspec.structs.replace(task.ref, scorer=f"judge@{task.ref.name}-{JUDGE}-1a2b3c4d")
    found = {name: np.asarray(numbers, dtype=float).reshape(task.values.shape) for name, numbers in measures.items()}
    columns = {name: getattr(task, name) for name in task.__dataclass_fields__}
    return TaskVerdicts(**{**columns, "ref": ref, "metric": metric, "measures": found})


def _debate(task: TaskVerdicts, chance: float) -> TaskSummary:
    return judge_summary(
        task,
        float(task.values.mean()),
        baseline_characters=estimate(900.0, 0.0),
        empty=estimate(0.025, 0.01),
        lc_win_rate=estimate(chance, 0.04),
        characters=estimate(float(task.measures["length"].mean()), 30.0),
        order_agreement=estimate(0.85, 0.05),
    )


def _interview(task: TaskVerdicts, chance: float) -> TaskSummary:
    return judge_summary(
        task,
        float(task.values.mean()),
        empty=estimate(0.0, 0.0),
        characters=estimate(1234.5, 60.0),
        rating=estimate(10 * chance, 0.25),
        rating_1=estimate(10 * chance + 0.5, 0.3),
        rating_2=estimate(10 * chance - 0.5, 0.3),
    )


def _session(judge: dict[str, object]) -> Provenance:
    return Provenance(
        harness_version="1.0.0",
        git_commit=None,
        git_dirty=None,
        packages={},
        device="cpu",
        python="3.12",
        platform="linux",
        command="harness eval",
        started_at="2026-01-01T00:00:00+00:00",
        engine={"judge": judge},
        num_done_before=0,
    )
