"""Judges' prompts are filled once, and verdicts are read by the data sets' rules, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.judging.records import Template
from harness.judging.template import PAIR, read_template, read_verdict, render, shown_names
from harness.schema import Message

TOKENS = Template(name="t", system="", user="{question} {answer_a} {answer_b}", reading="tokens")
MODELS = replace(TOKENS, words=("m", "M"))
LETTERS = replace(TOKENS, reading="letters")
COMPARISON = replace(TOKENS, reading="comparison")
RATING = replace(TOKENS, reading="rating")

REFUSALS = [
    "",
    "  \n\t ",
    "I'm sorry, but I can't help with that request.",
    "As an AI, I do not compare the work of others.",
    "Both answers have their merits, and it depends on what the reader wants.",
    "```json\n{'verdict': ",
    '{"winner": null, "reason": "malformed',
    "两个回答都很好，我无法决定。",
    "Les deux réponses se valent.",
    "Оба ответа одинаково хороши.",
    "�" * 20,
]


@pytest.mark.parametrize("template", [TOKENS, MODELS, LETTERS, COMPARISON, RATING], ids=lambda t: "".join(t.words))
@pytest.mark.parametrize("text", REFUSALS)
def test_what_is_no_verdict_is_not_read_as_one(template: Template, text: str) -> None:
    """Refusals, prose, silence and broken JSON give no verdict, in any language and by any reading."""
    assert read_verdict(template, text) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A", "A"),
        (" B\n", "B"),
        ("**B**", "B"),
        ('"A".', "A"),
        ("[[B]]", "B"),
        ("A. It is true and clear.", "A"),
        ("B\n\nThe second answer does what was asked.", "B"),
        ("A: more to the point, and shorter.", "A"),
        ("The first is wrong about the date. My verdict: B", "B"),
        ("Answer A repeats itself, B does not. So I choose B.", "B"),
        ("The better answer is (A).", "A"),
        ("答案是A", "A"),
        ("回答Aは短い。より良いのはB。", "B"),
        ("La meilleure réponse est A.", "A"),
        ("Лучше ответ B.", "B"),
        # the words in passing
        ("A good answer would name its sources.", None),
        ("A response like this is hard to judge.", None),
        ("B is better than A.", None),
        ("I cannot decide between A and B.", None),
        ("I would not say B", None),
        ("It isn't A", None),
        ("Neither A nor B", None),
        ("A and B are equally good", None),
        ("A/B", None),
        ("A: good.\nB: better.", None),
        ("A. Wrong.\nB. Right.", None),
        ("A, then? No: B", None),
        ("This gets an A+", None),
        ("a", None),
        ("b.", None),
        ("AB", None),
        ("Answer C", None),
        ("A-B", None),
    ],
)
def test_words_are_read_where_they_are_the_verdict(text: str, label: str | None) -> None:
    """A word counts that the text is, begins or ends with; not an article, a comparison, a list or a denial."""
    read = read_verdict(TOKENS, text)
    assert read == (None if label is None else (float(label == "A"), label))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m", (1.0, "m")),
        ("M", (0.0, "M")),
        ("M.", (0.0, "M")),
        ("Model M", (0.0, "M")),
        ("The best output is from model m.", (1.0, "m")),
        ("I'm going with M", (0.0, "M")),
        ("I'm", None),
        ("mM", None),
        ("m or M", None),
        ("Mmm", None),
        ("5 m", (1.0, "m")),
    ],
)
def test_m_and_M_are_two_words(text: str, expected: tuple[float, str] | None) -> None:  # noqa: N802
    """AlpacaEval's names of the two models differ by case alone, and I'm names neither."""
    assert read_verdict(MODELS, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Assistant B is thorough.\n[[A]]", (1.0, "A")),
        ("[[B]]", (0.0, "B")),
        ("It is a tie: [[C]].", (0.5, "C")),
        ("Not [[B]] but [[A]]", (1.0, "A")),
        ("Not [[A]] but [[B]]", (1.0, "A")),
        ("[[C]] or rather [[B]]", (0.0, "B")),
        ("[A]", None),
        ("[[a]]", None),
        ("[[D]]", None),
        ("A", None),
        ("[[ A ]]", None),
    ],
)
def test_letters_are_read_as_fastchat_reads_them(text: str, expected: tuple[float, str] | None) -> None:
    """FastChat looks for [[A]], then for [[B]], then for [[C]], wherever they stand."""
    assert read_verdict(LETTERS, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My final verdict is: [[A>>B]]", (1.0, "A>>B")),
        ("[[A>B]]", (1.0, "A>B")),
        ("My final verdict is tie: [[A=B]].", (0.5, "A=B")),
        ("[[B>A]]", (0.0, "B>A")),
        ("[[B>>A]]", (0.0, "B>>A")),
        ("[[A>B]] … as I said, [[A>B]]", (1.0, "A>B")),
        ("I first thought [[A>B]], but no: [[B>A]]", None),
        ("1. [[A>>B]] 2. [[A>B]] 3. [[A=B]]", None),
        ("[[B<<A]]", (1.0, "A>>B")),
        ("[[A<B]]", (0.0, "B>A")),
        ("[[B<A]] that is [[A>B]]", (1.0, "A>B")),
        ("[[a>b]]", (1.0, "A>B")),
        ("verdict: [A>B]", (1.0, "A>B")),
        ("[A>B] at first, then [[B>A]]", (0.0, "B>A")),
        ("[[A>>>B]]", None),
        ("[[A]]", None),
        ("[[A<>B]]", None),
        ("A>B", None),
        ("[[A ≫ B]]", None),
        ("最终结论：[[B>A]]", (0.0, "B>A")),
    ],
)
def test_comparisons_are_one_label_of_arena_hard(text: str, expected: tuple[float, str] | None) -> None:
    """One label, repeated or not, is the verdict; different ones are none, by Arena-Hard v0.1's rule."""
    assert read_verdict(COMPARISON, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rating: [[7]]", (7.0, "7")),
        ("Rating: [[10]]", (10.0, "10")),
        ("[[8.5]] in all", (8.5, "8.5")),
        ("[[3]] at first, then [[9]]", (3.0, "3")),
        ("Rating: [6]", (6.0, "6")),
        ("see [2], so [[5]]", (5.0, "5")),
        ("[[0]]", None),
        ("[[11]]", None),
        ("[[11]] or [[5]]", None),
        ("[[-3]]", None),
        ("[[7/10]]", None),
        ("[[seven]]", None),
        ("Rating: 7", None),
        ("[[rating]]", None),
        ("[[٧]]", None),
        ("评分：[[9]]", (9.0, "9")),
    ],
)
def test_ratings_are_read_as_fastchat_reads_them(text: str, expected: tuple[float, str] | None) -> None:
    """The first number in double brackets, else the first in single ones, from 1 to 10."""
    assert read_verdict(RATING, text) == expected


