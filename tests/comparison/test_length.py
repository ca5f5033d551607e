"""What lengths add to a difference of win rates."""

from dataclasses import replace

import numpy as np
import pytest

from harness.comparison.report import CompareOptions, Sides, compare_labels
from harness.findings import LengthEffect
from harness.stats.length_control import Battles, compare_length_control
from tests.judged_runs import pair_task
from tests.labels import make_label, make_task

N = 60


def effect_of(base: np.ndarray, candidate: np.ndarray, longer: float, **options: object) -> LengthEffect | None:
    """Return the effect between a base as long as the baseline on average and a candidate that is longer."""
    rng = np.random.default_rng(5)
    others = np.round(rng.uniform(500, 1500, N))
    lengths = [np.round(others + extra + rng.normal(0, 150, N)) for extra in (0.0, longer)]
    labels = [
        make_label(name, pair_task("talk", values, length, others))
        for name, values, length in zip(("base", "new"), (base, candidate), lengths, strict=True)
    ]
    chosen = CompareOptions(**{"num_resamples": 400, **options})  # type: ignore[arg-type]
    return compare_labels(Sides(labels[0], (labels[1],)), chosen).comparisons[0].tasks[0].length_effect


def preferences(centre: float, seed: int) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(centre, 0.2, N), 0, 1)


def test_the_parts_add_up() -> None:
    """Raw is the difference of win rates, and the two parts sum to it; mean lengths stand beside."""
    base, new = preferences(0.3, 1), preferences(0.6, 2)
    found = effect_of(base, new, 200)
    assert found is not None
    assert found.raw.value == pytest.approx(new.mean() - base.mean())
    assert found.controlled.value + found.length_effect.value == pytest.approx(found.raw.value)
    assert found.raw.ci_low < found.raw.value < found.raw.ci_high
    assert found.candidate_length - found.base_length == pytest.approx(200, abs=80)
    assert 900 < found.baseline_length < 1100


def test_it_is_that_of_the_estimator() -> None:
    """The same battles, a row an answer, units being examples: the same values as from the arrays themselves."""
    rng = np.random.default_rng(0)
    others = np.round(rng.uniform(500, 1500, N))
    sides = [(preferences(centre, seed), others + np.round(rng.normal(extra, 300, N))) for centre, seed, extra in
             ((0.4, 3, 0), (0.5, 4, 250))]  # fmt: skip
    labels = [make_label(name, pair_task("talk", *side, others)) for name, side in zip("ab", sides, strict=True)]
    comparison = compare_labels(Sides(labels[0], (labels[1],)), CompareOptions(num_resamples=400)).comparisons[0]
    battles = [Battles(values, others - lengths) for values, lengths in sides]
    expected = compare_length_control(battles[0], battles[1], np.random.default_rng(0), 50)
    found = comparison.tasks[0].length_effect
    assert found is not None
    assert found.controlled.value == pytest.approx(expected.controlled.value)
    assert found.length_effect.value == pytest.approx(expected.length_effect.value)


def test_sides_may_have_other_numbers_of_generations() -> None:
    """One answer against two an example: examples are the units of both."""
    others = np.full(N, 1000.0)
    rng = np.random.default_rng(7)
    one = pair_task("talk", preferences(0.4, 8), others + rng.normal(0, 200, N), others)
    two = pair_task(
        "talk",
        np.stack([preferences(0.5, 9), preferences(0.6, 10)], axis=1),
        1000 + rng.normal(0, 200, (N, 2)),
        np.full((N, 2), 1000.0),
    )
    labels = make_label("one", one), make_label("two", two)
    options = CompareOptions(num_resamples=400, allow_drift=("sampling",))
    found = compare_labels(Sides(labels[0], (labels[1],)), options).comparisons[0].tasks[0].length_effect
    assert found is not None
    assert found.raw.value == pytest.approx(two.values.mean() - one.values.mean())
    assert found.raw.num_clusters == N


def test_other_tasks_have_none() -> None:
    """Without lengths nothing is controlled; nor where a comparison is made for its differences alone."""
    sides = [make_label(name, make_task("sums", np.arange(10) % 2)) for name in ("base", "new")]
    comparison = compare_labels(Sides(sides[0], (sides[1],)), CompareOptions(num_resamples=400)).comparisons[0]
    assert comparison.tasks[0].length_effect is None
    assert effect_of(preferences(0.3, 1), preferences(0.6, 2), 200, length_effects=False) is None


def test_both_sides_have_the_same_model() -> None:
    """A difficulty that one side's scores lack leaves both fits: each with other terms, they would not cancel."""
    rng = np.random.default_rng(1)
    others, hard = np.full(N, 1000.0), rng.normal(0, 3, N)
    values = 1 / (1 + np.exp(-hard + rng.normal(0, 0.3, N)))
    tasks = [pair_task("talk", values, others + rng.normal(300, 200, N), others) for _ in range(2)]
    tasks[1] = replace(tasks[1], measures={**tasks[0].measures, "difficulty": hard.reshape(-1, 1)})
    labels = [make_label(name, task) for name, task in zip("ab", tasks, strict=True)]
    found = compare_labels(Sides(labels[0], (labels[1],)), CompareOptions(num_resamples=400)).comparisons[0].tasks[0]
    assert found.length_effect is not None
    assert found.length_effect.controlled.value == pytest.approx(0.0, abs=1e-12)
