"""Two runs' answers are lined up request by request, or refused with what does not fit."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import UsageError
from harness.judging.answers import Answer
from harness.judging.judgment import join_games, judge_task
from harness.judging.pair import AnsweredRun, choose_tasks, match_answers
from harness.judging.pairwise import Match
from harness.schema import (
    CheckpointRef,
    EngineSpec,
    Example,
    Fingerprint,
    Generation,
    RequestKey,
    RunRecord,
    RunSpec,
    Sampling,
    Score,
    TaskRef,
)
from harness.stats.bradley_terry import fit_strengths

Change = Callable[[TaskRef], TaskRef]


def answered_run(
    folder: Path, label: str, texts: dict[str, str], examples: Sequence[Example], change: Change = lambda ref: ref
) -> AnsweredRun:
    """Return a finished run of task `t` with these texts, by example; what is missing ended in error."""
    folder.mkdir()
    ref = TaskRef("t", "1", "chat", "d" * 64, "chat@1", "number@1", Sampling(), len(examples))
    checkpoint = CheckpointRef(label, f"./{label}", None, Fingerprint(label, "tok", "template"))
    spec = RunSpec(checkpoint, (change(ref),), EngineSpec("hf", "float32", "cpu"), "chat", None, None)
    generations = [
        Generation(RequestKey("t", example.example_id, 0), texts[example.example_id], "stop", 1, 1, 0.0)
        if example.example_id in texts
        else Generation(RequestKey("t", example.example_id, 0), "", "error", None, None, 0.0, error="lost")
        for example in examples
    ]
    for name, lines in (("examples", examples), ("generations", generations)):
        (folder / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return AnsweredRun(folder, RunRecord("0" * 16, spec, "complete", (), None, (), ""))


def ask(*names: str) -> list[Example]:
    return [Example("t", name, f"Question {name}?", None) for name in names]


def test_answers_are_lined_up(tmp_path: Path) -> None:
    """In the order of the examples, whatever order answers came in, and without reasoning."""
    a = answered_run(tmp_path / "a", "base", {"x": "ax", "y": "ay"}, ask("x", "y"))
    b = answered_run(tmp_path / "b", "new", {"y": "<think>?</think>by", "x": "bx"}, ask("y", "x"))
    found = match_answers(a, b, ["t"], ("think",))
    assert [(item.question, item.candidate.text, item.baseline.text) for item in found] == [
        ("Question x?", "bx", "ax"),
        ("Question y?", "by", "ay"),
    ]
    assert found[0].where == "t/x#0, new against base"


def test_missing_answers_are_named(tmp_path: Path) -> None:
    """An answer that only one run has would be left out in silence: it is an error that names it."""
    names = ("v", "w", "x", "y", "z")
    a = answered_run(tmp_path / "a", "base", dict.fromkeys(names, "a"), ask(*names))
    b = answered_run(tmp_path / "b", "new", {"z": "b"}, ask(*names))
    expected = r"b has no answer to t/v#0, t/w#0, t/x#0 and 1 more, of which .*a has one; run its `harness eval`"
    with pytest.raises(UsageError, match=expected):
        match_answers(a, b, ["t"], ())
    with pytest.raises(UsageError, match=r"b has no answer to t/v#0, t/w#0, t/x#0 and 1 more"):
        match_answers(b, a, ["t"], ())


@pytest.mark.parametrize(
    ("change", "field"),
    [({"data_sha256": "e" * 64}, "data"), ({"prompt": "other@1"}, "prompt"), ({"version": "2"}, "version")],
)
def test_runs_that_were_asked_otherwise_are_refused(tmp_path: Path, change: dict[str, str], field: str) -> None:
    """Other rows, prompts or versions of a task, unless that is allowed; other scorers do not matter."""
    a = answered_run(tmp_path / "a", "base", {"x": "a"}, ask("x"))
    b = answered_run(tmp_path / "b", "new", {"x": "b"}, ask("x"), lambda ref: msgspec.structs.replace(ref, **change))
    with pytest.raises(UsageError, match=f"were not asked alike: {field} of t is .* --allow-drift {field}$"):
        choose_tasks(a, b, (), ())
    assert choose_tasks(a, b, (), (field,)) == ("t",)
    c = answered_run(
        tmp_path / "c", "new", {"x": "b"}, ask("x"), lambda ref: msgspec.structs.replace(ref, scorer="s@2")
    )
    assert choose_tasks(a, c, ("t",), ()) == ("t",)


def test_later_turns_are_shown_with_what_each_side_said_before(tmp_path: Path) -> None:
    """Each side's second answer goes on from its own first one."""
    examples = [*ask("q-1"), msgspec.structs.replace(ask("q-2")[0], metadata={"follows": "q-1"})]
    a = answered_run(tmp_path / "a", "base", {"q-1": "a1", "q-2": "a2"}, examples)
    b = answered_run(tmp_path / "b", "new", {"q-1": "<think>?</think>b1", "q-2": "b2"}, examples)
    second = match_answers(a, b, ["t"], ("think",))[1]
    assert second.question == "Question q-1?"
    assert second.candidate.before == (("assistant", "b1"), ("user", "Question q-2?"))
    assert second.baseline.shown == "a1\n\n[user]\nQuestion q-2?\n\n[assistant]\na2"
    assert second.candidate.measures()["length"] == 2


