"""What runs in a generated program's own process: load it, call it on each input, encode what it returns. Stdlib only.

Nothing here is trusted: the program can rewrite all of it, and gains nothing but the right to choose its outputs.
"""

import contextlib
import faulthandler
import hashlib
import importlib
import io
import itertools
import mmap
import os
import pickle
import struct
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from harness.scorers.sandbox_frames import write_all

GUARDED: dict[str, str] = {
    "builtins": "exit quit open help",
    "os": "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate "
    "replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
}
"""Names that EvalPlus sets to None before it runs a program; done here so that verdicts agree, not for safety."""
LOADED_BEFORE = ("numpy", "pandas")
"""Packages that EvalPlus has loaded by then; under the guard they could not be."""
GUARDED_MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")

RECORD = struct.Struct(">cI")
"""Head of a record: what it is, and the size of its payload.

V value, D digest of a large value, U value that cannot be encoded, E the call raised, L loading raised, M no entry
point, `.` every input was run.
"""
SHARED_BYTES = 1 << 17
"""Size of the memory in which records wait."""
SHARED_HEAD = struct.Struct(">QQ")
"""Bytes waiting, records so far."""
ITERATE_LIMIT = 1_000_000


def rebuild(*_args: Any) -> NoReturn:
    """Stand for the judge's constructor of everything that is not an exact built-in value."""
    raise TypeError("only the judge decodes outputs")


_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (complex, lambda value: complex(complex.real.__get__(value), complex.imag.__get__(value))),
    (str, str.__str__),
    (bytes, lambda value: b"".join([b"", bytes.__getitem__(value, slice(None)), b""])),
    (tuple, lambda value: (*tuple.__iter__(value),)),
    (list, lambda value: [*list.__iter__(value)]),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: {*set.__iter__(value)}),
    (frozenset, lambda value: frozenset({*frozenset.__iter__(value)})),
)


def reduce_other(value: Any) -> tuple[Any, ...]:
    """Return (kind, data...) for a value that is not an exact built-in: its built-in base, or `opaque`.

    Overridden methods (`__eq__`, `__iter__`, …) are bypassed, so an object cannot pretend to be what it does not hold.
    """
    kind = type(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)) and value.dtype.kind in "biufc":
        shape = value.shape if isinstance(value, numpy.ndarray) else None
        return "numpy", value.dtype.str, shape, value.tobytes()
    if kind is complex:
        return "complex", value.real, value.imag
    for base, plain in _BASES:
        if issubclass(kind, base):
            return "subclass", plain(value)
    if kind is Fraction:
        return "fraction", value.numerator, value.denominator
    if kind is Decimal:
        return "decimal", str(value)
    if kind in (type({}.keys()), type({}.items())):
        return "subclass", set(value)
    return ("opaque",)


class Encoder(pickle.Pickler):
    """C pickler for exact built-in values; everything else goes through `reduce_other`."""

    def reducer_override(self, value: Any) -> Any:
        """Replace what pickle would do with classes, functions and instances."""
        if value is rebuild:
            return NotImplemented
        return rebuild, reduce_other(value)


