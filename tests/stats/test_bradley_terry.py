"""Bradley-Terry strengths: worked by hand, against two independent fits, by simulated coverage, and at the edges."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from harness.rows import read_jsonl
from harness.stats.bradley_terry import Games, estimate_strengths, fit_strengths, style_terms
from tests.calibration.draws import draw_games

ARENA = {
    "claude-3-5-sonnet-20240620": 0.0,
    "gpt-4o": -0.1745,
    "gpt-4o-mini": -0.6701,
    "claude-3-opus-20240229": -0.9088,
    "claude-3-haiku-20240307": -2.0599,
}
"""Strengths that docs/chat.md shows."""

ONE_WAY = "undefined: verdicts that link it with the baseline all go one way"


def duel(shares: list[float], **columns: np.ndarray) -> Games:
    """One candidate against the baseline."""
    return Games(("base", "candidate"), np.tile([1, 0], (len(shares), 1)), np.array(shares), **columns)


def read_arena(data_dir: Path) -> Games:
    rows = list(read_jsonl(data_dir / "arena_hard/battles_example.jsonl"))
    models = tuple(ARENA)
    shares = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}
    return Games(
        models=models,
        sides=np.array([[models.index(str(row["model_a"])), models.index(str(row["model_b"]))] for row in rows]),
        shares=np.array([shares[str(row["winner"])] for row in rows]),
        clusters=np.array([row["question_id"] for row in rows], dtype=np.int64),
    )


def test_two_models_have_the_weighted_mean() -> None:
    """A win that counts thrice, a tie and a loss: 3.5 of 5 is the win rate, log(3.5/1.5) the strength."""
    games = duel([1.0, 0.5, 0.0], weights=np.array([3.0, 1.0, 1.0]))
    assert expit(fit_strengths(games).values[1]) == pytest.approx(0.7)
    found = estimate_strengths(games, np.random.default_rng(0), 20)
    assert found.win_rates["candidate"].value == pytest.approx(0.7)
    assert found.strengths["candidate"].value == pytest.approx(math.log(3.5 / 1.5))


def test_strengths_add_along_a_chain() -> None:
    """B wins 2 of 3 against the baseline, C 3 of 4 against B: log 2, and log 2 + log 3."""
    sides = np.array([[1, 0]] * 3 + [[2, 1]] * 4)
    games = Games(("A", "B", "C"), sides, np.array([1, 1, 0, 1, 1, 1, 0], dtype=np.float64))
    assert fit_strengths(games).values == pytest.approx([0, math.log(2), math.log(6)])


def test_sides_may_be_swapped() -> None:
    """The second side's loss is the first one's win."""
    games = draw_games(30, np.random.default_rng(1), styled=True)
    assert games.styles is not None
    swapped = dataclasses.replace(games, sides=games.sides[:, ::-1], shares=1 - games.shares, styles=-games.styles)
    assert fit_strengths(swapped).values == pytest.approx(fit_strengths(games).values)


def test_style_is_taken_off() -> None:
    """Won by 4 : 1 where longer and 1 : 1 where as much shorter: strength log(4)/2, so 2/3 at equal length."""
    games = duel([0.8, 0.5], styles=np.array([[0.3], [-0.3]]))
    found = fit_strengths(games)
    assert expit(found.values[1]) == pytest.approx(2 / 3)
    assert found.styles == pytest.approx([math.log(2)])


def test_style_that_never_differs_changes_nothing() -> None:
    """Its effect is 0, the win rate the mean share."""
    found = fit_strengths(duel([1.0, 0.0, 0.7], styles=np.zeros((3, 4))))
    assert expit(found.values[1]) == pytest.approx(1.7 / 3)
    assert found.styles == pytest.approx(np.zeros(4))


def test_units_of_style_do_not_matter() -> None:
    """A term a thousand times as large gives the same strengths and effects."""
    games = draw_games(40, np.random.default_rng(2), styled=True)
    assert games.styles is not None
    larger = fit_strengths(dataclasses.replace(games, styles=1000 * games.styles))
    assert larger.values == pytest.approx(fit_strengths(games).values)
    assert larger.styles == pytest.approx(fit_strengths(games).styles)


def test_terms_of_style_are_arena_hards() -> None:
    """300 characters with 3 headers against 100 with 2: (300 − 100)/400 and (0.01 − 0.02)/1.03; empty is density 0."""
    found = style_terms(
        np.array([300.0, 0.0, 0.0]),
        np.array([[3.0], [0.0], [0.0]]),
        np.array([100.0, 50.0, 0.0]),
        np.array([[2.0], [1.0], [0.0]]),
    )
    assert found == pytest.approx(np.array([[0.5, -0.01 / 1.03], [-1.0, -0.02 / 1.02], [0.0, 0.0]]))


@pytest.mark.parametrize("styled", [False, True])
def test_fit_matches_scikit_learn(*, styled: bool) -> None:
    """Wins and losses in shares as weights of two rows: scikit-learn's unpenalised fit has the same strengths."""
    games = draw_games(50, np.random.default_rng(3), styled=styled)
    shares, weights = np.clip(games.shares, 0.25, 0.9), np.tile([1.0, 3.0], 150)
    design = np.zeros((300, 3))
    design[np.arange(300), games.sides[:, 0]] = 1
    design[np.arange(300), games.sides[:, 1]] = -1
    design = np.column_stack([design[:, 1:], np.zeros((300, 0)) if games.styles is None else games.styles])
    peer = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-10).fit(
        np.concatenate([design, design]),
        np.repeat([1, 0], 300),
        sample_weight=np.concatenate([weights * shares, weights * (1 - shares)]),
    )
    found = fit_strengths(dataclasses.replace(games, shares=shares, weights=weights))
    assert found.values[1:] == pytest.approx(peer.coef_[0][:2], abs=1e-6)


