"""The only three interfaces: Engine, Scorer, Task. Anything with these attributes will do; nothing is registered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.schema import (
    Choice,
    EngineSpec,
    Estimate,
    Example,
    Generation,
    LoadedData,
    Message,
    Request,
    Sampling,
    Score,
    ScorerOptions,
)

Earlier = Sequence[tuple[str, str]]
"""Earlier turns of a conversation, first turn first: (question as the data set states it, what was answered)."""


class Engine(Protocol):
    """Turns requests into generations."""

    spec: EngineSpec

    def describe(self) -> dict[str, Any]:
        """Return settings worth recording that do not decide tokens (versions, batch budget, attention kernel)."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield exactly one generation per request, in any order, as they finish.

        A request that cannot be served yields a generation whose finish_reason is `error`; the engine goes on. An
        exception means that the engine as a whole is dead.
        """

    def close(self) -> None:
        """Release model memory and processes."""


class Scorer(Protocol):
    """Judges a generation."""

    name: str
    version: str
    """Changes whenever a verdict may change; limits (time, memory) are part of it."""

    def check(self) -> None:
        """Raise a HarnessError if the scorer cannot work on this machine; called before anything is generated."""

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge one generation; safe to call from several threads.

        A verdict the scorer could not reach in time has outcome `timeout`. Failure of the scorer's own machinery
        raises ScorerError or SandboxError, never a verdict.
        """

    def close(self) -> None:
        """Stop worker processes."""


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer that judges all of a task's generations together, once the engine that made them is closed: a judge.

    `score` is not called on it.
    """

    def score_all(self, items: Iterable[tuple[Example, Generation]]) -> Iterator[Score]:
        """Yield one score per generation, in any order, each as soon as it is certain.

        Generations that ended in error are not among the items. A judge that gives no verdict on one of them makes its
        score an `error`; an exception means that the judge as a whole is dead.
        """

    def metrics(self, examples: Sequence[Example], scores: Sequence[Score]) -> dict[str, Estimate]:
        """Return further metrics of the task that are no means of single scores, by name.

        Args:
            examples: all of the task's, as planned.
            scores: those that did not end in error.
        """

    def describe(self) -> dict[str, Any]:
        """Return what the run's record says of the judge; nothing if none was asked."""


class Task(Protocol):
    """Data set + prompt + scorer + metric, versioned."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def version(self) -> str:
        """Raised whenever prompt, parsing or metric changes."""

    @property
    def suite(self) -> str:
        """chat, math, code or lab-*."""

    @property
    def metric(self) -> str:
        """Name of the primary metric of one generation."""

    @property
    def data_sha256(self) -> str:
        """Registered hash of the normalised rows."""

    @property
    def scorer_factory(self) -> Callable[[ScorerOptions], Scorer]:
        """Makes the scorer; tasks with the same factory share one scorer. Starts no process before it is used."""

    def load(self, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
        """Return every example in its fixed order.

        Raises:
            DataError: if the rows cannot be had or read.
        """

    def follows(self, example: Example) -> str | None:
        """Return the example_id of the turn that this one goes on from, an earlier row; None for a first turn."""

    def messages(self, example: Example, earlier: Earlier = ()) -> tuple[Message, ...]:
        """Return the conversation that asks the example of a chat model."""

    def plain_prompt(self, example: Example, prompting: str, earlier: Earlier = ()) -> str:
        """Return the plain text that asks the example of a base model, in one of the plain styles."""

    def choices(self, example: Example, prompting: str) -> tuple[Choice, ...]:
        """Return the continuations whose likelihoods are asked for; none where text is generated."""

    def prompt_id(self, prompting: str) -> str:
        """Return name@digest of the prompt template in use."""

    def sampling(self, preset: str, prompting: str) -> Sampling:
        """Return the named sampling preset, with the stop strings that the prompting needs.

        Raises:
            UsageError: if there is no such preset.
        """
