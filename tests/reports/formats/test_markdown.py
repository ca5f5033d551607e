"""Tables in Markdown."""

import pytest

from reports.formats.markdown import render
from reports.table import Cell, Column, Row, Table
from tests.reports.formats.samples import small_table


def test_a_pipe_table_is_written() -> None:
    """Groups of columns stand before their titles, groups of rows in rows of their own."""
    assert render(small_table()).splitlines() == [
        "**Scores**",
        "",
        "| checkpoint | math: gsm8k | math: gain | truncated | prompts |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| **candidates** |  |  |  |  |",
        r"| a_b%c&d#e\~f^g\\h{i} (avg@4) | 50.0 (40.0–60.0) | -5.0 (-15.0 to +5.0) | 25 → 12 % | 5,000 |",
        r"| pipe\|\*star\* (avg@4) | **62.5** (52.5–72.5) | +25.0† (+15.0 to +35.0) | 25 → 12 % | 5,000 |",
        "| *average* | 56.2 | – |  |  |",
        "",
        r"† p \< .05, 95 % of a_b; −1 → 2 ≥ 1 × “ok”",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lab_math", "lab_math"),
        ("_private_", r"\_private\_"),
        ("a\nb", "a b"),
        ("&lt;", "&amp;lt;"),
        ("R&D", "R&D"),
        ("<.001", r"\<.001"),
        ("[x](y)", r"\[x\](y)"),
        ("$5$", r"\$5\$"),
    ],
)
def test_text_is_shown_as_it_is(text: str, expected: str) -> None:
    """What Markdown would read as markup is escaped; underscores inside words are not."""
    table = Table("t", "", (Column("x", align="left", unit="text"),), (Row((Cell(text),)),))
    assert render(table).splitlines()[2] == f"| {expected} |"


@pytest.mark.parametrize(
    ("cell", "expected"), [(Cell("mean"), "*mean*"), (Cell("mean", strong=True), "**mean**"), (Cell(""), "")]
)
def test_an_average_is_in_italics(cell: Cell, expected: str) -> None:
    """Unless it is bold already; an empty name gets no asterisks."""
    table = Table("t", "", (Column("x", align="left", unit="text"),), (Row((cell,), is_total=True),))
    assert render(table).splitlines()[2] == f"| {expected} |"


def test_a_group_is_named_once() -> None:
    """Its heading stands before the first of its rows."""
    table = Table("t", "", (Column("x", align="left"),), tuple(Row((Cell(name),), "both") for name in "ab"))
    assert render(table).splitlines()[2:] == ["| **both** |", "| a |", "| b |"]
