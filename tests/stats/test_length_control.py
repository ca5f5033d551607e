"""The length-controlled win rate: worked by hand, against scikit-learn, by simulated coverage, and at the edges."""

import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from harness.stats.estimate import estimate_mean
from harness.stats.length_control import (
    Anchor,
    Battles,
    LengthModel,
    compare_length_control,
    controlled_preferences,
    estimate_length_control,
    fit_length_model,
    length_terms,
)
from tests.calibration.draws import draw_battles

UNDEFINED = pytest.approx([math.nan] * 3, nan_ok=True)


def coefficients(model: LengthModel) -> list[float]:
    return [model.skill, model.length, model.difficulty]


def test_two_lengths_are_worked_by_hand() -> None:
    """Longer wins 9:1 three times, shorter 1:1 once: the middle of ln 9 and 0 is ln 3, so 75 % controlled of 80 %."""
    gaps = np.array([-1.0, -1.0, -1.0, 1.0])
    model = fit_length_model(Battles(np.array([0.9, 0.9, 0.9, 0.5]), gaps))
    # The gaps' mean is −1/2, their squared deviations sum to 3, so their variance is 1 and their terms ±tanh 1.
    assert length_terms(gaps) == pytest.approx(np.tanh(1) * gaps)
    assert coefficients(model) == pytest.approx([math.log(3), -math.log(3) / math.tanh(1), 0])
    assert controlled_preferences(model, np.zeros(4)) == pytest.approx([0.75] * 4)


def test_length_effect_is_raw_minus_controlled() -> None:
    """In the case worked by hand it is 5 points, and the raw estimate is that of any mean."""
    preferences = np.array([0.9, 0.9, 0.9, 0.5] * 5)
    found = estimate_length_control(
        Battles(preferences, np.array([-1.0, -1.0, -1.0, 1.0] * 5)), np.random.default_rng(1), 50
    )
    assert (found.raw.value, found.controlled.value) == pytest.approx((0.8, 0.75))
    assert found.length_effect.value == pytest.approx(0.05)
    assert found.raw == estimate_mean(preferences, np.ones(20), None)


def test_published_coefficients_predict_by_the_formula() -> None:
    """Skill ln 3 and difficulty 2 give 3/4 at difficulty 0 and 3e²/(1 + 3e²) at 1, whatever the term of length."""
    found = controlled_preferences(LengthModel(math.log(3), -9.0, 2.0), np.array([0.0, 1.0]))
    assert found == pytest.approx([0.75, 3 * math.e**2 / (1 + 3 * math.e**2)])


def test_fit_matches_scikit_learn() -> None:
    """A fractional preference is a win and a loss in shares: scikit-learn's unpenalised fit of both agrees."""
    battles = draw_battles(200, np.random.default_rng(3))
    shares = np.clip(battles.preferences, 0.2, 0.9)
    design = np.stack([np.ones(200), length_terms(battles.gaps), battles.difficulty_terms], axis=1)
    peer = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-10).fit(
        np.concatenate([design, design]), np.repeat([1, 0], 200), sample_weight=np.concatenate([shares, 1 - shares])
    )
    model = fit_length_model(Battles(shares, battles.gaps, battles.difficulties))
    assert coefficients(model) == pytest.approx(peer.coef_[0], abs=1e-6)


def test_fitted_mean_is_the_raw_win_rate() -> None:
    """The score equation of skill: fitted with its lengths, the model predicts the mean preference exactly."""
    battles = draw_battles(100, np.random.default_rng(4))
    model = fit_length_model(battles)
    log_odds = model.skill + model.length * length_terms(battles.gaps) + model.difficulty * battles.difficulty_terms
    assert expit(log_odds).mean() == pytest.approx(battles.preferences.mean())


def test_weights_are_repetitions() -> None:
    """A row of weight 2 is two rows, of weight 0 none, in the standard deviation of the gaps too."""
    battles = draw_battles(60, np.random.default_rng(5))
    weights = np.tile([0.0, 1.0, 2.0], 20)
    rows = np.repeat(np.arange(60), weights.astype(int))
    assert battles.difficulties is not None
    repeated = Battles(battles.preferences[rows], battles.gaps[rows], battles.difficulties[rows])
    assert coefficients(fit_length_model(battles, None, weights)) == pytest.approx(
        coefficients(fit_length_model(repeated))
    )


