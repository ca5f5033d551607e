"""Limits of memory, open files and processes."""

import os
import resource
from pathlib import Path

import pytest

from tests.chaos.command import run
from tests.chaos.results import find_differences, read_results

REAL = ("eval", "--ckpt", "lab/base", "--task", "lab_math", "--limit", "4")
SCORED = ("eval", "--ckpt", "scripted:mixed", "--suite", "lab", "--limit", "10", "--workers", "6")


def limited(limit: str) -> list[str]:
    return ["bash", "-c", f'ulimit {limit} && exec "$@"', "sh"]


@pytest.mark.parametrize("kilobytes", [300_000, 600_000])
def test_too_little_memory_for_the_engine_is_one_line(home: Path, kilobytes: int) -> None:
    """Memory that does not suffice to load an engine is one line, and the same command with more memory ends well."""
    code, out, err = run(REAL, home, wrap=limited(f"-v {kilobytes}"))
    assert (code, out) == (3, ""), err
    assert err.count("\n") == 1, err
    assert err.startswith("harness: ")
    assert "memory" in err
    code, _, err = run(REAL, home)
    assert code == 0, err


def test_few_open_files_change_nothing(home: Path, tmp_path: Path) -> None:
    """With 64 open files and six scoring workers a run ends with the same results."""
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(SCORED, whole)[0] == 0
    code, _, err = run(SCORED, home, wrap=limited("-n 64"))
    assert code == 0, err
    assert find_differences(read_results(whole), read_results(home), home).differing == ()


def test_too_few_open_files_are_one_line(home: Path) -> None:
    """With 16 open files nothing can be measured: one line, and no verdicts."""
    code, out, err = run(SCORED, home, wrap=limited("-n 16"))
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert err.startswith("harness: ")
    assert not list(home.glob("runs/*/*/scores.jsonl"))


def test_too_few_processes_are_one_line(home: Path) -> None:
    """Where no process more may be started, programs cannot be judged: one line, and no verdicts."""
    if os.getuid() == 0:
        pytest.skip("the system does not limit root's processes")
    used = len([path for path in Path("/proc").iterdir() if path.name.isdigit() and path.stat().st_uid == os.getuid()])
    assert resource.getrlimit(resource.RLIMIT_NPROC)[1] > used
    code, out, err = run(SCORED, home, wrap=limited(f"-u {used + 1}"))
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert not list(home.glob("runs/*/*/scores.jsonl"))
