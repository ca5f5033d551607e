"""Candidates against a base, paired by example: tasks, domains, overall, transfer, and the tests' family."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec
import numpy as np

from harness.comparison.average import Average, average_over
from harness.comparison.contrast import Contrast, Settings, contrast_task
from harness.comparison.sample import CellMeans, same_examples, sample_task
from harness.comparison.transfer import find_trained, measure_transfer
from harness.errors import UsageError
from harness.findings import AverageComparison, Comparison, Decomposition, Repeats, TransferReport
from harness.pairing import LabelVerdicts, PairedTask, check_comparable, describe_left_out, pair_tasks
from harness.schema import Estimate
from harness.stats.domains import Overall
from harness.stats.estimate import Floats
from harness.stats.multiple import holm
from harness.stats.paired import pooled_p_value
from harness.stats.power import detectable_by_sign_flip
from harness.stats.repeats import estimate_iqm, estimate_iqm_difference, spread
from harness.verdicts import TaskVerdicts

SANCTIONED = ("prompt", "scorer")
"""Fields in which an elicited base differs by design: its prompts, and whether a program continues its prompt."""


@dataclass(frozen=True)
class CompareOptions:
    """What a comparison can be told."""

    level: float = 0.95
    overall: Overall = "domains"
    """What the overall average weighs equally."""
    seed: int = 0
    num_resamples: int = 10_000
    allow_drift: tuple[str, ...] = ()
    """Fields that may differ although they decide the result."""
    trained_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Domains by candidate label, in place of what the runs' training.json say; `*` stands for every candidate."""
    length_effects: bool = True
    """Whether win rates are controlled for length, which takes seconds a task."""


@dataclass(frozen=True)
class Sides:
    """Who is compared with whom."""

    base: LabelVerdicts
    candidates: tuple[LabelVerdicts, ...]
    references: tuple[LabelVerdicts, ...] = ()
    elicited: LabelVerdicts | None = None
    """The base under its best prompt style (`harness elicit`): a second, stricter base."""
    base_samples: LabelVerdicts | None = None
    """Sampled generations of the base, for coverage; None takes those of the base itself."""


def compare_labels(sides: Sides, options: CompareOptions) -> TransferReport:
    """Compare candidates with a base.

    Raises:
        UsageError: if two labels may not be compared, naming the field; or an option names no candidate.
    """
    labels = [sides.base, *sides.candidates, *sides.references]
    _check_names(labels, sides, options)
    if sides.base_samples is not None:
        _check_samples(sides.base, sides.base_samples)
    comparisons = _compare_with(sides, options, "plain")
    if sides.elicited is not None:
        stricter = replace(sides, base=sides.elicited, base_samples=sides.base_samples or sides.base)
        comparisons += _compare_with(stricter, options, "elicited")
    return TransferReport(
        level=options.level,
        overall=options.overall,
        seed=options.seed,
        num_resamples=options.num_resamples,
        comparisons=tuple(comparisons),
        repeats=tuple(_repeats(label, sides.base, options) for label in labels if _repeated_tasks(label, sides.base)),
    )


def _check_names(labels: Sequence[LabelVerdicts], sides: Sides, options: CompareOptions) -> None:
    names = [label.label for label in labels]
    doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if doubled:
        raise UsageError(
            f"two sides of the comparison are labelled {', '.join(doubled)}: evaluate one with another --label; runs "
            "of one checkpoint are compared by `harness noise --runs`"
        )
    candidates = [label.label for label in sides.candidates]
    unknown = sorted(set(options.trained_on) - {*candidates, "*"})
    if unknown:
        raise UsageError(
            f"--trained-on names {', '.join(unknown)}, which is no candidate; expected {', '.join(candidates)}"
        )


