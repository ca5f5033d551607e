"""The plan: which requests, in which order, with which seeds."""

from pathlib import Path

import pytest

from harness.errors import DataError
from harness.plan import plan_requests, request_seed
from harness.schema import Example, LoadedData, RequestKey, Sampling, ScorerOptions
from tests.support import NumberScorer, toy_plan, toy_task


def test_every_generation_is_planned_once(tmp_path: Path) -> None:
    """Examples × k requests, unique keys, in example order."""
    requests = list(plan_requests([toy_plan(tmp_path, num_rows=3, k=2)], "chat"))
    found = [(request.key.example_id, request.key.index) for request in requests]
    assert found == [("q0", 0), ("q0", 1), ("q1", 0), ("q1", 1), ("q2", 0), ("q2", 1)]


def test_chat_and_completion_fill_one_field_each(tmp_path: Path) -> None:
    """A request has messages or a prompt, never both."""
    planned = toy_plan(tmp_path, num_rows=1, k=1)
    (chat,) = plan_requests([planned], "chat")
    (completion,) = plan_requests([planned], "completion")
    assert chat.messages is not None
    assert chat.prompt is None
    assert (completion.messages, completion.prompt) == (None, "What is 0 + 0?\n")


def test_seeds_belong_to_keys_not_positions(tmp_path: Path) -> None:
    """Leaving examples out changes no other request's seed."""
    whole = {request.key: request.seed for request in plan_requests([toy_plan(tmp_path, 12)], "chat")}
    part = {request.key: request.seed for request in plan_requests([toy_plan(tmp_path, 5)], "chat")}
    assert part == {key: whole[key] for key in part}
    assert len(set(whole.values())) == len(whole)


def test_seed_value_is_pinned() -> None:
    """Stored runs are reproducible only as long as this number stands."""
    assert request_seed(0, RequestKey(task="gsm8k", example_id="7", index=2)) == 3941844677519380387
    assert request_seed(1, RequestKey(task="gsm8k", example_id="7", index=2)) != 3941844677519380387


def test_doubled_ids_are_refused() -> None:
    """Two rows with one id cannot be paired with anything."""
    example = Example(task="toy", example_id="q1", input="?", target="1")
    data = LoadedData(examples=(example, example), sha256="", source="here")
    scorer = NumberScorer(ScorerOptions(num_workers=1))
    with pytest.raises(DataError, match="q1 occurs twice"):
        pin_task_of(data, scorer)


def pin_task_of(data: LoadedData, scorer: NumberScorer) -> None:
    from harness.plan import pin_task

    pin_task(toy_task(), data, scorer, Sampling(), "chat", None)
