"""Ratios with Fieller's interval, and the Transferability Index beside the figures its paper prints."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.findings import Ratio
from harness.schema import Estimate
from harness.stats.transfer import Pair, fieller, gap_closed, normalised_gain, transfer_ratio, transferability_index

TWO_SIGMA = math.erf(math.sqrt(2))
"""Level at which the normal quantile is 2, so that cases can be worked by hand."""

# Table 1 of arXiv 2507.00432v2: scores of four benchmarks each in math, other reasoning and non-reasoning
BASE = [np.array([13.0, 9.3, 60.4, 27.9]), np.array([42.6, 29.7, 10.7, 37.6]), np.array([10.0, 67.7, 69.2, 35.7])]
PAPER = {
    "SFT, no thinking": ([[16.0, 13.0, 77.2, 22.7], [48.7, 23.5, 69.3, 35.0], [5.3, 66.1, 41.4, 3.3]], 165.4, -278.9),
    "SFT, thinking": ([[52.0, 37.0, 85.0, 25.0], [55.9, 21.9, 68.6, 34.8], [1.7, 38.2, 42.3, 2.3]], 52.2, -104.1),
    "RL": ([[55.7, 38.0, 87.8, 33.8], [57.7, 40.6, 65.4, 40.2], [28.2, 74.0, 70.0, 40.7]], 82.3, 52.2),
}


def pair(first: float, second: float, *covariance: float, degrees: float = math.inf) -> Pair:
    v_first, c, v_second = covariance
    return Pair(first, second, np.array([[v_first, c], [c, v_second]]), degrees, 100, 90)


def ends(ratio: Ratio) -> tuple[float, float]:
    return ratio.estimate.ci_low, ratio.estimate.ci_high


def make(value: float, stderr: float) -> Estimate:
    return Estimate(value, stderr, 0.0, 0.0, 0.95, "t", 50, 45)


def test_fieller_is_worked_by_hand() -> None:
    """6 ± 1 over 10 ± 2 at t = 2: the roots of 84 ρ² − 120 ρ + 32, (60 ± √912)/84."""
    found = fieller(pair(6, 10, 1, 0, 4), TWO_SIGMA)
    assert found.estimate.value == 0.6
    assert ends(found) == pytest.approx(((60 - math.sqrt(912)) / 84, (60 + math.sqrt(912)) / 84))
    assert found.estimate.stderr == pytest.approx(math.sqrt(1 + 0.36 * 4) / 10)
    assert (found.reason, found.estimate.method, found.estimate.num_clusters) == (None, "fieller", 90)


@pytest.mark.parametrize(("first", "second"), [(3.0, 9.0), (-3.0, 9.0), (3.0, -9.0), (0.0, 9.0)])
def test_fieller_ends_solve_its_equation(first: float, second: float) -> None:
    """(n − ρd)² = t² (v_n − 2ρc + ρ² v_d) at both ends, by an independent root finder, in order."""
    quantile = stats.t.ppf(0.975, 12)
    v_n, c, v_d = 2.0, 0.8, 1.5
    square, constant = second**2 - quantile**2 * v_d, first**2 - quantile**2 * v_n
    roots = np.roots([square, -2 * (first * second - quantile**2 * c), constant])
    found = fieller(pair(first, second, v_n, c, v_d, degrees=12))
    assert ends(found) == pytest.approx(sorted(roots))


def test_fieller_without_denominator_error_is_the_t_interval() -> None:
    """A denominator known exactly only rescales the numerator's interval."""
    found = fieller(pair(3.0, 2.0, 0.25, 0, 0), TWO_SIGMA)
    assert ends(found) == pytest.approx((1.0, 2.0))


def test_fieller_covers() -> None:
    """Correlated normal estimates, denominator 4 errors from 0: the interval holds the ratio in 93 to 97 % of 4,000."""
    rng = np.random.default_rng(1)
    covariance = np.array([[1.0, 0.5], [0.5, 1.0]])
    draws = rng.multivariate_normal([2.0, 4.0], covariance, 4000)
    found = [fieller(Pair(n, d, covariance, math.inf, 9, 9)) for n, d in draws]
    hits = [ends(ratio)[0] <= 0.5 <= ends(ratio)[1] for ratio in found if ratio.reason is None]
    assert len(hits) > 3900
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        pytest.param(pair(1, 1.9, 1, 0, 1), "the denominator is not distinguishable from 0 at the 95 % level", id="g"),
        pytest.param(pair(1, 0, 1, 0, 0), "the denominator is not distinguishable from 0 at the 95 % level", id="zero"),
        pytest.param(pair(0, 5, 0, 0, 1), "no variance seen in the numerator", id="numerator"),
        pytest.param(pair(3, 5, 1e-33, 0, 0), "no variance seen in the numerator", id="neither"),
        pytest.param(pair(5, 5, 1, 1, 1), "no variance seen in the ratio of numerator and denominator", id="equal"),
        pytest.param(pair(math.nan, 5, 1, 0, 1), "undefined", id="nan value"),
        pytest.param(pair(1, 5, math.nan, 0, 1), "undefined", id="nan variance"),
        pytest.param(pair(1, 5, 1, 0, 1, degrees=0), "undefined", id="no degrees of freedom"),
        pytest.param(pair(1, 5, 1, 0, 1, degrees=math.nan), "undefined", id="nan degrees of freedom"),
    ],
)
def test_a_ratio_that_cannot_be_known_says_why(case: Pair, reason: str) -> None:
    """All nan, and one line of reason."""
    found = fieller(case)
    assert reason in str(found.reason)
    assert math.isnan(found.estimate.value)
    assert math.isnan(found.estimate.stderr)
    assert all(math.isnan(x) for x in ends(found))


