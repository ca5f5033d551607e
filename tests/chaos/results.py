"""What a command left in its folder, in a form that two commands can be compared by: everything but times."""

import fcntl
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMES = {"seconds", "at", "started_at", "finished_at", "cost", "sessions", "training"}
"""Keys of times, and of who worked when: a run that was killed has more sessions."""


@dataclass(frozen=True)
class Results:
    """One folder."""

    files: dict[str, Any]
    """Content by relative path, without times, lines in an order of their own."""
    keys: dict[str, Counter[str]]
    """How often each key is in a file of lines."""


@dataclass(frozen=True)
class Difference:
    """What is wrong with the results of a command that was killed."""

    lost: int
    doubled: int
    differing: tuple[str, ...]
    """Paths of files with another content, or that are there only once."""
    left: tuple[str, ...]
    """Locks that are held."""


def read_results(folder: Path) -> Results:
    """Read all files below a folder."""
    files: dict[str, Any] = {}
    keys: dict[str, Counter[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.name == "lock" or path.name.startswith("sessions"):
            files[name] = "differs"
        elif path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            files[name] = sorted(json.dumps(without_times(row), sort_keys=True) for row in rows)
            keys[name] = Counter(json.dumps(key_of(row), sort_keys=True) for row in rows)
        elif path.suffix == ".json":
            files[name] = without_times(json.loads(path.read_text()))
        else:
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Results(files, keys)


def without_times(value: Any) -> Any:
    """Return what JSON holds, without TIMES."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def key_of(row: Any) -> Any:
    """Return what a line is found by: a request's or question's key, an example's id, a step's number, or all of it."""
    return next((row[name] for name in ("key", "example_id", "step") if name in row), row)


def find_differences(whole: Results, cut: Results, folder: Path) -> Difference:
    """Compare the results of a command that was killed with those of one that was not."""
    found = {name: cut.keys.get(name, Counter()) for name in whole.keys}
    names = sorted(whole.files.keys() | cut.files.keys())
    return Difference(
        lost=sum(len(keys.keys() - found[name].keys()) for name, keys in whole.keys.items()),
        doubled=sum(
            num - whole.keys[name][key] for name, keys in found.items() for key, num in keys.items() if num > 1
        ),
        differing=tuple(name for name in names if whole.files.get(name) != cut.files.get(name)),
        left=tuple(str(path.relative_to(folder)) for path in folder.rglob("lock") if is_held(path)),
    )


def is_held(lock: Path) -> bool:
    """Say whether a process holds a lock file."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
