"""Averages over tasks: by hand, against scipy, and by simulated coverage."""

import math
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from harness.schema import Estimate
from harness.stats.average import average_margin_p_value, effective_stderr, estimate_average, stretched_interval
from harness.stats.estimate import estimate_mean
from harness.stats.resample import resample_totals

SIZES = (30, 164, 500)


def make(value: float, stderr: float = 0.1, low: float = 0.0, high: float = 1.0, n: int = 10) -> Estimate:
    return Estimate(value, stderr, low, high, 0.95, "t", n, n)


def make_mean(values: np.ndarray) -> Estimate:
    return estimate_mean(values, np.ones(len(values)), None)


def spread_draws(*stderrs: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0.5, stderrs, (4000, len(stderrs)))


def test_average_is_by_hand() -> None:
    """Tasks at 0.2 and 0.6 with errors 0.03 and 0.04: 0.4 with √(0.03² + 0.04²)/2 = 0.025."""
    found = estimate_average([make(0.2), make(0.6)], spread_draws(0.03, 0.04) - 0.1)
    assert found.value == pytest.approx(0.4)
    assert found.stderr == pytest.approx(0.025, rel=0.05)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.4 - 0.049, 0.4 + 0.049), abs=0.006)
    assert (found.method, found.num_examples, found.num_clusters) == ("bootstrap", 20, 20)


def test_weights_replace_the_plain_average() -> None:
    """Weights 0.25 and 0.75 of 0.2 and 0.6 make 0.5."""
    found = estimate_average([make(0.2), make(0.6)], spread_draws(0.1, 0.1), 0.95, np.array([0.25, 0.75]))
    assert found.value == pytest.approx(0.5)


def test_task_without_variance_widens_by_square_and_add() -> None:
    """A task at 1 with Wilson's low end 0.7, beside another: low = v − √((v − l)² + (0.3/2)²); high stays."""
    draws = spread_draws(0.04, 0.0)
    draws[:, 1] = 1.0
    low, high = np.quantile(draws.mean(axis=1), [0.025, 0.975])
    tasks = [make(0.5, n=10_000), make(1.0, 0.0, 0.7, 1.0, n=10_000)]  # so many that t is z
    found = estimate_average(tasks, draws)
    assert found.ci_low == pytest.approx(0.75 - math.sqrt((0.75 - low) ** 2 + 0.15**2), rel=1e-3)
    assert found.ci_high == pytest.approx(high, rel=1e-3)
    assert found.stderr == pytest.approx(0.02, rel=0.05)
    assert found.method == "bootstrap, MOVER (no variance seen in: 1 task)"


def test_all_tasks_without_variance_still_have_a_width() -> None:
    """All wrong everywhere: the interval is the tasks' own Wilson ends, squared and added, never [0, 0]."""
    tasks = [make_mean(np.zeros(30)), make_mean(np.zeros(164))]
    found = estimate_average(tasks, np.zeros((100, 2)))
    expected = math.hypot(tasks[0].ci_high, tasks[1].ci_high) / 2
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((0.0, 0.0, expected))
    assert found.method.endswith("(no variance seen in: 2 tasks)")


def test_a_task_without_a_value_undoes_the_average() -> None:
    """An average over fewer tasks would be another average."""
    found = estimate_average([make(0.5), make(math.nan)], spread_draws(0.1, 0.1))
    assert all(math.isnan(x) for x in (found.value, found.stderr, found.ci_low, found.ci_high))
    assert math.isnan(estimate_average([], np.zeros((10, 0))).value)


def test_a_task_with_one_example_leaves_the_value_alone() -> None:
    """Its error is unknown, so the average's is."""
    found = estimate_average([make(0.5), make(1.0, math.nan, n=1)], np.full((10, 2), np.nan))
    assert found.value == 0.75
    assert all(math.isnan(x) for x in (found.stderr, found.ci_low, found.ci_high))


def test_satterthwaite_is_welch() -> None:
    """With weights 1 and −1 error and degrees of freedom are those of Welch's t test."""
    rng = np.random.default_rng(1)
    first, second = rng.random(12), rng.random(40) ** 2
    stderr, degrees = effective_stderr([make_mean(first), make_mean(second)], np.array([1.0, -1.0]))
    peer = stats.ttest_ind(first, second, equal_var=False)
    assert degrees == pytest.approx(peer.df)
    assert (first.mean() - second.mean()) / stderr == pytest.approx(peer.statistic)


def test_effective_stderr_never_takes_a_task_for_exact() -> None:
    """A task at 1 with Wilson's low end 0.7 counts as having an error of 0.3/1.96."""
    stderr, _ = effective_stderr([make(0.5, 0.1), make(1.0, 0.0, 0.7, 1.0)])
    assert stderr == pytest.approx(math.hypot(0.1, 0.3 / 1.959964) / 2)


@pytest.mark.parametrize("tasks", [[], [make(math.nan)], [make(0.5, math.nan, n=1)], [make(0.5), make(0.5, n=1)]])
def test_effective_stderr_of_too_little_is_nan(tasks: list[Estimate]) -> None:
    """No tasks, no value, or one example somewhere: no error, no p-value."""
    assert all(math.isnan(x) for x in effective_stderr(tasks))
    assert math.isnan(average_margin_p_value(tasks, None, 0.03, "greater"))


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_margin_test_of_one_task_is_the_t_test(alternative: Literal["greater", "less"]) -> None:
    """Against scipy's one-sided test of the mean at −margin."""
    values = np.random.default_rng(3).normal(-0.02, 0.3, 50)
    task = make(float(values.mean()), float(stats.sem(values)), n=50)
    found = average_margin_p_value([task], None, 0.05, alternative)
    assert found == pytest.approx(stats.ttest_1samp(values, -0.05, alternative=alternative).pvalue)


