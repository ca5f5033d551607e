"""Rule checks of short chat answers: ended, on topic, true, consistent, complete, in the shape that was asked for.

Judges by fixed rules on the words, not by a model; it fits tasks that say in each example what a good answer contains.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from harness.errors import ScorerError
from harness.schema import Example, Generation, Score, ScorerOptions

_LEAK = re.compile(
    r"^\s*(user|assistant|human|bot|question|answer|q|a)\s*:|<\|im_(start|end)\|>", re.IGNORECASE | re.MULTILINE
)
_EVASION = re.compile(
    r"\bi am not sure\b|\bi do(n't| not) know\b|\bit depends on\b|\blook that up\b|\bcome back later\b"
    r"|\bask someone else\b",
    re.IGNORECASE,
)
_RETRACTION = re.compile(
    r"\bwait, no\b|\bactually, no\b|\bthat is (not right|wrong)\b|\bchanged my mind\b|\bi take that back\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(not|never)\s+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_BULLET = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+")


class TextChecks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an example says about a good answer to it (`metadata["checks"]`)."""

    subject: str
    """Word that the answer must contain."""
    keywords: tuple[str, ...]
    """Every sentence must contain at least one of these."""
    facts: tuple[str, ...]
    """All that may be stated, in lower case, without a full stop."""
    asked: tuple[str, ...] = ()
    """Words without which the question is not answered."""
    num_sentences: int | None = None
    """Exact number asked for; None where the prompt leaves it open."""
    num_items: int | None = None
    """Exact number of list items asked for; None where no list is asked for."""
    starts_with: str | None = None
    """First word asked for."""
    ends_with: str | None = None
    """Last words asked for, before the full stop."""
    max_sentences: int
    max_words: int


class TextChecksScorer:
    """Value 1 if and only if every check holds; `parts` says which ones did, so that causes can be told apart."""

    name = "text_checks"
    version = "1"

    def __init__(self, options: ScorerOptions) -> None:
        """Take the options for uniformity; rule checks need no process."""
        self._options = options

    def check(self) -> None:
        """Nothing to look for: needs no data and no system package."""

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge one generation by the example's `metadata["checks"]`."""
        checks = _read_checks(example)
        identity = f"{self.name}@{self.version}"
        text = generation.text.strip()
        if not text:
            return Score(
                key=generation.key, value=0.0, outcome="no_answer", answer=None, detail="empty text", scorer=identity
            )
        verdicts = judge_text(text, checks)
        if generation.finish_reason != "unknown":
            verdicts = {"ended": generation.finish_reason == "stop", **verdicts}
        failed = [name for name, holds in verdicts.items() if not holds]
        return Score(
            key=generation.key,
            value=0.0 if failed else 1.0,
            outcome="scored",
            answer=text,
            parts={name: (float(holds),) for name, holds in verdicts.items()},
            detail=f"failed: {', '.join(failed)}" if failed else None,
            scorer=identity,
        )

    def close(self) -> None:
        """Nothing to stop."""


def _read_checks(example: Example) -> TextChecks:
    try:
        return msgspec.convert(example.metadata["checks"], TextChecks)
    except (KeyError, msgspec.ValidationError) as problem:
        raise ScorerError(
            f"example {example.task}/{example.example_id} has no usable metadata['checks'] ({problem}); "
            "text_checks needs the fields of harness.scorers.text.TextChecks"
        ) from problem


def judge_text(text: str, checks: TextChecks) -> dict[str, bool]:
    """Return every check by name; all but `ended`, which is not in the text."""
    sentences = split_sentences(text)
    statements = [_statement(sentence, checks) for sentence in sentences]
    return {
        "no_leak": _LEAK.search(text) is None,
        "answers": _EVASION.search(text) is None,
        "on_topic": _contains(text, checks.subject)
        and all(_contains_any(item, checks.keywords) for item in statements),
        "consistent": _RETRACTION.search(text) is None
        and not any(_NEGATION.sub("", item) in checks.facts for item in statements if _NEGATION.search(item)),
        "true": all(item in checks.facts for item in statements),
        "asked": all(_contains(text, word) for word in checks.asked),
        "no_repeat": len(set(statements)) == len(statements),
        "length": len(sentences) <= checks.max_sentences and len(text.split()) <= checks.max_words,
        "instruction": _follows(text, sentences, checks),
    }


def split_sentences(text: str) -> list[str]:
    """Return the sentences and list items of a text, without bullets."""
    return [item for part in _SENTENCE_END.split(_strip_bullets(text)) if (item := part.strip())]


def _strip_bullets(text: str) -> str:
    return "\n".join(_BULLET.sub("", line) for line in text.splitlines())


def _statement(sentence: str, checks: TextChecks) -> str:
    """Return what a sentence states: lower case, without its full stop and the words asked for around it."""
    text = sentence.lower().rstrip(".!?")
    if checks.starts_with is not None:
        text = re.sub(rf"^{re.escape(checks.starts_with.lower())}\b[,:]?\s*", "", text)
    if checks.ends_with is not None:
        text = re.sub(rf",?\s*\b{re.escape(checks.ends_with.lower())}$", "", text)
    return text.strip()


def _contains(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _contains_any(text: str, words: tuple[str, ...]) -> bool:
    return any(_contains(text, word) for word in words)


def _follows(text: str, sentences: list[str], checks: TextChecks) -> bool:
    lines = text.splitlines()
    demands: Mapping[str, tuple[Any, Any]] = {
        "sentences": (checks.num_sentences, len(sentences)),
        "items": (checks.num_items, len(lines) if all(_BULLET.match(line) for line in lines) else -1),
        "start": (checks.starts_with, checks.starts_with if _starts(text, checks.starts_with) else ""),
        "end": (checks.ends_with, checks.ends_with if _ends(text, checks.ends_with) else ""),
    }
    return all(asked is None or asked == given for asked, given in demands.values())


def _starts(text: str, word: str | None) -> bool:
    return word is None or re.match(rf"{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _ends(text: str, words: str | None) -> bool:
    return words is None or text.rstrip(".!? \n").lower().endswith(words.lower())
