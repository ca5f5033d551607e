"""The tests of a gate: against scipy, by duality with their interval, and where differences are skewed or few."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats.estimate import Floats
from harness.stats.margin import compare_to_margin
from harness.stats.paired import estimate_difference, margin_p_value


def test_without_skewness_it_is_the_t_test() -> None:
    """Symmetric differences: both p-values are scipy's one-sample t test against −margin."""
    steps = np.repeat([-0.25, -0.125, 0.125, 0.25], 10)
    base = np.full(40, 0.5)
    found = compare_to_margin(base, base + steps, None, 0.05, 0.90, single_binary=False)
    for p, alternative in ((found.p_noninferior, "greater"), (found.p_regression, "less")):
        assert p == pytest.approx(stats.ttest_1samp(steps, -0.05, alternative=alternative).pvalue)


def test_halls_transformation_by_hand() -> None:
    """T = t + u t²/3 + u² t³/27 + u/6 with u = γ/√n, here for 30 differences of which 12 are −1."""
    differences = np.repeat([0.0, -1.0], [18, 12])
    found = compare_to_margin(np.ones(30), 1 + differences, None, 0.5, 0.90, single_binary=False)
    t = (-0.4 + 0.5) / (math.sqrt(0.24 * 30 / 29) / math.sqrt(30))
    u = (2 * 0.4 - 1) / math.sqrt(0.24) / math.sqrt(30)
    statistic = t + u * t**2 / 3 + u**2 * t**3 / 27 + u / 6
    assert found.p_noninferior == pytest.approx(stats.t.sf(statistic, 29), rel=1e-9)


@pytest.mark.parametrize("kind", ["single", "fractional", "skewed", "clustered", "few"])
def test_the_interval_excludes_what_the_tests_reject(kind: str) -> None:
    """At level 1 − 2α, low > −margin exactly if p of non-inferiority < α, and high < −margin if p of regression < α."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        base, candidate = draw(rng, kind)
        clusters = np.arange(len(base)) // 3 if kind == "clustered" else None
        for margin in np.linspace(0.005, 0.6, 12):
            found = compare_to_margin(base, candidate, clusters, margin, 0.90, single_binary=kind == "single")
            assert (found.difference.ci_low > -margin) == (found.p_noninferior < 0.05)
            assert (found.difference.ci_high < -margin) == (found.p_regression < 0.05)


def draw(rng: np.random.Generator, kind: str) -> tuple[Floats, Floats]:
    n = 30 if kind == "few" else 90
    k = 1 if kind == "single" else 8
    base = rng.binomial(k, 0.6, n) / k
    candidate = rng.binomial(k, 0.5, n) / k
    if kind == "skewed":
        candidate = np.where(rng.random(n) < 0.2, 0.0, base)
    if kind == "few":
        candidate = np.where(np.arange(n) < 4, candidate, base)
    return base, candidate


def test_single_verdicts_keep_tangos_test() -> None:
    """One 0/1 verdict per side: p and interval are those of harness.stats.paired."""
    base, candidate = draw(np.random.default_rng(1), "single")
    found = compare_to_margin(base, candidate, None, 0.03, 0.90, single_binary=True)
    assert found.difference == estimate_difference(base, candidate, None, 0.90, single_binary=True)
    assert found.p_noninferior == margin_p_value(base, candidate, None, 0.03, "greater", single_binary=True)


@pytest.mark.parametrize(("losses", "n"), [([0.125], 5), ([0.125, 0.125], 20), ([0.5, 0.5, 0.625], 3)])
def test_few_that_differ_prove_no_more_than_agreement(losses: list[float], n: int) -> None:
    """Neither a pass nor an alarm from a handful of differing examples, however alike they are."""
    candidate = np.ones(n)
    candidate[: len(losses)] -= losses
    found = compare_to_margin(np.ones(n), candidate, None, 0.03, 0.90, single_binary=False)
    assert found.num_differing == len(losses)
    assert found.p_noninferior > 0.05
    assert found.p_regression > 0.05


def test_nothing_from_one_unit() -> None:
    """One example, one cluster or none at all has no p-value."""
    for n, clusters in ((0, None), (1, None), (4, np.zeros(4, dtype=np.int64))):
        found = compare_to_margin(np.zeros(n), np.zeros(n) + 0.5, clusters, 0.03, 0.90, single_binary=False)
        assert math.isnan(found.p_noninferior)
        assert math.isnan(found.p_regression)


@pytest.mark.parametrize("n", [30, 100, 200])
def test_rare_total_losses_pass_no_more_often_than_promised(n: int) -> None:
    """A tenth of the examples is lost entirely and the margin is ten points: a pass has a chance of 5 %, not 10."""
    rng = np.random.default_rng(2)
    counts = rng.binomial(n, 0.1, 4000)
    base = np.ones(n)
    by_count = {}
    for count in np.unique(counts):
        candidate = np.where(np.arange(n) < count, 0.0, 1.0)
        found = compare_to_margin(base, candidate, None, 0.1, 0.90, single_binary=False)
        by_count[count] = found.p_noninferior < 0.05
    assert np.mean([by_count[count] for count in counts]) < 0.06