def test_margin_test_keeps_its_level() -> None:
    """On the margin itself, non-inferiority of three tasks is claimed in about 5 % of 4,000 simulations."""
    rng = np.random.default_rng(4)
    estimates = []
    for n in SIZES:  # paired differences of 0/1 verdicts with mean −0.05
        values = rng.choice([-1.0, 0.0, 1.0], (4000, n), p=[0.15, 0.75, 0.1])
        estimates.append((values.mean(axis=1), stats.sem(values, axis=1), n))
    rows = [[make(float(m[i]), float(s[i]), n=n) for m, s, n in estimates] for i in range(4000)]
    rejected = np.mean([average_margin_p_value(row, None, 0.05, "greater") < 0.05 for row in rows])
    assert 0.035 <= rejected <= 0.065


def simulate(kind: str, n: int, task: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return simulated per-example values, shape (n, size), and their true mean."""
    share = (0.25, 0.5, 0.8)[task]
    if kind == "binary":
        return (rng.random((n, size)) < share).astype(float), share
    if kind == "fractional":
        return rng.binomial(8, rng.beta(2 * share, 2 - 2 * share, (n, size))) / 8, share
    return rng.choice([-1.0, 0.0, 1.0], (n, size), p=[0.05, 0.8, 0.15]), 0.1


@pytest.mark.parametrize("kind", ["binary", "fractional", "difference"])
def test_interval_of_an_average_covers(kind: str) -> None:
    """Tasks of 30, 164 and 500 examples: 95 % intervals hold the truth in 93 to 97 % of 2,400 simulations."""
    rng = np.random.default_rng(11)
    hits = []
    for _ in range(24):  # a batch of 100 simulations shares its resamples, as checkpoints do
        found = [simulate(kind, n, task, 100, rng) for task, n in enumerate(SIZES)]
        truth = float(np.mean([mean for _, mean in found]))
        draws = np.stack([resample_totals(values, None, 800, rng) / len(values) for values, _ in found], axis=2)
        for i in range(100):
            tasks = [make(float(v[:, i].mean()), float(stats.sem(v[:, i])), n=len(v)) for v, _ in found]
            average = estimate_average(tasks, draws[:, i])
            hits.append(average.ci_low <= truth <= average.ci_high)
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.parametrize("sizes", [(5, 500), (5, 5), (10, 10)])
def test_averages_of_small_tasks_cover(sizes: tuple[int, int]) -> None:
    """Fractional scores: 92.5 to 97.5 % of 2,000; the plain percentiles hold the truth in 86 to 94 %."""
    rng = np.random.default_rng(13)
    hits = []
    for _ in range(20):
        values = [rng.beta(1, 1, (n, 100)) for n in sizes]
        draws = np.stack([resample_totals(v, None, 800, rng) / len(v) for v in values], axis=2)
        for i in range(100):
            average = estimate_average([make_mean(v[:, i]) for v in values], draws[:, i])
            hits.append(average.ci_low <= 0.5 <= average.ci_high)
    assert 0.925 <= np.mean(hits) <= 0.975


@pytest.mark.parametrize("sizes", [(30, 30), (30, 500)])
def test_averages_of_skewed_tasks_cover(sizes: tuple[int, int]) -> None:
    """Mostly unsolved, k = 32: 92 to 98.5 % of 2,000; percentiles stretched by t/z alone reach 87 to 91 %."""
    rng = np.random.default_rng(14)
    hits = []
    for _ in range(20):
        values = [rng.binomial(32, rng.beta(0.1, 2, (n, 100))) / 32 for n in sizes]
        draws = np.stack([resample_totals(v, None, 800, rng) / len(v) for v in values], axis=2)
        for i in range(100):
            average = estimate_average([make_mean(v[:, i]) for v in values], draws[:, i], bounds=(0, 1))
            hits.append(average.ci_low <= 0.1 / 2.1 <= average.ci_high)
    assert 0.92 <= np.mean(hits) <= 0.985


def test_an_interval_is_clipped_to_what_can_be() -> None:
    """Two examples beside fifty: t with one degree of freedom reaches far beyond all scores."""
    draws = spread_draws(0.3, 0.02)
    found = estimate_average([make(0.5, 0.3, n=2), make(0.8, 0.02, n=50)], draws, bounds=(0, 1))
    assert (found.ci_low, found.ci_high) == (0, 1)


def test_a_value_outside_the_percentiles_is_not_pushed_further_out() -> None:
    """A ratio of totals may lie outside its own draws; the interval then reaches to it."""
    draws = np.linspace(0.5, 0.7, 101)
    low, high = stretched_interval(0.45, draws, 10, 0.5)
    assert low <= 0.45 <= high


def test_saturated_tasks_are_covered_only_with_their_own_intervals() -> None:
    """Tasks of 30 at a true 0.98, most without variance: MOVER keeps the promise, percentiles alone break it."""
    rng = np.random.default_rng(12)
    joined, plain = [], []
    for _ in range(20):
        values = (rng.random((3, 30, 100)) < 0.98).astype(float)
        draws = np.stack([resample_totals(v, None, 500, rng) / 30 for v in values], axis=2)
        for i in range(100):
            average = estimate_average([make_mean(v[:, i]) for v in values], draws[:, i])
            joined.append(average.ci_low <= 0.98 <= average.ci_high)
            low, high = np.quantile(draws[:, i].mean(axis=1), [0.025, 0.975])
            plain.append(low <= 0.98 <= high)
    assert np.mean(joined) >= 0.93
    assert np.mean(plain) < 0.9
