"""Finished runs → the `model-index` block of a model card on the hub, by huggingface_hub. Uploads nothing.

Format: https://github.com/huggingface/hub-docs/blob/main/modelcard.md. Values are points, as cards print them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.schema import RunRecord, TaskRef, TaskSummary
from reports.table import interval, percent
from tasks.registry import TASKS

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

EVALPLUS_ON_HUB = {"humaneval_plus": "evalplus/humanevalplus", "mbpp_plus": "evalplus/mbppplus"}
"""The hub's name of data that is read from EvalPlus's own release."""
METRIC_TYPES = {"prompt_strict": "prompt_level_strict_acc", "plus": "pass@1"}
"""What cards call a task's metric, where it is not accuracy."""


def model_card(records: Sequence[RunRecord], name: str, source_url: str | None = None) -> str:
    """Return the metadata block that a README.md on the hub begins with: one result a task.

    Args:
        records: runs of one checkpoint, each task in one of them.
        name: of the model.
        source_url: page that shows the results, linked from the card.

    Raises:
        UsageError: if the runs are of several checkpoints, share a task, or a task has no score.
    """
    from huggingface_hub import ModelCardData

    _check_records(records)
    results = [_eval_result(record, task, source_url) for record in records for task in record.tasks]
    return f"---\n{ModelCardData(model_name=name, eval_results=results).to_yaml()}\n---\n"


def _check_records(records: Sequence[RunRecord]) -> None:
    weights = {record.spec.checkpoint.fingerprint.weights for record in records}
    if len(weights) > 1:
        labels = ", ".join(dict.fromkeys(record.spec.checkpoint.label for record in records))
        raise UsageError(f"a model card is of one checkpoint, but these runs are of {len(weights)}: {labels}")
    seen: dict[str, str] = {}
    for record in records:
        for task in record.tasks:
            if task.task in seen:
                raise UsageError(
                    f"{task.task} is in two runs, {seen[task.task]} and {record.spec_id}; a card holds one result a "
                    "task, so name only one of them"
                )
            if math.isnan(task.score.value):
                raise UsageError(
                    f"{task.task} has no score in run {record.spec_id}: evaluate it again, or leave it out"
                )
            seen[task.task] = record.spec_id


def _eval_result(record: RunRecord, task: TaskSummary, source_url: str | None) -> "EvalResult":
    from huggingface_hub import EvalResult

    known = TASKS.get(task.task)
    ref = next(ref for ref in record.spec.tasks if ref.name == task.task)
    source = known.source if known else None
    on_hub = (source.hub if source else None) or EVALPLUS_ON_HUB.get(task.task)
    return EvalResult(
        task_type="text-generation",
        task_name="Text Generation",
        dataset_type=on_hub or task.task,
        dataset_name=known.title if known else task.task,
        dataset_config=source.hub_config if source else None,
        dataset_split=source.hub_split if source and on_hub else None,
        dataset_args={"task": f"{task.task}@{task.version}", "sha256": ref.data_sha256},
        metric_type=METRIC_TYPES.get(known.metric, "accuracy") if known else "accuracy",
        metric_value=round(100 * task.score.value, 2),
        metric_name=_metric_name(task, source.num_examples if source else None),
        metric_args=_measured_how(record, ref, task),
        source_name=f"GRLO Harness, run {record.spec_id}" if source_url else None,
        source_url=source_url,
    )


def _metric_name(task: TaskSummary, size: int | None) -> str:
    """Return what the number is; says so where it is not of every example."""
    error = "no interval"  # of a single example
    if not math.isnan(task.score.ci_low):
        error = f"{percent(task.score.level)} interval {interval(task.score)}"
    name = f"{task.metric}, points ({error})"
    if size is not None and task.num_examples < size:
        name += f", first {task.num_examples:,} of {size:,} examples"
    if task.num_error:
        name += f", without {task.num_error:,} of {task.num_planned:,} generations that ended in error"
    return name


def _measured_how(record: RunRecord, ref: TaskRef, task: TaskSummary) -> dict[str, Any]:
    """Return what it takes to read the number, or to measure it again."""
    sampling = {name: getattr(ref.sampling, name) for name in ("temperature", "top_p", "top_k", "max_tokens")}
    has_error = not math.isnan(task.score.stderr)
    return {
        **({"stderr": round(100 * task.score.stderr, 2)} if has_error else {}),
        "num_examples": task.score.num_examples,
        "num_generations": task.num_generations,
        "prompting": record.spec.prompting,
        "prompt": ref.prompt,
        "scorer": ref.scorer,
        **({} if record.spec.prompting == "imported" else sampling),
        "run": record.spec_id,
    }
