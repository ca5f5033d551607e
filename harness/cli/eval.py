"""`harness eval`: the main job."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.api.evaluation import measure, open_run
from harness.cli.options import run_config, run_options
from harness.cli.progress import confirm_calls, show_progress
from harness.cli.table import print_note, print_run
from harness.errors import EXIT_INCOMPLETE, EXIT_OK
from harness.schema import RunRecord
from harness.store import encode_pretty, run_path
from harness.wiring import PreparedRun


@click.command("eval")
@click.option("--ckpt", metavar="X", help="Shipped name (lab/base), folder, hub id[@revision], or scripted:mixed.")
@click.option("--label", metavar="NAME", help="Name in tables and of the run folder.  [default: from --ckpt]")
@run_options
@click.option("--dry-run", is_flag=True, help="Print the plan and the first prompts; measure nothing.")
@click.option("--fresh", is_flag=True, help="Measure again beside an existing run instead of resuming it.")
@click.option("--json", "as_json", is_flag=True, help="Print the run record as JSON instead of a table.")
def command(**flags: Any) -> int:
    """Evaluate one checkpoint on tasks and suites.

    The same command run again resumes what is missing, or prints the finished table. Nothing finished is ever lost.

    \b
    harness eval --ckpt lab/base --suite lab
    harness eval --ckpt outputs/grlo-step-200 --suite chat,math,code --data-dir data
    harness eval --ckpt Qwen/Qwen3-4B-Base --task gsm8k,aime24 --preset avg@8
    harness eval --ckpt lab/base --task gsm8k --limit 20 --dry-run
    harness eval --ckpt outputs/grlo-step-200 --suite chat --judge judge.toml
    """  # noqa: D301 - click reads \b as a backspace character
    dry_run, fresh, as_json = flags.pop("dry_run"), flags.pop("fresh"), flags.pop("as_json")
    with open_run(run_config(flags), fresh, confirm=confirm_calls()) as prepared:
        print_kin(prepared.kin)
        _note_idle_judge(prepared)
        if dry_run:
            from harness.cli.dry_run import print_plan

            print_plan(prepared)
            return EXIT_OK
        record = run_prepared(prepared)
    if as_json:
        sys.stdout.write(encode_pretty(record).decode())
    else:
        print_run(record, run_path(Path(prepared.config.out), prepared.spec))
    return EXIT_INCOMPLETE if record.status == "incomplete" else EXIT_OK


def _note_idle_judge(prepared: PreparedRun) -> None:
    """Say that no task is one of a judge's: the run is the same without one."""
    scorers = [item.ref.scorer for item in prepared.planned]
    if prepared.config.judge is not None and not any(scorer.startswith(("judge@", "unjudged@")) for scorer in scorers):
        names = ", ".join(item.ref.name for item in prepared.planned)
        print_note(
            f"the judge has nothing to do: {names} is scored without one; `harness judge` compares two runs' answers"
        )


def print_kin(kin: str | None) -> None:
    """Warn of a judge that is kin of the checkpoint it judges."""
    if kin is not None:
        print_note(f"kin: {kin}; its verdicts are no independent evidence of quality")


def run_prepared(prepared: PreparedRun) -> RunRecord:
    """Execute a prepared run, or read it back if it is complete; a person watching sees how it goes.

    Raises:
        HarnessError: as harness.runner.execute.
    """
    return measure(prepared, show_progress)
