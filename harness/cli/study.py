"""`harness study`: a study from its file. Commands that only read runs are in modules of their own."""

import itertools
import shlex
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from harness.cli.options import data_options, split_accepted, split_names
from harness.cli.study_plan import print_study_plan
from harness.cli.study_report import claims_command, report_command
from harness.cli.study_runs import (
    StudyOutcome,
    asked_of,
    check_claims,
    check_judge,
    check_sources,
    run_checkpoint,
)
from harness.cli.table import stdout_console
from harness.errors import EXIT_COULD_NOT_RUN, EXIT_INCOMPLETE, EXIT_OK, UsageError
from harness.spec import did_you_mean
from harness.study.spec import StudyCheckpoint, StudySpec, read_study

TEMPLATES = {
    "lab": "what ships with the harness; offline, in about a minute on two cores",
    "quickstart": "the same, and a GRLO checkpoint that `make quickstart` has just trained",
    "grlo-qwen3-4b": "the GRLO paper's question on Qwen3-4B: GRLO against RLVR and the released models",
}
"""Files of harness/study/templates, and what each is for."""


@click.group("study")
def command() -> None:
    """Ask a question of several checkpoints at once: evaluate what is missing, then report.

    \b
    harness study init                        write study.toml, the lab's
    harness study run study.toml --dry-run    what it would take
    harness study run study.toml              evaluate what is missing; resumes
    harness study report study.toml           tables, figures and the page
    harness study claims study.toml           what the data say to its claims
    """  # noqa: D301 - click reads \b as a backspace character


@command.command("init", short_help="Write a study file to begin from.")
@click.option("--template", metavar="NAME", default="lab", show_default=True, help="Which study to begin from.")
@click.option("--list", "list_templates", is_flag=True, help="List the templates and write nothing.")
@click.argument("file", type=click.Path(path_type=Path), default=Path("study.toml"))
def init(template: str, list_templates: bool, file: Path) -> int:
    """Write a commented study file to begin from; FILE is study.toml if none is given. Nothing is overwritten.

    \b
    harness study init
    harness study init --template grlo-qwen3-4b paper.toml
    """  # noqa: D301 - click reads \b as a backspace character
    if list_templates:
        for name, text in TEMPLATES.items():
            click.echo(f"{name:<15}{text}")
        return EXIT_OK
    if template not in TEMPLATES:
        hint = did_you_mean(template, TEMPLATES) or f"; known: {', '.join(TEMPLATES)}"
        raise UsageError(f"no template named {template}{hint}")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(read_template(template))
    except FileExistsError as error:
        raise UsageError(f"{file} exists already, and nothing is overwritten; give another name") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    click.echo(f"wrote {file}; next: harness study run {file} --dry-run")
    return EXIT_OK


def read_template(name: str) -> str:
    """Return the text of a template."""
    return (files("harness.study") / "templates" / f"{name}.toml").read_text(encoding="utf-8")


@command.command("run", short_help="Evaluate what is missing; --dry-run reckons.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--only", metavar="LABELS", multiple=True, help="Only these checkpoints, comma-separated.")
@click.option("--dry-run", is_flag=True, help="Print requests, tokens and GPU-hours; needs no weights and no rows.")
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any setting of the study, e.g. limit=20, sampling.max_tokens=512, throughput.num_gpus=8.",
)
@data_options
def run(study: Path, only: tuple[str, ...], dry_run: bool, assignments: tuple[str, ...], **flags: Any) -> int:
    """Evaluate every checkpoint of a study file that has no finished run yet.

    Each run is the one that `harness eval` makes of the same settings, in the same folder. The same command run again
    resumes what is missing. A checkpoint that is not there is reported, and the others go on.

    \b
    harness study run study.toml
    harness study run study.toml --only base,grlo --set limit=20
    """  # noqa: D301 - click reads \b as a backspace character
    spec = read_study(study, assignments, _data_settings(flags))
    chosen = select_checkpoints(spec, split_names(only, ()))
    asked = asked_of(spec)
    check_judge(spec)
    check_claims(spec)
    check_sources(spec)
    if dry_run:
        print_study_plan(spec, chosen, asked, stdout_console())
        return EXIT_OK
    outcomes = []
    width = max(len(label) for label in (*(each.label for each in chosen), spec.elicited_label or ""))
    for outcome in itertools.chain.from_iterable(run_checkpoint(spec, checkpoint) for checkpoint in chosen):
        click.echo(f"{outcome.label:<{width}}  {outcome.state:<16}  {outcome.detail}")
        outcomes.append(outcome)
    return _conclude(" ".join((shlex.quote(str(study)), *_repeat_settings(assignments, flags))), outcomes)


def _repeat_settings(assignments: tuple[str, ...], flags: dict[str, Any]) -> Iterator[str]:
    """Yield the flags by which a report finds the runs that these made; it has no --accept-data of its own."""
    accepted = (f"accept_data.{task}={sha256}" for task, sha256 in split_accepted(flags["accept_data"]).items())
    for text in (*assignments, *accepted):
        yield f"--set {shlex.quote(text)}"


def _data_settings(flags: dict[str, Any]) -> dict[str, Any]:
    given = {**flags, "accept_data": split_accepted(flags["accept_data"])}
    return {name: value for name, value in given.items() if value}


def select_checkpoints(spec: StudySpec, labels: tuple[str, ...]) -> tuple[StudyCheckpoint, ...]:
    """Return the checkpoints of the given labels in the study's order; all if none is given.

    Raises:
        UsageError: if a label is not of the study.
    """
    known = [checkpoint.label for checkpoint in spec.checkpoints]
    for label in labels:
        if label == spec.elicited_label:
            raise UsageError(f"--only: {label} is made together with {spec.base.label}; name {spec.base.label}")
        if label not in known:
            hint = did_you_mean(label, known) or f"; known: {', '.join(known)}"
            raise UsageError(f"--only: no checkpoint labelled {label}{hint}")
    return tuple(checkpoint for checkpoint in spec.checkpoints if not labels or checkpoint.label in labels)


def _conclude(arguments: str, outcomes: list[StudyOutcome]) -> int:
    """Say what to run next, with the study and its settings, and return the exit code."""
    failed = [outcome.label for outcome in outcomes if outcome.state == "could not run"]
    incomplete = [outcome.label for outcome in outcomes if outcome.state == "incomplete"]
    if failed:
        click.echo(f"could not run: {', '.join(failed)}; mend that and run the same command again")
    if incomplete:
        click.echo(f"incomplete: {', '.join(incomplete)}; run the same command again to retry what ended in error")
    if len(failed) < len(outcomes):
        click.echo(f"next: harness study report {arguments}" + (" (of what is there)" if failed or incomplete else ""))
    return EXIT_COULD_NOT_RUN if failed else EXIT_INCOMPLETE if incomplete else EXIT_OK


command.add_command(report_command)
command.add_command(claims_command)
