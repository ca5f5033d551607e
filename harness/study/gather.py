"""A study's run files become one label a checkpoint; any two labels can be compared as the study says.

Which files belong to a checkpoint is the business of harness.study.runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import msgspec

from harness.comparison.report import SANCTIONED, CompareOptions, Sides, compare_labels
from harness.errors import UsageError
from harness.findings import AverageComparison, Comparison, TaskComparison, TransferReport
from harness.identity import MUST_AGREE, MUST_AGREE_WITH_BASE
from harness.pairing import LabelVerdicts, gather_labels
from harness.stats.resample import fewest_resamples
from harness.study.spec import Role, StudySpec
from harness.verdicts import RunVerdicts, load_run

ASKED_ITS_OWN_WAY = tuple(name for name in MUST_AGREE_WITH_BASE if name not in MUST_AGREE)
"""Fields that checkpoints other than candidates may differ in: they are asked as they were made to be asked."""
_ADVICE = "make it with `harness study run STUDY.toml`"


@dataclass(frozen=True)
class StudyLabels:
    """The labels of a study that have runs, and the comparisons made of them so far."""

    spec: StudySpec
    by_label: Mapping[str, LabelVerdicts]
    """In the order of `StudySpec.labels`; the base is always there."""
    _made: dict[object, Comparison] = field(default_factory=dict, repr=False)

    @property
    def base(self) -> LabelVerdicts:
        """The checkpoint that training began from."""
        return self.by_label[self.spec.base.label]

    @property
    def base_tasks(self) -> tuple[str, ...]:
        """Tasks that averages are about."""
        return tuple(self.base.tasks)

    @cached_property
    def suites(self) -> dict[str, str]:
        """Every task of any label to its suite, the base's first."""
        labels = (self.base, *self.by_label.values())
        return {name: verdicts.ref.suite for label in labels for name, verdicts in label.tasks.items()}

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """Suites of the base's tasks."""
        return tuple(dict.fromkeys(self.suites[task] for task in self.base_tasks))

    @cached_property
    def averages(self) -> dict[str, tuple[str, ...]]:
        """Domains, then `overall`, to the tasks that they average: the base's."""
        tasks = self.base_tasks
        return {**{d: tuple(t for t in tasks if self.suites[t] == d) for d in self.domains}, "overall": tasks}

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Every column of the main table to its tasks: tasks, domains, `overall`."""
        return {**{task: (task,) for task in self.suites}, **self.averages}

    @cached_property
    def transfer(self) -> TransferReport:
        """Candidates and controls against the base, and against the elicited base where there is one."""
        arms = self.of_role("candidate", "control")
        trained_on = {label.label: self.spec.checkpoint(label.label).trained_on for label in arms}
        sides = Sides(
            base=self.base,
            candidates=arms,
            references=self.of_role("reference"),
            elicited=self.by_label.get(self.spec.elicited_label or ""),
        )
        return compare_labels(
            sides,
            CompareOptions(
                level=self.spec.level,
                overall=self.spec.overall,
                seed=self.spec.seed,
                num_resamples=self.spec.num_resamples,
                allow_drift=self.spec.allow_drift,
                trained_on={label: domains for label, domains in trained_on.items() if domains},
            ),
        )

    def of_role(self, *roles: Role) -> tuple[LabelVerdicts, ...]:
        """Return the labels of some roles, without the elicited base."""
        wanted = [checkpoint.label for checkpoint in self.spec.checkpoints if checkpoint.role in roles]
        return tuple(self.by_label[label] for label in wanted if label in self.by_label)

    def comparable_tasks(self, column: str) -> tuple[str, ...]:
        """Return the tasks to compare for a column: the base's, so that columns share a comparison, or one it lacks."""
        tasks = self.columns[column]
        return self.base_tasks if set(tasks) <= set(self.base_tasks) else tasks

    def compare(
        self,
        base: str,
        candidate: str,
        tasks: tuple[str, ...],
        level: float | None = None,
        references: tuple[str, ...] = (),
    ) -> Comparison:
        """Compare any two labels on those of some tasks that both have; what was made before is not made again.

        They may differ in ASKED_ITS_OWN_WAY. What was trained on is left out.

        Args:
            base: what is subtracted.
            candidate: what it is subtracted from.
            tasks: in the base's order.
            level: coverage of the intervals; None takes the study's.
            references: labels to measure the closed gap to.

        Raises:
            UsageError: if they may not be compared, naming the field.
        """
        level = level or self.spec.level
        if (base, tasks, level, references) == (self.base.label, self.base_tasks, self.spec.level, ()):
            for found in self.transfer.comparisons:
                if (found.candidate, found.base_kind) == (candidate, "plain"):
                    return found
        key = (base, candidate, tasks, level, references)
        if key not in self._made:
            kept = [keep_tasks(self.by_label[label], tasks) for label in (base, candidate, *references)]
            sides = Sides(base=kept[0], candidates=(kept[1],), references=tuple(kept[2:]))
            self._made[key] = compare_labels(sides, self._options(level, (base, candidate))).comparisons[0]
        return self._made[key]

    def _options(self, level: float, labels: tuple[str, ...]) -> CompareOptions:
        is_elicited = self.spec.elicited_label in labels
        return CompareOptions(
            level=level,
            overall=self.spec.overall,
            seed=self.spec.seed,
            num_resamples=max(self.spec.num_resamples, fewest_resamples(level)),
            allow_drift=(*self.spec.allow_drift, *ASKED_ITS_OWN_WAY, *(SANCTIONED if is_elicited else ())),
            trained_on={"*": ()},
            length_effects=False,  # leads, claims and controls read differences alone
        )

    def read_column(self, comparison: Comparison, column: str) -> TaskComparison | AverageComparison:
        """Return what a comparison of labels that have all of a column's tasks says of it."""
        averages = {average.name: average for average in (*comparison.domains, comparison.overall)}
        tasks = {task.task: task for task in comparison.tasks}
        if column in tasks:
            return tasks[column]
        assert set(averages[column].tasks) == set(self.columns[column]), f"an average over other tasks than {column}"
        return averages[column]


