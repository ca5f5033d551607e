"""Claims are supported, refuted or undecided by the intervals of the study, seldom wrongly so."""

import gc
from collections.abc import Iterator

import numpy as np
import pytest

from harness.errors import SpecError
from harness.pairing import LabelVerdicts
from harness.schema import TrainingCost
from harness.stats.multiple import holm
from harness.study.findings import ClaimVerdict
from harness.study.gather import StudyLabels
from harness.study.judge import judge_claims
from harness.study.standing import measure_standings
from tests.labels import make_label, make_task
from tests.study.cases import binary, draw_labels, make_study


@pytest.fixture(scope="module", autouse=True)
def quick_garbage_collection() -> Iterator[None]:
    """statsmodels collects garbage on every call; keep what is loaded out of that, itself included."""
    holm([0.5])
    gc.freeze()
    yield
    gc.unfreeze()


def judge(study: StudyLabels) -> list[ClaimVerdict]:
    return list(judge_claims(study, measure_standings(study)))


def verdicts(labels: dict[str, LabelVerdicts], *claims: str, **options: object) -> list[str]:
    return [found.verdict for found in judge(make_study(labels, *claims, **options))]  # type: ignore[arg-type]


def two(before: int, after: int, n: int = 100, **labels: int) -> dict[str, LabelVerdicts]:
    """Return labels of which the first examples of n are right."""
    counts = {"base": before, "grlo": after, **labels}
    return {name: make_label(name, make_task("t", binary(count, n))) for name, count in counts.items()}


def test_a_difference() -> None:
    """20 to 50 of 100, nested: Tango's interval of 30 gains and no loss is +21.9 to +39.6."""
    claims = ("overall grlo - base > 5", "t grlo - base >= 45", "math grlo - base > 30", "overall base - grlo < 0")
    found = judge(make_study(two(20, 50), *claims))
    assert [item.verdict for item in found] == ["supported", "refuted", "undecided", "supported"]
    assert found[0].evidence == "+30.0 (+21.9 to +39.6) against > 5"
    assert found[3].evidence == "-30.0 (-39.6 to -21.9) against < 0"


def test_a_score() -> None:
    """50 of 100: Wilson's interval is 40.4 to 59.6."""
    found = judge(make_study(two(20, 50), "overall grlo > 40", "t grlo > 45", "math grlo < 40"))
    assert [item.verdict for item in found] == ["supported", "undecided", "refuted"]
    assert found[0].evidence == "50.0 (40.4 to 59.6) against > 40"


def test_two_candidates() -> None:
    """The difference of any two labels is paired, as compare would."""
    labels = two(20, 50, other=60)
    (found,) = judge(make_study(labels, "overall other - grlo > 0"))
    assert found.verdict == "supported"
    assert found.evidence.startswith("+10.0 (+5.")


def drops(**lost: int) -> dict[str, LabelVerdicts]:
    """Return a base with 150 of 200 right in each suite, and a candidate that loses some of them."""
    pairs = [(suite, make_task(suite[0], binary(150, 200), suite), count) for suite, count in lost.items()]
    new = (make_task(suite[0], binary(150 - count, 200), suite) for suite, _, count in pairs)
    return {"base": make_label("base", *(task for _, task, _ in pairs)), "grlo": make_label("grlo", *new)}


def test_no_drop() -> None:
    """Nothing lost in chat and math: supported. 40 of 200 lost in math: refuted. 6 lost: undecided about 2 points."""
    claim = "no domain of grlo drops more than 2"
    supported, refuted, undecided = (judge(make_study(drops(chat=0, math=lost), claim))[0] for lost in (-10, 40, 6))
    assert [supported.verdict, refuted.verdict, undecided.verdict] == ["supported", "refuted", "undecided"]
    assert supported.evidence == "chat +0.0 (-1.9 to +1.9), the lowest of 2, against a drop of 2"
    assert refuted.evidence.startswith("math -20.0 (")
    assert refuted.evidence.endswith(" at 97.5 % against a drop of 2")
    assert undecided.evidence.startswith("math -3.0 (")


