"""Simulate every promise that a printed number makes, and write the table.

python -m tests.calibration [--samples 3000] [--quick] [--out docs/calibration.md]
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.calibration.campaign import run
from tests.calibration.table import Made, render


def main() -> int:
    """Measure, write the page, and say what failed; 1 if a promise is broken that no limit explains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000, help="of each experiment; fewer where one takes long")
    parser.add_argument("--quick", action="store_true", help="120 samples: gross errors only, under a minute")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="the page; docs/calibration.md unless --quick, which prints alone")
    options = parser.parse_args()
    asked = 120 if options.quick else options.samples
    started = time.monotonic()
    sections = run(asked, options.seed, options.workers)
    page = render(sections, Made(asked, options.seed, time.monotonic() - started))
    out = options.out or (None if options.quick else Path("docs/calibration.md"))
    if out:
        out.write_text(page, encoding="utf-8")
    broken = [row for rows in sections.values() for row in rows if row.is_broken]
    for row in broken:
        print(
            f"{row.claim.what}, {row.design}: {100 * row.measured:.1f} % is {row.verdict}; {row.claim.limit or 'NEW'}"
        )
    verdicts = [row.verdict for rows in sections.values() for row in rows]
    counts = f"{verdicts.count('holds')} of {len(verdicts)} promises hold, {verdicts.count('undecided')} are undecided"
    print(f"{counts}{f'; written to {out}' if out else ''}")
    return int(any(not row.claim.limit for row in broken))


if __name__ == "__main__":
    sys.exit(main())
