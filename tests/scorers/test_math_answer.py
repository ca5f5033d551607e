import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.schema import Example, Generation, RequestKey, Score, ScorerOptions
from harness.scorers import math_answer
from harness.scorers.answer_match import match_quickly, normalise, parse_number
from harness.scorers.answer_text import Fallback, extract_answer
from harness.scorers.math_answer import MathAnswerScorer
from harness.scorers.worker import WorkerPool

KEY = RequestKey(task="m", example_id="0", index=0)


@pytest.fixture(scope="module")
def scorer() -> Iterator[MathAnswerScorer]:
    made = MathAnswerScorer(ScorerOptions(num_workers=2))
    yield made
    made.close()


def make_example(target: str | None, **metadata: Any) -> Example:
    return Example(task="m", example_id="0", input="", target=target, metadata=metadata)


def make_generation(text: str) -> Generation:
    return Generation(
        key=KEY, text=text, finish_reason="stop", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
    )


def judge(scorer: MathAnswerScorer, target: str, answer: str, **metadata: Any) -> Score:
    return scorer.score(make_example(target, **metadata), make_generation(f"Thus \\boxed{{{answer}}}."))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{5}", "5"),
        (r"first \boxed{5}, then \boxed{6}", "6"),
        (r"\boxed{5} and much later, after some more thought about it, it turns out to be \boxed{6}", "6"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{so } \boxed{7}}", "7"),
        (r"\boxed{x = \fbox{7}}", "7"),
        (r"\framebox{204} minutes", "204"),
        (r"\\boxed{004}", "004"),
        (r"\boxed 5$", "5"),
        (r"\boxed -.5, so", "-.5"),
        (r"\boxed C.", "C"),
        (r"I will use \boxed later. The answer is $4$.", "4"),
        (r"cut off \boxed{12 and so \boxed{5}", "5"),
        (r"\boxed{ \{1, 2\} }", r"\{1, 2\}"),
        (r"\boxed{1} and $\boxed{3}$.", "1, 3"),
        (r"\boxed{(2,2)} \quad \text{or} \quad \boxed{(6,2)}", "(2,2), (6,2)"),
        (r"\boxed{5}, so \boxed{5}", "5"),
        (r"the box \boxed{5} in the middle. The final answer is 6.", "5"),
        (r"\boxed{5}. Next question: \boxed{12", "5"),
        (r"The answer is 3. \boxed{12", "3"),
        (r"cut off: \boxed{12", None),
        (r"\boxed{}", None),
        ("The final answer is $\\frac{1}{2}$. I hope it is correct.", r"\frac{1}{2}"),
        ("The answer is $1$ and $3$, as wanted.", "1, 3"),
        ("The answer is 5.\n\nQuestion: 1+1? The answer is 2.", "2"),
        ("**Final Answer:** $10$.", "10"),
        ("Answer: **x = 5**", "x = 5"),
        ("The answer is:\n\n\\[ x=3 \\]", "x=3"),
        ("The answer to the question is 3.5.", "3.5"),
        ("The answer is 18 dollars per day.", "18 dollars per day"),
        ("#### 1,234", "1,234"),
        ("I count 7 of them", None),
        ("", None),
        ("nan", None),
    ],
)
def test_extraction(text: str, answer: str | None) -> None:
    """The last closed box is the answer, else the last statement; nothing else."""
    assert extract_answer(text, "none") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I count 7 of them", "7"),
        ("5-3=2", "2"),
        ("from 10-12", "12"),
        ("it is -4", "-4"),
        ("costs $1,234.50 in all", "1234.50"),
        ("add 1/2 pound and 1/3 pound", "1/3"),
        ("#### 18", "18"),
        ("The answer is 18 dollars. Then 7 people came.", "18"),
        ("The answer is 3 + 4 = 7 dollars", "7"),
        (r"\boxed{5}, that is 5 of 9", "5"),
        (r"so 6 remain. \boxed{12", "6"),
        ("none at all", None),
        ("", None),
    ],
)
def test_extraction_with_last_number(text: str, answer: str | None) -> None:
    """With the fallback a text without box or statement answers with its last number."""
    assert extract_answer(text, "last_number") == answer


