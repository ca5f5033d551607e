"""Scores the final answer of a mathematical solution: extraction, then text and numbers, then math-verify in a worker.

Protocol, limits and agreement with published labels: docs/scoring.md.
"""

from importlib.metadata import version
from typing import Any

from harness.errors import DataError
from harness.schema import Example, Generation, Score, ScorerOptions
from harness.scorers.answer_match import match_quickly
from harness.scorers.answer_text import Fallback, extract_answer
from harness.scorers.worker import WorkerPool, WorkerTimeout

PROTOCOL = 2
"""Raised whenever a verdict may change."""

ANSWER_LIMIT = 1000
"""Longest answer in characters that is judged; a longer one is wrong."""

TIMEOUT_SECONDS = 5.0
MEMORY_BYTES = 4 << 30
RECYCLE_BYTES = 1 << 30
"""sympy keeps what it has computed; a worker above this is replaced."""


class MathAnswerScorer:
    """Equality of the final answer with the target.

    Reads of an example: `target`, which may list several answers (all are wanted, in any order), and from its metadata
    `tolerance` (absolute) and `relative_tolerance` (a share of the target), numbers, None or absent.
    """

    name = "math"

    def __init__(self, options: ScorerOptions, *, fallback: Fallback = "none") -> None:
        """Prepare the scorer; no process starts before an answer needs computer algebra.

        Args:
            options: How many worker processes may run.
            fallback: `last_number` takes the last number of a text that neither boxes nor states an answer.
        """
        self._fallback: Fallback = fallback
        self.version = (
            f"{PROTOCOL}+math-verify-{version('math-verify')},fallback={fallback},"
            f"limit={ANSWER_LIMIT},timeout={TIMEOUT_SECONDS:g}s,memory={MEMORY_BYTES >> 30}GiB"
        )
        self._pool = WorkerPool(
            "harness.scorers.math_judge:judge",
            num_workers=options.num_workers,
            timeout_seconds=TIMEOUT_SECONDS,
            memory_bytes=MEMORY_BYTES,
            recycle_bytes=RECYCLE_BYTES,
        )

    def check(self) -> None:
        """Nothing to look for: needs no data and no system package."""

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge one generation; a comparison that does not end in time has outcome `timeout`."""
        if example.target is None:
            raise DataError(f"{example.task} {example.example_id} has no target, which the math scorer needs")
        answer = extract_answer(_encodable(generation.text), self._fallback)
        common: dict[str, Any] = {"key": generation.key, "scorer": f"{self.name}@{self.version}", "answer": answer}
        if answer is None:
            return Score(value=0.0, outcome="no_answer", **common)
        if len(answer) > ANSWER_LIMIT:
            common["answer"] = answer[:ANSWER_LIMIT] + "…"
            detail = f"the answer has {len(answer)} characters, more than the {ANSWER_LIMIT} that are judged"
            return Score(value=0.0, outcome="scored", detail=detail, **common)
        try:
            equal, detail = self._compare(example, answer)
        except WorkerTimeout:
            detail = f"the comparison did not end within {TIMEOUT_SECONDS:g} s, also when tried alone"
            return Score(value=0.0, outcome="timeout", detail=detail, **common)
        return Score(value=float(equal), outcome="scored", detail=detail, **common)

    def _compare(self, example: Example, answer: str) -> tuple[bool, str]:
        """Return the verdict and which step gave it."""
        assert example.target is not None
        limits = {
            "tolerance": example.metadata.get("tolerance"),
            "relative": example.metadata.get("relative_tolerance"),
        }
        verdict = match_quickly(example.target, answer, **limits)
        if verdict is not None:
            return verdict, "settled as text or plain numbers"
        reply = self._pool.call({"target": example.target, "answer": answer, **limits})
        unread = [side for side in ("target", "answer") if not reply[f"{side}_parsed"]]
        return reply["equal"], "settled by math-verify" + (f"; {' and '.join(unread)} not parsed" if unread else "")

    def close(self) -> None:
        """Stop the worker processes."""
        self._pool.close()


def _encodable(text: str) -> str:
    """Return the text with what UTF-8 cannot hold (lone surrogates) replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
