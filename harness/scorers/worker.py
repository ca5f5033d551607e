"""A pool of worker processes that can be killed: each runs one function, under a time and a memory limit.

Not a sandbox: the function is ours or a library's, only its input is untrusted. Generated programs run in `sandbox`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import IO, Any

import msgspec

from harness.errors import ScorerError
from harness.scorers.turns import Turns
from harness.scorers.worker_process import HEADER_BYTES, Reply, pack, read_exactly

START_SECONDS = 180.0
"""Longest wait for a worker to load its function; imports on a loaded machine are slow, and not the item's fault."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerTimeout(ScorerError):  # noqa: N818 - names what happened, as TimeoutError does
    """A call that passed the time limit twice, the second time with no other call of the pool running."""


class WorkerDied(ScorerError):  # noqa: N818
    """A call whose worker process ended without an answer, twice."""


class FunctionError(ScorerError):
    """The function itself raised; the message starts with the exception's type."""


class _Worker:
    """One child process and the socket to it."""

    def __init__(self, target: str, memory_bytes: int, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        lifeline_read, lifeline_write = os.pipe()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        fds = (theirs.fileno(), lifeline_read)
        command = [sys.executable, "-P", "-m", "harness.scorers.worker_process", target, *map(str, fds)]
        try:
            self._process = subprocess.Popen(
                [*command, str(memory_bytes)],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=fds,
                start_new_session=True,  # the terminal's Ctrl-C goes to the parent alone
                env=_child_environment() | dict(environment),
            )
        except OSError as error:
            ours.close()
            os.close(lifeline_write)
            raise ScorerError(f"cannot start a scorer process: {error}") from error
        finally:
            theirs.close()
            os.close(lifeline_read)
        self._connection = ours
        self._lifeline = lifeline_write

    def receive(self, deadline: float) -> Reply | None:
        """Return the next reply; None if the process died. Raises TimeoutError at the deadline."""
        header = self._read(HEADER_BYTES, deadline)
        body = None if header is None else self._read(int.from_bytes(header, "big"), deadline)
        return None if body is None else msgspec.json.decode(body, type=Reply)

    def send(self, frame: bytes, deadline: float) -> None:
        """Send a request; a dead process is noticed by `receive`. Raises TimeoutError at the deadline."""
        self._connection.settimeout(_seconds_left(deadline))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(frame)

    def _read(self, num_bytes: int, deadline: float) -> bytes | None:
        self._connection.settimeout(_seconds_left(deadline))
        try:
            return read_exactly(self._connection, num_bytes)
        except ConnectionResetError:
            return None

    def kill(self) -> None:
        """End the process and everything it started; returns when it is gone."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def release(self) -> None:
        """Kill the process and give back its file descriptors."""
        self.kill()
        self._connection.close()
        self._stderr.close()
        with contextlib.suppress(OSError):
            os.close(self._lifeline)
        self._lifeline = -1

    def last_words(self) -> str:
        """Say how a dead process ended, for an error message."""
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read(1 << 16).decode(errors="replace").strip().splitlines()
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{ending}: {lines[-1]}" if lines else ending


class WorkerPool:
    """Runs `module:function` on JSON payloads in up to `num_workers` processes, started when first needed.

    Safe to call from several threads. A call that passes `timeout_seconds` loses its worker and is tried once more
    with no other call of the pool running, because wall-clock limits follow the machine's load; only then is the
    timeout believed. A call whose worker died is tried once more on a fresh one.
    """

    def __init__(
        self,
        target: str,
        *,
        num_workers: int,
        timeout_seconds: float,
        memory_bytes: int,
        recycle_bytes: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a pool; starts no process.

        Args:
            target: `module:function`; the function takes and returns what JSON can hold.
            num_workers: Processes at the same time.
            timeout_seconds: Limit of one call, wall clock, loading of the function not counted.
            memory_bytes: Address space of one process; 0 means no limit.
            recycle_bytes: A worker that holds more resident memory than this is replaced after the call.
            environment: Variables that the processes get beside the parent's.
        """
        if num_workers < 1:
            raise ScorerError(f"a worker pool needs at least one worker, got {num_workers}")
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._recycle_bytes = recycle_bytes
        self._environment = environment or {}
        self._turns = Turns(num_workers)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False
        self._start_failure: str | None = None

    def check(self) -> None:
        """Start one worker if there is none, so that a function that cannot be loaded is known now.

        Raises:
            ScorerError: Workers cannot start, or the pool is closed.
        """
        worker = self._take()
        self._put_back(worker, Reply())

    def call(self, payload: Any) -> Any:
        """Return the function's result for the payload.

        Raises:
            WorkerTimeout: The limit was passed, also when tried alone.
            WorkerDied: Two workers died of it.
            FunctionError: The function raised.
            ScorerError: Workers cannot start, or the pool is closed.
        """
        frame = pack(payload)
        try:
            with self._turns.together():
                return self._attempt(frame)
        except TimeoutError:
            with self._turns.alone():
                try:
                    return self._attempt(frame)
                except TimeoutError:
                    raise WorkerTimeout(f"{self._target} took longer than {self._timeout_seconds:g} s") from None

    def close(self) -> None:
        """Kill every worker, also those in the middle of a call; later calls raise ScorerError."""
        with self._lock:
            self._closed = True
            workers, idle, self._idle = list(self._all), self._idle, []
        for worker in workers:
            worker.kill()
        for worker in idle:  # the others are released by the threads that are waiting for them
            self._discard(worker)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempt(self, frame: bytes) -> Any:
        """One try, or two if the worker dies; TimeoutError if the limit passes."""
        ending = ""
        for _ in range(2):
            worker = self._take()
            try:
                reply = self._exchange(worker, frame)
            except BaseException:
                self._discard(worker)
                raise
            if reply is not None:
                self._put_back(worker, reply)
                if reply.error is not None:
                    raise FunctionError(f"{self._target} failed: {reply.error}")
                return msgspec.json.decode(reply.result)
            ending = worker.last_words() if not self._closed else "closed"
            self._discard(worker)
        raise WorkerDied(f"{self._target} died twice on the same item ({ending})")

    def _exchange(self, worker: _Worker, frame: bytes) -> Reply | None:
        deadline = time.monotonic() + self._timeout_seconds
        worker.send(frame, deadline)
        return worker.receive(deadline)

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise ScorerError(f"the worker pool for {self._target} is closed")
            if self._start_failure is not None:
                raise ScorerError(self._start_failure)
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> _Worker:
        """Start a worker and wait until it has loaded the function; a failure is final for the pool."""
        worker = _Worker(self._target, self._memory_bytes, self._environment)
        with self._lock:
            self._all.add(worker)
            closed = self._closed
        if closed:
            self._discard(worker)
            raise ScorerError(f"the worker pool for {self._target} is closed")
        try:
            reply = worker.receive(time.monotonic() + START_SECONDS)
        except TimeoutError:
            reply = Reply(error=f"not ready after {START_SECONDS:g} s")
        except BaseException:
            self._discard(worker)
            raise
        if reply is not None and reply.error is None:
            return worker
        reason = worker.last_words() if reply is None else str(reply.error)
        self._discard(worker)
        with self._lock:
            if self._closed:
                raise ScorerError(f"the worker pool for {self._target} is closed")
            self._start_failure = f"cannot start a scorer process for {self._target}: {reason}"
        raise ScorerError(self._start_failure)

    def _put_back(self, worker: _Worker, reply: Reply) -> None:
        if self._recycle_bytes is not None and reply.rss_bytes > self._recycle_bytes:
            self._discard(worker)
            return
        with self._lock:
            if not self._closed:
                self._idle.append(worker)

    def _discard(self, worker: _Worker) -> None:
        if self._forget(worker):
            worker.release()

    def _forget(self, worker: _Worker) -> bool:
        """Return True for the one caller that has to release the worker."""
        with self._lock:
            if worker not in self._all:
                return False
            self._all.remove(worker)
            return True


def _seconds_left(deadline: float) -> float:
    """Return the time until the deadline; raises TimeoutError if it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _child_environment() -> dict[str, str]:
    """The parent's environment and import path, one thread per process, and hash order that repeats."""
    environment = dict(os.environ, PYTHONHASHSEED="0")
    environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    for variable in _THREAD_VARIABLES:
        environment[variable] = "1"
    return environment
