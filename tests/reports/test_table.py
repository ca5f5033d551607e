"""How numbers are written."""

import math

import pytest

from harness.findings import Ratio
from harness.schema import Estimate
from reports.table import (
    Cell,
    change_cell,
    count_cell,
    is_significant,
    percent,
    plain,
    plain_interval,
    points,
    probability,
    probability_cell,
    ratio_cell,
    share_cell,
    signed,
    signed_cell,
    signed_interval,
    true_minus,
    with_interval,
)

HALF = Estimate(0.5, 0.05, 0.4, 0.6, 0.95, "t", 100, 100)
NAN = Estimate(*[math.nan] * 4, 0.95, "t", 0, 0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (points(0.6314), "63.1"),
        (points(1), "100.0"),
        (points(math.nan), "–"),
        (points(None), "–"),
        (points(-0.0004), "0.0"),
        (points(0.12345, digits=2), "12.35"),
        (signed(0.123), "+12.3"),
        (signed(-0.123), "-12.3"),
        (signed(-0.0004), "+0.0"),
        (signed(-0.0), "+0.0"),
        (signed(math.nan), "–"),
        (plain(1543.6, digits=1), "1,543.6"),
        (plain(-0.001), "0.00"),
        (plain(None), "–"),
        (plain_interval(HALF, 0), "0 to 1"),
        (signed_interval(HALF, 0), "+40 to +60"),
        (probability(0.0009), "<.001"),
        (probability(0.001), "0.001"),
        (probability(0.0494), "0.049"),
        (probability(math.nan), "–"),
        (percent(0.95), "95 %"),
        (percent(0.9999), "99.99 %"),
    ],
)
def test_numbers_are_written_in_one_way(written: str, expected: str) -> None:
    """Points have one decimal, differences a sign, undefined numbers a dash; nothing is minus zero."""
    assert written == expected


@pytest.mark.parametrize(
    ("cell", "text", "interval"),
    [
        (with_interval(HALF), "50.0", "40.0–60.0"),
        (signed_cell(HALF), "+50.0", "+40.0 to +60.0"),
        (with_interval(NAN), "–", ""),
        (with_interval(Estimate(0.5, math.nan, math.nan, math.nan, 0.95, "t", 1, 1)), "50.0", "no interval"),
        (ratio_cell(Ratio(HALF)), "0.50", "0.40 to 0.60"),
        (ratio_cell(Ratio(NAN, "the trained difference is not distinguishable from 0")), "–", ""),
        (share_cell(0.336), "34 %", ""),
        (share_cell(math.nan), "–", ""),
        (change_cell(0.22, 0.6), "22 → 60 %", ""),
        (change_cell(math.nan, 0.6), "? → 60 %", ""),
        (count_cell(230_000), "230,000", ""),
        (count_cell(None), "–", ""),
        (count_cell(0), "0", ""),
        (probability_cell(0.5), "0.500", ""),
    ],
)
def test_cells_show_a_number_and_its_interval(cell: Cell, text: str, interval: str) -> None:
    """A number never travels alone, except where it has no interval."""
    assert (cell.text, cell.interval) == (text, interval)


def test_cells_keep_the_number_behind_the_text() -> None:
    """Formats with room for every digit find it in the cell."""
    assert with_interval(HALF).number is HALF
    assert ratio_cell(Ratio(NAN, "no")).number is None
    assert (change_cell(0.22, 0.6).before, change_cell(0.22, 0.6).number) == (0.22, 0.6)


def test_an_undefined_p_value_is_not_significant() -> None:
    """p must be below 1 − level."""
    assert is_significant(0.95, 0.049)
    assert not is_significant(0.95, 0.051)
    assert not is_significant(0.5, 0.5)
    assert not is_significant(0.95, math.nan)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-5.0", "−5.0"),
        ("-15.0 to -5.0", "−15.0 to −5.0"),
        ("(-0.1)", "(−0.1)"),
        ("qwen3-4b", "qwen3-4b"),
        ("1e-5", "1e-5"),
        ("10.-2", "10.-2"),
        ("- none", "- none"),
        ("-inf", "-inf"),
    ],
)
def test_a_hyphen_is_a_minus_where_a_number_begins(text: str, expected: str) -> None:
    """Names, exponents and dashes keep theirs."""
    assert true_minus(text) == expected


def test_a_p_value_at_the_level_is_not_below_it() -> None:
    """1 − 0.95 is a little more than 0.05 in floating point; a p of exactly 0.05 gets no mark."""
    assert not is_significant(0.95, 0.05)
    assert is_significant(0.95, 0.0499)
    assert not is_significant(0.95, math.nan)
