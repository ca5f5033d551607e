"""Tables in blocks of columns."""

import pytest

from reports.formats.columns import block_columns, num_name_columns
from reports.table import Column, Table

NAME = Column("name", align="left", unit="text")
NUMBER = Column("number")


def make_table(*columns: Column) -> Table:
    """Return a table of nothing but its headings."""
    return Table("t", "", columns, ())


@pytest.mark.parametrize(
    ("room", "blocks"),
    [
        (50, [[0, 1, 2, 3, 4]]),
        (49, [[0, 1, 2, 3], [0, 4]]),
        (30, [[0, 1, 2], [0, 3, 4]]),
        (20, [[0, 1], [0, 2], [0, 3], [0, 4]]),
        (5, [[0, 1], [0, 2], [0, 3], [0, 4]]),
    ],
)
def test_blocks_are_as_wide_as_they_may_be(room: float, blocks: list[list[int]]) -> None:
    """Each begins with the names; what fits exactly fits; no block is without a number, however narrow the place."""
    assert block_columns(make_table(NAME, *[NUMBER] * 4), [10] * 5, room) == blocks


def test_names_are_the_words_before_the_first_number() -> None:
    """Words behind a number are no names; a table of words alone is all names, in one block."""
    assert num_name_columns(make_table(NAME, NAME, NUMBER, NAME)) == 2
    words = make_table(NAME, NAME)
    assert num_name_columns(words) == 2
    assert block_columns(words, [10, 10], 5) == [[0, 1]]
