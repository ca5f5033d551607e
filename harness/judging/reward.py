"""A reward model as judge: it gives each answer a number, and of two answers prefers the one with the higher.

No answer is seen beside another, so that there is no order to swap and a pair costs two numbers, of which the
baseline's is shared by all who are compared with it. An answer that did not end is shown without the end of its turn.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec

from harness.engines.hf import resolve_hf
from harness.engines.hf_reward import HfReward, Unfinished, load_hf_reward
from harness.engines.recipe import check_settings
from harness.errors import CheckpointError, EngineError, SpecError
from harness.judging.question import text_digest
from harness.judging.records import JudgeIdentity, Question, Verdict, VerdictKey
from harness.schema import EngineSpec, Fingerprint, Message
from harness.spec import JudgeConfig, canonical_json

TEMPLATE = "reward"
"""Stands in keys for the template, which reward models have none of beside their own chat template."""

UNFINISHED: Unfinished = "open"

WINDOW = 256
"""Questions that are read ahead and sorted by length."""

GPU_BATCH = 16
"""Answers in a batch on a GPU. On a CPU each is alone by default, so that no number depends on its neighbours."""

_NO_USE = ("template", "read", "temperature", "max_tokens", "enable_thinking")
"""Settings of judges that write."""


def preference(reward_a: float, reward_b: float) -> float:
    """Return how likely the answer with the first reward is the better one, by Bradley and Terry: 1/(1 + e^(b − a)).

    The preferences of both orders add up to 1. nan where a reward is nan.
    """
    small = math.exp(-abs(reward_a - reward_b))
    loser = small / (1 + small)
    return loser if reward_a < reward_b else 1 - loser


def reward_question(turns: Sequence[tuple[str, str]], answer: str, is_finished: bool, where: str) -> Question:
    """Return the question what an answer is worth.

    Args:
        turns: role and text of the conversation before the answer.
        answer: reasoning stripped.
        is_finished: whether it ended by itself.
        where: task, example and side, for people.
    """
    key = VerdictKey(
        template=TEMPLATE,
        prompt=text_digest(canonical_json([list(turn) for turn in turns]).decode()),
        a=text_digest(answer) + ("" if is_finished else f" {UNFINISHED}"),
        b=None,
    )
    return Question(
        key=key,
        template=None,
        fields={"question": turns[-1][1] if turns else "", "answer": answer},
        where=where,
        turns=tuple(turns),
        answer=answer,
        is_finished=is_finished,
    )


class RewardJudge:
    """Implements harness.judging.judge.Judge over a reward model: a verdict's value is the reward."""

    def __init__(self, reward: HfReward, batch_size: int, max_batch_tokens: int | None = None) -> None:
        """Take a loaded reward model.

        Args:
            reward: the model.
            batch_size: Most answers in a batch.
            max_batch_tokens: Most tokens in a batch, padding included; None is no limit.
        """
        self._reward = reward
        self._batch_size = batch_size
        self._max_batch_tokens = max_batch_tokens

    def ask(self, questions: Iterable[Question]) -> Iterator[Verdict]:
        """Yield one verdict per distinct key, in any order.

        A conversation that is longer than the model's context, and a reward that is no number, have no value.

        Raises:
            HarnessError: if memory runs out, or the chat template fails.
        """
        distinct = _distinct(questions)
        while window := list(islice(distinct, WINDOW)):
            fitting = []
            for question in window:
                ids = self._encode(question)
                if flaw := self._reward.find_flaw(ids):
                    yield _verdict(question, ids, None, flaw)
                else:
                    fitting.append((ids, question))
            for batch in self._batches(sorted(fitting, key=lambda item: len(item[0]))):
                yield from self._score(batch)

    def close(self) -> None:
        """Release the model's memory."""
        self._reward.close()

    def _encode(self, question: Question) -> list[int]:
        messages = tuple(Message(role=cast(Any, role), content=text) for role, text in question.turns)
        return self._reward.encode(messages, question.answer, question.is_finished, UNFINISHED)

    def _batches(self, items: Sequence[tuple[list[int], Question]]) -> Iterator[list[tuple[list[int], Question]]]:
        batch: list[tuple[list[int], Question]] = []
        for item in items:  # shortest first: the last one is the longest
            num_tokens = (len(batch) + 1) * len(item[0])
            is_over = self._max_batch_tokens is not None and num_tokens > self._max_batch_tokens
            if batch and (is_over or len(batch) == self._batch_size):
                yield batch
                batch = []
            batch.append(item)
        if batch:
            yield batch

    def _score(self, batch: Sequence[tuple[list[int], Question]]) -> Iterator[Verdict]:
        started = time.perf_counter()
        try:
            values = self._reward.score([ids for ids, _ in batch], len(batch))
        except EngineError as error:
            what = f"lower the judge's engine.max_batch_size below {len(batch)}" if len(batch) > 1 else "it was alone"
            raise EngineError(f"{error}; {what}, or give the judge other hardware or a smaller engine.dtype") from error
        seconds = (time.perf_counter() - started) / len(batch)
        for (ids, question), value in zip(batch, values, strict=True):
            is_number = math.isfinite(value)
            why = "" if is_number else f"the reward is {value}: weights are damaged, or the dtype overflows"
            yield _verdict(question, ids, value if is_number else None, why, seconds)


