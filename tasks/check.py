"""The self-check behind `harness tasks check`: references score 1, empty and near-miss answers score 0."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from harness.interfaces import Scorer
from harness.schema import Example, Generation, RequestKey, Score
from tasks.task import BenchmarkTask


@dataclass
class TaskCheck:
    """What a check of one task found."""

    task: str
    num_examples: int
    is_judged: bool
    """A judge decides what an answer scores: of such tasks only the rows are checked."""
    num_gold: int | None
    """References that score 1; None if the data has none."""
    num_near_miss: int | None
    """Near misses that score 0; None if the task names none."""
    num_empty: int = 0
    """Empty answers that score 0."""
    failures: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    """References that cannot score 1, for a reason the task states."""


def check_task(task: BenchmarkTask, examples: Sequence[Example], scorer: Scorer, num_workers: int) -> TaskCheck:
    """Score reference, empty and near-miss answers of every example."""
    found = TaskCheck(
        task=task.name,
        num_examples=len(examples),
        is_judged=task.judging is not None,
        num_gold=None if task.gold is None else 0,
        num_near_miss=None if task.near_miss is None else 0,
    )

    if found.is_judged:
        return found

    def score(make_text: Callable[[Example], str] | None, example: Example) -> Score | None:
        if make_text is None:
            return None
        key = RequestKey(task=task.name, example_id=example.example_id, index=0)
        return scorer.score(example, _generation(key, make_text(example)))

    with ThreadPoolExecutor(num_workers) as pool:
        golds = pool.map(partial(score, task.gold), examples)
        empties = pool.map(partial(score, lambda example: ""), examples)
        misses = pool.map(partial(score, task.near_miss), examples)
        for example, is_gold, is_empty, is_miss in zip(examples, golds, empties, misses, strict=True):
            _count(task, found, example, is_gold, is_empty, is_miss)
    return found


def _count(
    task: BenchmarkTask, found: TaskCheck, example: Example, gold: Score | None, empty: Score | None, miss: Score | None
) -> None:
    where = example.example_id
    if gold is not None:
        assert found.num_gold is not None
        found.num_gold += gold.value == 1.0
        if gold.value != 1.0 and where in task.known_exceptions:
            found.known.append(f"{where}: {task.known_exceptions[where]}")
        elif gold.value != 1.0:
            found.failures.append(f"{where}: the reference scores {gold.value} ({gold.outcome}: {gold.detail})")
    assert empty is not None
    found.num_empty += empty.value == 0.0
    if empty.value != 0.0:
        found.failures.append(f"{where}: an empty answer scores {empty.value}")
    if miss is not None:
        assert found.num_near_miss is not None
        found.num_near_miss += miss.value == 0.0
        if miss.value != 0.0:
            found.failures.append(f"{where}: a near miss scores {miss.value}: {miss.answer!r}")


def _generation(key: RequestKey, text: str) -> Generation:
    return Generation(
        key=key, text=text, finish_reason="stop", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
    )
