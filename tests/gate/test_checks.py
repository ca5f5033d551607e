"""What a gate measures: clusters, margins, levels and the errors of a domain, against the tests called directly."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from harness.gate.checks import Check, measure_checks
from harness.gate.findings import GateTest
from harness.gate.judge import judge_runs
from harness.pairing import pair_tasks
from harness.spec import GatePolicy
from harness.stats.estimate import Floats
from harness.stats.margin import compare_to_margin
from harness.stats.paired import estimate_difference
from harness.verdicts import TaskVerdicts
from tests.labels import make_label, make_task

QUIET = GatePolicy(max_examples_listed=0)
LENIENT = GatePolicy(level=0.1)
SIZES = (2, 3, 5, 9, 16, 30)
NUMBERS = np.repeat(np.arange(6), SIZES)
CLUSTERS = tuple(f"text {number}" for number in NUMBERS)
Z90 = 1.6448536269514722


def clustered_sides() -> tuple[TaskVerdicts, TaskVerdicts]:
    """Return single verdicts in clusters of 2 to 30 that are alike in score, truncation, answers and length."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2):
        flags = [rng.random(65) < np.repeat(rng.uniform(0.1, 0.9, 6), SIZES) for _ in range(3)]
        tokens = rng.uniform(50, 150, 65) * np.repeat(rng.uniform(0.5, 2, 6), SIZES)
        side = make_task("t", flags[0], truncated=flags[1], answered=flags[2], clusters=CLUSTERS)
        found.append(replace(side, num_tokens=tokens[:, None]))
    return found[0], found[1]


def judge(policy: GatePolicy = QUIET) -> dict[str, GateTest]:
    """Judge the clustered sides, by kind of test."""
    before, after = clustered_sides()
    return {test.kind: test for test in judge_runs(make_label("b", before), make_label("c", after), policy).tests}


def test_a_task_is_tested_by_clusters() -> None:
    """Interval and both p-values are those of six units of unequal size."""
    before, after = clustered_sides()
    expected = compare_to_margin(before.means, after.means, NUMBERS, 0.03, 0.9, single_binary=True)
    found = judge()["task"]
    assert found.difference == expected.difference
    assert (found.p_noninferior, found.p_regression) == (expected.p_noninferior, expected.p_regression)
    assert found.difference.num_clusters == 6


@pytest.mark.parametrize("kind", ["truncated", "no_answer"])
def test_shares_are_tested_by_clusters(kind: str) -> None:
    """An increase is the loss of the reversed pair, in six units."""
    shares = [
        (side.truncated if kind == "truncated" else ~side.answered)[:, 0].astype(float) for side in clustered_sides()
    ]
    expected = compare_to_margin(*reversed(shares), NUMBERS, 0.05, 0.9, single_binary=True)
    found = judge()[kind]
    assert (found.p_noninferior, found.p_regression) == (expected.p_noninferior, expected.p_regression)
    assert (found.difference.stderr, found.difference.num_clusters) == (expected.difference.stderr, 6)
    assert (found.difference.ci_low, found.difference.ci_high) == (
        -expected.difference.ci_high,
        -expected.difference.ci_low,
    )


def test_length_is_tested_by_clusters() -> None:
    """p is that of candidate − 1.5 × baseline, the interval that of the plain difference, both of six units."""
    before, after = (side.num_tokens[:, 0] for side in clustered_sides())
    scale = max(1.5 * before.max(), after.max())
    expected = compare_to_margin(after / scale, 1.5 * before / scale, NUMBERS, 0.0, 0.9, single_binary=False)
    plain = estimate_difference(before / scale, after / scale, NUMBERS, 0.9, single_binary=False)
    found = judge()["length"]
    assert found.p_regression == pytest.approx(expected.p_regression)
    assert found.difference.stderr == pytest.approx(scale * plain.stderr)
    assert found.difference.ci_high == pytest.approx(scale * plain.ci_high)
    assert found.difference.num_clusters == 6


