"""Progress bars on a terminal: a line of 80 columns a task: rate, running score, time left. Silent elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harness.judging.bench import Listener
from harness.judging.budget import CallEstimate, Confirm
from harness.judging.records import Verdict
from harness.runner import Progress as RunProgress
from harness.schema import Generation, Score

_SHOWN: list[Progress] = []
"""Bars on the terminal now: whoever asks a person something stops them for so long."""


@dataclass
class _Line:
    bar: TaskID
    num_scored: int
    score_sum: float


class TerminalProgress(RunProgress):
    """Draws on stderr while a run goes on; used as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._lines: dict[str, _Line] = {}
        self._bars = Progress(
            # 80 columns in all: names of up to 14 characters, counts of up to 5 digits
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>7}"),
            TextColumn("score {task.fields[score]:>5} ({task.fields[scored]} scored)"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console or Console(stderr=True),
            refresh_per_second=4,
        )

    def __enter__(self) -> "TerminalProgress":
        _SHOWN.append(self._bars)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _SHOWN.remove(self._bars)
        self._bars.stop()

    def start(self, task: str, num_planned: int, num_generated: int, num_scored: int, score_sum: float) -> None:
        """Add a task's line; work of earlier sessions counts as done, not as speed."""
        bar = self._bars.add_task(
            task, total=num_planned, completed=num_generated, rate="", score="", scored=num_scored, start=False
        )
        self._lines[task] = _Line(bar=bar, num_scored=num_scored, score_sum=score_sum)
        self._draw_score(self._lines[task])

    def generated(self, generation: Generation) -> None:
        """Move the bar."""
        line = self._lines[generation.key.task]
        task = self._bars.tasks[line.bar]
        if not task.started:
            self._bars.start_task(line.bar)
        self._bars.update(line.bar, advance=1, rate=_rate(task.speed))

    def scored(self, score: Score) -> None:
        """Update the running score."""
        line = self._lines[score.key.task]
        line.num_scored += 1
        line.score_sum += score.value
        self._draw_score(line)

    def _draw_score(self, line: _Line) -> None:
        running = f"{100 * line.score_sum / line.num_scored:.1f}" if line.num_scored else "–"
        self._bars.update(line.bar, score=running, scored=line.num_scored)


def _rate(speed: float | None) -> str:
    if not speed:
        return ""
    return f"{speed:.1f}/s" if speed < 1000 else f"{speed:.0f}/s"


@contextmanager
def show_steps() -> Iterator[Callable[[str], None]]:
    """Yield what to call at each step of longer work: a person watching sees its name and the time so far."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        line = progress.add_task("")
        yield lambda step: progress.update(line, description=step)


class TerminalVerdicts(Listener):
    """Draws on stderr how many of a judge's verdicts are there; used as a context manager."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=Console(stderr=True),
        )

    def __enter__(self) -> "TerminalVerdicts":
        _SHOWN.append(self._bars)
        return self

    def __exit__(self, *_: object) -> None:
        _SHOWN.remove(self._bars)
        self._bars.stop()

    def start(self, num_questions: int, num_stored: int) -> None:
        """Add a line; verdicts that are stored count as done, not as speed."""
        self._bars.start()  # only now: before, a person may be asked about the cost
        self._line = self._bars.add_task("verdicts", total=num_questions, completed=num_stored)

    def verdict(self, verdict: Verdict) -> None:
        """Move the bar."""
        self._bars.update(self._line, advance=1)


def show_verdicts() -> AbstractContextManager[Listener]:
    """Return a bar of verdicts where a person watches, silence elsewhere."""
    return TerminalVerdicts() if sys.stderr.isatty() else nullcontext(Listener())


def confirm_calls() -> Confirm | None:
    """Return what asks the person at the terminal about the cost of judging; None where no person is."""
    return _confirm if sys.stdin.isatty() and sys.stderr.isatty() else None


def _confirm(estimate: CallEstimate) -> bool:
    shown = [bars for bars in _SHOWN if bars.live.is_started]
    for bars in shown:  # a moving bar would write over the question
        bars.stop()
    try:
        return click.confirm(f"{estimate}. Go ahead?", err=True)
    finally:
        for bars in shown:
            bars.start()


def show_progress() -> AbstractContextManager[RunProgress]:
    """Return progress bars where a person watches, silence where the output goes to a file or a pipe."""
    return TerminalProgress() if sys.stderr.isatty() else nullcontext(RunProgress())
