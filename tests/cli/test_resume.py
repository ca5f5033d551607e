"""A real model, real scorers, five kills: the run ends as if nothing had happened."""

import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from harness.schema import Generation, RunRecord, Score
from harness.store import read_lines, read_run

COMMAND = [sys.executable, "-m", "harness.cli.main", "eval", "--ckpt", "lab/base", "--suite", "lab", "--limit", "120",
           "--set", "sampling.temperature=1.0", "--out"]  # fmt: skip


def finished(root: Path) -> tuple[list[Generation], list[Score], RunRecord]:
    """Return a run's generations (without seconds) and scores by key, and its record."""
    (path,) = root.glob("*/*")
    generations = sorted(read_lines(path / "generations.jsonl", Generation), key=lambda item: item.key)
    scores = sorted(read_lines(path / "scores.jsonl", Score), key=lambda item: item.key)
    return [msgspec.structs.replace(item, seconds=0.0) for item in generations], scores, read_run(path)


def test_five_kills_change_nothing(tmp_path: Path) -> None:
    """SIGKILL at five random moments: sorted by key, both files equal an uninterrupted run's but for `seconds`.

    Each kill waits for a random amount of progress, then for a random part of a second.
    """
    subprocess.run([*COMMAND, str(tmp_path / "whole")], check=True, capture_output=True)
    draw = random.Random(20)
    num_killed_at_work = 0
    for kill in range(5):
        wanted = kill * 60 + draw.randint(1, 60)
        process = subprocess.Popen(
            [*COMMAND, str(tmp_path / "cut")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and num_lines(tmp_path / "cut") < wanted:
            time.sleep(0.02)
        time.sleep(0.2 * draw.random())
        num_killed_at_work += process.poll() is None
        process.kill()
        process.wait()
    assert num_killed_at_work >= 3, "the kills came too late to prove anything"
    subprocess.run([*COMMAND, str(tmp_path / "cut")], check=True, capture_output=True)
    whole, cut = finished(tmp_path / "whole"), finished(tmp_path / "cut")
    assert cut[0] == whole[0]
    assert cut[1] == whole[1]
    strip = {"seconds": 0.0}
    assert [msgspec.structs.replace(task, **strip) for task in cut[2].tasks] == [
        msgspec.structs.replace(task, **strip) for task in whole[2].tasks
    ]


def num_lines(root: Path) -> int:
    """Count the generations stored so far."""
    return sum(path.read_bytes().count(b"\n") for path in root.glob("*/*/generations.jsonl"))
