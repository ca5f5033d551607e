"""Tasks × examples × generations → ordered requests, each with its own seed. The plan fixes every denominator."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from harness.errors import DataError, StoreError
from harness.interfaces import Earlier, Scorer, Task
from harness.schema import STYLES, Example, LoadedData, Message, Request, RequestKey, RunSpec, Sampling, TaskRef

ANSWER_TO_COME = "…"
"""Stands for an earlier turn's answer where a plan is shown before anything was answered."""


class Marks:
    """Which requests of a plan are done: one byte a request, so that memory stays small however many there are."""

    def __init__(self, planned: "Sequence[PlannedTask]") -> None:
        self._rows = {item.ref.name: item.rows for item in planned}
        self._done = {
            item.ref.name: np.zeros((len(item.examples), item.ref.sampling.num_generations), dtype=np.bool_)
            for item in planned
        }

    def __contains__(self, key: RequestKey) -> bool:
        return bool(self._done[key.task][self._rows[key.task][key.example_id], key.index])

    def add(self, key: RequestKey) -> None:
        """Mark a request as done.

        Raises:
            StoreError: if it is not in the plan, or done already.
        """
        row = self._rows.get(key.task, {}).get(key.example_id)
        if row is None or not 0 <= key.index < self._done[key.task].shape[1]:
            raise StoreError(f"{describe_key(key)} is not in the plan: the run directory was edited; use --fresh")
        if self._done[key.task][row, key.index]:
            raise StoreError(f"{describe_key(key)} is there twice: the run directory was edited; use --fresh")
        self._done[key.task][row, key.index] = True

    def count(self, task: str) -> int:
        """Return how many requests of a task are done."""
        return int(self._done[task].sum())

    @property
    def total(self) -> int:
        """Number of requests done."""
        return sum(self.count(task) for task in self._done)

    def first_missing(self, task: str) -> RequestKey | None:
        """Return the first request of a task that is not done; None if all are."""
        row, index = divmod(int(np.argmin(self._done[task])), self._done[task].shape[1])
        if self._done[task].size == 0 or self._done[task][row, index]:
            return None
        return RequestKey(task=task, example_id=list(self._rows[task])[row], index=index)


def describe_key(key: RequestKey) -> str:
    """Return a key as people write it: task/example#index."""
    return f"{key.task}/{key.example_id}#{key.index}"


@dataclass(frozen=True)
class PlannedTask:
    """A task with its rows, pinned; what the runner works through."""

    task: Task
    ref: TaskRef
    examples: tuple[Example, ...]
    """After `limit`."""
    scorer: Scorer

    @cached_property
    def rows(self) -> dict[str, int]:
        """Position of each example by its id."""
        return {example.example_id: row for row, example in enumerate(self.examples)}

    @cached_property
    def earlier(self) -> dict[str, tuple[str, ...]]:
        """example_ids of the turns before an example's own, first turn first; first turns are not among the keys."""
        earlier: dict[str, tuple[str, ...]] = {}
        for row, example in enumerate(self.examples):
            if (followed := self.task.follows(example)) is not None:
                assert self.rows.get(followed, -1) < row, f"{example.example_id} stands before {followed}"
                earlier[example.example_id] = (*earlier.get(followed, ()), followed)
        return earlier

    @property
    def num_requests(self) -> int:
        """Number of generations the plan asks for."""
        return len(self.examples) * self.ref.sampling.num_generations


def pin_task(
    task: Task, data: LoadedData, scorer: Scorer, sampling: Sampling, prompting: str, limit: int | None
) -> PlannedTask:
    """Fix a task's rows, prompt, scorer and sampling.

    Raises:
        DataError: if two rows share an example_id.
    """
    examples = data.examples if limit is None else data.examples[:limit]
    seen: set[str] = set()
    for example in examples:
        if example.example_id in seen:
            raise DataError(f"{task.name}: example_id {example.example_id} occurs twice in {data.source}")
        seen.add(example.example_id)
    ref = TaskRef(
        name=task.name,
        version=task.version,
        suite=task.suite,
        data_sha256=data.sha256,
        prompt=task.prompt_id(prompting),
        scorer=f"{scorer.name}@{scorer.version}",
        sampling=sampling,
        num_examples=len(examples),
    )
    return PlannedTask(task=task, ref=ref, examples=examples, scorer=scorer)


def plan_requests(
    planned: Sequence[PlannedTask], prompting: str, answers: Mapping[RequestKey, str] | None = None
) -> Iterator[Request]:
    """Yield every request of a run in plan order: task by task, example by example, index by index.

    Args:
        planned: the tasks.
        prompting: how they are put; where text is imported, requests ask nothing.
        answers: what earlier turns of conversations were answered. A turn is left out if an answer before it is not
            among them. None plans every turn, with a place-holder for answers that are yet to come.
    """
    is_asked = prompting in STYLES
    for item in planned:
        for example in item.examples:
            choices = item.task.choices(example, prompting) if is_asked else ()
            messages, prompt = None, None
            for index in range(item.ref.sampling.num_generations):
                key = RequestKey(task=item.ref.name, example_id=example.example_id, index=index)
                if is_asked and (index == 0 or example.example_id in item.earlier):
                    earlier = find_earlier(item, key, answers)
                    if earlier is None:
                        continue
                    messages, prompt = _put(item.task, example, prompting, earlier)
                yield Request(
                    key=key,
                    messages=messages,
                    prompt=prompt,
                    sampling=item.ref.sampling,
                    seed=request_seed(item.ref.sampling.seed, key),
                    choices=choices,
                )


def _put(
    task: Task, example: Example, prompting: str, earlier: Earlier
) -> tuple[tuple[Message, ...] | None, str | None]:
    """Return messages, or plain text."""
    if is_plain_text(prompting):
        return None, task.plain_prompt(example, prompting, earlier)
    return task.messages(example, earlier), None


def find_earlier(item: PlannedTask, key: RequestKey, answers: Mapping[RequestKey, str] | None) -> Earlier | None:
    """Return the turns before a request's own as they went; None if one of them has no answer."""
    earlier = []
    for example_id in item.earlier.get(key.example_id, ()):
        before = RequestKey(task=key.task, example_id=example_id, index=key.index)
        answer = ANSWER_TO_COME if answers is None else answers.get(before)
        if answer is None:
            return None
        earlier.append((item.examples[item.rows[example_id]].input, answer))
    return earlier


def is_plain_text(prompting: str) -> bool:
    """Return whether a style sends plain text to continue; imported text was not sent by us at all."""
    return prompting in STYLES and prompting != "chat"


def request_seed(seed: int, key: RequestKey) -> int:
    """Return the request's own 63-bit seed: a hash of the sampling seed and the key, so that order never matters."""
    text = msgspec.json.encode([seed, key.task, key.example_id, key.index])
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def check_same_plan(spec: RunSpec, planned: Iterable[PlannedTask]) -> None:
    """Assert that a spec and a plan speak of the same tasks (an invariant of ours, not of the user's)."""
    assert spec.tasks == tuple(item.ref for item in planned), "the spec was not made from this plan"
