"""Who answers questions: the interface of judges, and the judge that is a language model behind any engine.

A judge keeps nothing and knows no price: stored verdicts and the number of calls are bench.py's.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import msgspec

from harness.engines.recipe import CAN_WEIGH
from harness.errors import SpecError, UsageError
from harness.interfaces import Engine
from harness.judging.answers import strip_reasoning
from harness.judging.question import text_digest
from harness.judging.records import JudgeIdentity, Question, Template, Verdict, VerdictKey
from harness.judging.template import FOLLOW_UP, ask_verdict_alone, read_verdict, render
from harness.plan import request_seed
from harness.schema import CheckpointRef, Choice, EngineSpec, Generation, Message, Request, RequestKey, Sampling
from harness.spec import JudgeConfig, canonical_json

FAILED = "failed"
"""Label of a verdict that is none because the engine could not serve its question; its text says why."""


class Judge(Protocol):
    """Turns questions into verdicts."""

    def ask(self, questions: Iterable[Question]) -> Iterator[Verdict]:
        """Yield one verdict per question, in any order, as they come; its value is None where none could be read.

        An exception means that the judge as a whole is dead.
        """

    def close(self) -> None:
        """Release what it holds."""


class GenerativeJudge:
    """A language model that is shown answers and says what it thinks of them."""

    def __init__(self, make_engine: Callable[[], Engine], config: JudgeConfig, identity: JudgeIdentity) -> None:
        """Keep the settings; the engine is made when there is a question.

        Args:
            make_engine: called once.
            config: how it is asked.
            identity: what judge_identity returned.
        """
        self.may_call: Callable[[], bool] = lambda: True
        """Asked before each call of the engine; once it says no, what is left is not asked and has no verdict."""
        self._make_engine = make_engine
        self._config = config
        self._identity = identity
        self._engine: Engine | None = None
        self._model: str | None = None

    def ask(self, questions: Iterable[Question]) -> Iterator[Verdict]:
        """Yield one verdict per question, as they come; those that wrote none are asked again when the rest is through.

        Raises:
            UsageError: if likelihoods were asked for and a template has no words to weigh.
            EngineError: if the engine died.
        """
        exchanges: Iterable[_Exchange] = map(self._begin, questions)
        while True:
            again = []
            for exchange in self._send(exchanges):
                if exchange.is_over or exchange.attempts >= self._config.attempts:
                    yield exchange.verdict(self._served_model())
                else:
                    again.append(exchange)
            if not again:
                return
            exchanges = again

    def close(self) -> None:
        """Close the engine, if there is one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _begin(self, question: Question) -> "_Exchange":
        assert question.template is not None, "reward models alone have questions without a template"
        template = question.template
        if self._config.read == "logprobs" and template.reading != "tokens":
            raise UsageError(
                f"template {template.name} has no two words to weigh (its verdicts are read by {template.reading}): "
                "leave read at auto in the judge's file"
            )
        weighs = weighs_words(self._identity, template)
        return _Exchange(question, template, render(template, question.fields), weighs)

    def _send(self, exchanges: Iterable["_Exchange"]) -> Iterator["_Exchange"]:
        """Ask each once; yield it when its answer is there. Those that may not be sent are over, and come last."""
        engine = self._engine = self._engine or self._make_engine()
        waiting, held = iter(exchanges), []
        under_way: dict[RequestKey, _Exchange] = {}

        def requests() -> Iterator[Request]:
            for exchange in waiting:
                if not self.may_call():
                    held.append(exchange)
                    return
                request = exchange.request(self._config)
                under_way[request.key] = exchange
                yield request

        for generation in engine.generate(requests()):
            exchange = under_way.pop(generation.key)
            exchange.hear(generation)
            yield exchange
        assert not under_way, f"the engine left {len(under_way)} questions without an answer"
        for exchange in (*held, *waiting) if held else ():
            if exchange.attempts:
                exchange.is_over = True
                yield exchange

    def _served_model(self) -> str:
        if self._model is None:  # once there is an answer, a server has named itself
            assert self._engine is not None, "something answered"
            self._model = next(iter(self._engine.describe().get("served_by") or ()), "")
        return self._model


