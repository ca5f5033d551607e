"""Names are placed where they cover nothing."""

import pytest

from reports.figures.placement import Box, Name, place_names
from reports.figures.text import text_width

FRAME = Box(0, 0, 3, 2)


def test_a_name_stands_right_of_its_mark() -> None:
    """With room everywhere the first choice is taken: right of the mark, a little above its middle."""
    mark = Box(1.0, 0.8, 1.1, 1.2)
    placed = place_names([Name.beside_mark("grlo", mark, 1.0)], FRAME, [mark], [])
    assert placed is not None
    box, text = placed[0]
    assert text == "grlo"
    assert box.left > mark.right
    assert box.low == 1.04
    assert box.right - box.left == pytest.approx(text_width("grlo"))


def test_names_avoid_marks_lines_and_each_other() -> None:
    """A mark in the way moves a name; a line through it moves it up; two names never meet."""
    mark, wall = Box(1.0, 0.8, 1.1, 1.2), Box(1.12, 0.0, 1.6, 2.0)
    names = [Name.beside_mark("grlo", mark, 1.0), Name.along_line("base", 0.5, FRAME), Name.along_line("x", 0.5, FRAME)]
    placed = place_names(names, FRAME, [mark, wall], [0.5])
    assert placed is not None
    boxes = [box for box, _ in placed]
    assert boxes[0].right < mark.left
    assert boxes[1].low > 0.5
    assert not boxes[1].meets(boxes[2])


def test_without_room_nothing_is_placed() -> None:
    """A name wider than the frame has no place."""
    mark = Box(1.0, 0.8, 1.1, 1.2)
    assert place_names([Name.beside_mark("x" * 60, mark, 1.0)], FRAME, [mark], []) is None
