"""Differences to the base, as tables: of one candidate by domain, and of all candidates in one table for a paper."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from harness.findings import AverageComparison, Comparison, TaskComparison, TransferReport
from reports.table import (
    DAGGER,
    UNKNOWN,
    Cell,
    Column,
    Row,
    Table,
    change_cell,
    count_cell,
    is_significant,
    percent,
    points,
    probability_cell,
    signed_cell,
    text_cell,
    with_interval,
)
from reports.tables.sides import describe_training, table_name, table_title

DIFFERENCE_COLUMNS = (
    Column("n", unit="plain"),
    Column("base"),
    Column("candidate"),
    Column("difference"),
    Column("p", unit="plain"),
    Column("detectable"),
)
OUTCOME_COLUMNS = (Column("no answer", unit="percent"), Column("truncated", unit="percent"))
BaseKind = Literal["plain", "elicited"]
BASE_KINDS: tuple[BaseKind, ...] = ("plain", "elicited")


def method_note(report: TransferReport) -> str:
    """Return how a report's intervals and p-values are made, in a paragraph."""
    return (
        f"Intervals {percent(report.level)}. p: two-sided, Holm-adjusted over all tasks, or all domains. "
        f"Bold: p < {1 - report.level:.2g}. Detectable, where it is not: the difference that one unadjusted test sees "
        f"with 80 % power. {_overall_note(report)} Elicitation: more generations end and answer; within: more of "
        f"those that do are right. {report.num_resamples:,} resamples, seed {report.seed}."
    )


def differences_tables(report: TransferReport) -> list[Table]:
    """Return every comparison by domain, each table with a note on intervals and p-values."""
    return [
        replace(table, notes=(*table.notes, method_note(report)))
        for comparison in report.comparisons
        for table in domain_tables(comparison)
    ]


def domain_tables(comparison: Comparison) -> list[Table]:
    """Return one comparison by domain, then the overall average where there are several domains."""
    tables = [_domain_table(comparison, domain) for domain in comparison.domains]
    if len(comparison.domains) > 1:
        columns = (Column("average", align="left", unit="text"), *DIFFERENCE_COLUMNS)
        rows = (Row((text_cell("overall"), *_average_cells(comparison.overall)), is_total=True),)
        tables.append(
            Table(
                table_name("differences", comparison, "overall"), table_title(comparison, "all domains"), columns, rows
            )
        )
    return tables


def _domain_table(comparison: Comparison, domain: AverageComparison) -> Table:
    trained = {True: " (trained on)", False: " (not trained on)", None: ""}[domain.is_trained]
    tasks = [task for task in comparison.tasks if task.suite == domain.name]
    rows = [_task_row(task) for task in tasks]
    if len(domain.tasks) > 1:
        cells = (text_cell("average"), *_average_cells(domain), *(text_cell("") for _ in OUTCOME_COLUMNS))
        rows.append(Row(cells, is_total=True))
    return Table(
        name=table_name("differences", comparison, domain.name),
        title=table_title(comparison, f"{domain.name}{trained}"),
        columns=(Column("task", align="left", unit="text"), *DIFFERENCE_COLUMNS, *OUTCOME_COLUMNS),
        rows=tuple(rows),
        notes=tuple(_timeout_notes(tasks)),
    )


def _timeout_notes(tasks: list[TaskComparison]) -> Iterator[str]:
    for task in tasks:
        before, after = task.base.outcomes.timeout, task.candidate.outcomes.timeout
        if before or after:  # nan too: it is not known that there were none
            yield f"{task.task}: timeouts {change_cell(before, after).text}, counted as wrong"


def _task_row(task: TaskComparison) -> Row:
    before, after = task.base.outcomes, task.candidate.outcomes
    cells = (
        Cell(task.task, interval=task.metric),
        count_cell(task.num_examples),
        with_interval(task.base.score),
        with_interval(task.candidate.score),
        *_difference(task),
        change_cell(before.no_answer, after.no_answer),
        change_cell(before.truncated, after.truncated),
    )
    return Row(cells)


def _average_cells(average: AverageComparison) -> tuple[Cell, ...]:
    return (
        count_cell(average.difference.num_examples),
        with_interval(average.base),
        with_interval(average.candidate),
        *_difference(average),
    )


def _difference(found: TaskComparison | AverageComparison) -> tuple[Cell, Cell, Cell]:
    """Return difference, p-value, and the detectable difference where this one is not significant."""
    strong = _is_significant(found)
    shown = "" if strong or math.isnan(found.detectable) else points(found.detectable)
    return (
        signed_cell(found.difference, strong=strong),
        probability_cell(found.p_adjusted),
        Cell(shown, number=found.detectable),
    )


