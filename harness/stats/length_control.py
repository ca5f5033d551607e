"""The length-controlled win rate: what a judge's win rate would be if both answers were equally long. Pure functions.

The generalised linear model of AlpacaEval 2 (Dubois et al. 2024, arXiv 2404.04475), fitted by statsmodels. Who
judged whom, and on which answers, is the caller's knowledge.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.schema import Estimate
from harness.stats.estimate import NO_VARIANCE, Floats, estimate_mean, unit_numbers
from harness.stats.logistic import bootstrap_estimate, fit_logistic
from harness.stats.resample import draw_units


@dataclass(frozen=True)
class Battles:
    """A model's answers against a baseline's, as a judge saw them: one row per judged pair, in one order."""

    preferences: Floats
    """Shape (n,), in [0, 1]: the judge's verdict, or its chance, that the model's answer is better; 0.5 is a tie."""
    gaps: Floats
    """Shape (n,), length of the baseline's answer minus that of the model's, in characters."""
    difficulties: Floats | None = None
    """Shape (n,), log-odds scale, how hard the instruction is for a model of skill 0; None drops the term."""
    clusters: NDArray[np.int64] | None = None
    """Shape (n,), number of each row's independent unit (its instruction, if it has several rows); None: each row."""

    def __post_init__(self) -> None:
        columns = [self.gaps, self.difficulties, self.clusters]
        if any(len(column) != len(self.preferences) for column in columns if column is not None):
            raise ValueError(f"{len(self.preferences)} preferences, expected as many gaps, difficulties and clusters")
        if not (np.isfinite(self.gaps).all() and np.isfinite(self.difficulty_terms).all()):
            raise ValueError("a length gap or difficulty is nan or infinite, expected a number for each row")
        if not np.all((self.preferences >= 0) & (self.preferences <= 1)):
            raise ValueError("a preference lies outside [0, 1]; judges that answer from 1 to 2 need 1 subtracted")

    @property
    def difficulty_terms(self) -> Floats:
        """The difficulties, zeros where there are none."""
        return np.zeros(len(self.gaps)) if self.difficulties is None else self.difficulties


@dataclass(frozen=True)
class Anchor:
    """Rows that hold the terms of length and difficulty near those of the baseline itself, told to be brief or wordy.

    alpaca_eval fits them along with every model (its file `df_gamed.csv`): two such sets of rows, each with a tenth of
    a battle's weight, and no skill.
    """

    preferences: Floats
    """Shape (m,), as in Battles."""
    length_terms: Floats
    """Shape (m,), tanh of the gap over its standard deviation."""
    difficulties: Floats
    """Shape (m,)."""
    weight: float = 0.1
    """Weight of a row; that of a battle is 1."""


@dataclass(frozen=True)
class LengthModel:
    """Coefficients: log-odds of a win = skill + length · tanh(gap/sd) + difficulty · instruction's difficulty.

    All nan where no fit exists; 0 for a term that is 0 in every row.
    """

    skill: float
    """Log-odds of a win at equal lengths and difficulty 0."""
    length: float
    """Negative where the judge favours the longer answer."""
    difficulty: float


@dataclass(frozen=True)
class LengthControl:
    """Win rates of a model with and without length, from the same resampled instructions."""

    raw: Estimate
    """Mean preference."""
    controlled: Estimate
    """Mean preference that the fit predicts at equal lengths."""
    length_effect: Estimate
    """raw − controlled: what the lengths of the answers gave the model; signed."""
    model: LengthModel
    num_undefined: int
    """Resamples without a fit; a single one leaves errors and intervals undefined."""


@dataclass(frozen=True)
class LengthContrast:
    """How far two models' win rates against the same baseline differ: candidate − base, on the same instructions."""

    raw: Estimate
    """Of mean preferences."""
    controlled: Estimate
    """Of length-controlled win rates."""
    length_effect: Estimate
    """raw − controlled: what the candidate's lengths gave it beyond what the base's gave the base; signed."""
    num_undefined: int
    """Resamples in which one of the two has no fit; a single one leaves errors and intervals undefined."""


