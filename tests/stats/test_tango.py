"""Tango's interval for paired proportions: published limits, the score equation, and where it has a closed form."""

import math

import pytest
from scipy import stats

from harness.stats.tango import tango_interval, tango_statistic

Z95 = 1.959963984540054


@pytest.mark.parametrize(
    ("gains", "losses", "n", "level", "expected"),
    [
        (0, 1, 44, 0.90, (-0.096, 0.037)),  # Tango 1998, soft contact lenses
        (1, 7, 21, 0.95, (-0.517, -0.026)),  # airway hyper-responsiveness, Fagerland, Lydersen & Laake 2014, SMMR
    ],
)
def test_tango_interval_of_published_examples(
    gains: int, losses: int, n: int, level: float, expected: tuple[float, float]
) -> None:
    """The limits printed in the literature."""
    assert tango_interval(gains, losses, n, level) == pytest.approx(expected, abs=5e-4)


def test_tango_statistic_is_hand_worked() -> None:
    """0 gains, 1 loss, 44 pairs at −0.1: B = −9.9, C = 0.11, q = 0.100280; T = 3.4 / sqrt(44 (2q − 0.11))."""
    loss_share = (math.sqrt(9.9**2 - 4 * 88 * 0.11) + 9.9) / 176
    assert tango_statistic(0, 1, 44, -0.1) == pytest.approx(3.4 / math.sqrt(44 * (2 * loss_share - 0.11)))
    assert tango_statistic(0, 1, 44, -0.1) == pytest.approx(1.709, abs=1e-3)


@pytest.mark.parametrize("counts", [(20, 3, 164), (9, 1, 10), (1, 1, 2), (0, 1, 44), (0, 0, 7), (3, 200, 500)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_tango_limits_solve_the_score_equation(counts: tuple[int, int, int], level: float) -> None:
    """T is +z at the lower limit and −z at the upper one."""
    z = stats.norm.ppf(0.5 + level / 2)
    low, high = tango_interval(*counts, level)
    assert (tango_statistic(*counts, low), tango_statistic(*counts, high)) == pytest.approx((z, -z), abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 30, 500])
def test_tango_has_a_closed_form_where_all_pairs_agree(n: int) -> None:
    """All equal: ±z²/(n + z²). All gained: (n − z²)/(n + z²) to 1, where T is z; all lost: its mirror image."""
    share = Z95**2 / (n + Z95**2)
    assert tango_interval(0, 0, n) == pytest.approx((-share, share))
    assert tango_interval(n, 0, n) == pytest.approx((1 - 2 * share, 1.0))
    assert tango_interval(0, n, n) == pytest.approx((-1.0, 2 * share - 1))
    assert tango_statistic(n, 0, n, 1 - 2 * share) == pytest.approx(Z95)


def test_tango_at_zero_is_mcnemar() -> None:
    """(b − c)/sqrt(b + c)."""
    assert tango_statistic(20, 5, 100, 0.0) == pytest.approx(15 / math.sqrt(25))


def test_tango_of_an_impossible_difference_is_infinite() -> None:
    """A certain loss cannot have produced a tie; it can have produced only losses."""
    assert tango_statistic(0, 0, 5, -1.0) == math.inf
    assert tango_statistic(0, 5, 5, -1.0) == 0.0
    assert all(math.isnan(limit) for limit in tango_interval(0, 0, 0))