def test_arena_hards_example_matches_the_fixed_point(data_dir: Path) -> None:
    """2,136 verdicts, five models: Zermelo's iteration, worth = wins / Σ games/(own + other worth), ends there too."""
    games = read_arena(data_dir)
    wins = np.zeros((5, 5))
    for (left, right), share in zip(games.sides, games.shares, strict=True):
        wins[left, right] += share
        wins[right, left] += 1 - share
    met = wins + wins.T
    worth = np.ones(5)
    for _ in range(5000):
        worth = wins.sum(axis=1) / (met / (worth[:, None] + worth)).sum(axis=1)
        worth /= worth[0]
    assert len(games.shares) == 2136
    assert fit_strengths(games).values == pytest.approx(np.log(worth), abs=1e-8)
    assert fit_strengths(games).values == pytest.approx(list(ARENA.values()), abs=5e-5)


def test_questions_and_not_verdicts_are_the_units(data_dir: Path) -> None:
    """Verdicts on one question agree with each other: drawn one by one, their errors come out too small."""
    games = read_arena(data_dir)
    together = estimate_strengths(games, np.random.default_rng(4), 400).strengths
    alone = estimate_strengths(dataclasses.replace(games, clusters=None), np.random.default_rng(4), 400).strengths
    for model in list(ARENA)[1:]:
        assert alone[model].stderr < 0.85 * together[model].stderr
    assert (together["gpt-4o"].num_examples, together["gpt-4o"].num_clusters) == (2136, 120)


def test_intervals_cover() -> None:
    """80 samples of 80 questions: both strengths and a win rate are covered in 95 ± 7.3 % (three errors) of them."""
    rng = np.random.default_rng(5)
    truth = fit_strengths(draw_games(50_000, rng)).values
    covered = np.zeros(3)
    for _ in range(80):
        found = estimate_strengths(draw_games(80, rng), rng, 100)
        strong, weak, rate = found.strengths["strong"], found.strengths["weak"], found.win_rates["strong"]
        for column, (estimate, value) in enumerate([(strong, truth[1]), (weak, truth[2]), (rate, expit(truth[1]))]):
            covered[column] += estimate.ci_low <= value <= estimate.ci_high
    assert covered / 80 == pytest.approx(np.full(3, 0.95), abs=0.073)


def test_intervals_at_equal_style_cover() -> None:
    """60 samples of 80 questions: the win rate at equal length and the effect of length in 95 ± 8 % of them.

    The win rate with the lengths as they are is another number, which the interval mostly misses.
    """
    rng = np.random.default_rng(6)
    population = draw_games(30_000, rng, styled=True)
    truth = fit_strengths(population)
    raw = expit(fit_strengths(dataclasses.replace(population, styles=None)).values[1])
    scales = np.sqrt((population.styles**2).mean()) if population.styles is not None else math.nan
    covered, missed = np.zeros(2), 0
    for _ in range(60):
        games = draw_games(80, rng, styled=True)
        found = estimate_strengths(games, rng, 100)
        assert games.styles is not None
        rate, effect = found.win_rates["strong"], found.styles[0]
        true_effect = truth.styles[0] / scales * np.sqrt((games.styles**2).mean())
        covered += [
            rate.ci_low <= expit(truth.values[1]) <= rate.ci_high,
            effect.ci_low <= true_effect <= effect.ci_high,
        ]
        missed += not rate.ci_low <= raw <= rate.ci_high
    assert covered / 60 == pytest.approx([0.95, 0.95], abs=0.08)
    assert missed > 15


