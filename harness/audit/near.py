"""Near-duplicates of the evaluation examples: candidates by MinHash and LSH, each verified by its exact Jaccard.

The one module that imports datasketch. MinHash is Broder 1997 (Compression and Complexity of Sequences); datasketch's
banding is that of Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, § 3.4.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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
    """Finds the examples that are nearly a given text."""

    def __init__(self, examples: Sequence[Words], threshold: float) -> None:
        self._threshold = threshold
        self._shingles = [shingle_words(words) for words in examples]
        self._lsh: MinHashLSH | None = None

    def near(self, shingles: Shingles) -> Iterator[tuple[int, float]]:
        """Yield the number and the similarity of every example at or above the threshold, in their order."""
        if self._lsh is None:  # costs more than all the rest, and most files of prompts come near nothing
            self._lsh = self._build()
        for number in sorted(self._lsh.query(_sketch([shingles])[0])):
            similarity = jaccard(shingles, self._shingles[number])
            if similarity >= self._threshold:
                yield number, similarity

    def _build(self) -> "MinHashLSH":
        from datasketch import MinHashLSH

        index = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=choose_bands(self._threshold))
        for number, sketch in enumerate(_sketch(self._shingles)):
            index.insert(number, sketch)
        return index


def _sketch(texts: Sequence[Shingles]) -> "list[MinHash]":
    from datasketch import MinHash

    encoded = ([" ".join(shingle).encode() for shingle in shingles] for shingles in texts)
    sketches: list[MinHash] = MinHash.bulk(encoded, num_perm=NUM_PERMUTATIONS, seed=_SEED)
    return sketches
