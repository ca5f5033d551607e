"""A study's training prompts searched for the examples that its runs were asked, and what overlap may have added."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from harness.audit.differences import clean_differences
from harness.audit.findings import Audit
from harness.audit.prompts import open_prompts
from harness.audit.report import audit_prompts
from harness.pairing import LabelVerdicts
from harness.schema import Example, RunRecord
from harness.store import read_json, read_lines
from harness.study.gather import load_labels
from harness.study.spec import StudySpec, TrainingPrompts


def audit_study(spec: StudySpec, runs: Mapping[str, Sequence[Path]]) -> tuple[Audit, ...]:
    """Audit every file of training prompts that a study names.

    The examples are those that the base's runs were asked, as stored with them: no benchmark data is needed.

    Args:
        spec: the study.
        runs: run.json files by the study's label.

    Raises:
        HarnessError: if a file of prompts or a run cannot be read.
    """
    base = spec.base.label
    if not spec.training_prompts or base not in runs:
        return ()
    examples = read_examples(runs[base])
    labels = load_labels(spec, runs)
    return tuple(_audit(spec, prompts, examples, labels) for prompts in spec.training_prompts)


def read_examples(runs: Sequence[Path]) -> dict[str, tuple[str, tuple[Example, ...]]]:
    """Return the suite and the examples of each task that some runs were asked; run.json files are given."""
    found: dict[str, tuple[str, list[Example]]] = {}
    for path in runs:
        suites = {ref.name: ref.suite for ref in read_json(path, RunRecord).spec.tasks}
        asked: dict[str, list[Example]] = {}
        for example in read_lines(path.parent / "examples.jsonl", Example):
            asked.setdefault(example.task, []).append(example)
        for task, examples in asked.items():
            found.setdefault(task, (suites[task], examples))  # repeats were asked the same
    return {task: (suite, tuple(examples)) for task, (suite, examples) in found.items()}


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
    return msgspec.structs.replace(audit, differences=differences)
