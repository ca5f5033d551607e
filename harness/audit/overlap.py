"""Searches training prompts for evaluation examples: whole, nearly whole, or a run of words of them.

The index is made of the examples, which are few; the prompts stream through it, so that memory does not grow with them
but for one number a prompt.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from harness.audit.findings import OverlapMatch, TaskOverlap
from harness.audit.frame import Frame, find_frame
from harness.audit.grams import Hits, Passage, RunIndex, Vocabulary
from harness.audit.near import SHINGLE, NearIndex
from harness.audit.prompts import Prompt
from harness.audit.text import Words, split_words
from harness.errors import UsageError
from harness.schema import Example

LONG, SHORT = 13, 8
"""Words of the runs that are searched: those of 13 may count as contamination, those of 8 are reported beside."""
MIN_COVER = 0.5
"""Share of an example's words that runs of 13 of one prompt must cover for it to count as contaminated."""
COMMON_SHARE, COMMON_COUNT = 0.01, 3
"""A run that more than 1 % of a task's examples have, and more than 3, is the task's own template: no evidence."""

Tasks = Mapping[str, tuple[str, Sequence[Example]]]
"""Task name → suite and examples."""

_BATCH = 2048


@dataclass
class _Found:
    """What is known of one example so far."""

    exact: int | None = None
    """Row of the first prompt that has it."""
    near: tuple[float, int] | None = None
    """Highest similarity, and the row."""
    long: tuple[float, int, str] | None = None
    """Largest share of its words that runs of one prompt cover, the row, and the first of the runs."""
    short: bool = False


class OverlapSearch:
    """Finds a set of tasks' examples among prompts that are shown to it once, in batches."""

    def __init__(self, tasks: Tasks, threshold: float, min_cover: float) -> None:
        """Index the examples.

        Args:
            tasks: what is searched for.
            threshold: smallest Jaccard similarity that counts as near.
            min_cover: share of an example's words from which on 13-grams count as contamination.

        Raises:
            UsageError: if the threshold or the share is none.
        """
        if not 0 < threshold <= 1:
            raise UsageError(f"the threshold {threshold} is no Jaccard similarity; expected one above 0, up to 1")
        if not 0 <= min_cover <= 1:
            raise UsageError(f"{min_cover} is no share of an example's words; expected one from 0 to 1")
        self.tasks, self.threshold, self.min_cover = tasks, threshold, min_cover
        # of all tasks, one after the other
        self._words = [split_words(item.input) for _, examples in self.tasks.values() for item in examples]
        self._found = [_Found() for _ in self._words]
        self._whole: dict[Words, list[int]] = {}
        for number, words in enumerate(self._words):
            if words:
                self._whole.setdefault(words, []).append(number)
        self._vocabulary = Vocabulary(self._words)
        passage = self._vocabulary.encode(self._words)
        sizes = np.array([len(examples) for _, examples in self.tasks.values()], dtype=np.int64)
        owners = np.repeat(np.arange(len(sizes)), sizes)
        common = np.maximum(COMMON_COUNT, np.floor(COMMON_SHARE * sizes)).astype(np.int64)
        self._runs = {length: RunIndex(passage.runs(length), owners, common) for length in (LONG, SHORT)}
        self._near = NearIndex(self._words, passage.runs(SHINGLE), self.threshold)
        self._frame: Frame | None = None

    def add(self, prompts: Sequence[Prompt]) -> list[Words]:
        """Search a batch of prompts, in the order of the file; returns their words."""
        texts = [split_words(prompt.text) for prompt in prompts]
        rows = [prompt.row for prompt in prompts]
        if self._frame is None:
            self._frame = find_frame(texts)
        passage = self._vocabulary.encode(texts)
        for number in set(self._runs[SHORT].look_up(passage.runs(SHORT)).examples.tolist()):
            self._found[number].short = True
        self._add_long(self._runs[LONG].look_up(passage.runs(LONG)), rows)
        self._add_whole(texts, rows)
        self._add_near(passage, texts, rows)
        stripped = [(part, row) for words, row in zip(texts, rows, strict=True) for part in self._frame.strip(words)]
        parts, part_rows = [part for part, _ in stripped], [row for _, row in stripped]
        self._add_whole(parts, part_rows)
        self._add_near(self._vocabulary.encode(parts), parts, part_rows)
        return texts

    def _add_whole(self, texts: Sequence[Words], rows: Sequence[int]) -> None:
        for text, row in zip(texts, rows, strict=True):
            for number in self._whole.get(text, ()):
                found = self._found[number]
                found.exact = row if found.exact is None else min(found.exact, row)
                found.near = 1.0, found.exact

    def _add_long(self, hits: Hits, rows: Sequence[int]) -> None:
        for text, number, place, covered in _cover(hits):
            found, words = self._found[number], self._words[number]
            cover = covered / len(words)
            if found.long is None or cover > found.long[0]:
                found.long = cover, rows[text], " ".join(words[place : place + LONG])

    def _add_near(self, passage: Passage, texts: Sequence[Words], rows: Sequence[int]) -> None:
        for text, number, similarity in self._near.near(texts, passage.runs(SHINGLE)):
            found = self._found[number]
            if found.near is None or similarity > found.near[0]:
                found.near = similarity, rows[text]

    def finish(self) -> tuple[TaskOverlap, ...]:
        """Return what was found, task by task."""
        overlaps, start = [], 0
        for name, (suite, examples) in self.tasks.items():
            end = start + len(examples)
            ids = [example.example_id for example in examples]
            found = self._found[start:end]
            matches = [
                match
                for example_id, item in zip(ids, found, strict=True)
                if (match := _best_match(example_id, item, self.min_cover))
            ]
            overlaps.append(
                TaskOverlap(
                    task=name,
                    suite=suite,
                    num_examples=len(ids),
                    num_exact=sum(item.exact is not None for item in found),
                    num_ngram_13=sum(item.long is not None for item in found),
                    num_ngram_8=sum(item.short for item in found),
                    num_near=sum(item.near is not None for item in found),
                    num_short=sum(len(words) < SHORT for words in self._words[start:end]),
                    contaminated=tuple(match.example_id for match in matches),
                    matches=tuple(matches),
                    num_covered=sum(item.long is not None and item.long[0] >= self.min_cover for item in found),
                )
            )
            start = end
        return tuple(overlaps)

    def notes(self) -> tuple[str, ...]:
        """Return what an audit's reader has to know of the search."""
        lines, ignored = [], []
        if self._frame is not None and (framed := self._frame.describe()):
            lines.append(f"The prompts {framed}: also searched without that.")
        for row, name in enumerate(self.tasks):
            counts = [(length, int(self._runs[length].num_ignored[row])) for length in (SHORT, LONG)]
            if any(count for _, count in counts):
                ignored.append(name + " " + ", ".join(f"{count} of {length}" for length, count in counts if count))
        if ignored:
            lines.append(
                f"Runs of words that over {COMMON_SHARE:.0%} of a task's own examples share, and more than "
                f"{COMMON_COUNT}, are its template and not searched: {'; '.join(ignored)} words."
            )
        return tuple(lines)


