"""A problem as EvalPlus states it, with its inputs decoded and its expected outputs made by the reference solution."""

import hashlib
import json
import platform
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from harness.errors import DataError, SandboxError, ScorerError
from harness.schema import Example
from harness.scorers.expected import Expected, ExpectedRun, read_expected, write_expected
from harness.scorers.sandbox import ProgramRequest
from harness.scorers.station import Station, StationFailedError

REFERENCE_CPU_SECONDS = 300.0
"""CPU time of the reference solution itself."""
DIGEST_BYTES = 1 << 18
"""Outputs whose encoding is larger are compared by digest first."""


Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The last few things made from some object, found again by that object's identity. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._made: OrderedDict[int, tuple[object, Value]] = OrderedDict()

    def get(self, source: object, make: Callable[[], Value]) -> Value:
        """Return what was made from `source`, or make it; two threads may both make it."""
        with self._lock:
            kept = self._made.get(id(source))
            if kept is not None:  # it holds its source, so the id cannot have passed on to another object
                self._made.move_to_end(id(source))
                return kept[1]
        value = make()
        with self._lock:
            self._made[id(source)] = (source, value)
            while len(self._made) > self._size:
                self._made.popitem(last=False)
        return value


@dataclass(frozen=True)
class Problem:
    """What EvalPlus knows about one problem."""

    dataset: str
    task_id: str
    prompt: str
    entry_point: str
    reference: str
    inputs: tuple[bytes, bytes]
    """Base and plus inputs as JSON."""
    atol: float


@dataclass(frozen=True)
class InputSet:
    """Inputs and expected outputs, base or plus, of a problem."""

    name: str
    problem: Problem
    inputs: bytes
    iterate: bool
    expected: ExpectedRun


def read_problem(example: Example) -> Problem:
    """Return the problem an example's metadata describes."""
    fields = example.metadata
    try:
        problem = Problem(
            dataset=fields["dataset"],
            task_id=fields["task_id"],
            prompt=fields["prompt"],
            entry_point=fields["entry_point"],
            reference=fields["prompt"] + fields["canonical_solution"],
            inputs=(json.dumps(fields["base_input"]).encode(), json.dumps(fields["plus_input"]).encode()),
            atol=fields["atol"],
        )
    except KeyError as error:
        raise DataError(f"example {example.example_id} of {example.task} lacks the EvalPlus field {error}") from None
    if not problem.entry_point.isidentifier():
        raise DataError(f"example {example.example_id} of {example.task}: {problem.entry_point!r} is no function name")
    return problem


def problem_key(problem: Problem, version: str) -> str:
    """Return the name under which a problem's expected outputs are cached."""
    parts = [problem.dataset, problem.task_id, problem.entry_point, problem.reference, *map(bytes.hex, problem.inputs)]
    text = json.dumps([*parts, problem.atol, version, platform.python_version(), DIGEST_BYTES])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def prepare_inputs(station: Station, problem: Problem, version: str) -> tuple[InputSet, InputSet]:
    """Decode a problem's inputs and find or compute its expected outputs."""
    header = {"job": "prepare", "dataset": problem.dataset, "task_id": problem.task_id}
    reply, inputs = station.ask({**header, "entry_point": problem.entry_point}, list(problem.inputs))
    empty = ExpectedRun(records=b"", slowest=0.0, total=0.0)
    base = InputSet("base", problem, inputs[0], reply["iterate"], empty)
    plus = InputSet("plus", problem, inputs[1], reply["iterate"], empty)
    key = problem_key(problem, version)
    expected = read_expected(key)
    if expected is None:
        expected = Expected(base=run_reference(station, base), plus=run_reference(station, plus))
        write_expected(key, expected)
    return replace(base, expected=expected.base), replace(plus, expected=expected.plus)


def run_reference(station: Station, inputs: InputSet, threshold: int = DIGEST_BYTES) -> ExpectedRun:
    """Run the reference solution, in the sandbox like any program, and return what it gave."""
    problem = inputs.problem
    limit = REFERENCE_CPU_SECONDS
    request = ProgramRequest(
        problem.reference, problem.entry_point, inputs.inputs, inputs.iterate, threshold, limit, limit
    )
    try:
        result = station.run(request)
        reply, _ = station.ask({"job": "examine"}, [result.output])
    except StationFailedError as error:
        raise SandboxError(f"the reference solution of {problem.task_id} could not be run: {error}") from error
    if not reply["complete"]:
        why = f"{inputs.name} input {reply['count']}, {result.reason}"
        raise ScorerError(f"the reference solution of {problem.task_id} does not run on all its inputs ({why})")
    return ExpectedRun(records=result.output, slowest=reply["slowest"], total=reply["total"])
