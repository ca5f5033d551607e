"""The table that ends `harness eval` and `harness score`: one row a task, its outcomes beside its score."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.plan import describe_key
from harness.schema import OWN_UNIT, Estimate, RunRecord, Score, TaskSummary
from harness.store import read_lines
from reports.table import percent, plain, points

WIDTH_WHEN_PIPED = 132
"""Columns when the output is not a terminal: nothing is cut."""


def stdout_console() -> Console:
    """Return the console that results go to."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WHEN_PIPED)


def print_run(record: RunRecord, path: Path, scores: str = "scores.jsonl") -> None:
    """Print a finished run: what was measured, the scores, and where the files are.

    Args:
        record: of the run.
        path: its directory.
        scores: the record's file of scores in there.
    """
    console = stdout_console()
    spec = record.spec
    console.print(
        f"[bold]{spec.checkpoint.label}[/]  weights {spec.checkpoint.fingerprint.weights[:12]}  "
        f"{spec.prompting} prompts, {spec.engine.title}",
        highlight=False,
    )
    console.print(scores_table(record))
    if seconds := _seconds(record):
        console.print(seconds, style="dim", highlight=False)
    unjudged = {ref.name for ref in spec.tasks if ref.scorer.startswith("unjudged@")}
    errors = _first_errors(path / scores) if any(summary.num_error for summary in record.tasks) else {}
    for summary in record.tasks:
        if summary.task in unjudged:
            console.print(
                f"[yellow]{summary.task}: the answers are stored and not judged yet: harness score {escape(str(path))} "
                "--judge FILE[/]",
                highlight=False,
                soft_wrap=True,
            )
        elif summary.num_error:
            console.print(
                f"[red]{summary.task}: {summary.num_error} of {summary.num_planned} requests ended in error; "
                "the score is over the others; run the same command again to retry[/]",
                highlight=False,
            )
            console.print(f"  such as {errors[summary.task]}", markup=False, highlight=False)
        if summary.num_truncated > summary.num_planned / 10:
            share = summary.num_truncated / summary.num_planned
            console.print(
                f"[yellow]{summary.task}: {share:.0%} of the generations hit max_tokens; their scores measure the "
                "limit too[/]",
                highlight=False,
            )
    console.print(f"{record.status}: {path}", markup=False, highlight=False, soft_wrap=True)


def _first_errors(path: Path) -> dict[str, str]:
    """Return one request of each task that ended in error, with the reason."""
    found: dict[str, str] = {}
    for score in read_lines(path, Score):
        if score.outcome == "error":
            found.setdefault(score.key.task, f"{describe_key(score.key)}: {score.detail}")
    return found


def scores_table(record: RunRecord) -> Table:
    """Return the scores of a run, in points from 0 to 100, with intervals and outcomes; it fits 80 columns."""
    level = record.tasks[0].score.level if record.tasks else 0.95
    # both are rare, and a column of zeros costs the width that the others need
    rare = {
        "timeout": [summary.num_timeout for summary in record.tasks],
        "error": [summary.num_error for summary in record.tasks],
    }
    rare = {name: counts for name, counts in rare.items() if any(counts)}
    table = numbers_table(["task"], ["score", interval_header(level), "n", "k", "no\nanswer", "truncated", *rare])
    for row, summary in enumerate(record.tasks):
        table.add_row(
            f"{escape(summary.task)}\n[dim]{escape(summary.metric)}[/]",
            *_numbers(summary.score),
            *_counts(summary),
            *(str(counts[row]) for counts in rare.values()),
        )
        for name, estimate in summary.other_metrics.items():
            if (unit := OWN_UNIT.get(name)) is None:
                table.add_row(escape(name), *_numbers(estimate), style="dim")
            else:
                table.add_row(escape(f"{name} ({unit})"), *_own_numbers(name, estimate), style="dim")
    return table


def numbers_table(names: Iterable[str], numbers: Iterable[str]) -> Table:
    """Return an empty table of results: names are folded where it is tight, numbers are never cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold", min_width=8)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def interval_header(level: float) -> str:
    """Return the heading of a column of intervals."""
    return f"{percent(level)}\ninterval"


def _seconds(record: RunRecord) -> str:
    """Return how long the engine worked on each task; empty where a run does not say."""
    if not any(summary.seconds for summary in record.tasks):
        return ""
    return "engine seconds: " + ", ".join(f"{summary.task} {summary.seconds:.1f}" for summary in record.tasks)


def _numbers(estimate: Estimate) -> tuple[str, str]:
    return points(estimate.value), f"{points(estimate.ci_low)} – {points(estimate.ci_high)}"


def _own_numbers(name: str, estimate: Estimate) -> tuple[str, str]:
    """Return a number that is no share as it is."""
    value, low, high = (
        plain(x, 0 if name.endswith("characters") else 2) for x in (estimate.value, estimate.ci_low, estimate.ci_high)
    )
    return value, f"{low} – {high}"


def _counts(summary: TaskSummary) -> tuple[str, ...]:
    truncated = "?" if summary.num_finish_unknown == summary.num_planned else str(summary.num_truncated)
    return (
        str(summary.score.num_examples),
        str(summary.num_generations),
        str(summary.num_no_answer),
        truncated,
    )


def print_note(text: str) -> None:
    """Print a remark; on stderr, since stdout may be JSON for another program."""
    click.echo(text, err=True)
