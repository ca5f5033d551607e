"""The checkpoints of a training run, and the trajectory of their scores.

Finds checkpoints, tells finished ones from those still being written, and keeps the trajectory file. It evaluates
nothing: harness.cli.watch does.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.checkpoint import check_weights
from harness.errors import CheckpointError, StoreError
from harness.schema import Estimate, Fingerprint, Record, RunRecord, RunSpec, TaskSummary
from harness.spec import spec_id
from harness.store import JsonLines, disk_errors, take_lock

MAX_DEPTH = 3
"""Folder levels searched: verl writes global_step_N/actor/huggingface."""
OTHER_MODELS = ("critic",)
"""Folders of a step that hold a model other than the one being trained to answer."""


class TrajectoryPoint(Record, frozen=True):
    """One checkpoint of a training run and what it scored; one line of the trajectory file."""

    checkpoint: str
    """Name of the step's folder, unique within the watched folder."""
    step: int | None
    """None where the name has no number."""
    path: str
    """Folder that holds the weights."""
    weights: str
    """Digest of the weights, as in Fingerprint."""
    run: str
    """Run directory, relative to the trajectory file; that of another checkpoint if the weights are the same."""
    spec_id: str
    settings: str
    """Hash of the run's spec without its checkpoint: points with the same one were measured alike."""
    finished_at: str
    """When the run finished; UTC, ISO 8601."""
    tasks: dict[str, Estimate]
    """Task name to score."""
    truncated: dict[str, float]
    """Task name to share of generations that hit max_tokens."""
    no_answer: dict[str, float]
    """Task name to share of generations without an answer."""
    gate: str | None = None
    """Verdict of the gate: pass, regression or inconclusive; None if it was not asked."""
    gate_id: str | None = None
    """Hash of the gate's baseline and policy: verdicts with the same one mean the same."""


@dataclass(frozen=True)
class FoundCheckpoint:
    """A folder with config.json and weights, whole or not."""

    name: str
    step: int | None
    path: Path
    """Folder with config.json; for verl, below the step's folder."""
    is_root: bool = False
    """It is the watched folder itself."""


class FileState(NamedTuple):
    """How a file looked."""

    name: str
    size: int
    changed_ns: int
    """The later of its modification and status change times: a copy can carry over the first, not the second."""


Snapshot = tuple[FileState, ...]


def find_checkpoints(folder: Path) -> tuple[FoundCheckpoint, ...]:
    """Return the checkpoints in a folder by step, those without a step last.

    A checkpoint is a folder with config.json and *.safetensors files: the folder itself, a sub-folder, or a folder up
    to three levels down, which then goes by its sub-folder's name. A sub-folder is one checkpoint at most: the
    shallowest, then the first by name. Hidden and temporary folders, critics, and links to another checkpoint found
    here are left out. The folder itself has no step: digits in its name mostly say something else.

    Raises:
        CheckpointError: if the folder is missing or cannot be read.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"no folder {folder}: expected the output folder of a training run; make it, or correct it"
        )
    try:
        return tuple(sorted(_search(folder), key=lambda found: (found.step is None, found.step or 0, found.name)))
    except OSError as error:
        raise CheckpointError(f"cannot read {error.filename or folder}: {error.strerror}") from error


def parse_step(name: str) -> int | None:
    """Return the last integer in a checkpoint's name, or None if it has none."""
    numbers = re.findall(r"[0-9]+", name)
    return int(numbers[-1]) if numbers else None


def take_snapshot(folder: Path) -> Snapshot:
    """Return how the files directly in a folder look; empty if the folder went away meanwhile."""
    states = []
    try:
        for path in folder.iterdir():
            if path.is_file():
                stat = path.stat()
                states.append(FileState(path.name, stat.st_size, max(stat.st_mtime_ns, stat.st_ctime_ns)))
    except FileNotFoundError:
        return ()
    return tuple(sorted(states))


def seconds_to_age(snapshot: Snapshot, seconds: float, now: float) -> float:
    """Return how long it takes until no file has changed for so long, by the file system's clock; `now` is Unix time.

    From 0, if that is so already, up to `seconds`: a clock that is ahead of ours delays nothing further.
    """
    newest = max(state.changed_ns for state in snapshot) / 1e9
    return min(max(newest + seconds - now, 0.0), seconds)


def find_flaw(found: FoundCheckpoint) -> str | None:
    """Return in what way a checkpoint's weights are not whole, or None if they are; reads headers only."""
    try:
        check_weights(found.path)
    except CheckpointError as error:
        return str(error)
    return None


class Settling:
    """Remembers how each checkpoint looked, and since when it has looked so."""

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._seen: dict[Path, tuple[Snapshot, float]] = {}

    def is_settled(self, folder: Path, snapshot: Snapshot, now: float) -> bool:
        """Say whether a folder has looked the same for long enough; `now` is any clock that only goes forward."""
        known, since = self._seen.get(folder, (None, now))
        if known != snapshot:
            since = now
        self._seen[folder] = (snapshot, since)
        return known == snapshot and now - since >= self._settle_seconds


