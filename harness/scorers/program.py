"""Scores generated programs: EvalPlus's verdict (HumanEval+, MBPP+ and the lab's tasks) on outputs made in the sandbox.

The generated program never shares a process with the expected outputs: one sandbox runs it and records what it
returns, another process, which runs no generated code, compares (`program_judge.py`).
"""

import importlib.metadata
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import SandboxError, ScorerError
from harness.schema import Example, Generation, Outcome, Score, ScorerOptions
from harness.scorers.expected import ExpectedRun
from harness.scorers.program_problem import (
    DIGEST_BYTES,
    InputSet,
    Problem,
    Recent,
    prepare_inputs,
    read_problem,
    run_reference,
)
from harness.scorers.sandbox import ProgramRequest, ProgramResult, check_sandbox
from harness.scorers.sandbox_command import LIMITS
from harness.scorers.station import EXTRACT_CPU_SECONDS, Station, StationFailedError
from harness.scorers.turns import Turns

INPUT_CPU_SECONDS = 4.0
"""Least CPU time one input may take (EvalPlus: 1 s of wall-clock time in 0.3.1, 4 s in later versions)."""
PROGRAM_CPU_SECONDS = 60.0
"""Least CPU time a program may take for all base, or all plus, inputs."""
REFERENCE_FACTOR = 4.0
"""A program may take this many times what the reference took, if that is more (as EvalPlus)."""
TEXT_CHARACTERS = 1 << 18
"""Text beyond this is not searched for a program."""
FULL_BYTES = 64 << 20
"""Where digests differ, outputs up to this size are compared as values; larger ones then count as different."""

KEPT_PROBLEMS = 32
"""Problems whose inputs and expected outputs stay in memory."""

_TIME_LIMITS = {
    "input_cpu": "took more CPU time than one input may",
    "program_cpu": "took more CPU time than all inputs together may",
    "idle": "slept or waited for too long",
}


@dataclass(frozen=True)
class Verdict:
    """What one attempt came to."""

    passed: bool
    detail: str
    outcome: Outcome = "scored"
    base_passed: bool = False
    program: str | None = None
    doubtful: bool = False
    """Whether the machine's load or another program may be the cause: it is then tried once more, alone."""


def scorer_version(evalplus_version: str, sandbox: str) -> str:
    """Return everything a verdict depends on beside text and task, in one word."""
    limits = [
        f"cpu{INPUT_CPU_SECONDS:g}s-{PROGRAM_CPU_SECONDS:g}s-x{REFERENCE_FACTOR:g}",
        f"idle{LIMITS['idle_seconds']}s",
        f"mem{LIMITS['memory_bytes'] >> 30}g",
        f"out{LIMITS['output_bytes'] >> 20}m",
        f"proc{LIMITS['processes']}",
        f"text{TEXT_CHARACTERS >> 10}k-{EXTRACT_CPU_SECONDS:g}s",
    ]
    return "+".join([evalplus_version, sandbox, *limits])


class ProgramScorer:
    """Runs programs in sandboxes, `num_workers` at a time, and lets EvalPlus judge."""

    name = "evalplus"

    def __init__(self, options: ScorerOptions) -> None:
        try:
            evalplus_version = importlib.metadata.version("evalplus")
        except importlib.metadata.PackageNotFoundError:
            raise ScorerError("scoring programs needs EvalPlus: pip install evalplus -c constraints.txt") from None
        self.version = scorer_version(evalplus_version, options.sandbox)
        if options.continuation:
            self.version += "+continuation"
        self._options = options
        self._turns = Turns(options.num_workers)
        self._lock = threading.Lock()
        self._stations: list[Station] = []
        self._problems: Recent[Problem] = Recent(KEPT_PROBLEMS)
        self._input_sets: Recent[tuple[InputSet, InputSet]] = Recent(KEPT_PROBLEMS)

    def check(self) -> None:
        """Start a sandbox and run a program in it.

        Raises:
            SandboxError: if programs cannot be run here, saying how they could be.
        """
        check_sandbox(self._options.sandbox)

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge one generation; raises SandboxError, ScorerError or DataError where the program is not to blame."""
        problem = self._problems.get(example.metadata, lambda: read_problem(example))
        text = problem.prompt + generation.text if self._options.continuation else generation.text
        with self._turns.together(), self._station() as station:
            verdict = self._attempt(station, problem, text, last=False)
        if verdict.doubtful:
            with self._turns.alone(), self._station() as station:
                verdict = self._attempt(station, problem, text, last=True)
        return Score(
            key=generation.key,
            value=float(verdict.passed),
            outcome=verdict.outcome,
            answer=verdict.program,
            parts={"base": (float(verdict.base_passed),)},
            detail=verdict.detail,
            scorer=f"{self.name}@{self.version}",
        )

    def close(self) -> None:
        """Stop all sandboxes; a later score starts new ones."""
        with self._lock:
            stations, self._stations = self._stations, []
        for station in stations:
            station.close()

    @contextmanager
    def _station(self) -> Iterator[Station]:
        with self._lock:
            station = self._stations.pop() if self._stations else Station(self._options.sandbox)
        try:
            yield station
        except BaseException:
            station.close()
            raise
        with self._lock:
            self._stations.append(station)

    def _attempt(self, station: Station, problem: Problem, text: str, last: bool) -> Verdict:
        """Extract, run and judge once. `last` says that a failure of the sandbox is now the program's fault."""
        program, base_passed = None, False
        try:
            found = extract_program(station, text, problem.entry_point)
            program = found["program"]
            if program is None:
                return Verdict(False, found["reason"], "no_answer")
            base, plus = self._input_sets.get(problem, lambda: prepare_inputs(station, problem, self.version))
            verdict = judge_program(station, program, base)
            if base_passed := verdict.passed:
                verdict = judge_program(station, program, plus)
            return replace(
                verdict, base_passed=base_passed, program=None if verdict.outcome == "no_answer" else program
            )
        except StationFailedError as error:
            if program is None:
                return Verdict(False, f"no program could be extracted ({error})", "no_answer", doubtful=not last)
            return Verdict(False, f"{error}, twice", "scored", base_passed, program, doubtful=not last)


