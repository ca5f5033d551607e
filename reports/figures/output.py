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
_SHARED = re.compile(r'^<(?:use|path d)[^>]*?((?: clip-path="[^"]*")? style="[^"]*")/>$')
_ID = re.compile(r'( id="|href="#|url\(#)([^")]+)')


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
    svg = re.sub(r'(<use [^>]*)transform="translate\(([\d.]+) 0\)"', r'\1x="\2"', svg)
    return _described(_share_styles(svg), name, heading(figure), description(figure))


def heading(figure: "Figure") -> str:
    """Return what a figure shows, in a few words."""
    return str(figure.get_label()).partition("\n")[0]


def description(figure: "Figure") -> str:
    """Return a figure's content in words, one line per thing shown, with full names: for those who cannot see it."""
    return str(figure.get_label()).partition("\n")[2]


def _share_styles(svg: str) -> str:
    """Return the SVG with the style and clipping of neighbours that look alike on one group around them."""
    lines: list[str] = []
    for style, run in itertools.groupby(svg.split("\n"), key=lambda line: "".join(_SHARED.findall(line))):
        alike = list(run)
        if style and len(alike) > 2:
            alike = [f"<g{style}>", *(line.replace(style, "") for line in alike), "</g>"]
        lines += alike
    return "\n".join(lines)


def _rounded(number: str) -> str:
    return number if number.startswith("scale") else f"{float(number):.2f}".rstrip("0").rstrip(".")


def _own_ids(svg: str, prefix: str) -> str:
    """Return the SVG with short ids that begin with `prefix`, and without those that nothing refers to."""
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    names = {
        name: f"{prefix}-{number}" for number, name in enumerate(dict.fromkeys(name for _, name in _ID.findall(svg)))
    }
    svg = re.sub(r' id="([^"]+)"', lambda match: match.group() if match[1] in used else "", svg)
    svg = _ID.sub(lambda match: match[1] + names[match[2]], svg)
    return re.sub(r"<g>\s*</g>", "", svg)


def _described(svg: str, prefix: str, heading: str, lines: str) -> str:
    opening, rest = svg.split(">", 1)
    opening += f' role="img" aria-labelledby="{prefix}-title {prefix}-desc"'
    # what matplotlib says in a style element, which would rule the whole page
    opening += ' stroke-linejoin="round" stroke-linecap="butt"'
    title = f'<title id="{prefix}-title">{escape(heading)}</title>'
    return f'{opening}>\n{title}\n<desc id="{prefix}-desc">{escape(lines)}</desc>{rest}'