def _is_significant(found: TaskComparison | AverageComparison) -> bool:
    return is_significant(found.difference.level, found.p_adjusted)


def differences_table(report: TransferReport) -> Table:
    """Return all candidates' differences in one table: tasks by domain, domain averages, and overall."""
    columns = _task_columns(report)
    rows = [
        Row((text_cell(found.candidate), *_differences(found, columns)), group=_row_group(found))
        for kind in BASE_KINDS
        for found in report.comparisons
        if found.base_kind == kind
    ]
    bases = dict.fromkeys(found.base for found in report.comparisons if found.base_kind == "plain")
    return Table(
        name="differences",
        title=f"Differences to {', '.join(bases)}, in points",
        columns=(Column("candidate", align="left", unit="text"), *columns),
        rows=tuple(rows),
        notes=tuple(_differences_notes(report)),
    )


def _row_group(comparison: Comparison) -> str:
    return f"against the elicited base, {comparison.base}" if comparison.base_kind == "elicited" else ""


def _task_columns(report: TransferReport) -> list[Column]:
    """Return a column for every task, with the average behind a domain's several, and one for overall."""
    domains: dict[str, dict[str, None]] = {}
    for found in report.comparisons:
        for task in found.tasks:
            domains.setdefault(task.suite, {})[task.task] = None
    columns = []
    for domain, tasks in domains.items():
        columns += [Column(name, group=domain) for name in tasks]
        if len(tasks) > 1:
            columns.append(Column("average", group=domain))
    return [*columns, Column("overall")] if len(domains) > 1 else columns


def _differences(comparison: Comparison, columns: list[Column]) -> Iterator[Cell]:
    tasks = {task.task: task for task in comparison.tasks}
    averages = {domain.name: domain for domain in comparison.domains}
    for column in columns:
        found: TaskComparison | AverageComparison | None
        if column.group:
            found = averages.get(column.group) if column.title == "average" else tasks.get(column.title)
        else:
            found = comparison.overall
        if found is None:
            yield text_cell(UNKNOWN)
        else:
            yield signed_cell(found.difference, mark=DAGGER if _is_significant(found) else "")


def _differences_notes(report: TransferReport) -> Iterator[str]:
    yield (
        f"{DAGGER} p < {1 - report.level:.2g}, two-sided and paired by example, Holm-adjusted over all tasks, or all "
        f"domains, of all candidates. Intervals {percent(report.level)}, not adjusted. {_overall_note(report)}"
    )
    trained = {found.candidate: describe_training(found) for found in report.comparisons}
    yield f"Trained on: {'; '.join(f'{label}: {domains}' for label, domains in trained.items())}."


def _overall_note(report: TransferReport) -> str:
    return f"Overall: every {report.overall.removesuffix('s')} weighs the same."


def elicited_table(report: TransferReport) -> Table | None:
    """Return differences to the plain base beside those to the elicited base; None without an elicited base."""
    found = {(item.candidate, item.base_kind): item for item in report.comparisons}
    labels = [item.candidate for item in report.comparisons if item.base_kind == "elicited"]
    if not labels:
        return None
    averages = list(dict.fromkeys(domain.name for item in report.comparisons for domain in item.domains))
    names = [*averages, "overall"] if len(averages) > 1 else averages
    columns = [Column(title, group=name) for name in names for title in ("plain base", "elicited base")]
    rows = [
        Row(
            (
                text_cell(label),
                *(_average_cell(found.get((label, kind)), name) for name in names for kind in BASE_KINDS),
            )
        )
        for label in labels
    ]
    return Table(
        name="elicited",
        title="Differences to the plain and to the elicited base, in points",
        columns=(Column("candidate", align="left", unit="text"), *columns),
        rows=tuple(rows),
        notes=(
            "Elicited base: the base under the prompt style that suits it best, chosen on other examples than it is "
            "scored on. What is left of a difference is more than another prompt would have brought.",
            *_differences_notes(report),
        ),
    )


def _average_cell(comparison: Comparison | None, name: str) -> Cell:
    averages = {} if comparison is None else {item.name: item for item in (*comparison.domains, comparison.overall)}
    found = averages.get(name)
    if found is None:
        return text_cell(UNKNOWN)
    return signed_cell(found.difference, mark=DAGGER if _is_significant(found) else "")
