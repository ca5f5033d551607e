"""What judging is made of: who judges, by which template, what was asked, what was said."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from harness.schema import Record

Reading = Literal["tokens", "letters", "comparison", "rating"]
"""How a verdict stands in a judge's text: `tokens`, one of two words (m or M); `letters`, [[A]], [[B]] or [[C]] for a
tie (FastChat); `comparison`, [[A>>B]] … [[B>>A]] (Arena-Hard); `rating`, [[1]] to [[10]] (FastChat)."""


@dataclass(frozen=True)
class Template:
    """A judge's prompt. Names in braces are replaced: question, answer_a and answer_b, or answer, and others' own."""

    name: str
    system: str
    """Empty where there is no system message."""
    user: str
    reading: Reading
    words: tuple[str, str] = ("A", "B")
    """Of `tokens`: what the judge says if the first answer is the better one, and if the second is."""
    max_tokens: int = 2048
    """Of a verdict in writing."""

    @property
    def identity(self) -> str:
        """Return name@digest of all that it says."""
        from harness.spec import content_hash

        told = [self.system, self.user, self.reading, list(self.words), self.max_tokens]
        return f"{self.name}@{content_hash(told)[:12]}"


class JudgeIdentity(Record, frozen=True):
    """All of a judge that decides its verdicts, templates apart; its hash names it in the store and in scorers."""

    name: str
    """For people."""
    kind: Literal["generative", "reward"]
    model: str
    """Digest of the weights; a server's model by its name."""
    engine: dict[str, Any]
    """The engine's spec."""
    settings: dict[str, Any]
    """How it is asked: reading, temperature, seed, thinking."""

    @property
    def digest(self) -> str:
        """Return 16 hex digits of everything but the name."""
        from harness.spec import content_hash

        return content_hash(msgspec.to_builtins(msgspec.structs.replace(self, name="")))[:16]


class VerdictKey(Record, order=True, frozen=True):
    """Identity of a verdict of one judge. Content, never position: the same texts are never asked about twice."""

    template: str
    """Template.identity; `reward` for reward models, which have none."""
    prompt: str
    """Digest of the conversation, with all that the template shows beside the answers."""
    a: str
    """Digest of the answer that is shown first, reasoning stripped."""
    b: str | None
    """Digest of the answer shown second; None where one answer is judged alone."""


class Verdict(Record, frozen=True, omit_defaults=True):
    """What a judge said, once. A line of the verdict store; the last line of a key counts."""

    key: VerdictKey
    value: float | None
    """Of a pair, the share of a win of the answer shown first, in [0, 1]; of a single answer, its rating or reward.
    None where no verdict could be read: such a question is asked again when the same command is run again."""
    where: str
    """Task, example and sides, as first asked; for people."""
    label: str = ""
    """The verdict in the template's own words, such as A>>B; `failed` where the judge could not be asked, and the text
    says why."""
    text: str = ""
    """What the judge wrote."""
    attempts: int = 1
    model: str = ""
    """As the server named itself in its answer."""
    num_prompt_tokens: int | None = None
    num_completion_tokens: int | None = None
    seconds: float = 0.0
    at: str = ""
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Question:
    """One thing to ask a judge."""

    key: VerdictKey
    template: Template | None
    """None for a reward model."""
    fields: dict[str, str]
    """What fills the template: always `question`, `answer_a`, `answer_b` for pairs; `answer` for one."""
    where: str
    turns: tuple[tuple[str, str], ...] = ()
    """(role, text) of the conversation without the last answer, for reward models."""
    answer: str = ""
    """The answer that a reward model weighs."""
    is_finished: bool = True
    """Whether that answer ended by itself."""
