"""The joint bootstrap: against formulas, scipy, and at the edges."""

import numpy as np
import pytest
from scipy import stats

from harness.stats.estimate import estimate_mean
from harness.stats.resample import BLOCK_ENTRIES, percentile_interval, resample_totals


@pytest.fixture
def scores() -> np.ndarray:
    """Forty examples; the columns are fractional, binary and all ones."""
    rng = np.random.default_rng(5)
    return np.stack([rng.beta(2, 3, 40), rng.random(40) < 0.3, np.ones(40)], axis=1)


def test_variance_of_a_mean_is_unbiased(scores: np.ndarray) -> None:
    """The draws of a mean vary by s/√n, not by the s/√n · √((n − 1)/n) of the ordinary bootstrap."""
    means = resample_totals(scores[:7], None, 200_000, np.random.default_rng(1))[:, 0] / 7
    assert means.std() == pytest.approx(stats.sem(scores[:7, 0]), rel=0.01)
    assert means.mean() == pytest.approx(scores[:7, 0].mean(), abs=0.001)


def test_two_units_are_worked_by_hand() -> None:
    """With G = 2 one unit is drawn and doubled: totals are 2a or 2b, half of the time each."""
    totals = resample_totals(np.array([[0.0], [3.0]]), None, 1000, np.random.default_rng(1))
    assert set(totals.ravel()) == {0.0, 6.0}
    assert totals.mean() == pytest.approx(3.0, abs=0.3)


def test_interval_matches_scipy(scores: np.ndarray) -> None:
    """After undoing the rescaling, the percentile interval is scipy's up to simulation error."""
    totals = resample_totals(scores, None, 20_000, np.random.default_rng(1))
    found = percentile_interval(totals[:, 0] / 40, 0.95)
    peer = stats.bootstrap(
        (scores[:, 0],), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    mean, stretch = scores[:, 0].mean(), np.sqrt(40 / 39)
    expected = [mean + (end - mean) * stretch for end in peer]
    assert found == pytest.approx(expected, abs=0.05 * stats.sem(scores[:, 0]))


def test_columns_share_their_resamples(scores: np.ndarray) -> None:
    """A combination of columns has the combination of their draws, so differences stay paired."""
    stacked = np.column_stack([scores, scores[:, 0] - 2 * scores[:, 1]])
    totals = resample_totals(stacked, None, 500, np.random.default_rng(1))
    assert totals[:, 3] == pytest.approx(totals[:, 0] - 2 * totals[:, 1])
    assert totals[:, 2] == pytest.approx(40.0)


def test_clusters_are_drawn_whole(scores: np.ndarray) -> None:
    """Resampling clusters is resampling their sums, in the order of cluster numbers."""
    clusters = np.arange(40) % 10
    sums = np.stack([scores[clusters == c].sum(axis=0) for c in range(10)])
    found = resample_totals(scores, clusters, 50, np.random.default_rng(1))
    assert found == pytest.approx(resample_totals(sums, None, 50, np.random.default_rng(1)))


def test_ratio_of_clustered_totals_has_the_clustered_error() -> None:
    """With clusters of unequal size, the draws of total/count vary by the linearised standard error."""
    rng = np.random.default_rng(2)
    clusters = rng.integers(0, 60, 300)
    values = np.clip(rng.normal(0.5, 0.2, 60)[clusters] + rng.normal(0, 0.1, 300), 0, 1)
    totals = resample_totals(np.stack([values, np.ones(300)], axis=1), clusters, 20_000, rng)
    expected = estimate_mean(values, np.ones(300), clusters).stderr
    assert (totals[:, 0] / totals[:, 1]).std() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("n", "clusters"), [(0, None), (1, None), (6, np.zeros(6, dtype=np.int64))])
def test_fewer_than_two_units_give_nan(n: int, clusters: np.ndarray | None) -> None:
    """No examples, one example, one cluster: nothing to resample."""
    assert np.isnan(resample_totals(np.ones((n, 2)), clusters, 3, np.random.default_rng(1))).all()


def test_no_examples_with_clusters_give_nan() -> None:
    """An empty task with cluster numbers is still only empty."""
    none = np.zeros(0, dtype=np.int64)
    assert np.isnan(resample_totals(np.ones((0, 2)), none, 3, np.random.default_rng(1))).all()


def test_memory_is_bounded_by_blocks() -> None:
    """More units than a block holds, and more resamples than one block, still give every draw."""
    totals = resample_totals(np.ones((BLOCK_ENTRIES + 10, 1)), None, 3, np.random.default_rng(1))
    assert totals.ravel() == pytest.approx(BLOCK_ENTRIES + 10)
    assert not np.isnan(
        resample_totals(np.ones((100, 1)), None, BLOCK_ENTRIES // 100 + 7, np.random.default_rng(1))
    ).any()


def test_same_seed_same_draws(scores: np.ndarray) -> None:
    """Randomness comes from the generator alone."""
    first, second = (resample_totals(scores, None, 20, np.random.default_rng(4)) for _ in range(2))
    assert (first == second).all()


def test_percentile_interval_is_by_hand() -> None:
    """Of the draws 0 to 100, a 90 % interval leaves five on each side."""
    low, high = percentile_interval(np.stack([np.arange(101.0), np.arange(101.0) * 2], axis=1), 0.9)
    assert low == pytest.approx([5, 10])
    assert high == pytest.approx([95, 190])


@pytest.mark.parametrize("draws", [np.array([0.0, np.nan, 1.0]), np.zeros(0)])
def test_percentile_interval_of_undefined_draws_is_nan(draws: np.ndarray) -> None:
    """One nan draw, or none at all, and there is no interval."""
    assert np.isnan(percentile_interval(draws, 0.95)).all()
