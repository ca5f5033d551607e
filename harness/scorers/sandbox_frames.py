"""The messages between host and sandbox: a JSON header and binary blobs. Stdlib only, for both sides."""

import contextlib
import fcntl
import json
import os
import struct
from typing import Any

FRAME = struct.Struct(">IQ")
"""Sizes of header and body."""


F_SETPIPE_SZ = 1031
PIPE_BYTES = 1 << 20


def widen_pipe(fd: int) -> None:
    """Let a pipe hold more, so that a large message costs fewer switches between processes; small ones work too."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES)


def read_exactly(fd: int, size: int) -> bytes:
    """Read size bytes or raise EOFError."""
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write everything, however the pipe splits it."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pack_frame(header: dict[str, Any] | None, blobs: list[bytes]) -> list[bytes]:
    """Return the pieces of a message; no header marks a chunk of output with more to come."""
    text = b"" if header is None else json.dumps(header).encode()
    return [FRAME.pack(len(text), sum(map(len, blobs))) + text, *blobs]


def write_frame(fd: int, header: dict[str, Any] | None, body: bytes = b"") -> None:
    """Write one reply."""
    for part in pack_frame(header, [body]):
        write_all(fd, part)


def read_frame(fd: int) -> tuple[dict[str, Any], list[bytes]]:
    """Read one request; its header lists the sizes of the blobs after it."""
    header_size, body_size = FRAME.unpack(read_exactly(fd, FRAME.size))
    header = json.loads(read_exactly(fd, header_size))
    body = read_exactly(fd, body_size)
    blobs, start = [], 0
    for size in header["blobs"]:
        blobs.append(body[start : start + size])
        start += size
    return header, blobs