def batches(prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
    """Yield prompts in lists that are quick to search."""
    source = iter(prompts)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _cover(hits: Hits) -> Iterator[tuple[int, int, int, int]]:
    """Yield (text, example, place of the first run, words of the example that runs cover) of every pair with a hit."""
    if not len(hits.texts):
        return
    order = np.lexsort((hits.places, hits.examples, hits.texts))
    texts, examples, places = hits.texts[order], hits.examples[order], hits.places[order]
    first = np.concatenate([[True], (texts[1:] != texts[:-1]) | (examples[1:] != examples[:-1])])
    # a run adds as many words as it begins after the one before it, at most all of its own
    added = np.where(first, LONG, np.minimum(np.diff(places, prepend=0), LONG))
    starts = np.flatnonzero(first)
    covered = np.add.reduceat(added, starts)
    columns = (texts[starts], examples[starts], places[starts], covered)
    yield from zip(*(column.tolist() for column in columns), strict=True)


def _best_match(example_id: str, found: _Found, min_cover: float) -> OverlapMatch | None:
    """Return the strongest evidence there is against an example; None if it is clean."""
    if found.exact is not None:
        return OverlapMatch(example_id, "exact", found.exact, "")
    if found.near is not None:
        similarity, row = found.near
        return OverlapMatch(example_id, "near", row, f"Jaccard {similarity:.2f}")
    if found.long is not None and found.long[0] >= min_cover:
        cover, row, run = found.long
        return OverlapMatch(example_id, "13-gram", row, f"{cover:.0%} of its words, first: {run}")
    return None
