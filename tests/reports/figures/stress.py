"""Findings as large and as awkward as a study can be, made from the toy study's records: for figures that must fit."""

import math
from functools import cache

import msgspec
import numpy as np

from harness.findings import AverageComparison, Comparison, Decomposition, Outcomes, TaskComparison
from harness.schema import Estimate
from harness.study.findings import CostRow, PassCurve, Standing, StudyFindings, TaskStanding
from harness.watch import TrajectoryPoint
from tests.studies import make_findings

CHANGE = msgspec.structs.replace
DOMAINS = {"chat": 4, "math": 7, "code": 2, "general": 2}
"""Number of tasks."""
TASKS = {f"{suite}_task_with_a_name_{i}": suite for suite, count in DOMAINS.items() for i in range(count)}
TRAINED = (("chat",), ("math",), ("chat", "math"), ())


def estimate(value: float, half: float) -> Estimate:
    """Return an estimate with a symmetric interval; nan half width for none."""
    return Estimate(value, half / 2, value - half, value + half, 0.95, "t", 100, 100)


@cache
def stress(num_candidates: int, scale: float = 1.0, half: float = 0.04, label_length: int = 40) -> StudyFindings:
    """Return findings of so many candidates on 15 tasks in four domains.

    Args:
        num_candidates: Beside a base and two references.
        scale: What scores are multiplied with.
        half: Half width of every interval.
        label_length: Characters of every label; labels differ only at their ends.
    """
    rng = np.random.default_rng(num_candidates)
    arms = [f"candidate-{'x' * (label_length - 13)}-{i:02}" for i in range(num_candidates)]
    labels = ["base".ljust(label_length, "b"), *arms, "reference-one", "reference-two-with-a-much-longer-name"]
    scores = {label: {task: scale * rng.uniform(0.1, 0.9) for task in TASKS} for label in labels}
    toy = make_findings()
    found = tuple(
        _compare(toy.transfer.comparisons[0], labels[0], label, scores, TRAINED[i % 4], half)
        for i, label in enumerate(arms)
    )
    standings = tuple(_stand(toy.standings[0], label, i, scores[label], half) for i, label in enumerate(labels))
    steps = range(0, 500, 100)
    return CHANGE(
        toy,
        transfer=CHANGE(toy.transfer, comparisons=found),
        standings=standings,
        curves=tuple(_curve(label, task, scores, scale, half) for label in labels[:6] for task in TASKS),
        costs=tuple(_cost(toy.costs[0], label, i) for i, label in enumerate(arms)),
        trajectories={
            label: tuple(_point(toy.trajectories["grlo"][0], step, scores[label], half) for step in steps)
            for label in arms[:6]
        },
        runs=(),
    )


def _compare(
    like: Comparison, base: str, label: str, scores: dict[str, dict[str, float]], trained: tuple[str, ...], half: float
) -> Comparison:
    tasks = []
    for i, (task, suite) in enumerate(TASKS.items()):
        start, end = scores[base][task], scores[label][task]
        tasks.append(
            CHANGE(
                like.tasks[0],
                task=task,
                suite=suite,
                base=CHANGE(like.tasks[0].base, score=estimate(start, half)),
                candidate=CHANGE(like.tasks[0].candidate, score=estimate(end, half)),
                difference=estimate(end - start, half),
                p_adjusted=0.001 if i % 2 else 0.4,
                decomposition=_split(end - start, half),
            )
        )
    domains = tuple(
        _average(
            like.overall,
            suite,
            [task for task in tasks if task.suite == suite],
            suite in trained if trained else None,
            half,
        )
        for suite in DOMAINS
    )
    return CHANGE(
        like,
        base=base,
        candidate=label,
        tasks=tuple(tasks),
        domains=domains,
        overall=_average(like.overall, "overall", tasks, None, half),
        transfer=CHANGE(like.transfer, trained_on=trained),
    )


def _average(
    like: AverageComparison, name: str, tasks: list[TaskComparison], is_trained: bool | None, half: float
) -> AverageComparison:
    start = float(np.mean([task.base.score.value for task in tasks]))
    end = float(np.mean([task.candidate.score.value for task in tasks]))
    return CHANGE(
        like,
        name=name,
        tasks=tuple(task.task for task in tasks),
        base=estimate(start, half / 2),
        candidate=estimate(end, half / 2),
        difference=estimate(end - start, half / 2),
        p_adjusted=0.001,
        decomposition=_split(end - start, half / 2),
        is_trained=is_trained,
    )


def _split(difference: float, half: float) -> Decomposition:
    return Decomposition(estimate(1.4 * difference, half), estimate(-0.4 * difference, half), ())


def _stand(like: Standing, label: str, number: int, scores: dict[str, float], half: float) -> Standing:
    role = "base" if not number else "reference" if label.startswith("reference") else "candidate"
    outcomes = [Outcomes(0.1, scores[task] / 2, 0.0, 20_000 * min(scores[task], 1.0) ** 3) for task in TASKS]
    means = {suite: float(np.mean([scores[task] for task in TASKS if TASKS[task] == suite])) for suite in DOMAINS}
    return CHANGE(
        like,
        label=label,
        title="",
        role=role,
        trained_on=TRAINED[(number - 1) % 4] if role == "candidate" else (),
        tasks=tuple(
            TaskStanding(task, suite, "accuracy", 1, estimate(scores[task], half), outcome)
            for (task, suite), outcome in zip(TASKS.items(), outcomes, strict=True)
        ),
        domains={suite: estimate(value, half) for suite, value in means.items()},
        overall=estimate(float(np.mean(list(means.values()))), half),
    )


def _curve(label: str, task: str, scores: dict[str, dict[str, float]], scale: float, half: float) -> PassCurve:
    ks = tuple(2**i for i in range(8))
    start = scores[label][task]
    return PassCurve(label, task, ks, tuple(estimate(start + (scale - start) * math.log2(k) / 8, half) for k in ks))


def _cost(like: CostRow, label: str, number: int) -> CostRow:
    return CHANGE(like, label=label, gpu_hours=None if number == 3 else 10.0 ** (number % 5), on_front=number == 0)


def _point(like: TrajectoryPoint, step: int, scores: dict[str, float], half: float) -> TrajectoryPoint:
    return CHANGE(
        like, step=step, tasks={task: estimate(score * (0.5 + step / 1000), half) for task, score in scores.items()}
    )
