"""Finds the finished runs of a study by what they measured. Loads no weights: they may be on another machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.checkpoint import read_template
from harness.errors import StoreError, UsageError
from harness.identity import describe_sampling
from harness.pairing import check_gradings
from harness.schema import RunRecord, RunSpec, Sampling, TaskRef
from harness.spec import content_hash
from harness.store import read_json
from harness.study.judged import SCORER, is_judged
from harness.study.spec import StudyCheckpoint, StudySpec
from harness.verdicts import find_runs


@dataclass(frozen=True)
class Asked:
    """What a study asks of one checkpoint on one task."""

    version: str
    """Of the task."""
    data_sha256: str
    """Of the rows: registered or accepted."""
    num_examples: int | None
    """After the study's limit; None where it is not known, as of accepted rows."""
    sampling: Sampling
    """Without stop strings, which belong to the prompt."""


@dataclass(frozen=True)
class FoundRuns:
    """The runs of a study."""

    paths: Mapping[str, tuple[Path, ...]]
    """run.json files by the study's label, the elicited base under its own; only checkpoints that have any."""
    missing: Mapping[str, str]
    """Label to the reason why there are none."""
    notes: tuple[str, ...]
    """What a reader should know of the runs taken, and of those left."""


@dataclass(frozen=True)
class _Fitting:
    """A finished run under a checkpoint's label that is what the study asks for."""

    path: Path
    """Its run.json."""
    record: RunRecord

    @property
    def repetition(self) -> tuple[str, int, int]:
        """What makes two runs repeats of each other, and not the same measurement twice."""
        spec = self.record.spec
        return (spec.checkpoint.fingerprint.weights, spec.tasks[0].sampling.seed if spec.tasks else 0, spec.attempt)


def find_study_runs(spec: StudySpec, asked: Mapping[str, Mapping[str, Asked]]) -> FoundRuns:
    """Return the runs of every checkpoint: those that the study names, or those under its label that fit what it asks.

    Runs of other weights, sampling seeds (where the study sets none) and attempts are repeats, and all of them count.

    Args:
        spec: the study.
        asked: by label and task, what the study asks; only of checkpoints that it evaluates.

    Raises:
        UsageError: if several runs fit of which only one can be meant.
        StoreError: if a run directory cannot be read.
    """
    paths: dict[str, tuple[Path, ...]] = {}
    missing: dict[str, str] = {}
    notes: list[str] = []
    for checkpoint in spec.checkpoints:
        if checkpoint.runs:
            try:
                paths[checkpoint.label] = named_runs(checkpoint)
            except StoreError as error:
                missing[checkpoint.label] = str(error)
            continue
        labels = [checkpoint.label]
        if checkpoint.elicit and spec.elicited_label:
            labels.append(spec.elicited_label)
        for label in labels:
            found, remarks = _fitting_runs(spec, checkpoint, label, asked[checkpoint.label])
            notes += remarks
            if found:
                paths[label] = found
            else:
                missing[label] = f"no finished run in {Path(spec.out) / label} is what the study asks for"
    return FoundRuns(paths=paths, missing=missing, notes=tuple(notes))


def named_runs(checkpoint: StudyCheckpoint) -> tuple[Path, ...]:
    """Return the run.json files that a study names for a checkpoint.

    Raises:
        StoreError: if there is no such run, or it has not finished.
        UsageError: if two gradings of one run are named.
    """
    files = tuple(dict.fromkeys(file for path in checkpoint.runs for file in find_runs(Path(path))))
    check_gradings(checkpoint.label, files)
    return files


def _fitting_runs(
    spec: StudySpec, checkpoint: StudyCheckpoint, label: str, asked: Mapping[str, Asked]
) -> tuple[tuple[Path, ...], list[str]]:
    fitting, notes = [], []
    for folder in sorted(path.parent for path in (Path(spec.out) / label).glob("*/spec.json")):
        if not (folder / "run.json").is_file():
            notes.append(f"{label}: {folder} has not finished; `harness study run` resumes it if it is of the study")
            continue
        record = read_json(folder / "run.json", RunRecord)
        is_elicited = label != checkpoint.label
        if mismatch := _mismatch(spec, checkpoint, record.spec, asked, is_elicited):
            notes.append(f"{label}: {folder} is left out: {mismatch}")
        else:
            fitting.append(_Fitting(folder / "run.json", record))
    _check_distinct(label, fitting)
    weights = {run.record.spec.checkpoint.fingerprint.weights for run in fitting}
    if len(weights) > 1:
        notes.append(f"{label}: its {len(fitting)} runs are of {len(weights)} different weights: repeats of training")
    return tuple(run.path for run in fitting), notes


