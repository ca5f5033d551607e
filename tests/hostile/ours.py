"""Runs hostile programs through the program scorer and looks for what they leave behind."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.schema import Example, Generation, RequestKey, Score, ScorerOptions
from harness.scorers.program import ProgramScorer
from harness.scorers.sandbox_child import PR_SET_CHILD_SUBREAPER, prctl
from tests.hostile.corpus import STEP, Hostile, honest
from tests.hostile.outside import WITNESS, settled_descendants, stage, traces


@dataclass(frozen=True)
class Trial:
    """What one program came to."""

    value: float
    detail: str
    outcome: str
    ran_as_written: bool
    """Whether the extracted program is the whole text, so that nothing hostile was stripped before it ran."""
    left: tuple[str, ...]
    """What was found afterwards."""
    seconds: float
    before: float
    """Seconds of an honest program before it."""
    after: float
    """Seconds of the next honest program, a restart of the sandbox included where one was needed."""


class Range:
    """A scorer with one worker, and a stage around it."""

    def __init__(self, fill: Callable[[str], str], home: Path) -> None:
        self.scorer = ProgramScorer(ScorerOptions(num_workers=1))
        self.fill = fill
        self.home = home
        self.honest_seconds()
        self.descendants = settled_descendants()
        self.descriptors = len(os.listdir("/proc/self/fd"))

    def score(self, text: str, row: dict[str, object]) -> Score:
        """Score one text."""
        example = Example(task="hostile", example_id="0", input="", target=None, metadata={**row, "dataset": "lab"})
        generation = Generation(
            key=RequestKey(task="hostile", example_id="0", index=0),
            text=text,
            finish_reason="stop",
            num_prompt_tokens=None,
            num_completion_tokens=None,
            seconds=0.0,
        )
        return self.scorer.score(example, generation)

    def honest_seconds(self) -> float:
        """Time an honest program, which must score 1."""
        started = time.monotonic()
        assert self.score(honest(STEP), STEP).value == 1.0
        return time.monotonic() - started

    def attempt(self, program: Hostile) -> Trial:
        """Run a hostile program between two honest ones."""
        text = self.fill(program.text)
        before = min(self.honest_seconds() for _ in range(3))
        started = time.monotonic()
        score = self.score(text, program.row)
        seconds = time.monotonic() - started
        after = self.honest_seconds()
        return Trial(
            value=score.value,
            detail=str(score.detail),
            outcome=score.outcome,
            ran_as_written=score.answer == text or score.outcome == "no_answer",
            left=tuple(self.left_behind()),
            seconds=seconds,
            before=before,
            after=after,
        )

    def left_behind(self) -> Iterator[str]:
        """Look inside, with a program that passes only if it finds nothing, and outside."""
        witness = self.score(WITNESS, STEP)
        if witness.value != 1.0:
            yield f"inside: {witness.detail}"
        descendants = settled_descendants(self.descendants)
        if descendants != self.descendants:
            yield f"{descendants - self.descendants:+d} processes"
        descriptors = len(os.listdir("/proc/self/fd"))
        if descriptors != self.descriptors:
            yield f"{descriptors - self.descriptors:+d} descriptors"
        yield from sorted(traces(self.home))


@contextlib.contextmanager
def shooting_range() -> Iterator[Range]:
    """Yield a place to run hostile programs; what escapes becomes a child of this process and is counted."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = os.environ.get("HARNESS_SECRET")
    os.environ["HARNESS_SECRET"] = "a secret"
    try:
        with tempfile.TemporaryDirectory() as name, stage(Path(name)) as fill:
            made = Range(fill, Path(name))
            try:
                yield made
            finally:
                made.scorer.close()
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)
        del os.environ["HARNESS_SECRET"]
        if before is not None:
            os.environ["HARNESS_SECRET"] = before
