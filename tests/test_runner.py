"""Plan to record: resumable, one outcome per request, one broken item loses nothing else."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineError, StoreError
from harness.interfaces import Engine
from harness.provenance import collect_provenance
from harness.runner import Progress, execute
from harness.schema import EngineSpec, Generation, Request, RunRecord
from harness.store import RunStore, read_run
from tests.support import toy_plan, toy_spec


class Answers:
    """An engine that answers from a function of the example's number, and may die after some answers."""

    spec = EngineSpec(name="scripted", dtype="none", device="none")

    def __init__(self, answer: Any, dies_after: int | None = None) -> None:
        self.answer = answer
        self.dies_after = dies_after
        self.asked: list[str] = []

    def describe(self) -> dict[str, Any]:
        """Say nothing."""
        return {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Answer in order."""
        for request in requests:
            if len(self.asked) == self.dies_after:
                raise EngineError("the engine died")
            self.asked.append(request.key.example_id)
            text, error = self.answer(int(request.key.example_id[1:]))
            yield Generation(
                key=request.key,
                text=text,
                finish_reason="error" if error else "stop",
                num_prompt_tokens=3,
                num_completion_tokens=2,
                seconds=0.5,
                error=error,
            )

    def close(self) -> None:
        """Hold nothing."""


def run(folder: Path, engine: Engine) -> RunRecord:
    planned = toy_plan(folder, num_rows=12, k=1)
    store = RunStore(folder / "run", toy_spec(planned))
    try:
        return execute([planned], store, lambda: engine, collect_provenance, None, Progress(), num_workers=3)
    finally:
        store.close()


def right_if_even(number: int) -> tuple[str, None]:
    return (f"It is {2 * number}." if number % 2 == 0 else "", None)


def test_counts_add_up(tmp_path: Path) -> None:
    """planned = scored + no_answer + timeout + error, and the score's denominator is what was planned."""
    record = run(tmp_path, Answers(right_if_even))
    (summary,) = record.tasks
    assert record.status == "complete"
    assert (summary.num_planned, summary.num_scored, summary.num_no_answer, summary.num_error) == (12, 6, 6, 0)
    assert summary.score.value == pytest.approx(0.5)
    assert summary.other_metrics["half"].value == pytest.approx(0.25)
    assert (summary.num_completion_tokens, summary.seconds) == (24, 6.0)


def test_a_dead_engine_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    """The second session asks only what the first did not get, and the record names both sessions."""
    with pytest.raises(EngineError):
        run(tmp_path, Answers(right_if_even, dies_after=5))
    second = Answers(right_if_even)
    record = run(tmp_path, second)
    assert second.asked == [f"q{number}" for number in range(5, 12)]
    assert [session.num_done_before for session in record.sessions] == [0, 5]
    assert record.tasks[0].score.value == pytest.approx(0.5)


def test_a_finished_run_starts_no_engine(tmp_path: Path) -> None:
    """Everything is there: nothing is generated, the numbers are the same."""
    first = run(tmp_path, Answers(right_if_even))
    engine = Answers(right_if_even)
    assert run(tmp_path, engine).tasks == first.tasks
    assert engine.asked == []


def test_one_broken_item_is_an_error_and_the_others_are_scored(tmp_path: Path) -> None:
    """A scorer that breaks on one text makes the run incomplete, not shorter."""
    record = run(tmp_path, Answers(lambda n: ("break" if n == 3 else f"{2 * n}", None)))
    (summary,) = record.tasks
    assert record.status == "incomplete"
    assert (summary.num_planned, summary.num_scored, summary.num_error) == (12, 11, 1)
    assert (summary.score.value, summary.score.num_examples) == (1.0, 11), "an error is not a verdict"


def test_errors_are_retried_by_the_next_session(tmp_path: Path) -> None:
    """A request that failed is asked again, and only that one."""
    first = run(tmp_path, Answers(lambda n: ("", "no memory") if n == 4 else right_if_even(n)))
    assert first.status == "incomplete"
    engine = Answers(right_if_even)
    second = run(tmp_path, engine)
    assert engine.asked == ["q4"]
    assert second.status == "complete"
    assert second.tasks[0].score.value == pytest.approx(0.5)


def test_undefined_numbers_survive_the_file(tmp_path: Path) -> None:
    """One example has no standard error, none at all no score: nan is written, read back, and the run goes on."""
    planned = toy_plan(tmp_path, num_rows=1, k=1)
    for answer, status in ((lambda n: ("", "no memory"), "incomplete"), (right_if_even, "complete")):
        store = RunStore(tmp_path / "run", toy_spec(planned))
        execute([planned], store, lambda a=answer: Answers(a), collect_provenance, None, Progress(), num_workers=1)
        store.close()
        record = read_run(tmp_path / "run")
        assert record.status == status
        assert math.isnan(record.tasks[0].score.stderr)
    assert record.tasks[0].score.value == 1.0


def test_a_resumed_run_is_unfinished_until_it_ends(tmp_path: Path) -> None:
    """The run.json of an incomplete run goes as soon as a session retries its errors."""
    run(tmp_path, Answers(lambda n: ("", "no memory")))
    with pytest.raises(EngineError):
        run(tmp_path, Answers(right_if_even, dies_after=3))
    with pytest.raises(StoreError, match="has not finished"):
        read_run(tmp_path / "run")


def test_lost_scores_are_made_again_from_stored_text(tmp_path: Path) -> None:
    """Killed between a generation and its score: the text is scored, not generated again."""
    run(tmp_path, Answers(right_if_even))
    scores = tmp_path / "run" / "scores.jsonl"
    lines = scores.read_bytes().splitlines(keepends=True)
    scores.write_bytes(b"".join(lines[:7]))
    (tmp_path / "run" / "run.json").unlink()
    engine = Answers(right_if_even)
    record = run(tmp_path, engine)
    assert engine.asked == []
    assert sorted(scores.read_bytes().splitlines(keepends=True)) == sorted(lines)
    assert record.tasks[0].score.value == pytest.approx(0.5)


def test_scores_do_not_wait_for_the_last_generation(tmp_path: Path) -> None:
    """While the engine still works, earlier generations are already judged."""
    planned = toy_plan(tmp_path, num_rows=12, k=1)
    store = RunStore(tmp_path / "run", toy_spec(planned))
    seen_while_generating = []

    class Watching(Progress):
        num_scored = 0

        def scored(self, score: Any) -> None:
            self.num_scored += 1

    watching = Watching()

    def answer(number: int) -> tuple[str, None]:
        import time

        time.sleep(0.02)
        seen_while_generating.append(watching.num_scored)
        return str(number), None

    execute([planned], store, lambda: Answers(answer), collect_provenance, None, watching, num_workers=2)
    store.close()
    assert seen_while_generating[-1] > 0
    assert watching.num_scored == 12
