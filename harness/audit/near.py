"""Near-duplicates of the evaluation examples: candidates by MinHash and LSH, each verified by its exact Jaccard.

The one module that imports datasketch. MinHash is Broder 1997 (Compression and Complexity of Sequences); datasketch's
banding is that of Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, § 3.4.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.audit.grams import Hashes, Runs
from harness.audit.text import Words, word_grams

if TYPE_CHECKING:
    from datasketch import MinHash, MinHashLSH

SHINGLE = 5
"""Words of a shingle."""
NUM_PERMUTATIONS = 128
_SEED = 1
_RECALL = 0.999
"""Chance with which a pair exactly at the threshold becomes a candidate; above it, a higher one."""

Shingles = frozenset[Words]


def shingle_words(words: Words) -> Shingles:
    """Return a text's runs of 5 words; a shorter text is one shingle by itself."""
    return frozenset(word_grams(words, SHINGLE) or [words])


def jaccard(left: Shingles, right: Shingles) -> float:
    """Return |A ∩ B| / |A ∪ B|."""
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def choose_bands(threshold: float) -> tuple[int, int]:
    """Return the bands b and rows r that LSH splits 128 permutations into.

    A pair of similarity s becomes a candidate with chance 1 − (1 − s^r)^b. The largest r whose chance at the threshold
    is at least 99.9 % gives the fewest candidates to verify; r = 1 where none is.
    """
    for rows in range(NUM_PERMUTATIONS, 1, -1):
        bands = NUM_PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands, rows
    return NUM_PERMUTATIONS, 1


class NearIndex:
    """Finds the examples that are nearly a given text. One of fewer than 5 words is near nothing: only equal."""

    def __init__(self, examples: Sequence[Words], runs: Runs, threshold: float) -> None:
        """Index the examples.

        Args:
            examples: their words.
            runs: their runs of 5 words, `texts` being numbers of examples.
            threshold: smallest Jaccard similarity that counts as near.
        """
        self._examples, self._runs, self._threshold = examples, runs, threshold
        self._known = np.unique(runs.hashes)
        self._lsh: MinHashLSH | None = None

    def near(self, texts: Sequence[Words], runs: Runs) -> Iterator[tuple[int, int, float]]:
        """Yield text, example and similarity of every pair at or above the threshold, in their order.

        Only texts whose share of known shingles allows the threshold are looked up, by those that are known: without
        the others a text is no less similar to any example, so that none is missed, and what it is called near is then
        verified with all.

        Args:
            texts: their words.
            runs: their runs of 5 words, in order of the texts.
        """
        if not len(self._known):
            return
        places = np.minimum(np.searchsorted(self._known, runs.hashes), len(self._known) - 1)
        is_known = self._known[places] == runs.hashes
        known, hashes = runs.texts[is_known], runs.hashes[is_known]
        # repeated shingles make this count too high, never too low
        counts = np.bincount(known, minlength=len(texts))
        looked_up = []
        for text in np.flatnonzero(counts).tolist():
            shingles = shingle_words(texts[text])
            if counts[text] >= self._threshold * len(shingles):
                looked_up.append((text, shingles))
        if not looked_up:
            return
        if self._lsh is None:  # costs more than all the rest, and most files of prompts come near nothing
            self._lsh = self._build()
        parts = np.split(hashes, np.cumsum(counts)[:-1])
        sketches = _sketch([parts[text] for text, _ in looked_up])
        for (text, shingles), sketch in zip(looked_up, sketches, strict=True):
            for number in sorted(self._lsh.query(sketch)):
                similarity = jaccard(shingles, shingle_words(self._examples[number]))
                if similarity >= self._threshold:
                    yield text, number, similarity

    def _build(self) -> "MinHashLSH":
        from datasketch import MinHashLSH

        index = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=choose_bands(self._threshold))
        counts = np.bincount(self._runs.texts, minlength=len(self._examples))
        numbers = np.flatnonzero(counts)
        parts = np.split(self._runs.hashes, np.cumsum(counts)[:-1])
        for number, sketch in zip(numbers.tolist(), _sketch([parts[number] for number in numbers]), strict=True):
            index.insert(number, sketch)
        return index


def _sketch(texts: Sequence[Hashes]) -> "list[MinHash]":
    from datasketch import MinHash

    # MinHash takes 32 bits; the upper half of a sum of products is the half that is mixed
    shingles = ((hashes >> np.uint64(32)).tolist() for hashes in texts)
    sketches: list[MinHash] = MinHash.bulk(shingles, num_perm=NUM_PERMUTATIONS, seed=_SEED, hashfunc=int)
    return sketches