class Trajectory:
    """The trajectory file, held by this process alone until closed."""

    def __init__(self, out: Path, label: str) -> None:
        self.path = out / f"{label}.trajectory.jsonl"
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            lock_path = out / f".{label}.trajectory.lock"
            self._lock = take_lock(lock_path, self.path, "wait for it, or give this watch another --label")
        try:
            self._lines = JsonLines(self.path, TrajectoryPoint)
            self.points = list(self._lines)
        except StoreError as error:
            os.close(self._lock)
            # what is wrong, without the advice for run directories that follows it
            flaw = str(error).rpartition("; ")[0] or str(error)
            raise StoreError(
                f"{flaw}; move it away and start again: finished runs are read back, not measured again"
            ) from error

    def append(self, point: TrajectoryPoint) -> None:
        """Write a point onto the disk."""
        self._lines.append(point)
        self._lines.sync()
        self.points.append(point)

    def find(self, spec: RunSpec) -> list[TrajectoryPoint]:
        """Return the points of these weights under these settings; more than one where checkpoints are the same."""
        wanted = (spec.checkpoint.fingerprint.weights, spec_id(spec))
        return [point for point in self.points if (point.weights, point.spec_id) == wanted]

    def latest(self, settings: set[str]) -> list[TrajectoryPoint]:
        """Return the last point of each checkpoint under the given settings, by step."""
        last = {(point.settings, point.checkpoint): point for point in self.points if point.settings in settings}
        return sorted(last.values(), key=lambda point: (point.step is None, point.step or 0, point.checkpoint))

    def close(self) -> None:
        """Let other processes in."""
        try:
            self._lines.close()
        finally:
            os.close(self._lock)


def make_point(found: FoundCheckpoint, record: RunRecord, run: str) -> TrajectoryPoint:
    """Return what a finished run says about a checkpoint; `run` is relative to the trajectory file."""
    return TrajectoryPoint(
        checkpoint=found.name,
        step=found.step,
        path=str(found.path),
        weights=record.spec.checkpoint.fingerprint.weights,
        run=run,
        spec_id=record.spec_id,
        settings=settings_id(record.spec),
        finished_at=record.finished_at,
        tasks={task.task: task.score for task in record.tasks},
        truncated={task.task: _share_truncated(task) for task in record.tasks},
        no_answer={task.task: task.num_no_answer / task.num_planned for task in record.tasks},
    )


def _share_truncated(task: TaskSummary) -> float:
    return math.nan if task.num_finish_unknown else task.num_truncated / task.num_planned


def run_label(prefix: str, found: FoundCheckpoint) -> str:
    """Return a checkpoint's name in tables and of its run folder."""
    return prefix if found.is_root else f"{prefix}-{re.sub(r'[^A-Za-z0-9._@+-]+', '-', found.name)}"


def rename_point(point: TrajectoryPoint, found: FoundCheckpoint) -> TrajectoryPoint:
    """Return a point for a checkpoint whose weights were measured already, without the verdict of a gate."""
    return msgspec.structs.replace(
        point, checkpoint=found.name, step=found.step, path=str(found.path), gate=None, gate_id=None
    )


def settings_id(spec: RunSpec) -> str:
    """Return the hash of a spec without its checkpoint."""
    nobody = msgspec.structs.replace(spec.checkpoint, fingerprint=Fingerprint(weights="", tokenizer="", template=None))
    return spec_id(msgspec.structs.replace(spec, checkpoint=nobody))


def _search(folder: Path) -> Iterator[FoundCheckpoint]:
    seen = set()
    if _is_checkpoint(folder):
        seen.add(folder.resolve())
        yield FoundCheckpoint(folder.name, None, folder, is_root=True)
    # real folders first, so that a link `latest` gives way to what it points at
    for child in sorted(_subfolders(folder), key=lambda path: (path.is_symlink(), path.name)):
        model = next(_model_folders(child), None)
        if model is not None and model.resolve() not in seen:
            seen.add(model.resolve())
            yield FoundCheckpoint(child.name, parse_step(child.name), model)


def _model_folders(folder: Path) -> Iterator[Path]:
    """Yield the checkpoints at or below a sub-folder, level by level."""
    level = [folder]
    for _ in range(MAX_DEPTH):
        yield from (path for path in level if _is_checkpoint(path))
        level = [below for path in level for below in _subfolders(path)]


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _subfolders(folder: Path) -> list[Path]:
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []  # trainers delete old checkpoints while we look
    return [path for path in below if path.name not in OTHER_MODELS and not path.name.startswith((".", "tmp-"))]
