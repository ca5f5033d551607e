"""`harness elicit`: the checkpoint in every prompt style, and the run that takes the best of them without bias."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from harness.cli.eval import run_prepared
from harness.cli.options import run_config, settings_options
from harness.cli.progress import confirm_calls
from harness.cli.table import numbers_table, stdout_console
from harness.elicit import ElicitedPlan, StyleRun, assemble, plan_elicited
from harness.errors import EXIT_INCOMPLETE, EXIT_OK, UsageError
from harness.interfaces import BatchScorer
from harness.judge_wiring import JudgeMaker
from harness.provenance import collect_provenance
from harness.runner import finish
from harness.schema import STYLES, Elicitation, Estimate, Style, TaskElicitation, TrainingCost
from harness.spec import EvalConfig, did_you_mean
from harness.store import RunStore, encode_pretty, run_path
from harness.wiring import (
    PreparedRun,
    choose_tasks,
    close_scorers,
    data_folders,
    find_checkpoint,
    prepare_run,
    resolve_prompting,
)
from reports.table import percent, points


@click.command("elicit")
@click.option("--ckpt", metavar="X", help="Shipped name (lab/base), folder, or hub id[@revision].")
@click.option("--label", metavar="NAME", help="Name of the styles' runs; the elicited run is called NAME-elicited.")
@click.option(
    "--styles",
    metavar="NAMES",
    help=f"Styles to try, comma-separated.  [default: {','.join(STYLES)}, as far as a task has them]",
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print elicitation.json instead of a table.")
def command(styles: str | None, as_json: bool, **flags: Any) -> int:
    """Run a base checkpoint in every prompt style, and choose without bias: the strongest fair baseline.

    Each style is an ordinary run, resumed or read back if it is there. Of each task, one half of the examples chooses
    the style in which the other half is scored, and the other way round. The result is an ordinary run too.

    \b
    harness elicit --ckpt lab/base --suite lab
    harness elicit --ckpt Qwen/Qwen3-4B-Base --suite math,code --preset avg@8
    harness elicit --ckpt lab/base --task lab_math --styles chat,few_shot
    """  # noqa: D301 - click reads \b as a backspace character
    elicited = run_elicited(run_config(flags), _parse_styles(styles))
    if elicited is None:
        return EXIT_INCOMPLETE
    if as_json:
        sys.stdout.write(encode_pretty(elicited.elicitation).decode())
    else:
        _print(elicited.elicitation, elicited.path)
    return EXIT_OK


@dataclass(frozen=True)
class ElicitedRun:
    """An elicited run on disk."""

    elicitation: Elicitation
    path: Path


def run_elicited(config: EvalConfig, styles: tuple[Style, ...] = STYLES) -> ElicitedRun | None:
    """Run a checkpoint in every style that it and the tasks have, and put the elicited run together.

    Returns:
        The run; None if some requests of a style ended in error, which has been said on stderr.

    Raises:
        HarnessError: as prepare_run and harness.runner.execute, or if the config names a prompt style.
    """
    if config.prompting != "auto":
        raise UsageError(f"prompting is set to {config.prompting}, which elicit varies itself; pass --styles instead")
    prepared: dict[Style, PreparedRun] = {}
    try:
        checkpoint = find_checkpoint(config)
        plain = resolve_prompting(config, checkpoint)
        judges = JudgeMaker(config.judge, data_folders(config)[0], checkpoint.ref, checkpoint.folder, confirm_calls())
        for style, names in tasks_by_style(config, styles).items():
            # runs of one label are repeats to `harness compare`, so only the plain style keeps the checkpoint's own
            label = checkpoint.ref.label if style == plain else f"{checkpoint.ref.label}-{style}"
            prepared[style] = prepare_run(_style_config(config, style, names, label), judges=judges)
        runs = [run for style, item in prepared.items() if (run := _run_style(style, item)) is not None]
        if len(runs) < len(prepared):
            return None
        plan = plan_elicited(runs, plain, f"{checkpoint.ref.label}-elicited")
        path = run_path(Path(config.out), plan.spec)
        _store(plan, runs, checkpoint.training, path)
    finally:
        for item in prepared.values():
            close_scorers(item.planned)
    return ElicitedRun(plan.elicitation, path)


def tasks_by_style(config: EvalConfig, wanted: tuple[Style, ...]) -> dict[Style, tuple[str, ...]]:
    """Return the tasks to run in each style: those that have it; chat only where the tokenizer has a template.

    Raises:
        UsageError: if a task has none of the wanted styles.
    """
    tasks = choose_tasks(config)
    checkpoint = find_checkpoint(config)
    if checkpoint.ref.fingerprint.template is None and wanted != ("chat",):  # chat alone: the run says what is missing
        wanted = tuple(style for style in wanted if style != "chat")
    for task in tasks:
        if not set(task.styles) & set(wanted):
            raise UsageError(f"{task.name} has no {' or '.join(wanted)} prompt; it has {', '.join(task.styles)}")
    found = {style: tuple(dict.fromkeys(task.given for task in tasks if style in task.styles)) for style in wanted}
    return {style: names for style, names in found.items() if names}


def _parse_styles(text: str | None) -> tuple[Style, ...]:
    """Return the named styles in their fixed order, which breaks ties."""
    given = [name.strip() for name in (text or ",".join(STYLES)).split(",") if name.strip()]
    for name in given:
        if name not in STYLES:
            raise UsageError(f"no style named {name}{did_you_mean(name, STYLES)}; known: {', '.join(STYLES)}")
    if not given:
        raise UsageError(f"--styles names none; known: {', '.join(STYLES)}")
    return tuple(style for style in STYLES if style in given)


def _style_config(config: EvalConfig, style: Style, names: tuple[str, ...], label: str) -> EvalConfig:
    """Return the settings of one style's run; consent to other rows goes only to the run that has the task."""
    style_config = msgspec.structs.replace(config, prompting=style, tasks=names, label=label)
    others = _data_names(config) - _data_names(style_config)
    accepted = {name: sha256 for name, sha256 in config.accept_data.items() if name not in others}
    return msgspec.structs.replace(style_config, accept_data=accepted)


