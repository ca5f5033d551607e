"""A harness command in a process of its own, in a folder of its own: started, killed, and looked at afterwards."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "tests" / "chaos" / "site"
_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 20.0
"""Longest wait for the processes of a killed command to end."""


def start(
    arguments: Sequence[str], folder: Path, fault: str = "", wrap: Sequence[str] = (), **more: str
) -> "subprocess.Popen[str]":
    """Start `harness` in a folder.

    Args:
        arguments: of the command line.
        folder: it runs in; its cache is beside it.
        fault: what goes wrong in it, as site/sitecustomize.py names it.
        wrap: a command that it is started by.
        more: environment variables.
    """
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(SITE), str(ROOT)]),
        HARNESS_CACHE=str(folder.parent / "cache"),
        HF_HUB_OFFLINE="1",
        OMP_NUM_THREADS="1",
        CHAOS=fault,
        COLUMNS="200",
    )
    return subprocess.Popen(
        [*wrap, sys.executable, "-m", "harness.cli.main", *arguments],
        cwd=folder,
        env=environment | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    arguments: Sequence[str], folder: Path, fault: str = "", wrap: Sequence[str] = (), **more: str
) -> tuple[int, str, str]:
    """Run `harness` in a folder to its end; returns exit code, stdout, stderr."""
    process = start(arguments, folder, fault, wrap, **more)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Become the parent of processes whose own dies, so that none that outlives a command can hide."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)


def count_orphans(before: set[int]) -> int:
    """Return how many processes live on that were not there before, once they had time to end; they are then killed.

    Commands that were started have been waited for before this is called.
    """
    deadline = time.monotonic() + _END_SECONDS
    while (living := living_descendants() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in living:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # those that were adopted are buried
            pass
    return len(living)


def living_descendants() -> set[int]:
    """Return the processes below this one, without the dead."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            parents[int(entry.name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}
