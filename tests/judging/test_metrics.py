"""What verdicts come to: metrics worked by hand, order effects, and a model that is judged against itself."""

import math

import msgspec
import numpy as np
import pytest
from scipy.special import expit

from harness.judging.metrics import order_summary, pair_battles, pair_games, task_metrics
from harness.judging.protocol import JudgeProtocol
from harness.schema import Example, RequestKey, Score
from harness.stats.estimate import estimate_mean
from harness.stats.length_control import estimate_length_control

ALPACA = JudgeProtocol(kind="pair", templates=None, baseline="gpt4_1106_preview", controls=("length",))
ARENA = JudgeProtocol(kind="pair", templates=None, baseline="gpt-4-0314", strong_weight=3, controls=("style",))
RATING = JudgeProtocol(kind="rating", templates=None)


def example(name: str, cluster: str | None = None) -> Example:
    return Example(task="toy", example_id=name, input="Why?", target="Because.", cluster=cluster)


def pair_score(name: str, first: float | None, second: float | None, index: int = 0, **measures: float) -> Score:
    """A judged pair, both orders or one; strong verdicts by `first_weight` and `second_weight`."""
    shares = {order: share for order, share in (("first", first), ("second", second)) if share is not None}
    weights = {order: measures.get(f"{order}_weight", 1.0) for order in shares}
    value = sum(shares[order] * weights[order] for order in shares) / sum(weights.values())
    sides = {(share > 0.5) - (share < 0.5) for share in shares.values()}
    styles = {f"{side}{name}": 0.0 for side in ("", "baseline_") for name in ("headers", "lists", "bold")}
    return Score(
        key=RequestKey(task="toy", example_id=name, index=index),
        value=value,
        outcome="scored",
        answer=None,
        scorer="judge@1",
        parts={"order_agreement": (float(len(sides) == 1),)} if len(shares) == 2 else {},
        measures={
            "length": 100.0, "baseline_length": 100.0, **styles, **shares,
            **{f"{order}_weight": weight for order, weight in weights.items()}, **measures,
        },
    )  # fmt: skip


def rating_score(name: str, rating: float, turn: int, length: float = 50.0) -> Score:
    return Score(
        key=RequestKey(task="toy", example_id=name, index=0),
        value=rating / 10,
        outcome="scored",
        answer=None,
        scorer="judge@1",
        measures={"rating": rating, "turn": float(turn), "length": length},
    )


def judge_itself(rng: np.random.Generator, orders: str, num_pairs: int = 60) -> list[Score]:
    """A model against itself, before a judge that prefers what it sees first in 70 % of its verdicts.

    How sure the judge is of that differs between pairs.
    """
    scores = []
    for number, bias in enumerate(rng.beta(7, 3, num_pairs)):
        drawn = {"both": ("first", "second"), "first": ("first",), "one": (("first", "second")[rng.integers(2)],)}
        shares = {order: float(rng.random() < (bias if order == "first" else 1 - bias)) for order in drawn[orders]}
        scores.append(pair_score(f"q{number}", shares.get("first"), shares.get("second")))
    return scores


def coverage_of_half(orders: str, num_samples: int = 300) -> tuple[float, float]:
    """Return how often the interval of the win rate holds 50 %, and the mean win rate."""
    rng = np.random.default_rng(20)
    estimates = []
    for _ in range(num_samples):
        values = np.array([score.value for score in judge_itself(rng, orders)])
        estimates.append(estimate_mean(values, np.ones(len(values)), None))
    held = [estimate.ci_low <= 0.5 <= estimate.ci_high for estimate in estimates]
    return float(np.mean(held)), float(np.mean([estimate.value for estimate in estimates]))


def test_a_model_against_itself_is_half_in_both_orders() -> None:
    """A judge with position bias: mean 50 %, which the interval covers as often as it says."""
    held, mean = coverage_of_half("both")
    assert held == pytest.approx(0.95, abs=0.038)  # three errors of 300 samples
    assert mean == pytest.approx(0.5, abs=0.008)


def test_one_order_alone_is_the_judges_bias() -> None:
    """Always shown first, the model wins 70 % against itself, and the interval excludes 50 % nearly always."""
    held, mean = coverage_of_half("first")
    assert held < 0.2
    assert mean == pytest.approx(0.7, abs=0.015)


def test_an_order_drawn_by_chance_is_right_and_less_precise() -> None:
    """Without swap the drawn order is not biased, but its error is larger: bias is noise then."""
    held, mean = coverage_of_half("one")
    assert held == pytest.approx(0.95, abs=0.038)
    assert mean == pytest.approx(0.5, abs=0.015)
    rng = np.random.default_rng(21)
    spread = {
        orders: np.std([np.mean([score.value for score in judge_itself(rng, orders)]) for _ in range(200)])
        for orders in ("both", "one")
    }
    assert spread["one"] > 1.4 * spread["both"]