def length_terms(gaps: Floats, weights: Floats | None = None) -> Floats:
    """Return tanh(gap/sd), the term of length of each row (Dubois et al. 2024).

    Args:
        gaps: shape (n,), baseline's length minus the model's.
        weights: shape (n,), how often each row counts; None means once.

    Returns:
        Shape (n,); sd is the sample standard deviation (n − 1) of the gaps around their mean, but the gaps stay
        uncentred: equal lengths give 0. All zeros if no length differs; nan where sd is 0 or undefined otherwise.
    """
    if not gaps.any():
        return np.zeros(len(gaps))
    counts = np.ones(len(gaps)) if weights is None else weights
    total = float(counts.sum())
    if total <= 1:
        return np.full(len(gaps), np.nan)
    variance = float(counts @ (gaps - counts @ gaps / total) ** 2) / (total - 1)
    spread = math.sqrt(variance)
    # Gaps that are all the same leave a rounding error for a variance.
    return np.tanh(gaps / spread) if spread > NO_VARIANCE * float(np.abs(gaps).max()) else np.full(len(gaps), np.nan)


def controlled_preferences(model: LengthModel, difficulties: Floats) -> Floats:
    """Return the preference predicted at equal lengths, 1/(1 + exp(−skill − difficulty · γ)), of each instruction.

    Their mean is the length-controlled win rate (Dubois et al. 2024).

    Args:
        model: fitted or published coefficients.
        difficulties: shape (n,), γ of each instruction.
    """
    from scipy.special import expit

    return np.asarray(expit(model.skill + model.difficulty * difficulties), dtype=np.float64)


def fit_length_model(battles: Battles, anchor: Anchor | None = None, weights: Floats | None = None) -> LengthModel:
    """Fit the coefficients by maximum likelihood, preferences being shares of a win.

    The score equation of skill makes the battles' mean fitted preference their mean preference, so controlled and raw
    win rate differ by length alone. alpaca_eval (metrics/glm_winrate.py) also
    penalises the coefficients' absolute values, by 1/C with C from cross-validation over ten values; that chooses
    weak penalties (2.8 or more), and there is none here: nothing to draw by chance, nothing that pulls towards 50 %.

    Args:
        battles: the judged pairs.
        anchor: rows that hold length and difficulty near the baseline's own; None for the battles alone.
        weights: shape (n,), how often each battle counts; None means once.

    Returns:
        The coefficients. All nan where the likelihood has no single maximum: no rows; fewer distinct rows than
        terms, or terms that determine each other (one instruction; gaps that are all alike and not 0); verdicts that
        the terms separate (all wins; every longer answer wins and every shorter one loses). All ties fit: 0, 0, 0.
    """
    counts = np.ones(len(battles.gaps)) if weights is None else weights
    drawn = counts > 0
    terms = length_terms(battles.gaps[drawn], counts[drawn])
    design = np.stack([np.ones(len(terms)), terms, battles.difficulty_terms[drawn]], axis=1)
    shares, counts = battles.preferences[drawn], counts[drawn]
    if anchor is not None:
        rows = np.stack([np.zeros(len(anchor.preferences)), anchor.length_terms, anchor.difficulties], axis=1)
        design, shares = np.concatenate([design, rows]), np.concatenate([shares, anchor.preferences])
        counts = np.concatenate([counts, np.full(len(rows), anchor.weight)])
    return LengthModel(*fit_logistic(design, shares, counts).tolist())


def estimate_length_control(
    battles: Battles,
    rng: np.random.Generator,
    num_resamples: int = 1000,
    level: float = 0.95,
    anchor: Anchor | None = None,
) -> LengthControl:
    """Estimate raw and length-controlled win rate and their difference, the fit's own error included.

    Instructions (or clusters of rows) are independent draws from a population. Each resample draws G − 1 of the G with
    replacement, weighted by G/(G − 1) (the rescaled bootstrap, see harness.stats.resample), standardises the gaps,
    fits and predicts anew; the interval is the percentile interval of the refits. The anchor and the difficulties are
    given, not drawn. The spread of the predicted preferences alone, which alpaca_eval reports as the error, leaves the
    fit out and is about half as large. The raw win rate has the estimate of every other mean (`estimate_mean`).

    Args:
        battles: the judged pairs.
        rng: source of randomness; num_resamples · (G − 1) integers are drawn.
        num_resamples: number of refits; each takes about 1 ms for 805 rows.
        level: coverage of the intervals.
        anchor: as in `fit_length_model`.

    Returns:
        The estimates. Values are nan where there is no fit; errors and intervals also where one of the resamples has
        none, and with fewer than two units. Where no resample differs (all ties; no length differs, for the effect)
        there is a value with error 0 and no interval, which would have no width.
    """
    count = len(battles.preferences)
    raw = estimate_mean(battles.preferences, np.ones(count), battles.clusters, level)
    model = fit_length_model(battles, anchor)
    controlled = float(controlled_preferences(model, battles.difficulty_terms).mean()) if count else math.nan
    draws = _resample(battles, anchor, num_resamples, rng)
    return LengthControl(
        raw=raw,
        controlled=bootstrap_estimate(controlled, draws[:, 0], level, raw.num_examples, raw.num_clusters),
        length_effect=bootstrap_estimate(
            raw.value - controlled, draws[:, 1], level, raw.num_examples, raw.num_clusters
        ),
        model=model,
        num_undefined=int(np.isnan(draws[:, 0]).sum()),
    )


