"""Planning: detectable differences, required examples and generations, split variance."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from harness.stats.power import (
    VariancePair,
    detectable_by_mcnemar,
    detectable_by_sign_flip,
    difference_sd,
    minimum_detectable_difference,
    required_examples,
    required_generations,
    split_variance,
    split_variance_one,
)


@pytest.mark.parametrize("n", [3, 30, 164, 500])
def test_detectable_difference_matches_statsmodels(n: int) -> None:
    """The effect that TTestPower solves for, in the units of the standard error."""
    effect = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert minimum_detectable_difference(0.02, n) == pytest.approx(effect * 0.02 * math.sqrt(n), rel=1e-5)


def test_detectable_difference_of_many_examples_is_the_textbook_rule() -> None:
    """(1.95996 + 0.84162) standard errors."""
    assert minimum_detectable_difference(0.01, 10**6) == pytest.approx(0.0280159, rel=1e-4)


@pytest.mark.parametrize("n", [2, 5, 30, 164, 5000])
@pytest.mark.parametrize(("level", "power"), [(0.95, 0.8), (0.9, 0.9), (0.999, 0.8)])
def test_required_examples_inverts_the_detectable_difference(n: int, level: float, power: float) -> None:
    """What n examples can just see takes n examples; a hair less takes more."""
    smallest = minimum_detectable_difference(0.4 / math.sqrt(n), n, level, power)
    assert required_examples(0.4, smallest * (1 + 1e-9), level, power) == n
    assert required_examples(0.4, -smallest * (1 - 1e-4), level, power) == pytest.approx(n + 1, rel=1e-3, abs=0.1)


def test_simulated_power_at_the_detectable_difference() -> None:
    """Paired t tests of 164 examples find that difference in 80 ± 3 % of 4,000 draws."""
    n, sd = 164, 0.35
    truth = minimum_detectable_difference(sd / math.sqrt(n), n)
    draws = np.random.default_rng(5).normal(truth, sd, (4000, n))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    assert np.mean(np.abs(t) > 1.97462) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("stderr", "num_clusters"), [(math.nan, 30), (0.0, 30), (0.1, 1), (0.1, 0), (1e-17, 30)])
def test_nothing_seen_detects_nothing(stderr: float, num_clusters: int) -> None:
    """No variance, or fewer than two units, claims no detectable difference."""
    assert math.isnan(minimum_detectable_difference(stderr, num_clusters))


@pytest.mark.parametrize(
    ("sd", "difference", "expected"),
    [
        (0.4, 0.0, math.inf),
        (0.4, 1e-7, math.inf),
        (0.0, 0.03, math.nan),
        (math.nan, 0.03, math.nan),
        (0.4, math.nan, math.nan),
        (1e-6, 0.9, 2.0),
    ],
)
def test_required_examples_at_the_edges(sd: float, difference: float, expected: float) -> None:
    """No difference takes infinitely many; no variance plans nothing; a huge effect takes two."""
    assert required_examples(sd, difference) == pytest.approx(expected, nan_ok=True)


def test_split_is_hand_worked() -> None:
    """Within 1/2, 0 and 1/2, 1/2; paired means 0.5 − 0.5, 0.5 − 1: total 1/8, minus 1/4·(1/2) and 1/2·(1/2)."""
    base = np.array([[0.0, 1.0], [1.0, 1.0]])
    candidate = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert split_variance(base, candidate) == VariancePair(0.0, 0.25, 0.5)


def test_split_recovers_known_parts() -> None:
    """p0 and p1 of 40,000 examples with k0 = 4, k1 = 8: Var(p1 − p0), E p(1 − p), E p(1 − p)."""
    rng = np.random.default_rng(1)
    skill = rng.random((40_000, 1))
    gain = 0.3 * (1 - skill) * rng.random((40_000, 1))
    base = (rng.random((40_000, 4)) < skill).astype(float)
    candidate = (rng.random((40_000, 8)) < skill + gain).astype(float)
    parts = split_variance(base, candidate)
    assert parts.between == pytest.approx(gain.var(), abs=0.002)
    assert parts.within_base == pytest.approx((skill * (1 - skill)).mean(), abs=0.003)
    assert parts.within_candidate == pytest.approx(((skill + gain) * (1 - skill - gain)).mean(), abs=0.003)


def test_single_generations_cannot_be_split() -> None:
    """All variance counts as between, so the sd is the observed one for k = 1 and no promise is made beyond."""
    rng = np.random.default_rng(2)
    base, candidate = ((rng.random((50, 1)) < 0.5).astype(float) for _ in range(2))
    parts = split_variance(base, candidate)
    assert math.isnan(parts.within_base)
    assert math.isnan(parts.within_candidate)
    assert difference_sd(parts, 1) == difference_sd(parts, 64) == pytest.approx(np.std(candidate - base, ddof=1))


def test_a_side_that_can_be_split_is_split() -> None:
    """One generation of the base, four of the candidate: only the base's sampling stays in between."""
    base = np.array([[0.0], [1.0], [1.0]])
    candidate = np.array([[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    parts = split_variance(base, candidate)
    assert math.isnan(parts.within_base)
    assert parts.within_candidate == pytest.approx((1 / 4 + 1 / 4 + 1 / 3) / 3)
    assert parts.between == pytest.approx(np.var([0.75, -0.75, -0.5], ddof=1) - parts.within_candidate / 4)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples_split_into_nan(n: int) -> None:
    """Fewer than two examples say nothing about variance, and nothing is planned from them."""
    for parts in (split_variance(np.ones((n, 4)), np.zeros((n, 4))), split_variance_one(np.ones((n, 4)), 0.5)):
        assert math.isnan(difference_sd(parts, 4))
        assert required_generations(parts, 500, 0.03) is None


def test_pilot_of_one_run_assumes_the_same_variances() -> None:
    """between = 2(1 − ρ) σ²_between; perfectly correlated checkpoints leave sampling alone."""
    values = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    between = np.var([1.0, 0.0, 0.5, 0.5], ddof=1) - 0.25 / 2
    assert split_variance_one(values, 0.75) == VariancePair(pytest.approx(0.5 * between), 0.25, 0.25)
    assert split_variance_one(values, 1.0).between == 0


def test_pilot_of_single_generations_correlates_verdicts() -> None:
    """Var(d) = 2(1 − ρ) Var(x), nothing split."""
    parts = split_variance_one(np.array([[1.0], [0.0], [1.0], [0.0]]), 0.5)
    assert parts.between == pytest.approx(1 / 3)
    assert math.isnan(parts.within_base)


@pytest.mark.parametrize("num_examples", [200, 300, 1000])
def test_required_generations_is_the_smallest_that_suffices(num_examples: int) -> None:
    """k generations see the difference with n examples, k − 1 do not."""
    parts = VariancePair(0.01, 0.1, 0.15)
    k = required_generations(parts, num_examples, 0.03)
    assert k is not None
    assert required_examples(difference_sd(parts, k), 0.03) <= num_examples
    if k > 1:
        assert required_examples(difference_sd(parts, k - 1), 0.03) > num_examples


@pytest.mark.parametrize(
    ("parts", "num_examples", "difference"),
    [
        (VariancePair(0.04, 0.1, 0.1), 300, 0.03),  # the examples themselves vary too much
        (VariancePair(0.0, 0.2, 0.2), 30, 0.003),  # more than 1,024 generations
        (VariancePair(0.3, math.nan, math.nan), 300, 0.03),  # an unknown part may not shrink
        (VariancePair(0.0, 0.0, 0.0), 300, 0.03),  # no variance seen
        (VariancePair(0.01, 0.1, 0.1), 1, 0.03),
        (VariancePair(0.01, 0.1, 0.1), 0, 0.03),
        (VariancePair(0.01, 0.1, 0.1), 300, 0.0),
        (VariancePair(0.01, 0.1, 0.1), 300, math.nan),
    ],
)
def test_where_no_number_of_generations_is_known_to_do(
    parts: VariancePair, num_examples: int, difference: float
) -> None:
    """The answer is None, not a large number."""
    assert required_generations(parts, num_examples, difference) is None


def test_one_generation_can_be_enough_without_a_split() -> None:
    """An unknown within part is no obstacle where its sum with between is small."""
    assert required_generations(VariancePair(0.05, math.nan, math.nan), 1000, 0.03) == 1


def test_mcnemar_needs_six_that_go_one_way() -> None:
    """Without discordance P(at least 6 gains of 164) = 0.8 at 7.84 expected gains; five examples never suffice."""
    found = detectable_by_mcnemar(0, 164)
    assert stats.binom.sf(5, 164, found) == pytest.approx(0.8, abs=1e-3)
    assert math.isnan(detectable_by_mcnemar(0, 5))
    assert math.isnan(detectable_by_mcnemar(0, 0))


@pytest.mark.parametrize(("num_discordant", "n"), [(9, 30), (3, 164), (40, 164), (300, 1319)])
def test_mcnemar_has_the_power_it_says(num_discordant: int, n: int) -> None:
    """The exact test finds the detectable difference in 80 ± 2.5 % of 4,000 simulated comparisons."""
    difference = detectable_by_mcnemar(num_discordant, n)
    share = max(num_discordant / n, difference)
    rng = np.random.default_rng(3)
    gains, losses, _ = rng.multinomial(n, [(share + difference) / 2, (share - difference) / 2, 1 - share], 4000).T
    p = np.minimum(1, 2 * stats.binom.cdf(np.minimum(gains, losses), gains + losses, 0.5))
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.025)


def test_no_difference_is_detectable_where_the_test_cannot_reject() -> None:
    """Five units give p = 1/16 at best; what exceeds 1 cannot happen."""
    assert math.isnan(detectable_by_sign_flip(0.1, 4, 5))
    assert math.isnan(detectable_by_sign_flip(0.6, 5, 6))
    assert math.isnan(detectable_by_sign_flip(0.1, math.nan, 30))
    assert detectable_by_sign_flip(0.01, 29, 30) == minimum_detectable_difference(0.01, 30)
