"""Whatever a model writes, the same answer is found each time, and a boxed or stated one wherever it stands."""

import string

from hypothesis import example, given
from hypothesis import strategies as st

from harness.scorers.answer_match import match_quickly, normalise, parse_number, parse_quantity
from harness.scorers.answer_text import Fallback, extract_answer, last_number

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=200)
"""Any text that can be held at all, lone surrogates included."""
PIECES = (
    "\\boxed{", "\\fbox {", "\\boxed5", "}", "{", "\\{", "\\}", "$", "$$", "\\(", "\\)", "**", "####", "answer is",
    "The answer:", "and", ", ", ".", "\n", " ", "= ", "1,234.5", "-3/4", "x", "\\frac{1}{2}", "\\text{ cm}", "½", "%",
)  # fmt: skip
MATH_LIKE = st.lists(st.one_of(st.sampled_from(PIECES), ANYTHING), max_size=25).map("".join)
FALLBACKS: st.SearchStrategy[Fallback] = st.sampled_from(("none", "last_number"))

NUMBERS = st.one_of(st.integers(-(10**12), 10**12).map(str), st.decimals(-1000, 1000, places=3).map(str))
FORMULAS = st.recursive(
    st.one_of(NUMBERS, st.sampled_from(("x", "\\pi", "2\\sqrt{3}", "\\text{(C)}", "[0,\\infty)", "\\{1,2\\}"))),
    lambda inner: st.tuples(inner, inner).map(lambda pair: f"\\frac{{{pair[0]}}}{{{pair[1]}}}"),
    max_leaves=6,
)
PROSE = st.text(string.ascii_letters + string.digits + " \n.,;:!?*_-#>`'\"()[]{}$\\=+é–½", max_size=120).filter(
    lambda text: "box" not in text
)
"""Text around an answer, braces and dollars that nobody closes included; another box would be an answer itself."""
AFTERWARDS = st.text(string.ascii_letters + string.digits + " \n.,;:!?*_->`'()[]{}=+é–½", max_size=120)
LEADS = ("The answer is", "**Answer:**", "So the final answer is:", "ANSWER =", "Answer is **")


@given(MATH_LIKE, FALLBACKS)
def test_extraction_ends_and_repeats(text: str, fallback: Fallback) -> None:
    """Any text gives an answer that is not empty, or none; and the same again."""
    answer = extract_answer(text, fallback)
    assert answer is None or answer.strip()
    assert extract_answer(text, fallback) == answer


@given(PROSE, FORMULAS, AFTERWARDS, FALLBACKS, st.sampled_from(("{}", "${}$", "**{}**", "$$\n{}\n$$", "> {}", "`{}`")))
@example("a set {", "5", "", "none", "{}")
@example("\\", "5", "}", "none", "{}")
def test_a_boxed_answer_is_found_in_any_prose(
    before: str, gold: str, after: str, fallback: Fallback, dress: str
) -> None:
    """The last box is the answer, whatever stands around it."""
    box = dress.format(f"\\boxed{{{gold}}}")
    assert extract_answer(f"{before}{box}{after}", fallback) == gold


@given(PROSE, FORMULAS, st.sampled_from(LEADS), st.sampled_from(("${}$", "\\({}\\)", "$${}$$", "\\[{}\\]")))
def test_a_stated_formula_is_found_after_any_prose(before: str, gold: str, lead: str, dress: str) -> None:
    """Where nothing is boxed, the formula that the last statement opens with is the answer."""
    assert extract_answer(f"{before}\n{lead} {dress.format(gold)}.", "none") == gold


@given(PROSE, st.integers(-(10**9), 10**9), st.booleans(), FALLBACKS)
def test_the_number_of_gsm8k_is_found_after_any_prose(
    before: str, number: int, commas: bool, fallback: Fallback
) -> None:
    """`#### 1,234` on a line of its own is the answer, and equals 1234."""
    answer = extract_answer(f"{before}\n#### {number:,}" if commas else f"{before}\n#### {number}", fallback)
    assert answer is not None
    assert match_quickly(str(number), answer, tolerance=None, relative=None) is True


@given(MATH_LIKE)
def test_a_last_number_is_one(text: str) -> None:
    """What is taken for a number reads as one."""
    number = last_number(text)
    assert number is None or any(character.isdigit() for character in number)


@given(MATH_LIKE)
def test_any_answer_can_be_read_as_a_number_or_not(text: str) -> None:
    """No text breaks the readers of numbers and quantities, and each reads the same twice."""
    plain = normalise(text)
    assert normalise(text) == plain
    assert parse_number(plain) == parse_number(plain)
    assert parse_quantity(plain) == parse_quantity(plain)


@given(MATH_LIKE, MATH_LIKE, st.sampled_from((None, 0.0, 0.1)))
def test_a_verdict_is_one_of_three_and_repeats(target: str, answer: str, tolerance: float | None) -> None:
    """True, False, or None where it takes mathematics to tell."""
    verdict = match_quickly(target, answer, tolerance=tolerance, relative=None)
    assert verdict in (True, False, None)
    assert match_quickly(target, answer, tolerance=tolerance, relative=None) is verdict


@given(FORMULAS)
def test_an_answer_equals_itself(gold: str) -> None:
    """In any delimiters."""
    for dressed in (gold, f"${gold}$", f" {gold} ", f"\\({gold}\\)"):
        assert match_quickly(gold, dressed, tolerance=None, relative=None) is True


@given(st.fractions(max_denominator=1000), st.fractions(max_denominator=1000))
def test_two_fractions_are_settled_by_arithmetic(left: object, right: object) -> None:
    """p/q and r/s are equal exactly if the numbers are."""
    assert match_quickly(str(left), str(right), tolerance=None, relative=None) is (left == right)
