"""The folder of a training run: who may write it, what resuming needs, and the checkpoints that come out.

    OUT/NAME/run.json               what is trained: other settings may not go on here
    OUT/NAME/steps.jsonl            log.py's
    OUT/NAME/state/step-000050/     networks and optimisers; the newest `keep`, none once the run has finished
    OUT/NAME/step-000050/           checkpoint in Hugging Face layout, of every `save_every` steps
    OUT/NAME/config.json, …         the final checkpoint; training.json comes last: with it the run is finished

There is no random state to keep: every draw follows from the recipe's seed and the step.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import msgspec

from harness.checkpoint import CONFIG_FILES, TOKENIZER_FILES
from harness.errors import TrainingError
from harness.schema import Fingerprint, Record
from harness.store import disk_errors, encode_pretty, leftovers, read_json, take_lock, write_atomically
from trainers.base import Base
from trainers.ledger import FILE_NAME
from trainers.spec import Recipe

CHANGEABLE = frozenset({"out", "micro_batch", "gradient_checkpointing", "save_every", "keep", "device", "threads"})
"""Settings that decide memory, speed and rounding, not what is computed: a run may go on under others."""
_TEMPLATE = "chat_template.jinja"


class RunIdentity(Record, frozen=True):
    """run.json: what must be the same for a run to go on."""

    recipe: Recipe
    base: Fingerprint
    prompts_sha256: str
    started_at: str
    """UTC, ISO 8601; of the first session."""


class RunFolder:
    """One run's folder, held by this process alone until closed."""

    def __init__(self, identity: RunIdentity, fresh: bool = False) -> None:
        """Take the folder, or fail because it is another run's. Nothing is written or moved before `begin`.

        Args:
            identity: What will be trained.
            fresh: Whether a run that is there is to be put aside instead of gone on with.

        Raises:
            LockedError: if another process trains there.
            TrainingError: if the folder holds a run of other settings, or something else.
        """
        self.path = run_path(identity.recipe)
        self.keep = identity.recipe.keep
        self._is_fresh = fresh
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
        try:
            self.identity = self._check(identity)
        except BaseException:
            self.close()
            raise

    def _take_lock(self) -> int:
        return take_lock(self.path / "lock", self.path, "wait for it, or train under another name")

    def _check(self, identity: RunIdentity) -> RunIdentity:
        """Return the identity of the run that is gone on with, or the given one where there is none."""
        if not self._run_file.exists():
            ours = {self.path / "lock", *leftovers(self._run_file)}
            if any(found not in ours for found in self.path.iterdir()):
                raise TrainingError(f"{self.path} holds something that is no training run; train under another name")
            return identity
        if self._is_fresh:
            return identity
        found = read_json(self._run_file, RunIdentity)
        keys = differing_keys(found, identity)
        if keys and _has_learned(self.path):
            raise TrainingError(
                f"{self.path} holds a run of other settings: {', '.join(keys)}; train under another name, or begin "
                "again with --fresh, which keeps what is there"
            )
        return identity if keys else found

    @property
    def _run_file(self) -> Path:
        return self.path / "run.json"

    def begin(self) -> Path | None:
        """Make the folder this run's; return where an earlier run was put if `fresh` had it put aside."""
        with disk_errors(self.path):
            kept = self._set_aside() if self._is_fresh and self._run_file.exists() else None
            write_atomically(self._run_file, encode_pretty(self.identity))
        return kept

    def _set_aside(self) -> Path:
        number = 1
        while (kept := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(kept)
        self.path.mkdir()
        old_lock, self._lock = self._lock, self._take_lock()
        os.close(old_lock)
        return kept

    @property
    def is_finished(self) -> bool:
        """Whether the final checkpoint is there."""
        return (self.path / FILE_NAME).is_file()

    @property
    def newest_step(self) -> int:
        """Step of the newest state, 0 if there is none."""
        return max((step for step, _ in _numbered(self.path / "state")), default=0)

    def load_state(self, step: int, device: str) -> dict[str, Any]:
        """Return what was saved after a step.

        Raises:
            TrainingError: if it is damaged.
        """
        import torch

        path = self.path / "state" / _step_name(step) / "state.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
            raise TrainingError(
                f"{path} cannot be read; remove {path.parent} to go on from an earlier state, if there is one"
            ) from error
        return state

    def save_state(self, step: int, state: dict[str, Any]) -> None:
        """Write what resuming after a step needs, and drop all but the newest states."""
        import torch

        with _new_folder(self.path / "state" / _step_name(step)) as folder, (folder / "state.pt").open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        for _, old in sorted(_numbered(self.path / "state"))[: -self.keep]:
            shutil.rmtree(old)

    def save_checkpoint(self, step: int, model: Any, base: Base) -> None:
        """Write the policy after a step as a checkpoint of its own."""
        with _new_folder(self.path / _step_name(step)) as folder:
            write_checkpoint(folder, model, base)

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint of the run; None before the first."""
        return max((folder for _, folder in _numbered(self.path)), default=None)

    def finish(self, model: Any, base: Base) -> None:
        """Write the final checkpoint into the run's folder; the ledger is the caller's, and comes last."""
        fresh = self.path / ".final.new"
        shutil.rmtree(fresh, ignore_errors=True)
        with _saving(self.path):
            try:
                fresh.mkdir()
                write_checkpoint(fresh, model, base)
                for file in fresh.iterdir():
                    file.replace(self.path / file.name)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)

    def drop_states(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.path / "state", ignore_errors=True)

    def close(self) -> None:
        """Let other processes in; a folder in which no run was begun is left as it was found."""
        if not self._run_file.exists():
            (self.path / "lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds something else
                self.path.rmdir()
        os.close(self._lock)


def run_path(recipe: Recipe) -> Path:
    """Return the folder that a recipe's checkpoint goes to."""
    return Path(recipe.out).expanduser() / recipe.name


def differing_keys(left: RunIdentity, right: RunIdentity) -> list[str]:
    """Return the names of the settings in which two runs differ, as a recipe file has them."""
    found = [key for key in _differing(msgspec.to_builtins(left.recipe), msgspec.to_builtins(right.recipe)) if key]
    keys = [key for key in found if key not in CHANGEABLE]
    if left.base != right.base:
        keys.append("the base's files")
    if left.prompts_sha256 != right.prompts_sha256:
        keys.append("the prompts")
    return keys


def write_checkpoint(folder: Path, model: Any, base: Base) -> None:
    """Write weights in the base's own dtype and config, with the base's tokenizer, template and generation settings."""
    import torch

    from trainers.model import own_dtype

    dtype = own_dtype(base.folder)
    # Tied weights must stay one tensor, or they would be written twice.
    cast: dict[int, Any] = {}
    weights = {
        name: cast.setdefault(tensor.data_ptr(), tensor.detach().to(getattr(torch, dtype)))
        for name, tensor in model.state_dict().items()
    }
    model.save_pretrained(str(folder), state_dict=weights)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "dtype": dtype}, indent=2) + "\n", encoding="utf-8")
    for name in (*TOKENIZER_FILES, _TEMPLATE, *CONFIG_FILES[1:]):
        if (base.folder / name).is_file():
            shutil.copyfile(base.folder / name, folder / name)
    if isinstance(base.tokenizer.chat_template, str):
        (folder / _TEMPLATE).write_text(base.tokenizer.chat_template, encoding="utf-8")
    for weight_file in folder.glob("*.safetensors"):
        weight_file.chmod(0o644)


