"""A finished run as arrays: one row an example, one column a generation. Reads what comparing needs, never texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.plan import describe_key
from harness.schema import Example, FinishReason, Outcome, RequestKey, RunRecord, TaskRef, TaskSummary, Verdict
from harness.stats.estimate import Floats
from harness.store import read_json, read_lines

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TaskVerdicts:
    """What one run found on one task. Arrays have shape (examples, generations) unless they say otherwise."""

    ref: TaskRef
    metric: str
    """Name of the primary metric, with its k."""
    example_ids: tuple[str, ...]
    clusters: tuple[str | None, ...]
    values: Floats
    """The primary verdict; nan where the request ended in error."""
    answered: Bools
    """An answer was extracted."""
    timeout: Bools
    truncated: Bools
    finish_known: Bools
    num_tokens: Floats
    """Completion tokens; nan where the run does not say."""
    measures: Mapping[str, Floats] = field(default_factory=dict)
    """Of judged tasks, Score.measures by name, such as `length`; nan where a score has none. Empty for all others."""

    @property
    def means(self) -> Floats:
        """Mean verdict of each example, shape (examples,); nan if any of its requests ended in error."""
        return np.asarray(self.values.mean(axis=1))

    def select(self, rows: Ints) -> "TaskVerdicts":
        """Return the given rows, in the given order."""
        return TaskVerdicts(
            ref=self.ref,
            metric=self.metric,
            example_ids=tuple(self.example_ids[row] for row in rows),
            clusters=tuple(self.clusters[row] for row in rows),
            values=self.values[rows],
            answered=self.answered[rows],
            timeout=self.timeout[rows],
            truncated=self.truncated[rows],
            finish_known=self.finish_known[rows],
            num_tokens=self.num_tokens[rows],
            measures={name: numbers[rows] for name, numbers in self.measures.items()},
        )


@dataclass(frozen=True)
class RunVerdicts:
    """A finished run: its record and its verdicts by task."""

    path: Path
    record: RunRecord
    tasks: Mapping[str, TaskVerdicts]
    grading: str = ""
    """What stands between the name and the ending of a re-grading's files, such as `.1a2b3c4d`."""

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.record.spec.checkpoint.label


def find_runs(path: Path) -> tuple[Path, ...]:
    """Return the run.json files that a path stands for.

    Args:
        path: a run directory, the run.json (or run.<grading>.json) of one, or a label's folder of run directories.

    Raises:
        StoreError: if there is no run, or one that has not finished: leaving it out would change the answer.
    """
    if path.is_file() and path.name.startswith("run.") and path.suffix == ".json":
        return (path,)
    if (path / "spec.json").is_file():
        if not (path / "run.json").is_file():
            raise StoreError(f"{path} has not finished: run its `harness eval` command again to resume it")
        return (path / "run.json",)
    folders = sorted(spec.parent for spec in path.glob("*/spec.json")) if path.is_dir() else []
    if not folders:
        raise StoreError(
            f"{path} is neither a run directory nor a label's folder of runs; expected e.g. "
            "runs/LABEL/0123456789abcdef, which `harness eval` prints at its end"
        )
    if unfinished := [str(folder) for folder in folders if not (folder / "run.json").is_file()]:
        raise StoreError(
            f"{', '.join(unfinished)} has not finished: run its `harness eval` command again to resume it, or name the "
            "finished run directories"
        )
    return tuple(folder / "run.json" for folder in folders)


def load_run(path: Path, allow_incomplete: bool = False) -> RunVerdicts:
    """Read a finished run.

    Args:
        path: its run.json, or the run.<grading>.json of a re-grading.
        allow_incomplete: take a run of which some requests ended in error.

    Raises:
        StoreError: if the run is incomplete and that was not allowed, or its files do not fit together.
    """
    record = read_json(path, RunRecord)
    folder = path.parent
    num_errors = sum(task.num_error for task in record.tasks)
    if num_errors and not allow_incomplete:
        raise StoreError(
            f"{folder}: {num_errors} of {sum(task.num_planned for task in record.tasks)} requests ended in error; run "
            "its `harness eval` command again to retry them, or pass --allow-incomplete to leave their examples out"
        )
    grading = path.name.removeprefix("run").removesuffix(".json")
    tables = _empty_tables(folder, record)
    for end in read_lines(folder / "generations.jsonl", _End):
        tables.of(end.key).add_end(end)
    for verdict in read_lines(folder / f"scores{grading}.jsonl", _Verdict):
        tables.of(verdict.key).add_verdict(verdict)
    tasks = {name: table.finish() for name, table in tables.items()}
    return RunVerdicts(path=folder, record=record, tasks=tasks, grading=grading)


