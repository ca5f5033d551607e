"""The estimate of a score: hand-worked, against libraries, and by simulated coverage."""

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from harness.stats.estimate import cluster_numbers, estimate_amount, estimate_mean, pass_at_k, wilson_interval


def ones(n: int) -> np.ndarray:
    return np.ones(n)


def test_wilson_matches_a_hand_worked_case() -> None:
    """8 of 10: centre (0.8 + 3.8415/20)/(1.38415), worked by hand."""
    low, high = wilson_interval(0.8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)


@pytest.mark.parametrize(("correct", "n"), [(0, 5), (5, 5), (1, 1), (3, 164), (80, 164), (499, 500)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_matches_statsmodels(correct: int, n: int, level: float) -> None:
    """The same interval as statsmodels' proportion_confint."""
    expected = proportion_confint(correct, n, alpha=1 - level, method="wilson")
    assert wilson_interval(correct / n, n, level) == pytest.approx(expected, abs=1e-12)


def test_symmetric_fractional_scores_have_the_t_interval_of_the_mean() -> None:
    """Without clusters and with equal counts it is scipy's textbook interval, where nothing is skewed."""
    values = np.array([0.125, 0.5, 0.875, 0.75, 0.25, 0.5])
    found = estimate_mean(values * 8, 8 * ones(6), None)
    low, high = stats.t.interval(0.95, 5, loc=values.mean(), scale=stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert found.stderr == pytest.approx(stats.sem(values))
    assert (found.ci_low, found.ci_high) == pytest.approx((max(low, 0), min(high, 1)))


def test_skewed_scores_reach_further_where_the_tail_is() -> None:
    """Most examples unsolved, a few sometimes: the upper arm is longer than t's, the lower one is not shorter."""
    values = np.array([0.0] * 26 + [0.25, 0.5, 0.5, 1.0])
    found = estimate_mean(values * 4, 4 * ones(30), None)
    half = stats.t.ppf(0.975, 29) * stats.sem(values)
    assert found.ci_high - found.value > 1.3 * half
    assert found.ci_low == max(0.0, found.value - half)


def test_clustered_stderr_matches_statsmodels() -> None:
    """The cluster-robust error of an intercept-only regression, with G/(G − 1) as the only correction."""
    rng = np.random.default_rng(7)
    clusters = np.repeat(np.arange(12), 5)
    values = np.clip(rng.normal(0.5, 0.1, 12)[clusters] + rng.normal(0, 0.1, 60), 0, 1)
    found = estimate_mean(values, ones(60), clusters)
    fit = sm.OLS(values, ones(60)).fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
    assert found.stderr == pytest.approx(fit.bse[0] * math.sqrt(12 / 11))
    assert (found.num_examples, found.num_clusters, found.method) == (60, 12, "clustered t")


def test_ratio_of_unequal_counts_is_hand_worked() -> None:
    """3 of 4 and 0 of 1: R = 3/5; residuals 3 − 2.4 = 0.6 and 0 − 0.6; SE² = 2/1 · 0.72 / 25."""
    found = estimate_mean(np.array([3.0, 0.0]), np.array([4.0, 1.0]), None)
    assert found.value == pytest.approx(0.6)
    assert found.stderr == pytest.approx(math.sqrt(2 * 0.72 / 25))


def test_no_examples_is_nan() -> None:
    """Nothing measured, nothing claimed."""
    found = estimate_mean(np.array([]), np.array([]), None)
    assert all(math.isnan(x) for x in (found.value, found.stderr, found.ci_low, found.ci_high))


def test_one_example_has_no_stderr() -> None:
    """One binary verdict still has Wilson's wide interval; one fractional score has none."""
    binary = estimate_mean(ones(1), ones(1), None)
    assert math.isnan(binary.stderr)
    assert (binary.ci_low, binary.ci_high) == pytest.approx((0.2065, 1.0), abs=1e-4)
    fraction = estimate_mean(np.array([4.0]), np.array([8.0]), None)
    assert fraction.value == 0.5
    assert math.isnan(fraction.ci_low)


def test_one_cluster_claims_no_interval() -> None:
    """Twenty examples of one source are one observation."""
    found = estimate_mean(np.arange(20) % 2.0, ones(20), np.zeros(20, dtype=np.int64))
    assert math.isnan(found.stderr)
    assert math.isnan(found.ci_low)


def test_agreement_of_all_examples_is_not_certainty() -> None:
    """Thirty examples that all score 8 of 8 still leave room below 1."""
    found = estimate_mean(8 * ones(30), 8 * ones(30), None)
    assert found.value == 1.0
    assert found.ci_low == pytest.approx(wilson_interval(1.0, 30)[0])


@pytest.mark.parametrize("n", [30, 164, 500])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_binary_interval_covers(n: int, share: float) -> None:
    """95 % intervals hold the truth in 93 to 98 % of 4,000 simulated evaluations (Wilson is slightly discrete)."""
    rng = np.random.default_rng(n)
    correct, frequency = np.unique(rng.binomial(n, share, 4000), return_counts=True)
    inside = [low <= share <= high for low, high in (wilson_interval(c / n, n) for c in correct)]
    assert 0.93 <= np.average(inside, weights=frequency) <= 0.98


@pytest.mark.parametrize("n", [30, 164, 500])
def test_fractional_interval_covers(n: int) -> None:
    """avg@8 of examples of different difficulty: coverage between 93 and 97 %."""
    rng = np.random.default_rng(n)
    difficulty = rng.beta(1, 1, (2000, n))
    sums = rng.binomial(8, difficulty).astype(float)
    found = [estimate_mean(row, 8 * ones(n), None) for row in sums]
    covered = np.mean([estimate.ci_low <= 0.5 <= estimate.ci_high for estimate in found])
    assert 0.93 <= covered <= 0.97


def test_clustered_interval_covers_where_the_plain_one_does_not() -> None:
    """Forty sources of five examples that share their fate: only the clustered interval keeps its promise."""
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(40), 5)
    hits = {"clustered": 0, "plain": 0}
    for _ in range(2000):
        fate = rng.beta(0.5, 0.5, 40)[clusters]
        values = (rng.random(200) < fate).astype(float)
        for name, groups in (("clustered", clusters), ("plain", None)):
            found = estimate_mean(values, ones(200), groups)
            hits[name] += found.ci_low <= 0.5 <= found.ci_high
    assert 0.93 <= hits["clustered"] / 2000 <= 0.97
    assert hits["plain"] / 2000 < 0.85


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_one(k: int) -> None:
    """Brute force over all k-subsets of six generations, for every number of correct ones."""
    expected = []
    for correct in range(7):
        verdicts = [1] * correct + [0] * (6 - correct)
        expected.append(np.mean([any(subset) for subset in itertools.combinations(verdicts, k)]))
    assert pass_at_k(np.arange(7), np.full(7, 6), k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_of_many_generations_is_finite() -> None:
    """C(4000, 1000) has 970 digits; the product form does not care, and matches exact integers."""
    found = pass_at_k(np.array([3, 0, 4000]), np.array([4000, 1000, 4000]), 1000)
    exact = 1 - math.comb(3997, 1000) / math.comb(4000, 1000)
    assert found == pytest.approx([exact, 0.0, 1.0], abs=1e-12)


def test_pass_at_k_takes_examples_with_different_numbers_of_generations() -> None:
    """1 of 2 and 1 of 4 correct, k = 2: certain, and 1 − C(3, 2)/C(4, 2) = 1/2."""
    assert pass_at_k(np.array([1, 1]), np.array([2, 4]), 2) == pytest.approx([1.0, 0.5])
    assert pass_at_k(np.array([], dtype=int), np.array([], dtype=int), 2).shape == (0,)


@pytest.mark.parametrize("k", [0, 3])
def test_pass_at_k_refuses_too_few_generations(k: int) -> None:
    """k beyond the fewest generations, or below 1, is an error and not a smaller k."""
    with pytest.raises(ValueError, match=f"pass@{k} needs"):
        pass_at_k(np.array([1, 1]), np.array([2, 4]), k)


def test_clusters_are_numbered_and_loners_stand_alone() -> None:
    """None is no cluster of its own."""
    assert cluster_numbers((None, None)) is None
    numbers = cluster_numbers(("a", None, "a", None))
    assert numbers is not None
    assert numbers.tolist() == [0, 1, 0, 2]


def test_a_cluster_name_cannot_meet_a_loner() -> None:
    """Names of clusters are the data's; they never collide with our own numbering."""
    numbers = cluster_numbers(("#1", None, "c#1"))
    assert numbers is not None
    assert len(set(numbers.tolist())) == 3


def test_amounts_have_a_clustered_t_interval_without_upper_bound() -> None:
    """Three symmetric amounts: mean ± t₂ · s/√3; the same rows twice, in clusters, change nothing but the method."""
    amounts = np.array([100.0, 300.0, 500.0])
    found = estimate_amount(amounts, None)
    half = stats.t.ppf(0.975, 2) * 200 / math.sqrt(3)
    assert (found.value, found.stderr) == pytest.approx((300, 200 / math.sqrt(3)))
    assert (found.ci_low, found.ci_high, found.method) == (0, pytest.approx(300 + half), "t")
    twice = estimate_amount(np.tile(amounts, 2), np.tile(np.arange(3), 2))
    assert (twice.stderr, twice.ci_high) == pytest.approx((found.stderr, found.ci_high))
    assert twice.method == "clustered t"


@pytest.mark.parametrize(
    ("amounts", "value", "stderr", "method"),
    [
        ([], math.nan, math.nan, "undefined: no examples"),
        ([7.0], 7.0, math.nan, "undefined: one cluster"),
        ([7.0, 7.0], 7.0, 0.0, "undefined: no variance seen"),
        ([0.0, 0.0], 0.0, 0.0, "undefined: no variance seen"),
    ],
)
def test_amounts_at_the_edges_have_no_interval(amounts: list[float], value: float, stderr: float, method: str) -> None:
    """None, one, or equal ones: the value, and no interval, since nothing bounds what was not seen."""
    found = estimate_amount(np.array(amounts), None)
    assert [found.value, found.stderr, found.ci_low, found.ci_high] == pytest.approx(
        [value, stderr, math.nan, math.nan], nan_ok=True
    )
    assert found.method == method