def flip(n: int, num_lost: int, num_gained: int = 0) -> tuple[Floats, Floats]:
    """Return single verdicts of which some are lost and some gained; the others are right."""
    before, after = np.ones(n), np.ones(n)
    after[:num_lost] = 0
    before[num_lost : num_lost + num_gained] = 0
    return before, after


def measure(
    *tasks: tuple[Floats, Floats], policy: GatePolicy = QUIET, truncated: tuple[Floats, Floats] | None = None
) -> list[Check]:
    """Measure tasks t0, t1, … of the domain math; `truncated` are the flags of all of them."""
    sides = [
        make_label(
            label,
            *(
                make_task(f"t{number}", pair[side], truncated=None if truncated is None else truncated[side])
                for number, pair in enumerate(tasks)
            ),
        )
        for side, label in enumerate("bc")
    ]
    return list(measure_checks(pair_tasks(sides[0], sides[1]), policy)[0])


def domain_of(checks: list[Check]) -> Check:
    (found,) = [check for check in checks if check.kind == "domain"]
    return found


def test_the_interval_has_twice_the_policys_level_outside() -> None:
    """α = 0.1: 80 % intervals of tasks, domains and guard rails, and the report says so."""
    policy = msgspec.structs.replace(QUIET, level=0.1)
    sides = [make_label(x, make_task("t", np.ones(300)), make_task("u", np.ones(300))) for x in "bc"]
    report = judge_runs(*sides, policy)
    assert {test.kind for test in report.tests} == {"task", "domain", "truncated", "no_answer", "length"}
    assert {report.level, *(test.difference.level for test in report.tests)} == {0.8}


@pytest.mark.parametrize("k", [1, 4])
def test_the_interval_agrees_with_both_tests(k: int) -> None:
    """Of tasks and a domain, as losses grow: an end of the interval passes −margin exactly where its p is below α."""
    seen = set()
    for num_lost in range(0, 60, 2):
        before, after = (np.repeat(values[:, None], k, axis=1) for values in flip(400, num_lost, 10))
        after[-1, 0] = 0  # with k = 4 a fraction, so that the test is not the one for single verdicts
        for check in measure((before, after), (before, after), policy=LENIENT):
            if check.is_guard_rail:
                continue
            is_inside = check.difference.ci_low > -check.margin
            is_beyond = check.difference.ci_high < -check.margin
            assert (is_inside, is_beyond) == (check.p_noninferior < 0.1, check.p_regression < 0.1)
            seen.add((check.kind, is_inside, is_beyond))
    assert seen == {
        (kind, *ends) for kind in ("task", "domain") for ends in ((True, False), (False, False), (False, True))
    }


def test_the_interval_of_a_share_agrees_with_its_tests() -> None:
    """The same of truncation, where more is worse."""
    for num_more in range(0, 60, 2):
        flags = np.zeros(400), (np.arange(400) < num_more).astype(float)
        checks = measure(flip(400, 0), policy=LENIENT, truncated=flags)
        (check,) = [check for check in checks if check.kind == "truncated"]
        ends = check.difference.ci_high < check.margin, check.difference.ci_low > check.margin
        assert ends == (check.p_noninferior < 0.1, check.p_regression < 0.1)


def test_a_domain_has_its_own_margin() -> None:
    """30 and 0 of 400 lost, 3.75 points on average: beyond 3 points, well within the domain's 10."""
    losses = flip(400, 30), flip(400, 0)
    policy = msgspec.structs.replace(QUIET, margins={"math": 10.0})
    plain, lenient = domain_of(measure(*losses)), domain_of(measure(*losses, policy=policy))
    assert (plain.margin, lenient.margin) == (0.03, 0.1)
    assert lenient.p_noninferior < 0.001 < 0.5 < plain.p_noninferior
    assert [check.margin for check in measure(*losses, policy=policy) if check.kind == "task"] == [0.03, 0.03]