def test_first_share_shows_the_bias_whatever_the_answers_are() -> None:
    """A judge that adds 1 to the log-odds of what it sees first: sigmoid(1) or so, for equal and unequal answers."""
    rng = np.random.default_rng(22)
    for strength in (0.0, 2.0):
        scores = [
            pair_score(f"q{number}", float(expit(gap + 1)), float(expit(gap - 1)))
            for number, gap in enumerate(rng.normal(strength, 0.1, 200))
        ]
        first = (expit(strength + 1) + 1 - expit(strength - 1)) / 2
        assert order_summary(scores).first_share.value == pytest.approx(first, abs=0.01)
        assert order_summary(scores).first_share.ci_low > 0.5


def test_order_summary_counts() -> None:
    """Of three pairs in both orders two agree; what was seen first won in 1, ½ and 0 of them, and in the single one."""
    scores = [
        pair_score("a", 1.0, 0.0),
        pair_score("b", 1.0, 1.0),
        pair_score("c", 0.5, 0.5),
        pair_score("d", None, 0.0),
    ]
    found = order_summary(scores)
    assert (found.num_pairs, found.num_both) == (4, 3)
    assert found.consistent.value == pytest.approx(2 / 3)
    assert found.consistent.method == "wilson"
    assert found.first_share.value == pytest.approx((1 + 0.5 + 0.5 + 1) / 4)


def test_order_summary_of_a_reward_model_is_empty() -> None:
    """It sees no order: nothing is counted, nothing estimated."""
    score = pair_score("a", 1.0, 0.0)
    measures = {name: number for name, number in score.measures.items() if not name.startswith(("first", "second"))}
    found = order_summary([msgspec.structs.replace(score, measures=measures, parts={})])
    assert (found.num_pairs, found.num_both) == (0, 0)
    assert math.isnan(found.consistent.value)
    assert math.isnan(found.first_share.value)


def test_generations_of_one_example_are_one_unit() -> None:
    """Both of an example's generations in one cluster; two examples are two units."""
    scores = [pair_score(name, 1.0, 0.0, index) for name in ("a", "b") for index in (0, 1)]
    assert order_summary(scores).consistent.num_clusters == 2
    assert task_metrics(ALPACA, [example("a"), example("b")], scores)["characters"].num_clusters == 2


def test_lengths_are_means_in_characters() -> None:
    """Mean and standard error of 100, 200 and 600 characters: 300 and 153; no bound at 1."""
    scores = [
        pair_score(name, 1.0, 0.5, length=length, baseline_length=150.0)
        for name, length in (("a", 100.0), ("b", 200.0), ("c", 600.0))
    ]
    found = task_metrics(ALPACA, [example(name) for name in "abc"], scores)
    assert (found["characters"].value, found["characters"].stderr) == pytest.approx((300, math.sqrt(70_000 / 3)))
    assert found["characters"].ci_high > 600
    assert found["characters"].ci_low == 0
    assert (found["baseline_characters"].value, found["baseline_characters"].stderr) == (150, 0)
    assert math.isnan(found["baseline_characters"].ci_low)


def draw_pairs(num_pairs: int, seed: int) -> list[Score]:
    rng = np.random.default_rng(seed)
    lengths, others = rng.integers(50, 400, (2, num_pairs))
    bias = rng.normal(0.6, 0.2, num_pairs)
    log_odds = (lengths - others) / 150
    return [
        pair_score(
            f"q{row}",
            float(expit(log_odds[row] + bias[row])),
            float(expit(log_odds[row] - bias[row])),
            length=float(lengths[row]),
            baseline_length=float(others[row]),
            difficulty=float(rng.normal()),
        )
        for row in range(num_pairs)
    ]


def test_length_controlled_win_rate_is_that_of_the_battles() -> None:
    """Gap is baseline's minus own length; in one row per pair, with difficulty where all pairs have one."""
    scores = sorted(draw_pairs(60, 1), key=lambda score: score.key)
    examples = [example(score.key.example_id) for score in scores]
    battles = pair_battles(scores, None)
    assert battles.gaps[0] == scores[0].measures["baseline_length"] - scores[0].measures["length"]
    assert battles.difficulties is not None
    found = task_metrics(ALPACA, examples, scores, seed=3)["lc_win_rate"]
    expected = estimate_length_control(battles, np.random.default_rng(3)).controlled
    assert found == expected
    without = [*scores[:-1], pair_score("q99", 0.7, 0.6)]
    assert pair_battles(without, None).difficulties is None


def test_a_row_per_order_gives_the_same_fit() -> None:
    """The likelihood is linear in the preference: two orders in two rows, in one cluster, have the same estimates."""
    scores = draw_pairs(50, 2)
    once = pair_battles(scores, np.arange(50))
    shares = np.array([[score.measures["first"], score.measures["second"]] for score in scores])
    assert once.difficulties is not None
    twice = type(once)(
        shares.ravel(), np.repeat(once.gaps, 2), np.repeat(once.difficulties, 2), np.repeat(np.arange(50), 2)
    )
    one, two = (estimate_length_control(battles, np.random.default_rng(4), 100).controlled for battles in (once, twice))
    # The sample standard deviation of the gaps divides by one less than the number of rows.
    assert two.value == pytest.approx(one.value, abs=1e-4)
    assert two.stderr == pytest.approx(one.stderr, rel=0.01)


