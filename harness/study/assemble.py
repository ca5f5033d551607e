"""From a study's runs to its findings: everything that tables, figures and the page are made of."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.audit.findings import Audit
from harness.store import read_lines
from harness.study.control import contrast_controls
from harness.study.cost import FIGURES, measure_costs
from harness.study.curve import draw_curves
from harness.study.findings import CostRow, StudyFindings, StudyRun
from harness.study.gather import StudyLabels, gather_by_label, gather_study, load_runs
from harness.study.judge import judge_claims
from harness.study.judged import find_judged
from harness.study.lead import find_leads
from harness.study.spec import StudySpec
from harness.study.standing import measure_standings
from harness.verdicts import RunVerdicts
from harness.watch import TrajectoryPoint


def assemble(
    spec: StudySpec, runs: Mapping[str, Sequence[Path]], audits: Sequence[Audit] = (), notes: Sequence[str] = ()
) -> StudyFindings:
    """Measure everything that a study reports.

    Args:
        spec: the study.
        runs: run.json (or run.<grading>.json) files by label; an elicited base under `spec.elicited_label`.
        audits: of the study's training prompts.
        notes: what is missing as far as the caller knows, one line each; stands first in `not_run`.

    Raises:
        HarnessError: if the base has no run, or no candidate has one although the study names some; a run cannot be
            read or compared; a claim is not understood.
    """
    return assemble_runs(spec, load_runs(spec, runs), audits, notes)


def assemble_runs(
    spec: StudySpec, runs: Mapping[str, Sequence[RunVerdicts]], audits: Sequence[Audit] = (), notes: Sequence[str] = ()
) -> StudyFindings:
    """Do what `assemble` does with runs that were read already, each under the label it was made with."""
    study = gather_study(spec, gather_by_label(runs))
    standings = measure_standings(study)
    costs = measure_costs(study, standings)
    curves, without_curve = draw_curves(study)
    trajectories, left_out = _read_trajectories(spec)
    missing = (*_missing_tasks(study), *without_curve, *_missing_sections(study, costs), *left_out)
    return StudyFindings(
        spec=spec,
        transfer=study.transfer,
        standings=standings,
        leads=find_leads(study, standings),
        curves=curves,
        costs=costs,
        claims=judge_claims(study, standings),
        audits=tuple(audits),
        trajectories=trajectories,
        runs=tuple(_study_run(label, run) for label in study.by_label for run in runs[label]),
        not_run=tuple(dict.fromkeys((*notes, *_missing_labels(study, notes), *missing))),
        against_controls=contrast_controls(study),
        judged=find_judged(runs, list(study.by_label)),
    )


def read_trajectory(path: Path) -> tuple[tuple[TrajectoryPoint, ...], int]:
    """Read a trajectory: each checkpoint's last point, oldest step first, as far as measured like the file's last one.

    Returns:
        The points, and how many checkpoints are left out because their settings were others.

    Raises:
        StoreError: if the file cannot be read.
    """
    points = list(read_lines(path, TrajectoryPoint))
    settings = points[-1].settings if points else ""
    last = {point.checkpoint: point for point in points if point.settings == settings}
    left_out = {point.checkpoint for point in points} - last.keys()
    ordered = sorted(last.values(), key=lambda point: (point.step is None, point.step or 0, point.checkpoint))
    return tuple(ordered), len(left_out)


def _read_trajectories(spec: StudySpec) -> tuple[dict[str, tuple[TrajectoryPoint, ...]], list[str]]:
    found, notes = {}, []
    for checkpoint in spec.checkpoints:
        if checkpoint.trajectory is None:
            continue
        points, num_left_out = read_trajectory(Path(checkpoint.trajectory))
        if points:
            found[checkpoint.label] = points
        else:
            notes.append(f"trajectory of {checkpoint.label}: {checkpoint.trajectory} has no points")
        if num_left_out:
            notes.append(
                f"trajectory of {checkpoint.label}: {num_left_out} measured under other settings than the last point "
                "left out"
            )
    return found, notes


def _study_run(label: str, run: RunVerdicts) -> StudyRun:
    return StudyRun(label=label, path=str(run.path), grading=run.grading, record=run.record)


def _missing_labels(study: StudyLabels, notes: Sequence[str]) -> Iterator[str]:
    """Name checkpoints without runs, but those that the caller's notes speak of."""
    for label in study.spec.labels:
        if label not in study.by_label and not any(note.startswith(f"{label}:") for note in notes):
            yield f"{label}: no finished run"


def _missing_tasks(study: StudyLabels) -> Iterator[str]:
    for name, label in study.by_label.items():
        if lacking := [task for task in study.base_tasks if task not in label.tasks]:
            averages = [column for column, tasks in study.averages.items() if set(tasks) & set(lacking)]
            yield f"{name}: not measured on {', '.join(lacking)}, so it has no average of {', '.join(averages)}"
    if others := [task for task in study.suites if task not in study.base_tasks]:
        yield f"{study.base.label}: not measured on {', '.join(others)}, so these are in no average and no difference"


def _missing_sections(study: StudyLabels, costs: Sequence[CostRow]) -> Iterator[str]:
    if not study.transfer.comparisons:
        yield "differences, transfer and decomposition: the study has no candidate and no control"
    single = [name for name, verdicts in study.base.tasks.items() if verdicts.values.shape[1] < 2]
    if study.transfer.comparisons and single:
        yield f"coverage of the base on {', '.join(single)}: it has one generation per example; sampled runs would tell"
    unknown: dict[str, list[str]] = {}
    for row in costs:
        if figures := [figure for figure in FIGURES if getattr(row, figure) is None]:
            unknown.setdefault(", ".join(figures), []).append(row.label)
    for names, labels in unknown.items():
        reason = ", or no GPU was used" if names == "gpu_hours" else ""
        yield f"cost of {', '.join(labels)}: {names} not known from training.json or the study file{reason}"
    if not study.spec.training_prompts:
        yield "contamination: the study names no training_prompts to search"