def load_labels(spec: StudySpec, runs: Mapping[str, Sequence[Path]]) -> dict[str, LabelVerdicts]:
    """Read the runs of a study and gather them under the study's labels.

    Args:
        spec: the study.
        runs: run.json (or run.<grading>.json) files by the study's label. A label may hold runs of several task sets.

    Returns:
        Label to verdicts, of the labels that have runs.

    Raises:
        HarnessError: if a run cannot be read, or two runs of one label measured a task differently.
    """
    return gather_by_label(load_runs(spec, runs))


def load_runs(spec: StudySpec, runs: Mapping[str, Sequence[Path]]) -> dict[str, tuple[RunVerdicts, ...]]:
    """Read the runs of a study, each under the label it was made with; arguments and errors as of `load_labels`."""
    return {
        label: tuple(load_run(path, spec.allow_incomplete) for path in dict.fromkeys(paths))
        for label, paths in runs.items()
        if paths
    }


def gather_by_label(runs: Mapping[str, Sequence[RunVerdicts]]) -> dict[str, LabelVerdicts]:
    """Gather runs under the labels they are given by, in place of their own.

    Raises:
        UsageError: if two runs of one label measured a task differently.
    """
    return {label: gather_labels(_relabel(run, label) for run in found)[0] for label, found in runs.items()}


def gather_study(spec: StudySpec, by_label: Mapping[str, LabelVerdicts]) -> StudyLabels:
    """Put a study's labels in order.

    Raises:
        UsageError: if the base has no runs, or candidates were named and none has.
    """
    base = spec.base.label
    if base not in by_label:
        raise UsageError(f"the base {base} has no finished run, and everything is compared with it: {_ADVICE}")
    arms = [checkpoint.label for checkpoint in spec.checkpoints if checkpoint.role in ("candidate", "control")]
    if arms and not any(label in by_label for label in arms):
        raise UsageError(f"none of {', '.join(arms)} has a finished run to compare with {base}: {_ADVICE}")
    return StudyLabels(spec, {label: by_label[label] for label in spec.labels if label in by_label})


def keep_tasks(label: LabelVerdicts, tasks: Iterable[str]) -> LabelVerdicts:
    """Return a label with some of its tasks, in the given order."""
    return replace(label, tasks={name: label.tasks[name] for name in tasks if name in label.tasks})


def _relabel(run: RunVerdicts, label: str) -> RunVerdicts:
    change = msgspec.structs.replace
    checkpoint = change(run.record.spec.checkpoint, label=label)
    return replace(run, record=change(run.record, spec=change(run.record.spec, checkpoint=checkpoint)))
