"""Lines that were damaged after they were written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import EVAL
from tests.chaos.results import find_differences, read_results

Run = Callable[..., tuple[int, str, str]]
Damage = Callable[[list[bytes]], list[bytes]]
TORN: dict[str, Damage] = {
    "half a line at the end": lambda lines: [*lines[:-1], lines[-1][: len(lines[-1]) // 2]],
    "zeros at the end": lambda lines: [*lines[:-1], b"\0" * 4096],
    "the last line is gone": lambda lines: lines[:-1],
}
"""What a killed process or a power cut leaves."""
DAMAGED: dict[str, Damage] = {
    "half a line in the middle": lambda lines: [lines[0][:20] + b"\n", *lines[1:]],
    "half a line, glued to the next": lambda lines: [lines[0][:20], lines[-1], *lines[1:]],
    "zeros in the middle": lambda lines: [lines[0], b"\0" * 64 + b"\n", *lines[1:]],
    "no UTF-8": lambda lines: [lines[0].replace(b'"', b'"\xff', 1), *lines[1:]],
    "another record": lambda lines: [b'{"a":1}\n', *lines[1:]],
    "nothing in it": lambda lines: [*lines, b"\n"],
}
"""What only something else does: an editor, a copy that broke, a failing disk."""


@pytest.fixture
def unfinished(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run in which only run.json is missing, seen from its folder."""
    monkeypatch.chdir(undisturbed)
    (record,) = undisturbed.glob("runs/toy/*/run.json")
    os.rename(record, undisturbed / "run.json")
    return record.parent


def damage(path: Path, how: Damage) -> bytes:
    path.write_bytes(b"".join(how(path.read_bytes().splitlines(keepends=True))))
    return path.read_bytes()


@pytest.mark.parametrize("how", TORN)
@pytest.mark.parametrize("name", ["generations", "scores"])
def test_a_torn_end_is_made_again(unfinished: Path, run_harness: Run, name: str, how: str) -> None:
    """A torn end of a run's file is cut off and made again: the results are those of an undisturbed run."""
    whole = read_results(unfinished)
    damage(unfinished / f"{name}.jsonl", TORN[how])
    code, _, err = run_harness(*EVAL)
    assert code == 0, err
    os.rename(unfinished / "run.json", unfinished.parent / "run.json")
    assert find_differences(whole, read_results(unfinished), unfinished).differing == ()


@pytest.mark.parametrize("how", DAMAGED)
@pytest.mark.parametrize("name", ["generations", "scores", "sessions"])
def test_a_damaged_line_is_named(unfinished: Path, run_harness: Run, name: str, how: str) -> None:
    """A line that no kill can have damaged is named with its file, nothing is guessed, and nothing else is changed."""
    damage(unfinished / f"{name}.jsonl", DAMAGED[how])
    before = {path.name: path.read_bytes() for path in unfinished.iterdir() if path.name != "lock"}
    code, out, err = run_harness(*EVAL)
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert f"/{name}.jsonl line " in err
    assert "cannot be read" in err
    if name != "sessions":  # which is read at the end, to tell who worked on the run
        assert {path.name: path.read_bytes() for path in unfinished.iterdir() if path.name != "lock"} == before


@pytest.mark.parametrize("name", ["spec.json", "run.json"])
@pytest.mark.parametrize(
    "text", [b"", b"{", b"\0" * 100, b"\xff{}", b"[1]"], ids=["empty", "half", "zeros", "bytes", "list"]
)
def test_a_damaged_record_is_named(
    undisturbed: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch, name: str, text: bytes
) -> None:
    """A run's records are never written in part, so a damaged one is named."""
    monkeypatch.chdir(undisturbed)
    (path,) = undisturbed.glob(f"runs/toy/*/{name}")
    path.write_bytes(text)
    code, out, err = run_harness(*EVAL)
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert f"/{name} cannot be read" in err
    assert path.read_bytes() == text


@pytest.mark.parametrize("name", ["generations", "scores"])
def test_a_doubled_line_is_named(unfinished: Path, run_harness: Run, name: str) -> None:
    """A line that is there twice never counts twice: it is named."""
    damage(unfinished / f"{name}.jsonl", lambda lines: [lines[0], *lines])
    code, out, err = run_harness(*EVAL)
    assert (code, out) == (3, "")
    assert err == "harness: lab_math/math-0000#0 is there twice: the run directory was edited; use --fresh\n"