class Spool:
    """Where a value is encoded to: kept up to a size, beyond it only hashed, so that size costs no memory."""

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self.kept = io.BytesIO()
        self.digest: Any = None
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take a piece of the encoding."""
        size = len(data)
        self.size += size
        if self.digest is None and self.size > self.threshold:
            self.digest = hashlib.blake2b(self.kept.getbuffer(), digest_size=32)
        if self.digest is None:
            self.kept.write(data)
        else:
            self.digest.update(data)
        return size


class Emitter:
    """Gathers records in memory shared with the supervisor, and passes them on when that is full.

    The supervisor sees each record at once (its count tells progress) and can still read the last ones after it has
    killed the program.
    """

    def __init__(self, fd: int, shared: mmap.mmap, threshold: int, iterate: bool) -> None:
        self.fd = fd
        self.shared = shared
        self.threshold = threshold
        self.iterate = iterate
        self.filled = 0
        self.count = 0

    def record(self, kind: bytes, payload: bytes = b"") -> None:
        """Queue one record."""
        data = RECORD.pack(kind, len(payload)) + payload
        if self.filled + len(data) > SHARED_BYTES - SHARED_HEAD.size:
            self.flush()
        self.count += 1
        if len(data) > SHARED_BYTES - SHARED_HEAD.size:
            write_all(self.fd, data)
        else:
            start = SHARED_HEAD.size + self.filled
            self.shared[start : start + len(data)] = data
            self.filled += len(data)
        SHARED_HEAD.pack_into(self.shared, 0, self.filled, self.count)

    def flush(self) -> None:
        """Write out what is queued."""
        data = self.shared[SHARED_HEAD.size : SHARED_HEAD.size + self.filled]
        self.filled = 0
        SHARED_HEAD.pack_into(self.shared, 0, 0, self.count)
        write_all(self.fd, data)

    def value(self, value: Any) -> None:
        """Queue an output value, or its digest where it is large."""
        if self.iterate and type(value) not in (list, tuple, set, frozenset, dict, str) and hasattr(value, "__iter__"):
            value = Iterated([*itertools.islice(value, ITERATE_LIMIT)])
        spool = Spool(self.threshold)
        encoder = Encoder(spool, 5)
        encoder.fast = True  # no memo: equal plain values have equal bytes, whatever they share
        try:
            encoder.dump(value)
        except (
            RecursionError,
            ValueError,
            TypeError,
            OverflowError,
            AttributeError,
            MemoryError,
            pickle.PicklingError,
        ):
            self.record(b"U", type(value).__name__.encode(errors="replace"))
            return
        if spool.digest is None:
            self.record(b"V", spool.kept.getvalue())
        else:
            self.record(b"D", spool.digest.digest() + struct.pack(">Q", spool.size))


class Iterated:
    """The elements of an iterator that EvalPlus would turn into a set."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, ("iterated", self.items)


class Sink(io.StringIO):
    """Standard streams of a program: swallow what is written, refuse to be read (as under EvalPlus)."""

    def write(self, text: str) -> int:
        """Forget the text."""
        return len(text)

    def read(self, *_args: Any) -> str:
        """Refuse."""
        raise OSError("there is no standard input")

    readline = readlines = read  # type: ignore[assignment]

    def readable(self) -> bool:
        """Say no."""
        return False


def guard(code: str) -> None:
    """Take away the names that EvalPlus takes away, after loading what it has loaded and the program mentions."""
    for package in LOADED_BEFORE:
        if package in code:
            with contextlib.suppress(ImportError):
                importlib.import_module(package)
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    for module, names in GUARDED.items():
        for name in names.split():
            setattr(importlib.import_module(module), name, None)
    for module in GUARDED_MODULES:
        sys.modules[module] = None  # type: ignore[assignment]


def run_inputs(code: str, entry_point: str, inputs: list[Any], emitter: Emitter) -> None:
    """Load the program and call its entry point on each input until one raises."""
    scope: dict[str, Any] = {}
    try:
        exec(code, scope)  # noqa: S102 - running generated code is this file's purpose
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its result
        emitter.record(b"L", type(error).__name__.encode(errors="replace"))
        return
    if entry_point not in scope:
        emitter.record(b"M")
        return
    function = scope[entry_point]
    slowest, clock = 0.0, time.process_time
    for arguments in inputs:
        started = clock()
        try:
            output = function(*arguments)
        except BaseException as error:  # noqa: BLE001
            emitter.record(b"E", type(error).__name__.encode(errors="replace"))
            return
        emitter.value(output)
        slowest = max(slowest, clock() - started)
    emitter.record(b".", struct.pack(">dd", slowest, clock()))
