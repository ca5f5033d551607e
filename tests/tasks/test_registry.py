"""Names and suites."""

import pytest

from harness.errors import UsageError
from tasks.registry import SUITES, TASKS, select_tasks
from tasks.suite_math import last_boxed, plain_number


def test_names_are_those_of_the_tasks() -> None:
    """The registry's key is the task's own name, and suites name tasks that exist; few tasks are in none."""
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}
    in_suites = {member for members in SUITES.values() for member in members}
    assert set(TASKS) - in_suites == {"arena_hard_v0.1", "arena_hard_v2_creative"}
    assert in_suites <= set(TASKS)


def test_every_task_says_where_it_comes_from() -> None:
    """Title, paper, licence, protocol and a pinned hash are filled in; one task's answers could not be had."""
    for task in TASKS.values():
        assert all((task.title, task.paper, task.licence, task.protocol)), task.name
        assert len(task.data_sha256) == (0 if task.name == "arena_hard_v2_creative" else 64), task.name
        assert set(task.presets) == {"greedy", "avg@8"}, task.name


def test_suites_and_tasks_mix_and_each_task_runs_once() -> None:
    """In the order named."""
    names = [task.name for task in select_tasks(["code", "gsm8k", "humaneval_plus"])]
    assert names == ["humaneval_plus", "mbpp_plus", "gsm8k"]


@pytest.mark.parametrize(
    ("name", "message"), [("gsm8", "did you mean gsm8k"), ("maths", "did you mean math"), ("xyzzy", "suites: chat")]
)
def test_unknown_names_get_a_suggestion(name: str, message: str) -> None:
    """Or the list of suites."""
    with pytest.raises(UsageError, match=message):
        select_tasks([name])


def test_unknown_preset_is_refused() -> None:
    """With the presets that there are."""
    with pytest.raises(UsageError, match="it has greedy, avg@8"):
        TASKS["gsm8k"].sampling("avg@64", "chat")


def test_stop_strings_belong_to_completion_prompts() -> None:
    """A chat answer may contain the words that end a base model's completion."""
    assert TASKS["gsm8k"].sampling("greedy", "chat").stop == ()
    assert "\nQuestion:" in TASKS["gsm8k"].sampling("greedy", "completion").stop


@pytest.mark.parametrize(
    ("value", "text"),
    [(27.0, "27"), ("025", "25"), (70, "70"), ("-1.0", "-1"), ("1.5", "1.5"), ("\\frac12", "\\frac12")],
)
def test_numbers_are_written_one_way(value: object, text: str) -> None:
    """Sources disagree on 27, 27.0 and 027."""
    assert plain_number(value) == text


def test_last_boxed_keeps_inner_braces() -> None:
    """Nested braces are balanced; the last box counts; an open one is an error."""
    assert last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}}.") == r"\frac{1}{2}"
    with pytest.raises(ValueError, match="unclosed"):
        last_boxed(r"\boxed{\frac{1}{2}")
