"""What judges found of a study's runs, read from the run records: one finding a run and judged task."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.schema import RunRecord, TaskRef, TaskSummary
from harness.study.findings import JudgedFinding, JudgeNote
from harness.verdicts import RunVerdicts

SCORER = "judge@"
"""Begins the scorer of every judged task."""


def find_judged(runs: Mapping[str, Sequence[RunVerdicts]], labels: Sequence[str]) -> tuple[JudgedFinding, ...]:
    """Return what was judged, task by task in the order of the labels.

    Args:
        runs: of the study, by label.
        labels: those that are reported, in their order.
    """
    found = [item for label in labels for run in runs[label] for item in _of_run(label, run.record)]
    tasks = list(dict.fromkeys(item.task for item in found))
    return tuple(sorted(found, key=lambda item: tasks.index(item.task)))


def is_judged(ref: TaskRef) -> bool:
    """Say whether a run's task was scored by a judge."""
    return ref.scorer.startswith(SCORER)


def read_judge(record: RunRecord, ref: TaskRef) -> JudgeNote:
    """Return who judged a task of a run, and whether it is kin of the checkpoint.

    The last session that judged something tells. Where none does, the name is the one within the scorer's version, and
    kinship is not known.
    """
    for session in reversed(record.sessions):
        told = session.engine.get("judge")
        if isinstance(told, dict) and isinstance(told.get("name"), str):
            return JudgeNote(name=told["name"], kinship=_kinship(told))
    named = re.fullmatch(rf"{SCORER}{re.escape(ref.name)}-(.+)-[0-9a-f]+", ref.scorer)
    return JudgeNote(name=named[1] if named else ref.scorer.removeprefix(SCORER), kinship=None)


def _kinship(told: Mapping[str, Any]) -> str | None:
    sentence = told.get("kin")
    return sentence if isinstance(sentence, str) and sentence else None


def _of_run(label: str, record: RunRecord) -> Iterator[JudgedFinding]:
    summaries = {summary.task: summary for summary in record.tasks}
    for ref in record.spec.tasks:
        if is_judged(ref) and ref.name in summaries:
            summary = summaries[ref.name]
            yield JudgedFinding(
                label=label,
                spec_id=record.spec_id,
                task=ref.name,
                kind="rating" if "rating" in summary.metric else "pair",
                score=summary.score,
                metrics=summary.other_metrics,
                truncated=_truncated(summary),
                judge=read_judge(record, ref),
            )


def _truncated(summary: TaskSummary) -> float:
    known = summary.num_planned - summary.num_finish_unknown
    return summary.num_truncated / known if known else float("nan")
