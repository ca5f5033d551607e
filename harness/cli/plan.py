"""`harness plan`: how many examples and generations a comparison needs to see a difference."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from harness.cli.options import split_names, task_options
from harness.cli.table import stdout_console
from harness.errors import EXIT_OK, UsageError
from harness.findings import AveragePlan, DesignPoint, SizingReport, TaskPlan
from harness.identity import MUST_AGREE, differing_task_fields
from harness.pairing import (
    LabelVerdicts,
    PairedTask,
    check_comparable,
    describe_difference,
    load_label,
    pair_tasks,
)
from harness.sizing import (
    KS,
    MOST_GENERATIONS,
    NO_SPLIT,
    Target,
    TaskVariance,
    plan_sizes,
    variance_of_one,
    variance_of_pair,
    worst_variance,
)
from harness.store import encode_pretty
from harness.verdicts import TaskVerdicts
from tasks.registry import TASKS, select_tasks


@click.command("plan")
@click.option("--mde", type=float, required=True, metavar="POINTS", help="Difference that must be seen, in points.")
@task_options
@click.option(
    "--pilot",
    metavar="RUN",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Run whose variance is planned with: one, or twice for a base and a candidate. A run directory or a label's "
    "folder.",
)
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance of seeing it.")
@click.option("--level", type=float, default=0.95, show_default=True, help="1 − significance level, two-sided.")
@click.option(
    "--correlation",
    type=float,
    default=0.5,
    show_default=True,
    help="Assumed between the examples' scores of the two checkpoints, where no two pilots show it.",
)
@click.option("--allow-incomplete", is_flag=True, help="Leave out a pilot's examples whose requests ended in error.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON instead of a table.")
def command(**flags: Any) -> int:
    """Say what a comparison can see, and how many examples and generations it takes to see --mde.

    \b
    harness plan --mde 3 --task gsm8k,math500
    harness plan --mde 3 --pilot runs/lab-base
    harness plan --mde 3 --pilot runs/base --pilot runs/candidate --suite math

    Pilots are ordinary runs, best made with --preset avg@8 on some examples: two of them, of a base and of any
    candidate, assume least. Where nothing can be planned for any task the exit code is 3.
    """  # noqa: D301 - click reads \b as a backspace character
    target, correlation = _target(flags), flags["correlation"]
    if not -1 <= correlation < 1:
        raise UsageError(f"--correlation {correlation:g}: expected a number from -1 to below 1, e.g. 0.5")
    if len(flags["pilot"]) > 2:
        raise UsageError(f"{len(flags['pilot'])} pilots were given; expected none, one, or a base and a candidate")
    pilots = [load_label(path, flags["allow_incomplete"]) for path in flags["pilot"]]
    names = split_names(flags["suite"], flags["task"])
    if not names and not pilots:
        raise UsageError("no task was named; pass --task gsm8k or --suite math, or --pilot RUN to plan for its tasks")
    variances, notes = _variances(names, pilots, correlation)
    report = plan_sizes(variances, target, notes)
    if not any(task.points for task in report.tasks):
        raise UsageError(f"nothing can be planned: {_reasons(report)}; give a pilot with other verdicts, or none")
    if flags["as_json"]:
        sys.stdout.write(encode_pretty(report).decode())
    else:
        print_plan(report)
    return EXIT_OK


def _target(flags: dict[str, Any]) -> Target:
    mde, power, level = flags["mde"], flags["power"], flags["level"]
    if not 0 < mde <= 100:
        raise UsageError(f"--mde {mde:g}: expected a difference above 0 and up to 100 points, e.g. 3")
    for name, value, usual in (("--power", power, 0.8), ("--level", level, 0.95)):
        if not 0.5 <= value <= 0.9999:
            raise UsageError(f"{name} {value:g}: expected a probability from 0.5 to 0.9999, e.g. {usual}")
    return Target(difference=mde / 100, level=level, power=power)


def _reasons(report: SizingReport) -> str:
    """Return why no task can be planned, each reason once."""
    grouped: dict[str, list[str]] = {}
    for task in report.tasks:
        grouped.setdefault(task.reason or "", []).append(task.task)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in grouped.items())


def _variances(
    names: tuple[str, ...], pilots: list[LabelVerdicts], correlation: float
) -> tuple[list[TaskVariance], list[str]]:
    """Take each task's variance from the pilots that have it, and list what had to be assumed."""
    notes = _pair_notes(*pilots) if len(pilots) == 2 else []
    pairs = {item.name: item for item in pair_tasks(*pilots)} if len(pilots) == 2 else {}
    single = dict(pilots[0].tasks) if len(pilots) == 1 else {}
    seen = [*pairs, *single]
    chosen = [task.name for task in select_tasks(names)] if names else seen
    if pilots and not set(chosen) & set(seen):
        raise UsageError(f"no pilot has {', '.join(chosen)}; the pilots share {', '.join(seen)}")
    variances = []
    for name in chosen:
        suite, num_examples = _described(name, pairs, single)
        if name in pairs:
            variances.append(variance_of_pair(pairs[name], suite, num_examples))
        elif name in single:
            variances.append(variance_of_one(single[name], suite, num_examples, correlation))
        else:
            variances.append(worst_variance(name, suite, num_examples, correlation))
    return variances, notes + _assumptions(chosen, pairs, single, correlation)


