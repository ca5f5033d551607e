"""Finds a checkpoint and pins it by content: weights, tokenizer, chat template. Loads no model."""

import hashlib
import json
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.cache import cache_dir
from harness.errors import CheckpointError
from harness.schema import CheckpointRef, Fingerprint, Record, TrainingCost
from harness.spec import content_hash, did_you_mean

SCRIPTED_PREFIX = "scripted:"
CONFIG_FILES = ("config.json", "generation_config.json")
VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""One of these holds the vocabulary. Without any, transformers makes up an empty tokenizer and says nothing."""
TOKENIZER_FILES = (
    *VOCABULARY_FILES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
HUB_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
_LABEL = re.compile(r"\w[\w.@+-]{0,99}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")


class ResolvedCheckpoint(Record, frozen=True):
    """A checkpoint reference and where its files are on this machine."""

    ref: CheckpointRef
    folder: Path | None
    """None for scripted checkpoints and those that only a server has."""
    training: TrainingCost | None
    """From its training.json; None if it has none."""


def resolve_checkpoint(
    ckpt: str, shipped: Mapping[str, Path], label: str | None = None, chat_template: Path | None = None
) -> ResolvedCheckpoint:
    """Find a checkpoint and fingerprint it.

    Args:
        ckpt: shipped name, folder, hub id[@revision], or `scripted:NAME`.
        shipped: the checkpoints that come with the package, by name.
        label: name in tables; None derives it from ckpt.
        chat_template: file used instead of the tokenizer's own template.

    Raises:
        CheckpointError: if it is missing, damaged, or no such hub id can be had.
    """
    label = check_label(label or default_label(ckpt))
    if ckpt.startswith(SCRIPTED_PREFIX):
        fingerprint = Fingerprint(weights=_script_hash(ckpt), tokenizer="none", template="none")
        ref = CheckpointRef(label=label, path=ckpt, revision=None, fingerprint=fingerprint)
        return ResolvedCheckpoint(ref=ref, folder=None, training=None)
    folder, revision = _find_folder(ckpt, shipped)
    fingerprint = fingerprint_folder(folder, chat_template)
    ref = CheckpointRef(label=label, path=ckpt, revision=revision, fingerprint=fingerprint)
    return ResolvedCheckpoint(ref=ref, folder=folder, training=read_training_cost(folder))


def resolve_served(
    ckpt: str, shipped: Mapping[str, Path], label: str | None = None, model: str | None = None
) -> ResolvedCheckpoint:
    """Pin a checkpoint that a server holds.

    A folder or a shipped name is fingerprinted as ever: the user says that this is what the server serves. Any other
    name stands for whatever the server has under it, which nobody can see into; it is not looked up on the hub. `model`
    is the name under which the server has it, where that is another one.

    Raises:
        CheckpointError: if it is a path and there is nothing.
    """
    if ckpt in shipped or ckpt.startswith((".", "/", "~")) or Path(ckpt).is_dir():
        return resolve_checkpoint(ckpt, shipped, label)
    label = check_label(label or default_label(ckpt))
    names = [ckpt] if model in (None, ckpt) else [ckpt, model]
    fingerprint = Fingerprint(weights=content_hash(["served", *names]), tokenizer="served", template="served")
    ref = CheckpointRef(label=label, path=ckpt, revision=None, fingerprint=fingerprint)
    return ResolvedCheckpoint(ref=ref, folder=None, training=None)


def default_label(ckpt: str) -> str:
    """Return a folder-safe label: the hub id or shipped name with `-` for `/`, or the folder's last name."""
    is_path = ckpt.startswith((".", "/", "~")) or Path(ckpt).is_dir()
    name = Path(ckpt).expanduser().resolve().name if is_path else ckpt
    return re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).strip("-.") or "checkpoint"


def check_label(label: str) -> str:
    """Return a label that can be a folder's name.

    Raises:
        CheckpointError: if it cannot.
    """
    if not _LABEL.fullmatch(label):
        raise CheckpointError(
            f"label {label!r} cannot name a folder: give --label with letters, digits, and . _ - + @ (at most 100)"
        )
    return label


def _script_hash(ckpt: str) -> str:
    """Hash a script's name, and the file that it replays."""
    replayed = Path(ckpt.partition("replay=")[2].partition(",")[0])
    if "replay=" not in ckpt or not replayed.is_file():
        return content_hash(ckpt)
    return content_hash([ckpt, hashlib.sha256(replayed.read_bytes()).hexdigest()])


def _find_folder(ckpt: str, shipped: Mapping[str, Path]) -> tuple[Path, str | None]:
    if ckpt in shipped:
        return shipped[ckpt], None
    folder = Path(ckpt).expanduser()
    if folder.is_dir():
        return folder, None
    if folder.exists():
        raise CheckpointError(f"{ckpt} is a file; expected a folder with config.json, tokenizer and *.safetensors")
    if ckpt.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(ckpt):
        hint = did_you_mean(ckpt, shipped) or f"; shipped checkpoints: {', '.join(shipped)}"
        raise CheckpointError(f"no checkpoint at {ckpt}: expected a folder, a hub id (org/name[@revision]){hint}")
    return _fetch_from_hub(ckpt, did_you_mean(ckpt, shipped))