def _compare_with(sides: Sides, options: CompareOptions, kind: Literal["plain", "elicited"]) -> list[Comparison]:
    drift = {label.label: _drift(sides, label, options, kind) for label in sides.candidates}
    pairs = {label.label: pair_tasks(sides.base, label) for label in sides.candidates}
    notes = {
        label.label: (*drift[label.label], *_notes(sides.base, label, pairs[label.label], kind))
        for label in sides.candidates
    }
    contrasts = _contrast_all(sides, pairs, options)
    found = [
        _comparison(sides.base, label, contrasts[label.label], options, (kind, notes[label.label]))
        for label in sides.candidates
    ]
    return _adjust([_with_contradictions(comparison, options.level) for comparison in found])


def _drift(
    sides: Sides, candidate: LabelVerdicts, options: CompareOptions, kind: Literal["plain", "elicited"]
) -> tuple[str, ...]:
    """Check that a candidate and the references may be compared, and say what differs all the same."""
    base = sides.base
    allowed = (*options.allow_drift, *(SANCTIONED if kind == "elicited" else ()))
    drift = check_comparable(base, candidate, allowed)
    notes = [] if kind == "elicited" else list(drift)  # that it was asked otherwise is the point of an elicited base
    for reference in sides.references:
        for note in check_comparable(base, reference, allowed, is_reference=True):
            notes += [f"reference {reference.label}: {note}"] if kind == "plain" else []
    return tuple(notes)


def _notes(
    base: LabelVerdicts,
    candidate: LabelVerdicts,
    pairs: Sequence[PairedTask],
    kind: Literal["plain", "elicited"],
) -> tuple[str, ...]:
    """Say what else limits the comparison."""
    notes = []
    for left, right in ((base, candidate), (candidate, base)):
        if only := [name for name in left.tasks if name not in right.tasks]:
            notes.append(f"only {left.label} has {', '.join(only)}: left out")
    for pair in pairs:
        notes += describe_left_out(pair)
        if pair.base.values.shape[1] != pair.candidate.values.shape[1]:
            notes.append(
                f"{pair.name}: {pair.base.values.shape[1]} generations against {pair.candidate.values.shape[1]} per "
                "example; the sign-flip test then finds a difference somewhat too often (8 % instead of 5 % at worst)"
            )
    engines = {run.record.spec.engine.title for label in (base, candidate) for run in label.runs}
    if len(engines) > 1:
        notes.append(f"engines differ: {'; '.join(sorted(engines))}")
    marks = [{run.record.spec.checkpoint.fingerprint.weights for run in label.runs} for label in (base, candidate)]
    if marks[0] & marks[1] and kind == "plain":
        notes.append(
            "both sides have the same weights: the difference is in how they were asked or drawn, not in training"
        )
    for label in (base, candidate):
        if label.num_checkpoints > 1 and _has_repeated_task(label):
            notes.append(
                f"{label.label} is {label.num_checkpoints} checkpoints: intervals and p-values are about these; what "
                "another training seed would give is in the table of several runs"
            )
    if kind == "elicited":
        notes.append(
            "the styles of the elicited base were chosen on these examples (on the other half of them): where styles "
            "are alike, a 95 % interval of its score covers about 90 %"
        )
    return tuple(notes)


def _has_repeated_task(label: LabelVerdicts) -> bool:
    """Say whether any task was repeated; imported files of one task each have digests of their own as weights."""
    return any(sum(name in tasks for tasks in label.repeats) > 1 for name in label.tasks)


def _check_samples(base: LabelVerdicts, samples: LabelVerdicts) -> None:
    """Check that the sampled generations are the base's own, asked and judged alike.

    Raises:
        UsageError: if they are not.
    """
    weights = {run.record.spec.checkpoint.fingerprint.weights for label in (base, samples) for run in label.runs}
    if len(weights) > 1:
        raise UsageError(
            f"--base-samples {samples.label} has other weights than {base.label}: give sampled runs of the base itself"
        )
    check_comparable(base, samples, ("sampling",))


