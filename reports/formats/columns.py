"""Tables too wide for where they stand: blocks of columns, each with the names again."""

from collections.abc import Sequence
from dataclasses import replace

from reports.table import Table


def num_name_columns(table: Table) -> int:
    """Return how many columns of words stand before the first number."""
    return next((i for i, column in enumerate(table.columns) if column.align == "right"), len(table.columns))


def block_columns(table: Table, widths: Sequence[float], room: float) -> list[list[int]]:
    """Return the places of columns in blocks that fit.

    Args:
        table: what to split.
        widths: of each column, with its gap.
        room: that a block has; a column that is wider alone is a block of its own.
    """
    names = list(range(num_name_columns(table)))
    room -= sum(widths[place] for place in names)
    blocks: list[list[int]] = [[]]
    for place in range(len(names), len(widths)):
        if blocks[-1] and sum(widths[i] for i in blocks[-1]) + widths[place] > room:
            blocks.append([])
        blocks[-1].append(place)
    return [names + block for block in blocks]


def select_columns(table: Table, places: Sequence[int]) -> Table:
    """Return a table with some of its columns."""
    return replace(
        table,
        columns=tuple(table.columns[place] for place in places),
        rows=tuple(replace(row, cells=tuple(row.cells[place] for place in places)) for row in table.rows),
    )