def _fetch_from_hub(ckpt: str, hint: str) -> tuple[Path, str]:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repo_id, _, revision = ckpt.partition("@")
    try:
        path = huggingface_hub.snapshot_download(repo_id, revision=revision or None, allow_patterns=HUB_PATTERNS)
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{ckpt} is not a folder here{hint}, and the hub cannot be reached and its cache does not hold it; "
            f"download it where there is a network (hf download {repo_id}) and give the folder"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{ckpt} is not a folder here{hint} and cannot be had from the hub: {reason}") from error
    return Path(path), Path(path).name


def fingerprint_folder(folder: Path, chat_template: Path | None = None) -> Fingerprint:
    """Hash what decides a checkpoint's output: weights and config, tokenizer files, chat template source.

    File hashes are cached by path, size, times and inode, so only new or changed weights are read. The template's
    source stands for every rendering of it: the engine gives templates that ask for the date a fixed one.

    Raises:
        CheckpointError: if files are missing, damaged, or not safetensors.
    """
    cache = _HashCache()
    weight_files = check_weights(folder)
    present = [folder / name for name in CONFIG_FILES if (folder / name).is_file()]
    tokenizer = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if folder / "config.json" not in present:
        raise CheckpointError(f"{folder} has no config.json: it is not a checkpoint in Hugging Face layout")
    if not any(path.name in VOCABULARY_FILES for path in tokenizer):
        raise CheckpointError(f"{folder} has no tokenizer files; copy the base model's tokenizer into it")
    template = read_template(folder, chat_template)
    fingerprint = Fingerprint(
        weights=content_hash([[path.name, cache.sha256(path)] for path in [*present, *weight_files]]),
        tokenizer=content_hash([[path.name, cache.sha256(path)] for path in tokenizer]),
        template=None if template is None else content_hash(template),
    )
    cache.save()
    return fingerprint


def check_weights(folder: Path) -> list[Path]:
    """Return the weight files that would be loaded, each as long as its header says; reads headers only.

    Raises:
        CheckpointError: if one is missing, damaged or still being written.
    """
    weight_files = _weight_files(folder)
    for path in weight_files:
        _check_safetensors(path)
    return weight_files


def read_template(folder: Path, chat_template: Path | None = None) -> str | None:
    """Return the source of the chat template in force, or None if there is none.

    Raises:
        CheckpointError: if the given template file or the tokenizer's configuration cannot be read.
    """
    if chat_template is not None:
        return _read_text(chat_template)
    if (folder / "chat_template.jinja").is_file():
        return _read_text(folder / "chat_template.jinja")
    if not (folder / "tokenizer_config.json").is_file():
        return None
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if template is None or isinstance(template, str):
        return template
    return json.dumps(template, sort_keys=True)


def read_training(folder: Path) -> dict[str, Any] | None:
    """Return what the checkpoint's training.json holds, or None if it has none.

    Raises:
        CheckpointError: if it is there and cannot be read.
    """
    path = folder / "training.json"
    return _read_json(path) if path.is_file() else None


def read_training_cost(folder: Path) -> TrainingCost | None:
    """Return what the checkpoint's training.json says of its training (`trained_on`, `cost`), or None if it has none.

    Raises:
        CheckpointError: if training.json is there and cannot be read.
    """
    ledger = read_training(folder)
    if ledger is None:
        return None
    path = folder / "training.json"
    cost = ledger.get("cost") or {}
    if not isinstance(cost, dict):
        raise CheckpointError(f"{path}: cost is not a table")
    known = {field: cost.get(field) for field in TrainingCost.__struct_fields__}
    try:
        return msgspec.convert({**known, "trained_on": ledger.get("trained_on") or []}, TrainingCost)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that transformers would load, and no other: the single file goes before the index."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        weight_map = _read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise CheckpointError(f"{index} has no weight_map of file names; fetch it again")
        names = sorted(set(weight_map.values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            raise CheckpointError(f"{folder} lacks weight files that its index names: {', '.join(missing) or 'all'}")
        return [folder / name for name in names]
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder} is an adapter; merge it into its base model first (peft merge_and_unload)")
    other = [path.name for pattern in ("*.safetensors", "*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)]
    found = f" (found {', '.join(sorted(other))}; save it again with save_pretrained)" if other else ""
    raise CheckpointError(f"{folder} has no model.safetensors and no index of shards{found}")


def _check_safetensors(path: Path) -> None:
    """Compare the header's end offset with the file size: finds truncated downloads without reading the data."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (header_size,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(header_size)) if header_size < size else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; fetch it again") from error
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: its header cannot be read") from error
    expected = 8 + header_size + max(ends, default=-1)
    if not ends or size != expected:
        raise CheckpointError(f"{path} is damaged: {size} bytes where its header says {expected}; fetch it again")


class _HashCache:
    """sha256 of files, remembered by path, size, times and inode."""

    def __init__(self) -> None:
        self._path = cache_dir() / "file_hashes.json"
        self._known: dict[str, str] = {}
        self._changed = False
        if self._path.is_file():
            try:
                self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
            except (OSError, ValueError, RecursionError):
                self._known = {}  # a damaged cache costs time, never a wrong hash

    def sha256(self, path: Path) -> str:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"
        if key not in self._known:
            with path.open("rb") as file:
                self._known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        if not self._changed:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(f".{os.getpid()}")
            temporary.write_bytes(msgspec.json.encode(self._known))
            temporary.replace(self._path)
        except OSError:
            return  # no cache folder: hashes are computed again next time


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_read_text(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return data