def _contrast_all(
    sides: Sides, pairs: Mapping[str, Sequence[PairedTask]], options: CompareOptions
) -> dict[str, list[Contrast]]:
    """Return every candidate's contrasts in the base's order; candidates with the same examples share the draws."""
    settings = Settings(options.level, options.seed, options.num_resamples, options.length_effects)
    found: dict[str, list[Contrast]] = {label: [] for label in pairs}
    for task in sides.base.tasks:
        of_task = {label: pair for label, given in pairs.items() for pair in given if pair.name == task}
        for group in same_examples(of_task):
            first = group[next(iter(group))]
            references = _aligned(sides.references, first)
            others = {**{label: pair.candidate for label, pair in group.items()}, **references}
            base, cells = sample_task(first.base, others, first.clusters, options.seed, options.num_resamples)
            samples = _aligned([sides.base_samples or sides.base], first)
            for label, pair in group.items():
                reference_cells: dict[str, CellMeans] = {name: cells[name] for name in references}
                sampled = next(iter(samples.values()), None)
                found[label].append(contrast_task(pair, base, cells[label], reference_cells, sampled, settings))
    return found


def _aligned(labels: Sequence[LabelVerdicts], pair: PairedTask) -> dict[str, TaskVerdicts]:
    """Return the labels' verdicts on a pair's examples; without labels that lack some of them."""
    found = {}
    for label in labels:
        verdicts = label.tasks.get(pair.name)
        rows = {example_id: row for row, example_id in enumerate(verdicts.example_ids)} if verdicts else {}
        if verdicts is None or any(example_id not in rows for example_id in pair.base.example_ids):
            continue
        chosen = verdicts.select(np.array([rows[example_id] for example_id in pair.base.example_ids]))
        if not np.isnan(chosen.values).any():
            found[label.label] = chosen
    return found


def _comparison(
    base: LabelVerdicts,
    candidate: LabelVerdicts,
    contrasts: Sequence[Contrast],
    options: CompareOptions,
    kind_and_notes: tuple[Literal["plain", "elicited"], tuple[str, ...]],
) -> Comparison:
    suites = list(dict.fromkeys(contrast.comparison.suite for contrast in contrasts))
    given = options.trained_on.get(candidate.label, options.trained_on.get("*"))
    if given is None:
        given = candidate.training.trained_on if candidate.training else ()
    trained = find_trained(given, suites)
    domains = [
        _average_comparison(suite, average_over(contrasts, [suite], options.overall, options.level), options,
                            suite in trained if given else None)
        for suite in suites
    ]  # fmt: skip
    overall = average_over(contrasts, suites, options.overall, options.level)
    kind, notes = kind_and_notes
    return Comparison(
        base=base.label,
        candidate=candidate.label,
        base_kind=kind,
        tasks=tuple(contrast.comparison for contrast in contrasts),
        domains=tuple(domains),
        overall=_average_comparison("overall", overall, options, None),
        transfer=measure_transfer(contrasts, trained, options.overall, options.level),
        training=candidate.training,
        notes=notes,
    )


def _with_contradictions(comparison: Comparison, level: float) -> Comparison:
    """Add a note that names where interval and unadjusted p-value disagree about 0."""
    averages = [average for average in (*comparison.domains, comparison.overall) if len(average.tasks) > 1]
    rows: list[tuple[str, Estimate, float]] = [(task.task, task.difference, task.p_value) for task in comparison.tasks]
    rows += [(average.name, average.difference, average.p_value) for average in averages]
    names = [
        name
        for name, difference, p_value in rows
        if not math.isnan(difference.ci_low)
        and (difference.ci_low > 0 or difference.ci_high < 0) != (p_value < 1 - level)
    ]
    if not names:
        return comparison
    note = (
        f"interval and p-value disagree about 0 on {', '.join(names)}: they are two tests, and the exact ones behind p "
        "are discrete; call such a difference borderline"
    )
    return msgspec.structs.replace(comparison, notes=(*comparison.notes, note))


