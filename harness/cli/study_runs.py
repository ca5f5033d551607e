"""The runs of a study: what each checkpoint is asked, making runs that are missing, finding those that are there."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from harness.audit.prompts import open_prompts
from harness.cli.elicit import run_elicited
from harness.cli.eval import print_kin, run_prepared
from harness.cli.progress import confirm_calls
from harness.errors import CheckpointError, EngineError, LockedError, SpecError, StoreError, UsageError
from harness.reading import resolve_sampling
from harness.schema import RunRecord
from harness.spec import LM_EVAL_PREFIX, EvalConfig, SamplingConfig, did_you_mean
from harness.store import read_json, run_path
from harness.study.claims import DifferenceClaim, GapClaim, ScoreClaim, parse_claim
from harness.study.runs import Asked, FoundRuns, find_study_runs, named_runs
from harness.study.spec import StudyCheckpoint, StudySpec
from harness.wiring import choose_tasks, close_scorers, prepare_run
from reports.published import find_published
from tasks.registry import select_tasks
from tasks.task import BenchmarkTask

if TYPE_CHECKING:
    from harness.wiring import EvalTask


@dataclass(frozen=True)
class StudyOutcome:
    """What became of one run of a study."""

    label: str
    state: Literal["complete already", "evaluated", "incomplete", "given", "could not run"]
    detail: str
    """Run directory, or the reason."""


def study_run_paths(spec: StudySpec) -> FoundRuns:
    """Return where each checkpoint's runs are: those named, or those under its label that fit. Needs no weights.

    Raises:
        HarnessError: if a task or setting does not exist, or more than one run could be meant.
    """
    return find_study_runs(spec, asked_of(spec))


def check_claims(spec: StudySpec) -> None:
    """Check that what claims are about exists: a misspelt domain would be undecided for ever.

    Raises:
        UsageError: if a claim names no task and no suite.
    """
    of_lm_eval = any(name.startswith(LM_EVAL_PREFIX) for name in spec.tasks)
    own = {name for task in (study_tasks(spec) if of_lm_eval else ()) for name in (task.name, task.suite)}
    for claim in spec.claims:
        parsed = parse_claim(claim.claim, spec.labels)
        if isinstance(parsed, DifferenceClaim | ScoreClaim | GapClaim) and parsed.column not in ("overall", *own):
            try:
                _check_column(spec, parsed.column, own)
            except UsageError as error:
                raise UsageError(f'claim "{claim.claim}": {error}') from error


def _check_column(spec: StudySpec, column: str, own: set[str]) -> None:
    if not column.startswith(LM_EVAL_PREFIX):
        select_tasks((column,))
    elif spec.tasks:  # without them runs are all there is, and nobody can tell yet what they measured
        hint = did_you_mean(column, own) or (f"; known: {', '.join(sorted(own))}" if own else "")
        raise UsageError(f"{column} is no task of the study{hint}")


def check_sources(spec: StudySpec) -> None:
    """Check that what only the report will read is there, before hours are spent on runs.

    Raises:
        HarnessError: if no such published figures exist, or a file of training prompts is missing.
    """
    for checkpoint in spec.checkpoints:
        for name in checkpoint.published:
            find_published(name)
    for prompts in spec.training_prompts:
        open_prompts(Path(prompts.prompts), prompts.field)


def asked_of(spec: StudySpec) -> dict[str, dict[str, Asked]]:
    """Return what the study asks of each checkpoint that it evaluates, by label and task.

    Raises:
        HarnessError: if a task, preset or prompt style does not exist, or a sampling value is out of range.
    """
    evaluated = [checkpoint for checkpoint in spec.checkpoints if checkpoint.ckpt]
    tasks = study_tasks(spec) if evaluated else ()
    return {checkpoint.label: {task.name: _asked(spec, checkpoint, task) for task in tasks} for checkpoint in evaluated}


def study_tasks(spec: StudySpec) -> "tuple[EvalTask, ...]":
    """Return the tasks of a study; those of lm-eval are loaded with their rows.

    Raises:
        HarnessError: if a name stands for no task, or a task of lm-eval cannot be loaded.
    """
    return choose_tasks(
        EvalConfig(ckpt="", tasks=spec.tasks, lm_eval=spec.lm_eval, data_dir=spec.data_dir, hub_dir=spec.hub_dir)
    )


def check_judge(spec: StudySpec) -> None:
    """Check that somebody judges what needs a judge.

    Raises:
        UsageError: if judged tasks are to be evaluated and nobody does.
    """
    if spec.judge is not None or not any(checkpoint.ckpt for checkpoint in spec.checkpoints):
        return
    if judged := [task.name for task in study_tasks(spec) if task.judging is not None]:
        raise UsageError(
            f"{', '.join(judged)} need{'s' if len(judged) == 1 else ''} a judge, and the study names none: "
            'add a [judge] table, or judge = "FILE" '
            "(docs/chat.md)"
        )


def _asked(spec: StudySpec, checkpoint: StudyCheckpoint, task: "EvalTask") -> Asked:
    if checkpoint.prompting not in ("auto", *task.styles):
        raise SpecError(
            f"checkpoint {checkpoint.label}: {task.name} has no {checkpoint.prompting} prompt; set prompting to "
            f"{' or '.join(task.styles)}, or leave it out"
        )
    try:
        overrides = SamplingConfig() if task.weighs else _overlaid(spec.sampling, checkpoint.sampling)
        sampling = resolve_sampling(task.sampling(spec.preset, "chat"), overrides)
    except SpecError as error:
        raise SpecError(f"checkpoint {checkpoint.label}: {error}") from error
    accepted = spec.accept_data.get(task.name)
    registered = num_rows(task)
    return Asked(
        version=task.version,
        data_sha256=accepted or task.data_sha256,
        num_examples=None if accepted else min(registered, spec.limit or registered),
        sampling=msgspec.structs.replace(sampling, stop=()),
    )


def num_rows(task: "EvalTask") -> int:
    """Return how many examples a task has: as registered, or of lm-eval's as loaded."""
    return task.source.num_examples if isinstance(task, BenchmarkTask) else len(task.data.examples)


