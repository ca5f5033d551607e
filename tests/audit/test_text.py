"""The normal form: what counts as the same text, and what does not."""

import random

import pytest

from harness.audit.text import split_words, word_grams

SAME = [
    ("What is $x^2+1$?", "what is $ x^{2} + 1 $"),
    (r"\dfrac{1}{2} \cdot \left(3\right)", r"$\frac12 \times (3)$"),
    (r"Find $a\,+\,b$.\\", "Find $a + b$"),
    ("10,000 cows", r"$10{,}000$ cows"),
    (r"$10,\!000$", "10000"),
    ("x² − 1", "x^2 - 1"),
    ("Don't stop — go!", "dont stop, go"),
    (r"$\text{Area} \le 5$", "area ≤ 5"),
    ("A well-known fact", "a well known fact"),
    ("**Bold**\n- item one\n- item two", "bold\n* item one\n* item two"),
    ("ＦＵＬＬ width ½", "full width 1/2"),
    (r"It costs $\$5$.", "It costs $5"),
    (r"\begin{align*} y &= 2 \end{align*}", "y = 2"),
]
DIFFERENT = [
    ("Find 3 + 4", "Find 3 + 5"),
    ("Find 3 + 4", "Find 3 - 4"),
    ("3.5 miles", "35 miles"),
    ("x^2", "x 2"),
    ("5! ways", "5 ways"),
    ("a-b", "a b"),
    (r"\frac{1}{2}", r"\frac{1}{3}"),
    ("$x \\le 5$", "$x < 5$"),
    ("dogs and cats", "cats and dogs"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_spacing_case_and_markup_do_not_count(left: str, right: str) -> None:
    """Variants of writing one text have the same words."""
    assert split_words(left) == split_words(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_numbers_operators_and_order_count(left: str, right: str) -> None:
    """Another number, operator or order is another text."""
    assert split_words(left) != split_words(right)


def test_words_are_letters_numbers_and_operators() -> None:
    """The normal form of a problem, word by word."""
    words = split_words(r"Let $g(t)=\frac{5t-7}{t^{2}}$. What is $g(-1.5)$?")
    assert words == ("let", "g", "t", "=", "frac", "5", "t", "-", "7", "t", "^", "2", "what", "is", "g", "-", "1.5")


def test_scripts_without_spaces_are_split_by_character() -> None:
    """A Chinese sentence is as many words as characters, so that runs of words mean something."""
    assert split_words("求和 3") == ("求", "和", "3")


def test_spacing_never_matters() -> None:
    """Any whitespace between words gives the same words."""
    rng = random.Random(0)
    words = ["let", "$x", "=", "3$", "and", r"\frac{1}{2}", "be", "given"]
    for _ in range(50):
        assert split_words("".join(word + rng.choice([" ", "\n", "\t", "  "]) for word in words)) == split_words(
            " ".join(words)
        )


def test_runs_of_words() -> None:
    """Four words have two runs of three, and none of five."""
    words = ("a", "b", "c", "d")
    assert word_grams(words, 3) == [("a", "b", "c"), ("b", "c", "d")]
    assert word_grams(words, 5) == []
