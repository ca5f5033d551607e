"""Holm's adjustment: hand-worked, against a library, and its family-wise promise."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from harness.stats.multiple import holm


def test_holm_is_hand_worked() -> None:
    """0.01·3, 0.03·2, then max(0.06, 0.04·1): in the order given."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_undefined_p_values_stay_out_of_the_family() -> None:
    """A nan stays nan and does not make the others larger."""
    found = holm([math.nan, 0.01, math.nan, 0.04])
    assert found[1::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(found[0])
    assert math.isnan(found[2])


@pytest.mark.parametrize(("given", "expected"), [([], []), ([0.2], [0.2]), ([0.9, 0.8], [1.0, 1.0])])
def test_small_families(given: list[float], expected: list[float]) -> None:
    """Nothing, one p-value, and values that would exceed 1."""
    assert holm(given) == expected


def test_only_undefined() -> None:
    """A family without a single defined test."""
    assert all(math.isnan(p) for p in holm([math.nan, math.nan]))


def test_what_is_given_stays_as_it_is() -> None:
    """An array that the caller keeps is not written to."""
    given = np.array([0.01, 0.04, 0.03])
    holm(given)  # type: ignore[arg-type]
    assert given.tolist() == [0.01, 0.04, 0.03]


def test_rejections_match_statsmodels() -> None:
    """The adjusted values are its own, ties and all; rejecting where they are at most α is the step-down procedure."""
    p_values = np.round(np.random.default_rng(0).random(40) ** 4, 2)
    assert len(set(p_values)) < 40
    rejected, adjusted = multipletests(p_values, alpha=0.05, method="holm")[:2]
    assert holm(list(p_values)) == adjusted.tolist()
    assert (np.array(holm(list(p_values))) <= 0.05).tolist() == rejected.tolist()
