"""The judge: a process that lets EvalPlus extract programs and compare outputs, and never runs generated code.

It replays recorded outputs through EvalPlus's own checker, so right and wrong are EvalPlus's: same comparison, same
tolerance, same special cases. Its inputs are untrusted bytes, hence the narrow decoder and a process that may die.
"""

import json
import pickle
import re
import resource
import struct
import sys
import types
import warnings
from typing import Any

from harness.scorers.program_extract import extract, load_sanitizer
from harness.scorers.program_records import Opaque, Records, is_hollow
from harness.scorers.sandbox_child import drop_privileges
from harness.scorers.sandbox_frames import pack_frame, read_frame, write_all

MEMORY_BYTES = 8 << 30
REPLAY_SECONDS = 20.0
"""Never reached: replaying one output takes microseconds. EvalPlus's checker wants a limit per input."""


class Expected:
    """Expected outputs, decoded as EvalPlus asks for them."""

    def __init__(self, records: Records, only_not_none: bool) -> None:
        self.records = records
        self.only_not_none = only_not_none

    def __getitem__(self, index: int) -> Any:
        value = self.records.value(index)
        return value is not None if self.only_not_none else value


# --- comparing -------------------------------------------------------------------------------------------------------


class _Box:
    """Stands in for the shared counters that EvalPlus reports through."""

    def __init__(self, value: int) -> None:
        self.value = value


def _evalplus() -> Any:
    """Import EvalPlus's checker, without the guards it needs only because it runs programs itself."""
    import contextlib

    import evalplus.eval as checker

    checker.reliability_guard = lambda **_: None
    checker.create_tempdir = contextlib.nullcontext
    checker.query_maximum_memory_bytes = lambda: None
    return checker


def _replay(header: dict[str, Any], inputs: list[Any], expected: Expected, outputs: Records) -> int | None:
    """Run EvalPlus's checker over the recorded outputs; return the index of the first input it fails, or None."""
    checker = _evalplus()
    calls: list[int] = []

    def solution(*_args: Any) -> Any:
        calls.append(len(calls))
        output = outputs.value(calls[-1])
        return Opaque() if is_hollow(output) and not is_hollow(expected[calls[-1]]) else output

    loader = types.ModuleType("replay")
    loader.solution = solution  # type: ignore[attr-defined]
    sys.modules["replay"] = loader
    stat = _Box(-1)
    checker.unsafe_execute(
        header["dataset"],
        header["entry_point"],
        f"from replay import solution as {header['entry_point']}",
        inputs,
        expected,
        [REPLAY_SECONDS] * len(inputs),
        header["atol"],
        True,
        stat,
        [False] * len(inputs),
        _Box(0),
    )
    # Its list of passed inputs is not consulted: 0.3.1 never fills it in for find_zero (HumanEval/32), and so fails
    # every solution of that problem. With fast_check the status alone says whether all inputs passed.
    return None if stat.value == checker._SUCCESS else calls[-1]


def check(header: dict[str, Any], blobs: list[bytes]) -> dict[str, Any]:
    """Judge recorded outputs against expected ones.

    Verdicts: pass; fail, missing (no entry point); short (all right as far as it went); large (needs full outputs).
    """
    from evalplus.eval import MBPP_OUTPUT_NOT_NONE_TASKS

    inputs = pickle.loads(blobs[0])  # noqa: S301 - made by `prepare` below
    reference, outputs = Records(blobs[1]), Records(blobs[2])
    if outputs.kind(0) == b"M":
        return {"verdict": "missing"}
    if outputs.kind(0) == b"L":
        return {"verdict": "fail", "reason": f"loading it raised {_name(outputs.payload(0))}"}
    only_not_none = header["dataset"] == "mbpp" and header["entry_point"] in MBPP_OUTPUT_NOT_NONE_TASKS
    index = _replay(header, inputs, Expected(reference, only_not_none), outputs)
    if index is None:
        return {"verdict": "pass"} if inputs or outputs.complete else {"verdict": "short", "index": 0}
    kind = outputs.kind(index)
    if kind == b"":
        return {"verdict": "short", "index": index}
    if kind == b"E":
        return {"verdict": "fail", "index": index, "reason": f"raised {_name(outputs.payload(index))}"}
    if b"D" in (kind, reference.kind(index)):
        return {"verdict": "large", "index": index, "reason": "wrong output"}
    return {"verdict": "fail", "index": index, "reason": "wrong output"}


def _name(payload: bytes) -> str:
    """Return an exception's name as far as it is one: programs choose it."""
    return re.sub(r"\W", "?", payload[:60].decode("ascii", "replace"), flags=re.ASCII)


def examine(_header: dict[str, Any], blobs: list[bytes]) -> dict[str, Any]:
    """Look at a reference's own run: is it whole, and what did it cost."""
    records = Records(blobs[0])
    failed = [index for index in range(len(records.heads)) if records.kind(index) not in (b"V", b"D", b"U")]
    if not records.complete or failed:
        return {"complete": False, "count": len(records.heads)}
    slowest, total = struct.unpack(">dd", records.tail)
    return {"complete": True, "count": len(records.heads), "slowest": slowest, "total": total}


# --- inputs ----------------------------------------------------------------------------------------------------------


def prepare(header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Turn JSON inputs into the values the programs are called with; return both sets pickled."""
    from evalplus.data.mbpp import mbpp_deserialize_inputs
    from evalplus.eval import MBPP_OUTPUT_SET_EQ_TASKS

    pickled = []
    counts = []
    for blob in blobs:
        inputs = json.loads(blob)
        if header["dataset"] == "mbpp":
            inputs = mbpp_deserialize_inputs(header["task_id"], inputs)
        inputs = list(inputs)  # one MBPP+ problem states "no inputs" as an empty mapping
        counts.append(len(inputs))
        pickled.append(pickle.dumps(inputs, 5))
    iterate = header["dataset"] == "mbpp" and header["entry_point"] in MBPP_OUTPUT_SET_EQ_TASKS
    return {"counts": counts, "iterate": iterate, "blobs": [len(blob) for blob in pickled]}, pickled


# --- serving ---------------------------------------------------------------------------------------------------------


def _answer(header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    if header["job"] == "prepare":
        return prepare(header, blobs)
    job = {"check": check, "examine": examine, "extract": extract}[header["job"]]
    return job(header, blobs), []


def main(config: dict[str, Any]) -> None:
    """Answer one request after the other until the host closes the pipe."""
    warnings.simplefilter("ignore")
    load_sanitizer()
    _evalplus()
    drop_privileges(config["uid"] if config["namespaces"] else None)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for piece in pack_frame({"ready": True}, []):
        write_all(1, piece)
    while True:
        try:
            header, blobs = read_frame(0)
        except EOFError:
            return
        for piece in pack_frame(*_answer(header, blobs)):
            write_all(1, piece)
