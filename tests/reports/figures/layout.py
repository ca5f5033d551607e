"""Where a figure's words came to lie: what is cut off, what covers what."""

import itertools
from collections.abc import Iterator

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

TOLERANCE = 0.01
"""Inches that boxes may share: the room that fonts keep around their letters."""


def shown_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return every text that is seen, with its box in inches."""
    hidden = {id(text) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for text in _unseen_ticks(axis)}
    found = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden
    ]
    scale = 1 / figure.dpi
    return [(text.get_text(), _scaled(text.get_window_extent(), scale)) for text in found]


def _scaled(box: Bbox, scale: float) -> Bbox:
    return Bbox(box.get_points() * scale)


def _unseen_ticks(axis: Axis) -> Iterator[Text]:
    """Yield the labels of ticks outside the view, which are never drawn, and of those switched off."""
    low, high = sorted(axis.get_view_interval())
    room = 1e-9 * (high - low)
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        inside = low - room <= tick.get_loc() <= high + room
        for label in (tick.label1, tick.label2):
            if not inside or not label.get_visible():
                yield label


def clipped_texts(figure: Figure) -> list[str]:
    """Return the texts that reach beyond the figure's edge."""
    width, height = figure.get_size_inches()
    return [
        text
        for text, box in shown_texts(figure)
        if box.x0 < -TOLERANCE or box.y0 < -TOLERANCE or box.x1 > width + TOLERANCE or box.y1 > height + TOLERANCE
    ]


def overlapping_texts(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts whose boxes share more than their margins."""
    pairs = itertools.combinations(shown_texts(figure), 2)
    return [(one, other) for (one, a), (other, b) in pairs if _shared(a, b)]


def _shared(a: Bbox, b: Bbox) -> bool:
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    up = min(a.y1, b.y1) - max(a.y0, b.y0)
    return across > TOLERANCE and up > TOLERANCE