def test_a_long_text_is_read_in_no_time() -> None:
    """A judge that rambles to its last token costs no quadratic time."""
    for template in (TOKENS, MODELS, LETTERS, COMPARISON, RATING):
        assert read_verdict(template, "so, a A [[ B, (m) [A " * 20_000 + "?") is None


def test_names_are_replaced_once() -> None:
    """What fills a template is never filled again, and braces around other words stay."""
    template = replace(PAIR, system="judge {question}", user='{question}|{answer_a}|{answer_b}|{other}|{"json": 1}|{}')
    fields = {"question": "is {answer_a} right?", "answer_a": "{answer_b} {0} \\1", "answer_b": "{{question}}"}
    assert render(template, fields) == (
        Message(role="system", content="judge is {answer_a} right?"),
        Message(
            role="user",
            content='is {answer_a} right?|{answer_b} {0} \\1|{{question}}|{other}|{"json": 1}|{}',
        ),
    )
    assert render(replace(template, system=""), fields)[0].role == "user"


def test_the_own_template_shows_both_answers() -> None:
    """The template that comes with the harness shows question and answers, and has two words to weigh."""
    assert shown_names(PAIR) == ("answer_a", "answer_b", "question")
    assert (PAIR.name, PAIR.reading, PAIR.words) == ("pair", "tokens", ("A", "B"))
    text = render(PAIR, {"question": "Q?", "answer_a": "first", "answer_b": "second"})[1].content
    assert text.index("Q?") < text.index("first") < text.index("second")
    assert "{" not in text


def test_a_template_file_is_read(tmp_path: Path) -> None:
    """A user's template needs what is shown and how the verdict is read; its name may be the file's."""
    path = tmp_path / "mine.toml"
    path.write_text('reading = "rating"\nuser = "{question}\\n{answer}"\n')
    assert read_template(path) == Template(
        name="mine", system="", user="{question}\n{answer}", reading="rating", max_tokens=2048
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('user = "{question}"', "missing required field `reading`"),
        ('reading = "vibes"\nuser = "x"', "expected one of tokens, letters"),
        ('reading = "letters"\nuser = "{question} {answer_a}"', r"does not show \{answer_b\}"),
        ('reading = "rating"\nuser = "{question}"', r"does not show \{answer\}"),
        ('reading = "letters"\nusr = "x"', "unknown setting usr"),
        ('reading = "tokens"\nuser = "{question}{answer_a}{answer_b}"\nwords = ["A", "A"]', "two different words"),
        ('reading = "tokens"\nuser = "{question}{answer_a}{answer_b}"\nwords = ["A b", "c"]', "two different words"),
        ("reading = [", "is not TOML"),
    ],
)
def test_a_template_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """One line names the file and what is wrong with it."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as raised:
        read_template(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
