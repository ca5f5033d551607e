"""Strengths of models from verdicts on pairs of their answers, with or without style. Pure functions of arrays.

The model of Bradley & Terry (1952, Biometrika 39:324) as Arena-Hard uses it (lmarena/arena-hard-auto, show_result.py at
005ac12, utils/math_utils.py): ties are half a win, a strong verdict may count several times, style may be a term.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.schema import Estimate
from harness.stats.estimate import Floats, unit_numbers
from harness.stats.logistic import bootstrap_estimate, fit_logistic
from harness.stats.resample import draw_units

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Games:
    """Verdicts on pairs of answers of several models: one row per verdict."""

    models: tuple[str, ...]
    """Names; the first is the baseline, whose strength is 0."""
    sides: Ints
    """Shape (n, 2), the models of a pair as numbers into `models`."""
    shares: Floats
    """Shape (n,), in [0, 1]: the first side's share of a win; 0.5 is a tie."""
    weights: Floats | None = None
    """Shape (n,), how often a verdict counts; None: once."""
    clusters: Ints | None = None
    """Shape (n,), number of each row's question, whose verdicts stay together; None: each row stands alone."""
    styles: Floats | None = None
    """Shape (n, F), terms of style, first side against second, 0 at equal style (`style_terms`); None: no control."""

    def __post_init__(self) -> None:
        columns = [self.shares, self.weights, self.clusters, self.styles]
        if any(len(column) != len(self.sides) for column in columns if column is not None):
            raise ValueError(f"{len(self.sides)} pairs, expected as many shares, weights, clusters and styles")
        if not np.all((self.shares >= 0) & (self.shares <= 1)):
            raise ValueError("a share of a win lies outside [0, 1]")
        if self.styles is not None and not np.isfinite(self.styles).all():
            raise ValueError("a term of style is nan or infinite, expected a number for each row")
        if self.sides.size and not 0 <= self.sides.min() <= self.sides.max() < len(self.models):
            raise ValueError(f"a side is no number from 0 to {len(self.models) - 1}")


@dataclass(frozen=True)
class Strengths:
    """Coefficients: log-odds of a win of i over j = strength_i − strength_j + Σ style_f · term_f / scale_f."""

    values: Floats
    """Shape (M,); 0 for the baseline, nan where there is none."""
    styles: Floats
    """Shape (F,): per root mean square of the term over all verdicts; 0 for a term that never differs."""
    reasons: tuple[str, ...]
    """Why a model has no strength; empty where it has one."""


@dataclass(frozen=True)
class Standings:
    """What resampled questions leave certain of the strengths. Without the baseline, whose strength is given."""

    strengths: dict[str, Estimate]
    """Log-odds of a win over the baseline, at equal style where that is controlled."""
    win_rates: dict[str, Estimate]
    """The same as a share of a win, 1/(1 + exp(−strength))."""
    styles: tuple[Estimate, ...]
    """Effects of the terms of style, as in Strengths."""
    num_undefined: int
    """Resamples in which some model has no strength."""


def style_terms(lengths: Floats, counts: Floats, other_lengths: Floats, other_counts: Floats) -> Floats:
    """Return Arena-Hard's differences of style, an answer against another one; 0 at equal style.

    Length: (l − l′)/(l + l′). Each kind of markup: (d − d′)/(d + d′ + 1) with density d = count/length
    (`print_leaderboard_with_style_features`). Lengths are characters here and tokens there. Arena-Hard then subtracts
    each term's mean, which moves "equal style" to the mean difference over the leaderboard; nothing is subtracted here.

    Args:
        lengths: shape (n,).
        counts: shape (n, K), headers, list items, bold phrases.
        other_lengths: shape (n,), of the other answers.
        other_counts: shape (n, K).

    Returns:
        Shape (n, 1 + K). An empty answer has density 0; two empty ones differ by 0.
    """
    total = np.maximum(lengths + other_lengths, 1)
    density = counts / np.maximum(lengths, 1)[:, None]
    other_density = other_counts / np.maximum(other_lengths, 1)[:, None]
    markup = (density - other_density) / (density + other_density + 1)
    return np.column_stack([(lengths - other_lengths) / total, markup])