def test_a_model_that_always_wins_has_no_strength() -> None:
    """It has no maximum; the others keep theirs, as if it had not played."""
    games = draw_games(40, np.random.default_rng(7))
    winner = np.array([[3, 0], [3, 1], [2, 3]])
    extended = Games(
        (*games.models, "winner"),
        np.concatenate([games.sides, winner]),
        np.concatenate([games.shares, [1.0, 1.0, 0.0]]),
    )
    assert fit_strengths(extended).values[:3] == pytest.approx(fit_strengths(games).values)
    found = estimate_strengths(extended, np.random.default_rng(8), 20)
    for estimate in (found.strengths["winner"], found.win_rates["winner"]):
        assert math.isnan(estimate.value)
        assert math.isnan(estimate.stderr)
        assert estimate.method == ONE_WAY


def test_models_without_common_opponents_have_no_strength() -> None:
    """Two models that only met each other cannot be placed against the baseline."""
    games = Games(("A", "B", "C", "D"), np.array([[1, 0], [1, 0], [2, 3], [3, 2]]), np.array([1.0, 0.0, 1.0, 1.0]))
    found = fit_strengths(games)
    assert found.values == pytest.approx([0, 0, math.nan, math.nan], nan_ok=True)
    assert found.reasons == ("", "", *["no verdicts link it with the baseline"] * 2)


@pytest.mark.parametrize(
    ("shares", "styles", "reason"),
    [
        ([], None, "undefined: no verdicts link it with the baseline"),
        ([1.0, 1.0], None, ONE_WAY),
        ([0.0, 0.0], [0.1, -0.2], ONE_WAY),
        ([1.0, 0.0, 0.5], [0.3, 0.3, 0.3], "undefined: style and strength cannot be told apart"),
        ([1.0, 1.0, 0.0, 0.0], [0.3, 0.1, -0.1, -0.2], "undefined: style and strength cannot be told apart"),
    ],
    ids=["nothing", "all wins", "all losses", "always as much longer", "separated by length"],
)
def test_no_maximum_is_nan_with_its_reason(shares: list[float], styles: list[float] | None, reason: str) -> None:
    """No verdicts, one-way verdicts, and style that says the same as strength or as the verdicts."""
    columns = {} if styles is None else {"styles": np.array(styles)[:, None]}
    games = Games(("base", "candidate"), np.tile([1, 0], (len(shares), 1)), np.array(shares), **columns)
    found = estimate_strengths(games, np.random.default_rng(9), 20).win_rates["candidate"]
    assert math.isnan(found.value)
    assert math.isnan(found.ci_low)
    assert found.method == reason


def test_ties_link_both_ways() -> None:
    """All ties are 50 %, with no error to be seen and no interval."""
    found = estimate_strengths(duel([0.5] * 10), np.random.default_rng(10), 20)
    assert (found.win_rates["candidate"].value, found.win_rates["candidate"].stderr) == pytest.approx((0.5, 0))
    assert math.isnan(found.win_rates["candidate"].ci_low)
    assert found.num_undefined == 0


def test_one_resample_without_a_maximum_leaves_no_interval() -> None:
    """One loss in twelve questions is missing from some resamples: a value, the count of them, and no error."""
    found = estimate_strengths(duel([1.0] * 11 + [0.0]), np.random.default_rng(11), 100)
    assert found.win_rates["candidate"].value == pytest.approx(11 / 12)
    assert math.isnan(found.win_rates["candidate"].stderr)
    assert found.win_rates["candidate"].method == "undefined: resamples without a fit"
    assert 0 < found.num_undefined < 100


def test_draws_come_from_the_given_generator() -> None:
    """The same seed gives the same numbers, another seed others."""
    games = draw_games(20, np.random.default_rng(12))
    first, again, other = (estimate_strengths(games, np.random.default_rng(seed), 20) for seed in (1, 1, 2))
    assert first == again
    assert first.strengths["strong"].stderr != other.strengths["strong"].stderr


@pytest.mark.parametrize(
    ("shares", "columns", "message"),
    [
        ([1.5], {}, "outside"),
        ([1.0], {"weights": np.ones(2)}, "1 pairs, expected as many"),
        ([1.0], {"styles": np.array([[math.nan]])}, "nan or infinite"),
    ],
)
def test_rows_that_are_no_games_are_refused(shares: list[float], columns: dict[str, np.ndarray], message: str) -> None:
    """Shares outside [0, 1], columns of other lengths and missing style are errors, not numbers."""
    with pytest.raises(ValueError, match=message):
        duel(shares, **columns)


def test_unknown_models_are_refused() -> None:
    """A side is a number into the models."""
    with pytest.raises(ValueError, match="no number from 0 to 1"):
        Games(("A", "B"), np.array([[0, 2]]), np.array([1.0]))
