"""What a speed script found, as figures and tables that run_all.py collects: every script's `--json FILE`.

Standard library alone: scripts also run in the environments of peers, which lack the harness.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured quantity, beside the peer's where there is one."""

    what: str
    ours: float
    unit: str
    """A unit per second, such as `tokens/s`, is better when it is larger; all others when they are smaller."""
    peer: float | None = None
    peer_name: str = ""
    label: str = ""
    """A few words for the chart; without them it is left out there."""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's in time or memory: below 1 is better. Rates are turned over for that."""
        if self.peer is None:
            return None
        return self.peer / self.ours if self.unit.endswith("/s") else self.ours / self.peer


@dataclass(frozen=True)
class Grid:
    """A table that is more than a row a quantity."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Results:
    """All that a script found."""

    figures: tuple[Figure, ...] = ()
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What was not measured, and why; conditions that decide a figure."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option under which run_all.py asks for the figures."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")


def save(path: Path | None, results: Results) -> None:
    """Write what was found, if a file was asked for."""
    if path is not None:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(results), indent=1), encoding="utf-8")
        part.replace(path)


def load(path: Path) -> Results:
    """Read back what a script wrote."""
    read = json.loads(path.read_text(encoding="utf-8"))
    grids = (Grid(grid["title"], tuple(grid["columns"]), tuple(map(tuple, grid["rows"]))) for grid in read["grids"])
    return Results(tuple(Figure(**each) for each in read["figures"]), tuple(grids), tuple(read["notes"]))


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all but the first column hold numbers where they can."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
