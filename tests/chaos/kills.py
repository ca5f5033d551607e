"""SIGKILL at random moments of a command, which is then run again until it ends by itself, and what came of it."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.command import count_orphans, living_descendants, run, start
from tests.chaos.results import Results, find_differences, read_results
from tests.chaos.subjects import Subject

MOST_KILLS = 6
"""Kills of one beginning."""


@dataclass(frozen=True)
class Whole:
    """A command that nobody disturbed."""

    given: Path
    """Folder with what it starts from."""
    results: Results
    seconds: float
    num_writes: int
    num_bytes: tuple[int, int]
    """Size of its folder before and after."""
    num_units: int


@dataclass
class Tally:
    """What happened to a command that was killed again and again."""

    kills: int = 0
    at_start: int = 0
    """Kills before the first unit of its work was stored."""
    at_end: int = 0
    """Kills after the last one."""
    trials: int = 0
    """Times that it was begun from nothing, and in the end compared."""
    units: int = 0
    """In all trials."""
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    """Files with other content, and files too many or too few."""
    left: int = 0
    """Processes that lived on, and locks that stayed."""
    problems: list[str] = field(default_factory=list)
    """Words of commands that could not go on, and names of differing files."""

    @property
    def is_clean(self) -> bool:
        """Whether the kills changed nothing."""
        return not (self.lost or self.doubled or self.differing or self.left or self.problems)


def prepare(subject: Subject, root: Path) -> Whole:
    """Run a command without a fault, twice, to know that its results repeat."""
    given, first, second = (root / name for name in ("given", "first", "second"))
    given.mkdir(parents=True)
    subject.prepare(given)
    for folder in (first, second):
        shutil.copytree(given, folder)
    code, _, err = run(subject.arguments, first, f"count:{root / 'writes'}")
    assert code == 0, err
    began = time.monotonic()
    code, _, err = run(subject.arguments, second)
    seconds = time.monotonic() - began
    assert code == 0, err
    results = read_results(first)
    differing = find_differences(results, read_results(second), second).differing
    assert not differing, f"two undisturbed runs of {subject.name} differ in {differing}"
    return Whole(
        given=given,
        results=results,
        seconds=seconds,
        num_writes=int((root / "writes").read_text()),
        num_bytes=(size_of(given), size_of(first)),
        num_units=count_units(subject, first),
    )


def attack(subject: Subject, whole: Whole, num_kills: int, draw: random.Random, root: Path) -> Tally:
    """Kill a command so many times, over as many beginnings as it takes."""
    tally = Tally()
    while tally.kills < num_kills:
        folder = root / f"trial-{tally.trials}"
        shutil.copytree(whole.given, folder)
        before = living_descendants()
        wanted = min(num_kills, tally.kills + draw.randint(1, MOST_KILLS))
        while tally.kills < wanted and _kill_once(subject, whole, folder, draw):
            tally.kills += 1
            num_units = count_units(subject, folder)
            tally.at_start += num_units == 0
            tally.at_end += num_units == whole.num_units
            tally.left += count_orphans(before)
        _end(subject, whole, folder, tally)
        tally.left += count_orphans(before)
        if tally.is_clean:
            shutil.rmtree(folder)
    return tally


def _kill_once(subject: Subject, whole: Whole, folder: Path, draw: random.Random) -> bool:
    """Start a command and kill it; False if it ended before.

    A third of the moments are drawn over its seconds, a third over the bytes that it stores (and then 0.1 s), and a
    third over its writes, of which half is done.
    """
    kind = draw.choice(("seconds", "bytes", "writes"))
    process = start(subject.arguments, folder, f"kill:{draw.randint(1, whole.num_writes)}" if kind == "writes" else "")
    if kind == "seconds":
        ends = time.monotonic() + whole.seconds * draw.random()
        _wait(process, lambda: time.monotonic() > ends)
    elif kind == "bytes":
        low, high = whole.num_bytes
        wanted = low + (high - low) * draw.random()
        _wait(process, lambda: size_of(folder) >= wanted)
        time.sleep(0.1 * draw.random())
    else:
        _wait(process, lambda: False)
    process.kill()
    process.communicate()
    return process.returncode == -9


def _wait(process: "subprocess.Popen[str]", is_time: Callable[[], bool]) -> None:
    while process.poll() is None and not is_time():
        time.sleep(0.005)


def _end(subject: Subject, whole: Whole, folder: Path, tally: Tally) -> None:
    """Let a command end by itself and compare what it left."""
    code, _, err = run(subject.arguments, folder)
    tally.trials += 1
    if code:
        tally.problems.append(f"exit code {code} in {folder.name}: {err.strip()}")
    found = find_differences(whole.results, read_results(folder), folder)
    tally.problems += [f"differs in {folder.name}: {name}" for name in found.differing]
    tally.units += count_units(subject, folder)
    tally.lost += found.lost
    tally.doubled += found.doubled
    tally.differing += len(found.differing)
    tally.left += len(found.left)


def count_units(subject: Subject, folder: Path) -> int:
    """Return how many units of its work are stored."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob(subject.counted))


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder that is being written."""
    total = 0
    for parent, _, names in os.walk(folder):  # which passes over folders that vanish, as rglob does not
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total
