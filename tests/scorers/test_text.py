"""Rule checks of chat answers: one table, each near-miss fails the one check it is about."""

import pytest

from harness.errors import ScorerError
from harness.schema import Example, FinishReason, Generation, RequestKey, Score, ScorerOptions
from harness.scorers.text import TextChecksScorer

FACTS = (
    "tea is a hot drink",
    "tea is calm and light",
    "you can find tea in a teapot",
    "tea needs fresh leaves",
    "people like tea because it helps you relax",
)
BASE = {
    "subject": "tea",
    "keywords": ["tea", "teapot", "leaves", "relax"],
    "facts": list(FACTS),
    "max_sentences": 4,
    "max_words": 40,
}


def judge(text: str, finish: FinishReason = "stop", **checks: object) -> Score:
    """Score one text against the tea example."""
    example = Example(task="t", example_id="e", input="", target=None, metadata={"checks": BASE | checks})
    generation = Generation(
        key=RequestKey(task="t", example_id="e", index=0),
        text=text,
        finish_reason=finish,
        num_prompt_tokens=None,
        num_completion_tokens=None,
        seconds=0.0,
    )
    return TextChecksScorer(ScorerOptions(num_workers=1)).score(example, generation)


def failed(score: Score) -> set[str]:
    """Return the names of the checks that did not hold."""
    return {name for name, values in score.parts.items() if values != (1.0,)}


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("Tea is a hot drink.", {}),
        ("Tea is a hot drink. Tea needs fresh leaves.", {"num_sentences": 2}),
        ("- Tea is a hot drink.\n- Tea needs fresh leaves.", {"num_items": 2}),
        ("1. Tea is a hot drink.\n2. Tea needs fresh leaves.", {"num_items": 2}),
        ("Sure, tea is a hot drink.", {"starts_with": "Sure"}),
        ("You can find tea in a teapot, my friend.", {"ends_with": "my friend", "asked": ["teapot"]}),
        ("Well, tea is a hot drink, I think.", {"starts_with": "Well", "ends_with": "I think", "num_sentences": 1}),
    ],
)
def test_good_answers_score_one(text: str, checks: dict[str, object]) -> None:
    """A true, complete answer in the shape asked for scores 1."""
    score = judge(text, **checks)
    assert (score.value, failed(score), score.outcome) == (1.0, set(), "scored")


@pytest.mark.parametrize(
    ("text", "checks", "cause"),
    [
        ("Tea is a hot drink.\nUser: What is milk?\nAssistant: Tea is calm and light.", {}, "no_leak"),
        ("Tea is a hot drink.\nQuestion: Tea?", {}, "no_leak"),
        ("That is a good question. I am not sure.", {}, "answers"),
        ("I don't know about tea.", {}, "answers"),
        ("Coffee is a strong drink.", {}, "on_topic"),
        ("Tea is a hot drink. Coffee is a strong drink.", {}, "on_topic"),
        ("Tea is a hot drink. Wait, no. Tea is calm and light.", {}, "consistent"),
        ("Tea is a hot drink. Tea is not a hot drink.", {}, "consistent"),
        ("Tea is a cold stone.", {}, "true"),
        ("Tea is a hot drink.", {"asked": ["teapot"]}, "asked"),
        ("Tea is a hot drink. Tea is a hot drink.", {}, "no_repeat"),
        (" ".join(f"{fact.capitalize()}." for fact in FACTS), {}, "length"),
        ("Tea is a hot drink. Tea needs fresh leaves.", {"max_words": 8}, "length"),
        ("Tea is a hot drink.", {"num_sentences": 2}, "instruction"),
        ("- Tea is a hot drink.", {"num_items": 2}, "instruction"),
        ("Tea is a hot drink.\n- Tea needs fresh leaves.", {"num_items": 2}, "instruction"),
        ("Tea is a hot drink.", {"starts_with": "Sure"}, "instruction"),
        ("Surely, tea is a hot drink.", {"starts_with": "Sure"}, "instruction"),
        ("Tea is a hot drink.", {"ends_with": "my friend"}, "instruction"),
    ],
)
def test_near_misses_score_zero(text: str, checks: dict[str, object], cause: str) -> None:
    """An answer with one fault scores 0, and the check that it breaks says so."""
    score = judge(text, **checks)
    assert score.value == 0.0
    assert cause in failed(score)
    assert cause in (score.detail or "")


def test_truncated_answer_scores_zero() -> None:
    """A good text that hit the token limit has not ended."""
    assert failed(judge("Tea is a hot drink.", "length")) == {"ended"}


def test_unknown_finish_is_not_judged() -> None:
    """Imported text that does not say why it ended is judged on its words alone."""
    score = judge("Tea is a hot drink.", "unknown")
    assert score.value == 1.0
    assert "ended" not in score.parts


def test_empty_text_is_no_answer() -> None:
    """Nothing said is no answer, worth 0."""
    assert (judge("  \n").outcome, judge("").value) == ("no_answer", 0.0)


def test_malformed_checks_are_an_error() -> None:
    """Checks the scorer does not understand are its own failure, never a verdict."""
    with pytest.raises(ScorerError, match="has no usable metadata"):
        judge("Tea is a hot drink.", max_words="many")
