"""The campaign's results as the page docs/hostile.md."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.scorers.program import INPUT_CPU_SECONDS, PROGRAM_CPU_SECONDS
from harness.scorers.sandbox_command import LIMITS
from tests.hostile.beside import SECONDS, Beside
from tests.hostile.corpus import FAMILIES, Hostile
from tests.hostile.ours import Trial


@dataclass(frozen=True)
class Row:
    """One program and what came of it."""

    family: str
    program: Hostile
    ours: Trial
    beside: Beside | None
    """None where EvalPlus was not asked."""


INTRODUCTION = """# Hostile programs

Written by `python -m tests.hostile`; what stops these programs is in [sandbox.md](sandbox.md), the programs themselves
are in `tests/hostile/`. Each defines the function a problem asks for and tries to pass without solving it, to reach
what it should not, or to do damage; where an attack can be seen to work, the program answers rightly if it did. Before
and after each one an honest program is scored, and then one that passes only if it finds no file, socket, process or
key of an earlier program; outside, processes, descriptors, files and sockets are counted.

"""
BESIDE = """
`evalplus.evaluate` {version} judges the same programs, each in a run of its own beside an honest program for another
problem. It has no sandbox, so it runs in a container of ours: no network, read-only system, a user without rights,
kernel limits. That flatters it: what the container stops is not counted as passed. *Crashed or hung* are runs without a
result file after {seconds:.0f} s; *honest one lost* are runs in which the honest program did not pass.
"""


def page(rows: Sequence[Row], seconds: float) -> str:
    """Return the page."""
    parts = [INTRODUCTION, f"{_made(seconds)}\n\n## This scorer\n\n", *_ours(rows)]
    if any(row.beside is not None for row in rows):
        parts += ["\n## EvalPlus beside it\n", _beside_text(), *_beside(rows)]
    parts += ["\n## The programs\n\n", *_programs(rows)]
    return "".join(parts)


def _made(seconds: float) -> str:
    today = time.strftime("%Y-%m-%d")
    limits = f"{INPUT_CPU_SECONDS:g} s an input, {PROGRAM_CPU_SECONDS:g} s in all, {LIMITS['idle_seconds']} s idle"
    return (
        f"{today}, {os.cpu_count()} cores, Python {platform.python_version()}, {seconds / 60:.0f} minutes, "
        f"the scorer's own limits ({limits})."
    )


def _beside_text() -> str:
    return BESIDE.format(version=importlib.metadata.version("evalplus"), seconds=SECONDS) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |\n" for line in lines]


def _groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    groups = [(family, [row for row in rows if row.family == family]) for family in FAMILIES]
    return [*[(family, members) for family, members in groups if members], ("all", list(rows))]


def _milliseconds(values: Sequence[float]) -> str:
    return f"{1000 * statistics.median(values):.0f}, {1000 * max(values):.0f}"


def _ours(rows: Sequence[Row]) -> list[str]:
    header = ["family", "programs", "passed", "left something", "longest, s", "honest before: median, max, ms", "after"]
    lines = [
        [
            family,
            str(len(members)),
            str(sum(row.ours.value > 0 for row in members)),
            str(sum(bool(row.ours.left) for row in members)),
            f"{max(row.ours.seconds for row in members):.1f}",
            _milliseconds([row.ours.before for row in members]),
            _milliseconds([row.ours.after for row in members]),
        ]
        for family, members in _groups(rows)
    ]
    return _table(header, lines)


def _beside(rows: Sequence[Row]) -> list[str]:
    header = ["family", "programs", "passed", "crashed", "hung", "honest one lost", "left processes", "left files"]
    lines = []
    for family, members in _groups(rows):
        peers = [row.beside for row in members if row.beside is not None]
        lines.append(
            [
                family,
                str(len(peers)),
                str(sum(peer.passed for peer in peers)),
                str(sum(peer.ending == "crashed" for peer in peers)),
                str(sum(peer.ending == "hung" for peer in peers)),
                str(sum(not peer.neighbour_passed for peer in peers)),
                str(sum("process" in peer.left for peer in peers)),
                str(sum(bool(set(peer.left) - {"process"}) for peer in peers)),
            ]
        )
    return _table(header, lines)


def _programs(rows: Sequence[Row]) -> list[str]:
    header = ["family", "program", "tries", "here", "EvalPlus"]
    lines = [
        [row.family, row.program.name, row.program.tries, _verdict(row.ours), _peer_verdict(row.beside)] for row in rows
    ]
    return _table(header, lines)


def _verdict(trial: Trial) -> str:
    said = f"**PASSED** {trial.detail}" if trial.value else trial.detail.removeprefix("base input 0: ")
    return said + "".join(f"; **left** {one}" for one in trial.left)


def _peer_verdict(peer: Beside | None) -> str:
    if peer is None:
        return "–"
    said = "passed" if peer.passed else {"ended": "failed", "crashed": "crashed", "hung": "hung"}[peer.ending]
    left = [f"{count} × {what}" if count > 1 else what for what, count in Counter(peer.left).items()]
    return said + (f"; left {', '.join(left)}" if left else "")
