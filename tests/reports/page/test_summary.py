"""The answer's sentences on hand-made findings."""

import math

import msgspec

from harness.findings import AverageComparison, Cell, Comparison, Decomposition, Ratio, Repeats, Transfer
from harness.schema import Estimate, TrainingCost
from harness.study.findings import ControlContrast, CostRow, StudyFindings
from reports.page.summary import Answer, answer_study
from tests.studies import make_findings

NAN = Estimate(math.nan, math.nan, math.nan, math.nan, 0.95, "undefined", 0, 0)


def estimate(value: float, low: float = math.nan, high: float = math.nan) -> Estimate:
    return Estimate(value, 0.01, low, high, 0.95, "t", 100, 100)


def part(value: float) -> Estimate:
    return estimate(value, value - 0.02, value + 0.02)


def average(name: str, before: float, difference: Estimate, **changes: object) -> AverageComparison:
    parts = Decomposition(part(difference.value * 0.6), part(difference.value * 0.4), ())
    found = AverageComparison(
        name=name,
        tasks=("gsm8k", "aime24"),
        base=estimate(before),
        candidate=estimate(before + difference.value),
        difference=difference,
        p_value=0.001,
        p_adjusted=0.001,
        detectable=0.02,
        decomposition=parts,
        is_trained=None,
    )
    return msgspec.structs.replace(found, **changes)


CHAT = average("chat", 0.2, estimate(0.4, 0.35, 0.45), is_trained=True)
MATH = average("math", 0.3, estimate(0.3, 0.25, 0.35), is_trained=False)
CODE = average("code", 0.3, estimate(0.004, -0.01, 0.018), is_trained=False, p_adjusted=0.6)
GAIN = average("overall", 0.241, estimate(0.39, 0.36, 0.42))
NO_TRANSFER = Transfer(("chat",), Ratio(estimate(0.4, 0.3, 0.5)), {}, {}, {})


def study(
    overall: AverageComparison = GAIN,
    domains: tuple[AverageComparison, ...] = (CHAT, MATH, CODE),
    transfer: Transfer = NO_TRANSFER,
    **changes: object,
) -> StudyFindings:
    """Return a study in which grlo is the only candidate and does what is given."""
    found = make_findings()
    made = msgspec.structs.replace(
        next(each for each in found.transfer.comparisons if each.candidate == "grlo"),
        overall=overall,
        domains=domains,
        transfer=transfer,
    )
    spec = msgspec.structs.replace(
        found.spec, checkpoints=tuple(each for each in found.spec.checkpoints if each.label in ("base", "grlo"))
    )
    report = msgspec.structs.replace(found.transfer, comparisons=(made,))
    return msgspec.structs.replace(found, spec=spec, transfer=report, costs=(), **changes)


def answer(findings: StudyFindings) -> Answer:
    (found,) = answer_study(findings)
    return found


def test_a_gain_is_told_with_interval_and_parts() -> None:
    """The headline says from, to, difference, interval, and what part is elicitation."""
    assert answer(study()).headline == (
        "GRLO moved the overall average from 24.1 to 63.1 (+39.0 points, 95 % interval +36.0 to +42.0), of which +23.4 "
        "points (+21.4 to +25.4) are elicitation (whether generations end and answer) and +15.6 points (+13.6 to "
        "+17.6) accuracy (whether those that do are right)."
    )


def test_a_loss_is_called_lowered() -> None:
    """A significant negative difference has its own verb and true minus signs."""
    loss = average("overall", 0.5, estimate(-0.1, -0.12, -0.08))
    assert answer(study(loss)).headline.startswith(
        "GRLO lowered the overall average from 50.0 to 40.0 (−10.0 points, 95 % interval −12.0 to −8.0), of which −6.0"
    )


def test_what_is_not_significant_is_no_gain() -> None:
    """Without significance there are no parts, and the smallest detectable difference stands there."""
    flat = average("overall", 0.241, estimate(0.008, -0.004, 0.02), p_adjusted=0.2, detectable=0.017)
    assert answer(study(flat)).headline == (
        "GRLO did not move the overall average by anything that could be told from 0: 24.1 to 24.9 (+0.8 points, 95 % "
        "interval −0.4 to +2.0; smallest detectable 1.7)."
    )