def score(example_id: str, first: float, second: float, length: int = 10) -> Score:
    measures = {"first": first, "second": second, "first_weight": 1.0, "second_weight": 1.0}
    measures |= {"length": length, "baseline_length": 10}
    agree = {"order_agreement": (float((first > 0.5) == (second > 0.5)),)}
    key = RequestKey("t", example_id, 0)
    return Score(key, (first + second) / 2, "scored", "", "judge@1", parts=agree, measures=measures)


def test_a_judgment_counts_what_a_reader_asks_for(tmp_path: Path) -> None:
    """By hand: one win, one tie of orders that disagree, one loss, one pair that was not read."""
    run = answered_run(tmp_path / "a", "base", {}, ask("w", "x", "y", "z"))
    failed = Score(RequestKey("t", "z", 0), 0.0, "error", None, "judge@1")
    scores = [score("w", 1.0, 1.0), score("x", 1.0, 0.0), score("y", 0.0, 0.0), failed]
    answers = [("ours", "theirs"), ("", "same"), ("same", "same"), ("cut", "")]
    matches = [
        Match(item.key, "?", Answer(ours, ours != "cut"), Answer(theirs, True), "")
        for item, (ours, theirs) in zip(scores, answers, strict=True)
    ]
    found = judge_task("t", run, matches, scores)
    assert (found.num_matches, found.num_errors, found.num_identical) == (4, 1, 1)
    assert (found.num_wins, found.num_ties, found.win_rate.value, found.win_rate.num_examples) == (1, 1, 0.5, 3)
    assert found.order_agreement.value == pytest.approx(2 / 3)
    assert found.first_share.value == pytest.approx((0.5 + 1.0 + 0.5) / 3)
    assert (found.a.num_empty, found.b.num_empty, found.b.num_truncated) == (1, 1, 1)


def test_several_candidates_share_a_baseline() -> None:
    """Strengths are the log-odds of each candidate's own share of wins; a prompt's verdicts stay together."""
    half = [score("x", 1.0, 0.0), score("y", 0.0, 1.0)]
    most = [score("x", 1.0, 1.0), score("y", 1.0, 0.0)]
    games = join_games("base", {"half": half, "most": most})
    assert games.models == ("base", "half", "most")
    assert games.clusters is not None
    assert games.clusters.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert fit_strengths(games).values == pytest.approx([0.0, 0.0, np.log(3)])


def test_what_neither_run_answered_is_named(tmp_path: Path) -> None:
    """Left out in silence it would be missing from the win rate's denominator; other tasks' requests do not matter."""
    a, b = (answered_run(tmp_path / name, name, {"x": name}, ask("x", "y", "z")) for name in ("a", "b"))
    with pytest.raises(UsageError, match=r"^neither run has an answer to t/y#0, t/z#0; run their `harness eval`"):
        match_answers(a, b, ["t"], ())
    assert match_answers(a, b, [], ()) == ()


def test_a_second_turn_without_its_first_is_refused(tmp_path: Path) -> None:
    """Imported text may hold it alone: one line says so."""
    examples = [msgspec.structs.replace(ask("q-2")[0], metadata={"follows": "q-1"})]
    a, b = (answered_run(tmp_path / name, name, {"q-2": name}, examples) for name in ("a", "b"))
    with pytest.raises(UsageError, match=r"^t/q-2 goes on from q-1, which the runs do not have"):
        match_answers(a, b, ["t"], ())


def test_the_turns_of_a_conversation_are_one_unit(tmp_path: Path) -> None:
    """In the win rate, the agreement of orders, and the ranking of several candidates."""
    turns = [msgspec.structs.replace(example, cluster=example.example_id[0]) for example in ask("v1", "v2", "w1", "w2")]
    run = answered_run(tmp_path / "a", "base", {}, turns)
    scores = [score("v1", 1.0, 1.0), score("v2", 1.0, 0.0), score("w1", 0.0, 0.0), score("w2", 0.0, 0.0)]
    found = judge_task(
        "t", run, [Match(item.key, "?", Answer("b", True), Answer("a", True), "") for item in scores], scores
    )
    for estimate in (found.win_rate, found.order_agreement, found.first_share, found.metrics["characters"]):
        assert (estimate.num_examples, estimate.num_clusters) == (4, 2)
    clusters = {("t", example.example_id): str(example.cluster) for example in turns[:2]}
    games = join_games("base", {"new": scores}, clusters)
    assert games.clusters is not None
    assert games.clusters.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
