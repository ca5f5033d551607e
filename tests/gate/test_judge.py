"""The gate's rules: verdicts, error rates by simulation, guard rails, and what it refuses to judge."""

import gc
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import EXIT_COULD_NOT_RUN, HarnessError
from harness.gate.findings import GateReport, GateTest
from harness.gate.judge import judge_runs
from harness.pairing import LabelVerdicts, gather_labels
from harness.schema import Estimate, TaskSummary
from harness.spec import GatePolicy
from harness.stats.estimate import Floats
from harness.stats.multiple import holm
from harness.store import encode_pretty
from harness.verdicts import TaskVerdicts
from tests.calibration.draws import losing_sides, noisy_sides
from tests.labels import make_label, make_run, make_task

QUIET = GatePolicy(max_examples_listed=0)
"""The default policy, without the lists: labels made from arrays have no files to read texts from."""
Judge = Callable[..., GateReport]


@pytest.fixture(scope="module", autouse=True)
def quick_garbage_collection() -> Iterator[None]:
    """statsmodels collects garbage on every call; keep what is loaded out of that, itself included."""
    holm([0.5])
    gc.freeze()
    yield
    gc.unfreeze()


def judge(before: Floats, after: Floats, policy: GatePolicy = QUIET, **changes: object) -> GateReport:
    """Judge one task."""
    sides = [make_label(name, make_task("t", values, **changes)) for name, values in (("b", before), ("c", after))]
    return judge_runs(*sides, policy)


def of_kind(report: GateReport, *kinds: str) -> list[GateTest]:
    return [test for test in report.tests if test.kind in kinds]


def flip(n: int, num_lost: int, num_gained: int = 0) -> tuple[Floats, Floats]:
    """Return single verdicts of which some are lost and some gained; the others are right."""
    before, after = np.ones(n), np.ones(n)
    after[:num_lost] = 0
    before[num_lost : num_lost + num_gained] = 0
    return before, after


@pytest.mark.parametrize(
    ("n", "num_lost", "num_gained", "verdict"),
    [
        (1, 0, 0, "inconclusive"),
        (1, 1, 0, "inconclusive"),
        (2, 2, 0, "inconclusive"),
        (87, 0, 0, "inconclusive"),
        (88, 0, 0, "pass"),
        (1000, 0, 0, "pass"),
        (1000, 20, 20, "pass"),
        (1000, 30, 0, "inconclusive"),
        (1000, 90, 0, "regression"),
        (100, 7, 0, "inconclusive"),
        (30, 15, 0, "regression"),
    ],
)
def test_verdicts(n: int, num_lost: int, num_gained: int, verdict: str) -> None:
    """A margin of 3 points: identical runs need 88 examples to pass; few examples never give a confident verdict."""
    assert judge(*flip(n, num_lost, num_gained)).verdict == verdict


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_few_examples_of_many_generations_decide_nothing(n: int) -> None:
    """Eight generations each do not make up for examples, whether the sides agree or differ a little."""
    values = np.ones((n, 8))
    other = values.copy()
    other[0, :2] = 0
    assert judge(values, values).verdict == "inconclusive"
    assert judge(values, other).verdict == "inconclusive"


@pytest.mark.parametrize(("n", "verdict"), [(10, "inconclusive"), (500, "pass")])
def test_all_wrong_on_both_sides(n: int, verdict: str) -> None:
    """Nothing can be lost where nothing is right: the verdict says so instead of boasting."""
    report = judge(np.zeros(n), np.zeros(n))
    assert report.verdict == verdict
    assert "cannot fail" in (report.tests[0].note or "")


def test_regression_outweighs_inconclusive() -> None:
    """One task beyond the margin and one undecided: regression."""
    sides = [
        make_label(label, make_task("big", big), make_task("small", np.ones(10), suite="chat"))
        for label, big in zip("bc", flip(500, 100), strict=True)
    ]
    report = judge_runs(*sides, QUIET)
    assert [test.verdict for test in of_kind(report, "task")] == ["regression", "inconclusive"]
    assert report.verdict == "regression"


def share_of(verdict: str, num_gates: int, losses: tuple[float, ...], n: int = 60, k: int = 4) -> float:
    rng = np.random.default_rng(5)
    return float(
        np.mean([judge_runs(*noisy_sides(rng, n, k, losses), QUIET).verdict == verdict for _ in range(num_gates)])
    )


def test_false_alarms_when_nothing_changed() -> None:
    """Two equal tasks and their domain, 2,000 gates: far fewer than 5 % alarm, since nothing is at its margin."""
    assert share_of("regression", 2000, (0.0, 0.0)) <= 0.01


