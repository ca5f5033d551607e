"""pass@k curves: the unbiased estimate for k = 1, 2, 4, …, and why a label has none."""

import numpy as np
import pytest

from harness.schema import Sampling
from harness.stats.estimate import estimate_mean
from harness.study.curve import draw_curves
from harness.study.gather import gather_by_label
from tests.labels import make_label, make_run, make_task
from tests.study.cases import binary, make_study


def test_a_worked_case() -> None:
    """Of 4 generations 2, 0 and 4 pass: pass@1 = 1/2, pass@2 = (5/6 + 0 + 1)/3, pass@4 = 2/3."""
    values = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    (curve,), reasons = draw_curves(make_study({"base": make_label("base", make_task("t", values))}))
    assert (curve.label, curve.task, curve.ks) == ("base", "t", (1, 2, 4))
    assert [point.value for point in curve.pass_at_k] == pytest.approx([0.5, 11 / 18, 2 / 3])
    assert curve.pass_at_k[2] == estimate_mean(np.array([1.0, 0.0, 1.0]), np.ones(3), None)
    assert reasons == ()


def test_ks_are_powers_of_two() -> None:
    """Up to the generations there are, so that curves of different lengths share their points."""
    label = make_label("base", make_task("t", np.ones((3, 6))))
    (curve,), _ = draw_curves(make_study({"base": label}))
    assert curve.ks == (1, 2, 4)


def test_clusters_are_units_and_errors_left_out() -> None:
    """As in every other number of the study."""
    values = np.array([[1, 0], [1, 1], [0, 0], [np.nan, 1]])
    task = make_task("t", values, clusters=("x", "x", "y", "y"))
    (curve,), _ = draw_curves(make_study({"base": make_label("base", task)}))
    expected = estimate_mean(np.array([1.0, 1.0, 0.0]), np.ones(3), np.array([0, 0, 1]))
    assert curve.pass_at_k[1] == expected


def test_what_has_no_curve_says_why() -> None:
    """One generation, greedy repeats, verdicts between 0 and 1, several training seeds."""
    seeds = [make_run("seeds", [make_task("t", binary(5, 10))], weights=f"w{seed}") for seed in (1, 2)]
    sampled, greedy = np.ones((10, 2)), Sampling(temperature=0.0, num_generations=2)
    labels = {
        "base": make_label("base", make_task("t", binary(5, 10)), make_task("u", sampled)),
        "greedy": make_label("greedy", make_task("u", sampled, sampling=greedy)),
        "partial": make_label("partial", make_task("u", sampled / 2)),
        "seeds": gather_by_label({"seeds": seeds})["seeds"],
    }
    curves, reasons = draw_curves(make_study(labels))
    assert [(curve.label, curve.task) for curve in curves] == [("base", "u")]
    assert reasons == (
        "pass@k: one generation per example (base on t)",
        "pass@k: greedy runs repeated, which are no independent draws (greedy)",
        "pass@k: verdicts between 0 and 1 (partial)",
        "pass@k: runs of several checkpoints, whose draws are not one checkpoint's (seeds)",
    )
