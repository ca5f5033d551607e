"""judgment.json: what a judge found of one run's answers against another's, task by task."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.judging.answers import Answer
from harness.judging.metrics import order_summary, pair_games, task_metrics
from harness.judging.pair import AnsweredRun
from harness.judging.pairwise import Match
from harness.judging.protocol import JudgeProtocol
from harness.judging.records import JudgeIdentity
from harness.schema import Estimate, Example, Record, RequestKey, Score
from harness.stats.bradley_terry import Games
from harness.stats.estimate import cluster_numbers, estimate_mean


class JudgedSide(Record, frozen=True):
    """One of the two runs."""

    label: str
    spec_id: str
    weights: str
    """Digest."""
    kin: str | None
    """Why the judge is kin of this checkpoint; None if nothing is known that makes it so."""


class AnswerCounts(Record, frozen=True):
    """Answers of one side that were judged as they are, and that a reader should know of."""

    num_empty: int
    num_truncated: int


class TaskJudgment(Record, frozen=True):
    """What the verdicts on one task come to; b is the candidate."""

    task: str
    num_matches: int
    """Pairs of answers: examples × generations."""
    num_errors: int
    """Pairs without a readable verdict; they are in none of the numbers below."""
    num_identical: int
    """Pairs whose answers are the same text."""
    num_wins: int
    """Pairs of which b has more than half; fewer are losses."""
    num_ties: int
    win_rate: Estimate
    """Mean share of b's wins."""
    metrics: dict[str, Estimate]
    """lc_win_rate, length (b's characters) and baseline_length (a's)."""
    order_agreement: Estimate
    """Share of pairs in which both orders prefer the same side; nan where none was asked in both."""
    first_share: Estimate
    """How often the judge preferred what it saw first; nan for a reward model, which sees no order."""
    a: AnswerCounts
    b: AnswerCounts


class Judgment(Record, frozen=True):
    """b's answers against a's to the same prompts, by one judge."""

    a: JudgedSide
    b: JudgedSide
    judge: JudgeIdentity
    template: str | None
    """Its identity; None for a reward model."""
    swap: bool
    """Whether each pair was asked about in both orders."""
    strip: tuple[str, ...]
    """Tags of the reasoning that answers were judged without."""
    tasks: tuple[TaskJudgment, ...]
    harness_version: str
    finished_at: str
    """UTC, ISO 8601."""

    @property
    def num_errors(self) -> int:
        """Pairs without a readable verdict."""
        return sum(task.num_errors for task in self.tasks)


PROTOCOL = JudgeProtocol(kind="pair", templates=None, controls=("length",))
"""Of two runs' answers, whatever the task."""


def judge_task(
    task: str, run: AnsweredRun, matches: Sequence[Match], scores: Sequence[Score], seed: int = 0
) -> TaskJudgment:
    """Return what the scores of a task's matches come to.

    Args:
        task: its name.
        run: the baseline's, which has the examples.
        matches: all of the task's.
        scores: one per match.
        seed: of the bootstrap.
    """
    chosen = {match.key.example_id for match in matches}
    examples = [example for (name, each), example in run.examples.items() if name == task and each in chosen]
    read = sorted((score for score in scores if score.outcome != "error"), key=lambda score: score.key)
    orders = order_summary(read, examples)
    return TaskJudgment(
        task=task,
        num_matches=len(matches),
        num_errors=len(scores) - len(read),
        num_identical=sum(match.candidate.text == match.baseline.text for match in matches),
        num_wins=sum(score.value > 0.5 for score in read),
        num_ties=sum(score.value == 0.5 for score in read),
        win_rate=_win_rate(examples, read),
        metrics=task_metrics(PROTOCOL, examples, read, seed),
        order_agreement=orders.consistent,
        first_share=orders.first_share,
        a=_count([match.baseline for match in matches]),
        b=_count([match.candidate for match in matches]),
    )


def _win_rate(examples: Sequence[Example], scores: Sequence[Score]) -> Estimate:
    rows = {example.example_id: row for row, example in enumerate(examples)}
    sums, counts = np.zeros(len(examples)), np.zeros(len(examples))
    for score in scores:
        sums[rows[score.key.example_id]] += score.value
        counts[rows[score.key.example_id]] += 1
    judged = counts > 0  # all of an example's pairs may have ended in error
    clusters = cluster_numbers([example.cluster for example in examples])
    return estimate_mean(sums[judged], counts[judged], None if clusters is None else clusters[judged])


def _count(answers: Sequence[Answer]) -> AnswerCounts:
    return AnswerCounts(
        num_empty=sum(answer.is_empty for answer in answers),
        num_truncated=sum(not answer.is_finished for answer in answers),
    )


def join_games(
    baseline: str, scores: Mapping[str, Sequence[Score]], clusters: Mapping[tuple[str, str], str] | None = None
) -> Games:
    """Return the verdicts on several candidates, each against one baseline, for a Bradley-Terry model of them all.

    Args:
        baseline: its label.
        scores: of each candidate, by label; those that ended in error are left out.
        clusters: of examples that do not stand alone, by task and id: the turns of a conversation are one unit.
    """
    prompts: dict[tuple[str, str, bool], int] = {}
    parts, sides = [], []
    for number, found in enumerate(scores.values(), 1):
        read = [score for score in found if score.outcome != "error"]
        places = [_unit(score.key, clusters or {}) for score in read]
        units = np.array([prompts.setdefault(place, len(prompts)) for place in places], dtype=np.int64)
        part = pair_games(read, units, baseline, with_style=False)
        parts.append(part)
        sides.append(part.sides * number)
    return Games(
        models=(baseline, *scores),
        sides=np.concatenate(sides),
        shares=np.concatenate([part.shares for part in parts]),
        weights=np.concatenate([part.weights for part in parts if part.weights is not None]),
        clusters=np.concatenate([part.clusters for part in parts if part.clusters is not None]),
    )


def _unit(key: RequestKey, clusters: Mapping[tuple[str, str], str]) -> tuple[str, str, bool]:
    """Return the task and the cluster of a request's example, or the example where it has none."""
    cluster = clusters.get((key.task, key.example_id))
    return key.task, cluster or key.example_id, cluster is not None
