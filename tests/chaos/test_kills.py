"""A few kills, so that the long campaign (python -m tests.chaos) is known to work; and those that it found."""

import os
import random
import subprocess
import sys
from pathlib import Path

from harness.schema import Fingerprint
from harness.store import leftovers, write_atomically
from tests.chaos.command import run
from tests.chaos.conftest import EVAL
from tests.chaos.kills import attack, prepare
from tests.chaos.results import find_differences, read_results
from tests.chaos.subjects import Subject
from tests.trainers.small import make_recipe
from trainers.state import RunFolder, RunIdentity


def test_kills_at_random_moments_change_nothing(tmp_path: Path, adopted: None) -> None:
    """Eight kills of an evaluation: nothing is lost, doubled, changed or left over."""
    slow = ("eval", "--ckpt", "scripted:mixed,seconds=0.02", *EVAL[3:])
    subject = Subject("eval", slow, lambda folder: None, "requests", "**/generations.jsonl")
    tally = attack(subject, prepare(subject, tmp_path), 8, random.Random(8), tmp_path)
    assert tally.kills == 8
    assert tally.is_clean, tally


def test_a_training_killed_before_its_first_step_begins(tmp_path: Path) -> None:
    """A training run killed while it wrote the first file of its folder can be run again; it was refused once."""
    identity = RunIdentity(make_recipe(tmp_path), Fingerprint("w", "t", None), "p", "2026-01-01T00:00:00+00:00")
    path = tmp_path / "out" / "small"
    path.mkdir(parents=True)
    (path / ".run.json.123456789").write_bytes(b'{"recipe"')
    folder = RunFolder(identity)
    folder.begin()
    folder.close()
    assert sorted(os.listdir(path)) == ["lock", "run.json"]


def test_half_written_files_of_killed_processes_are_cleared_away(tmp_path: Path) -> None:
    """The next writer of the same file removes them, and leaves what another process is writing just now."""
    code = (
        "import os, sys, signal; from pathlib import Path; import harness.store as s; path = Path(sys.argv[1])\n"
        "with s._replacing(path) as file:\n"
        "    file.write(b'half'); file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[2] == 'die' else (print('ready', flush=True), input())"
    )
    path = tmp_path / "[a].json"
    start = [sys.executable, "-c", code, str(path)]
    assert subprocess.run([*start, "die"], check=False).returncode == -9
    assert [left.name.rpartition(".")[0] for left in leftovers(path)] == [".[a].json"]
    with subprocess.Popen([*start, "live"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        write_atomically(path, b"whole")
        assert sorted(found.name for found in tmp_path.iterdir()) == [f".[a].json.{other.pid}", "[a].json"]
        assert path.read_bytes() == b"whole"
        other.communicate("\n")
    assert os.listdir(tmp_path) == ["[a].json"]


def test_clocks_that_jump_change_nothing(home: Path, undisturbed: Path) -> None:
    """Wall-clock time that jumps to and fro by up to a day, and a kill on the way, change nothing."""
    assert run(EVAL, home, "kill:20")[0] == -9
    code, _, err = run(EVAL, home, "clock")
    assert code == 0, err
    assert find_differences(read_results(undisturbed), read_results(home), home).differing == ()
