"""Every way of finding an example among prompts, and what must not be found."""

import random

import pytest

from harness.audit.findings import TaskOverlap
from harness.audit.overlap import OverlapSearch
from harness.audit.prompts import Prompt
from harness.audit.text import split_words, word_grams
from harness.errors import UsageError
from harness.schema import Example

PROBLEM = (
    "A farmer sells 12 baskets of apples and each basket holds 25 apples. She buys crates with the money and puts "
    "three crates on every shelf of her new barn. How many shelves does she fill in the end?"
)
OTHER_NUMBERS = PROBLEM.replace("12", "17").replace("25", "40")
STORY = "Tom reads 30 pages of his book on Monday and twice as many on Tuesday. How many pages has he read?"


def search(
    examples: list[str], prompts: list[str], threshold: float = 0.8, min_cover: float = 0.5
) -> tuple[TaskOverlap, tuple[str, ...]]:
    """Search prompts for examples q0, q1, … of one task; returns what was found and the notes."""
    rows = [Example("toy", f"q{number}", text, None) for number, text in enumerate(examples)]
    found = OverlapSearch({"toy": ("math", rows)}, threshold, min_cover)
    found.add([Prompt(row, text, {}) for row, text in enumerate(prompts, 1)])
    return found.finish()[0], found.notes()


def counts(found: TaskOverlap) -> tuple[int, int, int, int, int]:
    """Return exact, near, covered, 13-gram, 8-gram."""
    return found.num_exact, found.num_near, found.num_covered, found.num_ngram_13, found.num_ngram_8


@pytest.mark.parametrize("text", [PROBLEM, STORY, "2 + 2 = ?", "def add(a, b):\n    '''Add two numbers.'''"])
def test_an_example_as_prompt_is_found(text: str) -> None:
    """The example itself, between other prompts, is exact and near, whatever its length."""
    found, _ = search([text], ["Write a poem.", text, "Write another."])
    assert found.contaminated == ("q0",)
    assert (found.matches[0].kind, found.matches[0].row) == ("exact", 2)
    assert (found.num_exact, found.num_near) == (1, 1)


def test_variants_of_writing_are_exact() -> None:
    """Case, spacing and LaTeX spacing do not hide an example."""
    found, _ = search(
        [r"What is $x^2+1$ if $x=3$?", "Find $a$."],
        [r"WHAT IS $\displaystyle x^{2} \, + 1$ \\ if $x = 3$?", r"find \( a \)"],
    )
    assert found.num_exact == 2


def test_shuffled_words_are_not_exact() -> None:
    """The same words in another order are another text, and share no run of them."""
    words = PROBLEM.split()
    random.Random(0).shuffle(words)
    assert counts(search([PROBLEM], [" ".join(words)])[0]) == (0, 0, 0, 0, 0)


def test_other_numbers_are_not_exact_but_count_where_the_text_is_long() -> None:
    """A template with other numbers: never exact; contaminated where most of its words stay in runs of 13."""
    found, _ = search([PROBLEM], [OTHER_NUMBERS])
    assert counts(found) == (0, 0, 1, 1, 1)
    assert found.matches[0].kind == "13-gram"
    words = split_words(PROBLEM)
    assert found.matches[0].evidence == (
        f"{(len(words) - words.index('25') - 1) / len(words):.0%} of its words, first: "
        "apples she buys crates with the money and puts three crates on every"
    )


def test_other_numbers_are_near_where_one_changes() -> None:
    """The fourth of 39 words changed leaves 31 of 35 shingles on each side: Jaccard 31/39."""
    found, _ = search([PROBLEM], [PROBLEM.replace("12", "17")], threshold=0.7)
    assert found.num_exact == 0
    assert found.matches[0].kind == "near"
    assert found.matches[0].evidence == f"Jaccard {31 / 39:.2f}"


def test_a_short_problem_with_other_numbers_is_clean() -> None:
    """Of a short problem too little stays the same to say that it was seen."""
    found, _ = search(["What is 37 times 48?"], ["What is 37 times 49?"])
    assert found.contaminated == ()
    assert found.num_short == 1


def test_a_shared_phrase_is_reported_but_does_not_contaminate() -> None:
    """One run of 13 words in a longer example counts as 13-gram; only with min_cover 0 as contamination."""
    phrase = "can be written as m over n where m and n are relatively prime positive integers"
    example = f"{PROBLEM} The number {phrase}. Find m + n."
    found, _ = search([example], [f"The chance {phrase}. Find 100 m."])
    assert counts(found)[2:] == (0, 1, 1)
    assert found.contaminated == ()
    found, _ = search([example], [f"The chance {phrase}. Find 100 m."], min_cover=0)
    assert found.contaminated == ("q0",)


