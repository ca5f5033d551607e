"""Scores along training, one panel per domain: each point is one checkpoint of a training run."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.schema import Estimate
from harness.study.findings import StudyFindings
from harness.watch import TrajectoryPoint
from reports.figures.content import title_of
from reports.figures.lines import Curve, LineFigure, draw_curves
from reports.figures.style import Missing, Theme, themed
from reports.figures.text import with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@themed
def draw_trajectory(findings: StudyFindings, theme: Theme) -> "Figure | Missing":
    """Draw the score over training steps, one panel per domain and one curve per checkpoint label."""
    panels: dict[str, list[Curve]] = {}
    for label, points in findings.trajectories.items():
        steps = sorted((point for point in points if point.step is not None), key=lambda point: point.step or 0)
        if len(steps) < 2:
            continue
        xs = tuple(float(point.step or 0) for point in steps)
        for domain, tasks in _domain_tasks(findings, steps).items():
            ys = tuple(average_tasks([point.tasks[task] for task in tasks]) for point in steps)
            panels.setdefault(domain, []).append(Curve(label, xs, ys))
    if not panels:
        return Missing("no trajectory has two steps with a number on the study's tasks")
    description = ["Score over training steps by domain"]
    for domain, curves in panels.items():
        for curve in curves:
            ends = f"{with_interval(curve.ys[0])} to {with_interval(curve.ys[-1])}"
            description.append(f"{title_of(findings, curve.label)}, {domain}: {ends} at step {curve.xs[-1]:g}")
    return draw_curves(
        findings, theme, LineFigure("trajectory", description, "training step", "score (points)"), panels
    )


def _domain_tasks(findings: StudyFindings, points: Sequence[TrajectoryPoint]) -> dict[str, list[str]]:
    """Return the tasks that every point has, by domain: a mean over other tasks at other steps would be no curve."""
    suites = {task.task: task.suite for standing in findings.standings for task in standing.tasks}
    suites |= {task.task: task.suite for run in findings.runs for task in run.record.tasks}
    shared = [task for task in suites if all(task in point.tasks for point in points)]
    return {
        suite: [task for task in shared if suites[task] == suite] for suite in {suites[task]: None for task in shared}
    }


def average_tasks(tasks: Sequence[Estimate]) -> Estimate:
    """Estimate the unweighted mean of T tasks measured on independent examples.

    Value: mean of the tasks' values. Standard error: sqrt(Σ se²)/T. Interval: the tasks' intervals joined by the
    square-and-add rule MOVER (Zou & Donner 2008), low = v − sqrt(Σ (v_t − l_t)²)/T, high alike, which is v ± z·se where
    they are symmetric. One task: its own numbers. nan where any task's is.
    """
    if len(tasks) == 1:
        return tasks[0]
    num_tasks = len(tasks)
    value = sum(task.value for task in tasks) / num_tasks
    return Estimate(
        value=value,
        stderr=math.hypot(*(task.stderr for task in tasks)) / num_tasks,
        ci_low=value - math.hypot(*(task.value - task.ci_low for task in tasks)) / num_tasks,
        ci_high=value + math.hypot(*(task.ci_high - task.value for task in tasks)) / num_tasks,
        level=tasks[0].level,
        method="MOVER",
        num_examples=sum(task.num_examples for task in tasks),
        num_clusters=sum(task.num_clusters for task in tasks),
    )
