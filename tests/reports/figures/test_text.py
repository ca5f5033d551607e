"""Words of figures are measured, shortened without becoming alike, and numbers are written as in tables."""

import math

import pytest

from harness.schema import Estimate
from reports.figures.catalogue import FIGURES
from reports.figures.style import LIGHT
from reports.figures.text import points, shorten, shorten_all, signed, text_width, with_interval, wrap
from tests.studies import make_findings


def test_widths_are_those_of_the_font() -> None:
    """Seven point DejaVu Sans: an m is 0.974 em wide, and bold is wider."""
    assert text_width("m") * 72 / 7 == pytest.approx(0.974, abs=0.02)
    assert text_width("mm") == pytest.approx(2 * text_width("m"), rel=0.03)
    assert text_width("name", bold=True) > text_width("name")


def test_drawing_changes_no_width() -> None:
    """Matplotlib's own fonts change size while it draws; the measuring ones do not."""
    before = text_width.__wrapped__("candidate")
    figure = FIGURES["matrix"](make_findings(), LIGHT)
    figure.draw_without_rendering()  # type: ignore[union-attr]
    assert text_width.__wrapped__("candidate") == before


def test_a_long_name_loses_its_middle() -> None:
    """What fits is left alone; what does not keeps both ends, within the width."""
    assert shorten("short", 1.0) == "short"
    found = shorten("candidate-with-a-long-name-step-150", 1.0)
    assert found.startswith("cand")
    assert found.endswith("150")
    assert "…" in found
    assert text_width(found) <= 1.0


def test_shortened_names_stay_apart() -> None:
    """Names that differ only in the part left out are numbered."""
    names = [f"candidate-{'x' * 20}{letter}{'y' * 20}" for letter in "abc"]
    found = shorten_all(names, 1.0)
    assert list(found) == names
    assert len(set(found.values())) == 3
    assert found[names[1]].endswith(" (2)")
    assert all(text_width(text) <= 1.0 for text in found.values())


def test_words_wrap() -> None:
    """Lines break between words and are no wider than asked for."""
    text = wrap("trained on chat and math and code", 0.9)
    assert text.replace("\n", " ") == "trained on chat and math and code"
    assert all(text_width(line) <= 0.9 for line in text.split("\n"))


def test_numbers_are_points() -> None:
    """Shares are shown times 100 with one decimal, a true minus, and a dash for what is undefined."""
    assert [points(0.241), points(-0.02), points(math.nan)] == ["24.1", "−2.0", "–"]
    assert [signed(0.39), signed(-0.004), signed(0.0001), signed(-0.0001)] == ["+39.0", "−0.4", "+0.0", "+0.0"]
    estimate = Estimate(0.39, 0.02, 0.35, 0.43, 0.95, "t", 9, 9)
    assert with_interval(estimate, sign=True) == "+39.0 (+35.0 to +43.0)"
    assert with_interval(Estimate(0.39, math.nan, math.nan, math.nan, 0.95, "", 1, 1)) == "39.0"