def test_gaps_are_scaled_and_not_centred() -> None:
    """Characters or words give the same fit; equal lengths stay 0 however long the other answers are."""
    gaps = np.array([0.0, 100.0, 400.0])
    assert length_terms(gaps / 5) == pytest.approx(length_terms(gaps))
    assert length_terms(gaps)[0] == 0


def test_anchor_holds_the_term_of_length() -> None:
    """Heavy anchor rows at ±t that win e² : 1 and lose 1 : e² fix length at 2/t; skill follows from its equation."""
    term = math.tanh(1)
    wins = float(expit(2.0))
    anchor = Anchor(np.array([wins, 1 - wins]), np.array([term, -term]), np.zeros(2), weight=1e5)
    battles = Battles(np.array([0.9, 0.9, 0.9, 0.5]), np.array([-1.0, -1.0, -1.0, 1.0]))
    model = fit_length_model(battles, anchor)
    assert model.length == pytest.approx(2 / term, abs=1e-3)
    assert (3 * expit(model.skill - 2) + expit(model.skill + 2)) / 4 == pytest.approx(0.8, abs=1e-3)


def test_anchor_without_weight_changes_nothing() -> None:
    """The same coefficients as without it."""
    battles = draw_battles(80, np.random.default_rng(6))
    anchor = Anchor(np.array([0.2, 0.9]), np.array([0.5, -0.5]), np.array([1.0, -1.0]), weight=0.0)
    assert coefficients(fit_length_model(battles, anchor)) == pytest.approx(coefficients(fit_length_model(battles)))


def test_intervals_cover_and_predictions_alone_do_not() -> None:
    """120 samples: refits cover in 95 ± 6 % (three errors) of them, the predictions' spread alone in under 80 %."""
    rng = np.random.default_rng(7)
    population = draw_battles(200_000, rng)
    chances = controlled_preferences(fit_length_model(population), population.difficulty_terms)
    truth, effect = chances.mean(), population.preferences.mean() - chances.mean()
    covered = np.zeros(3)
    for _ in range(120):
        battles = draw_battles(80, rng)
        found = estimate_length_control(battles, rng, 120)
        predicted = controlled_preferences(found.model, battles.difficulty_terms)
        covered += [
            found.controlled.ci_low <= truth <= found.controlled.ci_high,
            found.length_effect.ci_low <= effect <= found.length_effect.ci_high,
            abs(predicted.mean() - truth) <= 1.96 * predicted.std(ddof=1) / math.sqrt(80),
        ]
    assert covered[:2] / 120 == pytest.approx([0.95, 0.95], abs=0.06)
    assert covered[2] / 120 < 0.80


def test_rows_of_one_instruction_are_drawn_together() -> None:
    """Each instruction judged four times over has the error of the instructions, not half of it."""
    once = draw_battles(100, np.random.default_rng(8))
    assert once.difficulties is not None
    columns = [np.tile(column, 4) for column in (once.preferences, once.gaps, once.difficulties)]
    repeated = Battles(*columns, clusters=np.tile(np.arange(100), 4))
    alone = estimate_length_control(once, np.random.default_rng(9), 200).controlled
    together = estimate_length_control(repeated, np.random.default_rng(9), 200).controlled
    assert together.stderr == pytest.approx(alone.stderr, rel=0.01)
    assert (together.num_examples, together.num_clusters) == (400, 100)


def test_draws_come_from_the_given_generator() -> None:
    """The same seed gives the same numbers, another seed others."""
    battles = draw_battles(60, np.random.default_rng(10))
    first, again, other = (estimate_length_control(battles, np.random.default_rng(seed), 40) for seed in (1, 1, 2))
    assert first == again
    assert first.controlled.stderr != other.controlled.stderr


def test_a_model_against_itself_is_at_half() -> None:
    """Where no length differs the controlled win rate is the raw one, with an interval around 50 %; the effect is 0."""
    rng = np.random.default_rng(11)
    verdicts = (rng.random(200) < 0.5).astype(np.float64)
    found = estimate_length_control(Battles(verdicts, np.zeros(200)), rng, 200)
    assert found.controlled.value == pytest.approx(found.raw.value)
    assert found.controlled.ci_low < 0.5 < found.controlled.ci_high
    assert (found.length_effect.value, found.length_effect.stderr) == pytest.approx((0, 0), abs=1e-9)
    assert math.isnan(found.length_effect.ci_low)
    assert found.length_effect.method == "undefined: no variance seen"


