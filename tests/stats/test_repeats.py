"""Several runs of one label: interquartile mean, flips, spread; by hand, against scipy, and by simulated coverage."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from harness.stats.repeats import (
    estimate_iqm,
    estimate_iqm_difference,
    expected_sd,
    flip_rate,
    interquartile_mean,
    spread,
)
from tests.calibration.draws import draw_runs
from tests.calibration.repeated import true_iqm


def test_interquartile_mean_is_the_middle_half() -> None:
    """Of 1 to 8 the middle four are 3 to 6; an outlier changes nothing."""
    assert interquartile_mean(np.arange(1.0, 9.0).reshape(2, 4)) == 4.5
    assert interquartile_mean(np.array([[1.0, 2, 3, 4], [5, 6, 7, 800]])) == 4.5


def test_interquartile_mean_matches_scipy() -> None:
    """The same as scipy's mean of the points within the quartiles, where 4 divides their number."""
    scores = np.random.default_rng(1).random((4, 6))
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores.ravel(), 0.25))
    assert interquartile_mean(np.array([[0.3]])) == 0.3
    assert math.isnan(interquartile_mean(np.zeros((0, 3))))


@pytest.mark.parametrize(("num_runs", "whole_runs"), [(3, False), (5, False), (3, True), (5, True), (10, True)])
def test_interval_over_runs_covers(num_runs: int, whole_runs: bool) -> None:
    """Twelve tasks, effects of the run added where runs are drawn whole: 93 to 97 % of 2,000 simulations."""
    rng = np.random.default_rng(num_runs)
    run_sd = 0.03 if whole_runs else 0.0
    truth = true_iqm(num_runs, run_sd, 12)
    found = [estimate_iqm(scores, 0.95, 200, rng, whole_runs) for scores in draw_runs(rng, 2000, num_runs, run_sd)]
    assert 0.93 <= np.mean([x.ci_low <= truth <= x.ci_high for x in found]) <= 0.97


def test_whole_runs_of_one_task_are_welch() -> None:
    """Of three scores a side none is cut, so the interval is that of Welch's t test."""
    rng = np.random.default_rng(2)
    base, candidate = rng.normal(0.4, 0.05, (3, 1)), rng.normal(0.6, 0.01, (3, 1))
    found = estimate_iqm_difference(base, candidate, 0.95, 20_000, rng, whole_runs=True)
    peer = stats.ttest_ind(candidate.ravel(), base.ravel(), equal_var=False).confidence_interval()
    assert found.value == pytest.approx(candidate.mean() - base.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx((peer.low, peer.high), rel=0.03)


def test_one_base_run_stays_fixed() -> None:
    """An untrained base has one run: the error is the candidate's alone."""
    candidate = np.random.default_rng(3).random((5, 4))
    alone = estimate_iqm(candidate, 0.95, 500, np.random.default_rng(1))
    found = estimate_iqm_difference(np.full((1, 4), 0.25), candidate, 0.95, 500, np.random.default_rng(1))
    assert found.stderr == alone.stderr
    assert found.value == pytest.approx(alone.value - 0.25)


def test_one_run_has_no_spread() -> None:
    """The value alone, and why."""
    rng = np.random.default_rng(1)
    one, two = np.full((1, 4), 0.5), np.random.default_rng(2).random((2, 4))
    for found in (estimate_iqm(one, 0.95, 50, rng), estimate_iqm_difference(two, one, 0.95, 50, rng)):
        assert not math.isnan(found.value)
        assert all(math.isnan(x) for x in (found.stderr, found.ci_low, found.ci_high))
        assert found.method == "undefined: one run has no spread"


def test_no_runs_are_nan() -> None:
    """On either side."""
    rng = np.random.default_rng(1)
    none, two = np.zeros((0, 4)), rng.random((2, 4))
    for found in (estimate_iqm(none, 0.95, 50, rng), estimate_iqm_difference(none, two, 0.95, 50, rng)):
        assert all(math.isnan(x) for x in (found.value, found.stderr, found.ci_low))


def test_equal_runs_claim_no_interval() -> None:
    """Greedy repeats that agree have no variance to build one from."""
    rng = np.random.default_rng(1)
    found = estimate_iqm(np.full((3, 2), 0.5), 0.95, 50, rng)
    assert (found.value, found.stderr, found.method) == (0.5, 0.0, "undefined: no variance seen between runs")
    assert math.isnan(found.ci_low)
    assert math.isnan(estimate_iqm_difference(np.full((2, 1), 0.5), np.full((2, 1), 0.5), 0.95, 50, rng).ci_high)


def test_interval_of_a_score_stays_between_0_and_1() -> None:
    """Two runs near the ceiling have a very wide t interval."""
    found = estimate_iqm(np.array([[0.99], [0.9]]), 0.95, 50, np.random.default_rng(1), whole_runs=True)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.9450 - 0.572, 1.0), abs=0.1)


def test_flip_rate_counts_disagreeing_pairs() -> None:
    """The formula is the share found by going through all pairs."""
    verdicts = (np.random.default_rng(1).random((9, 5)) < 0.6).astype(float)
    pairs = [(row[a] != row[b]) for row in verdicts for a, b in itertools.combinations(range(5), 2)]
    assert flip_rate(verdicts) == pytest.approx(np.mean(pairs))
    assert flip_rate(np.array([[0.0, 1.0], [1.0, 1.0]])) == 0.5


@pytest.mark.parametrize("shape", [(0, 3), (4, 1)])
def test_nothing_repeated_is_nan(shape: tuple[int, int]) -> None:
    """No examples, or one verdict of each: no rate and no expected spread."""
    assert math.isnan(flip_rate(np.zeros(shape)))
    assert math.isnan(expected_sd(np.zeros(shape), 1))


def test_expected_sd_is_that_of_simulated_runs() -> None:
    """200 examples of different difficulty, 4 generations a run: the scores of 20,000 runs vary as predicted."""
    rng = np.random.default_rng(6)
    difficulty = rng.beta(0.5, 0.5, 200)
    runs = rng.binomial(4, difficulty, (20_000, 200)).mean(axis=1) / 4
    values = (rng.random((200, 64)) < difficulty[:, None]).astype(float)
    assert expected_sd(values, 4) == pytest.approx(runs.std(), rel=0.05)
    assert expected_sd(np.ones((10, 4)), 1) == 0.0


def test_spread_is_by_hand() -> None:
    """0.1, 0.2, 0.3: mean 0.2, standard deviation 0.1; one run has none, no runs nothing."""
    assert spread(np.array([0.1, 0.2, 0.3])) == pytest.approx((0.2, 0.1))
    assert spread(np.array([0.4]))[0] == 0.4
    assert math.isnan(spread(np.array([0.4]))[1])
    assert all(math.isnan(x) for x in spread(np.zeros(0)))