def test_undefined_is_said() -> None:
    """A nan difference is called undefined, and a nan interval or detectable difference leaves no number behind."""
    assert answer(study(average("overall", 0.2, NAN))).headline == (
        "GRLO has no defined difference to the base in the overall average."
    )
    bare = average("overall", 0.2, estimate(0.1), p_adjusted=math.nan, detectable=math.nan)
    assert answer(study(bare)).headline.endswith("20.0 to 30.0 (+10.0 points, no interval).")


def test_domains_are_told_by_what_it_was_trained_on() -> None:
    """Untrained domains come first; one that did not move significantly is marked."""
    details = answer(study()).details
    assert details[0] == (
        "Math and code, which it was not trained on, moved by +30.0 (+25.0 to +35.0) and +0.4 (−1.0 to +1.8) [not told "
        "from 0; smallest detectable 2.0]."
    )
    assert details[1] == "Chat, which it was trained on, moved by +40.0 (+35.0 to +45.0)."
    assert details[2] == (
        "Transfer ratio 0.40 (0.30 to 0.50): the mean difference where it was not trained over that where it was."
    )


def test_a_ratio_that_is_not_identifiable_gives_its_reason() -> None:
    """The reason stands where the number would."""
    transfer = Transfer(("chat",), Ratio(NAN, "the trained difference cannot be told from 0"), {}, {}, {})
    assert (
        "Transfer ratio not identifiable (the trained difference cannot be told from 0): the mean difference where it "
        "was not trained over that where it was."
    ) in answer(study(transfer=transfer)).details


def test_unknown_training_is_said_and_domains_still_told() -> None:
    """Without trained_on there is no talk of transfer; with one that was not measured all of it is transfer."""
    found = study(domains=tuple(msgspec.structs.replace(each, is_trained=None) for each in (CHAT, MATH)))
    (made,) = found.transfer.comparisons
    report = msgspec.structs.replace(found.transfer, comparisons=(msgspec.structs.replace(made, training=None),))
    details = answer(msgspec.structs.replace(found, transfer=report)).details
    by_domain = "by domain: chat +40.0 (+35.0 to +45.0); math +30.0 (+25.0 to +35.0)."
    assert details[0] == f"What it was trained on is not known, so transfer cannot be told from training; {by_domain}"
    assert not any("ratio" in sentence for sentence in details)
    untrained = tuple(msgspec.structs.replace(each, is_trained=False) for each in (CHAT, MATH))
    elsewhere = msgspec.structs.replace(made, domains=untrained, training=TrainingCost(trained_on=("general",)))
    report = msgspec.structs.replace(found.transfer, comparisons=(elsewhere,))
    assert answer(msgspec.structs.replace(found, transfer=report)).details[:2] == (
        "It was trained on general, which was not measured.",
        "Chat and math, which it was not trained on, moved by +40.0 (+35.0 to +45.0) and +30.0 (+25.0 to +35.0).",
    )


def test_training_on_everything_shows_no_transfer() -> None:
    """Where all domains were trained on, that is said."""
    domains = (CHAT, msgspec.structs.replace(MATH, is_trained=True))
    details = answer(study(domains=domains)).details
    assert details[0] == "It was trained on every domain that was measured, so nothing here shows transfer."
    assert details[1].startswith("Chat and math, which it was trained on, moved by")


def test_a_candidate_without_all_tasks_has_a_smaller_average() -> None:
    """The headline names the tasks that are lacking instead of calling the average overall."""
    found = study()
    standings = tuple(
        msgspec.structs.replace(each, tasks=each.tasks[:2], overall=None) if each.label == "grlo" else each
        for each in found.standings
    )
    headline = answer(msgspec.structs.replace(found, standings=standings)).headline
    assert headline.startswith(
        "GRLO moved the average of the tasks it shares with the base (it lacks aime24 and humaneval_plus) from 24.1"
    )


