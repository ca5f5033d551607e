"""Runs become labels, labels become pairs, and what may not be subtracted is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.pairing import LabelVerdicts, check_comparable, gather_labels, pair_tasks
from harness.schema import Sampling, TrainingCost
from tests.judged_runs import pair_task
from tests.labels import make_label, make_run, make_task

ONES = np.ones(4)


def test_rows_are_lined_up_by_example_id() -> None:
    """Pairing is by id, whatever the order on either side."""
    base = make_label("base", make_task("t", np.array([0, 1, 0]), ids=("a", "b", "c")))
    candidate = make_label("new", make_task("t", np.array([1, 0, 1]), ids=("c", "b", "a")))
    (pair,) = pair_tasks(base, candidate)
    assert pair.base.example_ids == pair.candidate.example_ids == ("a", "b", "c")
    assert pair.differences.tolist() == [1, -1, 1]
    assert pair.is_single_binary


def test_examples_of_one_side_are_left_out_and_counted() -> None:
    """Only what both have is compared."""
    base = make_label("base", make_task("t", np.ones(3), ids=("a", "b", "c")))
    candidate = make_label("new", make_task("t", np.ones(2), ids=("b", "x")))
    (pair,) = pair_tasks(base, candidate)
    assert (pair.num_examples, pair.num_unshared, pair.num_failed) == (1, 3, 0)


def test_an_error_on_a_side_leaves_the_example_out() -> None:
    """A request without verdict is not a wrong answer."""
    base = make_label("base", make_task("t", np.array([1, np.nan, 0])))
    (pair,) = pair_tasks(base, make_label("new", make_task("t", np.ones(3))))
    assert pair.base.example_ids == ("q0", "q2")
    assert (pair.num_unshared, pair.num_failed) == (0, 1)


def test_nothing_in_common_is_one_clear_line() -> None:
    """Runs of other tasks, or of other examples, cannot be compared."""
    base = make_label("base", make_task("t", ONES))
    with pytest.raises(UsageError, match="no task in common: base has t; new has u"):
        check_comparable(base, make_label("new", make_task("u", ONES)), ())
    with pytest.raises(UsageError, match="no example of t in common"):
        pair_tasks(base, make_label("new", make_task("t", ONES, ids=("w", "x", "y", "z"))))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("version", {"version": "2"}),
        ("data", {"data_sha256": "e" * 64}),
        ("prompt", {"prompt": "other"}),
        ("scorer", {"scorer": "scorer@2"}),
        ("sampling", {"sampling": Sampling(max_tokens=9)}),
    ],
)
def test_a_differing_field_is_refused_by_name(field: str, changes: dict[str, object]) -> None:
    """The error names the field, both values and the flag; with the flag the difference is a note."""
    base, new = make_label("base", make_task("t", ONES)), make_label("new", make_task("t", ONES, **changes))
    with pytest.raises(UsageError, match=f"differ in {field}: {field} of t is .* --allow-drift {field}"):
        check_comparable(base, new, ())
    (note,) = check_comparable(base, new, (field,))
    assert note.startswith(f"allowed drift: {field} of t is ")


def test_another_seed_is_no_drift() -> None:
    """Seeds differ between repeats by design."""
    other = make_task("t", ONES, sampling=Sampling(seed=9))
    assert check_comparable(make_label("base", make_task("t", ONES)), make_label("new", other), ()) == ()


def test_another_template_is_drift_for_a_candidate_only() -> None:
    """A candidate is asked as its base was; a reference is another model."""
    base, other = make_label("base", make_task("t", ONES)), make_label("new", make_task("t", ONES), template="u")
    with pytest.raises(UsageError, match="differ in template"):
        check_comparable(base, other, ())
    assert check_comparable(base, other, (), is_reference=True) == ()


def test_runs_of_one_label_stand_side_by_side() -> None:
    """Two runs of k generations are 2k columns, and count as repeats."""
    first = make_run("new", [make_task("t", np.zeros((3, 2)))], weights="a")
    second = make_run("new", [make_task("t", np.ones((3, 2)), sampling=Sampling(temperature=1.0, num_generations=2,
                                                                                  seed=1))], weights="b")  # fmt: skip
    (label,) = gather_labels([first, second])
    assert label.tasks["t"].values.tolist() == [[0, 0, 1, 1]] * 3
    assert (len(label.runs), label.num_checkpoints) == (2, 2)
    assert "2 runs" in label.tasks["t"].metric


def test_measures_of_several_runs_stand_side_by_side() -> None:
    """One that a run lacks is nan there."""
    lengths = np.array([10.0, 20.0])
    judged = pair_task("talk", np.array([0.2, 0.4]), lengths, lengths)
    bare = replace(judged, measures={"length": judged.measures["length"] + 1})
    runs = [make_run("new", [task], weights=f"w{seed}") for seed, task in enumerate((judged, bare))]
    (label,) = gather_labels(runs)
    assert label.tasks["talk"].measures["length"].tolist() == [[10.0, 11.0], [20.0, 21.0]]
    assert label.tasks["talk"].measures["baseline_length"][:, 0].tolist() == [10.0, 20.0]
    assert np.isnan(label.tasks["talk"].measures["baseline_length"][:, 1]).all()


def test_runs_of_one_label_under_two_templates_are_refused() -> None:
    """They were asked differently, so they are not repeats, of a candidate or of a reference."""
    runs = [make_run("new", [make_task("t", ONES)], template=template) for template in ("a", "b")]
    with pytest.raises(UsageError, match="differ on t in template"):
        gather_labels(runs)


def test_clusters_of_one_example_are_none() -> None:
    """Each example alone is the unclustered case, whatever the data call it."""
    tasks = [make_task("t", ONES, clusters=("a", "b", "c", None)) for _ in range(2)]
    (pair,) = pair_tasks(make_label("base", tasks[0]), make_label("new", tasks[1]))
    assert pair.clusters is None


def test_runs_of_one_label_may_cover_different_tasks() -> None:
    """A suite a run is usual; the label has them all."""
    (label,) = gather_labels([make_run("new", [make_task("t", ONES)]), make_run("new", [make_task("u", ONES)])])
    assert list(label.tasks) == ["t", "u"]


def test_runs_of_one_label_that_measured_differently_are_refused() -> None:
    """A greedy and a sampled run are not repeats of each other."""
    greedy, sampled = make_run("new", [make_task("t", ONES)]), make_run("new", [make_task("t", np.ones((4, 8)))])
    with pytest.raises(UsageError, match="both labelled new but differ on t in sampling"):
        gather_labels([greedy, sampled])


def train_thrice(*costs: TrainingCost | None) -> LabelVerdicts:
    """Return a label of one checkpoint a cost, each evaluated on two tasks in runs of their own."""
    return gather_labels(
        make_run("new", [make_task(task, ONES)], weights=f"seed {seed}", training=cost)
        for task in ("t", "u")
        for seed, cost in enumerate(costs)
    )[0]


def test_seeds_cost_what_one_costs_on_average() -> None:
    """What all agree on stays; hours become their mean; a device that differs is not one; each seed counts once."""
    hours, devices = (0.5, 0.25, 0.75), ("cpu, 1", "cpu, 2", "cpu, 1")
    costs = [
        TrainingCost(("lab-chat",), prompts=2000, rollouts=6400, tokens=10 + seed, gpu_hours=0.0, wall_hours=wall,
                     device=device)
        for seed, (wall, device) in enumerate(zip(hours, devices, strict=True))
    ]  # fmt: skip
    label = train_thrice(*costs)
    assert label.training == TrainingCost(
        ("lab-chat",), prompts=2000, rollouts=6400, tokens=11, gpu_hours=0.0, wall_hours=0.5, device=None
    )
    assert label.num_trainings == 3
    assert train_thrice(costs[0]).training == costs[0]
    assert train_thrice(costs[0]).num_trainings == 1


def test_equal_costs_of_two_seeds_count_twice() -> None:
    """The mean is over trainings, not over different ledgers: (10 + 10 + 40) / 3."""
    label = train_thrice(TrainingCost(gpu_hours=10.0), TrainingCost(gpu_hours=10.0), TrainingCost(gpu_hours=40.0))
    assert label.training is not None
    assert label.training.gpu_hours == pytest.approx(20.0)


def test_a_figure_that_one_seed_does_not_say_is_not_known() -> None:
    """A mean of the others would be of fewer trainings than the rest."""
    label = train_thrice(TrainingCost(prompts=5, rollouts=6), TrainingCost(prompts=5))
    assert label.training == TrainingCost(prompts=5)


@pytest.mark.parametrize("other", [None, TrainingCost(trained_on=("math",), prompts=5)])
def test_training_is_not_known_where_a_seed_has_no_ledger_or_another_domain(other: TrainingCost | None) -> None:
    """Then the runs are not repeats of one training."""
    assert train_thrice(TrainingCost(trained_on=("chat",), prompts=5), other).training is None


def test_plain_text_against_chat_is_drift_of_the_prompt_alone() -> None:
    """The template is part of how chat asks, not a second difference."""
    base = make_label("base", make_task("t", ONES))
    plain = make_label("new", make_task("t", ONES, prompt="prompt/completion@1"), template=None, prompting="completion")
    assert len(check_comparable(base, plain, ("prompt",))) == 1


def test_imported_text_has_no_template_to_differ() -> None:
    """Its prompts are not known at all, which is the prompt field's business."""
    base = make_label("base", make_task("t", ONES), template=None, prompting="imported")
    new = make_label("new", make_task("t", ONES), template="x", prompting="imported")
    assert check_comparable(base, new, ()) == ()


def test_two_gradings_of_one_run_are_no_repeats() -> None:
    """They judge the same generations, so they would count everything twice."""
    run = make_run("new", [make_task("sums", np.array([0.0, 1.0]))])
    with pytest.raises(UsageError, match=r"run\.json and .*run\.1a2b3c4d\.json are two gradings of one run"):
        gather_labels([run, replace(run, grading=".1a2b3c4d")])
