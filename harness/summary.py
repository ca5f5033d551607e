"""From a run's generations and scores to one TaskSummary per task. Reads each file once; keeps numbers, not texts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.errors import StoreError
from harness.plan import PlannedTask
from harness.schema import Estimate, Generation, RequestKey, Score, TaskSummary
from harness.stats.estimate import estimate_mean


def summarise_run(
    planned: Sequence[PlannedTask], generations: Iterable[Generation], scores: Iterable[Score], level: float = 0.95
) -> tuple[TaskSummary, ...]:
    """Summarise every task of a run.

    Raises:
        StoreError: if a planned request has no generation or score, or an unplanned or doubled one is there.
    """
    tallies = {item.ref.name: _Tally() for item in planned}
    for generation in generations:
        _tally_of(tallies, generation.key).add_generation(generation)
    for score in scores:
        _tally_of(tallies, score.key).add_score(score)
    return tuple(_summarise_task(item, tallies[item.ref.name], level) for item in planned)


@dataclass
class _Tally:
    """Running counts of one task."""

    generated: set[tuple[str, int]] = field(default_factory=set)
    values: dict[tuple[str, int], float] = field(default_factory=dict)
    parts: dict[str, dict[tuple[str, int], tuple[float, ...]]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    finishes: Counter[str] = field(default_factory=Counter)
    num_tokens: int = 0
    num_without_tokens: int = 0
    seconds: float = 0.0

    def add_generation(self, generation: Generation) -> None:
        place = (generation.key.example_id, generation.key.index)
        if place in self.generated:
            raise StoreError(f"two generations for {generation.key}: the run directory was edited; use --fresh")
        self.generated.add(place)
        self.finishes[generation.finish_reason] += 1
        self.num_tokens += generation.num_completion_tokens or 0
        self.num_without_tokens += generation.num_completion_tokens is None
        self.seconds += generation.seconds

    def add_score(self, score: Score) -> None:
        place = (score.key.example_id, score.key.index)
        if place in self.values:
            raise StoreError(f"two scores for {score.key}: the run directory was edited; use --fresh")
        self.values[place] = score.value
        self.outcomes[score.outcome] += 1
        for name, units in score.parts.items():
            self.parts.setdefault(name, {})[place] = units


def _tally_of(tallies: dict[str, _Tally], key: RequestKey) -> _Tally:
    if key.task not in tallies:
        raise StoreError(f"{key} is not in the plan: the run directory was edited; use --fresh")
    return tallies[key.task]


def _summarise_task(item: PlannedTask, tally: _Tally, level: float) -> TaskSummary:
    ref, k = item.ref, item.ref.sampling.num_generations
    places = {(example.example_id, index) for example in item.examples for index in range(k)}
    for found, what in ((tally.generated, "generation"), (set(tally.values), "score")):
        if found != places:
            example_id, index = sorted(found ^ places)[0]
            raise StoreError(f"{ref.name}: {what} of {example_id}#{index} is missing or not in the plan; use --fresh")
    units = {place: (value,) for place, value in tally.values.items()}
    return TaskSummary(
        task=ref.name,
        version=ref.version,
        suite=ref.suite,
        metric=f"{item.task.metric}" if k == 1 else f"avg@{k} {item.task.metric}",
        score=_estimate(item, units, level),
        other_metrics={name: _estimate(item, found, level) for name, found in sorted(tally.parts.items())},
        num_examples=len(item.examples),
        num_generations=k,
        num_planned=len(places),
        num_scored=tally.outcomes["scored"],
        num_no_answer=tally.outcomes["no_answer"],
        num_timeout=tally.outcomes["timeout"],
        num_error=tally.outcomes["error"],
        num_truncated=tally.finishes["length"],
        num_finish_unknown=tally.finishes["unknown"],
        num_completion_tokens=None if tally.num_without_tokens else tally.num_tokens,
        seconds=tally.seconds,
    )


def _estimate(item: PlannedTask, units: Mapping[tuple[str, int], tuple[float, ...]], level: float) -> Estimate:
    k = item.ref.sampling.num_generations
    verdicts = [
        [unit for index in range(k) for unit in units.get((example.example_id, index), ())] for example in item.examples
    ]
    has_any = [bool(found) for found in verdicts]
    sums = np.array([sum(found) for found in verdicts if found], dtype=np.float64)
    counts = np.array([len(found) for found in verdicts if found], dtype=np.float64)
    clusters = None
    if any(example.cluster is not None for example in item.examples):
        names = [example.cluster or f"\0{example.example_id}" for example in item.examples]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        clusters = np.array([numbers[name] for name, found in zip(names, has_any, strict=True) if found])
    return estimate_mean(sums, counts, clusters, level)
