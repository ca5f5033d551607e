"""Simulated evaluations whose truth is known, shared by the calibration and by the tests of single estimators."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import expit

from harness.comparison.contrast import Settings, contrast_task
from harness.comparison.sample import sample_task
from harness.elicit import choose_styles
from harness.findings import Decomposition
from harness.pairing import LabelVerdicts, pair_tasks
from harness.stats.bradley_terry import Games
from harness.stats.estimate import Floats
from harness.stats.length_control import Battles
from harness.verdicts import TaskVerdicts
from tests.labels import make_label, make_task

Rng = np.random.Generator
Shares = tuple[float, float]


def solvable(share: float) -> Callable[[Rng, int], Floats]:
    """Return a task of which only a share of the examples can be solved at all, each with its own chance, k = 8."""
    return lambda rng, n: (rng.random(n) < share) * rng.binomial(8, rng.random(n)) / 8


HARD: dict[str, tuple[int, float, Callable[[Rng, int], Floats]]] = {
    "30 examples, k = 32, Beta(0.1, 2)": (30, 0.1 / 2.1, lambda rng, n: rng.binomial(32, rng.beta(0.1, 2, n)) / 32),
    "30 examples, a tenth solvable": (30, 0.05, solvable(0.1)),
    "164 examples, 3 % solvable": (164, 0.015, solvable(0.03)),
    "30 examples, nearly all right": (30, 2 / 2.1, lambda rng, n: rng.binomial(8, rng.beta(2, 0.1, n)) / 8),
    "500 examples, Beta(0.2, 2)": (500, 0.2 / 2.2, lambda rng, n: rng.binomial(8, rng.beta(0.2, 2, n)) / 8),
}
"""Examples, true mean and a draw of scores of tasks that are skewed."""


def draw_means(rng: Rng, num_examples: int, k: int, gain: float = 0.0) -> tuple[Floats, Floats]:
    """Mean scores over k generations of two checkpoints on examples of different difficulty."""
    skill = rng.uniform(0.1, 0.9, num_examples)
    return rng.binomial(k, skill, num_examples) / k, rng.binomial(k, skill + gain, num_examples) / k


def draw_clustered_means(rng: Rng, sizes: list[int], k: int) -> tuple[Floats, Floats, np.ndarray]:
    """Mean scores of two checkpoints and cluster numbers; sources gain or lose together, 0.05 on average."""
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    skill = rng.uniform(0.2, 0.7, len(sizes))[clusters]
    steps = rng.uniform(-0.2, 0.3, len(sizes)) if k > 1 else rng.choice([-0.2, 0.3], len(sizes))
    return rng.binomial(k, skill) / k, rng.binomial(k, skill + steps[clusters]) / k, clusters


PARTS: dict[str, tuple[int, int, Shares, Shares]] = {
    "a base that rarely ends, n = 30": (30, 1, (0.08, 0.9), (0.5, 0.5)),
    "the same, k = 4": (30, 4, (0.08, 0.9), (0.5, 0.5)),
    "hardly any truncation, n = 30": (30, 1, (0.97, 0.99), (0.5, 0.5)),
    "low accuracy, n = 164": (164, 1, (0.5, 0.8), (0.05, 0.1)),
    "k = 4, n = 164": (164, 4, (0.3, 0.9), (0.4, 0.5)),
}
"""Examples, k, shares that finish (base, candidate), accuracy of what finished."""


def draw_parts(rng: Rng, n: int, k: int, finishes: Shares, accuracies: Shares) -> Decomposition:
    """Return the parts of one simulated comparison in which what does not finish has no answer."""
    sides = []
    for label, finish, accuracy in zip(("base", "new"), finishes, accuracies, strict=True):
        finished = rng.random((n, k)) < finish
        right = finished & (rng.random((n, k)) < accuracy)
        sides.append(make_label(label, make_task("t", right, answered=finished, truncated=~finished)))
    (pair,) = pair_tasks(*sides)
    base, others = sample_task(pair.base, {"new": pair.candidate}, None, int(rng.integers(1 << 30)), 400)
    return contrast_task(pair, base, others["new"], {}, None, Settings(0.95, 0, 400)).comparison.decomposition


def noisy_sides(rng: Rng, n: int, k: int, losses: tuple[float, ...]) -> tuple[LabelVerdicts, LabelVerdicts]:
    """Return labels with one task per loss; an example's chance of success differs by the loss between the sides."""
    tasks: tuple[list[TaskVerdicts], list[TaskVerdicts]] = ([], [])
    for number, loss in enumerate(losses):
        chance = 0.2 + 0.6 * rng.random(n)
        for side, p in zip(tasks, (chance, chance - loss), strict=True):
            task = make_task(f"t{number}", rng.binomial(1, p[:, None], (n, k)), suite="math", finish_known=False)
            side.append(replace(task, num_tokens=np.full((n, k), np.nan)))
    return make_label("b", *tasks[0]), make_label("c", *tasks[1])


