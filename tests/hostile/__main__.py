"""Runs every hostile program through the program scorer and through EvalPlus, and writes docs/hostile.md.

    python -m tests.hostile

Takes about 20 minutes; ends with status 1 if a program scored or left anything. With names of families or programs only
those are run, and the page is printed and not written.
"""

import argparse
import sys
import time

from tests.hostile import PROGRAMS
from tests.hostile.beside import run_beside
from tests.hostile.ours import Trial, shooting_range
from tests.hostile.outside import ROOT
from tests.hostile.table import Row, page

PAGE = ROOT / "docs" / "hostile.md"


def is_held(trial: Trial) -> bool:
    """Tell whether a program got nothing, left nothing, and ran as it was written."""
    return trial.value == 0.0 and not trial.left and trial.ran_as_written


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Runs hostile programs through this scorer and through EvalPlus.")
    parser.add_argument("names", nargs="*", help="families or programs; default: all")
    parser.add_argument("--no-evalplus", action="store_true", help="this scorer only; writes no page")
    return parser.parse_args()


def main() -> int:
    """Run the campaign."""
    options = read_options()
    chosen = [
        (family, program)
        for family, programs in PROGRAMS.items()
        for program in programs
        if not options.names or {family, program.name} & set(options.names)
    ]
    started = time.monotonic()
    trials = []
    with shooting_range() as place:
        for family, program in chosen:
            trials.append(place.attempt(program))
            mark = "" if is_held(trials[-1]) else f"   <- {trials[-1]}"
            print(f"{family:12} {program.name:30} {trials[-1].seconds:6.1f} s  {trials[-1].detail}{mark}", flush=True)
    rows = []
    for (family, program), trial in zip(chosen, trials, strict=True):
        beside = None if options.no_evalplus else run_beside(program)
        rows.append(Row(family, program, trial, beside))
        print(f"{family:12} {program.name:30} EvalPlus: {beside}", flush=True)
    text = page(rows, time.monotonic() - started)
    if options.names or options.no_evalplus:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
    return 0 if all(is_held(row.ours) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
