"""MinHash finds what comparing every pair finds."""

import random

import pytest

from harness.audit.grams import Vocabulary
from harness.audit.near import SHINGLE, NearIndex, choose_bands, jaccard, shingle_words


def test_jaccard_of_shingles() -> None:
    """One word changed in the middle of 14: of 10 shingles on each side, 5 are shared; 5/15."""
    words = tuple(f"w{number}" for number in range(14))
    changed = (*words[:7], "x", *words[8:])
    assert jaccard(shingle_words(words), shingle_words(changed)) == pytest.approx(5 / 15)


def test_a_short_text_is_one_shingle() -> None:
    """Texts of fewer than 5 words are near only where they are equal."""
    assert shingle_words(("a", "b")) == {("a", "b")}


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9, 1.0])
def test_pairs_at_the_threshold_become_candidates(threshold: float) -> None:
    """1 − (1 − s^r)^b is at least 99.9 % at the threshold, with at most 128 permutations."""
    bands, rows = choose_bands(threshold)
    assert bands * rows <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.999


def test_all_near_pairs_of_random_texts_are_found() -> None:
    """The same pairs as by brute force, over texts made of each other by replacing words."""
    rng = random.Random(1)
    words = [f"w{number}" for number in range(500)]
    examples = [tuple(rng.choices(words, k=40)) for _ in range(60)]
    prompts = []
    for example in examples:
        changed = list(example)
        for _ in range(rng.randrange(4)):
            changed[rng.randrange(40)] = rng.choice(words)
        prompts.append(tuple(changed))
    vocabulary = Vocabulary(examples)
    index = NearIndex(examples, vocabulary.encode(examples).runs(SHINGLE), 0.6)
    found = {(row, number) for row, number, _ in index.near(prompts, vocabulary.encode(prompts).runs(SHINGLE))}
    expected = {
        (row, number)
        for row, prompt in enumerate(prompts)
        for number, example in enumerate(examples)
        if jaccard(shingle_words(prompt), shingle_words(example)) >= 0.6
    }
    assert found == expected
    assert 20 < len(expected) < 60
