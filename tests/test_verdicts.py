"""A run directory becomes arrays, and one that was edited does not."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import StoreError
from harness.provenance import collect_provenance
from harness.runner import Progress, execute
from harness.schema import Generation, Request
from harness.store import RunStore
from harness.verdicts import find_runs, load_run
from tests.support import toy_plan, toy_spec


class AnsweringEngine:
    """Right on even examples, silent on multiples of three, broken where it is told to be; k-th tokens are k + 1."""

    def __init__(self, broken: str | None = None) -> None:
        self.spec = None
        self._broken = broken

    def describe(self) -> dict[str, object]:
        """Nothing to say."""
        return {}

    def generate(self, requests):
        """Answer in plan order."""
        for request in requests:
            yield self._answer(request)

    def _answer(self, request: Request) -> Generation:
        number = int(request.key.example_id[1:])
        text = "" if number % 3 == 0 else str(2 * number) if number % 2 == 0 else "none"
        is_broken = request.key.example_id == self._broken
        return Generation(
            key=request.key,
            text=text,
            finish_reason="error" if is_broken else ("stop", "length", "unknown")[number % 3],
            num_prompt_tokens=1,
            num_completion_tokens=None if number == 5 else request.key.index + 1,
            seconds=0.0,
            error="broken" if is_broken else None,
        )

    def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that runs the toy task and gives the run directory."""

    def make(broken: str | None = None) -> Path:
        planned = toy_plan(tmp_path)
        store = RunStore(tmp_path / "runs" / "toy-model" / "0123", toy_spec(planned))
        try:
            execute([planned], store, lambda: AnsweringEngine(broken), collect_provenance, None, Progress(), 2)  # type: ignore[arg-type, return-value]
        finally:
            store.close()
        return store.path

    return make


def test_a_run_becomes_arrays(make_run: Callable[..., Path]) -> None:
    """Values, outcomes, finish reasons and tokens stand where their example and index say."""
    run = load_run(make_run() / "run.json")
    toy = run.tasks["toy"]
    assert toy.example_ids == tuple(f"q{number}" for number in range(12))
    assert toy.values.tolist() == [[float(n % 2 == 0 and n % 3 != 0)] * 2 for n in range(12)]
    assert toy.answered.tolist() == [[n % 3 != 0] * 2 for n in range(12)]
    assert toy.truncated[:, 0].tolist() == [n % 3 == 1 for n in range(12)]
    assert toy.finish_known[:, 1].tolist() == [n % 3 != 2 for n in range(12)]
    assert toy.num_tokens[0].tolist() == [1, 2]
    assert np.isnan(toy.num_tokens[5]).all()
    assert (run.label, toy.ref.name) == ("toy-model", "toy")


def test_what_was_asked_is_in_the_run(make_run: Callable[..., Path]) -> None:
    """Comparing needs no benchmark data: ids, inputs and targets are kept, scorers' test data is not."""
    first = msgspec.json.decode((make_run() / "examples.jsonl").read_bytes().splitlines()[1])
    assert (first["example_id"], first["input"], first["target"]) == ("q1", "What is 1 + 1?", "2")
    assert first["metadata"] == {}


def test_an_incomplete_run_is_refused_unless_allowed(make_run: Callable[..., Path]) -> None:
    """Requests that ended in error are no verdicts: nan where they are allowed at all."""
    path = make_run(broken="q4") / "run.json"
    with pytest.raises(StoreError, match=r"2 of 24 requests ended in error.*--allow-incomplete"):
        load_run(path)
    toy = load_run(path, allow_incomplete=True).tasks["toy"]
    assert np.isnan(toy.values[4]).all()
    assert np.isnan(toy.values).sum() == 2
    assert np.isnan(toy.means).sum() == 1


def test_a_missing_score_is_named(make_run: Callable[..., Path]) -> None:
    """An edited scores file is not compared in part."""
    folder = make_run()
    lines = (folder / "scores.jsonl").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"q7"' not in line or b'"index":1' not in line]
    (folder / "scores.jsonl").write_bytes(b"".join(kept))
    with pytest.raises(StoreError, match="toy/q7#1 has 0 scores, expected 1"):
        load_run(folder / "run.json")


def test_a_missing_generation_is_named(make_run: Callable[..., Path]) -> None:
    """How generations ended is part of a comparison, so none may be missing."""
    folder = make_run()
    (folder / "generations.jsonl").write_bytes(b"")
    with pytest.raises(StoreError, match="toy/q0#0 has 0 generations, expected 1"):
        load_run(folder / "run.json")


def test_measures_of_judged_answers_become_arrays(make_run: Callable[..., Path]) -> None:
    """What one score has and another has not is nan; a run without any has no arrays of them."""
    folder = make_run()
    assert load_run(folder / "run.json").tasks["toy"].measures == {}
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    for score in scores:
        number = int(score["key"]["example_id"][1:])
        score["measures"] = {"length": 10.0 * number} | ({"difficulty": -1.0} if number == 3 else {})
    (folder / "scores.jsonl").write_text("".join(json.dumps(score) + "\n" for score in scores))
    toy = load_run(folder / "run.json").tasks["toy"]
    assert toy.measures["length"].tolist() == [[10.0 * number] * 2 for number in range(12)]
    assert np.isnan(toy.measures["difficulty"]).sum() == 22
    chosen = toy.select(np.array([3, 1]))
    assert chosen.measures["length"].tolist() == [[30.0, 30.0], [10.0, 10.0]]
    assert chosen.measures["difficulty"][0].tolist() == [-1.0, -1.0]


def test_an_edited_outcome_is_noticed(make_run: Callable[..., Path]) -> None:
    """A verdict turned into an error would leave its example out; run.json knows better."""
    folder = make_run()
    text = (folder / "scores.jsonl").read_text().replace('"outcome":"scored"', '"outcome":"error"', 1)
    (folder / "scores.jsonl").write_text(text)
    with pytest.raises(StoreError, match=r"toy has 1 errors, but run\.json counts 0"):
        load_run(folder / "run.json")


def test_a_foreign_line_is_named(make_run: Callable[..., Path]) -> None:
    """A generation that the plan does not know is an edit."""
    folder = make_run()
    text = (folder / "generations.jsonl").read_text().replace('"q3"', '"q99"')
    (folder / "generations.jsonl").write_text(text)
    with pytest.raises(StoreError, match="toy/q99#0 is not in the run's plan"):
        load_run(folder / "run.json")


def test_missing_examples_are_counted(make_run: Callable[..., Path]) -> None:
    """The denominator is the plan's."""
    folder = make_run()
    lines = (folder / "examples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "examples.jsonl").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(StoreError, match="has 11 examples of toy, expected 12"):
        load_run(folder / "run.json")


def test_runs_are_found_by_directory_file_or_label(make_run: Callable[..., Path], tmp_path: Path) -> None:
    """All three ways of naming a run lead to its record."""
    folder = make_run()
    assert find_runs(folder) == find_runs(folder / "run.json") == find_runs(folder.parent) == (folder / "run.json",)
    with pytest.raises(StoreError, match="neither a run directory nor a label's folder"):
        find_runs(tmp_path)
    with pytest.raises(StoreError, match="neither a run directory nor"):
        find_runs(tmp_path / "missing")
    (folder / "run.json").unlink()
    for path in (folder, folder.parent):
        with pytest.raises(StoreError, match="0123 has not finished"):
            find_runs(path)
