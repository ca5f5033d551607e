"""Judged conversation: win rates with and without length, strengths with and without style."""

from functools import cache

import numpy as np
from scipy.special import expit

from harness.stats.bradley_terry import estimate_strengths, fit_strengths
from harness.stats.length_control import (
    compare_length_control,
    controlled_preferences,
    estimate_length_control,
    fit_length_model,
)
from tests.calibration.draws import Rng, draw_battles, draw_games
from tests.calibration.experiment import Claim, Experiment, holds

NUM_RESAMPLES = 400


@cache
def true_rates(skill: float) -> tuple[float, float]:
    """Return raw and controlled win rate of a population of 200,000 battles."""
    population = draw_battles(200_000, np.random.default_rng(1), skill)
    model = fit_length_model(population)
    predicted = controlled_preferences(model, population.difficulty_terms).mean()
    return float(population.preferences.mean()), float(predicted)


@cache
def true_strengths(styled: bool) -> tuple[float, float]:
    """Return the strengths of the two models over the baseline, from 50,000 questions."""
    values = fit_strengths(draw_games(50_000, np.random.default_rng(2), styled=styled)).values
    return float(values[1]), float(values[2])


def win_rates(n: int, skill: float, *, is_nasty: bool = False) -> Experiment:
    """One model against the baseline."""

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        raw, controlled = true_rates(skill)
        found = estimate_length_control(draw_battles(n, rng, skill), rng, NUM_RESAMPLES)
        return (
            holds(found.raw, raw),
            holds(found.controlled, controlled),
            holds(found.length_effect, raw - controlled),
        )

    claims = ("win rate", "length-controlled win rate", "length effect")
    return Experiment(
        f"{n} instructions, skill {skill:+g}".replace("-", "−"),
        tuple(Claim(what) for what in claims),
        trial,
        0.04,
        is_nasty,
    )


def contrast(n: int, skill: float) -> Experiment:
    """Two models on the same instructions, whose lengths and verdicts are drawn apart."""

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        sides = draw_battles(n, rng), draw_battles(n, rng, skill)
        truth = np.subtract(true_rates(skill), true_rates(-0.5))
        found = compare_length_control(*sides, rng, NUM_RESAMPLES)
        return holds(found.controlled, truth[1]), holds(found.length_effect, truth[0] - truth[1])

    claims = (Claim("difference of length-controlled win rates"), Claim("difference of length effects"))
    return Experiment(f"{n} instructions, skills −0.5 and {skill:+g}", claims, trial, 0.04)


def strengths(num_questions: int, *, styled: bool = False, is_nasty: bool = False) -> Experiment:
    """Three models, both orders, questions with favourites."""

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        strong, weak = true_strengths(styled)
        found = estimate_strengths(draw_games(num_questions, rng, styled=styled), rng, NUM_RESAMPLES)
        return (
            holds(found.strengths["strong"], strong),
            holds(found.strengths["weak"], weak),
            holds(found.win_rates["strong"], float(expit(strong))),
        )

    claims = ("strength of the better model", "strength of the worse model", "win rate from strengths")
    design = f"three models, {num_questions} questions" + (", style controlled" if styled else "")
    return Experiment(design, tuple(Claim(f"Bradley-Terry: {what}") for what in claims), trial, 0.04, is_nasty)


EXPERIMENTS = [
    win_rates(80, -0.5),
    win_rates(400, 0.0),
    win_rates(50, -0.5, is_nasty=True),
    contrast(150, 0.2),
    strengths(80),
    strengths(80, styled=True),
    strengths(20, is_nasty=True),
]
