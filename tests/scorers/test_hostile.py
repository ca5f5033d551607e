"""Hostile programs score 0 and leave nothing behind; the campaign with all of them is `python -m tests.hostile`."""

import json
import platform
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.scorers import program
from harness.scorers.sandbox_filter import PROCESSORS, RETURN, filter_program
from tests.hostile import PROGRAMS
from tests.hostile.corpus import FAMILIES, STEP, Hostile, honest
from tests.hostile.ours import Range, shooting_range

ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    f"{family}: {program.name}": program
    for family, programs in PROGRAMS.items()
    for program in programs
    if not program.slow
}


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    """A scorer with limits that are reached sooner, and a stage around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "INPUT_CPU_SECONDS", 0.3)
        patch.setattr(program, "PROGRAM_CPU_SECONDS", 1.0)
        patch.setitem(program.LIMITS, "memory_bytes", 1 << 29)
        patch.setitem(program.LIMITS, "output_bytes", 1 << 24)
        patch.setitem(program.LIMITS, "idle_seconds", 1)
        with shooting_range() as made:
            yield made


@pytest.mark.parametrize("hostile", QUICK.values(), ids=QUICK)
def test_hostile_program_gets_and_leaves_nothing(place: Range, hostile: Hostile) -> None:
    """A program that cheats, breaks out or does damage scores 0, as it was written, and the next one finds no trace."""
    trial = place.attempt(hostile)
    assert (trial.value, trial.left) == (0.0, ()), trial.detail
    assert trial.outcome in ("scored", "no_answer", "timeout")
    assert trial.ran_as_written


def test_the_corpus_is_whole() -> None:
    """There are at least ten programs in each family, under names of their own, for problems that can be solved."""
    assert list(PROGRAMS) == list(FAMILIES)
    assert min(map(len, PROGRAMS.values())) >= 10
    assert all(len({one.name for one in programs}) == len(programs) for programs in PROGRAMS.values())
    for row in {one.problem: one.row for programs in PROGRAMS.values() for one in programs}.values():
        scope: dict[str, object] = {}
        exec(honest(row), scope)
        assert row["entry_point"] in scope


def test_the_problem_is_the_labs() -> None:
    """The problem that hostile programs are given is the first one of lab_code."""
    first = json.loads((ROOT / "tasks" / "data" / "lab_code.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert {field: first[field] for field in STEP} == STEP


def test_the_witness_sees_what_is_left(place: Range) -> None:
    """The program that looks for traces fails where there is one."""
    assert list(place.left_behind()) == []
    (place.home / "left-behind").write_text("x")
    try:
        assert list(place.left_behind()) == [str(place.home / "left-behind")]
    finally:
        (place.home / "left-behind").unlink()


@pytest.mark.parametrize("name", PROCESSORS)
def test_filter_jumps_forward_and_ends(name: str) -> None:
    """The filter for each processor is one the kernel can take: whole steps, jumps inside it, a return at the end."""
    steps = list(struct.iter_unpack("=HBBI", filter_program(PROCESSORS[name])))
    for index, (code, if_true, if_false, _) in enumerate(steps):
        assert code == RETURN or index + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == RETURN


def test_filter_refuses_and_permits(place: Range) -> None:
    """Refused calls fail with an error the program can catch; threads, processes and sockets of its own still work."""
    text = """
import _socket
import concurrent.futures
import ctypes
import posix

libc = ctypes.CDLL(None, use_errno=True)

def step(xs):
    assert libc.unshare(0x10000000) == -1 and ctypes.get_errno() == 1
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        best = max(threads.map(max, [xs, xs]))
    pid = posix.fork()
    if pid == 0:
        posix._exit(0)
    posix.waitpid(pid, 0)
    left, right = _socket.socketpair()
    _socket.socket(_socket.AF_INET)
    return best + 15
"""
    if platform.machine() not in PROCESSORS:
        pytest.skip("no filter for this processor")
    score = place.score(text, STEP)
    assert score.value == 1.0, score.detail
