"""A run stopped anywhere ends, when it is taken up again, with the files of one that never stopped."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.engines.scripted import ScriptedEngine
from harness.interfaces import Engine
from harness.provenance import collect_provenance
from harness.runner import Progress, execute
from harness.schema import Provenance, RunRecord
from harness.store import RunStore
from harness.verdicts import load_run
from tests.support import toy_plan, toy_spec

NUM_REQUESTS = 24  # of the toy plan: twelve examples, two generations each


class Finished(NamedTuple):
    """A run that was never stopped."""

    folder: Path
    record: RunRecord
    generations: list[bytes]
    scores: list[bytes]


def run(folder: Path) -> RunRecord:
    planned = toy_plan(folder)
    store = RunStore(folder / "run", toy_spec(planned))
    described = collect_provenance(None, 0, datetime.fromisoformat("2026-01-01T00:00:00+00:00"))

    def provenance(_engine: Engine | None, _num_done: int, _started_at: datetime) -> Provenance:
        return described

    try:
        engine = ScriptedEngine("mixed")
        return execute([planned], store, lambda: engine, provenance, None, Progress(), num_workers=2)
    finally:
        store.close()


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """Return the run to end with."""
    folder = tmp_path_factory.mktemp("finished")
    record = run(folder)
    yield Finished(folder, record, lines(folder / "run" / "generations.jsonl"), lines(folder / "run" / "scores.jsonl"))
    shutil.rmtree(folder)


def torn(line: bytes, share: float) -> bytes:
    """Return the beginning of a line, never with its line break."""
    return line[: int(share * len(line))].rstrip(b"\n")


@settings(max_examples=60)
@given(
    num_generated=st.integers(0, NUM_REQUESTS),
    unscored=st.sets(st.integers(0, NUM_REQUESTS - 1)),
    draw=st.randoms(use_true_random=False),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    has_examples=st.booleans(),
    has_record=st.booleans(),
    leftovers=st.sets(st.sampled_from(("generations.tmp", "scores.tmp", ".run.json.4194304", ".examples.jsonl.1"))),
)
@example(
    num_generated=0, unscored=set(), draw=None, shares=(0, 0), has_examples=False, has_record=False, leftovers=set()
)
@example(
    num_generated=24, unscored=set(), draw=None, shares=(0.5, 0.5), has_examples=True, has_record=True, leftovers=set()
)
def test_a_run_stopped_anywhere_ends_the_same(
    num_generated: int,
    unscored: set[int],
    draw: object | None,
    shares: tuple[float, float],
    has_examples: bool,
    has_record: bool,
    leftovers: set[str],
    finished: Finished,
) -> None:
    """Any prefix of generations, any of their scores in any order, torn last lines, half-made files beside them."""
    generations = finished.generations[:num_generated]
    wanted = {json.dumps(json.loads(line)["key"]) for i, line in enumerate(generations) if i not in unscored}
    scores = [line for line in finished.scores if json.dumps(json.loads(line)["key"]) in wanted]
    if draw is not None:
        draw.shuffle(scores)  # type: ignore[attr-defined]
    is_whole = len(scores) == NUM_REQUESTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        shutil.copytree(finished.folder / "run", folder)
        next_line = finished.generations[num_generated % NUM_REQUESTS]
        (folder / "generations.jsonl").write_bytes(b"".join(generations) + torn(next_line, shares[0]))
        (folder / "scores.jsonl").write_bytes(b"".join(scores) + torn(finished.scores[0], shares[1]))
        if not has_examples:
            (folder / "examples.jsonl").unlink()
        if not (has_record and is_whole):
            (folder / "run.json").unlink()
        for leftover in leftovers:
            (folder / leftover).write_bytes(b"half")
        record = run(Path(name))
        assert lines(folder / "generations.jsonl") == finished.generations
        assert sorted(lines(folder / "scores.jsonl")) == sorted(finished.scores)
        for file in ("spec.json", "examples.jsonl"):
            assert (folder / file).read_bytes() == (finished.folder / "run" / file).read_bytes()
        assert (record.status, record.tasks) == ("complete", finished.record.tasks)
        (verdicts,) = load_run(folder / "run.json").tasks.values()
        (expected,) = load_run(finished.folder / "run" / "run.json").tasks.values()
        assert verdicts.values.tolist() == expected.values.tolist()