def test_cover_is_that_of_one_prompt() -> None:
    """Pieces from several prompts are not added up, nor is one piece counted twice."""
    words = list(split_words(PROBLEM + " " + STORY))
    pieces = [words[start : start + 14] for start in (0, 14, 28)]
    assert search([" ".join(words)], [" ".join(piece) for piece in pieces])[0].contaminated == ()
    assert search([" ".join(words)], [" so ".join([" ".join(pieces[0])] * 3)])[0].contaminated == ()
    assert search([" ".join(words)], [" so ".join(" ".join(piece) for piece in pieces)])[0].contaminated == ("q0",)


def test_the_best_prompt_is_named() -> None:
    """Of several near prompts the nearest, of several exact ones the first."""
    near, nearer = PROBLEM.replace("12", "17").replace("three", "four"), PROBLEM.replace("12", "17")
    assert search([PROBLEM], [near, nearer, near], 0.5)[0].matches[0].row == 2
    assert search([PROBLEM], [near, PROBLEM, PROBLEM])[0].matches[0].row == 2


def test_a_tasks_own_template_is_no_evidence() -> None:
    """A run that more than 3 and more than 1 % of the examples share is not searched, and a note says so."""
    template = "Read the text below with care and answer in one word with no explanation at all: is"
    examples = [f"{template} {name} an animal?" for name in ("dog", "cat", "rose", "oak", "elk")]
    found, notes = search(examples, [f"{template} water wet?"])
    assert counts(found)[2:] == (0, 0, 0)
    assert "toy 10 of 8, 5 of 13 words" in notes[0]
    assert counts(search(examples[:3], [f"{template} water wet?"])[0])[2:] == (3, 3, 3)


def test_a_frame_around_all_prompts_is_taken_off() -> None:
    """An instruction that every prompt ends with does not hide a short example."""
    ask = " Let's think step by step and put the answer into a box."
    prompts = [f"What is {number} + {number}?{ask}" for number in range(30)]
    found, notes = search(["What is 7 + 7?", "What is 70 + 70?"], prompts)
    assert [(match.example_id, match.kind, match.row) for match in found.matches] == [("q0", "exact", 8)]
    assert notes[0].startswith("The prompts begin “what is” and end “lets think step by step")


def test_runs_agree_with_a_plain_loop() -> None:
    """Hashed runs find the examples that comparing runs of words finds, over many random texts in several batches."""
    rng = random.Random(3)
    texts = [" ".join(rng.choices("abcd", k=rng.randrange(30))) for _ in range(300)]
    examples, prompts = texts[:100], texts[100:]
    rows = [Example("toy", str(number), text, None) for number, text in enumerate(examples)]
    found = OverlapSearch({"toy": ("math", rows)}, 0.8, 0.5)
    for start in range(0, 200, 50):
        found.add([Prompt(row, text, {}) for row, text in enumerate(prompts[start : start + 50], start + 1)])
    grams = {n: [set(word_grams(split_words(text), n)) for text in examples] for n in (8, 13)}
    seen = {n: {gram for text in prompts for gram in word_grams(split_words(text), n)} for n in (8, 13)}
    own = {n: [gram for text in grams[n] for gram in text] for n in (8, 13)}
    expected = {
        n: sum(any(gram in seen[n] and own[n].count(gram) <= 3 for gram in text) for text in grams[n]) for n in own
    }
    overlap = found.finish()[0]
    assert (overlap.num_ngram_8, overlap.num_ngram_13) == (expected[8], expected[13])
    assert expected[8] > 5


def test_tasks_are_told_apart() -> None:
    """Ids and counts are each task's own; an empty text is found in nothing."""
    tasks = {
        "one": ("math", [Example("one", "a", STORY, None), Example("one", "b", "", None)]),
        "two": ("chat", [Example("two", "a", PROBLEM, None)]),
    }
    found = OverlapSearch(tasks, 0.8, 0.5)
    found.add([Prompt(1, PROBLEM, {}), Prompt(2, "?", {})])
    assert [(task.task, task.suite, task.contaminated) for task in found.finish()] == [
        ("one", "math", ()),
        ("two", "chat", ("a",)),
    ]


@pytest.mark.parametrize(("threshold", "min_cover"), [(0.0, 0.5), (1.1, 0.5), (0.8, -0.1)])
def test_impossible_limits_are_refused(threshold: float, min_cover: float) -> None:
    """Similarities and shares lie between 0 and 1."""
    with pytest.raises(UsageError, match="expected one"):
        OverlapSearch({}, threshold, min_cover)
