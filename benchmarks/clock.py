"""Seconds of a process and its children, by phase of what it does: for beside_peers.py."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    """Seconds and CPU seconds of this process and its children by phase; a phase within another counts for itself."""

    def __init__(self, started: float) -> None:
        """Count the time since the process was started as start-up."""
        self._started = started
        self.phases = {"startup": self.total()}
        """Seconds and CPU seconds by phase."""

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add what happens inside to a phase."""
        begun, known = self.total(), [sum(parts) for parts in zip(*self.phases.values(), strict=True)]
        yield
        spent = self.phases.setdefault(name, [0.0, 0.0])
        ended, now_known = self.total(), [sum(parts) for parts in zip(*self.phases.values(), strict=True)]
        for i in range(2):
            spent[i] += ended[i] - begun[i] - (now_known[i] - known[i])

    def follow(self, owner: type, method: str, name: str) -> None:
        """Add every call of a method to a phase."""
        original = getattr(owner, method)

        def timed(*arguments: Any, **settings: Any) -> Any:
            with self.measure(name):
                return original(*arguments, **settings)

        setattr(owner, method, timed)

    def follow_iterator(self, owner: type, method: str, name: str) -> None:
        """Add to a phase the time from the first item to the last, and that of who takes them."""
        original = getattr(owner, method)

        def timed(*arguments: Any) -> Iterator[Any]:
            with self.measure(name):
                yield from original(*arguments)

        setattr(owner, method, timed)

    def total(self) -> list[float]:
        """Return seconds and CPU seconds since the process was started."""
        return [time.monotonic() - self._started, tree_cpu_seconds()]


def tree_cpu_seconds() -> float:
    """Return the CPU time of this process and its children, dead or alive."""
    # comes with accelerate, which HFLM needs, and with vLLM
    import psutil  # type: ignore[import-untyped]

    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total
