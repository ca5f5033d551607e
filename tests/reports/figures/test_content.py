"""What figures take from the findings: rows in order, looks that differ, averages that are averages."""

import math

import msgspec
import pytest

from harness.findings import Outcomes
from harness.schema import Estimate
from reports.figures.content import (
    comparisons,
    differences,
    domain_means,
    elicited,
    looks,
    row_names,
    titles,
    trained_on,
)
from reports.figures.style import LIGHT
from reports.figures.trajectory import average_tasks
from tests.reports.figures.stress import stress
from tests.studies import make_findings

CHANGE = msgspec.structs.replace


def test_rows_come_by_domain_with_averages_first() -> None:
    """A domain of several tasks opens with its average; one of a single task has none; overall ends."""
    rows = row_names(comparisons(make_findings()))
    assert [(row.name, row.is_average) for row in rows] == [
        ("ifeval", False),
        ("math", True),
        ("gsm8k", False),
        ("aime24", False),
        ("humaneval_plus", False),
        ("overall", True),
    ]


def test_one_domain_has_no_overall_row() -> None:
    """The overall average of one domain would repeat it."""
    found = comparisons(make_findings())[0]
    only = CHANGE(found, tasks=tuple(task for task in found.tasks if task.suite == "math"))
    assert [row.name for row in row_names([only])] == ["math", "gsm8k", "aime24"]


def test_differences_are_the_findings_own() -> None:
    """Rows carry the comparison's numbers, unchanged."""
    found = comparisons(make_findings())[0]
    rows = differences(found)
    assert rows["gsm8k", False].difference is found.tasks[1].difference
    assert rows["math", True].difference is found.domains[1].difference
    assert rows["overall", True].domain == ""


def test_looks_are_all_different() -> None:
    """Thirteen checkpoints have thirteen pairs of colour and marker; base and references are open."""
    findings = stress(10)
    found = looks(findings, LIGHT)
    assert len({(look.color, look.marker) for look in found.values()}) == 13
    for standing in findings.standings:
        is_open = found[standing.label].fill == LIGHT.background
        assert is_open == (standing.role in ("base", "reference"))


def test_a_shared_title_gives_way_to_labels() -> None:
    """Two checkpoints of one title are told apart by their labels."""
    findings = make_findings()
    renamed = tuple(CHANGE(row, title="same") if row.label in ("grlo", "rlvr") else row for row in findings.standings)
    assert titles(CHANGE(findings, standings=renamed)) == {
        "base": "BASE",
        "grlo": "grlo",
        "rlvr": "rlvr",
        "random": "RANDOM",
        "released": "RELEASED",
    }


def test_training_is_put_in_words() -> None:
    """Domains trained on are listed; not knowing is said."""
    found = comparisons(stress(4))
    assert [trained_on(comparison) for comparison in found] == [
        "trained on chat",
        "trained on math",
        "trained on chat and math",
        "training not stated",
    ]
    elsewhere = msgspec.structs.replace(
        found[3], domains=tuple(msgspec.structs.replace(domain, is_trained=False) for domain in found[3].domains)
    )
    assert trained_on(elsewhere) == "trained on none of these"
    assert elicited(make_findings()) == {}


def test_task_averages_by_hand() -> None:
    """Two tasks: mean 0.3, stderr sqrt(0.03² + 0.04²)/2 = 0.025, interval by square-and-add."""
    tasks = [Estimate(0.2, 0.03, 0.14, 0.26, 0.95, "t", 10, 10), Estimate(0.4, 0.04, 0.32, 0.52, 0.95, "t", 20, 5)]
    found = average_tasks(tasks)
    assert found.value == pytest.approx(0.3)
    assert found.stderr == pytest.approx(0.025)
    assert found.ci_low == pytest.approx(0.3 - 0.05)
    assert found.ci_high == pytest.approx(0.3 + math.hypot(0.06, 0.12) / 2)
    assert (found.num_examples, found.num_clusters) == (30, 15)
    assert average_tasks(tasks[:1]) is tasks[0]


def test_domain_means_need_every_task() -> None:
    """Means are unweighted over tasks; one unknown makes the domain's unknown."""
    standing = make_findings().standings[0]
    values = {"ifeval": 10.0, "gsm8k": 100.0, "aime24": 300.0, "humaneval_plus": math.nan}
    found = domain_means(standing, values)
    assert (found["chat"], found["math"]) == (10.0, 200.0)
    assert math.isnan(found["code"])
    part = CHANGE(standing, domains={"chat": standing.domains["chat"]})
    assert list(domain_means(part, values)) == ["chat"]
    assert isinstance(standing.tasks[0].outcomes, Outcomes)