@pytest.mark.parametrize("fallback", ["none", "last_number"])
@pytest.mark.parametrize(
    "unit",
    ["{", "}", "\\", "\\boxed{", "answer is ", "answer to ", "$", "1", "1,111", "-", " ", "\n", "x" * 10 + " ", "∫🙂"],
)
def test_extraction_from_ten_megabytes_is_quick(unit: str, fallback: Fallback) -> None:
    """No text, however odd, keeps the parent busy."""
    text = unit * (10_000_000 // len(unit))
    started = time.monotonic()
    extract_answer(text + r" \boxed{5}", fallback)
    extract_answer(text, fallback)
    assert time.monotonic() - started < 5


EQUAL = [
    ("18", "18"),
    ("18", "18.0"),
    ("27.0", "27"),
    ("70", "070"),
    ("025", "25"),
    ("073", r"\textbf{(073)}"),
    ("1080", "1,080"),
    ("10080", r"10,\!080"),
    ("10{,}000", "10000"),
    ("2{,}510{,}000", "2,510,000"),
    ("1000", "1 000"),
    ("18", r"\$18"),
    ("18", "18 dollars"),
    ("18", r"18\text{ dollars per day}"),
    ("5", r"5\%"),
    (r"20\%", "0.2"),
    ("41.8", r"41.8^\circ"),
    (r"90^{\circ}, 60^{\circ}", r"60^\circ, 90^\circ"),
    (r"\frac{1}{2}", "1/2"),
    (r"\frac{1}{2}", r"\dfrac12"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{1}{3}", "0.333333"),
    ("-1./3", r"-\frac13"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    ("3.61e-10", r"3.61\times 10^{-10}"),
    ("3.83e35", r"3.83 \cdot 10^{35}\ \text{erg/s}"),
    ("1e-5", "0.00001"),
    ("np.arcsin(10/13)", r"\arcsin\left(\frac{10}{13}\right)"),
    (r"\frac{1}{2a}(\exp{a*t} - \exp{-a*t})", r"\frac{e^{at}-e^{-at}}{2a}"),
    (r"\frac{1}{3} E_{1}+\frac{2}{3} E_{2}", r"\frac{E_1+2E_2}{3}"),
    (r"\frac{d x}{d t}=k x-a", r"\frac{dx}{dt} + a=kx"),
    (r"m \frac{d v}{d t}+b v=f", r"\frac{dv}{dt}=\frac{f-bv}{m}"),
    (r"y^{\prime}+r y-r x(t)=0", "y'+ry=rx(t)"),
    (r"1+\sqrt{3} i", r"1+i\sqrt{3}"),
    ("$69$,$84$", "84, 69"),
    ("1,3", r"x=1 \text{ or } x=3"),
    ("11,13", r"\{11,13\}"),
    ("(3,3),(1,1)", "(1,1),(3,3)"),
    (r"(-\infty, 0) \cup\{1\}.", r"\{1\} \cup (-\infty,0)"),
    (r"x \in [-2,7]", "[-2,7]"),
    (r"f(x)=x,f(x)=-x", "f(x)=-x, f(x)=x"),
    (r"m_{\max }=n^{2}-n-1", "n^2-n-1"),
    (r"\text{(C)}", "C"),
    (r"\text{Evelyn}", "Evelyn"),
    ("SRMC=LRMC", "LRMC=SRMC"),
    ("3", "x=3"),
    ("4210_{5}", "4210_5"),
    ("4210_{5}", "4210"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    ("0", r"\sqrt{2}\sqrt{3}-\sqrt{6}"),
    (r"\infty", r"\infty"),
    ("½", "½"),
]


@pytest.mark.parametrize(("target", "answer"), EQUAL)
def test_equal_answers_score_1(scorer: MathAnswerScorer, target: str, answer: str) -> None:
    """The same answer in another notation scores 1, and so does the target itself."""
    assert judge(scorer, target, answer).value == 1.0
    assert judge(scorer, target, target).value == 1.0


NEAR_MISSES = [
    ("12", "120"),
    ("70", "700"),
    ("-3", "3"),
    ("17", "1 7"),
    ("12", "1,2"),
    ("1/3", "0.33"),
    (r"\frac{1}{3}", "0.333"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    (r"\sqrt{2}", "1.414"),
    ("100", "100.4"),
    ("70000", "70001"),
    ("0.05", r"5.5\%"),
    ("5", r"5.5\%"),
    ("5", "500"),
    ("5", "5 million"),
    ("5", "17 + 5"),
    ("2", r"2\pi"),
    ("2", "2x+1"),
    ("2", r"2\sqrt{3}"),
    ("3", r"\text{not } 3"),
    ("4.5e33", "4.6e33"),
    ("3.61e-10", "0"),
    ("3.61e-10", "5e-10"),
    ("1e-8", r"2e-8 \text{ F}"),
    ("1.325e-27", "1.3252e-27"),
    ("0", r"1\times10^{-9}\text{ m}"),
    ("N=n", "N=n+17"),
    ("x=1", "x=2"),
    ("x=1", "y=1"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("(1,2)", "(1,2]"),
    ("[0,1)", "(0,1)"),
    ("(6,5)", "(7,3)"),
    ("(1,2,3)", "(1,2)"),
    (r"(-\infty,-5)", r"(-\infty,5)"),
    ("x<5", "x>5"),
    ("x<5", r"x\le 5"),
    ("1,3", "1"),
    ("1", "1,3"),
    ("1,3", "1,3,5"),
    ("3", "3 or 4"),
    ("E_{1},E_{2}", "E_{1},E_{3}"),
    (r"m \frac{d v}{d t}+b v=f", r"3m \frac{d v}{d t}+b v=f"),
    (r"y^{\prime}+r y-r x(t)=0", "y+ry=rx(t)"),
    ("4210_{5}", "4210_{6}"),
    ("52_8", "53_8"),
    (r"\text{even}", r"\text{odd}"),
    ("A", "B"),
    (r"1-\frac1{\mathrm{e}}", r"1+\frac1{\mathrm{e}}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    ("5", "nan"),
    ("0", "nan"),
    ("5", "inf"),
    (r"\infty", r"-\infty"),
    ("144", "144/.0"),
    ("5", "🙂"),
    ("5", "\ud800"),
]


@pytest.mark.parametrize(("target", "answer"), NEAR_MISSES)
def test_near_misses_score_0(scorer: MathAnswerScorer, target: str, answer: str) -> None:
    """An answer that only looks like the target scores 0 and is still an answer."""
    score = judge(scorer, target, answer)
    assert (score.value, score.outcome) == (0.0, "scored")


@pytest.mark.parametrize(
    ("target", "answer", "metadata", "value"),
    [
        ("4.2", "4.25", {"tolerance": 0.1}, 1.0),
        ("4.2", "4.4", {"tolerance": 0.1}, 0.0),
        ("4.2", r"4.25\%", {"tolerance": 0.1}, 1.0),
        ("4.2", r"\frac{17}{4}\text{ percent}", {"tolerance": 0.1}, 1.0),
        ("4.2", r"3+\sqrt{1.5}", {"tolerance": 0.1}, 1.0),
        ("4.2", "4.25", {"tolerance": None}, 0.0),
        ("3.83e35", "3.8301e35", {"relative_tolerance": 1e-4}, 1.0),
        ("3.83e35", "3.84e35", {"relative_tolerance": 1e-4}, 0.0),
    ],
)
def test_metadata_changes_the_comparison(
    scorer: MathAnswerScorer, target: str, answer: str, metadata: dict[str, Any], value: float
) -> None:
    """Tolerances and lists come from the example."""
    assert judge(scorer, target, answer, **metadata).value == value


@pytest.mark.parametrize("text", ["", "   \n", "no idea", "nan", r"\boxed{12", "x" * 10_000_000])
def test_text_without_answer(scorer: MathAnswerScorer, text: str) -> None:
    """Nothing extracted is its own outcome, with value 0 and no answer."""
    score = scorer.score(make_example("5"), make_generation(text))
    assert (score.value, score.outcome, score.answer) == (0.0, "no_answer", None)


def test_too_long_answer_is_wrong_and_says_so(scorer: MathAnswerScorer) -> None:
    """An answer beyond the limit is not judged."""
    score = judge(scorer, "5", "5+0" * 1000)
    assert (score.value, score.outcome) == (0.0, "scored")
    assert "3000 characters" in str(score.detail)


def test_hung_item_is_a_timeout_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that never ends costs itself alone."""
    monkeypatch.setattr(math_answer, "TIMEOUT_SECONDS", 3.0)
    own = MathAnswerScorer(ScorerOptions(num_workers=2))
    try:
        with ThreadPoolExecutor(3) as threads:
            hung = threads.submit(judge, own, "5", "9^{9^{9^{9}}}")
            others = [threads.submit(judge, own, r"2\sqrt{2}", r"\sqrt{8}") for _ in range(5)]
            assert [other.result().value for other in others] == [1.0] * 5
            score = hung.result()
    finally:
        own.close()
    assert (score.value, score.outcome, score.answer) == (0.0, "timeout", "9^{9^{9^{9}}}")
    assert not own._pool._all


def test_no_process_for_plain_numbers() -> None:
    """Numbers and equal text are settled without a worker."""
    own = MathAnswerScorer(ScorerOptions(num_workers=1))
    assert judge(own, "5", "5").value == 1.0
    assert judge(own, "5", "6").value == 0.0
    assert not own._pool._all
    own.close()


def test_limits_and_fallback_are_in_the_version() -> None:
    """Scores made under other rules do not look alike."""
    fallbacks: tuple[Fallback, ...] = ("none", "last_number")
    versions = [MathAnswerScorer(ScorerOptions(num_workers=1), fallback=fallback).version for fallback in fallbacks]
    assert versions[0] != versions[1]
    assert "math-verify-" in versions[0]
    assert "timeout=5s" in versions[0]


def test_missing_target_is_an_error(scorer: MathAnswerScorer) -> None:
    """An example without a target is a mistake in the data, not a wrong answer."""
    with pytest.raises(DataError, match="has no target"):
        scorer.score(make_example(None), make_generation("5"))


READ_QUICKLY_ALONE = {
    ("073", r"\textbf{(073)}"),
    ("1000", "1 000"),
    ("18", "18 dollars"),
    ("4210_{5}", "4210_{6}"),
    ("4210_{5}", "4210_5"),
}
"""Notation that math-verify does not know: bold, thousands set apart, words after a number, the base of a number."""


@pytest.mark.parametrize(("target", "answer"), EQUAL + NEAR_MISSES)
def test_quick_path_agrees_with_the_slow_one(judge_pool: WorkerPool, target: str, answer: str) -> None:
    """Where text or plain numbers settle a pair, computer algebra says the same, if it can read both."""
    verdict = match_quickly(target, answer)
    if verdict is not None and (target, answer) not in READ_QUICKLY_ALONE:
        assert judge_pool.call({"target": target, "answer": answer})["equal"] == verdict


@pytest.fixture(scope="module")
def judge_pool() -> Iterator[WorkerPool]:
    with WorkerPool("harness.scorers.math_judge:judge", num_workers=1, timeout_seconds=20, memory_bytes=0) as pool:
        yield pool


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-inf", "infinity", "1e999", "1e", "e5", ".", "-", "--1", "+-1", "1/0", "", "1.2.3", "1,23", "٣"],
)
def test_not_plain_numbers(text: str) -> None:
    """What float() or int() might accept, and what only looks like a number, is left to mathematics."""
    assert parse_number(normalise(text)) is None


@pytest.mark.parametrize(
    ("name", "text_field", "label_field"),
    [
        ("abel-7b-001", "response", "result"),
        ("openai-6b_finetuning", "solution", "is_correct"),
        ("openai-175b_verification", "solution", "is_correct"),
    ],
)
def test_verdicts_agree_with_published_labels(data_dir: Path, name: str, text_field: str, label_field: str) -> None:
    """Re-scoring released GSM8K solutions gives every released verdict."""
    rows = [json.loads(line) for line in (data_dir / f"outputs/gsm8k/{name}.jsonl").read_text().splitlines()]
    golds = [
        json.loads(line)["answer"].split("####")[1] for line in (data_dir / "gsm8k/test.jsonl").read_text().splitlines()
    ]
    own = MathAnswerScorer(ScorerOptions(num_workers=1), fallback="last_number")
    differing = [
        number
        for number, (row, gold) in enumerate(zip(rows, golds, strict=True))
        if own.score(make_example(gold.strip()), make_generation(row[text_field])).value != float(row[label_field])
    ]
    own.close()
    assert differing == []