class _End(msgspec.Struct):
    """What comparing needs of a Generation: all but the text."""

    key: RequestKey
    finish_reason: FinishReason
    num_completion_tokens: int | None


class _Verdict(msgspec.Struct):
    """What comparing needs of a Score."""

    key: RequestKey
    value: Verdict
    outcome: Outcome
    measures: dict[str, float] = {}


class _Table:
    """A task's arrays while they fill."""

    def __init__(self, folder: Path, ref: TaskRef, summary: TaskSummary, examples: list[Example]) -> None:
        self._folder = folder
        self._ref, self._summary, self._examples = ref, summary, examples
        self.rows = {example.example_id: row for row, example in enumerate(examples)}
        shape = (len(examples), ref.sampling.num_generations)
        self.values, self.num_tokens = np.full(shape, np.nan), np.full(shape, np.nan)
        self.answered, self.timeout = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.truncated, self.finish_known = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.measures: dict[str, Floats] = {}
        self.scored, self.generated = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)

    def add_end(self, end: _End) -> None:
        place = self.rows[end.key.example_id], end.key.index
        self.generated[place] += 1
        self.truncated[place] = end.finish_reason == "length"
        self.finish_known[place] = end.finish_reason in ("length", "stop")
        if end.num_completion_tokens is not None:
            self.num_tokens[place] = end.num_completion_tokens

    def add_verdict(self, verdict: _Verdict) -> None:
        place = self.rows[verdict.key.example_id], verdict.key.index
        self.scored[place] += 1
        if verdict.outcome != "error":
            self.values[place] = verdict.value
        self.answered[place] = verdict.outcome in ("scored", "timeout")
        self.timeout[place] = verdict.outcome == "timeout"
        for name, number in verdict.measures.items():
            if name not in self.measures:
                self.measures[name] = np.full(self.values.shape, np.nan)
            self.measures[name][place] = number

    def finish(self) -> TaskVerdicts:
        for counts, what in ((self.generated, "generations"), (self.scored, "scores")):
            if (counts != 1).any():
                row, index = (int(place) for place in np.argwhere(counts != 1)[0])
                key = RequestKey(task=self._ref.name, example_id=self._examples[row].example_id, index=index)
                raise _edited(self._folder, f"{describe_key(key)} has {counts[row, index]} {what}, expected 1")
        num_errors = int(np.isnan(self.values).sum())
        if num_errors != self._summary.num_error:
            raise _edited(
                self._folder, f"{self._ref.name} has {num_errors} errors, but run.json counts {self._summary.num_error}"
            )
        return TaskVerdicts(
            ref=self._ref,
            metric=self._summary.metric,
            example_ids=tuple(example.example_id for example in self._examples),
            clusters=tuple(example.cluster for example in self._examples),
            values=self.values,
            answered=self.answered,
            timeout=self.timeout,
            truncated=self.truncated,
            finish_known=self.finish_known,
            num_tokens=self.num_tokens,
            measures=self.measures,
        )


def _edited(folder: Path, finding: str) -> StoreError:
    return StoreError(f"{folder}: {finding}: the run directory was edited; restore it, or measure again with --fresh")


class _Tables(dict[str, _Table]):
    """The arrays of a run's tasks, by task."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def of(self, key: RequestKey) -> _Table:
        table = self.get(key.task)
        if table is None or key.example_id not in table.rows or not 0 <= key.index < table.values.shape[1]:
            raise StoreError(f"{self._folder}: {describe_key(key)} is not in the run's plan: the directory was edited")
        return table


def _empty_tables(folder: Path, record: RunRecord) -> _Tables:
    examples: dict[str, list[Example]] = {ref.name: [] for ref in record.spec.tasks}
    for example in read_lines(folder / "examples.jsonl", Example):
        if example.task in examples:
            examples[example.task].append(example)
    summaries = {summary.task: summary for summary in record.tasks}
    tables = _Tables(folder)
    for ref in record.spec.tasks:
        if len(examples[ref.name]) != ref.num_examples:
            raise StoreError(
                f"{folder / 'examples.jsonl'} has {len(examples[ref.name])} examples of {ref.name}, expected "
                f"{ref.num_examples}: restore the file, or measure again with --fresh"
            )
        tables[ref.name] = _Table(folder, ref, summaries[ref.name], examples[ref.name])
    return tables
