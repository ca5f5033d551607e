"""Disks that are full or may not be written."""

import subprocess
from pathlib import Path

import pytest

from tests.chaos.command import start
from tests.chaos.conftest import EVAL
from tests.chaos.inputs import JUDGE, TRAIN, write_recipe, write_two_runs
from tests.chaos.results import find_differences, read_results

FULL = 'mount -t tmpfs -o size={size} none {out}; "$@"; echo $? > code; mount -o remount,size=64m {out}; "$@"; '
READ_ONLY = 'mount --bind {out} {out} && mount -o remount,ro,bind {out} && exec "$@"'


def shell(words: list[str], script: str, arguments: tuple[str, ...], folder: Path) -> tuple[int, list[str]]:
    """Run a command in a shell that mounts something; returns exit code and the lines on stderr."""
    process: subprocess.Popen[str] = start(arguments, folder, wrap=[*words, script, "sh"])
    _, err = process.communicate(timeout=120)
    return process.returncode, err.splitlines()


@pytest.mark.parametrize("size", ["4k", "8k", "16k"])
def test_a_run_on_a_full_disk_goes_on_where_it_stopped(
    namespace: list[str], home: Path, undisturbed: Path, size: str
) -> None:
    """An evaluation fills its disk: one line says so, and with more room it ends as if nothing had happened."""
    (home / "runs").mkdir()
    script = FULL.format(size=size, out="runs") + "code2=$?; cp -r runs kept; exit $code2"
    code, lines = shell(namespace, script, EVAL, home)
    assert ((home / "code").read_text(), code) == ("3\n", 0)
    assert lines[0].startswith("harness: runs/toy/")
    assert lines[0].endswith("No space left on device; free some space and run the same command again to resume")
    whole, cut = (read_results(folder) for folder in (undisturbed / "runs", home / "kept"))
    assert find_differences(whole, cut, home / "kept").differing == ()


@pytest.mark.parametrize("size", ["20k", "600k"])
def test_a_training_on_a_full_disk_goes_on_where_it_stopped(namespace: list[str], home: Path, size: str) -> None:
    """A training run fills its disk, in a checkpoint or a state: one line says so, and with more room it ends."""
    write_recipe(home)
    (home / "out").mkdir()
    script = FULL.format(size=size, out="out") + "code2=$?; ls -A out/tiny > names; exit $code2"
    code, lines = shell(namespace, script, TRAIN, home)
    assert ((home / "code").read_text(), code) == ("3\n", 0), lines
    (line,) = [line for line in lines if line.startswith("harness:")]
    assert "No space left on device; free some space and run the same command again to resume" in line
    assert not [line for line in lines if "Traceback" in line]
    names = (home / "names").read_text().split()
    assert {"training.json", "model.safetensors", "step-000001"} <= set(names)
    assert [name for name in names if name.startswith(".") or name == "state"] == []


def test_verdicts_on_a_full_disk_are_not_asked_again(namespace: list[str], home: Path) -> None:
    """A judge's store fills its disk: one line says so, and with more room only what is missing is asked."""
    write_two_runs(home)
    (home / "verdicts").mkdir()
    script = FULL.format(size="12k", out="verdicts") + "code2=$?; cp -r verdicts kept; exit $code2"
    code, lines = shell(namespace, script, JUDGE, home)
    assert ((home / "code").read_text(), code) == ("3\n", 0), lines
    assert lines[0].startswith("harness: verdicts/")
    assert lines[0].endswith("No space left on device; free some space and run the same command again to resume")
    (counts,) = (keys for name, keys in read_results(home / "kept").keys.items() if name.endswith("verdicts.jsonl"))
    assert set(counts.values()) == {1}
    assert f"{len(counts)} questions: " in lines[-1]
    assert int(lines[-1].split("questions: ")[1].split()[0]) > 0, "some verdicts were stored before"


@pytest.mark.parametrize(
    ("out", "arguments"), [("runs", EVAL), ("out", TRAIN), ("verdicts", JUDGE)], ids=["eval", "train", "judge"]
)
def test_a_read_only_folder_is_one_line(namespace: list[str], home: Path, out: str, arguments: tuple[str, ...]) -> None:
    """A folder that may not be written is one line that says to name another one."""
    if arguments == TRAIN:
        write_recipe(home)
    if arguments == JUDGE:
        write_two_runs(home)
    (home / out).mkdir()
    code, lines = shell(namespace, READ_ONLY.format(out=out), arguments, home)
    assert (code, len(lines)) == (3, 1), lines
    assert lines[0].startswith(f"harness: {out}/")
    assert lines[0].endswith("Read-only file system; name another folder for the output (out), one that can be written")
    assert list((home / out).iterdir()) == []
