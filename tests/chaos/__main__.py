"""The long campaign: python -m tests.chaos --kills 100 [--seed N] [--only NAME] [--out docs/chaos.md]."""

import argparse
import os
import platform
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.command import ROOT, adopting
from tests.chaos.kills import MOST_KILLS, Tally, attack, prepare
from tests.chaos.subjects import SUBJECTS

HEADER = """# Faults

What happens to results when processes, disks, servers and clocks fail. `make chaos` writes this page anew.

{date}; Python {python}, {cores} cores; seed {seed}; {minutes:.0f} minutes.

## Killed at random moments

{kills} times a command was killed (SIGKILL): a third of the moments are drawn over its seconds, a third over the bytes
that it stores, a third over its writes, of which half was done. After each kill the same command was run again, and
killed again up to {most} times, until it ended by itself. Then all that it left was compared with what an undisturbed
command leaves, but for times. *Lost* and *doubled* count keys of lines; *differing* counts files, those too many and
too few among them (a trained checkpoint's weights are compared bit for bit); *left over* counts processes and held
locks.

| command | kills | before the first | after the last | begun | units of work | lost | doubled | differing | left over |
|---|---|---|---|---|---|---|---|---|---|
"""
FAULTS = """
*Before the first* and *after the last*: kills before the first request, verdict or step was stored, and after the last.

## Other faults

Each is a test of `tests/chaos`, which CI runs.

| fault | cases | what was found |
|---|---|---|
"""


class Collector:
    """A plugin that keeps what each test says of itself, and how its cases ended."""

    def __init__(self) -> None:
        self.ends: dict[str, list[str]] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Iterator[None]:
        """Note a test that has ended, or that was skipped before it began."""
        outcome = yield
        report = outcome.get_result()
        if report.when == "call" or not report.passed:
            end = {"passed": "holds", "failed": "**does not hold**"}.get(report.outcome)
            fact = " ".join(item.function.__doc__.split())
            self.ends.setdefault(fact, []).append(end or f"not tried: {report.longrepr[2].removeprefix('Skipped: ')}")

    def rows(self) -> Iterator[str]:
        """Yield lines of the table."""
        for fact, ends in self.ends.items():
            yield f"| {fact} | {len(ends)} | {'; '.join(dict.fromkeys(ends))} |\n"


def kill_all(num_kills: int, draw: random.Random, only: str, root: Path) -> dict[str, Tally]:
    """Attack every command with its share of the kills."""
    chosen = [subject for subject in SUBJECTS if only in subject.name]
    shares = [num_kills // len(chosen) + (index < num_kills % len(chosen)) for index in range(len(chosen))]
    tallies = {}
    for subject, share in zip(chosen, shares, strict=True):
        folder = root / subject.name.replace(" ", "-")
        tally = attack(subject, prepare(subject, folder), share, draw, folder)
        tallies[f"`{subject.name}`, {subject.unit}"] = tally
        print(f"{subject.name}: {tally.kills} kills, {'nothing changed' if tally.is_clean else tally}", flush=True)
    return tallies


def kill_rows(tallies: dict[str, Tally]) -> Iterator[str]:
    """Yield lines of the table, the last one with all commands."""
    names = ("kills", "at_start", "at_end", "trials", "units", "lost", "doubled", "differing", "left")
    total = Tally()
    for label, tally in tallies.items():
        yield f"| {label} | " + " | ".join(f"{getattr(tally, name):,}" for name in names) + " |\n"
        for name in names:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
    yield "| **all** | " + " | ".join(f"**{getattr(total, name):,}**" for name in names) + " |\n"


def main() -> int:
    """Run the campaign and write its page."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="Only commands with this in their name.")
    parser.add_argument("--out", type=Path, help="Page to write.")
    options = parser.parse_args()
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="chaos-") as root, adopting():
        tallies = kill_all(options.kills, random.Random(options.seed), options.only, Path(root))
    collector = Collector()
    code = pytest.main(["-q", "-p", "no:cacheprovider", str(ROOT / "tests/chaos")], plugins=[collector])
    page = HEADER.format(
        date=f"{began:%d %B %Y}",
        python=platform.python_version(),
        cores=os.cpu_count(),
        seed=options.seed,
        minutes=(datetime.now(UTC) - began).total_seconds() / 60,
        kills=sum(tally.kills for tally in tallies.values()),
        most=MOST_KILLS,
    )
    page += "".join(kill_rows(tallies)) + FAULTS + "".join(collector.rows())
    if options.out:
        options.out.write_text(page)
    print(page)
    return int(code) or int(not all(tally.is_clean for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