def test_no_drop_of_tasks_looks_at_each() -> None:
    """A task may drop where its domain's average does not."""
    base = make_label("base", make_task("t", binary(100, 200)), make_task("u", binary(100, 200)))
    new = make_label("grlo", make_task("t", binary(60, 200)), make_task("u", binary(180, 200)))
    claims = ("no domain of grlo drops more than 2", "no task of grlo drops more than 2")
    assert verdicts({"base": base, "grlo": new}, *claims) == ["supported", "refuted"]


def test_no_drop_is_not_supported_without_every_task() -> None:
    """What was not measured may have dropped; what was measured can refute all the same."""
    base = make_label("base", make_task("t", binary(100, 200)), make_task("u", binary(100, 200), "code"))
    claims = ("no task of grlo drops more than 2", "no domain of grlo drops more than 2")
    better, worse = (make_label("grlo", make_task("t", binary(count, 200))) for count in (150, 40))
    found = judge(make_study({"base": base, "grlo": better}, *claims))
    assert [item.verdict for item in found] == ["undecided", "undecided"]
    assert found[0].evidence.endswith("; not measured on u")
    assert verdicts({"base": base, "grlo": worse}, *claims) == ["refuted", "refuted"]


def test_transfer_ratio_and_gap() -> None:
    """The ratios are those of the transfer report, on the column asked for."""
    claims = (
        "transfer ratio of grlo > 0.1",
        "transfer ratio of grlo > 5",
        "gap to released closed by grlo > 0.2",
        "gap to released closed by grlo on math < 5",
        "gap to released closed by grlo on sums < -5",
        "gap to released closed by random on math > 0.9",
    )
    study = make_study(draw_labels(8), *claims, checkpoints={"grlo": {"trained_on": ("chat",)}})
    found = judge(study)
    assert [item.verdict for item in found] == [
        "supported", "refuted", "supported", "supported", "refuted", "refuted"
    ]  # fmt: skip
    transfer = study.transfer.comparisons[0].transfer
    for item, ratio in zip(
        (found[0], found[2], found[3]),
        (transfer.ratio, transfer.gap_closed["released"]["overall"], transfer.gap_closed["released"]["math"]),
        strict=True,
    ):
        estimate = ratio.estimate
        assert item.evidence.startswith(f"{estimate.value:.2f} ({estimate.ci_low:.2f} to {estimate.ci_high:.2f})")


def test_costs_are_exact() -> None:
    """230,000 prompts are 46 times 5,000: no interval, so nothing is undecided but what is not known."""
    task = make_task("t", binary(5, 10))
    labels = {
        "base": make_label("base", task),
        "grlo": make_label("grlo", task, training=TrainingCost(prompts=5000)),
        "rlvr": make_label("rlvr", task, training=TrainingCost(prompts=230_000)),
    }
    claims = (
        "prompts rlvr / grlo >= 46",
        "prompts rlvr / grlo > 46",
        "gpu_hours rlvr / grlo > 1",
        "prompts rlvr / base > 1",
    )
    found = judge(make_study(labels, *claims))
    assert [(item.verdict, item.evidence) for item in found] == [
        ("supported", "230,000 / 5,000 = 46 against >= 46"),
        ("refuted", "230,000 / 5,000 = 46 against > 46"),
        ("undecided", "gpu_hours of rlvr: not known"),
        ("undecided", "base is the base, whose training is not counted"),
    ]


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("code grlo - base > 5", "no checkpoint was measured on code"),
        ("matt grlo - base > 5", "no checkpoint was measured on matt (did you mean math?)"),
        ("overall released > 5", "released was not measured on t"),
        ("transfer ratio of grlo > 1", "not identifiable: it is not known what the candidate was trained on"),
        ("transfer ratio of released > 1", "released is no candidate or control, so its transfer is not measured"),
        ("no task of base drops more than 1", "base is the base, which this is measured from"),
        ("gap to released closed by grlo > 1", "released was not measured on t"),
        ("one grlo - base > 5", "+0.0 (no interval: "),
    ],
)
def test_what_cannot_be_decided_says_why(claim: str, evidence: str) -> None:
    """Undecided with the reason, never left out."""
    one = make_task("one", np.array([[0.5, 0.5]]), "lone")
    labels = {name: make_label(name, make_task("t", binary(5, 10)), one) for name in ("base", "grlo")}
    labels["released"] = make_label("released", one)
    (found,) = judge(make_study(labels, claim))
    assert found.verdict == "undecided"
    assert found.evidence.startswith(evidence)


