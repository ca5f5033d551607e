"""What the verdicts on a task come to, beside their mean: win rates without length and style, ratings, order effects.

Estimators are harness.stats' business; which measures of a score they read is this module's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from harness.judging.answers import STYLES
from harness.judging.protocol import JudgeProtocol
from harness.schema import Estimate, Example, Score
from harness.stats.bradley_terry import Games, Ints, estimate_strengths, style_terms
from harness.stats.estimate import Floats, cluster_numbers, estimate_amount, estimate_mean
from harness.stats.length_control import Battles, estimate_length_control

ORDERS = ("first", "second")
"""Where the candidate's answer stood; measures of these names are its share of a win."""


@dataclass(frozen=True)
class OrderSummary:
    """How much a judge's verdicts depend on which answer it saw first."""

    num_pairs: int
    num_both: int
    """Pairs that were judged in both orders."""
    consistent: Estimate
    """Share of those in which both orders prefer the same side, or both tie."""
    first_share: Estimate
    """How often the judge preferred what it saw first, ties half: 0.5 without position bias, of whatever quality the
    answers are, if both orders are asked or one is drawn by chance."""


def task_metrics(
    protocol: JudgeProtocol, examples: Sequence[Example], scores: Sequence[Score], seed: int = 0
) -> dict[str, Estimate]:
    """Return a judged task's further metrics, by name.

    Pairs: `characters` and `baseline_characters`, mean length of what was judged; `lc_win_rate` where the protocol
    controls length; `bradley_terry` and `style_win_rate` where it controls style: the win rate over the baseline that
    the Bradley-Terry model predicts, as it is and at equal style. Ratings: `rating`, `rating_1` and `rating_2` (first
    and second turns) on the judge's own scale, and `characters`.

    Args:
        protocol: of the task.
        examples: all of the task's.
        scores: those that did not end in error, in any order.
        seed: of the bootstraps.
    """
    scores = sorted(scores, key=lambda score: score.key)  # the same draws in whatever order verdicts came
    names = {example.example_id: example.cluster or f"#{example.example_id}" for example in examples}
    clusters = _numbers(names[score.key.example_id] for score in scores)
    if protocol.kind == "rating":
        return _rating_metrics(scores, clusters, protocol.highest)
    metrics = {
        "characters": estimate_amount(_column(scores, "length"), clusters),
        "baseline_characters": estimate_amount(_column(scores, "baseline_length"), clusters),
    }
    if "length" in protocol.controls:
        battles = pair_battles(scores, clusters)
        metrics["lc_win_rate"] = estimate_length_control(battles, np.random.default_rng(seed)).controlled
    if "style" in protocol.controls:
        for name, with_style in (("bradley_terry", False), ("style_win_rate", True)):
            games = pair_games(scores, clusters, protocol.baseline, with_style=with_style)
            standings = estimate_strengths(games, np.random.default_rng(seed))
            metrics[name] = standings.win_rates[games.models[1]]
    return metrics


def pair_battles(scores: Sequence[Score], clusters: Ints | None) -> Battles:
    """Return a row per judged pair for the length-controlled win rate.

    Both orders of a pair have the same lengths and difficulty, and the likelihood is linear in the preference: their
    mean in one row gives the same fit as two rows of half the weight.

    Args:
        scores: of pairs.
        clusters: shape (n,), number of each score's independent unit; None means that each stands alone.
    """
    has_difficulty = all("difficulty" in score.measures for score in scores)
    return Battles(
        preferences=np.array([score.value for score in scores], dtype=np.float64),
        gaps=_column(scores, "baseline_length") - _column(scores, "length"),
        difficulties=_column(scores, "difficulty") if has_difficulty else None,
        clusters=clusters,
    )


def pair_games(scores: Sequence[Score], clusters: Ints, baseline: str, *, with_style: bool) -> Games:
    """Return a row per verdict for the Bradley-Terry model: each order counts as often as its strength says.

    A pair without orders (a reward model's) is one verdict, its value.
    """
    rows, shares, weights = [], [], []
    for row, score in enumerate(scores):
        for order in [name for name in ORDERS if name in score.measures] or [""]:
            rows.append(row)
            shares.append(score.measures.get(order, score.value))
            weights.append(score.measures.get(f"{order}_weight", 1.0))
    return Games(
        models=(baseline or "baseline", "candidate"),
        sides=np.tile(np.array([1, 0]), (len(rows), 1)),
        shares=np.array(shares, dtype=np.float64),
        weights=np.array(weights, dtype=np.float64),
        clusters=clusters[rows],
        styles=_styles(scores)[rows] if with_style else None,
    )


def order_summary(scores: Sequence[Score], examples: Sequence[Example] = ()) -> OrderSummary:
    """Return how consistent a judge was over the orders of pairs, and how often it preferred what it saw first.

    Generations of one example are one unit, and so are the turns of a conversation where the examples are given.
    Scores that were judged in no order, a reward model's, are left out.
    """
    clusters = {example.example_id: example.cluster for example in examples if example.cluster}
    shown = [score for score in scores if any(order in score.measures for order in ORDERS)]
    both = [score for score in shown if "order_agreement" in score.parts]
    return OrderSummary(
        num_pairs=len(shown),
        num_both=len(both),
        consistent=_mean([score.parts["order_agreement"][0] for score in both], both, clusters),
        first_share=_mean([_first_share(score) for score in shown], shown, clusters),
    )


def _first_share(score: Score) -> float:
    """Return the share of a win of whichever answer was shown first, over the orders that were asked."""
    shares = {"first": score.measures.get("first"), "second": score.measures.get("second")}
    seen = [share if order == "first" else 1 - share for order, share in shares.items() if share is not None]
    return sum(seen) / len(seen)


def _rating_metrics(scores: Sequence[Score], clusters: Ints, highest: int) -> dict[str, Estimate]:
    ratings, turns = _column(scores, "rating"), _column(scores, "turn")
    chosen = {"rating": turns > 0, "rating_1": turns == 1, "rating_2": turns == 2}
    metrics = {
        name: _scaled(estimate_mean(ratings[rows] / highest, np.ones(int(rows.sum())), clusters[rows]), highest)
        for name, rows in chosen.items()
    }
    return metrics | {"characters": estimate_amount(_column(scores, "length"), clusters)}


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    names = ("value", "stderr", "ci_low", "ci_high")
    return msgspec.structs.replace(estimate, **{name: factor * getattr(estimate, name) for name in names})


def _styles(scores: Sequence[Score]) -> Floats:
    sides = []
    for prefix in ("", "baseline_"):
        counts = np.column_stack([_column(scores, prefix + name) for name in STYLES])
        sides += [_column(scores, f"{prefix}length"), counts]
    return style_terms(*sides)


def _mean(values: Sequence[float], scores: Sequence[Score], clusters: Mapping[str, str]) -> Estimate:
    units = _numbers(clusters.get(score.key.example_id, f"#{score.key.example_id}") for score in scores)
    return estimate_mean(np.array(values, dtype=np.float64), np.ones(len(values)), units)


def _column(scores: Sequence[Score], name: str) -> Floats:
    return np.array([score.measures[name] for score in scores], dtype=np.float64)


def _numbers(names: Iterable[str]) -> Ints:
    numbers = cluster_numbers(list(names))
    return np.zeros(0, dtype=np.int64) if numbers is None else numbers
