"""The table that ends `harness eval` and `harness score`: one row a task, its outcomes beside its score."""

import math
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.schema import Estimate, RunRecord, TaskSummary

WIDTH_WHEN_PIPED = 132
"""Columns when the output is not a terminal: nothing is cut."""


def stdout_console() -> Console:
    """Return the console that results go to."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WHEN_PIPED)


def print_run(record: RunRecord, path: Path) -> None:
    """Print a finished run: what was measured, the scores, and where the files are."""
    console = stdout_console()
    spec = record.spec
    console.print(
        f"[bold]{spec.checkpoint.label}[/]  weights {spec.checkpoint.fingerprint.weights[:12]}  "
        f"{spec.prompting} prompts, {spec.engine.name} {spec.engine.dtype} on {spec.engine.device}",
        highlight=False,
    )
    console.print(scores_table(record))
    for summary in record.tasks:
        if summary.num_error:
            console.print(
                f"[red]{summary.task}: {summary.num_error} of {summary.num_planned} requests ended in error; "
                "the score is over the others; run the same command again to retry[/]",
                highlight=False,
            )
        if summary.num_truncated > summary.num_planned / 10:
            share = summary.num_truncated / summary.num_planned
            console.print(
                f"[yellow]{summary.task}: {share:.0%} of the generations hit max_tokens; their scores measure the "
                "limit too[/]",
                highlight=False,
            )
    console.print(f"{record.status}: {path}", markup=False, highlight=False, soft_wrap=True)


def scores_table(record: RunRecord) -> Table:
    """Return the scores of a run, in points from 0 to 100, with intervals and outcomes."""
    level = record.tasks[0].score.level if record.tasks else 0.95
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("task", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for name in ("score", f"{level:.0%} interval", "n", "k", "no answer", "truncated", "timeout", "error", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for summary in record.tasks:
        table.add_row(summary.task, summary.metric, *_numbers(summary.score), *_counts(summary))
        for name, estimate in summary.other_metrics.items():
            table.add_row("", name, *_numbers(estimate), style="dim")
    return table


def _numbers(estimate: Estimate) -> tuple[str, str]:
    return points(estimate.value), f"{points(estimate.ci_low)} – {points(estimate.ci_high)}"


def points(value: float) -> str:
    """Return a fraction in points from 0 to 100."""
    return "nan" if math.isnan(value) else f"{100 * value:.1f}"


def _counts(summary: TaskSummary) -> tuple[str, ...]:
    truncated = "?" if summary.num_finish_unknown == summary.num_planned else str(summary.num_truncated)
    return (
        str(summary.score.num_examples),
        str(summary.num_generations),
        str(summary.num_no_answer),
        truncated,
        str(summary.num_timeout),
        str(summary.num_error),
        f"{summary.seconds:.1f}",
    )