def is_reward_model(folder: Path) -> bool:
    """Whether a checkpoint is a sequence classifier, by its config.json.

    Raises:
        CheckpointError: if that is there and cannot be read.
    """
    path = folder / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    names = config.get("architectures") if isinstance(config, dict) else None
    return any(str(name).endswith("ForSequenceClassification") for name in names or ())


def reward_identity(name: str, fingerprint: Fingerprint, config: JudgeConfig) -> JudgeIdentity:
    """Return what decides a reward model's verdicts.

    Args:
        name: for people.
        fingerprint: of its checkpoint.
        config: the judge's settings.

    Raises:
        HarnessError: if a setting is of no use to a reward model, or the engine cannot work here.
    """
    settings = {"unfinished": UNFINISHED, "tokenizer": fingerprint.tokenizer, "template": fingerprint.template}
    return JudgeIdentity(
        name=name,
        kind="reward",
        model=fingerprint.weights,
        engine=msgspec.to_builtins(_resolve(name, config)),
        settings=settings,
    )


def load_reward_judge(folder: Path, name: str, config: JudgeConfig) -> RewardJudge:
    """Load a reward model to judge with.

    Args:
        folder: of its checkpoint.
        name: for errors.
        config: the judge's settings.

    Raises:
        CheckpointError: if it is damaged, has no chat template, no trained score head, or several labels.
        HarnessError: if it does not fit into memory, or a setting is of no use to a reward model.
    """
    spec = _resolve(name, config)
    batch_size = config.engine.max_batch_size or (GPU_BATCH if spec.device == "cuda" else 1)
    return RewardJudge(load_hf_reward(folder, name, spec), batch_size, config.engine.max_batch_tokens)


def _resolve(name: str, config: JudgeConfig) -> EngineSpec:
    for field in msgspec.structs.fields(JudgeConfig):
        if field.name in _NO_USE and getattr(config, field.name) != field.default:
            raise SpecError(f"judge {name} is a reward model, which has no use for {field.name}; leave it out")
    if config.engine.name not in ("auto", "hf"):
        raise SpecError(f"judge {name} is a reward model, which engine hf runs, not {config.engine.name}; leave it out")
    check_settings(msgspec.structs.replace(config.engine, name="hf"))
    return resolve_hf(config.engine.dtype, config.engine.device)


def _distinct(questions: Iterable[Question]) -> Iterator[Question]:
    seen = set()
    for question in questions:
        if question.key not in seen:
            seen.add(question.key)
            yield question


def _verdict(question: Question, ids: Sequence[int], value: float | None, why: str, seconds: float = 0.0) -> Verdict:
    return Verdict(
        key=question.key,
        value=value,
        where=question.where,
        text=why,
        num_prompt_tokens=len(ids),
        num_completion_tokens=0,
        seconds=seconds,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