def _described(name: str, pairs: Mapping[str, PairedTask], single: Mapping[str, TaskVerdicts]) -> tuple[str, int]:
    """Return a task's suite and how many examples it has: the registry's, else the pilot's."""
    if name in TASKS:
        return TASKS[name].suite, TASKS[name].source.num_examples
    verdicts = pairs[name].base if name in pairs else single[name]
    return verdicts.ref.suite, len(verdicts.example_ids)


def _pair_notes(base: LabelVerdicts, candidate: LabelVerdicts) -> list[str]:
    """Check that two pilots can be paired; return what about them makes figures doubtful.

    They need not have been asked alike, since no scores are subtracted for a verdict; but examples must be the same.
    """
    ids = [{run.record.spec_id for run in side.runs} for side in (base, candidate)]
    if ids[0] & ids[1]:
        raise UsageError(f"both pilots are {base.runs[0].path}; give runs of two checkpoints, or one pilot")
    check_comparable(base, candidate, MUST_AGREE, is_reference=True)
    shared = [name for name in base.tasks if name in candidate.tasks]
    found = [item for name in shared for item in differing_task_fields(base.tasks[name].ref, candidate.tasks[name].ref)]
    fields: dict[str, list[str]] = {}
    for item in found:
        if item.field == "data":
            raise UsageError(f"the pilots cannot be paired: {describe_difference(item)}; make both on the same rows")
        if item.field in MUST_AGREE:
            fields.setdefault(item.field, []).append(item.task or "")
    notes = [f"the pilots differ in {field} of {', '.join(tasks)}" for field, tasks in fields.items()]
    weights = [{run.record.spec.checkpoint.fingerprint.weights for run in side.runs} for side in (base, candidate)]
    if weights[0] & weights[1] and "prompt" not in fields:
        notes.append(
            "both pilots ask the same weights alike, so how a real difference varies between examples is not in them: "
            "the figures are too hopeful"
        )
    return notes