def test_false_alarms_at_the_margin() -> None:
    """Three tasks exactly at the margin, the worst case for Holm: at most 5 % of 2,000 gates alarm (with 2 SE)."""
    assert share_of("regression", 2000, (0.03, 0.03, 0.03)) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)


def test_false_passes_at_the_margin() -> None:
    """One task at its margin and two much better: at most 5 % of 2,000 gates pass (with 2 SE)."""
    assert share_of("pass", 2000, (0.03, -0.2, -0.2)) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("sizes", [(100, 100), (164, 378)])
def test_false_passes_of_a_domain_that_only_lost(sizes: tuple[int, int]) -> None:
    """Single verdicts, losses only, exactly at the margin, gated by domain: at most 5 % of 1,500 pass (+ 2 SE)."""
    rng = np.random.default_rng(6)
    policy = GatePolicy(margin=3, gate_on=("domains",), max_examples_listed=0)
    passed = 0
    for _ in range(1500):
        passed += judge_runs(*losing_sides(rng, sizes, 0.03), policy).verdict == "pass"
    assert passed / 1500 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1500)


def test_several_checkpoints_are_not_one_candidate() -> None:
    """Two training seeds under one label: the gate says to name one."""
    runs = [make_run("c", [make_task("t", np.ones(20))], weights=weights) for weights in ("x", "y")]
    with pytest.raises(HarnessError, match="c is 2 checkpoints, and a gate judges one"):
        judge_runs(make_label("b", make_task("t", np.ones(20))), *gather_labels(runs), QUIET)


def test_power_against_a_large_loss() -> None:
    """Twenty points lost on one of three tasks are found in nearly every gate."""
    assert share_of("regression", 100, (0.2, 0.0, 0.0), n=150) >= 0.95


@pytest.mark.parametrize(("num_lost", "num_gained", "n"), [(8, 8, 200), (7, 0, 400), (7, 0, 100)])
def test_as_many_more_examples_as_it_says_decide(num_lost: int, num_gained: int, n: int) -> None:
    """The same picture with a few more than n + more_examples examples is decided, with fewer it is not."""
    found = judge(*flip(n, num_lost, num_gained))
    (test,) = of_kind(found, "task")
    assert test.verdict == "inconclusive"
    assert test.more_examples is not None
    for scale, is_decided in ((1 + 1.35 * test.more_examples / n, True), (1 + 0.6 * test.more_examples / n, False)):
        again = judge(*flip(round(scale * n), round(scale * num_lost), round(scale * num_gained)))
        assert (again.tests[0].verdict != "inconclusive") == is_decided, scale


def test_more_examples_follows_the_formula() -> None:
    """For a nearly normal test: n (z SE/|Δ + m|)² − n."""
    rng = np.random.default_rng(0)
    before = rng.binomial(8, 0.5, (150, 1)) / 8
    after = before + np.resize([0.25, -0.25, 0.125, -0.125], (150, 1)) - 0.01
    (test,) = of_kind(judge(np.clip(before, 0.3, 0.7), np.clip(after, 0, 1)), "task")
    estimate = test.difference
    expected = 150 * (1.6449 * estimate.stderr / abs(estimate.value + 0.03)) ** 2
    assert test.more_examples is not None
    assert 150 + test.more_examples == pytest.approx(expected, rel=0.03)


def test_no_number_of_examples_is_promised_at_the_margin() -> None:
    """A difference of −margin stays undecided however many examples there are."""
    (test,) = of_kind(judge(*flip(1000, 30)), "task")
    assert test.more_examples is None
    assert "no number of examples" in (test.note or "")


def test_more_generations_are_offered_where_noise_dominates() -> None:
    """Same chances on both sides, so that all variance is drawing: as many generations as the note says decide."""
    rng = np.random.default_rng(3)
    chance = np.full((100, 1), 0.5)
    (test,) = of_kind(judge(rng.binomial(1, chance, (100, 8)), rng.binomial(1, chance, (100, 8))), "task")
    assert test.verdict == "inconclusive"
    needed = int((test.note or "").split("num_generations = ")[1].split()[0].rstrip(";"))
    factor = 1 + (test.more_examples or 0) / 100
    assert needed == pytest.approx(8 * factor, rel=0.15)


def test_an_established_loss_within_the_margin_is_said() -> None:
    """A small but certain loss passes, and the note says that it is one."""
    (test,) = of_kind(judge(*flip(5000, 50)), "task")
    assert test.verdict == "pass"
    assert "a loss is established" in (test.note or "")


def domain_sides(*losses: int) -> tuple[LabelVerdicts, LabelVerdicts]:
    """Return labels with one math task per number of losses, 400 examples each, and one chat task without any."""
    pairs = [flip(400, loss) for loss in losses]
    return tuple(  # type: ignore[return-value]
        make_label(
            label,
            *(make_task(f"t{i}", pair[side]) for i, pair in enumerate(pairs)),
            make_task("talk", np.ones(400), suite="chat"),
        )
        for side, label in enumerate("bc")
    )


