"""Engine without a model: deterministic text from the request's own seed. For tests, dry runs and fixed-cost timing.

`scripted:mixed` answers, rambles and stays silent in fixed shares; `scripted:replay=FILE` returns the texts of a JSONL
file with fields task, example_id, text (and optionally index, finish_reason).
"""

import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import CheckpointError
from harness.schema import EngineSpec, FinishReason, Generation, Record, Request, RequestKey

KINDS = ("mixed", "replay=FILE", "mixed,seconds=0.01")


class ScriptLine(Record, frozen=True):
    """One line of a replay file."""

    task: str
    example_id: str
    text: str
    index: int = 0
    finish_reason: FinishReason = "stop"


class ScriptedEngine:
    """Implements harness.interfaces.Engine from a script name; see the module's docstring."""

    spec = EngineSpec(name="scripted", dtype="none", device="none")

    def __init__(self, script: str) -> None:
        self._script = script
        name, _, option = script.partition(",")
        self._seconds = self._parse_seconds(option) if option else 0.0
        self._texts: dict[RequestKey, ScriptLine] | None = None
        if name.startswith("replay="):
            self._texts = _read_script(Path(name.removeprefix("replay=")))
        elif name != "mixed":
            raise CheckpointError(f"no script scripted:{script}; known: {', '.join(KINDS)}")

    def _parse_seconds(self, option: str) -> float:
        name, _, value = option.partition("=")
        try:
            if name == "seconds" and 0 <= float(value) < 3600:
                return float(value)
        except ValueError:
            pass
        raise CheckpointError(f"scripted: option {option} is not understood; expected seconds=NUMBER")

    def describe(self) -> dict[str, Any]:
        """Return the script's name."""
        return {"script": self._script}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield one generation per request, in order."""
        for request in requests:
            if self._seconds:
                time.sleep(self._seconds)
            line = self._line(request)
            num_tokens = min(len(line.text.split()), request.sampling.max_tokens)
            yield Generation(
                key=request.key,
                text=line.text,
                finish_reason=line.finish_reason,
                num_prompt_tokens=len(_prompt_text(request).split()),
                num_completion_tokens=num_tokens,
                seconds=self._seconds,
            )

    def close(self) -> None:
        """Nothing to release."""

    def _line(self, request: Request) -> ScriptLine:
        if self._texts is None:
            return _mixed_line(request)
        if request.key not in self._texts:
            raise CheckpointError(f"scripted:{self._script} has no line for {request.key}")
        return self._texts[request.key]


def _mixed_line(request: Request) -> ScriptLine:
    draw = random.Random(request.seed)
    number = draw.randint(0, 99)
    text, finish = draw.choice(
        [
            (f"The answer is \\boxed{{{number}}}.", "stop"),
            (f"So we get {number}.\n#### {number}", "stop"),
            (f"```python\ndef solve():\n    return {number}\n```", "stop"),
            ("Let me think about that " * draw.randint(1, 20), "length"),
            ("", "stop"),
        ]
    )
    return msgspec.convert(
        {"task": request.key.task, "example_id": request.key.example_id, "text": text, "finish_reason": finish},
        ScriptLine,
    )


def _prompt_text(request: Request) -> str:
    return request.prompt or " ".join(message.content for message in request.messages or ())


def _read_script(path: Path) -> dict[RequestKey, ScriptLine]:
    try:
        lines = path.read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=ScriptLine) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"cannot read script {path}: {error}; expected JSONL of task, example_id, text"
        ) from error
    return {RequestKey(task=line.task, example_id=line.example_id, index=line.index): line for line in found}