def test_all_ties_are_half_without_an_interval() -> None:
    """The fit is 0, 0, 0 and each resample 50 %, which says nothing about what was not seen."""
    rng = np.random.default_rng(12)
    found = estimate_length_control(Battles(np.full(50, 0.5), rng.normal(0, 1, 50)), rng, 40)
    assert coefficients(found.model) == pytest.approx([0, 0, 0], abs=1e-9)
    assert (found.controlled.value, found.controlled.stderr) == pytest.approx((0.5, 0))
    assert math.isnan(found.controlled.ci_low)
    assert math.isnan(found.controlled.ci_high)


@pytest.mark.parametrize(
    ("preferences", "gaps"),
    [
        ([], []),
        ([0.7], [30.0]),
        ([0.2, 0.9, 0.4], [50.0, 50.0, 50.0]),
        ([1.0, 1.0, 1.0, 1.0], [3.0, -1.0, 2.0, -5.0]),
        ([0.0, 0.0, 1.0, 1.0], [3.0, 1.0, -2.0, -5.0]),
        ([0.0, 0.0, 1.0, 1.0, 0.0], [3.0, 1.0, -2.0, 0.0, 0.0]),
    ],
    ids=["nothing", "one instruction", "gaps all alike", "all wins", "separated", "separated but for equal lengths"],
)
def test_no_fit_is_nan(preferences: list[float], gaps: list[float]) -> None:
    """Without a single maximum of the likelihood nothing is controlled; the raw win rate stands."""
    battles = Battles(np.array(preferences), np.array(gaps))
    found = estimate_length_control(battles, np.random.default_rng(1), 40)
    assert coefficients(found.model) == UNDEFINED
    for estimate in (found.controlled, found.length_effect):
        assert [estimate.value, estimate.ci_low, estimate.ci_high] == UNDEFINED
        assert estimate.method == "undefined: no fit"
    assert found.raw.value == pytest.approx(np.mean(preferences) if preferences else math.nan, nan_ok=True)


def test_steep_verdicts_that_overlap_have_a_fit() -> None:
    """A single verdict against the order of lengths makes the maximum finite, at log-odds beyond any threshold."""
    gaps = np.concatenate([np.linspace(-4, -0.04, 100), np.linspace(0.04, 4, 100)])
    verdicts = (gaps < 0).astype(np.float64)
    verdicts[[99, 100]] = 0.0, 1.0
    model = fit_length_model(Battles(verdicts, gaps))
    assert -200 < model.length < -10
    assert model.skill == pytest.approx(0, abs=1e-6)


def test_one_resample_without_a_fit_leaves_no_interval() -> None:
    """Three losses in forty are missing from some resamples: a value, the count of them, and no error."""
    rng = np.random.default_rng(13)
    preferences = np.ones(40)
    preferences[[3, 17, 30]] = 0
    found = estimate_length_control(Battles(preferences, rng.normal(0, 1, 40)), rng, 200)
    assert 0.8 < found.controlled.value < 1
    assert 0 < found.num_undefined < 200
    assert [found.controlled.stderr, found.controlled.ci_low, found.controlled.ci_high] == UNDEFINED
    assert found.controlled.method == "undefined: resamples without a fit"


@pytest.mark.parametrize(
    ("preferences", "gaps", "message"),
    [
        ([1.2, 1.9], [1.0, 2.0], "need 1 subtracted"),
        ([math.nan, 0.5], [1.0, 2.0], "outside"),
        ([0.5], [1.0, 2.0], "1 preferences, expected as many"),
        ([0.5, 0.6], [1.0, math.nan], "nan or infinite"),
    ],
)
def test_rows_that_are_no_battles_are_refused(preferences: list[float], gaps: list[float], message: str) -> None:
    """Preferences from 1 to 2, missing ones, other numbers of rows and missing lengths are errors, not numbers."""
    with pytest.raises(ValueError, match=message):
        Battles(np.array(preferences), np.array(gaps))


def draw_rivals(count: int, rng: np.random.Generator) -> tuple[Battles, Battles]:
    """Two models on the same instructions; the candidate is the better one, wordier, and gains by it."""
    difficulties, gaps = rng.normal(0, 1, count), rng.normal(0, 1, (2, count)) - [[0.0], [0.8]]
    log_odds = np.array([[-0.5], [0.3]]) - 1.2 * np.tanh(gaps) + difficulties
    verdicts = (rng.random((2, count)) < expit(log_odds)).astype(np.float64)
    base, candidate = (Battles(verdicts[side], gaps[side], difficulties) for side in (0, 1))
    return base, candidate


