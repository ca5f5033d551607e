"""The tables of a trajectory: one row a checkpoint, a few tasks side by side."""

import math
from collections.abc import Iterable

from rich.table import Table

from harness.cli.table import stdout_console
from harness.schema import Estimate
from harness.watch import Trajectory, TrajectoryPoint

TASKS_PER_TABLE = 3
"""Columns of scores that fit 100 characters; more tasks take more tables."""


def print_trajectory(trajectory: Trajectory, settings: set[str]) -> bool:
    """Print the points that were measured under the given settings; say whether there are others.

    Where no checkpoint is left to say what the settings are, the last point's are taken.
    """
    settings = settings or {point.settings for point in trajectory.points[-1:]}
    points = trajectory.latest(settings)
    if not points:
        return False
    console = stdout_console()
    tasks = list(dict.fromkeys(task for point in points for task in point.tasks))
    for start in range(0, len(tasks), TASKS_PER_TABLE):
        console.print(_scores_table(points, tasks[start : start + TASKS_PER_TABLE]))
    console.print(f"trajectory: {trajectory.path}", markup=False, highlight=False, soft_wrap=True)
    return not settings.issuperset(point.settings for point in trajectory.points)


def describe_point(point: TrajectoryPoint) -> str:
    """Return a point's scores as one line."""
    scores = ", ".join(f"{task} {_interval(score)}" for task, score in point.tasks.items())
    return f"{point.checkpoint}: {scores}" + (f"; gate: {point.gate}" if point.gate else "")


def _scores_table(points: list[TrajectoryPoint], tasks: list[str]) -> Table:
    """Return a table whose last columns are the highest share over its tasks, so that none hides behind a mean."""
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("step", justify="right", no_wrap=True)
    has_gate = any(point.gate for point in points)
    for name in (*tasks, "no answer", "truncated", *(["gate"] if has_gate else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points:
        name = point.checkpoint if point.step is None else str(point.step)
        scores = [_interval(point.tasks[task]) if task in point.tasks else "" for task in tasks]
        gate = [point.gate or ""] if has_gate else []
        table.add_row(name, *scores, _most(point.no_answer, tasks), _most(point.truncated, tasks), *gate)
    return table


def _most(shares: dict[str, float], tasks: Iterable[str]) -> str:
    measured = [shares[task] for task in tasks if task in shares]
    return "≤ " * (len(measured) > 1) + f"{max(measured, default=math.nan):.0%}"


def _interval(score: Estimate) -> str:
    return f"{100 * score.value:.1f} ({100 * score.ci_low:.1f} – {100 * score.ci_high:.1f})"