def _average_comparison(
    name: str, average: Average, options: CompareOptions, is_trained: bool | None
) -> AverageComparison:
    pairs = [contrast.pair for contrast in average.members]
    if len(pairs) == 1:  # a domain of one task is that task, tested the same way
        p_value, detectable = average.members[0].comparison.p_value, average.members[0].comparison.detectable
    else:
        rng = np.random.default_rng([options.seed, zlib.crc32(name.encode()), 2])
        sides = [(pair.base.means, pair.candidate.means, pair.clusters) for pair in pairs]
        p_value, _ = pooled_p_value(sides, list(average.weights), rng)
        detectable = _detectable(average, options.level)
    return AverageComparison(
        name=name,
        tasks=tuple(pair.name for pair in pairs),
        base=average.base,
        candidate=average.candidate,
        difference=average.difference,
        p_value=p_value,
        p_adjusted=p_value,
        detectable=detectable,
        decomposition=Decomposition(elicitation=average.elicitation, within=average.within, cells=()),
        is_trained=is_trained,
    )


def _detectable(average: Average, level: float) -> float:
    num_units = sum(contrast.comparison.difference.num_clusters for contrast in average.members)
    return detectable_by_sign_flip(*average.analytic, num_units, level)


def _adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Fill in Holm's p-values: one family of all tasks, one of all domains, one of the overall averages."""
    tasks = iter(holm([task.p_value for comparison in comparisons for task in comparison.tasks]))
    domains = iter(holm([domain.p_value for comparison in comparisons for domain in comparison.domains]))
    overall = iter(holm([comparison.overall.p_value for comparison in comparisons]))
    change = msgspec.structs.replace
    return [
        change(
            comparison,
            tasks=tuple(change(task, p_adjusted=next(tasks)) for task in comparison.tasks),
            domains=tuple(change(domain, p_adjusted=next(domains)) for domain in comparison.domains),
            overall=change(comparison.overall, p_adjusted=next(overall)),
        )
        for comparison in comparisons
    ]


def _repeats(label: LabelVerdicts, base: LabelVerdicts, options: CompareOptions) -> Repeats:
    tasks = _repeated_tasks(label, base)
    shared = {pair.name: pair.base.example_ids for pair in pair_tasks(base, label) if pair.name in tasks}
    scores, base_scores = _run_scores(label, shared), _run_scores(base, shared)
    level, draws = options.level, options.num_resamples
    # one training seed moves all its tasks together; repeated evaluations of one checkpoint do not
    whole_runs = label.num_checkpoints > 1
    mark = zlib.crc32(label.label.encode())
    difference = estimate_iqm_difference(
        base_scores, scores, level, draws, np.random.default_rng([options.seed, mark, 4]), whole_runs
    )
    if label.label == base.label:
        nan = math.nan
        difference = msgspec.structs.replace(
            difference, value=nan, stderr=nan, ci_low=nan, ci_high=nan, method="undefined: this is the base"
        )
    run_scores = scores.mean(axis=1)
    mean, deviation = spread(run_scores)
    return Repeats(
        label=label.label,
        num_runs=len(scores),
        num_checkpoints=label.num_checkpoints,
        tasks=tuple(tasks),
        interquartile_mean=estimate_iqm(
            scores, level, draws, np.random.default_rng([options.seed, mark, 3]), whole_runs
        ),
        difference=difference,
        mean=mean,
        run_scores=tuple(float(score) for score in run_scores),
        run_sd=deviation,
    )


def _repeated_tasks(label: LabelVerdicts, base: LabelVerdicts) -> list[str]:
    """Return the tasks that all of a label's repetitions and the base's have; none if the label has no repetition."""
    if len(label.repeats) < 2:
        return []
    everyone = (*label.repeats, *base.repeats)
    return [name for name in label.tasks if all(name in tasks for tasks in everyone)]


def _run_scores(label: LabelVerdicts, examples: Mapping[str, tuple[str, ...]]) -> Floats:
    """Return each repetition's score on each task, over the given examples: shape (R, T)."""
    found = []
    for tasks in label.repeats:
        wanted = {name: set(example_ids) for name, example_ids in examples.items()}
        rows = {name: [i for i, x in enumerate(tasks[name].example_ids) if x in wanted[name]] for name in examples}
        found.append([float(tasks[name].values[rows[name]].mean()) for name in examples])
    return np.array(found)
