"""What judges found of a study's runs, from the run records."""

import msgspec

from harness.study.judged import find_judged, is_judged, read_judge
from tests.judged_runs import JUDGE, KIN, judged_run


def test_each_judged_task_of_each_run_is_a_finding() -> None:
    """Task by task, in the order of the labels; what no judge scored is not among them."""
    runs = {"grlo": [judged_run("grlo", 0.5, 100, KIN)], "base": [judged_run("base", 0.3, 0)]}
    found = find_judged(runs, ["base", "grlo"])
    assert [(item.task, item.label) for item in found] == [
        ("debate", "base"),
        ("debate", "grlo"),
        ("interview", "base"),
        ("interview", "grlo"),
    ]
    assert [item.kind for item in found] == ["pair", "pair", "rating", "rating"]
    assert found[0].score == runs["base"][0].record.tasks[0].score
    assert found[0].truncated == 2 / 40
    assert [item.judge.kinship for item in found] == [None, KIN, None, KIN]
    assert {item.judge.name for item in found} == {JUDGE}


def test_the_last_session_that_judged_tells_of_the_judge() -> None:
    """One that found everything judged says nothing of it."""
    record = judged_run("grlo", 0.5, 100, KIN).record
    silent = msgspec.structs.replace(record.sessions[0], engine={"batch": 8})
    resumed = msgspec.structs.replace(record, sessions=(*record.sessions, silent))
    assert read_judge(resumed, record.spec.tasks[0]).kinship == KIN


def test_a_record_without_sessions_has_the_judge_in_its_scorer() -> None:
    """The version is task, judge and digest; whether they are kin is not known."""
    record = msgspec.structs.replace(judged_run("grlo", 0.5, 100, KIN).record, sessions=())
    note = read_judge(record, record.spec.tasks[0])
    assert (note.name, note.kinship) == (JUDGE, None)
    other = msgspec.structs.replace(record.spec.tasks[0], scorer="judge@odd")
    assert read_judge(record, other).name == "odd"
    assert [is_judged(ref) for ref in record.spec.tasks] == [True, True, False]
