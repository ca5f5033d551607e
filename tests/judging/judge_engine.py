"""A small deterministic engine that judges as it is told: by a function of the request."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from harness.engines.failed import failed
from harness.errors import EngineError
from harness.judging.judge import GenerativeJudge, judge_identity
from harness.judging.question import pair_question
from harness.judging.records import JudgeIdentity, Question, Template
from harness.judging.template import PAIR
from harness.schema import EngineSpec, Generation, Likelihood, Request
from harness.spec import EngineConfig, JudgeConfig

REMOTE = EngineConfig(name="openai", base_url="https://judge.example/v1")


class JudgeEngine:
    """Implements harness.interfaces.Engine."""

    def __init__(
        self,
        say: Callable[[Request], str | tuple[float, float] | EngineError],
        name: str = "own",
        dies_after: int | None = None,
        shuffle: int | None = None,
    ) -> None:
        """Take what it answers.

        Args:
            say: the text, the log-probabilities of two words, or why there is neither.
            name: of the engine that it passes for.
            dies_after: answers that it gives before it raises.
            shuffle: seed by which it answers out of order, three at a time.
        """
        self.spec = EngineSpec(name=name, dtype="none", device="none")  # type: ignore[arg-type]
        self.requests: list[Request] = []
        self.is_closed = False
        self._say = say
        self._dies_after = dies_after
        self._rng = random.Random(shuffle) if shuffle is not None else None

    def describe(self) -> dict[str, Any]:
        """Return the name that it answers under."""
        return {"served_by": ["judge-2026-01-01"]}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Answer each request."""
        waiting = iter(requests)
        while window := list(islice(waiting, 3 if self._rng else 1)):
            if self._rng:
                self._rng.shuffle(window)
            for request in window:
                if len(self.requests) == self._dies_after:
                    raise EngineError("the judge's engine died")
                self.requests.append(request)
                yield self._answer(request)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    def _answer(self, request: Request) -> Generation:
        said = self._say(request)
        if isinstance(said, EngineError):
            return failed(request, str(said))
        likelihoods = ()
        if isinstance(said, tuple):
            likelihoods = tuple(Likelihood(logprob=value, is_greedy=False, num_tokens=1) for value in said)
        return Generation(
            key=request.key,
            text=said if isinstance(said, str) else "",
            finish_reason="stop",
            num_prompt_tokens=10,
            num_completion_tokens=2,
            seconds=0.5,
            likelihoods=likelihoods,
        )


def identity_of(config: JudgeConfig, engine: JudgeEngine) -> JudgeIdentity:
    """Return what names the engine as a judge."""
    return judge_identity(config, "judge", engine.spec)


def judge_of(engine: JudgeEngine, **settings: Any) -> GenerativeJudge:
    """Return a judge on the engine."""
    config = JudgeConfig(ckpt="judge", **settings)
    return GenerativeJudge(lambda: engine, config, identity_of(config, engine))


def ask_pairs(numbers: Iterable[int], template: Template = PAIR) -> list[Question]:
    """Return a question about two answers for each number; the first answer is longer in every other one."""
    return [
        pair_question(template, {"question": f"Say {i}."}, f"{i}" * (2 - i % 2), f"{i}" * (1 + i % 2), f"toy/{i}")
        for i in numbers
    ]


def last_words(request: Request) -> str:
    """Return what a request says last."""
    assert request.messages is not None
    return request.messages[-1].content
