"""A lock with two ways to hold it: together with others, or alone."""

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Lets up to `most` calls run together, or one alone: who waits to be alone goes before those who would join."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._condition = threading.Condition()
        self._num_together = 0
        self._num_waiting_alone = 0
        self._is_alone = False

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Hold a turn that others may share."""
        with self._condition:
            self._condition.wait_for(self._may_join)
            self._num_together += 1
        try:
            yield
        finally:
            with self._condition:
                self._num_together -= 1
                self._condition.notify_all()

    def _may_join(self) -> bool:
        return not self._is_alone and not self._num_waiting_alone and self._num_together < self._most

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the only turn."""
        with self._condition:
            self._num_waiting_alone += 1
            try:
                self._condition.wait_for(lambda: not self._is_alone and not self._num_together)
            finally:
                self._num_waiting_alone -= 1
            self._is_alone = True
        try:
            yield
        finally:
            with self._condition:
                self._is_alone = False
                self._condition.notify_all()
