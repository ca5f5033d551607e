"""The examples that got worse, with what both sides answered, read from the run directories' texts."""

from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from harness.gate.findings import RegressedExample
from harness.pairing import PairedTask
from harness.schema import Example, RequestKey
from harness.store import read_lines
from harness.verdicts import RunVerdicts

MAX_INPUT = 600
"""Characters kept of an example's input."""
MAX_ANSWER = 300
"""Characters kept of a target or answer."""

Place = tuple[str, str]
"""Task and example_id."""


class _Answer(msgspec.Struct):
    """What is needed of a Score."""

    key: RequestKey
    value: float
    answer: str | None


def find_regressed(
    pairs: Sequence[PairedTask], baseline: Sequence[RunVerdicts], candidate: Sequence[RunVerdicts], max_listed: int
) -> tuple[RegressedExample, ...]:
    """Return the examples whose mean score fell, task by task, the largest loss first (then in the task's order).

    Args:
        pairs: the tasks to look at.
        baseline: runs that hold the baseline's texts.
        candidate: runs that hold the candidate's texts.
        max_listed: most examples per task.

    Raises:
        StoreError: if a run directory's files cannot be read.
    """
    worst = {place: scores for pair in pairs for place, scores in _worst(pair, max_listed)}
    if not worst:
        return ()
    examples = _read_examples(baseline, worst)
    before = _read_answers(baseline, worst, best=True)
    after = _read_answers(candidate, worst, best=False)
    return tuple(
        RegressedExample(
            task=place[0],
            example_id=place[1],
            baseline_score=scores[0],
            candidate_score=scores[1],
            baseline_answer=_cut(before[place].answer, MAX_ANSWER),
            candidate_answer=_cut(after[place].answer, MAX_ANSWER),
            target=_cut(examples[place].target, MAX_ANSWER),
            input=_cut(examples[place].input, MAX_INPUT) or "",
        )
        for place, scores in worst.items()
    )


def _worst(pair: PairedTask, max_listed: int) -> list[tuple[Place, tuple[float, float]]]:
    before, after = pair.base.means, pair.candidate.means
    order = np.argsort(after - before, kind="stable")[:max_listed]
    return [
        ((pair.name, pair.base.example_ids[row]), (float(before[row]), float(after[row])))
        for row in order
        if after[row] < before[row]
    ]


def _read_examples(runs: Sequence[RunVerdicts], wanted: Collection[Place]) -> dict[Place, Example]:
    return {
        (example.task, example.example_id): example
        for run in runs
        for example in read_lines(run.path / "examples.jsonl", Example)
        if (example.task, example.example_id) in wanted
    }


def _read_answers(runs: Sequence[RunVerdicts], wanted: Collection[Place], best: bool) -> dict[Place, _Answer]:
    """Return each example's best (or worst) answer over all generations; the first of several equal ones."""
    found: dict[Place, _Answer] = {}
    for run in runs:
        for answer in read_lines(run.path / f"scores{run.grading}.jsonl", _Answer):
            place = (answer.key.task, answer.key.example_id)
            if place not in wanted:
                continue
            known = found.get(place)
            if known is None or _rank(answer, best) < _rank(known, best):
                found[place] = answer
    return found


def _rank(answer: _Answer, best: bool) -> tuple[float, int]:
    return (-answer.value if best else answer.value), answer.key.index


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None or len(text) <= length else f"{text[:length]}…"