def test_strong_verdicts_count_thrice() -> None:
    """A>>B in one order, a tie in the other, a plain loss in both: (3 + 0.5)/6, while the mean score is 3.5/8."""
    scores = [pair_score("a", 1.0, 0.5, first_weight=3.0), pair_score("b", 0.0, 0.0)]
    found = task_metrics(ARENA, [example("a"), example("b")], scores)
    assert found["bradley_terry"].value == pytest.approx(3.5 / 6)
    assert np.mean([score.value for score in scores]) == pytest.approx(3.5 / 8)


def test_style_win_rate_takes_length_off() -> None:
    """Longer answers win 80 %, as much shorter ones 50 %: 2/3 at equal style, 65 % as it is."""
    lengths = {True: {"length": 300.0, "baseline_length": 100.0}, False: {"length": 100.0, "baseline_length": 300.0}}
    scores = [
        pair_score(f"q{number}", share, share, **lengths[is_long])
        for number, (share, is_long) in enumerate([(0.8, True), (0.5, False)] * 20)
    ]
    found = task_metrics(ARENA, [example(f"q{number}") for number in range(40)], scores)
    assert found["bradley_terry"].value == pytest.approx(0.65)
    assert found["style_win_rate"].value == pytest.approx(2 / 3)
    assert found["style_win_rate"].num_clusters == 40


def test_pairs_without_orders_are_one_verdict() -> None:
    """A reward model's preference counts once, as it is."""
    score = pair_score("a", 1.0, 0.0)
    measures = {name: number for name, number in score.measures.items() if not name.startswith(("first", "second"))}
    games = pair_games(
        [msgspec.structs.replace(score, value=0.8, measures=measures)], np.array([0]), "", with_style=False
    )
    assert games.models == ("baseline", "candidate")
    assert (games.shares.tolist(), games.sides.tolist()) == ([0.8], [[1, 0]])


def test_lost_verdicts_leave_win_rates_undefined_with_a_reason() -> None:
    """Every verdict lost: the Bradley-Terry model has no maximum, and its estimate says so."""
    found = task_metrics(ARENA, [example("a"), example("b")], [pair_score(name, 0.0, 0.0) for name in "ab"])
    for name in ("bradley_terry", "style_win_rate"):
        assert math.isnan(found[name].value)
        assert "all go one way" in found[name].method


def test_ratings_are_on_the_judges_scale_by_turn() -> None:
    """Turns of one question are one unit: ratings 8, 4, 6 and 10 have mean 7, first turns 7, second turns 7."""
    examples = [example(f"{question}-{turn}", cluster=question) for question in "ab" for turn in (1, 2)]
    scores = [rating_score(*row) for row in (("a-1", 8.0, 1), ("a-2", 4.0, 2), ("b-1", 6.0, 1), ("b-2", 10.0, 2))]
    found = task_metrics(RATING, examples, scores)
    assert {name: found[name].value for name in ("rating", "rating_1", "rating_2", "characters")} == pytest.approx(
        {"rating": 7, "rating_1": 7, "rating_2": 7, "characters": 50}
    )
    assert (found["rating"].num_examples, found["rating"].num_clusters) == (4, 2)
    # Question means 6 and 8: standard error 1. As four ratings on their own it would be 1.29.
    assert found["rating"].stderr == pytest.approx(1)
    assert found["rating_2"].ci_high <= 10


def test_verdicts_may_come_in_any_order() -> None:
    """The same scores in another order have the same metrics, draws included."""
    scores = draw_pairs(40, 5)
    examples = [example(score.key.example_id) for score in scores]
    protocol = JudgeProtocol(kind="pair", templates=None, baseline="b", controls=("length", "style"))
    assert task_metrics(protocol, examples, scores) == task_metrics(protocol, examples[::-1], scores[::-1])


@pytest.mark.parametrize("protocol", [ALPACA, ARENA, RATING], ids=["length", "style", "rating"])
def test_no_scores_give_undefined_metrics(protocol: JudgeProtocol) -> None:
    """All requests ended in error: every metric is there, as nan."""
    found = task_metrics(protocol, [example("a")], [])
    assert len(found) >= 3
    assert all(math.isnan(estimate.value) for estimate in found.values())


def test_each_turn_has_the_mean_of_its_own_ratings() -> None:
    """By hand: first turns 8 and 6, second turns 3 and 1; in all 4.5."""
    scores = [rating_score("a1", 8, 1), rating_score("a2", 3, 2), rating_score("b1", 6, 1), rating_score("b2", 1, 2)]
    examples = [
        msgspec.structs.replace(example(each.key.example_id), cluster=each.key.example_id[0]) for each in scores
    ]
    found = task_metrics(RATING, examples, scores)
    assert [found[name].value for name in ("rating", "rating_1", "rating_2")] == pytest.approx([4.5, 7, 2])
    assert [found[name].num_examples for name in ("rating", "rating_1", "rating_2")] == [4, 2, 2]