def extract_program(station: Station, text: str, entry_point: str) -> dict[str, Any]:
    """Return {"program": text} or {"program": None, "reason": ...}."""
    header = {"job": "extract", "entry_point": entry_point, "cpu": EXTRACT_CPU_SECONDS}
    reply, _ = station.ask(header, [text[:TEXT_CHARACTERS].encode("utf-8", "surrogatepass")])
    return reply


def judge_program(station: Station, program: str, inputs: InputSet) -> Verdict:
    """Run a program on one input set and compare what it returned."""
    reply, result = _run_and_compare(station, program, inputs, inputs.expected, DIGEST_BYTES)
    if reply["verdict"] == "large":
        expected = run_reference(station, inputs, FULL_BYTES)
        reply, result = _run_and_compare(station, program, inputs, expected, FULL_BYTES)
    where = f"{inputs.name} input {reply.get('index', 0)}"
    if reply["verdict"] == "pass":
        return Verdict(True, "all inputs pass")
    if reply["verdict"] == "missing":
        return Verdict(False, f"the program does not define {inputs.problem.entry_point}", "no_answer")
    if reply["verdict"] == "short":
        return _cut_short(result, where)
    return Verdict(False, f"{where}: {reply['reason']}" if "index" in reply else reply["reason"])


def _run_and_compare(
    station: Station, program: str, inputs: InputSet, expected: ExpectedRun, threshold: int
) -> tuple[dict[str, Any], ProgramResult]:
    problem = inputs.problem
    result = station.run(
        ProgramRequest(
            code=program,
            entry_point=problem.entry_point,
            inputs=inputs.inputs,
            iterate=inputs.iterate,
            threshold=threshold,
            input_cpu=max(INPUT_CPU_SECONDS, REFERENCE_FACTOR * expected.slowest),
            program_cpu=max(PROGRAM_CPU_SECONDS, REFERENCE_FACTOR * expected.total),
        )
    )
    if not result.output.startswith(b"R"):  # the record written just before a program gets control
        raise SandboxError(f"the sandbox could not set a program up: {result.error or result.reason}")
    header = {"job": "check", "dataset": problem.dataset, "entry_point": problem.entry_point, "atol": problem.atol}
    reply, _ = station.ask(header, [inputs.inputs, expected.records, result.output])
    return reply, result


def _cut_short(result: ProgramResult, where: str) -> Verdict:
    """Return the verdict on a program that was right as far as it went, and did not go all the way."""
    if result.reason in _TIME_LIMITS:
        return Verdict(False, f"{where}: {_TIME_LIMITS[result.reason]}", "timeout", doubtful=True)
    if result.reason == "output":
        return Verdict(False, f"{where}: outputs larger than {LIMITS['output_bytes'] >> 20} MiB in all")
    code = result.code
    if code is None or code >= 0:
        return Verdict(False, f"{where}: the program ended its own process or closed its output")
    if code == -signal.SIGXCPU:
        return Verdict(False, f"{where}: {_TIME_LIMITS['program_cpu']}", "timeout", doubtful=True)
    name = signal.Signals(-code).name
    return Verdict(False, f"{where}: the program was killed by {name}", doubtful=code == -signal.SIGKILL)
