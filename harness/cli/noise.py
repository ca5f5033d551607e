"""`harness noise`: repeats a run under other seeds, or takes repeated runs, and says what differences mean nothing."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource
from rich.markup import escape

from harness.cli.eval import run_prepared
from harness.cli.options import run_config, run_options, split_names
from harness.cli.table import numbers_table, print_note, stdout_console
from harness.errors import EXIT_INCOMPLETE, EXIT_OK, UsageError
from harness.findings import AverageNoise, NoiseReport, TaskNoise
from harness.noise import keep_tasks, measure_noise
from harness.reading import read_toml
from harness.spec import EvalConfig
from harness.store import encode_pretty, run_path
from harness.verdicts import RunVerdicts, find_runs, load_run
from harness.wiring import PreparedRun, close_scorers, prepare_run
from reports.table import percent
from tasks.registry import select_tasks

PRESET = "avg@8"
"""Greedy decoding ignores the seed, so that repeating it shows little."""
SERVES_RUNS = ("runs", "task", "suite", "level", "allow_incomplete", "as_json")
"""Options that mean something beside --runs; the others say how --ckpt is run."""


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
    help="Take existing runs instead: run directories, or a label's folder; repeatable. --task and --suite select.",
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
    if not 0.5 <= level <= 0.9999:
        raise UsageError(f"--level {level:g}: expected a coverage from 0.5 to 0.9999, e.g. 0.95")
    if bool(paths) == bool(flags["ckpt"] or flags["config"]):
        raise UsageError(
            "give either --ckpt X, which is run again and again, or --runs RUN: two runs or more, or the folder of a "
            "label that has them"
        )
    names = split_names(flags["suite"], flags["task"])
    if paths:
        _refuse_settings(click.get_current_context())
    else:
        paths, num_errors = _repeat(_config(flags), repeats)
        if num_errors and not allow_incomplete:
            print_note(
                f"{num_errors} requests ended in error; run the same command again to retry them, or pass "
                "--allow-incomplete to leave their examples out"
            )
            return EXIT_INCOMPLETE
    report = measure_noise(_read_runs(paths, allow_incomplete, names), level)
    if as_json:
        sys.stdout.write(encode_pretty(report).decode())
    else:
        print_noise(report)
    return EXIT_OK


for _option in command.params:
    if _option.name == "preset" and isinstance(_option, click.Option):
        _option.help = f"Sampling: {PRESET}, or greedy.  [default: {PRESET}; greedy decoding ignores the seed]"


def _refuse_settings(context: click.Context) -> None:
    """Refuse options that runs which exist cannot follow."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in SERVES_RUNS
        and context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
    ]
    if given:
        raise UsageError(
            f"--runs takes runs as they were made, so {', '.join(given)} would change nothing: leave that out, or make "
            "runs with --ckpt X"
        )


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


def _read_runs(paths: tuple[Path, ...], allow_incomplete: bool, names: tuple[str, ...]) -> list[RunVerdicts]:
    runs = [load_run(found, allow_incomplete) for path in paths for found in find_runs(path)]
    # one name at a time, so that each has to stand for something in every run
    wanted = [tuple(task.name for task in select_tasks((name,))) for name in names]
    return [keep_tasks(run, wanted) for run in runs] if wanted else runs


def print_noise(report: NoiseReport) -> None:
    """Print the report: a row a task, then averages, then how to read it."""
    console = stdout_console()
    seeds = ", ".join(str(seed) for seed in report.seeds)
    console.print(f"[bold]{report.label}[/]  {len(report.runs)} runs, seeds {seeds}", highlight=False)
    columns = ("n", "k", "mean", "range\nof runs", "SD", "SD by\nsampling", "p", "flips", "limit")
    table = numbers_table(["task"], columns)
    for task in report.tasks:
        table.add_row(
            escape(task.task),
            str(task.num_examples),
            str(task.num_generations),
            *_numbers(task, _share(task.flip_rate)),
        )
    if report.averages:
        table.add_row()
    for average in report.averages:
        table.add_row(escape(average.name), "", "", *_numbers(average, ""))
    console.print(table)
    console.print(
        f"limit: half width of the {percent(report.level)} interval of the difference of two such runs; a smaller "
        "difference means nothing. flips: share of pairs of generations of one example whose verdicts differ. SD by "
        "sampling: what independent draws explain. p: of an SD as large as seen, by that alone.",
        style="dim",
        highlight=False,
    )
    for note in report.notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def _numbers(item: TaskNoise | AverageNoise, flips: str) -> tuple[str, ...]:
    return (
        _points(item.mean),
        f"{_points(min(item.scores))}–{_points(max(item.scores))}",
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