def _data_names(config: EvalConfig) -> set[str]:
    """Return the names under which rows of the tasks are accepted."""
    return {name for task in choose_tasks(config) for name in (task.name, task.shots_name)}


def _run_style(style: Style, prepared: PreparedRun) -> StyleRun | None:
    """Run one style, or read it back; None if some of its requests ended in error."""
    if sys.stderr.isatty():
        click.echo(f"{style} prompts", err=True)
    try:
        record = run_prepared(prepared)
    finally:  # a judge gives its memory and its store back before the next style's engine begins
        close_scorers([item for item in prepared.planned if isinstance(item.scorer, BatchScorer)])
    path = run_path(Path(prepared.config.out), prepared.spec)
    if record.status == "incomplete":
        num_failed = sum(summary.num_error for summary in record.tasks)
        text = f"{style}: {num_failed} requests ended in error ({path}); run the same command again to retry them"
        click.echo(text, err=True)
        return None
    return StyleRun(style=style, path=path, spec=prepared.spec, planned=prepared.planned)


def _store(plan: ElicitedPlan, runs: list[StyleRun], training: TrainingCost | None, path: Path) -> None:
    """Write the elicited run, unless it is there already."""
    started_at = datetime.now(UTC)
    store = RunStore(path, plan.spec)
    try:
        assemble(plan, runs, store)
        if not store.is_complete():
            store.sessions.append(collect_provenance(None, 0, started_at))
            finish(plan.planned, store, training, {})
    finally:
        store.close()


def _print(elicitation: Elicitation, path: Path) -> None:
    console = stdout_console()
    console.print(elicitation_table(elicitation))
    for task in elicitation.tasks:
        if len(task.scores) == 1:
            console.print(f"{task.task}: only one style to choose from", highlight=False)
        elif not all(half.num_examples for half in task.halves):
            console.print(
                f"{task.task}: one half has no examples (there is one example, or one source of them all), so nothing "
                f"was cross-fitted: the score is that of the first style, {task.halves[0].style}",
                style="yellow",
                highlight=False,
            )
    console.print(
        "elicited: each half of the examples in the style that the other half chose. * best in-sample: the largest of "
        "the styles' scores; biased upwards, since its own examples chose it.",
        style="dim",
        highlight=False,
    )
    console.print(f"complete: {path}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"use it: harness compare BASE CANDIDATE --elicited {path}", markup=False, highlight=False, soft_wrap=True
    )


def elicitation_table(elicitation: Elicitation) -> Table:
    """Return each task's score in every style, the choices, and the cross-fitted score; it fits 80 columns."""
    level = elicitation.tasks[0].score.level if elicitation.tasks else 0.95
    styles = [f"{style}\n(plain)" if style == elicitation.plain else style for style in elicitation.runs]
    table = numbers_table(["task"], styles)
    table.add_column("chosen", overflow="fold", min_width=10)
    table.add_column(f"elicited\n[not bold dim]{percent(level)} interval[/]", justify="right", no_wrap=True)
    for task in elicitation.tasks:
        best = max(task.scores, key=lambda style: task.scores[style].value)
        table.add_row(
            escape(task.task),
            *(_score(task.scores.get(style), is_best=style == best) for style in elicitation.runs),
            _choice(task),
            f"{points(task.score.value)}\n[dim]{points(task.score.ci_low)} – {points(task.score.ci_high)}[/]",
        )
    return table


def _choice(task: TaskElicitation) -> str:
    first, second = (half.style for half in task.halves)
    return escape(first if first == second else f"{first} / {second}")


def _score(estimate: Estimate | None, is_best: bool) -> str:
    return "– " if estimate is None else points(estimate.value) + ("*" if is_best else " ")
