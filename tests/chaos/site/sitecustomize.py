"""Loaded by each Python that a campaign starts (PYTHONPATH): one fault, named by $CHAOS, in that process alone.

CHAOS=kill:N     SIGKILL just before the Nth time that something is written in the working directory; of a line, half is
CHAOS=count:FILE writes into FILE how often that was
CHAOS=clock      the clock jumps up to a day, to and fro, whenever it is read
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_EVENTS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate")
_WRITES = os.O_WRONLY | os.O_RDWR


def watch_writes(hear: Callable[[int, Callable[[], object]], None]) -> None:
    """Have `hear` told of each write: its number, from 1, and what would do half of it."""
    home = os.getcwd() + os.sep
    number = 0
    write = os.write

    def count(half: Callable[[], object]) -> None:
        nonlocal number
        number += 1
        hear(number, half)

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in _EVENTS or (event == "open" and arguments[2] & _WRITES)
        if writes and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path.startswith(home):
                count(lambda: None)

    def write_loudly(file: int, data: Any) -> int:
        if os.readlink(f"/proc/self/fd/{file}").startswith(home):
            count(lambda: write(file, data[: len(data) // 2]))
        return write(file, data)

    sys.addaudithook(on_event)
    os.write = write_loudly


def kill_at(wanted: int) -> None:
    """Die at a write."""

    def hear(number: int, half: Callable[[], object]) -> None:
        if number == wanted:
            half()
            os.kill(os.getpid(), signal.SIGKILL)

    watch_writes(hear)


def count_into(path: str) -> None:
    """Count writes."""
    total = 0

    def hear(number: int, half: Callable[[], object]) -> None:
        nonlocal total
        total = number

    def save() -> None:
        with open(path, "w") as file:
            file.write(str(total))

    atexit.register(save)
    watch_writes(hear)


def make_clock_jump() -> None:
    """Let wall-clock time jump; the monotonic clock, which cannot, stays."""
    import datetime
    import random
    import time

    draw, real, moment = random.Random(0), time.time, datetime.datetime

    def jumping() -> float:
        return real() + draw.uniform(-86_400, 86_400)

    class Jumping(moment):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return moment.fromtimestamp(jumping(), tz)

    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)
    datetime.datetime = Jumping


fault, _, value = os.environ.pop("CHAOS", "").partition(":")  # the processes it starts have none
match fault:
    case "kill":
        kill_at(int(value))
    case "count":
        count_into(value)
    case "clock":
        make_clock_jump()