def test_domains_of_several_tasks_are_tested() -> None:
    """The mean over a domain's tasks has its own test; a domain with one task is not tested twice."""
    tests = of_kind(judge_runs(*domain_sides(8, 4), QUIET), "domain")
    assert [(test.name, test.tasks) for test in tests] == [("math", ("t0", "t1"))]
    assert tests[0].difference.value == pytest.approx(-0.015)


def test_margins_of_single_names() -> None:
    """A task's and a domain's own margin decide; a domain of one task is tested where its margin is its own."""
    policy = msgspec.structs.replace(QUIET, margins={"t0": 12.0, "chat": 1.0})
    report = judge_runs(*domain_sides(30, 0), policy)
    assert {test.name: (test.margin, test.verdict) for test in of_kind(report, "task", "domain")} == {
        "t0": (0.12, "pass"),
        "t1": (0.03, "pass"),
        "talk": (0.03, "pass"),
        "math": (0.03, "inconclusive"),
        "chat": (0.01, "pass"),
    }


def test_gating_on_domains_alone() -> None:
    """Tasks are not tested; a domain of one task then is."""
    report = judge_runs(*domain_sides(30, 0), msgspec.structs.replace(QUIET, gate_on=("domains",), margin=6.0))
    assert [(test.name, test.verdict) for test in of_kind(report, "task", "domain")] == [
        ("math", "pass"),
        ("chat", "pass"),
    ]


@pytest.mark.parametrize(("ignored", "left"), [(("t0",), {"t1", "talk"}), (("math",), {"talk"})])
def test_what_is_ignored_is_left_out(ignored: tuple[str, ...], left: set[str]) -> None:
    """A task, or a domain with its tasks, is in no test and in no guard rail."""
    report = judge_runs(*domain_sides(200, 0), msgspec.structs.replace(QUIET, ignore=ignored))
    assert {test.name for test in report.tests} == left
    assert report.verdict == "pass"


def rails(before: TaskVerdicts, after: TaskVerdicts, policy: GatePolicy = QUIET) -> dict[str, GateTest]:
    report = judge_runs(make_label("b", before), make_label("c", after), policy)
    return {test.kind: test for test in report.tests}


@pytest.mark.parametrize(
    ("count", "n", "verdict"), [(0, 200, "pass"), (10, 200, "pass"), (14, 200, "warning"), (40, 200, "regression")]
)
@pytest.mark.parametrize("kind", ["truncated", "no_answer"])
def test_guard_rails_on_shares(kind: str, count: int, n: int, verdict: str) -> None:
    """At most 5 points more: a certain excess is a regression, an uncertain one warns and does not hold up the gate."""
    flags = np.arange(n) < count
    change = {"truncated": flags} if kind == "truncated" else {"answered": ~flags}
    found = rails(make_task("t", np.ones(n)), make_task("t", np.ones(n), **change))  # type: ignore[arg-type]
    assert found[kind].verdict == verdict
    assert found[kind].difference.value == pytest.approx(count / n)
    assert found[kind].difference.ci_low <= count / n <= found[kind].difference.ci_high
    assert found[kind].num_worse == count
    assert found["task"].verdict == "pass"


@pytest.mark.parametrize(("ratio", "verdict"), [(0.5, "pass"), (1.4, "pass"), (1.52, "warning"), (2.0, "regression")])
def test_guard_rail_on_length(ratio: float, verdict: str) -> None:
    """At most 1.5 times as many tokens."""
    rng = np.random.default_rng(0)
    tokens = rng.uniform(50, 150, (200, 4))
    side = make_task("t", np.ones((200, 4)))
    after = tokens * ratio * rng.uniform(0.7, 1.3, (200, 1))
    found = rails(
        replace(side, num_tokens=tokens), replace(side, num_tokens=after * tokens.sum() * ratio / after.sum())
    )
    assert found["length"].verdict == verdict
    assert found["length"].candidate == pytest.approx(ratio * found["length"].baseline)
    assert found["length"].margin == pytest.approx(0.5 * found["length"].baseline)


def test_guard_rails_that_cannot_be_tested_are_named() -> None:
    """Unknown finish reasons and token counts skip their rails with a note, and hold up nothing."""
    known = make_task("t", np.ones(200))
    unknown = replace(known, finish_known=np.zeros((200, 1), dtype=bool), num_tokens=np.full((200, 1), np.nan))
    report = judge_runs(make_label("b", known), make_label("c", unknown), QUIET)
    assert [test.kind for test in report.tests] == ["task", "no_answer"]
    assert report.verdict == "pass"
    assert ["truncation" in note or "length" in note for note in report.notes] == [True, True]