@pytest.mark.parametrize(("ks", "is_tango"), [((1, 1), True), ((4, 4), False), ((1, 4), False), ((4, 1), False)])
def test_shares_of_single_generations_are_tested_by_tango(ks: tuple[int, int], is_tango: bool) -> None:
    """One generation on both sides is a 0/1 verdict; a share of four is not, on whichever side."""
    sides = []
    for label, k in zip("bc", ks, strict=True):
        flags = np.arange(100 * k).reshape(100, k) % 7 == 0
        sides.append(make_label(label, make_task("t", np.ones((100, k)), truncated=flags, answered=~flags)))
    found = measure_checks(pair_tasks(*sides), QUIET)[0]
    rails = {check.kind: check.difference.method for check in found if check.is_guard_rail}
    assert {rails["truncated"] == "tango", rails["no_answer"] == "tango"} == {is_tango}
    assert rails["length"] != "tango"


def domain_error(*stderrs: float) -> float:
    """Return the standard error of a plain mean of two independent tasks."""
    return math.hypot(*stderrs) / 2


def test_single_verdicts_enter_a_domain_with_the_lower_arm() -> None:
    """Losses alone: below/z exceeds their spread. Gains alone: the spread exceeds below/z and stays."""
    lost, gained = flip(100, 4), flip(100, 0, 12)
    estimates = [compare_to_margin(*pair, None, 0.03, 0.9, single_binary=True).difference for pair in (lost, gained)]
    arms = [(estimate.value - estimate.ci_low) / Z90 for estimate in estimates]
    assert arms[0] > estimates[0].stderr
    assert arms[1] < estimates[1].stderr
    expected = domain_error(arms[0], estimates[1].stderr)
    assert domain_of(measure(lost, gained)).difference.stderr == pytest.approx(expected)


def fractional(n: int, num_differing: int) -> tuple[Floats, Floats]:
    """Return scores of four generations of which some examples lose one, two, three or all."""
    before, after = np.ones((n, 4)), np.ones((n, 4))
    for row in range(num_differing):
        after[row, : 1 + row % 4] = 0
    return before, after


def test_examples_enough_to_trust_enter_a_domain_with_their_own_error() -> None:
    """Twelve of 60 differ, more than ten: the plain standard error, though the interval is wider than it."""
    pair = fractional(60, 12)
    test = compare_to_margin(*(side.mean(axis=1) for side in pair), None, 0.03, 0.9, single_binary=False)
    estimate = test.difference
    assert test.num_differing is None
    assert (estimate.value - estimate.ci_low) / Z90 > 1.01 * estimate.stderr
    expected = domain_error(estimate.stderr, estimate.stderr)
    assert domain_of(measure(pair, pair)).difference.stderr == pytest.approx(expected)


def test_too_few_differing_examples_enter_a_domain_with_their_longer_arm() -> None:
    """Four of 60 differ: the interval's longer arm over z."""
    pair = fractional(60, 4)
    test = compare_to_margin(*(side.mean(axis=1) for side in pair), None, 0.03, 0.9, single_binary=False)
    estimate = test.difference
    longer = max(estimate.value - estimate.ci_low, estimate.ci_high - estimate.value) / Z90
    assert test.num_differing == 4
    assert longer > estimate.stderr
    expected = domain_error(longer, longer)
    assert domain_of(measure(pair, pair)).difference.stderr == pytest.approx(expected)


def test_a_task_without_an_error_leaves_its_domain_without_one() -> None:
    """One example of four generations beside sixty: a mean, and neither interval nor p."""
    found = domain_of(measure(fractional(60, 12), fractional(1, 1)))
    assert found.difference.value == pytest.approx(-(12 * 0.625 / 60 + 0.25) / 2)
    assert all(math.isnan(x) for x in (found.difference.stderr, found.difference.ci_low, found.p_noninferior))
