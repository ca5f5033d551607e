"""`harness noise`: repeats a run under other seeds, or takes repeated runs, and says what differences mean nothing."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table

from harness.cli.eval import run_prepared
from harness.cli.options import run_config, run_options
from harness.cli.score import print_note
from harness.cli.table import stdout_console
from harness.cli.wiring import PreparedRun, close_scorers, prepare_run
from harness.errors import EXIT_INCOMPLETE, EXIT_OK, UsageError
from harness.findings import AverageNoise, NoiseReport, TaskNoise
from harness.noise import measure_noise
from harness.spec import EvalConfig, read_toml
from harness.store import encode_pretty, run_path
from harness.verdicts import RunVerdicts, find_runs, load_run

PRESET = "avg@8"
"""Greedy decoding ignores the seed, so that repeating it shows little."""


@click.command("noise")
@click.option("--ckpt", metavar="X", help="Shipped name (lab/base), folder, hub id[@revision], or scripted:mixed.")
@click.option("--label", metavar="NAME", help="Name in tables and of the run folder.  [default: from --ckpt]")
@click.option(
    "--repeats",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    metavar="N",
    help="Runs of --ckpt to make.",
)
@click.option(
    "--runs",
    metavar="RUN",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Take existing runs instead: run directories, or a label's folder; repeatable.",
)
@run_options
@click.option("--level", type=float, default=0.95, show_default=True, help="Coverage of the limit.")
@click.option("--allow-incomplete", is_flag=True, help="Leave out examples whose requests ended in error.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of a table.")
def command(**flags: Any) -> int:
    """Say how far scores move when nothing changes but the sampling seed (A/A noise).

    Repeats are ordinary run directories under seeds SEED, SEED+1, … (--set sampling.seed=SEED, 0 by default); the same
    command run again resumes them. A difference below the limit it prints means nothing.

    \b
    harness noise --ckpt lab/base --suite lab
    harness noise --ckpt outputs/grlo-step-200 --task gsm8k --repeats 8 --data-dir data
    harness noise --runs runs/lab-base
    """  # noqa: D301 - click reads \b as a backspace character
    paths, level, repeats = flags.pop("runs"), flags.pop("level"), flags.pop("repeats")
    allow_incomplete, as_json = flags.pop("allow_incomplete"), flags.pop("as_json")
    if not 0.5 <= level < 1:
        raise UsageError(f"--level {level:g}: expected a coverage from 0.5 to below 1, e.g. 0.95")
    if bool(paths) == bool(flags["ckpt"] or flags["config"]):
        raise UsageError("give either --ckpt X, which is run again and again, or --runs RUN twice or more")
    if not paths:
        paths, num_errors = _repeat(_config(flags), repeats)
        if num_errors and not allow_incomplete:
            print_note(
                f"{num_errors} requests ended in error; run the same command again to retry them, or pass "
                "--allow-incomplete to leave their examples out"
            )
            return EXIT_INCOMPLETE
    report = measure_noise(_read_runs(paths, allow_incomplete), level)
    if as_json:
        sys.stdout.write(encode_pretty(report).decode())
    else:
        print_noise(report)
    return EXIT_OK


for _option in command.params:
    if _option.name == "preset" and isinstance(_option, click.Option):
        _option.help = f"Sampling: {PRESET}, or greedy.  [default: {PRESET}; greedy decoding ignores the seed]"


def _config(flags: dict[str, Any]) -> EvalConfig:
    is_set = any(assignment.startswith("preset=") for assignment in flags["assignments"])
    in_file = flags["config"] and "preset" in read_toml(Path(flags["config"]))
    return run_config(flags if flags["preset"] or is_set or in_file else flags | {"preset": PRESET})


def _repeat(config: EvalConfig, repeats: int) -> tuple[tuple[Path, ...], int]:
    """Make the runs that are not there yet; return their directories and how many requests ended in error."""
    prepared = prepare_run(config)
    paths, num_errors = [], 0
    try:
        for number in range(repeats):
            repeat = _with_seed(prepared, number)
            record = run_prepared(repeat)
            paths.append(run_path(Path(config.out), repeat.spec))
            num_errors += sum(task.num_error for task in record.tasks)
    finally:
        close_scorers(prepared.planned)
    return tuple(paths), num_errors


def _with_seed(prepared: PreparedRun, number: int) -> PreparedRun:
    """Return the run under its own seed plus a number."""

    def shift(ref: Any) -> Any:
        sampling = msgspec.structs.replace(ref.sampling, seed=ref.sampling.seed + number)
        return msgspec.structs.replace(ref, sampling=sampling)

    planned = tuple(replace(item, ref=shift(item.ref)) for item in prepared.planned)
    spec = msgspec.structs.replace(prepared.spec, tasks=tuple(item.ref for item in planned))
    return replace(prepared, planned=planned, spec=spec)


def _read_runs(paths: tuple[Path, ...], allow_incomplete: bool) -> list[RunVerdicts]:
    return [load_run(found, allow_incomplete) for path in paths for found in find_runs(path)]


def print_noise(report: NoiseReport) -> None:
    """Print the report: a row a task, then averages, then how to read it."""
    console = stdout_console()
    seeds = ", ".join(str(seed) for seed in report.seeds)
    console.print(f"[bold]{report.label}[/]  {len(report.runs)} runs, seeds {seeds}", highlight=False)
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("task", no_wrap=True)
    for name in ("n", "k", "mean", "range of runs", "SD", "SD by sampling", "p", "flips", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    for task in report.tasks:
        table.add_row(
            task.task, str(task.num_examples), str(task.num_generations), *_numbers(task, _share(task.flip_rate))
        )
    if report.averages:
        table.add_section()
    for average in report.averages:
        table.add_row(average.name, "", "", *_numbers(average, ""))
    console.print(table)
    console.print(
        f"limit: half width of the {report.level:.0%} interval of the difference of two such runs; a smaller\n"
        "difference means nothing. flips: share of pairs of generations of one example whose verdicts\n"
        "differ. SD by sampling: what independent draws explain. p: of an SD as large as seen, by that alone.",
        style="dim",
        highlight=False,
    )
    for note in report.notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def _numbers(item: TaskNoise | AverageNoise, flips: str) -> tuple[str, ...]:
    return (
        _points(item.mean),
        f"{_points(min(item.scores))} – {_points(max(item.scores))}",
        _points(item.sd, 2),
        _points(item.expected_sd, 2),
        "–" if math.isnan(item.p_value) else f"{item.p_value:.3f}",
        flips,
        _points(item.limit, 2),
    )


def _points(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f}"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"