def _mismatch(
    spec: StudySpec, checkpoint: StudyCheckpoint, run: RunSpec, asked: Mapping[str, Asked], is_elicited: bool
) -> str:
    """Return the first thing in which a run is not what the study asks for; empty if it is."""
    has_template = run.checkpoint.fingerprint.template is not None
    plain = "chat" if has_template else "completion"
    prompting = "elicited" if is_elicited else plain if checkpoint.prompting == "auto" else checkpoint.prompting
    if run.prompting != prompting:
        return f"it was asked in {run.prompting} prompts, not {prompting}"
    if prompting in ("chat", "elicited") and has_template:
        if run.enable_thinking != checkpoint.enable_thinking:
            return f"enable_thinking was {run.enable_thinking}, not {checkpoint.enable_thinking}"
        template = Path(checkpoint.chat_template) if checkpoint.chat_template else None
        if template and run.checkpoint.fingerprint.template != content_hash(read_template(Path(), template)):
            return f"its chat template is not {template}"
    for name, given, wanted in (
        ("engine", run.engine.name, spec.engine.inner if spec.engine.name == "ray" else spec.engine.name),
        ("dtype", run.engine.dtype, spec.engine.dtype),
    ):
        if wanted not in ("auto", given):
            return f"{name} was {given}, not {wanted}"
    if run.limit != spec.limit and any(wanted.num_examples is None for wanted in asked.values()):
        return f"its limit was {run.limit}, not {spec.limit}"
    has_seed = checkpoint.sampling.seed is not None or spec.sampling.seed is not None
    problems = (_task_mismatch(ref, asked, has_seed) or _judge_mismatch(spec, ref) for ref in run.tasks)
    return next(filter(None, problems), "")


def _task_mismatch(ref: TaskRef, asked: Mapping[str, Asked], has_seed: bool) -> str:
    if ref.name not in asked:
        return f"it has {ref.name}, which is not of the study"
    wanted = asked[ref.name]
    checks = (
        ("version", ref.version, wanted.version),
        ("data", ref.data_sha256[:12], wanted.data_sha256[:12]),
        ("examples", ref.num_examples, wanted.num_examples or ref.num_examples),
        ("sampling", describe_sampling(ref.sampling), describe_sampling(wanted.sampling)),
        ("seed", ref.sampling.seed, wanted.sampling.seed if has_seed else ref.sampling.seed),
    )
    return next((f"{name} of {ref.name} was {given}, not {want}" for name, given, want in checks if given != want), "")


def _judge_mismatch(spec: StudySpec, ref: TaskRef) -> str:
    if spec.judge is None or not is_judged(ref):
        return ""
    wanted = f"{ref.name}-{(spec.judge.label or spec.judge.ckpt).replace('/', '_')}-"
    given = ref.scorer.removeprefix(SCORER)
    return "" if given.startswith(wanted) else f"{ref.name} was judged by {given}, not {wanted}…"


def _check_distinct(label: str, fitting: list[_Fitting]) -> None:
    """Refuse to count one measurement twice, or weights that were overwritten as a repeat."""
    advice = "move one away, or name the one you mean with runs = [...] in the study"
    for number, one in enumerate(fitting):
        for other in fitting[number + 1 :]:
            folders = f"{one.path.parent} and {other.path.parent}"
            tasks = {ref.name for ref in one.record.spec.tasks} & {ref.name for ref in other.record.spec.tasks}
            if one.repetition == other.repetition and tasks:
                raise UsageError(f"{label}: {folders} both measured {', '.join(sorted(tasks))} alike; {advice}")
            left, right = one.record.spec.checkpoint, other.record.spec.checkpoint
            if left.path == right.path and left.fingerprint.weights != right.fingerprint.weights:
                raise UsageError(
                    f"{label}: {folders} are both of {left.path}, which was overwritten between them; {advice}"
                )
