"""No answer, however odd, keeps the math scorer busy beyond its limit, stops it, or scores by accident."""

import time
from collections.abc import Iterator

import pytest

from harness.schema import Example, Generation, RequestKey, Score, ScorerOptions
from harness.scorers import math_answer
from harness.scorers.math_answer import TIMEOUT_SECONDS, MathAnswerScorer

START_SECONDS = 20.0
"""For a worker to start on a busy machine, twice."""


@pytest.fixture(scope="module")
def scorer() -> Iterator[MathAnswerScorer]:
    made = MathAnswerScorer(ScorerOptions(num_workers=1))
    yield made
    made.close()


def judge(scorer: MathAnswerScorer, target: str, text: str) -> tuple[Score, float]:
    """Return the score of a text and the seconds it took."""
    key = RequestKey(task="m", example_id="0", index=0)
    started = time.monotonic()
    score = scorer.score(
        Example(task="m", example_id="0", input="", target=target, metadata={}),
        Generation(
            key=key, text=text, finish_reason="stop", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
        ),
    )
    return score, time.monotonic() - started


def box(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


def nested(opening: str, depth: int, closing: str, inside: str = "1") -> str:
    return opening * depth + inside + closing * depth


RIGHT = {
    "the same tower": ("9^{9^{9^{9}}}", "9^{9^{9^{9}}}"),
    "900 digits": ("9" * 900, "9" * 900),
    "900 decimals of a third": (r"\frac{1}{3}", "0." + "3" * 900),
    "30 nested fractions": ("1", nested(r"\frac{1}{", 30, "}")),
    "300 terms": ("5", "0+" * 300 + "5"),
    "factorial of a factorial": ("720", "(3!)!"),
    "power 300 of a sum": ("(x+y)^{300}", "(y+x)^{300}"),
    "difference of like powers": ("0", "(a+b+c+d+e)^{60}-(e+d+c+b+a)^{60}"),
    "zero to the zero": ("1", "0^0"),
    "matrix": (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    "determinant": ("-2", r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    "interval as a difference": (r"(-\infty,1)\cup(1,\infty)", r"\mathbb{R}\setminus\{1\}"),
    "interval of one point": ("5", "[5,5]"),
    "set in another order": (r"\{1,2,3\}", r"\{3,2,1\}"),
    "empty set": (r"\emptyset", r"\{\}"),
    "complex number": ("1+2i", "2i+1"),
    "integral": ("2", r"\int_0^2 1 dx"),
    "limit": ("1", r"\lim_{x\to0}\frac{\sin x}{x}"),
    "Unicode minus sign": ("-5", "−5"),
    "Unicode multiplication sign": ("6", "2×3"),
    "Greek pi": (r"\pi", "π"),
    "no-break and thin spaces": ("1000", "\u00a01\u2009000"),
    "carriage return and vertical tab": ("5", "\r5\x0b"),
    "undefined": (r"\text{undefined}", r"\text{undefined}"),
    "an answer repeated": ("1,2", ",".join(["1", "2"] * 200)),
}
"""Name → target, answer. By hand: equal."""

WRONG = {
    "Python's tower": ("5", "10**10**10"),
    "factorial of 100,000": ("5", "100000!"),
    "factorial of 900 digits": ("5", "9" * 900 + "!"),
    "the last of 900 digits": ("9" * 900, "9" * 899 + "8"),
    "huge exponent": ("5", "1e999999999999"),
    "tiny number": ("0", "1e-999999"),
    "tiny fraction": ("0", r"\frac{1}{10^{5000}}"),
    "beyond floats": ("5", r"10^{308}\cdot10^{308}"),
    "hyperbolic tangent of a huge number": ("5", r"\tanh(10^{100})"),
    "matrix transposed": (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    "matrix of unequal rows": ("1", r"\begin{pmatrix}1&2\\3\end{pmatrix}"),
    "matrix to a billion": ("1", r"\begin{pmatrix}1&1\\1&0\end{pmatrix}^{1000000000}"),
    "interval turned round": ("[1,2]", "[2,1]"),
    "interval for its end": ("5", "[4,5]"),
    "set that holds it": ("5", r"\{5,6\}"),
    "all numbers": ("5", r"\mathbb{R}"),
    "a list that holds it": ("5", "1,2,3,4,5,6,7,8,9"),
    "complex conjugate": ("1+2i", "1-2i"),
    "not a number": ("5", r"\text{NaN}"),
    "nan as text": ("0", "nan"),
    "infinity": ("5", r"\infty"),
    "the other infinity": (r"\infty", r"-\infty"),
    "infinity less infinity": ("0", r"\infty-\infty"),
    "nothing by nothing": ("1", r"\frac{0}{0}"),
    "one by zero": (r"\infty", r"\frac{1}{0}"),
    "logarithm of zero": ("5", r"\log(0)"),
    "equation without a solution": ("x=1", "x^5-x+1=0"),
    "false equation": ("5", "5=6"),
    "letter O for zero": ("0", "O"),
    "letter l for one": ("1", "l"),
    "Greek omicron for zero": ("0", "ο"),
    "Cyrillic A": ("A", "А"),
    "Cyrillic x": ("x", "х"),
    "superscript": ("5", "5²"),
    "circled digit": ("5", "⑤"),
    "digits turned round by a mark": ("15", "\u202e15"),
    "number with a stroke through it": ("5", "5\u0338"),
    "900 accents": ("5", "5" + "\u0301" * 900),
    "NUL": ("5", "5\x00"),
    "terminal colours": ("5", "\x1b[31m5\x1b[0m"),
    "lone surrogate": ("5", "5\udc00"),
    "a file": ("5", r"\input{/etc/passwd}"),
    "a command": ("5", r"\write18{ls}"),
    "Python": ("5", "__import__('os').system('true')"),
    "sympy": ("5", "sympify('5')"),
    "900 dollar signs": ("5", "$" * 900),
    "300 percent signs": ("5", "5" + r"\%" * 300),
    "300 commas": ("5", "5" + "," * 300),
    "400 signs": ("5", "-" * 400 + "6"),
    "100 plus-minus": ("5", r"\pm" * 100 + "5"),
    "unfinished matrices": ("5", r"\begin{pmatrix}" * 30),
    "half a bracket": ("5", r"\left(5"),
    "target of 5,000 digits": ("5" * 5000, "5" * 900),
    "target with 5,000 digits": (r"\frac{" + "5" * 5000 + "}{7}", "5"),
}
"""Name → target, answer. By hand: not equal."""

NOT_UNDERSTOOD = {
    "fullwidth digit": ("5", "５"),
    "Arabic-Indic digit": ("5", "٥"),
    "mathematical bold digit": ("5", "𝟓"),
    "fullwidth brackets": ("(1,2)", "（1，2）"),
    "en dash as minus": ("-5", "–5"),
    "one half in one character": (r"\frac12", "½"),
    "sign of infinity": (r"\infty", "∞"),
    "root sign": (r"\sqrt{2}", "√2"),
    "zero-width space": ("5", "5\u200b"),
    "byte-order mark": ("5", "\ufeff5"),
    "right-to-left mark": ("5", "\u200f5"),
    "soft hyphen": ("5", "\u00ad5"),
    "French interval": ("(1,2)", "]1,2["),
    "square of i": ("-1", "i^2"),
    "Euler's identity": ("-1", r"e^{i\pi}"),
    "repeating decimal": (r"\frac{1}{3}", r"0.\overline{3}"),
}
"""Equal to a reader and not to the scorer: the limits that docs/scoring.md names. All err towards 0."""

TOO_LENIENT = {
    "set for a tuple": ("(1,2)", r"\{1,2\}"),
    "set in a set": (r"\{\{1\}\}", r"\{1\}"),
    "last of a chain": ("5", "6=5"),
}
"""Equal to math-verify and not to a reader: the limits that docs/scoring.md names. None can be had by guessing."""

TEXTS = {
    "a megabyte of digits": (box("7" * 1_000_000), 0.0, "no_answer"),
    "a megabyte after the box": (box("5") + "x" * 1_000_000, 0.0, "no_answer"),
    "a megabyte stated": ("The answer is " + "7" * 1_000_000, 0.0, "no_answer"),
    "200 KB of spaces": (box(" " * 200_000 + "5"), 1.0, "scored"),
    "10,000 brackets": (box(nested("(", 10_000, ")", "5")), 0.0, "scored"),
    "10,000 fractions": (box(nested(r"\frac{5}{", 10_000, "}")), 0.0, "scored"),
    "100,000 boxes": (box("5") * 100_000, 1.0, "scored"),
    "100,000 open boxes": ("\\boxed{" * 100_000 + "5", 0.0, "no_answer"),
    "1,000 boxes in one another": (nested("\\boxed{", 1_000, "}", "5"), 1.0, "scored"),
    "braces too many": (box("5") + "}}}}", 1.0, "scored"),
    "brace that is none": (r"\boxed{5\}", 0.0, "no_answer"),
    "box without anything": (box("5") + " " + box(""), 1.0, "scored"),
    "macro that doubles": (r"\def\x{\x\x}" + box(r"\x"), 0.0, "scored"),
    "macro that is the answer": (r"\newcommand{\a}{5}" + box(r"\a"), 0.0, "scored"),
}
"""Name → whole text, value and outcome for the target 5."""

NEVER_ENDING = {
    "10^10^10": "10^{10^{10}}",
    "factorial of factorials": "((10!)!)!",
    "exponent of 800 digits": "2^{" + "9" * 800 + "}",
    "sum of a billion": r"\sum_{n=1}^{10^{9}} n^{n}",
    "expansion": "(x+y+z+w)^{500}",
    "400 brackets": nested("(", 400, ")", "6"),
}
"""Name → answer whose comparison would take longer than anyone waits."""


@pytest.mark.parametrize(("target", "answer"), RIGHT.values(), ids=RIGHT)
def test_odd_but_right(scorer: MathAnswerScorer, target: str, answer: str) -> None:
    """A right answer in an extreme form scores 1 within the time limit."""
    score, seconds = judge(scorer, target, box(answer))
    assert (score.value, score.outcome) == (1.0, "scored")
    assert seconds < 2 * TIMEOUT_SECONDS + START_SECONDS


@pytest.mark.parametrize(("target", "answer"), WRONG.values(), ids=WRONG)
def test_odd_and_wrong(scorer: MathAnswerScorer, target: str, answer: str) -> None:
    """A wrong answer in an extreme form scores 0 within the time limit, and is still an answer."""
    score, seconds = judge(scorer, target, box(answer))
    assert (score.value, score.outcome) == (0.0, "scored")
    assert seconds < 2 * TIMEOUT_SECONDS + START_SECONDS


@pytest.mark.parametrize(("target", "answer"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_known_limits_err_towards_zero(scorer: MathAnswerScorer, target: str, answer: str) -> None:
    """Notation that the scorer does not know scores 0; a change of that is a change of the protocol."""
    assert judge(scorer, target, box(answer))[0].value == 0.0


@pytest.mark.parametrize(("target", "answer"), TOO_LENIENT.values(), ids=TOO_LENIENT)
def test_known_limits_that_err_towards_one(scorer: MathAnswerScorer, target: str, answer: str) -> None:
    """What math-verify takes for equal and is not; a change of that is a change of the protocol."""
    assert judge(scorer, target, box(answer))[0].value == 1.0


@pytest.mark.parametrize(("text", "value", "outcome"), TEXTS.values(), ids=TEXTS)
def test_whole_texts(scorer: MathAnswerScorer, text: str, value: float, outcome: str) -> None:
    """Texts of a megabyte and broken boxes are settled in the parent, quickly or in a worker within its limit."""
    score, seconds = judge(scorer, "5", text)
    assert (score.value, score.outcome) == (value, outcome)
    assert seconds < 2 * TIMEOUT_SECONDS + START_SECONDS


def test_never_ending_answers_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be worked out is a timeout after two tries, and leaves no process."""
    limit = 1.0
    monkeypatch.setattr(math_answer, "TIMEOUT_SECONDS", limit)
    own = MathAnswerScorer(ScorerOptions(num_workers=1))
    try:
        for name, answer in NEVER_ENDING.items():
            score, seconds = judge(own, "5", box(answer))
            assert (score.value, score.outcome) == (0.0, "timeout"), name
            assert seconds < 2 * limit + START_SECONDS, name
    finally:
        own.close()
    assert not own._pool._all
