"""Paired differences: intervals, tests where nothing differs, Holm's families, and what is called detectable."""

import math

import numpy as np

from harness.stats.estimate import Floats
from harness.stats.multiple import holm
from harness.stats.paired import difference_p_value, estimate_difference
from harness.stats.power import detectable_by_mcnemar, minimum_detectable_difference
from tests.calibration.draws import Rng, draw_clustered_means, draw_means
from tests.calibration.experiment import Claim, Experiment, holds, rejects

UNEQUAL_K = "fewer generations on one side skew the differences; the report notes it (statistics.md)"
PLUG_IN = (
    "the spread is the pilot's, and the sign-flip test counts ties, which the t test planned for does not"
    " (statistics.md)"
)
NUM_RESAMPLES = 999


def verdict_pairs(rng: Rng, n: int, gain: float, loss: float) -> tuple[Floats, Floats]:
    """Return single verdicts of two sides; what neither gains nor loses is right on both."""
    kind = rng.choice(3, n, p=[gain, loss, 1 - gain - loss])
    return (kind != 0).astype(float), (kind != 1).astype(float)


def single(n: int, gain: float, loss: float, *, is_nasty: bool = False) -> Experiment:
    """One verdict a side: Tango's interval; and, where gain is loss, McNemar's alarms."""
    claims = [Claim("difference, one verdict a side: Tango")]
    if gain == loss:
        claims.append(Claim("no difference: exact McNemar", "alarms", 0.05))

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        sides = verdict_pairs(rng, n, gain, loss)
        found = holds(estimate_difference(*sides, None, single_binary=True), gain - loss)
        p_value, _ = difference_p_value(*sides, None, rng, single_binary=True)
        return (found, rejects(p_value))[: len(claims)]

    return Experiment(
        f"{n:,} examples, {100 * gain:g} % gained, {100 * loss:g} % lost", tuple(claims), trial, 1.0, is_nasty
    )


def averaged(n: int, k: int, gain: float) -> Experiment:
    """k generations on both sides: t; and, without a gain, the sign-flip test."""
    claims = [Claim("difference of avg@k: paired t")]
    if gain == 0:
        claims.append(Claim("no difference: sign-flip", "alarms", 0.05))

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        sides = draw_means(rng, n, k, gain)
        found = holds(estimate_difference(*sides, None, single_binary=False), gain)
        if gain:
            return (found,)
        return found, rejects(
            difference_p_value(*sides, None, rng, single_binary=False, num_resamples=NUM_RESAMPLES)[0]
        )

    return Experiment(f"{n} examples, k = {k}, difference {100 * gain:g} points", tuple(claims), trial, 0.5)


def hard(n: int, ks: tuple[int, int], shape: tuple[float, float], limit: str = "") -> Experiment:
    """Two equal checkpoints on a task that is hardly (or nearly wholly) solved, k of each side its own."""
    claims = (
        Claim("difference of avg@k: paired t"),
        Claim("no difference: sign-flip", "alarms", 0.05, limit),
    )

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        chances = rng.beta(*shape, n)
        base, candidate = (rng.binomial(k, chances) / k for k in ks)
        found = holds(estimate_difference(base, candidate, None, single_binary=False), 0.0)
        p_value, _ = difference_p_value(base, candidate, None, rng, single_binary=False, num_resamples=NUM_RESAMPLES)
        return found, rejects(p_value)

    design = f"{n} examples, k = {ks[0]} against {ks[1]}, Beta({shape[0]:g}, {shape[1]:g}), no difference"
    return Experiment(design, claims, trial, 0.5, is_nasty=True)


def clustered(sizes: list[int], k: int, design: str, *, is_nasty: bool = False) -> Experiment:
    """Sources that gain or lose together, 5 points on average."""

    def trial(rng: Rng) -> tuple[bool | None]:
        found = estimate_difference(*draw_clustered_means(rng, sizes, k), single_binary=k == 1)
        return (holds(found, 0.05),)

    return Experiment(design, (Claim("difference, clusters: clustered t"),), trial, 1.0, is_nasty)


def clustered_null(sizes: list[int], k: int, design: str) -> Experiment:
    """Sources that gain or lose together, as likely either."""
    clusters = np.repeat(np.arange(len(sizes)), sizes)

    def trial(rng: Rng) -> tuple[bool | None]:
        skill, step = rng.uniform(0.3, 0.7, len(sizes))[clusters], rng.choice([-0.15, 0.15], len(sizes))[clusters]
        base, candidate = rng.binomial(k, skill) / k, rng.binomial(k, skill + step) / k
        found = difference_p_value(base, candidate, clusters, rng, single_binary=k == 1, num_resamples=NUM_RESAMPLES)
        return (rejects(found[0]),)

    return Experiment(design, (Claim("no difference: sign-flip of clusters", "alarms", 0.05),), trial, 0.5, True)


