"""What judging costs is told before it starts, and no call is made that was not allowed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from harness.errors import BudgetError
from harness.judging.budget import Budget, CallEstimate, Confirm, estimate_calls, is_remote
from harness.judging.records import JudgeIdentity, Question, VerdictKey
from harness.judging.template import PAIR, render
from harness.spec import EngineConfig, JudgeConfig
from tests.judging.judge_engine import REMOTE, JudgeEngine, ask_pairs, identity_of

LETTERS = replace(PAIR, reading="letters", max_tokens=1000)


def served(**settings: Any) -> tuple[JudgeConfig, JudgeIdentity]:
    config = JudgeConfig(ckpt="judge", engine=REMOTE, **settings)
    return config, identity_of(config, JudgeEngine(lambda request: "", name="openai"))


def open_budget(confirm: Confirm | None = None, **settings: Any) -> Budget:
    config, identity = served(**settings)
    return Budget(config, identity, confirm)


def characters(questions: Sequence[Question]) -> int:
    return sum(len(m.content) for q in questions for m in render(q.template or PAIR, q.fields))


def test_the_estimate_counts_attempts_characters_and_prices() -> None:
    """At least every question once without an answer; at most every attempt, each shown the answers before it."""
    questions = ask_pairs(range(8), LETTERS)
    config, identity = served(attempts=3, price_in=2.0, price_out=10.0)
    estimate = estimate_calls(config, identity, questions)
    tokens = characters(questions) / 4
    assert (estimate.num_questions, estimate.max_calls) == (8, 24)
    assert estimate.prompt_tokens == int(tokens)
    assert estimate.max_completion_tokens == 8000
    # three attempts: the prompt thrice, one answer before the second and two before the third
    most = (3 * tokens + 8 * 3 * 1000) * 2 / 1e6 + 24_000 * 10 / 1e6
    assert estimate.costs == pytest.approx((tokens * 2 / 1e6, most))
    assert str(estimate) == (
        f"8 to 24 calls of judge judge, each question once about {int(tokens):,} prompt tokens (characters / 4) and at "
        f"most 8,000 in its answers; 0.00 to {most:.2f} by the given prices"
    )


def test_a_weighed_question_is_one_call_of_one_token() -> None:
    """Likelihoods are always readable, so nothing is asked twice."""
    config, identity = served()
    estimate = estimate_calls(config, identity, ask_pairs(range(8)))
    assert (estimate.max_calls, estimate.max_completion_tokens, estimate.costs) == (8, 8, None)
    assert str(estimate).startswith("8 calls of judge judge, ")
    as_text = msgspec.structs.replace(identity, settings={"reading": "text"})
    assert estimate_calls(config, as_text, ask_pairs(range(8))).max_calls == 24


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://localhost:8000/v1", False),
        ("http://127.0.0.1:1/v1", False),
        ("http://127.5.0.1/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://10.0.0.5/v1", True),
        ("https://api.example/v1", True),
        ("https://localhost.example/v1", True),
        ("http://127.0.0.1.example/v1", True),
    ],
)
def test_only_a_server_elsewhere_is_remote(address: str, expected: bool) -> None:
    """A loopback address is this machine, however it is written."""
    config, identity = served()
    config = msgspec.structs.replace(config, engine=EngineConfig(name="openai", base_url=address))
    assert is_remote(config, identity) == expected


@pytest.mark.parametrize("name", ["hf", "vllm", "scripted"])
def test_a_judge_on_this_machine_needs_no_leave(name: str) -> None:
    """It costs nothing but time, unless a number of calls was given."""
    engine = JudgeEngine(lambda request: "", name=name)
    config = JudgeConfig(ckpt="judge")
    budget = Budget(config, identity_of(config, engine), None)
    budget.admit(ask_pairs(range(100), LETTERS))
    assert all(budget.may_call() for _ in range(100))
    limited = msgspec.structs.replace(config, max_calls=5)
    with pytest.raises(BudgetError, match=r"missing verdicts: 6; .*: 5 of the"):
        Budget(limited, identity_of(limited, engine), None).admit(ask_pairs(range(6), LETTERS))


def test_a_reward_model_is_free() -> None:
    """It is small, runs here, and its answers are numbers; a number of calls does not bind it."""
    identity = JudgeIdentity(name="rm", kind="reward", model="w", engine={"name": "hf"}, settings={})
    question = Question(key=VerdictKey(template="reward", prompt="", a="", b=None), template=None, fields={}, where="")
    budget = Budget(JudgeConfig(ckpt="rm", max_calls=0), identity, None)
    budget.admit([question] * 10)
    assert budget.may_call()


def test_a_number_of_calls_is_never_asked_about_and_never_exceeded() -> None:
    """More missing verdicts than calls are refused at once; calls beyond the number are not made."""
    budget = open_budget(confirm=pytest.fail, max_calls=4)  # type: ignore[arg-type]
    budget.admit(ask_pairs(range(4), LETTERS))
    with pytest.raises(BudgetError, match=r"missing verdicts: 5; .*: 4 of the 4 allowed; expected 5 to 15 calls"):
        budget.admit(ask_pairs(range(5), LETTERS))
    assert [budget.may_call() for _ in range(6)] == [True] * 4 + [False] * 2
    assert (budget.num_calls, budget.is_exhausted) == (4, True)
    with pytest.raises(BudgetError, match=r"missing verdicts: 1; .*: 0 of the"):
        budget.admit(ask_pairs([1], LETTERS))
    budget.admit([])


def test_nothing_is_allowed_at_zero() -> None:
    """--max-judge-calls 0 means stored verdicts only."""
    budget = open_budget(max_calls=0)
    with pytest.raises(BudgetError, match="judge: 0 of the 0 allowed"):
        budget.admit(ask_pairs([1]))
    assert not budget.may_call()


def test_a_person_is_asked_about_a_server_elsewhere() -> None:
    """Agreement covers what was estimated, attempts included, and further questions are asked about anew."""
    heard: list[CallEstimate] = []
    budget = open_budget(confirm=lambda estimate: heard.append(estimate) or True)
    budget.admit(ask_pairs(range(4), LETTERS))
    assert [estimate.max_calls for estimate in heard] == [12]
    budget.admit(ask_pairs(range(2), LETTERS))  # of those that were agreed to
    assert len(heard) == 1
    assert sum(budget.may_call() for _ in range(20)) == 12
    budget.admit(ask_pairs(range(2), LETTERS))
    assert [estimate.max_calls for estimate in heard] == [12, 6]
    assert sum(budget.may_call() for _ in range(20)) == 6


def test_without_a_terminal_or_agreement_nothing_is_asked() -> None:
    """The estimate and the flag are in the one line."""
    with pytest.raises(BudgetError, match=r"no terminal to ask on about 1 to 3 calls .* --max-judge-calls N") as raised:
        open_budget().admit(ask_pairs([1], LETTERS))
    assert "\n" not in str(raised.value)
    budget = open_budget(confirm=lambda estimate: False)
    with pytest.raises(BudgetError, match="not agreed to, so nothing was asked: 1 to 3 calls"):
        budget.admit(ask_pairs([1], LETTERS))
    assert not budget.may_call()
