"""Arms of intervals of skewed means: Hall's transformation by hand, and coverage where t alone fails."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats.estimate import estimate_mean
from harness.stats.skew import cluster_degrees, skewed_arms, skewness_factor, transform, untransform
from tests.calibration.draws import HARD


def test_transform_by_hand() -> None:
    """t = 1, u = 0.3: ((1.1)³ − 1)/0.3 + 0.05 = 1.15333."""
    assert transform(1.0, 0.3) == pytest.approx((1.331 - 1) / 0.3 + 0.05)


@pytest.mark.parametrize("u", [-0.5, -1e-10, 0.0, 0.1, 0.6])
def test_untransform_is_the_inverse(u: float) -> None:
    """For every t, also beyond the cube root's zero."""
    for t in (-9.0, -2.0, 0.0, 1.5, 8.0):
        assert untransform(transform(t, u), u) == pytest.approx(t, abs=1e-6)


def test_skewness_is_scipys() -> None:
    """γ/√G with the population skewness."""
    values = np.array([0.0, 0.0, 0.1, 0.2, 1.0])
    assert skewness_factor(values, 4) == pytest.approx(stats.skew(values) / math.sqrt(5))


def test_symmetric_units_have_ts_arms() -> None:
    """Nothing to correct: the t quantile on both sides."""
    arms = skewed_arms(np.array([-0.2, -0.1, 0.0, 0.1, 0.2]), 4, 0.95)
    assert arms == pytest.approx([stats.t.ppf(0.975, 4)] * 2)


def test_the_mirror_image_has_mirrored_arms() -> None:
    """Swapping right and wrong swaps the arms."""
    units = np.array([0.0] * 20 + [0.3, 0.9])
    below, above = skewed_arms(units - units.mean(), 21, 0.95)
    assert above > below
    assert skewed_arms(units.mean() - units, 21, 0.95) == pytest.approx((above, below))


def test_effective_clusters() -> None:
    """Equal sizes: G − 1. One of 10 beside ten of 1: (20²/110) − 1. Never below 1."""
    assert cluster_degrees(np.full(7, 3.0)) == pytest.approx(6)
    assert cluster_degrees(np.array([10.0] + [1.0] * 10)) == pytest.approx(400 / 110 - 1)
    assert cluster_degrees(np.array([1000.0, 1.0])) == 1


@pytest.mark.parametrize("case", HARD)
def test_scores_of_hard_tasks_cover(case: str) -> None:
    """Of 2,000 simulated runs, 95 % intervals hold the truth in 93-98.5 %; a plain t interval does in 86-91 %."""
    n, truth, draw = HARD[case]
    rng = np.random.default_rng(0)
    found = [estimate_mean(draw(rng, n), np.full(n, 1.0), None) for _ in range(2000)]
    assert 0.93 <= np.mean([e.ci_low <= truth <= e.ci_high for e in found]) <= 0.985


@pytest.mark.parametrize("sizes", [[1] * 20 + [8] * 4, [2, 4, 6, 8, 30] * 2])
def test_unequal_clusters_cover(sizes: list[int]) -> None:
    """Few clusters of very different size: 91-98.5 % of 2,000; with G − 1 degrees of freedom it was 86-89 %."""
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    hits = 0
    for _ in range(2000):
        chance = rng.beta(2, 2, len(sizes))[clusters]
        found = estimate_mean(rng.binomial(4, chance) / 4, np.ones(len(clusters)), clusters)
        hits += found.ci_low <= 0.5 <= found.ci_high
    assert 0.91 <= hits / 2000 <= 0.985
