"""Intervals of a single score: Wilson, t, clustered t, several verdicts an example, pass@k, the elicited base."""

from collections.abc import Callable

import numpy as np
from scipy.special import betaln

from harness.elicit import choose_styles
from harness.stats.estimate import Floats, estimate_mean, pass_at_k, wilson_interval
from tests.calibration.draws import HARD, Rng, cross_fitted_means
from tests.calibration.experiment import Claim, Experiment, holds

EDGE = "Wilson's interval dips where a fraction of one example is expected to be right (statistics.md)"
SCARCE = "nearly nothing is solved: too little for any correction (statistics.md)"
ALIKE = "the choice of styles is taken as given; where styles are alike that is not all (statistics.md)"
BELOW = "where styles are near each other the second best is chosen at times, which scores less (statistics.md)"


def wilson(n: int, share: float, *, is_nasty: bool = False, limit: str = "") -> Experiment:
    """One 0/1 verdict per example."""

    def trial(rng: Rng) -> tuple[bool]:
        low, high = wilson_interval(rng.binomial(n, share) / n, n)
        return (low <= share <= high,)

    return Experiment(
        f"{n:,} examples, {100 * share:g} % right",
        (Claim("score, one verdict: Wilson", limit=limit),),
        trial,
        1.0,
        is_nasty,
    )


def means(
    what: str,
    design: str,
    case: tuple[int, float, Callable[[Rng, int], Floats]],
    *,
    is_nasty: bool = False,
    limit: str = "",
) -> Experiment:
    """Mean scores of independent examples."""
    n, truth, draw = case
    return Experiment(
        design,
        (Claim(what, limit=limit),),
        lambda rng: (holds(estimate_mean(draw(rng, n), np.ones(n), None), truth),),
        1.0,
        is_nasty,
    )


def clustered(sizes: list[int], design: str, shape: tuple[float, float], k: int, *, is_nasty: bool) -> Experiment:
    """Sources that share their difficulty."""
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    truth = shape[0] / sum(shape)

    def trial(rng: Rng) -> tuple[bool | None]:
        chances = rng.beta(*shape, len(sizes))[clusters]
        values = rng.binomial(k, chances) / k
        return (holds(estimate_mean(values, np.ones(len(values)), clusters), truth),)

    return Experiment(design, (Claim("score, clusters: clustered t"),), trial, 1.0, is_nasty)


def several_verdicts(n: int, shape: tuple[float, float], *, is_nasty: bool) -> Experiment:
    """One to three instructions an example, as in IFEval; those with more are harder."""
    odds = np.array([1.0, 0.9, 0.8])
    truth = float((odds * [1, 2, 3]).sum() / 6 * shape[0] / sum(shape))

    def trial(rng: Rng) -> tuple[bool | None]:
        counts = rng.integers(1, 4, n)
        sums = rng.binomial(counts, odds[counts - 1] * rng.beta(*shape, n))
        return (holds(estimate_mean(sums.astype(float), counts.astype(float), None), truth),)

    design = f"{n} examples of 1 to 3 verdicts, Beta({shape[0]:g}, {shape[1]:g})"
    return Experiment(design, (Claim("score, several verdicts: ratio, t"),), trial, 1.0, is_nasty)


def passes(n: int, num_generations: int, k: int, shape: tuple[float, float], *, is_nasty: bool = False) -> Experiment:
    """pass@k of examples whose chances follow Beta(a, b): 1 − B(a, b + k)/B(a, b) in truth."""
    a, b = shape
    truth = float(1 - np.exp(betaln(a, b + k) - betaln(a, b)))

    def trial(rng: Rng) -> tuple[bool | None]:
        correct = rng.binomial(num_generations, rng.beta(a, b, n))
        found = pass_at_k(correct, np.full(n, num_generations), k)
        return (holds(estimate_mean(found, np.ones(n), None), truth),)

    design = f"pass@{k} of {num_generations}, {n} examples, Beta({a:g}, {b:g})"
    return Experiment(design, (Claim("pass@k"),), trial, 1.0, is_nasty)


def elicited(qualities: tuple[float, ...], n: int, design: str, *, is_nasty: bool = False) -> Experiment:
    """The cross-fitted base, with the interval that takes the choice as given: holds what was chosen, and the best."""

    def trial(rng: Rng) -> tuple[bool, bool]:
        scores = (rng.random((1, len(qualities), n)) < np.array(qualities)[:, None]).astype(np.float64)
        chosen = np.array(qualities)[choose_styles(scores[0], np.arange(n) % 2 == 1)].mean()
        low, high = wilson_interval(float(cross_fitted_means(scores)[0]), n)
        return bool(low <= chosen <= high), low <= max(qualities) <= high

    claims = (
        Claim("elicited base: score of the styles chosen", limit=ALIKE),
        Claim("elicited base: score of the best style", limit=BELOW),
    )
    return Experiment(design, claims, trial, 1.0, is_nasty)


def uniform(n: int, k: int) -> tuple[int, float, Callable[[Rng, int], Floats]]:
    """Examples of every difficulty."""
    return n, 0.5, lambda rng, size: rng.binomial(k, rng.random(size)) / k


AVG = "avg@k: t, skewed arms"
SCARCEST = (30, 0.02 / 0.42, lambda rng, n: rng.binomial(32, rng.beta(0.02, 0.4, n)) / 32)
EXPERIMENTS = [
    wilson(164, 0.5),
    wilson(1319, 0.85),
    wilson(30, 0.1),
    wilson(30, 0.005, is_nasty=True, limit=EDGE),
    means(AVG, "30 examples, k = 8, uniform", uniform(30, 8)),
    means(AVG, "500 examples, k = 4, uniform", uniform(500, 4)),
    *(means(AVG, name, HARD[name], is_nasty=True) for name in HARD),
    means(AVG, "30 examples, k = 32, Beta(0.02, 0.4)", SCARCEST, is_nasty=True, limit=SCARCE),
    clustered([5] * 40, "40 clusters of 5, k = 1", (0.5, 0.5), 1, is_nasty=False),
    clustered([4] * 68, "68 clusters of 4, k = 4", (2, 2), 4, is_nasty=False),
    clustered([2, 4, 6, 8, 30] * 2, "10 clusters of 2 to 30, k = 4", (2, 2), 4, is_nasty=True),
    clustered([1] * 20 + [8] * 4, "20 examples alone, 4 clusters of 8, 90 % right", (3.6, 0.4), 1, is_nasty=True),
    several_verdicts(541, (2, 1), is_nasty=False),
    several_verdicts(100, (1, 1), is_nasty=False),
    several_verdicts(30, (4, 0.2), is_nasty=True),
    passes(164, 16, 8, (0.5, 0.8)),
    passes(500, 64, 64, (0.3, 1.0)),
    passes(30, 32, 16, (0.1, 2.0), is_nasty=True),
    elicited((0.5, 0.8, 0.5), 200, "three styles, one clearly best, 200 examples"),
    elicited((0.55, 0.6, 0.5), 500, "three unrelated styles 5 points apart, 500 examples", is_nasty=True),
    elicited((0.6, 0.6, 0.6), 200, "three equal unrelated styles, 200 examples", is_nasty=True),
]
