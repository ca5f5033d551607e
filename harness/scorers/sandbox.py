"""Starts sandboxed processes and talks to them. What runs inside is in `sandbox_child.py`; what it means, `program.py`.

Two modes: `bubblewrap` (namespaces and kernel limits) and `process` (kernel limits only, an explicit weaker choice).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import SandboxError
from harness.scorers.sandbox_command import LIMITS, Mode, sandbox_command
from harness.scorers.sandbox_frames import FRAME, pack_frame, widen_pipe, write_all

START_SECONDS = 120.0
REPLY_MARGIN_SECONDS = 60.0
STARVED_FACTOR = 5
"""As in `sandbox_child`."""
PROGRAM_MODULES = ("sandbox_child", "sandbox_filter", "sandbox_frames", "sandbox_program")
"""Modules of this package that the processes which run programs can see."""


class ProcessEndedError(Exception):
    """The sandboxed process ended without a reply. Internal: callers retry or make it a verdict or SandboxError."""


class ProcessHungError(Exception):
    """No reply in time. Internal, as above."""


@dataclass(frozen=True)
class ProgramRequest:
    """One run of one program."""

    code: str
    entry_point: str
    inputs: bytes
    """Pickled list of argument lists."""
    iterate: bool
    """Whether an iterator that is returned counts by its elements."""
    threshold: int
    """Larger outputs come back as digests (bytes of encoding)."""
    input_cpu: float
    """CPU seconds one input may take."""
    program_cpu: float
    """CPU seconds of the whole run."""


@dataclass(frozen=True)
class ProgramResult:
    """How a run ended, and the records it wrote, unread."""

    reason: Literal["ended", "output", "input_cpu", "program_cpu", "idle", "setup"]
    code: int | None
    """Exit code, negative for a signal; None where the sandbox killed it."""
    output: bytes
    error: str | None = None
    """What the sandbox could not do, where reason is `setup`."""


class SandboxProcess:
    """One sandboxed process and the pipes to it. Not thread-safe: a worker thread owns it while it is in use."""

    def __init__(self, mode: Mode, module: str, modules: tuple[str, ...]) -> None:
        command = sandbox_command(mode, module, modules)
        self._mode = mode
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}  # noqa: S108
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**environment, **threads},
            cwd="/",
            start_new_session=True,  # away from the terminal and its Ctrl-C, and one group to kill
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            widen_pipe(pipe.fileno())
        self._await_ready()

    def _await_ready(self) -> None:
        try:
            header, _ = self.receive(START_SECONDS)
        except (ProcessEndedError, ProcessHungError) as error:
            header = {"ready": False, "error": str(error)}
        if not header["ready"]:
            why = self._why(header["error"])
            self.close()
            raise SandboxError(why)

    def _why(self, error: str) -> str:
        self._errors.seek(0)
        lines = self._errors.read(10_000).decode(errors="replace").strip().splitlines()
        said = " ".join([*lines[-1:], error] if lines else [error])
        if self._mode == "process":
            hint = "as root, Python and its packages must be readable by other users; or use --sandbox=bubblewrap"
            return f"the process sandbox does not start ({said}): {hint}"
        if any(line.startswith("bwrap:") for line in lines):
            hint = (
                "let it create namespaces (container: run with --privileged or --cap-add SYS_ADMIN; "
                "Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0), or choose the weaker --sandbox=process"
            )
            return f"bubblewrap is installed but not allowed to work here ({said}): {hint}"
        return f"the sandbox does not start ({said})"

    def send(self, header: dict[str, Any], blobs: list[bytes]) -> None:
        """Send one request; raises ProcessEndedError if nobody reads it."""
        assert self._process.stdin is not None
        try:
            for part in pack_frame({**header, "blobs": [len(blob) for blob in blobs]}, blobs):
                write_all(self._process.stdin.fileno(), part)
        except BrokenPipeError:
            raise ProcessEndedError("the sandboxed process has ended") from None

    def receive(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Return the next reply and all output chunks before it."""
        deadline = time.monotonic() + seconds
        chunks: list[bytes] = []
        while True:
            header_size, body_size = FRAME.unpack(self._read(FRAME.size, deadline))
            header = self._read(header_size, deadline)
            chunks.append(self._read(body_size, deadline))
            if header:
                return json.loads(header), b"".join(chunks)

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        parts = []
        while size:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise ProcessHungError("no reply in time")
            part = os.read(fd, min(size, 1 << 20))
            if not part:
                raise ProcessEndedError("it ended without a reply")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """End the process and all in its sandbox."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()  # it leaves by itself when it sees this, unless it hangs
        self._errors.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def kill(self) -> None:
        """Kill the whole group: with bwrap alone dead, what it started would live on."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Zygote:
    """Runs programs, one at a time, each in a fork of one warm sandboxed process."""

    def __init__(self, mode: Mode) -> None:
        self._process = SandboxProcess(mode, "sandbox_child", PROGRAM_MODULES)

    def run(self, request: ProgramRequest) -> ProgramResult:
        """Run a program to its end or limit; raises ProcessEndedError or ProcessHungError if the sandbox fails."""
        header = {
            "entry_point": request.entry_point,
            "iterate": request.iterate,
            "threshold": request.threshold,
            "input_cpu": request.input_cpu,
            "program_cpu": request.program_cpu,
        }
        self._process.send(header, [request.code.encode("utf-8", "surrogatepass"), request.inputs])
        longest = STARVED_FACTOR * request.program_cpu + LIMITS["idle_seconds"] + REPLY_MARGIN_SECONDS
        reply, output = self._process.receive(longest)
        return ProgramResult(reply["reason"], reply["code"], output, reply.get("error"))

    def close(self) -> None:
        """Stop the sandbox."""
        self._process.close()


def check_sandbox(mode: Mode) -> str:
    """Start a sandbox, run a program in it, and describe it in one line; raises SandboxError with what to do."""
    zygote = Zygote(mode)
    inputs = b"\x80\x04]\x94]\x94a."  # pickle of [[]]: one call without arguments
    request = ProgramRequest("def f():\n    return 1", "f", inputs, False, 1 << 18, 10.0, 10.0)
    try:
        result = zygote.run(request)
    except (ProcessEndedError, ProcessHungError) as error:
        raise SandboxError(f"the {mode} sandbox started but could not run a program ({error})") from None
    finally:
        zygote.close()
    if result.reason != "ended" or result.code != 0:
        raise SandboxError(f"the {mode} sandbox started but its first program ended in {result.reason} {result.code}")
    user = "as root, programs run under their own user ids" if os.getuid() == 0 else "as an ordinary user"
    if mode == "process":
        return f"process: kernel limits only, no namespaces ({user}); weaker than bubblewrap"
    version = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{version}: no network, read-only system, private processes and /tmp, kernel limits ({user})"
