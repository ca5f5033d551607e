"""A standing is what one checkpoint scores by itself, with the numbers of `harness compare` on the same examples."""

import math

import msgspec
import numpy as np
import pytest

from harness.schema import TrainingCost
from harness.stats.estimate import estimate_mean
from harness.study.standing import measure_standings
from tests.labels import make_label, make_task
from tests.study.cases import TASKS, binary, draw_labels, draw_tasks, make_study


@pytest.mark.parametrize("overall", ["domains", "tasks"])
@pytest.mark.parametrize("k", [1, 3])
def test_same_examples_give_the_numbers_of_compare(overall: str, k: int) -> None:
    """Arms, domain averages and overall of base and candidate, to the last digit."""
    study = make_study(draw_labels(k), overall=overall, seed=5)
    standings = {standing.label: standing for standing in measure_standings(study)}
    for comparison in study.transfer.comparisons:
        for label, side in ((comparison.base, "base"), (comparison.candidate, "candidate")):
            found = standings[label]
            assert [task.task for task in found.tasks] == list(TASKS)
            for task, ours in zip(comparison.tasks, found.tasks, strict=True):
                arm = getattr(task, side)
                assert ours.score == arm.score
                assert msgspec.json.encode(ours.outcomes) == msgspec.json.encode(arm.outcomes)  # nan equals nan here
            assert found.domains == {domain.name: getattr(domain, side) for domain in comparison.domains}
            assert found.overall == getattr(comparison.overall, side)


def test_a_score_stands_on_all_own_examples() -> None:
    """Also those that the base does not have; a comparison stands on the shared ones."""
    base = make_label("base", make_task("t", binary(2, 4), ids=("a", "b", "c", "d")))
    new = make_label("new", make_task("t", binary(3, 6), ids=tuple("abcdef")))
    study = make_study({"base": base, "new": new})
    standing = measure_standings(study)[1]
    assert standing.overall is not None
    assert (standing.overall.value, standing.overall.num_examples) == (0.5, 6)
    assert study.transfer.comparisons[0].tasks[0].candidate.score.value == 0.75


def test_errors_are_left_out_and_repeats_stand_together() -> None:
    """An example with an error is no wrong answer; two runs of two generations are k = 4."""
    values = np.array([[1.0, 0.0], [np.nan, 1.0], [1.0, 1.0]])
    study = make_study({"base": make_label("base", make_task("t", values))})
    (task,) = measure_standings(study)[0].tasks
    assert task.score == estimate_mean(np.array([1.0, 2.0]), np.full(2, 2.0), None)
    assert task.num_generations == 2
    assert task.score.value == 0.75


def test_clusters_are_units() -> None:
    """The stderr of a standing is clustered like that of a comparison."""
    clusters = ("x", "x", "y", "y", "z", "z")
    study = make_study({"base": make_label("base", make_task("t", binary(3, 6), clusters=clusters))})
    score = measure_standings(study)[0].tasks[0].score
    assert score == estimate_mean(binary(3, 6), np.ones(6), np.array([0, 0, 1, 1, 2, 2]))
    assert score.num_clusters == 3


def test_an_average_needs_every_task_of_the_base() -> None:
    """A checkpoint without one of two mathematics tasks has neither that average nor the overall one."""
    labels = draw_labels()
    labels["grlo"] = make_label("grlo", *(task for task in draw_tasks("grlo") if task.ref.name != "proofs"))
    standing = measure_standings(make_study(labels))[1]
    assert [task.task for task in standing.tasks] == ["talk", "sums", "programs"]
    assert set(standing.domains) == {"chat", "code"}
    assert standing.overall is None


def test_what_the_base_lacks_is_in_no_average() -> None:
    """A further task is a column of its own; averages stay comparable with the base's."""
    labels = {
        "base": make_label("base", make_task("t", binary(5, 10))),
        "new": make_label("new", make_task("u", binary(10, 10)), make_task("t", binary(6, 10))),
    }
    standing = measure_standings(make_study(labels))[1]
    assert [task.task for task in standing.tasks] == ["t", "u"]
    assert standing.overall is not None
    assert standing.overall.value == pytest.approx(0.6)


def test_a_row_says_who_it_is() -> None:
    """Title, role, domains trained on (the study's, else training.json's), and how it was asked."""
    tasks = [make_task("t", binary(5, 10))]
    training = TrainingCost(trained_on=("chat",))
    labels = {
        "base": make_label("base", *tasks),
        "base-elicited": make_label("base-elicited", *tasks, prompting="elicited"),
        "new": make_label("new", *tasks, training=training),
        "typed": make_label("typed", *tasks, training=training),
    }
    typed = {"title": "Typed", "trained_on": ("math",)}
    rows = measure_standings(make_study(labels, checkpoints={"typed": typed}))
    assert [(row.label, row.title, row.role, row.trained_on, row.prompting) for row in rows] == [
        ("base", "base", "base", (), "chat"),
        ("base-elicited", "base, elicited", "base", (), "elicited"),
        ("new", "new", "candidate", ("chat",), "chat"),
        ("typed", "Typed", "candidate", ("math",), "chat"),
    ]


def test_one_example_has_no_error() -> None:
    """A value, and nan for what cannot be known."""
    labels = {"base": make_label("base", make_task("t", binary(1, 1)), make_task("u", binary(1, 1)))}
    overall = measure_standings(make_study(labels))[0].overall
    assert overall is not None
    assert overall.value == 1
    assert math.isnan(overall.stderr)
