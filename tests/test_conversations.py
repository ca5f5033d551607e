"""Conversations of several turns: a turn is asked when those before it are answered, whatever happens in between."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineError
from harness.interfaces import BatchScorer, Engine
from harness.plan import ANSWER_TO_COME, PlannedTask, pin_task, plan_requests
from harness.provenance import collect_provenance
from harness.rows import Row
from harness.runner import Progress, execute
from harness.schema import EngineSpec, Estimate, Example, Generation, Request, RunRecord, Sampling, Score
from harness.store import RunStore, read_lines
from tasks.prompts import DIALOGUE
from tests.support import toy_spec, toy_task

QUESTIONS = ("Name a river.", "How long is it?", "And how wide?")


class Echo:
    """Answers each request with what it was asked, and may die after some answers or fail on a word."""

    spec = EngineSpec(name="scripted", dtype="none", device="none")

    def __init__(self, dies_after: int | None = None, fails_on: str = "nothing") -> None:
        self.dies_after = dies_after
        self.fails_on = fails_on
        self.waves: list[list[str]] = []

    def describe(self) -> dict[str, Any]:
        """Say nothing."""
        return {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Answer with the last message, in order."""
        self.waves.append([])
        for request in requests:
            if sum(map(len, self.waves)) == self.dies_after:
                raise EngineError("the engine died")
            self.waves[-1].append(f"{request.key.example_id}#{request.key.index}")
            asked = [message.content for message in request.messages or ()] or [str(request.prompt)]
            is_failed = self.fails_on in asked[-1]
            yield Generation(
                key=request.key,
                text="" if is_failed else f"[{' | '.join(asked)}]\n",
                finish_reason="error" if is_failed else "stop",
                num_prompt_tokens=1,
                num_completion_tokens=1,
                seconds=0.0,
                error="no memory" if is_failed else None,
            )

    def close(self) -> None:
        """Hold nothing."""


class LengthJudge:
    """A BatchScorer that weighs lengths, and may die after some verdicts or give none on a word."""

    name = "length"
    version = "1"

    def __init__(self, dies_after: int | None = None) -> None:
        self.dies_after = dies_after
        self.asked: list[tuple[str, list[str]]] = []

    def check(self) -> None:
        """Need nothing."""

    def score(self, example: Example, generation: Generation) -> Score:
        """Never called: all come together."""
        raise NotImplementedError

    def score_all(self, items: Iterable[tuple[Example, Generation]]) -> Iterator[Score]:
        """Judge in order."""
        for example, generation in items:
            if len(self.asked) == self.dies_after:
                raise EngineError("the judge died")
            self.asked.append((example.example_id, example.metadata.get("earlier_answers", [])))
            share = 1 / len(generation.text)
            measures = {"length": float(len(generation.text))}
            yield Score(
                key=generation.key, value=share, outcome="scored", answer="1", scorer="length@1", measures=measures
            )

    def metrics(self, examples: Any, scores: Any) -> dict[str, Estimate]:
        """Return the mean length."""
        mean = sum(score.measures["length"] for score in scores) / len(scores)
        return {"length": Estimate(mean, 0.0, mean, mean, 0.95, "mean", len(examples), len(scores))}

    def describe(self) -> dict[str, Any]:
        """Say nothing."""
        return {}

    def close(self) -> None:
        """Hold nothing."""


def parse(task: str, number: int, row: Row) -> Example:
    metadata = {"follows": row["follows"]} if row["follows"] else {}
    return Example(
        task=task, example_id=row["id"], input=row["question"], target=None, cluster=row["talk"], metadata=metadata
    )