def compare_length_control(
    base: Battles,
    candidate: Battles,
    rng: np.random.Generator,
    num_resamples: int = 1000,
    level: float = 0.95,
) -> LengthContrast:
    """Estimate how far two models' win rates against one baseline differ, with and without length.

    Each model has a fit of its own, as in `estimate_length_control`; a resample draws instructions once for both, so
    that what they share cancels. All three intervals are percentile intervals of those draws.

    Args:
        base: one model's judged pairs.
        candidate: the other's, on the same instructions.
        rng: source of randomness; num_resamples · (G − 1) integers are drawn.
        num_resamples: number of refits of each model.
        level: coverage of the intervals.

    Returns:
        Candidate minus base. Undefined as in `estimate_length_control`, where either model has no fit.

    Raises:
        ValueError: if the two are not on the same instructions: clusters that bear the same numbers, or, without
            clusters, equally many rows in the same order.
    """
    sides = (base, candidate)
    numbers = [np.arange(len(side.gaps)) if side.clusters is None else side.clusters for side in sides]
    if set(numbers[0].tolist()) != set(numbers[1].tolist()):
        raise ValueError("base and candidate were judged on different instructions; give the shared ones alone")
    units = np.split(unit_numbers(np.concatenate(numbers), sum(map(len, numbers))), [len(numbers[0])])
    ones = [np.ones(len(side.gaps)) for side in sides]
    difference = _rates(candidate, ones[1]) - _rates(base, ones[0]) if len(base.gaps) else np.full(2, math.nan)
    draws = np.full((num_resamples, 2), np.nan)
    for row, times in zip(draws, draw_units(units[0], num_resamples, rng), strict=False):
        row[:] = _rates(candidate, times[units[1]]) - _rates(base, times[units[0]])
    count, num_units = len(base.gaps), len(set(numbers[0].tolist()))
    raw, controlled, effect = (
        bootstrap_estimate(float(value), column, level, count, num_units)
        for value, column in zip(_with_effect(difference), _with_effect(draws.T), strict=True)
    )
    return LengthContrast(raw, controlled, effect, num_undefined=int(np.isnan(draws[:, 1]).sum()))


def _resample(battles: Battles, anchor: Anchor | None, num_resamples: int, rng: np.random.Generator) -> Floats:
    """Return draws of the controlled win rate and of the length effect, shape (B, 2)."""
    units = unit_numbers(battles.clusters, len(battles.gaps))
    draws = np.full((num_resamples, 2), np.nan)
    for row, times in zip(draws, draw_units(units, num_resamples, rng), strict=False):
        raw, controlled = _rates(battles, times[units], anchor)
        row[:] = controlled, raw - controlled
    return draws


def _rates(battles: Battles, weights: Floats, anchor: Anchor | None = None) -> Floats:
    """Return the raw and the controlled win rate of weighted battles, shape (2,)."""
    predicted = controlled_preferences(fit_length_model(battles, anchor, weights), battles.difficulty_terms)
    return np.array([np.average(column, weights=weights) for column in (battles.preferences, predicted)])


def _with_effect(rates: Floats) -> tuple[Floats, Floats, Floats]:
    """Return raw and controlled rates, and the length effect between them."""
    return rates[0], rates[1], rates[0] - rates[1]