def test_transfer_ratio_takes_the_two_as_independent() -> None:
    """0.06 elsewhere per 0.10 gained where it was trained, counts added up."""
    found = transfer_ratio(make(0.06, 0.01), make(0.10, 0.02), math.inf, TWO_SIGMA)
    assert ends(found) == pytest.approx(ends(fieller(pair(6, 10, 1, 0, 4), TWO_SIGMA)))
    assert (found.estimate.num_examples, found.estimate.num_clusters) == (100, 90)
    assert "trained difference is not" in str(transfer_ratio(make(0.06, 0.01), make(0.01, 0.02), 30.0).reason)


def test_gap_closed_uses_the_covariance() -> None:
    """Sharing a base makes the two differences vary together, which narrows the interval."""
    shared, apart = (gap_closed(pair(0.1, 0.2, 4e-4, c, 4e-4)) for c in (3e-4, 0.0))
    assert shared.estimate.value == apart.estimate.value == 0.5
    assert shared.estimate.stderr < apart.estimate.stderr


def test_normalised_gain_is_hakes() -> None:
    """From 0.6 to 0.8 half of what was possible is gained; the covariance with 1 − b has the other sign."""
    found = normalised_gain(pair(0.2, 0.6, 1e-4, -5e-5, 2e-4))
    assert found.estimate.value == pytest.approx(0.5)
    assert ends(found) == pytest.approx(ends(fieller(pair(0.2, 0.4, 1e-4, 5e-5, 2e-4))))
    assert "room above the base is not distinguishable" in str(normalised_gain(pair(0.0, 0.99, 1e-4, 0, 1e-4)).reason)


def test_transferability_index_is_worked_by_hand() -> None:
    """Changes (8, 0) and (0, −2): σ = 4 and 1, s = (√2, 0) and (0, −√2), weights ½·½ and ¾·¼: TI = 100 and −50."""
    base, model = [np.array([50.0, 50.0]), np.array([10.0, 70.0])], [np.array([58.0, 50.0]), np.array([10.0, 68.0])]
    assert transferability_index(base, model, 0) == pytest.approx([100, -50])


@pytest.mark.parametrize("name", PAPER)
def test_printed_indices_follow_with_one_scale_per_group(name: str) -> None:
    """All six values of the paper's table to their last digit, with σ_g shared by its models (1, 1.1355, 1.2755)."""
    model, other, non = PAPER[name]
    found = transferability_index(BASE, [np.array(group) for group in model], 0, scales=(1.0, 1.1355, 1.2755))
    assert found == pytest.approx([100, other, non], abs=0.06)


@pytest.mark.parametrize(
    ("name", "other", "non"),
    [("SFT, no thinking", 96.7, -239.6), ("SFT, thinking", 42.9, -148.5), ("RL", 71.0, 84.1)],
)
def test_each_models_own_scale_keeps_signs_not_values(name: str, other: float, non: float) -> None:
    """The text's σ_g, taken literally, gives other numbers than the paper prints, of the same sign."""
    model, *printed = PAPER[name]
    found = transferability_index(BASE, [np.array(group) for group in model], 0)
    assert found == pytest.approx([100, other, non], abs=0.05)
    assert (np.sign(found[1:]) == np.sign(printed)).all()


def test_transferability_index_of_resamples() -> None:
    """Leading dimensions are resamples, each the same as alone."""
    rng = np.random.default_rng(2)
    base, model = ([rng.uniform(0, 99, (7, size)) for size in (3, 2)] for _ in range(2))
    found = transferability_index(base, model, 0)
    alone = transferability_index([x[4] for x in base], [x[4] for x in model], 0)
    assert found.shape == (7, 2)
    assert found[4] == pytest.approx(alone)


@pytest.mark.parametrize(
    ("base", "model"),
    [
        pytest.param([50.0], [60.0], id="one benchmark"),
        pytest.param([50.0, 20.0], [60.1, 30.1], id="all change alike"),
        pytest.param([100.0, 100.0], [90.0, 80.0], id="base at the ceiling"),
    ],
)
def test_transferability_index_is_nan_where_undefined(base: list[float], model: list[float]) -> None:
    """An undefined group is nan; an undefined trained group makes all nan."""
    bases, models = [np.array([10.0, 20.0]), np.array(base)], [np.array([20.0, 60.0]), np.array(model)]
    found = transferability_index(bases, models, 0)
    assert found[0] == 100
    assert np.isnan(found[1])
    assert np.isnan(transferability_index(bases, models, 1)).all()


def test_no_gain_in_the_trained_group_is_nan() -> None:
    """DI_trained = 0: gain and loss cancel, and there is nothing to divide by."""
    base, model = [np.array([50.0, 50.0])] * 2, [np.array([60.0, 40.0]), np.array([70.0, 50.0])]
    assert np.isnan(transferability_index(base, model, 0)).all()