def test_a_claim_about_a_checkpoint_without_runs_is_undecided() -> None:
    """It names who is missing; a label that is not of the study is an error."""
    labels = two(20, 50)
    study = make_study(labels, "overall grlo - base > 5")
    del study.by_label["grlo"]  # type: ignore[attr-defined]
    assert [(item.verdict, item.evidence) for item in judge_claims(study, ())] == [
        ("undecided", "grlo has no finished run")
    ]
    with pytest.raises(SpecError, match="names nobody"):
        judge(make_study(labels, "overall nobody > 5"))


def draw_study(rng: np.random.Generator, drop: dict[str, float], claim: str) -> StudyLabels:
    """Return a study of 150 examples a suite in which the candidate's true loss is as given."""
    sides: dict[str, list[object]] = {"base": [], "grlo": []}
    for suite, loss in drop.items():
        chances = rng.uniform(0.3, 0.9, 150)
        sides["base"].append(make_task(suite, rng.binomial(1, chances).astype(float), suite))
        sides["grlo"].append(make_task(suite, rng.binomial(1, chances - loss).astype(float), suite))
    return make_study(
        {name: make_label(name, *tasks) for name, tasks in sides.items()},
        claim,
        num_resamples=400,  # type: ignore[arg-type]
    )


def rates(drop: dict[str, float], claim: str, num_studies: int, seed: int = 0) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    found = [judge(draw_study(rng, drop, claim))[0].verdict for _ in range(num_studies)]
    return {verdict: found.count(verdict) / num_studies for verdict in ("supported", "refuted")}


def test_wrong_verdicts_on_a_difference_at_the_number() -> None:
    """A true difference of exactly the number: either verdict is as rare as a side of the interval, 2.5 %."""
    found = rates({"math": 0.1}, "overall grlo - base > -10", 300)
    assert max(found.values()) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 300)


def test_wrong_refutations_of_no_drop() -> None:
    """Three domains that all drop exactly as far as claimed: refuting is wrong, and at most 5 %."""
    found = rates({"chat": 0.05, "math": 0.05, "code": 0.05}, "no domain of grlo drops more than 5", 150)
    assert found["refuted"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_wrong_support_of_no_drop() -> None:
    """One domain drops exactly as far as claimed and the others improve much: supporting is as rare as 2.5 %."""
    found = rates({"chat": 0.05, "math": -0.1, "code": -0.1}, "no domain of grlo drops more than 5", 150)
    assert found["supported"] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 150)


def test_a_share_of_a_loss_decides_nothing() -> None:
    """Ratios of two losses are positive: neither a reference below the base nor a trained domain that lost counts."""
    tasks = {"base": (150, 150), "grlo": (90, 60), "released": (80, 80)}
    labels = {
        name: make_label(name, make_task("m", binary(math, 200)), make_task("c", binary(chat, 200), "chat"))
        for name, (math, chat) in tasks.items()
    }
    claims = ("gap to released closed by grlo > 0.2", "transfer ratio of grlo > 0.2")
    found = judge(make_study(labels, *claims, checkpoints={"grlo": {"trained_on": ("chat",)}}))
    assert [(item.verdict, item.evidence) for item in found] == [
        ("undecided", "released scores less than base, so there is no gap to close"),
        ("undecided", "grlo lost where it was trained, so this would be a share of a loss"),
    ]