def test_difference_is_that_of_the_two_rates() -> None:
    """Raw, controlled and what length adds: the candidate's less the base's; the other way round it is negative."""
    base, candidate = draw_rivals(80, np.random.default_rng(14))
    alone = [estimate_length_control(side, np.random.default_rng(0), 2) for side in (base, candidate)]
    found = compare_length_control(base, candidate, np.random.default_rng(1), 40)
    for name in ("raw", "controlled", "length_effect"):
        values = [getattr(side, name).value for side in alone]
        assert getattr(found, name).value == pytest.approx(values[1] - values[0])
    back = compare_length_control(candidate, base, np.random.default_rng(1), 40)
    assert back.controlled.value == pytest.approx(-found.controlled.value)
    assert back.controlled.stderr == pytest.approx(found.controlled.stderr)


def test_a_model_does_not_differ_from_itself() -> None:
    """Both sides see the same resampled instructions: every draw is 0, and nothing varies."""
    battles = draw_battles(60, np.random.default_rng(15))
    found = compare_length_control(battles, battles, np.random.default_rng(2), 40)
    for estimate in (found.raw, found.controlled, found.length_effect):
        assert (estimate.value, estimate.stderr) == pytest.approx((0, 0), abs=1e-12)
        assert estimate.method == "undefined: no variance seen"


def test_shared_instructions_cancel() -> None:
    """Where verdicts follow the instruction, the paired error is far below that of two samples."""
    rng = np.random.default_rng(16)
    shared = rng.normal(0, 2, 100)
    base, candidate = (Battles(expit(shared + shift), rng.normal(0, 1, 100)) for shift in (0.0, 0.3))
    alone = [
        estimate_length_control(side, np.random.default_rng(3), 100).controlled.stderr for side in (base, candidate)
    ]
    found = compare_length_control(base, candidate, np.random.default_rng(3), 100)
    assert found.controlled.stderr < 0.5 * math.hypot(*alone)


def test_intervals_of_differences_cover() -> None:
    """60 samples of 80 instructions: all three differences are covered in 95 ± 8.5 % (three errors) of them."""
    rng = np.random.default_rng(17)
    base, candidate = draw_rivals(200_000, rng)
    population = compare_length_control(base, candidate, rng, 0)
    covered = np.zeros(3)
    for _ in range(60):
        found = compare_length_control(*draw_rivals(80, rng), rng, 60)
        for column, name in enumerate(("raw", "controlled", "length_effect")):
            estimate = getattr(found, name)
            covered[column] += estimate.ci_low <= getattr(population, name).value <= estimate.ci_high
    assert covered / 60 == pytest.approx(np.full(3, 0.95), abs=0.085)


def test_a_side_without_fit_leaves_the_raw_difference() -> None:
    """A base that lost everything has no controlled rate; the raw rates differ all the same."""
    base, candidate = draw_rivals(80, np.random.default_rng(18))
    lost = Battles(np.zeros(80), base.gaps, base.difficulties)
    found = compare_length_control(lost, candidate, np.random.default_rng(4), 40)
    assert found.raw.value == pytest.approx(candidate.preferences.mean())
    assert found.raw.ci_low < found.raw.value < found.raw.ci_high
    assert math.isnan(found.controlled.value)
    assert found.controlled.method == "undefined: no fit"
    assert found.num_undefined == 40


def test_instructions_are_paired_by_their_numbers() -> None:
    """Rows may come in another order, or several to an instruction; other instructions are an error."""
    base, candidate = draw_rivals(50, np.random.default_rng(19))
    assert candidate.difficulties is not None
    order = np.random.default_rng(0).permutation(50)
    shuffled = Battles(
        candidate.preferences[order], candidate.gaps[order], candidate.difficulties[order], clusters=order
    )
    found = compare_length_control(base, shuffled, np.random.default_rng(5), 40)
    plain = compare_length_control(base, candidate, np.random.default_rng(5), 40)
    assert found.controlled.stderr == pytest.approx(plain.controlled.stderr)
    with pytest.raises(ValueError, match="different instructions"):
        compare_length_control(base, Battles(candidate.preferences[1:], candidate.gaps[1:]), np.random.default_rng(5))
