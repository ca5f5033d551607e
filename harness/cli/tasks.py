"""`harness tasks`: list, show and check what can be measured."""

import os
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from harness.cli.options import data_options, scoring_config, scoring_options, split_accepted
from harness.cli.table import stdout_console
from harness.errors import EXIT_NEGATIVE, EXIT_OK
from harness.judging.protocol import JudgeProtocol
from harness.wiring import close_scorers, plan_tasks, scorer_options
from tasks.check import TaskCheck, check_task
from tasks.dataset import Shots, check_hash
from tasks.places import Place
from tasks.registry import SUITES, TASKS, select_tasks
from tasks.task import BenchmarkTask


@click.group("tasks")
def command() -> None:
    """List, show and check tasks."""


@command.command("list")
def list_tasks() -> None:
    """List tasks and suites."""
    console = stdout_console()
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in ("task", "suite", "examples", "metric", "what it measures"):
        table.add_column(name, justify="right" if name == "examples" else "left")
    for task in TASKS.values():
        table.add_row(task.name, task.suite, str(task.source.num_examples), task.metric, task.title)
    console.print(table)
    console.print(
        "\nsuites: " + "; ".join(f"[bold]{name}[/] = {', '.join(members)}" for name, members in SUITES.items())
    )


@command.command("show")
@click.argument("name")
@data_options
def show(name: str, data_dir: str | None, hub_dir: str | None, accept_data: tuple[str, ...]) -> None:
    """Show one task: source, licence, protocol, presets, and its first prompt."""
    console = stdout_console()
    for task in select_tasks([name]):
        source = task.source
        rows = (
            ("title", task.title),
            ("paper", task.paper),
            ("licence", task.licence),
            ("protocol", task.protocol),
            ("metric", task.metric),
            ("rows", f"{source.num_examples} from {_place(source)}"),
            ("sha256", source.sha256 or "none registered: accept what your rows hash to (docs/data.md)"),
            *((f"+ {join.field}", f"{join.what}, from {_place(join)}") for join in source.joins),
            *((f"{style} prompt", task.prompt_id(style)) for style in task.styles),
            *([("few_shot from", _shots_place(task.shots))] if task.shots else []),
            *((f"preset {preset}", _sampling(task, preset)) for preset in task.presets),
            *([("judge asked", _judging(task.judging))] if task.judging else []),
        )
        console.print(f"[bold]{task.name}[/] version {task.version}, suite {task.suite}", highlight=False)
        for label, text in rows:
            console.print(f"  {label:<17} {text}", highlight=False, markup=False, soft_wrap=True)
        place_of_rows = data_dir or os.environ.get("HARNESS_DATA")
        if source.embedded or place_of_rows or hub_dir:
            data = task.load(Path(place_of_rows) if place_of_rows else None, Path(hub_dir) if hub_dir else None)
            check_hash(task.name, task.data_sha256, data, split_accepted(accept_data).get(task.name))
            first = data.examples[0]
            console.print(f"\n  first prompt ({first.example_id}):", highlight=False)
            console.print(task.messages(first)[0].content, highlight=False, markup=False)


@command.command("check")
@click.argument("names", nargs=-1)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N examples of each task.")
@data_options
@scoring_options
def check(names: tuple[str, ...], **flags: Any) -> int:
    """Check that rows are the registered ones, references score 1, and empty and near-miss answers score 0."""
    complete = tuple(name for name, task in TASKS.items() if task.data_sha256)
    chosen = tuple(name for given in names or complete for name in given.split(","))
    config = scoring_config(flags, ckpt="", tasks=chosen, limit=flags["limit"])
    config = msgspec.structs.replace(config, judge="later")  # nobody is asked what answers are worth
    options = scorer_options(config)
    planned, _ = plan_tasks(select_tasks(config.tasks), config, options, "chat")
    checks, seconds = [], []
    try:
        for item in planned:
            started = time.monotonic()
            checks.append(check_task(TASKS[item.ref.name], item.examples, item.scorer, options.num_workers))
            seconds.append(time.monotonic() - started)
    finally:
        close_scorers(planned)
    _print_checks(checks, seconds)
    return EXIT_NEGATIVE if any(found.failures for found in checks) else EXIT_OK


@command.command("lm-eval-path")
def lm_eval_path() -> None:
    """Print the folder of our tasks for stock lm-eval.

    \b
    lm_eval --include_path $(harness tasks lm-eval-path) --tasks grlo_gsm8k --model hf --model_args pretrained=…
    """  # noqa: D301 - click reads \b as a backspace character
    click.echo(files("tasks") / "lm_eval")


def _print_checks(checks: list[TaskCheck], seconds: list[float]) -> None:
    console = stdout_console()
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("task")
    for name in ("rows", "reference scores 1", "empty scores 0", "near-miss scores 0", "seconds"):
        table.add_column(name, justify="right")
    for found, taken in zip(checks, seconds, strict=True):
        table.add_row(*_check_row(found), f"{taken:.1f}")
    console.print(table)
    for found in checks:
        for failure in found.failures:
            console.print(f"[red]{found.task}[/] {escape(failure)}", highlight=False, soft_wrap=True)
        for exception in found.known:
            console.print(f"[dim]{found.task} known exception: {exception}[/]", highlight=False, soft_wrap=True)


def _check_row(found: TaskCheck) -> tuple[str, ...]:
    if found.is_judged:
        return (found.task, str(found.num_examples), *["a judge decides"] * 3)
    counts = (found.num_gold, found.num_empty, found.num_near_miss)
    shares = ("none given" if count is None else f"{count}/{found.num_examples}" for count in counts)
    return (found.task, str(found.num_examples), *shares)


def _place(place: Place) -> str:
    if place.embedded:
        return "the package"
    return " or ".join(filter(None, [place.local and f"DATA/{place.local}", place.origin]))


def _judging(judging: JudgeProtocol) -> str:
    what = f"which of two answers is better, the other is {judging.baseline}'s"
    if judging.kind == "rating":
        what = f"a rating from 1 to {judging.highest}"
    return f"{what}, by the prompts of {f'DATA/{judging.templates.local}' if judging.templates else 'the harness'}"


def _shots_place(shots: Shots) -> str:
    return f"{len(shots.ids)} worked examples from {_place(shots.source)} ({', '.join(shots.ids)})"


def _sampling(task: BenchmarkTask, preset: str) -> str:
    sampling = task.presets[preset]
    return (
        f"temperature {sampling.temperature}, top_p {sampling.top_p}, top_k {sampling.top_k}, "
        f"{sampling.num_generations} generation(s) of at most {sampling.max_tokens} tokens"
    )
