"""Run directories: created once, appended to, locked, read back. The only module that knows the file names."""

import contextlib
import errno
import fcntl
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from glob import escape
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from harness.errors import LockedError, StoreError
from harness.schema import Elicitation, Example, Generation, Provenance, Record, RunRecord, RunSpec, Score
from harness.spec import spec_id

R = TypeVar("R", bound=msgspec.Struct)
_CANNOT_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What bytes that are no record raise: text that is not UTF-8 and endless nesting raise Python's own errors."""
FSYNC_SECONDS = 2.0
"""A power cut loses at most this much; a killed process loses nothing that was appended."""


class RunStore:
    """One run directory, held by this process alone until closed.

    Layout: spec.json, examples.jsonl (what was asked, so that comparing needs no benchmark data), generations.jsonl,
    scores.jsonl, sessions.jsonl (one line per process that worked on the run), elicitation.json (of elicited runs),
    run.json (written last), lock. A re-grading keeps the generations and writes scores.<grading>.jsonl,
    sessions.<grading>.jsonl and run.<grading>.json beside the old files.
    """

    def __init__(self, path: Path, spec: RunSpec, grading: str | None = None) -> None:
        self.path = path
        self.spec = spec
        self.spec_id = spec_id(spec)
        self._regrading = grading is not None
        suffix = f".{grading}" if grading else ""
        self._run_path = path / f"run{suffix}.json"
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(path / "lock", path, "wait for it, or measure beside it with --fresh")
        try:
            if not self._regrading:
                self._write_spec()
            self.generations = JsonLines(path / "generations.jsonl", Generation)
            self.scores = JsonLines(path / f"scores{suffix}.jsonl", Score)
            self.sessions = JsonLines(path / f"sessions{suffix}.jsonl", Provenance)
        except BaseException:
            os.close(self._lock)
            raise

    def _write_spec(self) -> None:
        path = self.path / "spec.json"
        if path.exists():
            found = spec_id(read_json(path, RunSpec))
            if found != self.spec_id:
                raise StoreError(f"{path} describes run {found}, not {self.spec_id}: move the folder away")
        else:
            write_atomically(path, encode_pretty(self.spec))

    def keep_examples(self, examples: Iterable[Example]) -> None:
        """Write what was asked, once: ids, clusters, inputs, targets, the turn before; not the scorers' test data."""
        path = self.path / "examples.jsonl"
        if not path.exists():
            bare = (msgspec.structs.replace(example, metadata=_turn_before(example)) for example in examples)
            write_atomically(path, b"".join(msgspec.json.encode(example) + b"\n" for example in bare))

    def keep_elicitation(self, record: Elicitation) -> None:
        """Write how an elicited run is put together, before its lines.

        Raises:
            StoreError: if it was put together otherwise before: its lines would not be those that the record names.
        """
        path, text = self.path / "elicitation.json", encode_pretty(record)
        if path.exists() and path.read_bytes() != text:
            raise StoreError(
                f"{path} holds other scores or choices: the runs of its styles were measured again since; "
                f"move {self.path} away"
            )
        write_atomically(path, text)

    def is_complete(self) -> bool:
        """Say whether every planned request has ended without error."""
        return self._run_path.exists() and read_json(self._run_path, RunRecord).status == "complete"

    def drop_failed(self) -> None:
        """Remove what ended in error, and scores without a generation, so that they are redone.

        run.json goes first: its presence means that every request has ended.
        """
        with disk_errors(self._run_path):
            self._run_path.unlink(missing_ok=True)
        if not self._regrading:
            self.generations.keep(lambda item: item.error is None)
        generated = {item.key for item in self.generations}
        self.scores.keep(lambda item: item.outcome != "error" and item.key in generated)

    def finish(self, record: RunRecord) -> None:
        """Write run.json, atomically and last."""
        self.generations.sync()
        self.scores.sync()
        write_atomically(self._run_path, encode_pretty(record))

    def close(self) -> None:
        """Flush to disk and let other processes in."""
        try:
            self.generations.close()
            self.scores.close()
            self.sessions.close()
        finally:
            os.close(self._lock)


