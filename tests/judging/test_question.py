"""Questions are named by content alone."""

from dataclasses import replace

from harness.judging.question import pair_question, single_question, text_digest
from harness.judging.template import PAIR

FIELDS = {"question": "Why?", "reference": "because"}


def test_digests_are_of_the_exact_text() -> None:
    """Two ways to write an accent are two texts, since a judge may see them as such."""
    assert text_digest("") == "e3b0c44298fc1c149afbf4c8"
    assert text_digest("é") != text_digest("e\u0301")
    assert len(text_digest("日本語")) == 24


def test_the_same_texts_are_the_same_question_wherever_they_come_from() -> None:
    """Task and example do not count, nor what the template does not show; duplicate instructions are asked once."""
    one = pair_question(PAIR, FIELDS, "a", "b", "alpaca_eval2/1")
    other = pair_question(PAIR, {"question": "Why?"}, "a", "b", "alpaca_eval2/77")
    assert one.key == other.key
    assert one.fields == {"question": "Why?", "reference": "because", "answer_a": "a", "answer_b": "b"}
    assert (one.where, other.where) == ("alpaca_eval2/1", "alpaca_eval2/77")


def test_all_that_is_shown_counts() -> None:
    """Template, prompt, answers and their order each make another question."""
    keys = {
        pair_question(PAIR, FIELDS, "a", "b", "").key,
        pair_question(PAIR, FIELDS, "b", "a", "").key,
        pair_question(PAIR, FIELDS, "a", "b ", "").key,
        pair_question(PAIR, FIELDS | {"question": "why?"}, "a", "b", "").key,
        pair_question(replace(PAIR, words=("1", "2")), FIELDS, "a", "b", "").key,
        pair_question(replace(PAIR, user=PAIR.user + "{reference}"), FIELDS, "a", "b", "").key,
        single_question(PAIR, FIELDS, "a", "").key,
    }
    assert len(keys) == 7


def test_a_shown_reference_counts() -> None:
    """Where a template shows the reference answer, another one is another question."""
    template = replace(PAIR, reading="rating", user="{question} {reference} {answer}")
    one = single_question(template, FIELDS, "a", "")
    assert one.key.b is None
    assert one.fields["answer"] == "a"
    assert one.key != single_question(template, FIELDS | {"reference": "why not"}, "a", "").key
