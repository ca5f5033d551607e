"""However a run's files are damaged, they are read in full or refused in one line; never counted wrong."""

import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, StoreError
from harness.schema import Generation, RequestKey, RunRecord, Score
from harness.store import JsonLines, read_json, read_lines
from harness.verdicts import load_run
from tests.properties.refusals import attempt
from tests.properties.test_resume import run

GENERATIONS = tuple(
    Generation(
        key=RequestKey(task="toy", example_id=f"q{number}", index=number % 2),
        text="é\n\u2028{" * number,
        finish_reason="error" if number == 3 else "stop",
        num_prompt_tokens=None,
        num_completion_tokens=number,
        seconds=0.1,
        error="no memory" if number == 3 else None,
    )
    for number in range(6)
)
WHOLE = tuple(msgspec.json.encode(item) + b"\n" for item in GENERATIONS)
DEEP = b"[" * 50_000
INSERTED = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\n", b" ", b"[", b"{", b"}", b'"', b"1" * 5000, DEEP,
    b'"text":"other",', b'"error":null,', b"nan", b"null", b"1e999", b"\\ud800", b"// no", b'{"key":', b"-",
)  # fmt: skip

Damage = Callable[[bytes], bytes]


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Return one way in which a file is damaged; places are shares of its length."""
    share = draw(st.floats(0, 1, exclude_max=True))
    kind = draw(st.sampled_from(("flip", "cut", "insert", "drop", "repeat line", "insert line")))
    bit, inserted, length = draw(st.integers(0, 7)), draw(st.sampled_from(INSERTED)), draw(st.integers(1, 40))

    def damage(content: bytes) -> bytes:
        at = int(share * len(content))
        if not content:
            return inserted
        if kind == "flip":
            return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]
        if kind == "cut":
            return content[:at]
        if kind == "insert":
            return content[:at] + inserted + content[at:]
        if kind == "drop":
            return content[:at] + content[at + length :]
        lines = content.splitlines(keepends=True)
        row = int(share * len(lines))
        added = lines[row] if kind == "repeat line" else inserted + b"\n"
        return b"".join((*lines[:row], added, *lines[row:]))

    return damage


def read_damaged(content: bytes, kind: type[msgspec.Struct]) -> list[msgspec.Struct] | None:
    """Return the records of a file; None if it was refused in one line that names a line of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_bytes(content)
        records, refusal = attempt(StoreError, lambda: list(read_lines(path, kind)))
        assert records is not None or refusal.startswith(f"{path} line ")
        return records


@given(st.lists(damages(), min_size=1, max_size=3))
@example([lambda content: content + b'{"key":{"task":"\xff"}}\n'])
@example([lambda content: content + DEEP + b"\n"])
@example([lambda content: content.replace(b'"text":', b'"likelihoods":' + DEEP)])
@example([lambda content: content.replace(b'"index":0', b'"index":null')])
def test_a_file_of_lines_gives_a_record_a_line_or_none(done: list[Damage]) -> None:
    """As many records as whole lines, and each line that was not touched as it was; else the bad line is named."""
    content = b"".join(WHOLE)
    for damage in done:
        content = damage(content)
    records = read_damaged(content, Generation)
    lines = content.split(b"\n")[:-1]
    if records is not None:
        assert len(records) == len(lines)
        known = {line[:-1]: item for line, item in zip(WHOLE, GENERATIONS, strict=True)}
        assert all(item == known[line] for line, item in zip(lines, records, strict=True) if line in known)


@given(st.binary(max_size=80), st.sampled_from((Generation, Score)))
def test_noise_is_refused_or_empty(content: bytes, kind: type[msgspec.Struct]) -> None:
    """Bytes that nobody wrote as records are none."""
    assert read_damaged(content, kind) in (None, [])


@given(st.integers(0, sum(map(len, WHOLE))))
def test_a_file_cut_anywhere_keeps_its_whole_lines(size: int) -> None:
    """Opened to go on, it is what was written in full, and takes the rest."""
    content = b"".join(WHOLE)[:size]
    num_whole = content.count(b"\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_bytes(content)
        assert tuple(read_lines(path, Generation)) == GENERATIONS[:num_whole]
        file = JsonLines(path, Generation)
        for item in GENERATIONS[num_whole:]:
            file.append(item)
        file.close()
        assert path.read_bytes() == b"".join(WHOLE)


@given(st.lists(damages(), min_size=1, max_size=2), st.binary(max_size=30))
@example([lambda content: DEEP], b"")
@example([lambda content: b'{"spec_id":"\xff"}'], b"")
def test_a_damaged_record_is_one_line(done: list[Damage], noise: bytes) -> None:
    """run.json and its like are a record, or refused with the file's name."""
    content = msgspec.json.encode(GENERATIONS[1]) + noise
    for damage in done:
        content = damage(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        path.write_bytes(content)
        for kind in (Generation, RunRecord):
            record, refusal = attempt(StoreError, lambda kind=kind: read_json(path, kind))
            assert isinstance(record, kind) or refusal.startswith(f"{path} cannot be read")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run directory, read only."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder / "run"


@settings(max_examples=200)
@given(
    file=st.sampled_from(("run.json", "examples.jsonl", "generations.jsonl", "scores.jsonl")),
    damage=damages(),
)
@example(file="scores.jsonl", damage=lambda content: content.replace(b'"value":1.0', b'"value":7.5', 1))
@example(file="scores.jsonl", damage=lambda content: content.replace(b'"value":1.0', b'"value":null', 1))
@example(file="scores.jsonl", damage=lambda content: content.replace(b'"index":1', b'"index":-1', 1))
@example(file="run.json", damage=lambda content: content.replace(b'"tasks": [', b'"tasks": [],"x":[', 1))
def test_a_damaged_run_is_compared_with_all_its_requests_or_not_at_all(
    file: str, damage: Damage, finished: Path
) -> None:
    """Every request has one verdict from 0 to 1, or the directory is refused in one line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        shutil.copytree(finished, folder)
        (folder / file).write_bytes(damage((folder / file).read_bytes()))
        loaded, refusal = attempt(HarnessError, lambda: load_run(folder / "run.json"))
        if loaded is None:
            assert str(folder) in refusal
            return
        for verdicts in loaded.tasks.values():
            assert verdicts.values.size == verdicts.ref.num_examples * verdicts.ref.sampling.num_generations
            assert np.all((verdicts.values >= 0) & (verdicts.values <= 1))
            assert not math.isnan(float(verdicts.values.sum()))