class JsonLines(Generic[R]):
    """An append-only file of records. A torn last line, left by a killed process, is cut off on opening."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path = path
        self._kind = kind
        with disk_errors(path):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            self._cut_torn_line()
        self._synced = time.monotonic()

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        end = size
        while end > 0:
            start = max(0, end - (1 << 16))
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)

    def append(self, record: R) -> None:
        """Write one line; it survives the death of this process as soon as this returns."""
        line = memoryview(msgspec.json.encode(record) + b"\n")
        with disk_errors(self.path):
            start = os.fstat(self._file).st_size
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError:
                with contextlib.suppress(OSError):  # if this fails too, the half line is cut off on the next opening
                    os.ftruncate(self._file, start)
                raise
            if time.monotonic() - self._synced > FSYNC_SECONDS:
                self.sync()

    def sync(self) -> None:
        """Force what was appended onto the disk."""
        with disk_errors(self.path):
            os.fsync(self._file)
        self._synced = time.monotonic()

    def __iter__(self) -> Iterator[R]:
        return read_lines(self.path, self._kind)

    def keep(self, wanted: Callable[[R], bool]) -> None:
        """Rewrite the file atomically with only the wanted records; does nothing if all are wanted."""
        if all(wanted(record) for record in self):
            return
        with disk_errors(self.path):
            with _replacing(self.path) as file:
                for record in self:
                    if wanted(record):
                        file.write(msgspec.json.encode(record) + b"\n")
            os.close(self._file)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)

    def close(self) -> None:
        """Force onto the disk and close."""
        try:
            self.sync()
        finally:
            os.close(self._file)


def _turn_before(example: Example) -> dict[str, Any]:
    """Return which example a later turn of a conversation goes on from: who reads the answers needs all of it."""
    return {name: value for name, value in example.metadata.items() if name == "follows"}


def run_path(root: Path, spec: RunSpec) -> Path:
    """Return where a run lives: root/label/spec_id."""
    return root / spec.checkpoint.label / spec_id(spec)


def read_lines(
    path: Path, kind: type[R], advice: str = "restore the file, or measure again with --fresh"
) -> Iterator[R]:
    """Yield the records of a JSON-lines file, one at a time; a torn last line is left out.

    Args:
        path: the file.
        kind: of its records.
        advice: what to do about a line that cannot be read.

    Raises:
        StoreError: if a whole line is not such a record, naming the line.
    """
    decoder = msgspec.json.Decoder(kind)
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    with file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _decode_line(line, decoder, kind)
            except _UNREADABLE as error:
                raise StoreError(f"{path} line {number} cannot be read ({error}); {advice}") from error


def _decode_line(line: bytes, decoder: msgspec.json.Decoder[R], kind: type[R]) -> R:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError:  # rare: only estimates hold nan, so the fast way goes first
        return msgspec.convert(_restore_nan(msgspec.json.decode(line), inspect.type_info(kind)), kind)


def read_json(path: Path, kind: type[R]) -> R:
    """Return the record of a JSON file.

    Raises:
        StoreError: if the file is missing or is not such a record.
    """
    try:
        return msgspec.convert(_restore_nan(msgspec.json.decode(path.read_bytes()), inspect.type_info(kind)), kind)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except _UNREADABLE as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or measure again with --fresh") from error


def _restore_nan(value: Any, kind: inspect.Type) -> Any:
    """Turn null back into nan where a number must be: JSON has no word for nan, so null is what it is written as."""
    match kind:
        case inspect.FloatType():
            return math.nan if value is None else value
        case inspect.StructType() if isinstance(value, dict):
            types = {field.name: field.type for field in kind.fields}
            return {key: _restore_nan(item, types[key]) if key in types else item for key, item in value.items()}
        case inspect.VarTupleType() if isinstance(value, list):
            return [_restore_nan(item, kind.item_type) for item in value]
        case inspect.TupleType() if isinstance(value, list):
            return [_restore_nan(item, each) for item, each in zip(value, kind.item_types, strict=False)]
        case inspect.DictType() if isinstance(value, dict):
            return {key: _restore_nan(item, kind.value_type) for key, item in value.items()}
        case inspect.UnionType() if value is not None:
            structs = [option for option in kind.types if isinstance(option, inspect.StructType)]
            return _restore_nan(value, structs[0]) if len(structs) == 1 else value
    return value


def encode_pretty(record: Record) -> bytes:
    """Return a record as indented JSON, ending in a line break; nan is written as null."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_run(path: Path) -> RunRecord:
    """Return the record of a finished run directory.

    Raises:
        StoreError: if it is not a run directory, or the run has not finished.
    """
    if not (path / "spec.json").is_file():
        raise StoreError(f"{path} is not a run directory: it has no spec.json")
    if not (path / "run.json").is_file():
        raise StoreError(f"{path} has not finished: run its `harness eval` command again to resume it")
    return read_json(path / "run.json", RunRecord)


def read_elicitation(path: Path) -> Elicitation:
    """Return how an elicited run directory was put together.

    Raises:
        StoreError: if it is no elicited run.
    """
    return read_json(path / "elicitation.json", Elicitation)


def write_atomically(path: Path, text: bytes) -> None:
    """Write a whole file or nothing: temporary file, fsync, rename."""
    with disk_errors(path), _replacing(path) as file:
        file.write(text)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a temporary file to fill, and put it in the place of `path` once it is full and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # says that somebody is writing it still
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk is not to be filled by half a file
            temporary.unlink(missing_ok=True)
        raise
    for left in leftovers(path):
        left.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Return temporary files that processes which were killed while writing `path` left behind."""
    return [left for left in path.parent.glob(f".{escape(path.name)}.*") if _is_abandoned(left)]


def _is_abandoned(temporary: Path) -> bool:
    if not temporary.suffix[1:].isdigit():
        return False
    try:
        with temporary.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by its writer, or gone
        return False
    return True


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "free some space and run the same command again to resume"
        elif error.errno in _CANNOT_WRITE:
            advice = "name another folder for the output (out), one that can be written"
        else:
            advice = "nothing finished is lost; run the same command again to resume"
        raise StoreError(f"{path}: {error.strerror or error}; {advice}") from error


def take_lock(path: Path, guarded: Path, advice: str) -> int:
    """Return the descriptor of a lock file that this process holds until it closes it or dies.

    Args:
        path: the lock file; made if it is missing.
        guarded: what it stands for, named in the message.
        advice: what to do when another process holds it.

    Raises:
        LockedError: if another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise LockedError(f"{guarded} is being written by process {holder}; {advice}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