def test_guard_rails_are_in_holms_family() -> None:
    """A task's alarm is corrected for the rails too: four tests of one task."""
    report = judge(*flip(300, 20))
    task = report.tests[0]
    assert len(report.tests) == 4
    assert task.p_regression_adjusted == pytest.approx(4 * task.p_regression)


def with_errors(side: LabelVerdicts, num_errors: int) -> LabelVerdicts:
    """Return a label of one task whose first requests ended in error."""
    (run,), (name,) = side.runs, side.tasks
    task = side.tasks[name]
    values = task.values.copy()
    values[:num_errors] = np.nan
    nothing = Estimate(*[math.nan] * 4, level=0.95, method="", num_examples=0, num_clusters=0)
    summary = TaskSummary(
        task=name, version="1", suite="math", metric="m", score=nothing, other_metrics={},
        num_examples=len(values), num_generations=1, num_planned=len(values), num_scored=len(values) - num_errors,
        num_no_answer=0, num_timeout=0, num_error=num_errors, num_truncated=0, num_finish_unknown=0,
        num_completion_tokens=None, seconds=0,
    )  # fmt: skip
    record = msgspec.structs.replace(run.record, tasks=(summary,))
    return replace(side, runs=(replace(run, record=record),), tasks={name: replace(task, values=values)})


def test_errors_within_the_allowance_are_left_out_and_counted() -> None:
    """Two of 200 requests failed and 1 % may: 198 examples are judged, and the report says so."""
    sides = make_label("b", make_task("t", np.ones(200))), with_errors(make_label("c", make_task("t", np.ones(200))), 2)
    report = judge_runs(*sides, msgspec.structs.replace(QUIET, max_error_share=0.01))
    assert report.tests[0].difference.num_examples == 198
    assert any("2 of 200 requests" in note for note in report.notes)
    assert any("2 examples that ended in error on a side: left out" in note for note in report.notes)


def case_of(name: str) -> tuple[LabelVerdicts, LabelVerdicts, GatePolicy]:
    """Return sides and policy that cannot be judged."""
    ones = np.ones(50)
    one = make_label("b", make_task("t", ones))
    other = make_label("c", make_task("t", ones))
    return {
        "errors": (one, with_errors(other, 1), QUIET),
        "no task": (one, make_label("c", make_task("u", ones)), QUIET),
        "no example": (one, make_label("c", make_task("t", ones, ids=tuple(f"x{i}" for i in range(50)))), QUIET),
        "task gone": (make_label("b", make_task("t", ones), make_task("u", ones)), other, QUIET),
        "another k": (one, make_label("c", make_task("t", np.ones((50, 2)))), QUIET),
        "another scorer": (one, make_label("c", make_task("t", ones, scorer="scorer@2")), QUIET),
        "unknown margin": (one, other, GatePolicy(margins={"matth": 2.0})),
        "unknown ignored": (one, other, GatePolicy(ignore=("u",))),
        "all ignored": (one, other, GatePolicy(ignore=("math",))),
    }[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("errors", "1 of 50 requests of t ended in error"),
        ("no task", "no task in common"),
        ("no example", "no example of t in common"),
        ("task gone", "c has no run of u, which b has"),
        ("another k", "--allow-drift sampling"),
        ("another scorer", "--allow-drift scorer"),
        ("unknown margin", "did you mean math?); known: math, t"),
        ("unknown ignored", "ignore names u"),
        ("all ignored", "leaves no task"),
    ],
)
def test_what_cannot_be_judged(name: str, words: str) -> None:
    """One clear line and exit code 3."""
    with pytest.raises(HarnessError, match=words.replace("?", r"\?").replace(")", r"\)")) as raised:
        judge_runs(*case_of(name))
    assert raised.value.exit_code == EXIT_COULD_NOT_RUN


def test_allowed_drift_is_in_the_notes() -> None:
    """What was allowed to differ is named."""
    sides = make_label("b", make_task("t", np.ones(100))), make_label("c", make_task("t", np.ones(100), scorer="s@2"))
    assert judge_runs(*sides, QUIET, ["scorer"]).notes[0].startswith("allowed drift: scorer of t")


def test_the_report_is_plain_json() -> None:
    """No NaN or Infinity in gate.json, even of one example, and the policy is in it."""
    report = judge(np.ones((1, 4)), np.ones((1, 4)))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(encode_pretty(report), parse_constant=refuse)
    assert found["tests"][0]["p_noninferior"] is None
    assert found["policy"]["margin"] == 3.0
    assert Path(found["candidate"]["paths"][0]).parts[:2] == ("runs", "c")
