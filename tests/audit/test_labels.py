"""Labels are held against the text, with counts; patterns are measured on data of known domains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.audit.findings import LabelFinding
from harness.audit.labels import LabelTally, looks_like_code, looks_like_mathematics
from harness.audit.prompts import Prompt, open_prompts

SUM = "What is $2+2$?"
POEM = "Write a poem about the sea."


def judge(*rows: tuple[str, dict[str, Any]]) -> tuple[LabelFinding, ...]:
    """Return the findings on (text, fields) rows."""
    tally = LabelTally()
    for number, (text, fields) in enumerate(rows, 1):
        tally.add(Prompt(number, text, fields))
    return tally.findings()


def test_a_mathematics_label_on_other_text_is_contradicted() -> None:
    """As in the public GRLO prompts: the name of MATH, general text, an empty reference answer."""
    fields = {"data_source": "lighteval/MATH", "ability": "general", "reward_model": {"ground_truth": ""}}
    source, ability = judge(*[(POEM, fields)] * 3, (SUM, fields))
    assert (source.field, source.value, source.num_prompts, source.contradicts) == (
        "data_source",
        "lighteval/MATH",
        4,
        True,
    )
    assert source.says == "mathematics with a reference answer"
    assert source.found == "1 of 4 look like mathematics; 0 have a reference answer"
    assert (ability.value, ability.contradicts) == ("general", False)
    assert ability.found == "1 of 4 look like mathematics, 0 like code"


def test_a_true_label_is_borne_out() -> None:
    """Mathematics with answers, under a nested label in other letters."""
    (found,) = judge(*[(SUM, {"answer": "4", "extra_info": {"source": "GSM8K"}})] * 2)
    assert (found.field, found.contradicts) == ("extra_info.source", False)
    assert found.found == "2 of 2 look like mathematics; 2 have a reference answer"


def test_missing_answers_alone_contradict() -> None:
    """Mathematics without the answers that the label promises; a file without such a field only says so."""
    assert judge((SUM, {"source": "gsm8k", "answer": ""}))[0].contradicts
    found = judge((SUM, {"source": "gsm8k"}))[0]
    assert not found.contradicts
    assert found.found.endswith("the file has no field for reference answers")


def test_a_chat_label_on_mathematics_is_contradicted() -> None:
    """The other way round counts as well."""
    assert judge((SUM, {"ability": "chat"}))[0].contradicts


def test_free_text_and_unknown_names_are_no_labels() -> None:
    """A field with over 50 values, or a value that names nothing known, is not judged."""
    assert judge(*[(SUM, {"id": f"q{number}", "title": "math"}) for number in range(60)])[0].field == "title"
    assert judge(*[(SUM, {"topic": "gsm8k" if number == 0 else f"t{number}"}) for number in range(60)]) == ()
    assert judge((SUM, {"source": "my-own-set", "level": 3})) == ()


@pytest.mark.parametrize(
    ("text", "is_mathematics", "is_code"),
    [
        (SUM, True, False),
        ("Tom has 3 apples and eats 2. How many are left?", True, False),
        ("Find all primes below 30.", True, False),
        (POEM, False, False),
        ("Our plan costs $5 a month, or $20 with support. Write an advert for it.", False, False),
        ("In 1990 and 2001 there were wars. Describe them.", False, False),
        ("def add(a, b):\n    return a + b", False, True),
        ("Write a Python function that reverses a list.", False, True),
        ("```\nls\n```\nExplain this.", False, True),
    ],
)
def test_what_texts_look_like(text: str, is_mathematics: bool, is_code: bool) -> None:
    """Formulas and questions about numbers; definitions and requests for programs."""
    assert (looks_like_mathematics(text), looks_like_code(text)) == (is_mathematics, is_code)


@pytest.mark.parametrize(
    ("file", "look", "low", "high"),
    [
        ("math/train.jsonl.gz", looks_like_mathematics, 0.97, 1.0),
        ("gsm8k/train.jsonl.gz", looks_like_mathematics, 0.97, 1.0),
        ("train_grlo/train.jsonl", looks_like_mathematics, 0.0, 0.02),
        ("ifeval/input_data.jsonl", looks_like_mathematics, 0.0, 0.08),
        ("humaneval/HumanEval.jsonl", looks_like_code, 0.99, 1.0),
        ("math/train.jsonl.gz", looks_like_code, 0.0, 0.03),
        ("train_grlo/train.jsonl", looks_like_code, 0.0, 0.03),
    ],
)
def test_the_patterns_tell_known_data_apart(
    file: str, look: Callable[[str], bool], low: float, high: float, data_dir: Path
) -> None:
    """The rates that docs/audit.md prints."""
    prompts = list(open_prompts(data_dir / file))
    assert low <= sum(look(prompt.text) for prompt in prompts) / len(prompts) <= high