def losing_sides(rng: Rng, sizes: tuple[int, ...], share: float, k: int = 1) -> tuple[LabelVerdicts, LabelVerdicts]:
    """Return labels of which the baseline is right everywhere; the candidate loses a share of the examples wholly."""
    losses = [np.repeat(rng.random((n, 1)) < share, k, axis=1) for n in sizes]
    baseline = make_label("b", *(make_task(f"t{i}", np.ones(lost.shape)) for i, lost in enumerate(losses)))
    return baseline, make_label("c", *(make_task(f"t{i}", 1.0 - lost) for i, lost in enumerate(losses)))


def cross_fitted_means(scores: np.ndarray) -> np.ndarray:
    """Return the cross-fitted mean of each simulated run; shape (runs, styles, n)."""
    is_second = np.arange(scores.shape[-1]) % 2 == 1
    choices = choose_styles(scores, is_second)
    rows = np.where(is_second, choices[:, 1:], choices[:, :1])
    return np.asarray(np.take_along_axis(scores, rows[:, None, :], axis=1).mean(axis=(1, 2)))


def draw_runs(rng: Rng, size: int, num_runs: int, run_sd: float, num_tasks: int = 12) -> np.ndarray:
    """Return scores of several runs on tasks of fixed means, shape (size, runs, tasks); a run moves all its tasks."""
    means = np.linspace(0.2, 0.8, num_tasks)
    shared = rng.normal(0, 1, (size, num_runs, 1)) * run_sd
    return np.asarray(means + shared + rng.normal(0, 0.03, (size, num_runs, num_tasks)))


def draw_battles(count: int, rng: Rng, skill: float = -0.5) -> Battles:
    """Judged pairs that follow the model: skill, length −1.5, difficulty 0.8; answers mostly longer."""
    difficulties = rng.normal(0.3, 1.5, count)
    gaps = rng.gamma(2, 350, count) - rng.gamma(2, 500, count)
    chances = expit(skill - 1.5 * np.tanh(gaps / 860) + 0.8 * difficulties)
    return Battles((rng.random(count) < chances).astype(np.float64), gaps, difficulties)


def draw_games(num_questions: int, rng: Rng, *, styled: bool = False) -> Games:
    """Three models judged in pairs, each pair in both orders, on questions that favour one of them at random.

    Strengths are 0, 0.5 and −0.7 on a question without favour; the judge likes length where there is style.
    """
    sides = np.tile([[1, 0], [0, 1], [2, 0], [0, 2], [1, 2], [2, 1]], (num_questions, 1))
    questions = np.repeat(np.arange(num_questions), 6)
    favour = rng.normal([0, 0.5, -0.7], 0.8, (num_questions, 3))
    strengths = favour[questions[:, None], sides]
    log_odds = strengths[:, 0] - strengths[:, 1]
    styles = None
    if styled:
        lengths = rng.normal([0, 0.2, 0], 0.3, (num_questions, 3))[questions[:, None], sides]
        styles = lengths[:, :1] - lengths[:, 1:]
        log_odds = log_odds + 1.5 * styles[:, 0]
    verdicts = (rng.random(len(sides)) < expit(log_odds)).astype(np.float64)
    return Games(("base", "strong", "weak"), sides, verdicts, clusters=questions, styles=styles)
