"""The tables of a trajectory: one row a checkpoint, as many tasks side by side as fit."""

import math
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from harness.cli.table import numbers_table, stdout_console
from harness.schema import Estimate
from harness.watch import Trajectory, TrajectoryPoint

STEP_WIDTH = 16
"""Where checkpoints are called longer than this, their names are folded."""


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
    for table in trajectory_tables(points, tasks, console):
        console.print(table)
    console.print(f"trajectory: {trajectory.path}", markup=False, highlight=False, soft_wrap=True)
    return not settings.issuperset(point.settings for point in trajectory.points)


def describe_point(point: TrajectoryPoint) -> str:
    """Return a point's scores as one line."""
    scores = ", ".join(f"{task} {_interval(score)}" for task, score in point.tasks.items())
    return f"{point.checkpoint}: {scores}" + (f"; gate: {point.gate}" if point.gate else "")


def trajectory_tables(points: list[TrajectoryPoint], tasks: list[str], console: Console) -> Iterator[Table]:
    """Yield tables of all tasks in their order, each as wide as the console lets it be."""
    while tasks:
        count = len(tasks)
        table = _scores_table(points, tasks)
        while count > 1 and _width(table, console) > console.width:
            count -= 1
            table = _scores_table(points, tasks[:count])
        yield table
        tasks = tasks[count:]


def _width(table: Table, console: Console) -> int:
    """Return the columns that a table takes where it has all it wants."""
    return Measurement.get(console, console.options.update(width=100_000), table).maximum


def _scores_table(points: list[TrajectoryPoint], tasks: list[str]) -> Table:
    """Return a table whose last columns are the highest share over its tasks, so that none hides behind a mean."""
    has_gate = any(point.gate for point in points)
    columns = (*map(escape, tasks), "no\nanswer", "truncated", *(["gate"] if has_gate else []))
    table = numbers_table(["step"], columns)
    table.columns[0].justify, table.columns[0].min_width, table.columns[0].max_width = "right", 4, STEP_WIDTH
    for point in points:
        name = point.checkpoint if point.step is None else str(point.step)
        scores = [_interval(point.tasks[task]) if task in point.tasks else "" for task in tasks]
        gate = [point.gate or ""] if has_gate else []
        table.add_row(escape(name), *scores, _most(point.no_answer, tasks), _most(point.truncated, tasks), *gate)
    return table


def _most(shares: dict[str, float], tasks: Iterable[str]) -> str:
    measured = [shares[task] for task in tasks if task in shares]
    if not measured or any(math.isnan(share) for share in measured):
        return "?"
    return "≤ " * (len(measured) > 1) + f"{max(measured):.0%}"


def _interval(score: Estimate) -> str:
    return f"{100 * score.value:.1f} ({100 * score.ci_low:.1f}–{100 * score.ci_high:.1f})"
