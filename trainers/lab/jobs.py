"""Runs processes that depend on each other: a few at a time, each with its log, and no more than is left to do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One process."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Names of jobs that come first."""
    result: Path | None = None
    """File that is there once it is done; None where the command itself reads back what is done."""


def remaining(jobs: Sequence[Job], exists: Callable[[Path], bool]) -> tuple[Job, ...]:
    """Return the jobs that are not done: those without a result, and all that wait for one of those."""
    left: dict[str, Job] = {}
    for job in jobs:
        if job.result is None or not exists(job.result) or any(need in left for need in job.needs):
            left[job.name] = job
    return tuple(left.values())


def run_jobs(jobs: Sequence[Job], workers: int, logs: Path) -> dict[str, str]:
    """Run jobs, each after those that it needs, at most `workers` at a time; return what failed, with the reason.

    What a failed job would have been needed for is not started; all else is. When this process is interrupted, so are
    the jobs.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting = {job.name: job for job in jobs}
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    failed: dict[str, str] = {}
    started, done = time.monotonic(), 0
    try:
        while waiting or running:
            for job in _ready(waiting, running, failed)[: workers - len(running)]:
                running[job.name] = (_start(waiting.pop(job.name), logs), time.monotonic())
            for name in [name for name, (process, _) in running.items() if process.poll() is not None]:
                process, began = running.pop(name)
                if process.returncode:
                    failed[name] = f"exit code {process.returncode}: {_last_line(_log_path(logs, name))}"
                done += 1
                state = "FAILED" if name in failed else "done"
                spent, seconds = time.monotonic() - started, time.monotonic() - began
                tell(f"{spent / 60:6.1f} min  {done}/{len(jobs)}  {name}: {state} in {seconds:.0f} s")
            time.sleep(0.1)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
    return failed


def _ready(waiting: dict[str, Job], running: Iterable[str], failed: dict[str, str]) -> list[Job]:
    """Return the jobs that may start; those that never can are moved to `failed`."""
    for job in list(waiting.values()):
        if broken := [need for need in job.needs if need in failed]:
            failed[job.name] = f"not started: {', '.join(broken)} failed"
            del waiting[job.name]
    under_way = {*waiting, *running}
    return [job for job in waiting.values() if not under_way.intersection(job.needs)]


def _start(job: Job, logs: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with _log_path(logs, job.name).open("ab") as log:
        return subprocess.Popen(job.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)


def _log_path(logs: Path, name: str) -> Path:
    return logs / f"{name.replace(' ', '_')}.log"


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
