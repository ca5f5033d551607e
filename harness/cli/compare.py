"""`harness compare`: is the difference real, did it transfer, and what is it made of."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.compare_table import print_report
from harness.cli.options import LEVEL, drift_option
from harness.cli.table import stdout_console
from harness.compare.report import CompareOptions, Sides, compare_labels
from harness.errors import EXIT_OK, UsageError
from harness.pairing import LabelVerdicts, gather_labels, load_label
from harness.store import encode_pretty
from harness.verdicts import find_runs, load_run


@click.command("compare")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("candidates", metavar="CANDIDATE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--reference",
    "references",
    metavar="RUN",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A released checkpoint to measure the closed gap to.",
)
@click.option(
    "--elicited",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="The base under its best prompt style, from `harness elicit`: compare against it too.",
)
@click.option(
    "--base-samples",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="A sampled run of the base, for coverage, where BASE is greedy.",
)
@click.option(
    "--trained-on",
    metavar="[LABEL=]DOMAINS",
    multiple=True,
    help="What a candidate was trained on, e.g. chat, or grlo=chat, or rlvr=math,code.  [default: its training.json]",
)
@click.option("--level", type=LEVEL, default=0.95, show_default=True, metavar="X", help="Coverage of the intervals.")
@click.option(
    "--overall",
    type=click.Choice(["domains", "tasks"]),
    default="domains",
    show_default=True,
    help="What the overall average weighs equally.",
)
@drift_option
@click.option("--allow-incomplete", is_flag=True, help="Leave out examples whose request ended in error.")
@click.option(
    "--resamples",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Bootstrap draws, from 100 to a million.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--cells", is_flag=True, help="Show how generations ended, cell by cell.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")
def command(base: Path, candidates: tuple[Path, ...], **flags: Any) -> int:
    """Compare candidates with a base, paired by example.

    \b
    harness compare runs/lab-base runs/grlo
    harness compare runs/base/0123456789abcdef runs/grlo runs/rlvr --reference runs/qwen3-4b
    harness compare runs/base runs/grlo --trained-on chat --elicited runs/base-elicited

    A run is given by its directory, its run.json (or run.<grading>.json), or a label's folder. Several runs of one
    label are repeats: training seeds, or evaluations under different seeds.
    """  # noqa: D301 - click reads \b as a backspace character
    allow_incomplete = flags["allow_incomplete"]
    needed = math.ceil(20 / (1 - flags["level"]))
    if flags["resamples"] < needed:
        raise UsageError(
            f"{flags['resamples']:,} resamples leave too few in the tails of a {100 * flags['level']:g}% interval; "
            f"pass --resamples {needed} or more"
        )
    sides = Sides(
        base=load_label(base, allow_incomplete),
        candidates=_load(candidates, allow_incomplete),
        references=_load(flags["references"], allow_incomplete),
        elicited=_load_one(flags["elicited"], allow_incomplete),
        base_samples=_load_one(flags["base_samples"], allow_incomplete),
    )
    options = CompareOptions(
        level=flags["level"],
        overall=flags["overall"],
        seed=flags["seed"],
        num_resamples=flags["resamples"],
        allow_drift=flags["allow_drift"],
        trained_on=_split_trained_on(flags["trained_on"]),
    )
    report = compare_labels(sides, options)
    if flags["as_json"]:
        sys.stdout.write(encode_pretty(report).decode())
    else:
        print_report(report, stdout_console(), flags["cells"])
    return EXIT_OK


def _load(paths: tuple[Path, ...], allow_incomplete: bool) -> tuple[LabelVerdicts, ...]:
    files = dict.fromkeys(file for path in paths for file in find_runs(path))
    return gather_labels(load_run(file, allow_incomplete) for file in files)


def _load_one(path: Path | None, allow_incomplete: bool) -> LabelVerdicts | None:
    return None if path is None else load_label(path, allow_incomplete)


def _split_trained_on(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = {}
    for text in given:
        label, equals, domains = text.rpartition("=")
        names = tuple(name.strip() for name in domains.split(",") if name.strip())
        if not names or (equals and not label):
            raise UsageError(f"--trained-on {text}: expected DOMAINS or LABEL=DOMAINS, e.g. chat or grlo=chat")
        found[label or "*"] = names
    return found