@dataclass
class _Exchange:
    """What is said between us and the judge about one question."""

    question: Question
    template: Template
    messages: tuple[Message, ...]
    weighs: bool
    attempts: int = 0
    is_over: bool = False
    """There is a verdict, or no use in asking again."""
    _value: float | None = None
    _label: str = ""
    _texts: list[str] = field(default_factory=list)
    _tokens: list[tuple[int | None, int | None]] = field(default_factory=list)
    _seconds: float = 0.0

    def request(self, config: JudgeConfig) -> Request:
        """Return what is sent next."""
        key = RequestKey(
            task=f"judge/{self.template.name}", example_id=key_digest(self.question.key), index=self.attempts
        )
        words = self.template.words if self.weighs else ()
        max_tokens = 1 if self.weighs else config.max_tokens or self.template.max_tokens
        return Request(
            key=key,
            sampling=Sampling(temperature=config.temperature, max_tokens=max_tokens, seed=config.seed),
            seed=request_seed(config.seed, key),
            messages=self.messages,
            choices=tuple(Choice(text=word) for word in words),
        )

    def hear(self, generation: Generation) -> None:
        """Take the judge's answer; where it has no verdict, the next request asks for the verdict alone."""
        self.attempts += 1
        self._seconds += generation.seconds
        self._tokens.append((generation.num_prompt_tokens, generation.num_completion_tokens))
        self._texts.append(generation.text if generation.error is None else generation.error)
        if generation.error is not None:
            self.is_over, self._label = True, FAILED
        elif self.weighs:
            self.is_over = True
            first, second = generation.likelihoods
            self._weigh(first.logprob, second.logprob)
        else:
            said = strip_reasoning(generation.text, ("think",))
            if (read := read_verdict(self.template, said)) is not None:
                self.is_over = True
                self._value, self._label = read
            else:
                self._follow_up(said)

    def verdict(self, model: str) -> Verdict:
        """Return what came of it."""
        sums = [None if None in counts else sum(counts) for counts in zip(*self._tokens, strict=True)]
        return Verdict(
            key=self.question.key,
            value=self._value,
            where=self.question.where,
            label=self._label,
            text="\n\n".join(text for text in self._texts if text),
            attempts=self.attempts,
            model=model,
            num_prompt_tokens=sums[0],
            num_completion_tokens=sums[1],
            seconds=self._seconds,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _weigh(self, first: float, second: float) -> None:
        """Take the share of the first word in the likelihood of both."""
        gap = second - first
        if math.isnan(gap):  # neither is possible at all
            self._label = FAILED
            self._texts[-1] = f"the judge finds neither {' nor '.join(self.template.words)} possible"
            return
        small = math.exp(-abs(gap))
        self._value = small / (1 + small) if gap > 0 else 1 / (1 + small)
        self._label = "=".join(self.template.words) if gap == 0 else self.template.words[gap > 0]

    def _follow_up(self, said: str) -> None:
        told = ask_verdict_alone(self.template)
        if said.strip():
            reply = Message(role="assistant", content=said)
            self.messages = (*self.messages, reply, Message(role="user", content=told))
        else:  # many chat templates refuse an empty turn, and two turns of one side
            last = msgspec.structs.replace(self.messages[-1], content=f"{self.messages[-1].content}\n\n{told}")
            self.messages = (*self.messages[:-1], last)


def key_digest(key: VerdictKey) -> str:
    """Return the name of a question in requests."""
    return text_digest(canonical_json(msgspec.to_builtins(key)).decode())


def choose_reading(config: JudgeConfig, engine: EngineSpec) -> Literal["logprobs", "text"]:
    """Return how verdicts are read of templates that have words to weigh.

    Raises:
        SpecError: if likelihoods are asked for and the engine has none.
    """
    can_weigh = engine.name in CAN_WEIGH
    if config.read == "logprobs" and not can_weigh:
        raise SpecError(
            f"judge: read is logprobs, and engine {engine.name} cannot weigh words: "
            f"leave read at auto, or use one of {', '.join(sorted(CAN_WEIGH))}"
        )
    return "text" if config.read == "text" or not can_weigh else "logprobs"


def weighs_words(identity: JudgeIdentity, template: Template) -> bool:
    """Return whether a judge's verdicts by this template are likelihoods of its words."""
    return identity.settings.get("reading") == "logprobs" and template.reading == "tokens"


def judge_identity(config: JudgeConfig, checkpoint: CheckpointRef | str, engine: EngineSpec) -> JudgeIdentity:
    """Return what decides the verdicts of a language model.

    The number of attempts is not part of it: it decides how many questions stay without a verdict, and none of the
    verdicts, so that more attempts can be given to what is left.

    Args:
        config: how it is asked.
        checkpoint: its weights, pinned; the name that a server has for it.
        engine: what decides the engine's tokens.

    Raises:
        SpecError: if likelihoods are asked for and the engine has none.
    """
    settings: dict[str, Any] = {
        "reading": choose_reading(config, engine),
        "temperature": config.temperature,
        "seed": config.seed if config.temperature > 0 else 0,
        "max_tokens": config.max_tokens,
        "enable_thinking": config.enable_thinking,
        "follow_up": FOLLOW_UP,
    }
    if settings["reading"] == "logprobs" and engine.name == "openai":
        settings["top_logprobs"] = config.engine.top_logprobs  # a word that is not among them counts as impossible
    name, model = config.label, checkpoint
    if isinstance(checkpoint, CheckpointRef):
        pinned = checkpoint.fingerprint
        settings |= {"tokenizer": pinned.tokenizer, "chat_template": pinned.template}
        name, model = name or checkpoint.label, pinned.weights
    return JudgeIdentity(
        name=name or str(checkpoint),
        kind="generative",
        model=str(model),
        engine=msgspec.to_builtins(engine),
        settings=settings,
    )
