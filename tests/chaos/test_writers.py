"""Two processes that write the same thing."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.store import take_lock
from tests.chaos.command import run, start
from tests.chaos.conftest import EVAL
from tests.chaos.inputs import JUDGE, TRAIN, write_recipe, write_two_runs
from tests.chaos.results import find_differences, read_results


@contextmanager
def held(lock: Path) -> Iterator[None]:
    descriptor = take_lock(lock, lock.parent, "")
    yield
    os.close(descriptor)


def test_the_second_of_two_runs_is_refused(home: Path) -> None:
    """Of two evaluations of the same, the second is refused in one line that names the first, which ends well."""
    slow = ("eval", "--ckpt", "scripted:mixed,seconds=0.3", *EVAL[3:])
    first = start(slow, home)
    while not list(home.glob("runs/toy/*/generations.jsonl")):
        assert first.poll() is None
        time.sleep(0.01)
    code, out, err = run(slow, home)
    assert (code, out) == (3, "")
    told = f"is being written by process {first.pid}; wait for it, or measure beside it with --fresh"
    assert re.fullmatch(rf"harness: runs/toy/\w+ {told}\n", err)
    first.communicate()
    assert first.returncode == 0
    (path,) = home.glob("runs/toy/*")
    assert {num for keys in read_results(path).keys.values() for num in keys.values()} == {1}
    again = home.parent / "again"
    again.mkdir()
    assert run(slow, again)[0] == 0
    assert find_differences(read_results(again), read_results(home), home).differing == ()


def test_a_verdict_store_has_one_writer(home: Path) -> None:
    """A judge's verdicts that another process writes are refused in one line, and stay as they are."""
    write_two_runs(home)
    assert run(JUDGE, home)[0] == 0
    (verdicts,) = home.glob("verdicts/*/verdicts.jsonl")
    stored = b"".join(verdicts.read_bytes().splitlines(keepends=True)[:-1])
    verdicts.write_bytes(stored)
    with held(verdicts.parent / "lock"):
        code, out, err = run(JUDGE, home)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert f"is being written by process {os.getpid()}; wait for it, or name another folder for the verdicts" in err
    assert verdicts.read_bytes() == stored


def test_a_training_folder_has_one_writer(home: Path) -> None:
    """A training run in a folder that another process trains in is refused in one line, and touches nothing."""
    write_recipe(home)
    (home / "out" / "tiny").mkdir(parents=True)
    with held(home / "out" / "tiny" / "lock"):
        code, out, err = run(TRAIN, home)
    assert (code, out) == (3, "")
    assert err == (
        f"harness: out/tiny is being written by process {os.getpid()}; wait for it, or train under another name\n"
    )
    assert [path.name for path in (home / "out" / "tiny").iterdir()] == ["lock"]
