"""A study's training prompts searched for the examples that its runs were asked, and what overlap may have added."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.audit.differences import clean_differences
from harness.audit.findings import Audit
from harness.audit.prompts import open_prompts
from harness.audit.report import audit_prompts
from harness.pairing import LabelVerdicts
from harness.schema import Example
from harness.store import read_lines
from harness.study.gather import gather_by_label
from harness.study.spec import StudySpec, TrainingPrompts
from harness.verdicts import RunVerdicts


def audit_study(spec: StudySpec, runs: Mapping[str, Sequence[RunVerdicts]]) -> tuple[Audit, ...]:
    """Audit every file of training prompts that a study names.

    The examples are those that the base was asked, as its runs hold them: no benchmark data is needed.

    Args:
        spec: the study.
        runs: its runs by label.

    Raises:
        HarnessError: if a file of prompts, or a run's examples, cannot be read.
    """
    base = spec.base.label
    if not spec.training_prompts or base not in runs:
        return ()
    examples = read_examples(runs[base])
    labels = gather_by_label(runs)
    return tuple(_audit(spec, prompts, examples, labels) for prompts in spec.training_prompts)


def read_examples(runs: Sequence[RunVerdicts]) -> dict[str, tuple[str, tuple[Example, ...]]]:
    """Return the suite and the examples of each task of some runs; repeats were asked the same."""
    found: dict[str, tuple[str, tuple[Example, ...]]] = {}
    for run in runs:
        asked: dict[str, list[Example]] = {}
        for example in read_lines(run.path / "examples.jsonl", Example):
            asked.setdefault(example.task, []).append(example)
        for name, verdicts in run.tasks.items():
            found.setdefault(name, (verdicts.ref.suite, tuple(asked[name])))
    return found


def _audit(
    spec: StudySpec,
    prompts: TrainingPrompts,
    examples: Mapping[str, tuple[str, Sequence[Example]]],
    labels: Mapping[str, LabelVerdicts],
) -> Audit:
    audit = audit_prompts(open_prompts(Path(prompts.prompts), prompts.field), examples)
    differences = tuple(
        difference
        for label in prompts.checkpoints
        if label in labels
        for difference in clean_differences(audit.tasks, labels[spec.base.label], labels[label], spec.level)
    )
    notes = (*audit.notes, *_unsearched(spec, prompts, audit, labels))
    return msgspec.structs.replace(audit, differences=differences, notes=notes)


def _unsearched(
    spec: StudySpec, prompts: TrainingPrompts, audit: Audit, labels: Mapping[str, LabelVerdicts]
) -> Iterator[str]:
    """Say of each checkpoint that was trained on more prompts than the file holds how many were not searched."""
    for label in prompts.checkpoints:
        recorded = labels[label].training if label in labels else None
        typed = spec.checkpoint(label).cost
        figures = [cost.prompts for cost in (recorded, typed) if cost is not None and cost.prompts is not None]
        if figures and audit.num_prompts < figures[0]:
            yield (
                f"{label} was trained on {figures[0]:,} prompts, of which this file holds {audit.num_prompts:,}: the "
                "others were not searched."
            )
