"""A place where one program at a time is run and judged: a warm sandbox and a judge, both started when first needed.

Knows how to run and compare; what the results mean for a score is decided in `program.py`.
"""

from typing import Any

from harness.scorers.sandbox import (
    PROGRAM_MODULES,
    ProcessEndedError,
    ProcessHungError,
    ProgramRequest,
    ProgramResult,
    SandboxProcess,
    Zygote,
)
from harness.scorers.sandbox_command import Mode

JUDGE_SECONDS = 60.0
"""Wall-clock backstop of one answer of the judge."""
EXTRACT_CPU_SECONDS = 10.0
"""CPU time for finding the program in a text."""

_JUDGE_MODULES = ("program_judge", "program_extract", "program_records", *PROGRAM_MODULES)


class StationFailedError(Exception):
    """The sandbox or the judge died or hung at this request; the next one gets a new process."""


class Station:
    """A sandbox and a judge. Not thread-safe: one thread uses it at a time."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._zygote: Zygote | None = None
        self._judge: SandboxProcess | None = None

    def run(self, request: ProgramRequest) -> ProgramResult:
        """Run a program; raises StationFailedError if it took the sandbox down with it."""
        if self._zygote is None:
            self._zygote = Zygote(self._mode)
        try:
            return self._zygote.run(request)
        except (ProcessEndedError, ProcessHungError) as error:
            self._zygote.close()
            self._zygote = None
            raise StationFailedError(f"the sandbox failed: {error}") from error

    def ask(self, header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Put a question to the judge; raises StationFailedError if it has no answer."""
        if self._judge is None:
            self._judge = SandboxProcess(self._mode, "program_judge", _JUDGE_MODULES)
        try:
            self._judge.send(header, blobs)
            reply, body = self._judge.receive(JUDGE_SECONDS)
        except (ProcessEndedError, ProcessHungError) as error:
            self._judge.close()
            self._judge = None
            raise StationFailedError(f"the judge failed: {error}") from error
        parts, start = [], 0
        for size in reply.get("blobs", ()):
            parts.append(body[start : start + size])
            start += size
        return reply, parts

    def close(self) -> None:
        """Stop both processes."""
        for process in (self._zygote, self._judge):
            if process is not None:
                process.close()
        self._zygote = self._judge = None
