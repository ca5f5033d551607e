"""What run_all.py found: as a table in the terminal, as the block of docs/benchmarks.md, and as a chart."""

import datetime
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, Grid, Results, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Chart
    from rich.table import Table

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
PACKAGES = ("torch", "transformers", "lm-eval", "evalplus", "math-verify", "scipy", "datasketch", "trl")
"""Peers that are installed beside us; the others' names say their version."""
COLUMNS = ("what", "ours", "peer", "ratio", "script")


@dataclass(frozen=True)
class Made:
    """How a table was made."""

    seconds: float
    load: float
    """Of the machine when it began: above 0, other work was using it."""
    left_out: tuple[str, ...]
    """What was not run, and why, a line each."""


def show(number: float, unit: str) -> str:
    """Return a number with three digits that count, and its unit."""
    shown = f"{number:,.0f}" if abs(number) >= 100 else f"{number:#.3g}"
    return f"{shown.removesuffix('.')} {unit}"


def show_ratio(ratio: float) -> str:
    """Return a ratio with two digits that count, or two places where that is more."""
    return f"{ratio:#.2g}" if ratio < 0.1 else f"{ratio:.2f}"


def table_rows(found: Mapping[str, Results]) -> list[tuple[str, ...]]:
    """Return a row a figure, script by script."""
    return [_row(figure, script) for script, results in found.items() for figure in results.figures]


def _row(figure: Figure, script: str) -> tuple[str, ...]:
    if figure.peer is None or figure.ratio is None:
        return figure.what, show(figure.ours, figure.unit), "–", "–", script
    peer = f"{figure.peer_name}: {show(figure.peer, figure.unit)}"
    return figure.what, show(figure.ours, figure.unit), peer, show_ratio(figure.ratio), script


def print_table(rows: Sequence[Sequence[str]]) -> "Table":
    """Return the table for a terminal."""
    from rich.table import Table

    table = Table(*COLUMNS, title="Speed and memory beside peers (ratio: ours over theirs, below 1 is better)")
    for column in (1, 3):
        table.columns[column].justify = "right"
    for row in rows:
        table.add_row(*row)
    return table


def render(found: Mapping[str, Results], made: Made) -> str:
    """Return what stands between the markers."""
    minutes = f"{made.seconds / 60:.0f} minutes" if made.seconds >= 90 else f"{made.seconds:.0f} s"
    conditions = (
        f"Made by `make bench` on {datetime.datetime.now(datetime.UTC).date()} in {minutes}, on {os.cpu_count()} "
        f"{platform.machine()} cores with Python {platform.python_version()}, one thread a process, load "
        f"{made.load:.1f} at the start; {', '.join(f'{name} {version(name)}' for name in PACKAGES)}. *Ratio* is ours "
        "over the peer's in time or memory, rates turned over: below 1 is better."
    )
    parts = [conditions, markdown(COLUMNS, table_rows(found)).rstrip()]
    notes = [*made.left_out, *(note for results in found.values() for note in results.notes)]
    if notes:
        parts.append("Not measured:\n\n" + "\n".join(f"- {note}" for note in notes))
    parts += [_section(grid) for results in found.values() for grid in results.grids]
    return "\n\n".join(parts)


def _section(grid: Grid) -> str:
    return f"### {grid.title}\n\n{markdown(grid.columns, grid.rows).rstrip()}"


def put_between_markers(text: str, block: str) -> str:
    """Return a page with the block in place of what was between its markers.

    Raises:
        ValueError: if the page has not exactly one pair of markers, in order.
    """
    if (text.count(BEGIN), text.count(END)) != (1, 1) or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected one pair of {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def draw_chart(found: Mapping[str, Results]) -> "Chart | None":
    """Return the ratios as bars from 1, which is the peer, on a log scale; None if nothing has a label and a peer."""
    from reports.figures.style import FULL_WIDTH, LIGHT, new_figure, style_context

    bars = sorted(
        (figure.ratio, f"{figure.label} · {re.split('[,:]| in a loop', figure.peer_name)[0]}")
        for results in found.values()
        for figure in results.figures
        if figure.label and figure.ratio is not None
    )
    if not bars:
        return None
    lines = [f"{label}: {show_ratio(ratio)}" for ratio, label in bars]
    with style_context(LIGHT):
        chart = new_figure("speed", LIGHT, (FULL_WIDTH, 0.6 + 0.17 * len(bars)), ["Time against peers", *lines])
        axes = chart.add_subplot()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        for place, (ratio, _) in enumerate(reversed(bars)):
            is_faster = ratio <= 1
            style = {"color": LIGHT.gain if is_faster else LIGHT.loss, "hatch": "" if is_faster else "////"}
            axes.barh(place, ratio - 1, left=1, height=0.7, **style)
            text = {
                "fontsize": "small",
                "xytext": (-3 if is_faster else 3, 0),
                "ha": "right" if is_faster else "left",
                "va": "center",
            }
            axes.annotate(show_ratio(ratio), (ratio, place), textcoords="offset points", **text)
        axes.set_yticks(range(len(bars)), [label for _, label in reversed(bars)], fontsize="small")
        axes.axvline(1, color=LIGHT.ink, linewidth=0.8)
        axes.set_xlim(min(bars[0][0], 0.5) / 2.5, max(bars[-1][0], 1) * 2.5)
        axes.set_xlabel("ours over the peer's time, log scale; 1 is the peer, left of it ours is faster")
        axes.grid(axis="x")
        chart.draw_without_rendering()
        chart.set_layout_engine("none")
    return chart


def write(docs: Path, found: Mapping[str, Results], made: Made) -> list[Path]:
    """Write the block into benchmarks.md and the chart into images/speed.svg and .png; return the files."""
    from reports.figures.output import save_figure

    page = docs / "benchmarks.md"
    page.write_text(put_between_markers(page.read_text(encoding="utf-8"), render(found, made)), encoding="utf-8")
    chart = draw_chart(found)
    return [page, *(save_figure(chart, docs / "images" / "speed", ("svg", "png")) if chart is not None else [])]