def test_one_domain_or_one_task_is_not_called_overall() -> None:
    """An average of one domain is that domain's, of one task that task's."""
    found = study(domains=(MATH,))
    assert answer(found).headline.startswith("GRLO moved the average of math from")
    (made,) = found.transfer.comparisons
    report = msgspec.structs.replace(found.transfer, comparisons=(msgspec.structs.replace(made, tasks=made.tasks[:1]),))
    names = ("base", "grlo")
    standings = tuple(
        msgspec.structs.replace(each, tasks=each.tasks[:1]) for each in found.standings if each.label in names
    )
    one = msgspec.structs.replace(found, transfer=report, standings=standings)
    assert answer(one).headline.startswith("GRLO moved ifeval from")


def test_the_elicited_base_is_told_beside_the_plain_one() -> None:
    """A second comparison against the elicited base gives its own sentence."""
    found = study()
    (made,) = found.transfer.comparisons
    smaller = average("overall", 0.4, estimate(0.231, 0.2, 0.26))
    elicited: Comparison = msgspec.structs.replace(made, base_kind="elicited", overall=smaller)
    report = msgspec.structs.replace(found.transfer, comparisons=(made, elicited))
    assert (
        "Against the elicited base, the base in its best prompt style, it moved the same average from 40.0 to 63.1 "
        "(+23.1 points, 95 % interval +20.0 to +26.0)."
    ) in answer(msgspec.structs.replace(found, transfer=report)).details


def cost(label: str, prompts: int | None, gpu_hours: float | None, **changes: object) -> CostRow:
    row = CostRow(label, (label,), prompts, None, gpu_hours, "training.json", GAIN.difference, None, None, False)
    return msgspec.structs.replace(row, **changes)


def test_cost_is_a_fraction_of_what_others_cost() -> None:
    """The paper's 46× and 68×, from either side."""
    costs = (cost("grlo", 5000, 22.7), cost("rlvr", 230_000, 1543.6))
    first, second = answer_study(msgspec.structs.replace(make_findings(), costs=costs))[:2]
    assert first.details[-1] == (
        "It cost 5,000 prompts and 22.7 GPU-hours: 1/46 of the prompts and 1/68 of the GPU-hours of RLVR."
    )
    assert second.details[-1] == (
        "It cost 230,000 prompts and 1,543.6 GPU-hours: 46 times the prompts and 68 times the GPU-hours of GRLO."
    )


def test_unknown_and_typed_costs_are_called_so() -> None:
    """A missing cost is said, a typed one is marked, and stages before its own are named."""
    assert answer(study()).details[-1] == "What it cost is not known."
    typed = cost("grlo", None, 30.0, source="typed: the paper", stages=("base", "grlo"))
    assert answer(msgspec.structs.replace(study(), costs=(typed,))).details[-1] == (
        "It cost 30.0 GPU-hours, all of BASE and GRLO, as typed: the paper."
    )


def test_the_gap_to_a_reference_is_told_where_it_is_known() -> None:
    """A nan gap is left out."""
    gaps = {"released": {"overall": Ratio(estimate(0.73, 0.65, 0.81))}, "random": {"overall": Ratio(NAN, "why")}}
    transfer = msgspec.structs.replace(NO_TRANSFER, gap_closed=gaps)
    found = study(transfer=transfer)
    spec = msgspec.structs.replace(found.spec, checkpoints=make_findings().spec.checkpoints)
    details = answer_study(msgspec.structs.replace(found, spec=spec))[0].details
    assert [each for each in details if "gap" in each] == [
        "It closed 73 (65 to 81) % of the gap between the base and RELEASED."
    ]


def test_controls_come_last_in_one_sentence() -> None:
    """A control is named as one and has no details."""
    last = answer_study(make_findings())[-1]
    assert last.headline.startswith("The control RANDOM did not move the overall average")
    assert last.details == ()


