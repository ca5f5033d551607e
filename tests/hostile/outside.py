"""What hostile programs would like to reach outside the sandbox, and what to look for once they are gone."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ABSTRACT = f"\0harness-outside-{os.getpid()}"
LEFT_PORT = 45678
LEFT_SOCKET = "harness-left-behind"
LEFT_FILES = ("left", "left-behind", "usercustomize.py", "samples_eval_results.json", "link", "big0", "large", "n0")
"""Names that programs of the corpus write."""
FOLDERS = ("/", "/usr", "/tmp", "/var/tmp", "/dev/shm", str(ROOT))

WITNESS = f"""
import ctypes
import posix
import socket

libc = ctypes.CDLL(None, use_errno=True)

def step(xs):
    found = [name for name in posix.listdir('.') + posix.listdir('/tmp') if name]
    if libc.syscall(250, 10, -4, b'user', b'harness-note', 0) > 0:
        found.append('key')
    for family, address in ((2, ('127.0.0.1', {LEFT_PORT})), (1, '\\0{LEFT_SOCKET}')):
        try:
            socket.socket(family).connect(address)
            found.append('socket')
        except OSError:
            pass
    try:
        posix.kill(-1, 0)
        found.append('process')
    except ProcessLookupError:
        pass
    if found:
        raise type('found_' + '_'.join(found), (Exception,), {{}})
    return max(xs) + 15
"""
"""A right program that fails if it finds anything of an earlier one."""


@contextlib.contextmanager
def stage(home: Path) -> Iterator[Callable[[str], str]]:
    """Set up a secret, a server and sockets; yields what puts their names into a program's text."""
    (home / "secret").write_text("a secret\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX) as by_name,
    ):
        by_path.bind(str(home / "socket"))
        by_name.bind(ABSTRACT)
        for one in (by_path, by_name):
            one.listen()
        names = {"HOME": str(home), "ROOT": str(ROOT), "PORT": server.getsockname()[1], "ABSTRACT": ABSTRACT}
        yield lambda text: fill_in(text, names)


def fill_in(text: str, names: dict[str, object]) -> str:
    """Replace the words that stand for something outside."""
    return re.sub(r"\b(?:HOME|ROOT|PORT|ABSTRACT)\b", lambda word: repr(names[word[0]]), text)


def num_descendants(pid: int) -> int:
    """Count a process's children, their children and so on."""
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            children += [int(child) for child in path.read_text().split()]
    return len(children) + sum(map(num_descendants, children))


def settled_descendants(expected: int | None = None) -> int:
    """Count our descendants once there are as many as expected, or the count stands still: some end just after us."""
    counts = [num_descendants(os.getpid())]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and counts[-1] != expected and (len(counts) < 20 or len(set(counts[-20:])) > 1):
        time.sleep(0.02)
        counts.append(num_descendants(os.getpid()))
    return counts[-1]


def traces(home: Path) -> set[str]:
    """Return files and sockets outside that only programs of the corpus make."""
    found = {f"{folder}/{name}" for folder in FOLDERS for name in LEFT_FILES if os.path.lexists(f"{folder}/{name}")}
    found |= {str(path) for path in home.rglob("*") if path.name not in ("secret", "socket")}
    for table, mark in (("unix", f"@{LEFT_SOCKET}"), ("tcp", f":{LEFT_PORT:04X} 00000000:0000")):
        if mark in Path(f"/proc/net/{table}").read_text(errors="replace"):
            found.add(f"a socket ({table})")
    return found
