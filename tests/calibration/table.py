"""The page of a calibration: how it was measured, by which rule it is judged, and one table."""

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.calibration.experiment import Row

HEAD = (
    "| what | design | nominal | measured | error | samples | undefined | verdict |\n"
    "|---|---|---:|---:|---:|---:|---:|---|"
)
TEXT = """# Calibration

Does every interval hold the truth as often as it says, and does every test err no more often than it says? Each row is
a simulation whose truth is known, through the same functions that print the numbers of a report. Written by

    python -m tests.calibration

and never by hand: measured {date}, {asked:,} samples asked for (less where one takes long), seed {seed}, on {cores}
cores with Python {python}, NumPy {numpy}, in {minutes}.

**{num_rows} rows: {num_hold} hold, {num_undecided} are undecided for want of samples, {num_known} fail in a way that is
known and stated below, {num_fail} fail otherwise.**

The rule, with e the Monte-Carlo standard error (both in points): coverage *holds* unless measured + 3 e < nominal − 2;
a test's false alarms hold unless measured − 3 e > nominal + 1; power holds unless it is off by more than 3 + 3 e on
either side; what does not fail is *undecided* where 3 e > 8. More coverage and fewer alarms than promised hold. Samples
in which a report would show no interval or test are undefined, and no part of the measured share. Nasty designs (†) are
at the edge on purpose: few examples, shares near 0 or 1, few or unequal clusters, unequal k.
[statistics.md](statistics.md) explains the methods.
"""


@dataclass(frozen=True)
class Made:
    """How a table was made."""

    asked: int
    seed: int
    seconds: float


def render(sections: Mapping[str, Sequence[Row]], made: Made) -> str:
    """Return the page."""
    import numpy as np

    rows = [row for section in sections.values() for row in section]
    num_hold = sum(row.verdict == "holds" for row in rows)
    num_broken = sum(row.is_broken for row in rows)
    num_known = sum(row.is_broken and bool(row.claim.limit) for row in rows)
    text = TEXT.format(
        date=datetime.datetime.now(datetime.UTC).date(),
        asked=made.asked,
        seed=made.seed,
        cores=os.cpu_count(),
        python=platform.python_version(),
        numpy=np.__version__,
        minutes=f"{made.seconds / 60:.0f} minutes" if made.seconds >= 90 else f"{made.seconds:.0f} s",
        num_rows=len(rows),
        num_hold=num_hold,
        num_known=num_known,
        num_undecided=len(rows) - num_hold - num_broken,
        num_fail=num_broken - num_known,
    )
    return "\n".join([text, *(_section(title, section) for title, section in sections.items())])


def _section(title: str, rows: Sequence[Row]) -> str:
    limits = list(dict.fromkeys(row.claim.limit for row in rows if row.claim.limit and row.is_broken))
    lines = [f"## {title}", "", HEAD, *(_line(row, limits) for row in rows), ""]
    notes = [f"{number}. {limit}" for number, limit in enumerate(limits, 1)]
    return "\n".join([*lines, *(["Known limits:", "", *notes, ""] if notes else [])])


def _line(row: Row, limits: Sequence[str]) -> str:
    mark = " †" if row.is_nasty else ""
    known = f" ({limits.index(row.claim.limit) + 1})" if row.claim.limit in limits and row.is_broken else ""
    verdict = f"**{row.verdict}**{known}" if row.is_broken else row.verdict
    measured = "–" if row.num_undefined == row.num_samples else f"{100 * row.measured:.1f}"
    numbers = f"{100 * row.claim.nominal:g} | {measured} | {100 * row.error:.1f}"
    undefined = f"{row.num_undefined:,}" if row.num_undefined else "–"
    return f"| {row.claim.what} | {row.design}{mark} | {numbers} | {row.num_samples:,} | {undefined} | {verdict} |"
