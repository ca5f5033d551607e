"""Which runs of n words of many texts occur among the evaluation examples: arrays of hashes instead of text.

A run of words is a sum of its words' random 64-bit codes times position factors, modulo 2^64. Two different runs agree
by chance about once in 2^60 pairs. All randomness has a fixed seed, so that an audit repeats exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.audit.text import Words

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

_SEED = 0
_LONGEST = 64
"""Most words of a run."""


class Vocabulary:
    """The examples' words and their codes. A word that no example has can be part of no match."""

    def __init__(self, texts: Sequence[Words]) -> None:
        self._numbers = {word: number for number, word in enumerate(dict.fromkeys(w for text in texts for w in text))}
        rng = np.random.default_rng(_SEED)
        self._factors = rng.integers(0, 2**63, _LONGEST, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._codes = rng.integers(0, 2**64, len(self._numbers) + 1, dtype=np.uint64)

    def encode(self, texts: Sequence[Words]) -> "Passage":
        """Return several texts one after the other, ready for looking up."""
        unknown = len(self._numbers)
        get = self._numbers.get
        numbers = np.array([get(word, unknown) for text in texts for word in text], dtype=np.int64)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        return Passage(self._codes[numbers], numbers == unknown, lengths, self._factors)


@dataclass(frozen=True)
class Passage:
    """Texts one after the other, as codes."""

    codes: Hashes
    unknown: NDArray[np.bool_]
    """Words that are not in the vocabulary."""
    lengths: Ints
    """Words of each text."""
    factors: Hashes

    def runs(self, length: int) -> "Runs":
        """Return every run of `length` words that lies in one text and has only known words."""
        count = len(self.codes) - length + 1
        if count <= 0:
            return Runs(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
        texts = np.repeat(np.arange(len(self.lengths)), self.lengths)
        starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        passed = np.concatenate([[0], np.cumsum(self.unknown)])
        valid = (texts[:count] == texts[length - 1 :]) & (passed[length:] == passed[:count])
        first = np.flatnonzero(valid)
        hashes = np.zeros(len(first), np.uint64)
        for place in range(length):
            hashes += self.codes[first + place] * self.factors[place]
        return Runs(hashes, texts[first], first - starts[texts[first]])


@dataclass(frozen=True)
class Runs:
    """Runs of words, one entry each."""

    hashes: Hashes
    texts: Ints
    """Number of the text it is in."""
    offsets: Ints
    """Words before it in that text."""


@dataclass(frozen=True)
class Hits:
    """Runs that an example has too, one entry for each run and example, in the order of the runs."""

    texts: Ints
    examples: Ints
    places: Ints
    """Words of the example before the run; of a run it has several times, the first."""


class RunIndex:
    """Which examples have a run of words. Runs that very many examples of one task have are no evidence: left out."""

    def __init__(self, runs: Runs, tasks: Ints, limits: Ints) -> None:
        """Index the examples' runs.

        Args:
            runs: the runs, `texts` being example numbers.
            tasks: shape (examples,), task number of each example, ascending.
            limits: shape (tasks,), most examples of a task that may share a run.
        """
        order = np.lexsort((runs.offsets, runs.texts, runs.hashes))
        hashes, owners, places = runs.hashes[order], runs.texts[order], runs.offsets[order]
        if len(hashes):
            fresh = np.concatenate([[True], (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])])
            hashes, owners, places = hashes[fresh], owners[fresh], places[fresh]
        kept, self.num_ignored = _drop_common(hashes, tasks[owners], limits)
        self._owners, self._places = owners[kept], places[kept]
        self._keys, self._starts, self._counts = np.unique(hashes[kept], return_index=True, return_counts=True)

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Return which of some hashes an example has."""
        return self._find(hashes)[1]

    def look_up(self, runs: Runs) -> Hits:
        """Return which examples have which of some runs."""
        keys, found = self._find(runs.hashes)
        counts = self._counts[keys[found]]
        rows = np.repeat(np.flatnonzero(found), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        entries = np.repeat(self._starts[keys[found]], counts) + within
        return Hits(runs.texts[rows], self._owners[entries], self._places[entries])

    def _find(self, hashes: Hashes) -> tuple[Ints, NDArray[np.bool_]]:
        if not len(self._keys):
            return np.zeros(len(hashes), np.int64), np.zeros(len(hashes), np.bool_)
        keys = np.minimum(np.searchsorted(self._keys, hashes), len(self._keys) - 1)
        return keys, self._keys[keys] == hashes


def _drop_common(hashes: Hashes, tasks: Ints, limits: Ints) -> tuple[NDArray[np.bool_], Ints]:
    """Return which (run, example) entries stay, and how many different runs each task loses."""
    if not len(hashes):
        return np.ones(0, np.bool_), np.zeros(len(limits), np.int64)
    # entries are sorted by run, then example, and so by task
    fresh = np.concatenate([[True], (hashes[1:] != hashes[:-1]) | (tasks[1:] != tasks[:-1])])
    groups = np.cumsum(fresh) - 1
    too_common = np.bincount(groups) > limits[tasks[fresh]]
    return ~too_common[groups], np.bincount(tasks[fresh][too_common], minlength=len(limits))
