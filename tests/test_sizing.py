"""Planning a comparison: against statsmodels, by simulated power, and from pilots that show nothing."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from harness.findings import SizingReport
from harness.sizing import KS, NO_SPLIT, Target, TaskVariance, plan_sizes, variance_of_one, worst_variance
from harness.stats.power import VariancePair, difference_sd, split_variance
from tests.test_noise import make_task

TARGET = Target(difference=0.03, level=0.95, power=0.8)
NAN = math.nan


def known(name: str, parts: VariancePair, num_examples: int = 200, suite: str = "math") -> TaskVariance:
    """Return a task of known variance."""
    return TaskVariance(task=name, suite=suite, num_examples=num_examples, parts=parts, basis="known")


PARTS = VariancePair(between=0.04, within_base=0.2, within_candidate=0.2)


def test_a_task_of_known_variance_is_worked_with_statsmodels() -> None:
    """At k = 8 the SD is sqrt(0.04 + 0.4/8) = 0.3; examples needed and detectable difference are the t test's."""
    (task,) = plan_sizes([known("a", PARTS)], TARGET, ()).tasks
    point = next(point for point in task.points if point.num_generations == 8)
    assert tuple(item.num_generations for item in task.points) == KS
    assert point.difference_sd == pytest.approx(0.3)
    needed = TTestPower().solve_power(effect_size=0.1, alpha=0.05, power=0.8, alternative="two-sided")
    assert point.required_examples == math.ceil(needed) == 787
    effect = TTestPower().solve_power(nobs=200, alpha=0.05, power=0.8, alternative="two-sided")
    assert point.detectable == pytest.approx(0.3 * effect, rel=1e-4)


@pytest.mark.parametrize("power", [0.8, 0.9])
def test_the_planned_number_of_examples_gives_the_planned_power(power: float) -> None:
    """From a pilot's split at k = 8, a comparison at k = 4 with the planned n finds 8 points with that power ± 3 %."""
    rng = np.random.default_rng(11)
    base, gain, k = (2.0, 3.0), 0.08, 4

    def chances(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        left = 0.8 * rng.beta(*base, shape)
        return left, left + gain + 0.08 * rng.uniform(-1, 1, shape)

    pilot = [(rng.random((20_000, 8)) < side[:, None]).astype(float) for side in chances((20_000,))]
    target = Target(difference=gain, level=0.95, power=power)
    (task,) = plan_sizes([known("a", split_variance(*pilot))], target, ()).tasks
    num_examples = int(next(point.required_examples for point in task.points if point.num_generations == k))
    left, right = (rng.binomial(k, side) / k for side in chances((4000, num_examples)))
    found = stats.ttest_1samp(right - left, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(power, abs=0.03)


def test_the_smallest_k_that_is_enough_is_named() -> None:
    """One generation fewer does not show the difference any more, for a task and for an average."""
    tasks = [known("a", PARTS, 800), known("b", PARTS, 700)]
    report = plan_sizes(tasks, TARGET, ())
    for plan, members in ((report.tasks[0], tasks[:1]), (report.averages[0], tasks)):
        assert plan.enough_at is not None

        def detectable(k: int, members: list[TaskVariance] = members) -> float:
            error = math.sqrt(sum(item.variance_of_mean(k) for item in members)) / len(members)
            return 2.81 * error  # what a t test with hundreds of degrees of freedom detects, to half a percent

        assert detectable(plan.enough_at) <= 0.03 * 1.005
        assert detectable(plan.enough_at - 1) > 0.03 * 0.995


def test_what_no_number_of_generations_shows_is_said() -> None:
    """30 examples whose differences vary by 20 points show 10.6 points at best."""
    (task,) = plan_sizes([known("a", PARTS, 30)], TARGET, ()).tasks
    assert task.enough_at is None
    assert task.best == pytest.approx(0.2 * TTestPower().solve_power(nobs=30, alpha=0.05, power=0.8), rel=0.01)


def test_an_average_of_two_like_tasks_is_hand_worked() -> None:
    """SE² = ¼ (SE₁² + SE₂²): half the variance of one task, with the degrees of freedom of both."""
    report = plan_sizes([known("a", PARTS), known("b", PARTS)], TARGET, ())
    (average,) = report.averages
    assert average.name == "math"
    assert average.points[0].difference_sd == pytest.approx(math.sqrt(0.44 / 200 / 2))
    effect = TTestPower().solve_power(nobs=399, alpha=0.05, power=0.8, alternative="two-sided")
    assert average.points[0].detectable == pytest.approx(math.sqrt(0.44 / 400 * 399) * effect)


def test_overall_weighs_domains_equally() -> None:
    """Two mathematics tasks weigh ¼ each, one of code ½."""
    tasks = [known("a", PARTS), known("b", PARTS), known("c", PARTS, suite="code")]
    overall = plan_sizes(tasks, TARGET, ()).averages[-1]
    assert overall.name == "overall"
    assert overall.points[0].difference_sd == pytest.approx(math.sqrt((2 / 16 + 1 / 4) * 0.44 / 200))


def test_the_worst_case_is_half_right_half_wrong() -> None:
    """Without correlation the difference of two fair coins has SD sqrt(½); a half correlation halves its variance."""
    assert difference_sd(worst_variance("a", "math", 10, 0.0).parts, 1) == pytest.approx(math.sqrt(0.5))
    assert difference_sd(worst_variance("a", "math", 10, 0.5).parts, 1) == pytest.approx(0.5)


def test_one_generation_plans_only_itself() -> None:
    """With k = 1 nothing tells sampling from examples: only k = 1 is planned, and the plan says why."""
    pilot = make_task("a", np.array([[1], [0], [0], [1]]), 0, "math")
    (task,) = plan_sizes([variance_of_one(pilot, "math", 200, 0.5)], TARGET, ()).tasks
    (point,) = task.points
    assert point.num_generations == 1
    assert point.difference_sd == pytest.approx(math.sqrt(1 / 3)), "2 (1 − ½) s² with s² = ⅓"
    assert task.reason == NO_SPLIT


def test_examples_that_ended_in_error_plan_nothing() -> None:
    """The pilot is what is left without them."""
    values = np.array([[1, 0], [NAN, 1], [0, 0]])
    item = variance_of_one(make_task("a", values, 0, "math"), "math", 200, 0.5)
    assert item.basis == "one pilot, 2 examples, k = 2"


NOTHING = [
    (np.ones((5, 4)), "no variance was seen"),
    (np.zeros((5, 1)), "no variance was seen"),
    (np.array([[1, 0, 1]]), "one example"),
    (np.full((3, 2), NAN), "one example"),
]


def plan_pilot(values: np.ndarray) -> SizingReport:
    """Plan two tasks of a domain, one from a pilot."""
    pilot = variance_of_one(make_task("a", values, 0, "math"), "math", 200, 0.5)
    return plan_sizes([pilot, known("b", PARTS)], TARGET, ())


@pytest.mark.parametrize(("values", "message"), NOTHING, ids=["all right", "all wrong", "one example", "all failed"])
def test_a_pilot_that_shows_nothing_plans_nothing(values: np.ndarray, message: str) -> None:
    """No figure at all, the reason instead, and no average over such a task."""
    report = plan_pilot(values)
    task = report.tasks[0]
    assert (task.points, task.enough_at) == ((), None)
    assert task.reason is not None
    assert message in task.reason
    assert report.averages[0].points == ()
    assert report.averages[0].reason == "nothing can be planned for a"
