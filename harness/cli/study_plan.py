"""`harness study run --dry-run`: requests, tokens and GPU-hours of a study, from its file alone; a reckoning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cli.study_runs import num_rows, study_tasks
from harness.schema import Record, Style
from harness.spec import EvalConfig, JudgeConfig
from harness.study.runs import Asked, FoundRuns, find_study_runs
from harness.study.spec import StudyCheckpoint, StudySpec
from harness.wiring import data_folders
from tasks.places import Place
from tasks.task import BenchmarkTask

if TYPE_CHECKING:
    from harness.wiring import EvalTask

CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English text and byte-pair vocabularies; the tokenizer may not be here."""


class TaskPlan(Record, frozen=True):
    """What one task of one checkpoint takes."""

    label: str
    """Of the row: a checkpoint's, or that of the elicited base, which stands for the further prompt styles."""
    task: str
    num_examples: int
    num_generations: int
    """Per example; of the elicited base, all further styles together."""
    num_prompt_tokens: float | None
    """None where the rows are not on this machine."""
    num_completion_tokens: float
    num_verdicts: int = 0
    """That a judge is asked for, if it has none of them yet; 0 of a task that needs no judge."""

    @property
    def num_requests(self) -> int:
        """Number of generations."""
        return self.num_examples * self.num_generations


def print_study_plan(
    spec: StudySpec, chosen: Sequence[StudyCheckpoint], asked: Mapping[str, Mapping[str, Asked]], console: Console
) -> None:
    """Print what evaluating the chosen checkpoints would take, and which runs seem to be there already."""
    rows = plan_study(spec, chosen, asked)
    if not rows:
        console.print("nothing to evaluate: every checkpoint is given by its runs")
        return
    console.print(_table(spec, rows))
    console.print()
    for line in (*_assumptions(spec, rows), *_found(spec, rows, find_study_runs(spec, asked))):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def plan_study(
    spec: StudySpec, chosen: Sequence[StudyCheckpoint], asked: Mapping[str, Mapping[str, Asked]]
) -> tuple[TaskPlan, ...]:
    """Return what each task of each chosen checkpoint takes; reads rows where they are on this machine, and no others.

    Raises:
        DataError: if rows that are on this machine cannot be read.
    """
    reader = _PromptReader(spec)
    rows: list[TaskPlan] = []
    for checkpoint in chosen:
        if checkpoint.runs:
            continue
        tasks = study_tasks(spec)
        style: Style = "chat" if checkpoint.prompting == "auto" else checkpoint.prompting
        rows += [_plan(spec, checkpoint.label, task, (style,), asked[checkpoint.label], reader) for task in tasks]
        if checkpoint.elicit and spec.elicited_label:
            for task in tasks:
                further = tuple(other for other in task.styles if other != style)
                rows.append(_plan(spec, spec.elicited_label, task, further, asked[checkpoint.label], reader))
    return tuple(rows)


def _plan(
    spec: StudySpec,
    label: str,
    task: "EvalTask",
    styles: tuple[Style, ...],
    asked: Mapping[str, Asked],
    reader: "_PromptReader",
) -> TaskPlan:
    sampling = asked[task.name].sampling
    num_examples = asked[task.name].num_examples or min(num_rows(task), spec.limit or 10**9)
    k = sampling.num_generations * len(styles)
    lengths = [reader.num_characters(task, style) for style in styles]
    known = [length for length in lengths if length is not None]
    characters = sum(known) * sampling.num_generations if len(known) == len(lengths) else None
    longest = float(sampling.max_tokens)
    mean = min(spec.throughput.mean_completion_tokens or longest, longest)
    return TaskPlan(
        label=label,
        task=task.name,
        num_examples=num_examples,
        num_generations=k,
        num_prompt_tokens=None if characters is None else characters / CHARACTERS_PER_TOKEN,
        num_completion_tokens=0.0 if task.weighs else num_examples * k * mean,
        num_verdicts=num_examples * k * _verdicts_per_answer(spec, task),
    )


def _verdicts_per_answer(spec: StudySpec, task: "EvalTask") -> int:
    if task.judging is None or spec.judge is None:
        return 0
    return 2 if task.judging.kind == "pair" and spec.judge.swap else 1


class _PromptReader:
    """Lengths of all prompts of a task in a style, each read once."""

    def __init__(self, spec: StudySpec) -> None:
        self._limit = spec.limit
        self._data_dir, self._hub_dir = data_folders(
            EvalConfig(ckpt="", tasks=(), data_dir=spec.data_dir, hub_dir=spec.hub_dir)
        )
        self._accepted = spec.accept_data
        self._known: dict[tuple[str, Style], int | None] = {}

    def num_characters(self, task: "EvalTask", style: Style) -> int | None:
        """Return the characters of one prompt per example, summed; None where rows are not on this machine."""
        key = (task.name, style)
        if key not in self._known:
            self._known[key] = self._read(task, style)
        return self._known[key]

    def _read(self, task: "EvalTask", style: Style) -> int | None:
        if isinstance(task, BenchmarkTask):
            if not all(self._is_here(place) for place in task.source.places):
                return None
            if style == "few_shot":
                if task.shots is None or not self._is_here(task.shots.source):
                    return None
                task = task.with_exemplars(self._data_dir, self._hub_dir, self._accepted)
        examples = task.load(self._data_dir, self._hub_dir).examples[: self._limit]
        if style == "chat":
            return sum(len(message.content) for example in examples for message in task.messages(example))
        return sum(len(task.plain_prompt(example, style)) for example in examples)

    def _is_here(self, source: Place) -> bool:
        """Return whether rows can be read without a network."""
        if source.embedded:
            return True
        if self._data_dir and source.local and (self._data_dir / source.local).is_file():
            return True
        return bool(not source.evalplus and self._hub_dir and source.hub and (self._hub_dir / source.hub).is_dir())


