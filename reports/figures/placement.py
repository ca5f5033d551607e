"""Where names go beside marks so that none covers a mark, a line or another name. Plain geometry, in inches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.figures.text import text_width

TEXT_HEIGHT = 0.12
"""What a name takes, with the space above and below it."""
GAP = 0.03


class Box(NamedTuple):
    """A rectangle."""

    left: float
    low: float
    right: float
    high: float

    def holds(self, other: "Box") -> bool:
        """Return whether the other lies inside."""
        return (
            self.left <= other.left and other.right <= self.right and self.low <= other.low and other.high <= self.high
        )

    def meets(self, other: "Box") -> bool:
        """Return whether both share some area."""
        return self.left < other.right and other.left < self.right and self.low < other.high and other.low < self.high


@dataclass(frozen=True)
class Name:
    """A name and the boxes it may take, best first."""

    text: str
    boxes: tuple[Box, ...]

    @classmethod
    def beside_mark(cls, text: str, mark: Box, middle: float) -> "Name":
        """Return the name of a mark with an interval: right of it, left of it, above or below it."""
        width, center = text_width(text), (mark.left + mark.right) / 2
        heights = (middle + 0.04, middle - TEXT_HEIGHT - 0.04, middle - TEXT_HEIGHT / 2)
        corners = [(mark.right + GAP, low) for low in heights]
        corners += [(mark.left - GAP - width, low) for low in heights]
        corners += [(center - width / 2, mark.high + 0.01), (center - width / 2, mark.low - TEXT_HEIGHT - 0.01)]
        return cls(text, tuple(Box(left, low, left + width, low + TEXT_HEIGHT) for left, low in corners))

    @classmethod
    def along_line(cls, text: str, height: float, frame: Box) -> "Name":
        """Return the name of a horizontal line: above or below it, at its right end, its left end or its middle."""
        width = text_width(text)
        lefts = (frame.right - 0.25 - width, frame.left + 0.05, (frame.left + frame.right - width) / 2)
        lows = (height + 0.02, height - TEXT_HEIGHT - 0.02)
        return cls(text, tuple(Box(left, low, left + width, low + TEXT_HEIGHT) for left in lefts for low in lows))


def place_names(
    names: Sequence[Name], frame: Box, marks: Sequence[Box], lines: Sequence[float]
) -> list[tuple[Box, str]] | None:
    """Return a box for each name, in order, each taking the best that is still free; None if one finds no place.

    Args:
        names: What to place; the earlier choose first.
        frame: Where names must stay.
        marks: What no name may cover.
        lines: Heights of horizontal lines that no name may stand on.
    """
    taken = list(marks)
    placed: list[tuple[Box, str]] = []
    for name in names:
        free = (
            box
            for box in name.boxes
            if frame.holds(box)
            and not any(box.meets(other) for other in taken)
            and not any(box.low < line < box.high for line in lines)
        )
        box = next(free, None)
        if box is None:
            return None
        taken.append(box)
        placed.append((box, name.text))
    return placed