def families(num_tasks: int, num_candidates: int, n: int, k: int, *, is_nasty: bool = False) -> Experiment:
    """A study in which nothing differs: all candidates share the base's verdicts, so that their tests depend."""

    def trial(rng: Rng) -> tuple[bool]:
        p_values = []
        for _ in range(num_tasks):
            chances = rng.uniform(0.1, 0.9, n) if not is_nasty else rng.beta(0.3, 3, n)
            base = rng.binomial(k, chances) / k
            for _ in range(num_candidates):
                sides = base, rng.binomial(k, chances) / k
                settings = {"single_binary": k == 1, "num_resamples": NUM_RESAMPLES}
                p_values.append(difference_p_value(*sides, None, rng, **settings)[0])  # type: ignore[arg-type]
        return (min(holm(p_values)) <= 0.05,)

    design = f"{num_candidates} candidate{'s' * (num_candidates > 1)} on {num_tasks} tasks of {n} examples, k = {k}, "
    design += "nothing differs" + (", hard tasks" if is_nasty else "")
    claim = Claim("any false alarm of a study: Holm", "alarms", 0.05)
    return Experiment(design, (claim,), trial, 0.2, is_nasty)


def power_of_means(n: int, k: int) -> Experiment:
    """What two equal runs call detectable is then the true difference between two fresh ones."""
    claim = Claim("detectable difference, avg@k: found by sign-flip", "finds", 0.8, PLUG_IN)

    def trial(rng: Rng) -> tuple[bool | None]:
        skill = rng.uniform(0.2, 0.8, n)
        pilot = estimate_difference(rng.binomial(k, skill) / k, rng.binomial(k, skill) / k, None, single_binary=False)
        gain = minimum_detectable_difference(pilot.stderr, n)
        if math.isnan(gain):
            return (None,)
        skill = rng.uniform(0.2, 0.8, n)  # half the gain on each side, so that the spread stays what it was
        base, candidate = (rng.binomial(k, np.clip(skill + half, 0, 1)) / k for half in (-gain / 2, gain / 2))
        p_value, _ = difference_p_value(base, candidate, None, rng, single_binary=False, num_resamples=NUM_RESAMPLES)
        return (rejects(p_value),)

    return Experiment(f"{n} examples, k = {k}, spread seen in a pilot", (claim,), trial, 0.3, is_nasty=n < 30)


def power_of_verdicts(n: int, discordant: float, *, is_nasty: bool = False) -> Experiment:
    """The same for single verdicts, by the exact McNemar test."""
    claim = Claim("detectable difference, one verdict: found by McNemar", "finds", 0.8)

    def trial(rng: Rng) -> tuple[bool | None]:
        gain = detectable_by_mcnemar(int(rng.binomial(n, discordant)), n)
        if math.isnan(gain):
            return (None,)
        share = max(discordant, gain)
        sides = verdict_pairs(rng, n, (share + gain) / 2, (share - gain) / 2)
        return (rejects(difference_p_value(*sides, None, rng, single_binary=True)[0]),)

    design = f"{n:,} examples, {100 * discordant:g} % differ, seen in a pilot"
    return Experiment(design, (claim,), trial, 0.3, is_nasty)


EXPERIMENTS = [
    single(164, 0.15, 0.10),
    single(1319, 0.08, 0.05),
    single(164, 0.1, 0.1),
    single(500, 0.04, 0.04),
    single(30, 0.3, 0.05),
    single(30, 0.02, 0.02, is_nasty=True),
    averaged(164, 4, 0.08),
    averaged(30, 8, 0.08),
    averaged(60, 4, 0.0),
    averaged(500, 8, 0.0),
    hard(30, (8, 8), (0.1, 2)),
    hard(30, (16, 16), (2, 0.1)),
    hard(30, (1, 8), (1, 5), UNEQUAL_K),
    clustered([5] * 100, 1, "100 clusters of 5, k = 1"),
    clustered([5] * 30, 4, "30 clusters of 5, k = 4"),
    clustered([2, 4, 6, 8, 30] * 2, 4, "10 clusters of 2 to 30, k = 4", is_nasty=True),
    clustered_null([5] * 30, 1, "30 clusters of 5, k = 1, no difference on average"),
    clustered_null([2, 4, 6, 8, 30] * 2, 4, "10 clusters of 2 to 30, k = 4, no difference on average"),
    families(8, 1, 50, 4),
    families(5, 4, 164, 1),
    families(6, 3, 30, 8, is_nasty=True),
    power_of_means(164, 4),
    power_of_means(60, 8),
    power_of_means(12, 16),
    power_of_verdicts(164, 0.2),
    power_of_verdicts(1319, 0.15),
    power_of_verdicts(30, 0.1, is_nasty=True),
]
