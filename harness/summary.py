"""From a run's generations and scores to one TaskSummary per task. Reads each file once; keeps sums, not texts.

Of judged tasks it keeps the scores: their metrics are no means.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from harness.errors import StoreError
from harness.interfaces import BatchScorer
from harness.plan import Marks, PlannedTask, describe_key
from harness.schema import Estimate, Generation, Score, TaskSummary
from harness.stats.estimate import Floats, cluster_numbers, estimate_mean

PRIMARY = ""
"""Name of the primary verdict among the named ones."""


def summarise_run(
    planned: Sequence[PlannedTask], generations: Iterable[Generation], scores: Iterable[Score], level: float = 0.95
) -> tuple[TaskSummary, ...]:
    """Summarise every task of a run.

    Raises:
        StoreError: if a planned request has no generation or score, or an unplanned or doubled one is there.
    """
    tallies = {item.ref.name: _Tally(item) for item in planned}
    generated, scored = Marks(planned), Marks(planned)
    for generation in generations:
        generated.add(generation.key)
        tallies[generation.key.task].add_generation(generation)
    for score in scores:
        scored.add(score.key)
        tallies[score.key.task].add_score(score)
    for item in planned:
        for marks, what in ((generated, "generation"), (scored, "score")):
            if (missing := marks.first_missing(item.ref.name)) is not None:
                raise StoreError(f"{describe_key(missing)} has no {what}; run the same command again to resume")
    return tuple(_summarise_task(item, tallies[item.ref.name], level) for item in planned)


class _Tally:
    """Running counts of one task; verdicts are summed per example, which is all an estimate needs."""

    def __init__(self, item: PlannedTask) -> None:
        self._rows = item.rows
        self.judged: list[Score] | None = [] if isinstance(item.scorer, BatchScorer) else None
        self.verdicts: dict[str, tuple[Floats, Floats]] = {}
        self.outcomes: Counter[str] = Counter()
        self.finishes: Counter[str] = Counter()
        self.num_tokens = 0
        self.num_without_tokens = 0
        self.seconds = 0.0

    def add_generation(self, generation: Generation) -> None:
        self.finishes[generation.finish_reason] += 1
        self.num_tokens += generation.num_completion_tokens or 0
        self.num_without_tokens += generation.num_completion_tokens is None
        self.seconds += generation.seconds

    def add_score(self, score: Score) -> None:
        self.outcomes[score.outcome] += 1
        if score.outcome == "error":
            return  # not a verdict: the run is incomplete and says so, the estimate is over the others
        if self.judged is not None:
            self.judged.append(score)
        row = self._rows[score.key.example_id]
        self._add_verdicts(PRIMARY, row, (score.value,))
        for name, units in score.parts.items():
            self._add_verdicts(name, row, units)

    def _add_verdicts(self, name: str, row: int, units: tuple[float, ...]) -> None:
        if name not in self.verdicts:
            self.verdicts[name] = (np.zeros(len(self._rows)), np.zeros(len(self._rows)))
        sums, counts = self.verdicts[name]
        sums[row] += sum(units)
        counts[row] += len(units)


def _summarise_task(item: PlannedTask, tally: _Tally, level: float) -> TaskSummary:
    ref, k = item.ref, item.ref.sampling.num_generations
    none = (np.zeros(len(item.examples)), np.zeros(len(item.examples)))
    verdicts = {PRIMARY: none, **tally.verdicts}
    estimates = {name: _estimate(item, *verdicts[name], level) for name in sorted(verdicts)}
    return TaskSummary(
        task=ref.name,
        version=ref.version,
        suite=ref.suite,
        metric=item.task.metric if k == 1 else f"avg@{k} {item.task.metric}",
        score=estimates.pop(PRIMARY),
        other_metrics=estimates | _judge_metrics(item, tally.judged),
        num_examples=len(item.examples),
        num_generations=k,
        num_planned=item.num_requests,
        num_scored=tally.outcomes["scored"],
        num_no_answer=tally.outcomes["no_answer"],
        num_timeout=tally.outcomes["timeout"],
        num_error=tally.outcomes["error"],
        num_truncated=tally.finishes["length"],
        num_finish_unknown=tally.finishes["unknown"],
        num_completion_tokens=None if tally.num_without_tokens else tally.num_tokens,
        seconds=tally.seconds,
    )


def _judge_metrics(item: PlannedTask, scores: list[Score] | None) -> dict[str, Estimate]:
    """Return what a judge's verdicts come to beside their mean; nothing where no judge scored."""
    if scores is None:
        return {}
    assert isinstance(item.scorer, BatchScorer), "scores are kept for judges alone"
    return item.scorer.metrics(item.examples, scores)


def _estimate(item: PlannedTask, sums: Floats, counts: Floats, level: float) -> Estimate:
    given = counts > 0
    numbers = cluster_numbers([example.cluster for example in item.examples])
    clusters = None if numbers is None else numbers[given]
    return estimate_mean(sums[given], counts[given], clusters, level)
