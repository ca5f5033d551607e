"""Parts of a difference: worked by hand, exact sums, empty cells."""

import numpy as np
import pytest

from harness.stats.decompose import decompose


def test_a_worked_example() -> None:
    """Half of the base finishes with accuracy 0.4; nine tenths of the candidate with 0.5: 0.25 = 0.18 + 0.07."""
    parts = decompose(np.array([0.5, 0.5]), np.array([0.2, 0.0]), np.array([0.9, 0.1]), np.array([0.45, 0.0]))
    assert parts.elicitation == pytest.approx([0.18, 0.0])
    assert parts.within == pytest.approx([0.07, 0.0])


def test_two_cells_that_both_score() -> None:
    """Kitagawa's rates: shares 0.6/0.4 → 0.3/0.7, accuracies 0.5/0.2 → 0.7/0.1, each term worked by hand."""
    parts = decompose(np.array([0.6, 0.4]), np.array([0.3, 0.08]), np.array([0.3, 0.7]), np.array([0.21, 0.07]))
    assert parts.elicitation == pytest.approx([-0.18, 0.045])
    assert parts.within == pytest.approx([0.09, -0.055])


def test_swapping_the_sides_changes_only_the_sign() -> None:
    """The form is symmetric: neither side's accuracies are the standard."""
    table = np.random.default_rng(1).dirichlet(np.ones(4), 2)
    correct = table * np.random.default_rng(2).random((2, 4))
    forth = decompose(table[0], correct[0], table[1], correct[1])
    back = decompose(table[1], correct[1], table[0], correct[0])
    assert forth.elicitation == pytest.approx(-back.elicitation)
    assert forth.within == pytest.approx(-back.within)


def test_parts_add_up_on_random_tables_with_empty_cells() -> None:
    """20,000 tables of six cells, a third of them empty: the sum is the difference to 1e-12."""
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 9, (2, 20_000, 6)) * (rng.random((2, 20_000, 6)) < 0.7)
    counts[..., 0] += 1
    right = rng.binomial(counts, 0.4)
    share, correct = (x / counts.sum(axis=-1, keepdims=True) for x in (counts, right))
    parts = decompose(share[0], correct[0], share[1], correct[1])
    found = (parts.elicitation + parts.within).sum(axis=-1)
    assert np.abs(found - (correct[1] - correct[0]).sum(axis=-1)).max() < 1e-12


@pytest.mark.parametrize(
    ("base", "candidate", "elicitation"),
    [
        pytest.param((0.0, 0.0), (0.5, 0.3), 0.3, id="filled"),
        pytest.param((0.5, 0.3), (0.0, 0.0), -0.3, id="emptied"),
        pytest.param((0.0, 0.0), (0.0, 0.0), 0.0, id="empty on both sides"),
    ],
)
def test_empty_cells_are_elicitation(
    base: tuple[float, float], candidate: tuple[float, float], elicitation: float
) -> None:
    """What fills or empties a cell is all elicitation; a cell nobody uses adds 0."""
    parts = decompose(*(np.array([x]) for x in (*base, *candidate)))
    assert parts.elicitation == pytest.approx([elicitation])
    assert parts.within == pytest.approx([0.0])


def test_stacked_draws_are_decomposed_one_by_one() -> None:
    """A draw in front gives the same parts as the draw alone, also against one fixed side."""
    rng = np.random.default_rng(4)
    share, correct = rng.random((5, 3)), rng.random((5, 3)) / 9
    stacked = decompose(share[0], correct[0], share, correct)
    alone = decompose(share[0], correct[0], share[2], correct[2])
    assert stacked.within.shape == (5, 3)
    assert stacked.elicitation[2] == pytest.approx(alone.elicitation)


def test_nan_stays_nan() -> None:
    """Shares of no generations are undefined, not empty cells."""
    nan = np.full(2, np.nan)
    parts = decompose(nan, nan, np.array([0.5, 0.5]), np.array([0.1, 0.2]))
    assert np.isnan(parts.elicitation).all()
    assert np.isnan(parts.within).all()
