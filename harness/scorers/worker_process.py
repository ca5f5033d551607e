"""The child side of a worker: loads one function, then answers one request after another until it is told to end.

Run by `harness.scorers.worker` as `python -m harness.scorers.worker_process`; not meant to be called by hand.
"""

import fcntl
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgspec

HEADER_BYTES = 8
"""Each frame is its length (big-endian) and then that many bytes of JSON."""


class Reply(msgspec.Struct):
    """Answer to one request; the first one says whether the function could be loaded."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    """`Type: message` of the exception that the function raised."""
    rss_bytes: int = 0
    """Resident memory of the process after the call; 0 where the system does not say."""


def pack(message: Any) -> bytes:
    """Return the message as one frame."""
    body = msgspec.json.encode(message)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def read_exactly(connection: socket.socket, num_bytes: int) -> bytes | None:
    """Return the next `num_bytes` bytes, or None if the other side is gone."""
    buffer = bytearray()
    while len(buffer) < num_bytes:
        chunk = connection.recv(min(num_bytes - len(buffer), 1 << 20))
        if not chunk:
            return None
        buffer += chunk
    return bytes(buffer)


def _die_with_parent(lifeline_fd: int) -> None:
    """Let the kernel end this process when the last writer of the lifeline is gone, whatever the code is doing.

    PR_SET_PDEATHSIG follows the *thread* that started the process, and a watching thread cannot run while a long C
    call holds the interpreter lock; a signal on the pipe has neither fault. SIGIO ends a process by default.
    """
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)
    os.set_blocking(lifeline_fd, False)
    try:
        parent_is_gone = os.read(lifeline_fd, 1) == b""
    except BlockingIOError:
        parent_is_gone = False
    if parent_is_gone:
        raise SystemExit(1)


def _load(target: str) -> Callable[[Any], Any]:
    module_name, _, function_name = target.partition(":")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module_name), function_name)
    return function


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def _rss_bytes() -> int:
    """Not getrusage's maximum, which a process inherits from the parent that started it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def _answer(function: Callable[[Any], Any], body: bytes) -> Reply:
    """Run the function on one request; whatever it raises is the caller's to judge."""
    try:
        result = msgspec.json.encode(function(msgspec.json.decode(body)))
    except Exception as error:  # noqa: BLE001 - carried to the parent with type and message, raised there
        return Reply(error=_describe(error), rss_bytes=_rss_bytes())
    return Reply(result=msgspec.Raw(result), rss_bytes=_rss_bytes())


def serve(target: str, connection: socket.socket) -> None:
    """Load `module:function` and answer requests until the parent closes the connection."""
    try:
        function = _load(target)
    except Exception as error:  # noqa: BLE001 - carried to the parent, which reports it once and stops
        connection.sendall(pack(Reply(error=_describe(error))))
        return
    # From here on nothing the function prints can reach the terminal or fill a file.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    connection.sendall(pack(Reply(rss_bytes=_rss_bytes())))
    while header := read_exactly(connection, HEADER_BYTES):
        body = read_exactly(connection, int.from_bytes(header, "big"))
        if body is None:
            return
        connection.sendall(pack(_answer(function, body)))


def main() -> None:
    """Read target, file descriptors and memory limit from the command line and serve."""
    target, connection_fd, lifeline_fd, memory_bytes = sys.argv[1], *map(int, sys.argv[2:5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(lifeline_fd)
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(target, socket.socket(fileno=connection_fd))


if __name__ == "__main__":
    main()
