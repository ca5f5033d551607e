"""The words that all prompts of a training file begin or end with, such as "let's think step by step"."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.audit.text import Words

FEWEST = 20
"""Different prompts that must share a frame: what a few prompts share may be their subject."""


@dataclass(frozen=True)
class Frame:
    """An instruction around every prompt."""

    before: Words
    after: Words

    def strip(self, words: Words) -> tuple[Words, ...]:
        """Return a text without the beginning, without the end, and without both, as far as it has them.

        All three, since what every prompt begins with may be its question's own words, such as "what is".
        """
        start = len(self.before) if self.before and words[: len(self.before)] == self.before else 0
        end = len(words) - len(self.after)
        if not self.after or end < 0 or words[end:] != self.after:
            end = len(words)
        cuts = {(start, len(words)), (0, end), (start, end)} - {(0, len(words))}
        return tuple(words[first:last] for first, last in sorted(cuts) if first < last)

    def describe(self) -> str:
        """Return the frame in one phrase; empty if there is none."""
        parts = [f"{verb} {_quote(words)}" for verb, words in (("begin", self.before), ("end", self.after)) if words]
        return " and ".join(parts)


def find_frame(texts: Sequence[Words]) -> Frame:
    """Return the longest beginning and end that all of some texts share; empty for fewer than 20 different texts."""
    different = set(texts)
    if len(different) < FEWEST:
        return Frame((), ())
    before = _shared(different)
    rest = {words[len(before) :][::-1] for words in different}
    return Frame(before, _shared(rest)[::-1])


def _shared(texts: set[Words]) -> Words:
    first, last = min(texts), max(texts)  # what the first and the last in order share, all share
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]


def _quote(words: Words) -> str:
    return f"“{' '.join(words[:12])}{' …' if len(words) > 12 else ''}”"
