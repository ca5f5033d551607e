"""A log as the plan of an ordinary run: task, scorer and engine hand out what was recorded."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.engines.imported import IMPORTED
from harness.exchange.log import Answer, Log, LoggedTask
from harness.interfaces import Earlier, Scorer
from harness.plan import PlannedTask
from harness.schema import (
    Choice,
    Example,
    Generation,
    LoadedData,
    Message,
    Request,
    RequestKey,
    Sampling,
    Score,
    ScorerOptions,
    TaskRef,
)


class RecordedEngine:
    """Hands out the generations of a log; implements harness.interfaces.Engine."""

    spec = IMPORTED

    def __init__(self, generations: Mapping[RequestKey, Generation], log: Log) -> None:
        self._generations = generations
        self._described = {"source": str(log.source), "sha256": log.sha256, "tool": log.tool}

    def describe(self) -> dict[str, Any]:
        """Return which log it was, and what wrote it."""
        return self._described

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield the recorded generation of each request."""
        for request in requests:
            yield self._generations[request.key]

    def close(self) -> None:
        """Nothing to release."""


class RecordedScorer:
    """Hands out the verdicts of a log; implements harness.interfaces.Scorer."""

    def __init__(self, identity: str, scores: Mapping[RequestKey, Score]) -> None:
        self.name, _, self.version = identity.partition("@")
        self._scores = scores

    def check(self) -> None:
        """Nothing to look for."""

    def score(self, example: Example, generation: Generation) -> Score:
        """Return the recorded verdict."""
        return self._scores[generation.key]

    def close(self) -> None:
        """Nothing to stop."""


@dataclass(frozen=True)
class RecordedTask:
    """A task of a log; implements harness.interfaces.Task for a run in which nothing is asked any more."""

    name: str
    version: str
    suite: str
    metric: str
    data: LoadedData
    prompt: str
    scorer: Scorer
    recorded: Sampling

    @property
    def data_sha256(self) -> str:
        """Hash of the rows."""
        return self.data.sha256

    @property
    def scorer_factory(self) -> Callable[[ScorerOptions], Scorer]:
        """Return the recorded verdicts."""
        return lambda options: self.scorer

    def load(self, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
        """Return the rows."""
        return self.data

    def follows(self, example: Example) -> None:
        """Nothing waits for an answer: all are there already."""

    def messages(self, example: Example, earlier: Earlier = ()) -> tuple[Message, ...]:
        """Return the input; nobody is sent it."""
        return (Message(role="user", content=example.input),)

    def plain_prompt(self, example: Example, prompting: str, earlier: Earlier = ()) -> str:
        """Return the input; nobody is sent it."""
        return example.input

    def choices(self, example: Example, prompting: str) -> tuple[Choice, ...]:
        """Return nothing: likelihoods are recorded too."""
        return ()

    def prompt_id(self, prompting: str) -> str:
        """Return what the log says of its prompts."""
        return self.prompt

    def sampling(self, preset: str, prompting: str) -> Sampling:
        """Return what the log says of sampling."""
        return self.recorded


def plan_task(task: LoggedTask, source: Path, suite: str) -> tuple[PlannedTask, dict[RequestKey, Generation]]:
    """Return a task of a log as a planned one with its verdicts, and its generations."""
    ref = task.ref or TaskRef(
        name=task.name,
        version=task.version,
        suite=suite,
        data_sha256=task.data_sha256,
        prompt=task.prompt,
        scorer=task.scorer,
        sampling=msgspec.structs.replace(task.sampling, num_generations=task.num_generations),
        num_examples=len(task.rows),
    )
    ref = msgspec.structs.replace(ref, suite=suite)
    generations, scores = {}, {}
    for row in task.rows:
        for index, answer in enumerate(row.answers):
            key = RequestKey(task=ref.name, example_id=row.example.example_id, index=index)
            generations[key] = _generation(key, answer)
            scores[key] = _score(key, answer, ref.scorer)
    examples = tuple(row.example for row in task.rows)
    scorer = RecordedScorer(ref.scorer, scores)
    recorded = RecordedTask(
        name=ref.name,
        version=ref.version,
        suite=ref.suite,
        metric=task.metric,
        data=LoadedData(examples=examples, sha256=ref.data_sha256, source=str(source)),
        prompt=ref.prompt,
        scorer=scorer,
        recorded=ref.sampling,
    )
    return PlannedTask(task=recorded, ref=ref, examples=examples, scorer=scorer), generations


def plan_log(log: Log, suites: Mapping[str, str]) -> tuple[tuple[PlannedTask, ...], dict[RequestKey, Generation]]:
    """Return a log's tasks as planned ones, each in its suite, and all their generations."""
    planned, generations = [], {}
    for task in log.tasks:
        item, found = plan_task(task, log.source, suites[task.name])
        planned.append(item)
        generations.update(found)
    return tuple(planned), generations


def _generation(key: RequestKey, answer: Answer) -> Generation:
    return Generation(
        key=key,
        text=_encodable(answer.text),
        finish_reason=answer.finish_reason,
        num_prompt_tokens=answer.num_prompt_tokens,
        num_completion_tokens=answer.num_completion_tokens,
        seconds=answer.seconds,
        error=answer.error,
        likelihoods=answer.likelihoods,
    )


def _score(key: RequestKey, answer: Answer, scorer: str) -> Score:
    return Score(
        key=key,
        value=answer.value,
        outcome=answer.outcome,
        answer=None if answer.answer is None else _encodable(answer.answer),
        scorer=scorer,
        parts=answer.parts,
        detail=answer.detail,
    )


def _encodable(text: str) -> str:
    """Return the text with what UTF-8 cannot hold replaced: JSON can spell lone surrogates."""
    return text.encode("utf-8", "replace").decode()
