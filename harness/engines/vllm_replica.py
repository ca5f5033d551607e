"""The parent side of engine `vllm`: one process that holds a copy of the model, and the connection to it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from harness.engines.vllm_process import GRACE_SECONDS, Job, Message
from harness.errors import EngineError

_CAUSE = re.compile(r"(?:^|\s)((?:\w+\.)*\w*(?:Error|Exception|Interrupt)): (\S.*)$", re.MULTILINE)
_ATTENTION = re.compile(r"Using (\w+) attention backend|KV cache layout for (\w+) backend")
_ECHOES = ("EngineDeadError", "Engine core initialization failed", "WorkerProc initialization failed")
"""What vLLM says of a failure whose cause stands further up."""


class Replica:
    """A process with a copy of the model. Whatever it prints goes to a log, which is kept only if it fails."""

    def __init__(self, name: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Start the process; it says so when it has loaded the model.

        Args:
            name: The checkpoint, for error messages.
            arguments: Those of vllm.LLM.
            environment: Variables that differ from this process's own.
        """
        self._name = name
        self.num_flying = 0
        """Jobs sent and not answered yet."""
        self.loaded: dict[str, Any] | None = None
        """What the child said of the model it loaded."""
        handle, path = tempfile.mkstemp(prefix="harness-vllm-", suffix=".log")
        self.log = Path(path)
        """What the process prints."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "harness.engines.vllm_process", str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                [*command, msgspec.json.encode(arguments).decode()],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # the terminal's Ctrl-C goes to the parent alone
                env={**os.environ, **environment},
            )
        finally:
            theirs.close()
            os.close(handle)
        self.pid = self._process.pid
        """Also the id of its process group."""
        self.connection = Connection(ours.detach())
        self._decoder = msgspec.msgpack.Decoder(Message)

    def send(self, job: Job) -> None:
        """Give the process a job.

        Raises:
            EngineError: if it is dead.
        """
        self.num_flying += 1
        try:
            self.connection.send_bytes(msgspec.msgpack.encode(job))
        except (BrokenPipeError, ConnectionResetError):
            raise self._dead() from None

    def receive(self) -> Message:
        """Return what the process says next.

        Raises:
            EngineError: if it is dead or says that it cannot go on.
        """
        try:
            message = self._decoder.decode(self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            raise self._dead() from None
        if message.failure is not None:
            raise self._failed(message.failure)
        self.num_flying -= len(message.results)
        if message.loaded is not None:
            self.loaded = {**message.loaded, "attention": find_attention(self.log.read_text(errors="replace"))}
        return message

    def close(self, failed: bool = False) -> None:
        """End the process and all that it started; returns when they are gone. The log of one that failed stays."""
        if self.connection.closed:
            return
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            # While it loads it hears nothing.
            self._process.wait(timeout=GRACE_SECONDS if self.loaded and not failed else 0.5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if not failed:
            self.log.unlink(missing_ok=True)

    def _dead(self) -> EngineError:
        """Say how a process ended that said nothing."""
        code = self._process.wait()
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = ", most likely because the machine's memory ran out" if code == -signal.SIGKILL else ""
        return self._failed(f"its process ended with {ending}{hint}")

    def _failed(self, reason: str) -> EngineError:
        self.close(failed=True)
        log = self.log.read_text(errors="replace")
        cause = reason if not any(echo in reason for echo in _ECHOES) else find_cause(log) or reason
        doing = "generating" if self.loaded else "loading"
        return EngineError(f"vLLM failed while {doing} {self._name}: {cause}{advice(cause)} (its log: {self.log})")


def find_cause(log: str) -> str | None:
    """Return the first error in a log of vLLM that is not the echo of another, on one line."""
    for match in _CAUSE.finditer(log):
        if not any(echo in match[0] for echo in _ECHOES):
            return f"{match[1]}: {match[2].strip()}"[:500]
    return None


def find_attention(log: str) -> str | None:
    """Return the attention kernel that vLLM chose; only its log tells."""
    found = _ATTENTION.search(log)
    return found[1] or found[2] if found else None


def advice(cause: str) -> str:
    """Return what to do about well-known causes, empty for others."""
    text = cause.lower()
    if "out of memory" in text or "outofmemory" in text:
        return "; lower engine.gpu_memory or engine.max_batch_size, or raise engine.tensor_parallel"
    if "kv cache" in text or "cache blocks" in text or "gpu memory utilization" in text:
        return "; set engine.max_model_len lower, or engine.gpu_memory to what is free"
    return ""
