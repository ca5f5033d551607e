"""Figures as files and as inline SVG, the same bytes each time: no dates, no versions, no random ids."""

import io
import itertools
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from reports.figures.style import style_context

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")
_DATED = {"pdf": ("CreationDate", "Creator", "Producer"), "png": ("Software",)}
_NUMBER = re.compile(r"scale\([^)]*\)|-?\d+\.\d{3,}")
"""Coordinates with more digits than a picture needs; the scale of glyphs needs all of its own."""
_USE_STYLE = re.compile(r'^<use [^>]*( style="[^"]*")')
_ID = re.compile(r'(?: id="|href="#|url\(#)([^")]+)')


def save_figure(figure: "Figure", path_stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure once per format and return the files.

    Args:
        figure: As a draw function returned it.
        path_stem: Path without the ending.
        formats: Some of FORMATS.
    """
    written = []
    for name in formats:
        path = path_stem.with_name(f"{path_stem.name}.{name}")
        if name == "svg":
            path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{svg_text(figure)}\n', encoding="utf-8")
        else:
            with style_context():
                figure.savefig(path, format=name, metadata=dict.fromkeys(_DATED[name]))
        written.append(path)
    return written


def svg_text(figure: "Figure") -> str:
    """Return a figure as an SVG element that several can share a page with: ids are its own, text is paths.

    It has no background, and its description is its title and desc.
    """
    buffer = io.StringIO()
    with style_context():
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    for pattern in (r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style.*?</style>"):
        svg = re.sub(pattern, "", svg, flags=re.DOTALL)
    svg = _NUMBER.sub(lambda match: _rounded(match.group()), svg)
    name = str(figure.get_gid())
    svg = _own_ids(re.sub(r"> <", ">\n<", re.sub(r"\s+", " ", svg)), f"f{zlib.crc32(name.encode()) % 0xFFFFF:x}")
    svg = svg.replace("xlink:href", "href").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    svg = re.sub(r'transform="translate\(([\d.]+) 0\)"', r'x="\1"', svg)
    return _described(_share_styles(svg), name, str(figure.get_label()))


def _share_styles(svg: str) -> str:
    """Return the SVG with the style of neighbouring uses on one group around them."""
    lines: list[str] = []
    for style, run in itertools.groupby(svg.split("\n"), key=lambda line: "".join(_USE_STYLE.findall(line))):
        uses = list(run)
        if style and len(uses) > 2:
            uses = [f"<g{style}>", *(line.replace(style, "") for line in uses), "</g>"]
        lines += uses
    return "\n".join(lines)


def _rounded(number: str) -> str:
    return number if number.startswith("scale") else f"{float(number):.2f}".rstrip("0").rstrip(".")


def _own_ids(svg: str, prefix: str) -> str:
    """Return the SVG with short ids that begin with `prefix`, and without those that nothing refers to."""
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    names = {name: f"{prefix}-{number}" for number, name in enumerate(dict.fromkeys(_ID.findall(svg)))}
    svg = re.sub(r' id="([^"]+)"', lambda match: match.group() if match[1] in used else "", svg)
    svg = _ID.sub(lambda match: match.group().replace(match[1], names[match[1]]), svg)
    return re.sub(r"<g>\s*</g>", "", svg)


def _described(svg: str, prefix: str, description: str) -> str:
    heading, _, lines = description.partition("\n")
    opening, rest = svg.split(">", 1)
    opening += f' role="img" aria-labelledby="{prefix}-title {prefix}-desc"'
    opening += (
        ' stroke-linejoin="round" stroke-linecap="butt">'  # matplotlib's style element, which would rule the page
    )
    title = f'<title id="{prefix}-title">{escape(heading)}</title>'
    return f'{opening}\n{title}\n<desc id="{prefix}-desc">{escape(lines)}</desc>{rest}'