def fit_strengths(games: Games, times: Floats | None = None) -> Strengths:
    """Fit the strengths by maximum likelihood.

    There is a maximum for the models that are linked with the baseline by chains of wins both ways (Ford 1957, Am.
    Math. Monthly 64(8):28); ties count as both. The others' strengths would be infinite, or are not linked at all: they
    have none, and verdicts between them and the linked ones say nothing about the linked ones. Two models without
    style: the win rate is the weighted mean share. Terms of style are divided by their root mean square, which changes
    no strength. There is no penalty, in Arena-Hard neither.

    Args:
        games: the verdicts.
        times: shape (n,), how often each row is drawn; None means once.

    Returns:
        The coefficients; all but the baseline's nan where style and strength determine each other, or separate the
        verdicts.
    """
    num_models = len(games.models)
    counts = _counts(games) if times is None else _counts(games) * times
    linked, reasons = _linked(games, counts)
    used = (counts > 0) & linked[games.sides].all(axis=1)
    design = np.zeros((len(counts), num_models + _num_styles(games)))
    design[np.arange(len(counts)), games.sides[:, 0]] += 1
    design[np.arange(len(counts)), games.sides[:, 1]] -= 1
    design[:, 0] = 0
    if games.styles is not None:
        scales = np.sqrt((games.styles**2).mean(axis=0)) if len(counts) else np.ones(_num_styles(games))
        design[:, num_models:] = games.styles / np.where(scales > 0, scales, 1)
    shares, counts, design = games.shares[used], counts[used], design[used]
    if games.styles is None:
        design, shares, counts = _by_pair(design, shares, counts)
    found = fit_logistic(design, shares, counts)
    values = np.where(linked, found[:num_models], np.nan)
    values[0] = 0.0
    if np.isnan(values[linked]).any():
        reasons = tuple(reason or "style and strength cannot be told apart" for reason in reasons)
    return Strengths(values, found[num_models:], reasons)


def estimate_strengths(
    games: Games, rng: np.random.Generator, num_resamples: int = 1000, level: float = 0.95
) -> Standings:
    """Estimate strengths and win rates over the baseline, with the error that the choice of questions leaves.

    Questions (clusters of rows) are independent draws from a population. Each resample draws G − 1 of the G with
    replacement, weighted by G/(G − 1) (harness.stats.resample), and fits anew; the interval is the percentile interval.
    Both orders of a question, and all models' verdicts on it, are drawn together. Arena-Hard draws single verdicts, a
    strong one as three of them, so its intervals are too narrow.

    Args:
        games: the verdicts.
        rng: source of randomness; num_resamples · (G − 1) integers are drawn.
        num_resamples: number of refits; each takes about 1 ms, of 1,000 rows with style 3 ms.
        level: coverage of the intervals.

    Returns:
        The estimates. nan where a model has no strength, with the reason as the method; errors and intervals also where
        it has none in one of the resamples.
    """
    fitted = fit_strengths(games)
    units = unit_numbers(games.clusters, len(games.shares))
    draws = np.full((num_resamples, len(games.models) + _num_styles(games)), np.nan)
    for row, times in zip(draws, draw_units(units, num_resamples, rng), strict=False):
        found = fit_strengths(games, times[units])
        row[:] = [*found.values, *found.styles]
    num_clusters = len(np.unique(units))

    def estimate(value: float, column: Floats, reason: str) -> Estimate:
        return bootstrap_estimate(float(value), column, level, len(units), num_clusters, reason)

    num_models = len(games.models)
    rates, rate_draws = _chances(fitted.values), _chances(draws[:, :num_models])
    strengths, win_rates = {}, {}
    for model in range(1, num_models):
        name, reason = games.models[model], fitted.reasons[model]
        strengths[name] = estimate(fitted.values[model], draws[:, model], reason)
        win_rates[name] = estimate(rates[model], rate_draws[:, model], reason)
    return Standings(
        strengths=strengths,
        win_rates=win_rates,
        styles=tuple(estimate(*pair, "no fit") for pair in zip(fitted.styles, draws.T[num_models:], strict=True)),
        num_undefined=int(np.isnan(draws).any(axis=1).sum()),
    )


def _counts(games: Games) -> Floats:
    return np.ones(len(games.shares)) if games.weights is None else games.weights


def _num_styles(games: Games) -> int:
    return 0 if games.styles is None else games.styles.shape[1]


def _linked(games: Games, counts: Floats) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return which models are linked with the baseline by chains of wins both ways, and why the others are not."""
    from scipy.sparse.csgraph import connected_components

    wins = np.zeros((len(games.models), len(games.models)))
    np.add.at(wins, (games.sides[:, 0], games.sides[:, 1]), counts * games.shares)
    np.add.at(wins, (games.sides[:, 1], games.sides[:, 0]), counts * (1 - games.shares))
    both = connected_components(wins > 0, directed=True, connection="strong")[1]
    either = connected_components(wins > 0, directed=True, connection="weak")[1]
    linked = both == both[0]
    one_way = ["verdicts that link it with the baseline all go one way", "no verdicts link it with the baseline"]
    return linked, tuple(
        "" if is_linked else one_way[int(part != either[0])] for is_linked, part in zip(linked, either, strict=True)
    )


def _by_pair(design: Floats, shares: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Return one row per pair of models, with its mean share: the same likelihood, from a handful of rows."""
    rows, numbers = np.unique(design, axis=0, return_inverse=True)
    totals = np.bincount(numbers, weights=counts, minlength=len(rows))
    wins = np.bincount(numbers, weights=counts * shares, minlength=len(rows))
    return rows, np.clip(wins / totals, 0, 1), totals.astype(np.float64)


def _chances(strengths: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(strengths), dtype=np.float64)
