"""No figure cuts off or covers a word, however many rows and however long the names."""

import math

import pytest
from matplotlib.figure import Figure

from reports.figures.catalogue import FIGURES
from reports.figures.style import COLUMN_WIDTH, DARK, FULL_WIDTH, LIGHT
from tests.reports.figures.layout import clipped_texts, overlapping_texts, shown_texts
from tests.reports.figures.stress import stress
from tests.studies import make_findings


def _check(figure: object) -> Figure:
    assert isinstance(figure, Figure)
    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    return figure


@pytest.mark.parametrize("name", FIGURES)
def test_the_toy_study_fits_in_both_themes(name: str) -> None:
    """Texts of a common study stay inside the figure and apart, at one of the two widths of a page."""
    for theme in (LIGHT, DARK):
        figure = _check(FIGURES[name](make_findings(), theme))
        assert figure.get_figwidth() in (COLUMN_WIDTH, FULL_WIDTH)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("num_candidates", [1, 5, 10])
def test_long_names_and_many_rows_fit(name: str, num_candidates: int) -> None:
    """Up to ten candidates on fifteen tasks with names of forty characters neither clip nor overlap."""
    _check(FIGURES[name](stress(num_candidates), LIGHT))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("scale", "half"), [(1.0, math.nan), (1e-5, 1e-6), (200.0, 5.0)])
def test_numbers_of_any_size_fit(name: str, scale: float, half: float) -> None:
    """Estimates without intervals, tiny ones and huge ones are drawn without clipping or overlap."""
    _check(FIGURES[name](stress(2, scale, half), LIGHT))


def test_the_overlap_check_sees_overlaps() -> None:
    """Two texts at one place overlap, and one beyond the edge is clipped: the checks above can fail."""
    figure = FIGURES["matrix"](make_findings(), LIGHT)
    assert isinstance(figure, Figure)
    figure.text(0.5, 0.5, "first")
    figure.text(0.5, 0.5, "second")
    figure.text(0.99, 0.5, "beyond the edge")
    assert ("first", "second") in overlapping_texts(figure)
    assert clipped_texts(figure) == ["beyond the edge"]
    assert "+30.8†" in [text for text, _ in shown_texts(figure)]