def _overlaid(below: SamplingConfig, above: SamplingConfig) -> SamplingConfig:
    given = {name: value for name, value in msgspec.structs.asdict(above).items() if value is not None}
    return msgspec.structs.replace(below, **given)


def eval_config(spec: StudySpec, checkpoint: StudyCheckpoint) -> EvalConfig:
    """Return the settings with which `harness eval` makes a checkpoint's run."""
    assert checkpoint.ckpt is not None, "a checkpoint given by its runs is not evaluated"
    return EvalConfig(
        ckpt=checkpoint.ckpt,
        tasks=spec.tasks,
        label=checkpoint.label,
        out=spec.out,
        preset=spec.preset,
        sampling=_overlaid(spec.sampling, checkpoint.sampling),
        engine=spec.engine,
        lm_eval=spec.lm_eval,
        judge=spec.judge,
        prompting=checkpoint.prompting,
        enable_thinking=checkpoint.enable_thinking,
        chat_template=checkpoint.chat_template,
        limit=spec.limit,
        data_dir=spec.data_dir,
        hub_dir=spec.hub_dir,
        accept_data=spec.accept_data,
        sandbox=spec.sandbox,
        workers=spec.workers,
    )


def run_checkpoint(spec: StudySpec, checkpoint: StudyCheckpoint) -> Iterator[StudyOutcome]:
    """Make a checkpoint's runs, or resume them, or read them back; yields one outcome a run.

    A checkpoint that is missing, cannot be loaded or is being run elsewhere is an outcome: the others go on.

    Raises:
        HarnessError: for what concerns all checkpoints: settings, benchmark data, the sandbox, the disk.
    """
    label = checkpoint.label
    try:
        if checkpoint.runs:
            yield StudyOutcome(label, "given", _describe_given(checkpoint))
            return
        config = eval_config(spec, checkpoint)
        yield _evaluate(config, label)
        if checkpoint.elicit and spec.elicited_label:
            label = spec.elicited_label
            yield _elicit(config, label)
    except (CheckpointError, EngineError, LockedError) as error:
        yield StudyOutcome(label, "could not run", str(error))


def _describe_given(checkpoint: StudyCheckpoint) -> str:
    try:
        num_runs = len(named_runs(checkpoint))
    except StoreError as error:
        raise CheckpointError(str(error)) from error
    return f"{num_runs} in {', '.join(checkpoint.runs)}"


def _evaluate(config: EvalConfig, label: str) -> StudyOutcome:
    prepared = prepare_run(config, confirm_calls())
    try:
        print_kin(prepared.kin)
        path = run_path(Path(config.out), prepared.spec)
        was_complete = _is_complete(path)
        _show_label(label)
        record = run_prepared(prepared)
    finally:
        close_scorers(prepared.planned)
    if record.status == "incomplete":
        num_failed = sum(summary.num_error for summary in record.tasks)
        return StudyOutcome(label, "incomplete", f"{num_failed} requests ended in error: {path}")
    return StudyOutcome(label, "complete already" if was_complete else "evaluated", str(path))


def _elicit(config: EvalConfig, label: str) -> StudyOutcome:
    finished = {path.parent for path in (Path(config.out) / label).glob("*/run.json")}
    _show_label(label)
    elicited = run_elicited(config)
    if elicited is None:
        return StudyOutcome(label, "incomplete", "requests of a prompt style ended in error")
    return StudyOutcome(label, "complete already" if elicited.path in finished else "evaluated", str(elicited.path))


def _show_label(label: str) -> None:
    """Head the progress bars of a run, where a person watches them."""
    if sys.stderr.isatty():
        click.echo(label, err=True)


def _is_complete(path: Path) -> bool:
    return (path / "run.json").is_file() and read_json(path / "run.json", RunRecord).status == "complete"