def _assumptions(
    chosen: list[str], pairs: Mapping[str, PairedTask], single: Mapping[str, TaskVerdicts], correlation: float
) -> list[str]:
    sizes = [item.num_examples for item in pairs.values()] + [len(item.example_ids) for item in single.values()]
    notes = []
    if sizes and min(sizes) > 1:
        error = math.sqrt(2 / (min(sizes) - 1))  # of a sample variance, relative, for about normal differences
        notes.append(f"a variance seen on {min(sizes):,} examples is known to about ±{error:.0%}, like examples needed")
    if any(name in single for name in chosen):
        notes.append(
            f"assumed: the other checkpoint varies as much as the pilot, and its examples' scores correlate by "
            f"{correlation:g} with the pilot's (--correlation)"
        )
    if guessed := [name for name in chosen if name not in pairs and name not in single]:
        notes.append(
            f"assumed of {', '.join(guessed)}, which no pilot has: the largest variance that scores from 0 to 1 can "
            f"have, ¼ on each side, and a correlation of {correlation:g} (--correlation)"
        )
    clusters = {name: paired.base.clusters for name, paired in pairs.items()}
    clusters |= {name: verdicts.clusters for name, verdicts in single.items()}
    if shared := [name for name in chosen if any(cluster is not None for cluster in clusters.get(name, ()))]:
        notes.append(f"{', '.join(shared)}: examples share sources but are planned as if independent; take more")
    return notes


def print_plan(report: SizingReport) -> None:
    """Print, by task and average, what each number of generations can see, and the verdict on the asked difference."""
    console = stdout_console()
    console.print(
        f"To see a difference of {100 * report.difference:g} points with power {report.power:g} at level "
        f"{report.level:g}; all figures in points",
        highlight=False,
    )
    items: list[TaskPlan | AveragePlan] = [*report.tasks, *report.averages]
    if any(item.points for item in items):
        console.print(_table(report))
    for item in items:
        console.print(verdict(item), markup=False, highlight=False)
    if any(item.reason == NO_SPLIT for item in items):
        console.print(NO_SPLIT, style="yellow", markup=False, highlight=False)
    for note in report.notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def _table(report: SizingReport) -> Table:
    counts = [k for k in KS if any(k == point.num_generations for task in report.tasks for point in task.points)]
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("task", overflow="fold", min_width=8)
    table.add_column("", overflow="fold", min_width=8)
    for k in counts:
        table.add_column(f"k = {k}", justify="right", no_wrap=True)
    for task in report.tasks:
        if task.points:
            points = {point.num_generations: point for point in task.points}
            size = f"{task.num_examples:,} examples"
            table.add_row(escape(task.task), "SD of a paired difference", *_cells(counts, points, "difference_sd"))
            table.add_row(size, "difference they can show", *_cells(counts, points, "detectable"))
            table.add_row("", "examples needed", *(_needed(points.get(k)) for k in counts), end_section=True)
    for average in report.averages:
        if average.points:
            points = {point.num_generations: point for point in average.points}
            size = f"mean of {len(average.tasks)} tasks"
            table.add_row(escape(average.name), "SE of the difference", *_cells(counts, points, "difference_sd"))
            table.add_row(size, "difference they can show", *_cells(counts, points, "detectable"), end_section=True)
    return table


def _cells(counts: list[int], points: dict[int, DesignPoint], field: str) -> list[str]:
    """Return one figure a k; a k that cannot be planned stays empty."""
    return [f"{100 * getattr(points[k], field):.1f}" if k in points else "" for k in counts]


def _needed(point: DesignPoint | None) -> str:
    if point is None:
        return ""
    return "∞" if math.isinf(point.required_examples) else f"{point.required_examples:,.0f}"


def verdict(item: TaskPlan | AveragePlan) -> str:
    """Return in one sentence whether the asked difference can be seen."""
    if isinstance(item, TaskPlan):
        name, those, basis = item.task, f"its {item.num_examples:,} examples", f" ({item.basis})"
    else:
        name, those, basis = item.name, f"these {len(item.tasks)} tasks", ""
    if not item.points:
        return f"{name}: nothing can be planned: {item.reason}{basis}"
    if item.enough_at is not None:
        return f"{name}: enough at k = {item.enough_at}{basis}"
    best = f"at best {100 * item.best:.1f} points"
    if item.reason:
        return f"{name}: not with {those} at k = 1: {best}{basis}"
    return f"{name}: not reachable with {those}: {best}, at k = {MOST_GENERATIONS:,}{basis}"
