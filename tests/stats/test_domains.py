"""How tasks weigh in averages."""

import pytest

from harness.stats.domains import average_weights, task_weights


def test_tasks_weigh_equally_in_their_domain_and_domains_overall() -> None:
    """Two tasks of mathematics weigh ½ in theirs and ¼ overall; code alone has no average of its own."""
    found = average_weights({"a": "math", "b": "code", "c": "math"})
    assert found == {"math": {"a": 0.5, "c": 0.5}, "overall": {"a": 0.25, "c": 0.25, "b": 0.5}}


@pytest.mark.parametrize("suites", [{}, {"a": "math"}])
def test_one_task_has_no_average(suites: dict[str, str]) -> None:
    """An average of one thing would repeat it."""
    assert average_weights(suites) == {}


def test_one_domain_has_no_overall() -> None:
    """It would repeat the domain's average."""
    assert list(average_weights({"a": "math", "b": "math"})) == ["math"]


def test_domains_or_tasks_weigh_alike() -> None:
    """Two tasks of mathematics and one of code: quarters and a half, or thirds."""
    suites = {"a": "math", "b": "code", "c": "math"}
    assert task_weights(suites) == {"a": 0.25, "b": 0.5, "c": 0.25}
    assert task_weights(suites, "tasks") == dict.fromkeys("abc", 1 / 3)
    assert task_weights({}) == task_weights({}, "tasks") == {}
