"""Expected outputs of reference solutions, kept in the cache folder. A file that does not read back is made again."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from harness.cache import cache_dir


class ExpectedRun(msgspec.Struct, frozen=True):
    """One run of a reference solution over one set of inputs."""

    records: bytes
    """As the sandbox recorded them, undecoded."""
    slowest: float
    """CPU seconds of the slowest input."""
    total: float
    """CPU seconds of the whole run."""


class Expected(msgspec.Struct, frozen=True):
    """Both sets of a problem."""

    base: ExpectedRun
    plus: ExpectedRun


def _path(key: str) -> Path:
    return cache_dir() / "expected" / f"{key}.bin"


def read_expected(key: str) -> Expected | None:
    """Return the cached outputs, or None if there are none that are whole."""
    try:
        data = _path(key).read_bytes()
    except OSError:
        return None
    digest, body = data[:32], data[32:]
    if hashlib.sha256(body).digest() != digest:
        return None
    try:
        return msgspec.msgpack.decode(body, type=Expected)
    except msgspec.DecodeError:
        return None


def write_expected(key: str, expected: Expected) -> None:
    """Keep outputs for the next run; the file appears whole or not at all.

    A folder that cannot be written costs time only, so it is no error.
    """
    body = msgspec.msgpack.encode(expected)
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
