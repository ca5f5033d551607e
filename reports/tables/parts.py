"""What differences are made of, as tables: elicitation and accuracy, cells of outcomes, and coverage by the base."""

from collections.abc import Iterable
from dataclasses import replace

from harness import findings
from harness.findings import Comparison, Coverage, Decomposition
from reports.table import (
    Cell,
    Column,
    Row,
    Table,
    change_cell,
    count_cell,
    points_cell,
    signed,
    signed_cell,
    text_cell,
    with_interval,
)
from reports.tables.sides import table_name, table_title


def decomposition_table(comparison: Comparison) -> Table:
    """Return each difference as elicitation plus accuracy within, and the main cell's share and accuracy."""
    rows = [
        Row((text_cell(task.task), *_parts(task.difference.value, task.decomposition), *_main_cell(task.decomposition)))
        for task in comparison.tasks
    ]
    for average in (*comparison.domains, comparison.overall):
        if len(average.tasks) > 1:
            parts = _parts(average.difference.value, average.decomposition)
            rows.append(Row((text_cell(average.name), *parts, text_cell(""), text_cell("")), is_total=True))
    return Table(
        name=table_name("decomposition", comparison),
        title=table_title(comparison, "what the difference is made of"),
        columns=(
            Column("", align="left", unit="text"),
            Column("difference"),
            Column("= elicitation"),
            Column("+ within"),
            Column("ends, answers", unit="percent"),
            Column("accuracy then", unit="percent"),
        ),
        rows=tuple(rows),
    )


def _parts(difference: float, parts: Decomposition) -> tuple[Cell, Cell, Cell]:
    return (
        Cell(signed(difference), number=difference),
        signed_cell(parts.elicitation),
        signed_cell(parts.within),
    )


def _main_cell(parts: Decomposition) -> tuple[Cell, Cell]:
    """Return share and accuracy of the generations that end and answer."""
    for cell in parts.cells:
        if cell.answered and cell.finished is not False:
            share = change_cell(cell.base_share, cell.candidate_share)
            if cell.finished is None:  # not known how generations ended: the cell is all that answered
                share = replace(share, text=f"?, {share.text}")
            return share, change_cell(cell.base_accuracy, cell.candidate_accuracy)
    return text_cell("none"), text_cell("")


def cells_table(comparison: Comparison) -> Table:
    """Return every cell of every task: how generations ended, and what that adds to the difference."""
    rows = [
        Row(
            (
                text_cell(task.task),
                text_cell(_cell_name(cell)),
                change_cell(cell.base_share, cell.candidate_share),
                change_cell(cell.base_accuracy, cell.candidate_accuracy),
                signed_cell(cell.elicitation),
                signed_cell(cell.within),
            )
        )
        for task in comparison.tasks
        for cell in task.decomposition.cells
    ]
    return Table(
        name=table_name("cells", comparison),
        title=table_title(comparison, "cells: how generations ended"),
        columns=(
            Column("task", align="left", unit="text"),
            Column("cell", align="left", unit="text"),
            Column("share", unit="percent"),
            Column("accuracy", unit="percent"),
            Column("elicitation"),
            Column("within"),
        ),
        rows=tuple(rows),
    )


def _cell_name(cell: findings.Cell) -> str:
    finished = {True: "finished, ", False: "truncated, ", None: ""}[cell.finished]
    return f"{finished}{'answered' if cell.answered else 'no answer'}"


def coverage_table(comparison: Comparison) -> Table:
    """Return how much of what is newly solved the base solves in k tries; no rows where no task can say."""
    covered = [task for task in comparison.tasks if task.coverage.reason is None]
    largest = max((task.coverage.ks[-1] for task in covered), default=1)
    reasons = [(task.task, task.coverage.reason) for task in comparison.tasks if task.coverage.reason is not None]
    return Table(
        name=table_name("coverage", comparison),
        title=table_title(comparison, "coverage: of the examples newly solved, how many the base solves in k tries"),
        columns=(
            Column("task", align="left", unit="text"),
            Column("newly solved", unit="plain"),
            Column("pass@1"),
            Column(f"pass@k, k ≤ {largest}"),
            Column("other unsolved ones, same k"),
        ),
        rows=tuple(Row((text_cell(task.task), *_coverage(task.coverage))) for task in covered),
        notes=tuple(group_reasons("no coverage", reasons)),
    )


def _coverage(coverage: Coverage) -> tuple[Cell, ...]:
    first = coverage.pass_at_k[0].value
    return (
        count_cell(coverage.num_newly_solved),
        points_cell(first),
        with_interval(coverage.pass_at_k[-1]),
        with_interval(coverage.never_solved_pass),
    )


def group_reasons(what: str, reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Return each reason once, with everything it holds for."""
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons:
        grouped.setdefault(reason, []).append(name)
    return [f"{what}: {'; '.join(dict.fromkeys(names))}: {reason}" for reason, names in grouped.items()]
