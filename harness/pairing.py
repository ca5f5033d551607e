"""From runs to pairs: gathers the runs of a label, checks that two labels may be compared, lines up their examples."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from harness.errors import UsageError
from harness.identity import MUST_AGREE, MUST_AGREE_WITH_BASE, FieldDifference, conflicting_fields
from harness.schema import TrainingCost
from harness.stats.estimate import Floats, cluster_numbers
from harness.verdicts import Ints, RunVerdicts, TaskVerdicts, find_runs, load_run


@dataclass(frozen=True)
class LabelVerdicts:
    """All runs of one label. Runs of the same task are repeats: their generations stand side by side."""

    label: str
    runs: tuple[RunVerdicts, ...]
    tasks: Mapping[str, TaskVerdicts]

    @property
    def training(self) -> TrainingCost | None:
        """What its checkpoint cost; of several trainings the mean (`mean_cost`).

        None if a run does not say, or the trainings were on different domains.
        """
        costs = [cost for cost in self._trainings if cost is not None]
        if len(costs) < len(self._trainings) or len({cost.trained_on for cost in costs}) != 1:
            return None
        return mean_cost(costs)

    @property
    def num_trainings(self) -> int:
        """Number of trainings behind its runs: several evaluations of one checkpoint are of one."""
        return len(self._trainings)

    @cached_property
    def _trainings(self) -> tuple[TrainingCost | None, ...]:
        pairs = {(run.record.spec.checkpoint.fingerprint.weights, run.record.training): None for run in self.runs}
        return tuple(training for _, training in pairs)

    @cached_property
    def repeats(self) -> tuple[Mapping[str, TaskVerdicts], ...]:
        """Tasks by repetition: of training if there are several checkpoints, else of sampling.

        Several runs of one checkpoint are one repetition of training; a suite each under one seed is one of sampling.
        """
        groups: dict[tuple[str, int, int], dict[str, list[TaskVerdicts]]] = {}
        for run in self.runs:
            spec = run.record.spec
            sampling = (spec.tasks[0].sampling.seed, spec.attempt) if self.num_checkpoints == 1 else (0, 0)
            group = groups.setdefault((spec.checkpoint.fingerprint.weights, *sampling), {})
            for name, verdicts in run.tasks.items():
                group.setdefault(name, []).append(verdicts)
        return tuple({name: _side_by_side(found) for name, found in group.items()} for group in groups.values())

    @property
    def num_checkpoints(self) -> int:
        """Number of different weights among the runs."""
        return len({run.record.spec.checkpoint.fingerprint.weights for run in self.runs})


@dataclass(frozen=True)
class PairedTask:
    """One task on both sides: row i of both is the same example, and every value is a number."""

    base: TaskVerdicts
    candidate: TaskVerdicts
    clusters: Ints | None
    """Cluster number of each example; None if each stands alone."""
    num_unshared: int
    """Examples that only one side has: left out."""
    num_failed: int
    """Shared examples with a request that ended in error on a side: left out."""

    @property
    def name(self) -> str:
        """The task."""
        return self.base.ref.name

    @property
    def num_examples(self) -> int:
        """Number of pairs."""
        return len(self.base.example_ids)

    @property
    def is_single_binary(self) -> bool:
        """Whether each side has exactly one 0/1 verdict per example."""
        return all(
            side.values.shape[1] == 1 and bool(np.isin(side.values, (0.0, 1.0)).all())
            for side in (self.base, self.candidate)
        )

    @property
    def differences(self) -> Floats:
        """Candidate minus base, per example."""
        return self.candidate.means - self.base.means


def mean_cost(costs: Sequence[TrainingCost]) -> TrainingCost:
    """Return what one of several trainings, all on the same domains, cost on average.

    A figure on which all agree stays; one that differs becomes its mean, of counts rounded to a whole number; one that
    not all know, and a device that differs, is None.
    """

    def join(name: str) -> Any:
        values = [getattr(cost, name) for cost in costs]
        if len(set(values)) == 1:
            return values[0]
        if not all(isinstance(value, int | float) for value in values):
            return None
        mean = fmean(values)
        return mean if any(isinstance(value, float) for value in values) else round(mean)

    return TrainingCost(**{name: join(name) for name in TrainingCost.__struct_fields__})


def gather_labels(runs: Iterable[RunVerdicts]) -> tuple[LabelVerdicts, ...]:
    """Group runs by label, in the order of first appearance.

    Raises:
        UsageError: if two runs of one label measured a task differently: they are not repeats of each other.
    """
    groups: dict[str, list[RunVerdicts]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    return tuple(_gather(label, members) for label, members in groups.items())


def load_label(path: Path, allow_incomplete: bool = False) -> LabelVerdicts:
    """Return the one label that a path stands for (`harness.verdicts.find_runs`).

    Raises:
        HarnessError: if there is no finished run, or runs of several labels.
    """
    found = gather_labels(load_run(run, allow_incomplete) for run in find_runs(path))
    if len(found) != 1:
        raise UsageError(
            f"{path} holds runs of several labels ({', '.join(label.label for label in found)}): name one run directory"
        )
    return found[0]


def check_gradings(label: str, files: Iterable[Path]) -> None:
    """Refuse two gradings of one run: they would count as two runs, of the same generations.

    Args:
        label: named in the message.
        files: run.json or run.<grading>.json files.

    Raises:
        UsageError: if two of them are in one run directory.
    """
    seen: dict[Path, Path] = {}
    for file in files:
        other = seen.setdefault(file.parent.resolve(), file)
        if other != file:
            raise UsageError(f"{label}: {other} and {file} are two gradings of one run; name the one you mean")


def _gather(label: str, runs: Sequence[RunVerdicts]) -> LabelVerdicts:
    check_gradings(label, (run.path / f"run{run.grading}.json" for run in runs))
    repeats: dict[str, list[tuple[RunVerdicts, TaskVerdicts]]] = {}
    for run in runs:
        for name, verdicts in run.tasks.items():
            repeats.setdefault(name, []).append((run, verdicts))
    for name, members in repeats.items():
        first_run, first = members[0]
        for run, verdicts in members[1:]:
            conflicts = conflicting_fields(first_run.record.spec, run.record.spec)
            differing = [item.field for item in conflicts if item.task in (None, name)]
            if differing or first.example_ids != verdicts.example_ids:
                raise UsageError(
                    f"{first_run.path} and {run.path} are both labelled {label} but differ on {name} in "
                    f"{', '.join(differing) or 'their examples'}: name one of them, or give them labels with --label"
                )
    tasks = {name: _side_by_side([verdicts for _, verdicts in members]) for name, members in repeats.items()}
    return LabelVerdicts(label=label, runs=tuple(runs), tasks=tasks)


def _side_by_side(repeats: Sequence[TaskVerdicts]) -> TaskVerdicts:
    def join(read: Callable[[TaskVerdicts], np.ndarray]) -> np.ndarray:
        return np.concatenate([read(verdicts) for verdicts in repeats], axis=1)

    first = repeats[0]
    return TaskVerdicts(
        ref=first.ref,
        metric=first.metric if len(repeats) == 1 else f"{first.metric}, {len(repeats)} runs",
        example_ids=first.example_ids,
        clusters=first.clusters,
        values=join(lambda verdicts: verdicts.values),
        answered=join(lambda verdicts: verdicts.answered),
        timeout=join(lambda verdicts: verdicts.timeout),
        truncated=join(lambda verdicts: verdicts.truncated),
        finish_known=join(lambda verdicts: verdicts.finish_known),
        num_tokens=join(lambda verdicts: verdicts.num_tokens),
        measures=_join_measures(repeats),
    )


def _join_measures(repeats: Sequence[TaskVerdicts]) -> dict[str, Floats]:
    """Return the measures of any repeat, nan where another has none of that name."""
    names = dict.fromkeys(name for verdicts in repeats for name in verdicts.measures)
    unknown = [np.full(verdicts.values.shape, np.nan) for verdicts in repeats]
    return {
        name: np.concatenate([each.measures.get(name, nan) for each, nan in zip(repeats, unknown, strict=True)], axis=1)
        for name in names
    }


def check_comparable(
    base: LabelVerdicts, other: LabelVerdicts, allow_drift: Collection[str], is_reference: bool = False
) -> tuple[str, ...]:
    """Return what differs between two labels and was allowed to, one line each.

    Raises:
        UsageError: if they have no task in common, or differ in a field that must agree and was not allowed to differ.
    """
    shared = base.tasks.keys() & other.tasks.keys()
    if not shared:
        raise UsageError(
            f"{base.label} and {other.label} have no task in common: {base.label} has {', '.join(sorted(base.tasks))}; "
            f"{other.label} has {', '.join(sorted(other.tasks))}"
        )
    must_agree = MUST_AGREE if is_reference else MUST_AGREE_WITH_BASE
    found = _conflicts(base, other, shared, must_agree)
    refused = [item for item in found if item.field not in allow_drift]
    if refused:
        fields = dict.fromkeys(item.field for item in refused)
        raise UsageError(
            f"{base.label} and {other.label} differ in {', '.join(fields)}: {describe_difference(refused[0])}; measure "
            f"both alike, or pass {' '.join(f'--allow-drift {field}' for field in fields)} to compare them all the same"
        )
    return tuple(f"allowed drift: {text}" for text in _describe_by_field(found))


def _conflicts(
    base: LabelVerdicts, other: LabelVerdicts, shared: Collection[str], must_agree: Collection[str]
) -> list[FieldDifference]:
    found: dict[tuple[str, str | None], FieldDifference] = {}
    for left in base.runs:
        for right in other.runs:
            for item in conflicting_fields(left.record.spec, right.record.spec, must_agree):
                if item.task is None or item.task in shared:
                    found.setdefault((item.field, item.task), item)
    return list(found.values())


def describe_left_out(pair: PairedTask) -> tuple[str, ...]:
    """Return what of a task is not compared, one line a cause."""
    causes = ((pair.num_unshared, "that only one side has"), (pair.num_failed, "that ended in error on a side"))
    return tuple(
        f"{pair.name}: {count} example{'s' if count > 1 else ''} {cause}: left out" for count, cause in causes if count
    )


def _describe_by_field(found: Sequence[FieldDifference]) -> Iterable[str]:
    """Describe differences, one line for all tasks that differ in a field in the same way."""
    groups: dict[tuple[str, str, str], list[str | None]] = {}
    for item in found:
        groups.setdefault((item.field, item.left, item.right), []).append(item.task)
    for (field, left, right), tasks in groups.items():
        names = [task for task in tasks if task is not None]
        yield describe_difference(FieldDifference(field, ", ".join(names) or None, left, right))


def describe_difference(item: FieldDifference) -> str:
    """Return a difference in one phrase; long hashes are cut."""
    where = f"{item.field} of {item.task}" if item.task else item.field
    return f"{where} is {_short(item.left)} against {_short(item.right)}"


def _short(value: str) -> str:
    is_digest = len(value) >= 40 and all(letter in "0123456789abcdef" for letter in value)
    return value[:12] if is_digest else value


def pair_tasks(base: LabelVerdicts, candidate: LabelVerdicts) -> tuple[PairedTask, ...]:
    """Pair every task both labels have, in the base's order.

    Raises:
        UsageError: if a task has no example in common that ended without error on both sides.
    """
    return tuple(_pair(base, candidate, name) for name in base.tasks if name in candidate.tasks)


def _pair(base: LabelVerdicts, candidate: LabelVerdicts, name: str) -> PairedTask:
    left, right = base.tasks[name], candidate.tasks[name]
    rows = {example_id: row for row, example_id in enumerate(right.example_ids)}
    pairs = [(row, rows[example_id]) for row, example_id in enumerate(left.example_ids) if example_id in rows]
    num_shared = len(pairs)
    left_means, right_means = left.means, right.means
    pairs = [(i, j) for i, j in pairs if not np.isnan(left_means[i]) and not np.isnan(right_means[j])]
    if not pairs:
        raise UsageError(
            f"{base.label} and {candidate.label} have no example of {name} in common that ended without error; "
            "evaluate both on the same examples"
        )
    left_rows, right_rows = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    aligned = left.select(left_rows)
    return PairedTask(
        base=aligned,
        candidate=right.select(right_rows),
        clusters=_clusters_of(aligned),
        num_unshared=len(left.example_ids) + len(right.example_ids) - 2 * num_shared,
        num_failed=num_shared - len(pairs),
    )


def _clusters_of(verdicts: TaskVerdicts) -> Ints | None:
    """Return the cluster numbers; None where each example stands alone, also if each has a cluster of its own."""
    numbers = cluster_numbers(verdicts.clusters)
    return None if numbers is None or len(np.unique(numbers)) == len(numbers) else numbers
