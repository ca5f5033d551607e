"""What judging costs, told before it starts, and how many calls of a judge a command may make.

The rule: calls that were allowed by number are made without a question, and never one more. Without a number, a judge
on this machine is free; for a server elsewhere a person is asked, and where there is none it is refused.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.errors import BudgetError
from harness.judging.judge import weighs_words
from harness.judging.records import JudgeIdentity, Question
from harness.judging.template import render
from harness.spec import JudgeConfig

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English; other scripts take more tokens."""


@dataclass(frozen=True)
class CallEstimate:
    """What asking some questions costs at most."""

    judge: str
    num_questions: int
    max_calls: int
    """If every question takes all attempts."""
    prompt_tokens: int
    """Of asking each once; characters / 4."""
    max_completion_tokens: int
    """Of asking each once."""
    costs: tuple[float, float] | None
    """Of asking each once without an answer, and of all attempts with the longest ones; None without prices."""

    def __str__(self) -> str:
        """One sentence for people."""
        calls = f"{self.num_questions:,}" + (f" to {self.max_calls:,}" if self.max_calls > self.num_questions else "")
        costs = f"; {self.costs[0]:,.2f} to {self.costs[1]:,.2f} by the given prices" if self.costs else ""
        return (
            f"{calls} calls of judge {self.judge}, each question once about {self.prompt_tokens:,} prompt tokens "
            f"(characters / {CHARACTERS_PER_TOKEN}) and at most {self.max_completion_tokens:,} in its answers{costs}"
        )


Confirm = Callable[[CallEstimate], bool]
"""Asks a person whether to go ahead."""


def estimate_calls(config: JudgeConfig, identity: JudgeIdentity, questions: Sequence[Question]) -> CallEstimate:
    """Return what it costs at most to ask these questions."""
    num_characters = max_calls = completion = 0
    price_in, price_out = config.price_in or 0.0, config.price_out or 0.0
    least = most = 0.0
    for question in questions:
        template = question.template
        if template is None:
            length, attempts, tokens = sum(len(text) for _, text in question.turns) + len(question.answer), 1, 0
        else:
            length = sum(len(message.content) for message in render(template, question.fields))
            weighs = weighs_words(identity, template)
            attempts, tokens = (1, 1) if weighs else (config.attempts, config.max_tokens or template.max_tokens)
        num_characters, max_calls, completion = num_characters + length, max_calls + attempts, completion + tokens
        prompt = length / CHARACTERS_PER_TOKEN
        # each further attempt is shown the answers before it
        prompts = attempts * prompt + tokens * attempts * (attempts - 1) / 2
        least += prompt * price_in / 1e6
        most += (prompts * price_in + attempts * tokens * price_out) / 1e6
    is_priced = config.price_in is not None or config.price_out is not None
    return CallEstimate(
        judge=identity.name,
        num_questions=len(questions),
        max_calls=max_calls,
        prompt_tokens=num_characters // CHARACTERS_PER_TOKEN,
        max_completion_tokens=completion,
        costs=(least, most) if is_priced else None,
    )


class Budget:
    """Calls that one command may make of a judge, and those that it made."""

    def __init__(self, config: JudgeConfig, identity: JudgeIdentity, confirm: Confirm | None) -> None:
        """Set the limit.

        Args:
            config: with the number of calls and the prices.
            identity: of the judge.
            confirm: asks a person; None where none is there.
        """
        self.num_calls = 0
        self.is_exhausted = False
        """Whether a call was refused."""
        self._config = config
        self._identity = identity
        self._confirm = confirm
        self._is_free = identity.kind == "reward" or (config.max_calls is None and not is_remote(config, identity))
        self._limit = config.max_calls or 0
        """Grows by what a person agrees to, where no number was given."""

    def estimate(self, questions: Sequence[Question]) -> CallEstimate:
        """Return what it costs at most to ask these questions."""
        return estimate_calls(self._config, self._identity, questions)

    def admit(self, missing: Sequence[Question]) -> None:
        """Let questions pass that are about to be asked.

        Raises:
            BudgetError: if they are more than allowed; nothing was asked then.
        """
        if self._is_free or not missing:
            return
        left = self._limit - self.num_calls
        if self._config.max_calls is not None:
            if len(missing) > left:
                raise BudgetError(
                    f"missing verdicts: {len(missing):,}; calls left of judge {self._identity.name}: {left:,} of the "
                    f"{self._limit:,} allowed; expected {self.estimate(missing)}: raise --max-judge-calls, or judge "
                    "fewer answers"
                )
            return
        estimate = self.estimate(missing)
        if estimate.max_calls <= left:
            return
        if self._confirm is None:
            raise BudgetError(f"no terminal to ask on about {estimate}: allow them with --max-judge-calls N")
        if not self._confirm(estimate):
            raise BudgetError(f"not agreed to, so nothing was asked: {estimate}")
        self._limit = self.num_calls + estimate.max_calls

    def may_call(self) -> bool:
        """Count a call; False if it is one too many, and then it must not be made."""
        if not self._is_free and self.num_calls >= self._limit:
            self.is_exhausted = True
            return False
        self.num_calls += 1
        return True

    def exhausted(self, num_missing: int) -> BudgetError:
        """Return the error of a judge that ran out of calls on the way."""
        return BudgetError(
            f"{self._limit:,} calls of judge {self._identity.name} allowed, {self.num_calls:,} used, {num_missing:,} "
            "verdicts still missing; what it said is kept: raise --max-judge-calls and run the same command again"
        )


def is_remote(config: JudgeConfig, identity: JudgeIdentity) -> bool:
    """Return whether a judge runs on another machine, where calls may cost money."""
    if identity.engine.get("name") != "openai":
        return False
    host = urlsplit(config.engine.base_url or "").hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