def _has_learned(folder: Path) -> bool:
    """Return whether there is anything of a run to lose: before its first step is done, its settings may change."""
    steps = folder / "steps.jsonl"
    return (steps.is_file() and steps.stat().st_size > 0) or (folder / FILE_NAME).is_file()


def _differing(left: Any, right: Any, place: str = "") -> Iterator[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left | right:
            yield from _differing(left.get(key), right.get(key), f"{place}.{key}" if place else key)
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from _differing(a, b, f"{place}[{index}]")
    elif left != right:
        yield place


def _step_name(step: int) -> str:
    return f"step-{step:06d}"


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("step-*"):
        yield int(path.name.removeprefix("step-")), path


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill beside `path`, and put it in place in one rename once it is full."""
    fresh = path.with_name(f".{path.name}.new")
    with _saving(path):
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            yield fresh
            shutil.rmtree(path, ignore_errors=True)  # of a session that was killed before the step's state was saved
            fresh.rename(path)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)  # a full disk is not to be filled by half a folder
            raise


@contextlib.contextmanager
def _saving(path: Path) -> Iterator[None]:
    """As disk_errors, of libraries with errors of their own: safetensors tells the system's, torch covers it."""
    from safetensors import SafetensorError

    with disk_errors(path):
        try:
            yield
        except SafetensorError as error:
            if (told := re.search(r"\(os error (\d+)\)", str(error))) is None:
                raise
            raise OSError(int(told[1]), os.strerror(int(told[1]))) from error
        except RuntimeError as error:
            if not isinstance(covered := error.__context__, OSError):
                raise
            raise OSError(covered.errno, covered.strerror) from error