def plan(folder: Path, scorer: Any, talks: int = 2, turns: int = 2, k: int = 1) -> PlannedTask:
    """Return a task of some talks, pinned."""
    rows = [
        {
            "id": f"{talk}-{turn + 1}",
            "talk": str(talk),
            "question": f"{QUESTIONS[turn]} ({talk})",
            "follows": f"{talk}-{turn}" if turn else None,
        }
        for talk in range(talks)
        for turn in range(turns)
    ]
    (folder / "toy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = toy_task()
    task = replace(task, source=replace(task.source, parse=parse), prompt=DIALOGUE)
    sampling = Sampling(temperature=1.0, num_generations=k)
    return pin_task(task, task.load(folder, None), scorer, sampling, "chat", None)


def run(folder: Path, engine: Engine, judge: BatchScorer, **shape: int) -> RunRecord:
    planned = plan(folder, judge, **shape)
    store = RunStore(folder / "run", toy_spec(planned))
    try:
        return execute([planned], store, lambda: engine, collect_provenance, None, Progress(), num_workers=2)
    finally:
        store.close()


def texts(folder: Path) -> dict[str, str]:
    found = read_lines(folder / "run" / "generations.jsonl", Generation)
    return {f"{item.key.example_id}#{item.key.index}": item.text for item in found}


def lines(folder: Path) -> dict[str, list[bytes]]:
    """Return what the run's files hold, in whatever order it came."""
    names = ("generations.jsonl", "scores.jsonl", "examples.jsonl")
    return {name: sorted((folder / "run" / name).read_bytes().splitlines()) for name in names}


def test_a_turn_quotes_the_answers_before_it(tmp_path: Path) -> None:
    """One call of the engine per turn; each generation goes on from the one of the same index."""
    engine = Echo()
    record = run(tmp_path, engine, LengthJudge(), talks=1, turns=3, k=2)
    assert engine.waves == [["0-1#0", "0-1#1"], ["0-2#0", "0-2#1"], ["0-3#0", "0-3#1"]]
    first = "[Name a river. (0)]"
    second = f"[Name a river. (0) | {first} | How long is it? (0)]"
    assert texts(tmp_path)["0-3#1"] == (
        f"[Name a river. (0) | {first} | How long is it? (0) | {second} | And how wide? (0)]\n"
    )
    (summary,) = record.tasks
    assert (summary.num_planned, summary.num_scored, summary.num_examples) == (6, 6, 3)
    assert summary.score.num_clusters == 1


def test_plain_styles_write_a_dialogue(tmp_path: Path) -> None:
    """The answers stand in the frame of the style, and the next question follows."""
    planned = plan(tmp_path, LengthJudge(), talks=1)
    answers = {request.key: " The Rhine.\n" for request in plan_requests([planned], "chat", {})}
    prompts = {style: list(plan_requests([planned], style, answers))[1].prompt for style in ("completion", "standard")}
    assert prompts == {
        "completion": ("Question: Name a river. (0)\nAnswer: The Rhine.\n\nQuestion: How long is it? (0)\nAnswer:"),
        "standard": ("User: Name a river. (0)\n\nAssistant: The Rhine.\n\nUser: How long is it? (0)\n\nAssistant:"),
    }


def test_the_whole_plan_can_be_shown_before_anything_is_answered(tmp_path: Path) -> None:
    """With a place-holder; without the answers only first turns can be asked; imported text asks nothing at all."""
    planned = plan(tmp_path, LengthJudge())
    shown = list(plan_requests([planned], "chat"))
    assert [request.key.example_id for request in shown] == ["0-1", "0-2", "1-1", "1-2"]
    assert [message.content for message in shown[1].messages or ()][1] == ANSWER_TO_COME
    assert [request.key.example_id for request in plan_requests([planned], "chat", {})] == ["0-1", "1-1"]
    assert len(list(plan_requests([planned], "imported", {}))) == 4


@pytest.mark.parametrize("dies_after", [1, 2, 3])
def test_a_killed_run_ends_with_the_same_files(tmp_path: Path, dies_after: int) -> None:
    """Before, between and after the first turns: what was answered is read back and quoted, nothing is asked twice."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = run(whole, Echo(), LengthJudge())
    with pytest.raises(EngineError):
        run(parts, Echo(dies_after=dies_after), LengthJudge())
    engine = Echo()
    assert run(parts, engine, LengthJudge()).tasks == expected.tasks
    assert sum(map(len, engine.waves)) == 4 - dies_after
    assert lines(parts) == lines(whole)


def test_a_turn_after_a_failed_one_is_an_error(tmp_path: Path) -> None:
    """It is not asked; both are retried by the next session, and counts add up in both."""
    engine, judge = Echo(fails_on="river. (0)"), LengthJudge()
    (summary,) = run(tmp_path, engine, judge).tasks
    assert engine.waves == [["0-1#0", "1-1#0"], ["1-2#0"]]
    assert (summary.num_planned, summary.num_scored, summary.num_error) == (4, 2, 2)
    assert [name for name, _ in judge.asked] == ["1-1", "1-2"], "errors are not judged"
    details = {score.key.example_id: score.detail for score in read_lines(tmp_path / "run" / "scores.jsonl", Score)}
    assert details["0-2"] == "an earlier turn of the conversation has no answer"
    again = Echo()
    (summary,) = run(tmp_path, again, LengthJudge()).tasks
    assert again.waves == [["0-1#0"], ["0-2#0"]]
    assert (summary.num_scored, summary.num_error) == (4, 0)


def test_a_judge_is_asked_after_the_engine_and_knows_the_earlier_answers(tmp_path: Path) -> None:
    """All of a task's generations at once; its own metrics stand beside the mean."""
    judge = LengthJudge()
    (summary,) = run(tmp_path, Echo(), judge, talks=1).tasks
    found = texts(tmp_path)
    assert judge.asked == [("0-1", []), ("0-2", [found["0-1#0"]])]
    lengths = [len(text) for text in found.values()]
    assert summary.score.value == pytest.approx(sum(1 / length for length in lengths) / 2)
    assert summary.other_metrics["length"].value == sum(lengths) / 2


def test_a_killed_judge_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Verdicts that were given stay; only the others are asked for, with the earlier answers; no engine starts."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = run(whole, Echo(), LengthJudge())
    with pytest.raises(EngineError, match="the judge died"):
        run(parts, Echo(), LengthJudge(dies_after=3))
    engine, judge = Echo(), LengthJudge()
    assert run(parts, engine, judge).tasks == expected.tasks
    assert engine.waves == []
    assert judge.asked == [("1-2", [texts(parts)["1-1#0"]])]
    assert lines(parts) == lines(whole)