def test_a_candidate_that_was_not_run_is_named() -> None:
    """Without a comparison there is a sentence, not silence."""
    found = study()
    report = msgspec.structs.replace(found.transfer, comparisons=())
    assert answer(msgspec.structs.replace(found, transfer=report)).headline == (
        "GRLO was not compared with the base: see what was not run."
    )


def test_a_study_without_candidates_says_so() -> None:
    """There is always an answer."""
    found = study()
    spec = msgspec.structs.replace(found.spec, checkpoints=found.spec.checkpoints[:1])
    assert answer(msgspec.structs.replace(found, spec=spec)).headline == (
        "The study names no candidate to hold against BASE."
    )


def unfinished(findings: StudyFindings, num_tasks: int, *, answered: bool = True) -> StudyFindings:
    """Return the study with tasks of which no run says how generations ended."""
    (made,) = findings.transfer.comparisons
    cells = tuple(
        Cell(None, kind, share, share, 0.5, 0.5, part(0), part(0))
        for kind, share in ((True, 1.0 if answered else 0.8), (False, 0.0 if answered else 0.2))
    )
    tasks = tuple(
        msgspec.structs.replace(task, decomposition=Decomposition(part(0), part(0), cells)) if row < num_tasks else task
        for row, task in enumerate(made.tasks)
    )
    report = msgspec.structs.replace(findings.transfer, comparisons=(msgspec.structs.replace(made, tasks=tasks),))
    return msgspec.structs.replace(findings, transfer=report)


def test_what_no_run_recorded_is_not_called_no_elicitation() -> None:
    """Imported texts all count as answered and never say whether they ended: a part of 0 would be made up."""
    assert answer(unfinished(study(), 4)).headline.endswith(
        "+36.0 to +42.0); what part is elicitation is not known, since no run says how its generations ended."
    )
    partly = answer(unfinished(study(), 1)).headline
    assert "elicitation (whether generations answer; whether they end is not known on ifeval) and" in partly
    assert "elicitation (whether generations answer; whether" in answer(unfinished(study(), 4, answered=False)).headline


def held_against(value: float, p_adjusted: float, overall: AverageComparison = GAIN) -> Answer:
    """Return the answer on a candidate whose difference to the control is given."""
    contrast = ControlContrast("grlo", "random", estimate(value, value - 0.02, value + 0.02), p_adjusted)
    found = study(overall, against_controls=(contrast,))
    spec = msgspec.structs.replace(found.spec, checkpoints=make_findings().spec.checkpoints)
    return answer_study(msgspec.structs.replace(found, spec=spec))[0]


def test_a_gain_that_a_control_has_too_is_said_in_the_headline() -> None:
    """Nobody who reads one sentence takes it for the reward's."""
    assert held_against(0.003, 0.7).headline.endswith(
        "; it cannot be told from the control RANDOM: +0.3 points, 95 % interval −1.7 to +2.3 between them."
    )
    assert held_against(-0.05, 0.001).headline.endswith(
        "; it is behind the control RANDOM by −5.0 points, 95 % interval −7.0 to −3.0."
    )


def test_being_ahead_of_a_control_is_a_detail() -> None:
    """So is every contrast where there is no gain to qualify."""
    ahead = held_against(0.3, 0.001)
    assert "control" not in ahead.headline
    assert ahead.details[0] == "It is ahead of the control RANDOM by +30.0 points, 95 % interval +28.0 to +32.0."
    flat = average("overall", 0.241, estimate(0.008, -0.004, 0.02), p_adjusted=0.2)
    assert held_against(0.003, 0.7, flat).details[0].startswith("It cannot be told from the control RANDOM: +0.3")


def test_an_interval_that_contradicts_its_p_value_is_explained() -> None:
    """Intervals are not adjusted, tests are: the p-value stands there where they disagree."""
    edge = average("overall", 0.241, estimate(0.02, 0.001, 0.039), p_adjusted=0.08, detectable=math.nan)
    assert answer(study(edge)).headline.endswith("95 % interval +0.1 to +3.9; Holm-adjusted p 0.080).")
    domains = (CHAT, msgspec.structs.replace(MATH, p_adjusted=0.06))
    assert "[not told from 0; Holm-adjusted p 0.060; smallest" in answer(study(domains=domains)).details[0]