def _table(spec: StudySpec, rows: Sequence[TaskPlan]) -> Table:
    """Return the plan, one row a task, the checkpoint's sum below its tasks; it fits 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("checkpoint", "task"):
        table.add_column(name, overflow="fold", min_width=8)
    # with a column more, 80 columns are tight
    examples, verdicts = ("examples", []) if spec.judge is None else ("exam-\nples", ["ver-\ndicts"])
    for name in (examples, "k", "prompt\ntokens", "completion\ntokens", "GPU-\nhours", *verdicts):
        table.add_column(name, justify="right", no_wrap=True)
    for label in dict.fromkeys(row.label for row in rows):
        members = [row for row in rows if row.label == label]
        for number, row in enumerate(members):
            counts = (f"{row.num_examples:,}", str(row.num_generations))
            table.add_row(escape(label) if number == 0 else "", escape(row.task), *counts, *_amounts(spec, [row]))
        if len(members) > 1:
            table.add_row("", "sum", "", "", *_amounts(spec, members), style="dim", end_section=True)
    table.add_row("all", "", "", "", *_amounts(spec, rows), style="bold")
    return table


def _amounts(spec: StudySpec, rows: Sequence[TaskPlan]) -> tuple[str, ...]:
    known = [row.num_prompt_tokens for row in rows if row.num_prompt_tokens is not None]
    prompt = "?" if not known else _short(sum(known)) if len(known) == len(rows) else f"≥ {_short(sum(known))}"
    amounts = prompt, _short(sum(row.num_completion_tokens for row in rows)), _hours(gpu_hours(spec, rows))
    verdicts = sum(row.num_verdicts for row in rows)
    return amounts if spec.judge is None else (*amounts, _short(verdicts) if verdicts else "")


def gpu_hours(spec: StudySpec, rows: Sequence[TaskPlan]) -> float:
    """Return the GPU-hours of generating every completion token at the study's throughput."""
    tokens = sum(row.num_completion_tokens for row in rows)
    return tokens / spec.throughput.tokens_per_second / 3600


def _hours(hours: float) -> str:
    return "<0.1" if 0 < hours < 0.05 else f"{hours:,.1f}"


def _short(amount: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= size:
            return f"{amount / size:.1f}{letter}"
    return f"{amount:.0f}"


def _assumptions(spec: StudySpec, rows: Sequence[TaskPlan]) -> list[str]:
    """Return what the figures rest on, one line each."""
    throughput, hours = spec.throughput, gpu_hours(spec, rows)
    mean = throughput.mean_completion_tokens
    length = f"a mean of {mean:g} (at most max_tokens)" if mean else "max_tokens each, the most they can be"
    lines = [
        f"{sum(row.num_requests for row in rows):,} generations; completion tokens: {length} "
        "(throughput.mean_completion_tokens)",
        f"GPU-hours: at {throughput.tokens_per_second:,g} tokens a second and GPU (throughput.tokens_per_second); "
        f"{_hours(hours)} GPU-hours are {_hours(hours / throughput.num_gpus)} hours on {throughput.num_gpus} "
        f"GPU{'s' if throughput.num_gpus > 1 else ''} (throughput.num_gpus)",
        f"prompt tokens: {CHARACTERS_PER_TOKEN} characters each; ? where the rows are not on this machine; "
        "their time is not counted",
    ]
    if any(row.label == spec.elicited_label for row in rows):
        lines.append(
            f"{spec.elicited_label}: the prompt styles beyond {spec.base.label}'s own, k of all of them together"
        )
    if spec.judge is not None and any(row.num_verdicts for row in rows):
        lines.append(_judging(spec.judge))
    return lines


def _judging(judge: JudgeConfig) -> str:
    """Return who judges and what the number of verdicts is about."""
    limit = (
        "before calls of a server on another machine a person is asked"
        if judge.max_calls is None
        else f"at most {judge.max_calls:,} calls a checkpoint"
    )
    return (
        f"verdicts: of {judge.label or judge.ckpt}, {'both orders' if judge.swap else 'one order'} of each pair; those "
        f"in {judge.verdicts} are not asked for again, and a reward model is asked once an answer; {limit} "
        "(judge.max_calls)"
    )


def _found(spec: StudySpec, rows: Sequence[TaskPlan], found: FoundRuns) -> list[str]:
    """Return which runs are there, as far as settings tell: whether they are of these weights is not looked at."""
    labels = dict.fromkeys(row.label for row in rows)
    there = [label for label in labels if label in found.paths]
    if not there:
        return [f"no finished runs in {Path(spec.out)} yet; all of it is to be made"]
    left = [row for row in rows if row.label not in there]
    return [
        f"finished runs of these settings are there for {', '.join(there)}; if they are of the same weights and cover "
        f"every task, {_short(sum(row.num_completion_tokens for row in left))} completion tokens "
        f"({_hours(gpu_hours(spec, left))} GPU-hours) are left"
    ]