def test_a_ratio_of_losses_is_called_one() -> None:
    """Where it was trained it lost, so a positive ratio is no transfer; a reference below the base has no gap."""
    lost = msgspec.structs.replace(CHAT, difference=estimate(-0.4, -0.45, -0.35))
    gaps = {"released": {"overall": Ratio(estimate(-0.8, -0.9, -0.7))}}
    transfer = msgspec.structs.replace(NO_TRANSFER, gap_closed=gaps)
    found = study(domains=(lost, MATH), transfer=transfer)
    spec = msgspec.structs.replace(found.spec, checkpoints=make_findings().spec.checkpoints)
    details = answer_study(msgspec.structs.replace(found, spec=spec))[0].details
    assert details[2].endswith("over that where it was, which is a loss.")
    assert "RELEASED scores less than the base, so there is no gap to close." in details


def test_an_elicited_base_with_fewer_tasks_is_another_average() -> None:
    """It is not called the same one."""
    found = study()
    (made,) = found.transfer.comparisons
    elicited = msgspec.structs.replace(made, base_kind="elicited", tasks=made.tasks[:1])
    report = msgspec.structs.replace(found.transfer, comparisons=(made, elicited))
    (told,) = [each for each in answer(msgspec.structs.replace(found, transfer=report)).details if "elicited" in each]
    assert "it moved ifeval from" in told


def test_training_that_the_study_file_contradicts_is_said() -> None:
    """What was trained on decides what is called transfer."""
    found = study()
    checkpoints = tuple(
        msgspec.structs.replace(each, trained_on=("math",)) if each.label == "grlo" else each
        for each in found.spec.checkpoints
    )
    other = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, checkpoints=checkpoints))
    assert answer(other).details[0] == (
        "It was trained on chat by its training.json and on math by the study file, which counts."
    )
    assert not any("training.json" in each for each in answer(found).details)


def test_several_training_runs_have_a_sentence() -> None:
    """The headline's interval is about these runs; another one would give what stands here."""
    again = Repeats("grlo", 3, 3, ("gsm8k",), part(0.5), estimate(0.3, 0.1, 0.5), 0.5, (0.4, 0.5, 0.6), 0.1)
    found = study()
    report = msgspec.structs.replace(found.transfer, repeats=(again,))
    assert (
        "All this is about its 3 training runs; over such runs, the interquartile mean differs from the base's by "
        "+30.0 points, 95 % interval +10.0 to +50.0."
    ) in answer(msgspec.structs.replace(found, transfer=report)).details


def test_costs_of_others_that_were_typed_are_called_so() -> None:
    """References with a cost count, and near-equal costs are no fractions."""
    costs = (
        cost("grlo", 5000, 0.04),
        cost("released", 230_000, None, source="typed (a paper)"),
        cost("rlvr", 6000, None),
    )
    assert answer_study(msgspec.structs.replace(make_findings(), costs=costs))[0].details[-1] == (
        "It cost 5,000 prompts and 0.0400 GPU-hours: 0.8 times the prompts of RLVR; 1/46 of the prompts of RELEASED "
        "(typed (a paper))."
    )


def test_an_elicited_base_that_does_as_well_stands_in_the_headline() -> None:
    """What another prompt brings too was not learned in training."""
    found = study()
    (made,) = found.transfer.comparisons
    better = average("overall", 0.7, estimate(-0.07, -0.11, -0.03))
    elicited = msgspec.structs.replace(made, base_kind="elicited", overall=better)
    report = msgspec.structs.replace(found.transfer, comparisons=(made, elicited))
    told = answer(msgspec.structs.replace(found, transfer=report))
    assert told.headline.endswith(
        "; against the elicited base, the base in its best prompt style, it lowered the same average from 70.0 to 63.0 "
        "(−7.0 points, 95 % interval −11.0 to −3.0)."
    )
    assert not any("elicited base" in each for each in told.details)
