"""Tables in the terminal."""

from io import StringIO

from rich.console import Console

from reports.formats.terminal import print_table, render
from reports.table import Cell, Column, Row, Table
from tests.reports.formats.samples import small_table


def printed(table: Table, width: int, inline: bool = False) -> list[str]:
    """Return the lines that a table takes at a width."""
    file = StringIO()
    print_table(table, Console(width=width, file=file, color_system=None), inline)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def wide_table(num_columns: int) -> Table:
    """Return a table with a long name and so many numbers."""
    columns = [Column(f"task_{i}") for i in range(num_columns)]
    cells = [Cell(f"{i}.0", interval="10.0–20.0", number=i / 100) for i in range(num_columns)]
    row = Row((Cell("a-checkpoint-with-a-long-name"), *cells))
    return Table("wide", "Wide", (Column("name", align="left", unit="text"), *columns), (row,))


def test_a_table_is_printed_with_its_groups_and_notes() -> None:
    """Headings of groups stand over columns and rows, intervals below numbers, a rule above totals."""
    assert render(small_table()).splitlines() == [
        "Scores",
        "                         math",
        "checkpoint              gsm8k            gain  truncated  prompts",
        "candidates",
        r"a_b%c&d#e~f^g\h{i}       50.0            -5.0  25 → 12 %    5,000",
        "avg@4               40.0–60.0   -15.0 to +5.0",
        "pipe|*star*              62.5          +25.0†  25 → 12 %    5,000",
        "avg@4               52.5–72.5  +15.0 to +35.0",
        "──────────────────  ─────────  ──────────────  ─────────  ───────",
        "average                  56.2               –",
        "† p < .05, 95 % of a_b; −1 → 2 ≥ 1 × “ok”",
    ]


def test_intervals_stand_behind_numbers_where_there_is_room() -> None:
    """`inline` saves lines at 100 columns, and gives way at 60."""
    assert "62.5 (52.5–72.5)  +25.0† (+15.0 to +35.0)" in " ".join(printed(small_table(), 100, inline=True))
    assert "62.5 (" not in " ".join(printed(small_table(), 60, inline=True))


def test_names_are_folded_and_numbers_are_not() -> None:
    """At 60 columns the long name takes several lines and each number one."""
    lines = printed(wide_table(4), 60)
    assert max(map(len, lines)) <= 60
    assert "…" not in "".join(lines)
    assert "a-checkpoint-with-a-long-name" not in "".join(lines)
    assert sum("10.0–20.0" in line for line in lines) == 1


def test_a_table_too_wide_is_printed_in_blocks() -> None:
    """Every number of twenty columns is there, and each block begins with the names."""
    lines = printed(wide_table(20), 80)
    assert max(map(len, lines)) <= 80
    assert all(f" {i}.0" in "".join(lines) for i in range(20))
    assert sum(line.startswith("Wide (continued)") for line in lines) == 3
    assert sum(line.startswith("name") for line in lines) == 4


def test_a_table_without_rows_is_its_notes() -> None:
    """A heading with nothing below it is not printed."""
    table = Table("none", "Nothing", (Column("n"),), (), ("no coverage: one generation per example",))
    assert printed(table, 80) == ["no coverage: one generation per example", ""]


def test_labels_are_not_markup() -> None:
    """Brackets in a label are printed, not obeyed."""
    table = Table("t", "[bold]", (Column("x", align="left", unit="text"),), (Row((Cell("[red]label[/]"),)),))
    assert printed(table, 80)[0] == "[bold]"
    assert printed(table, 80)[2] == "[red]label[/]"


def test_totals_share_one_rule() -> None:
    """Averages are set apart from the rows above, not from each other."""
    rows = [Row((Cell(name), Cell("1")), is_total=name != "a") for name in "abc"]
    lines = printed(Table("t", "", (Column("n", align="left"), Column("x")), tuple(rows)), 80)
    assert [line.startswith("─") for line in lines[1:5]] == [False, True, False, False]


def test_what_fits_exactly_is_not_split() -> None:
    """A folded name and two intervals of nine columns, with two blanks between, take 31 columns."""
    assert "Wide (continued)" not in printed(wide_table(2), 31)
    assert "Wide (continued)" in printed(wide_table(2), 30)


def test_intervals_give_way_to_names() -> None:
    """Intervals stand behind numbers only where no word of a name is broken for them: 12 + 2 + 16 columns here."""
    row = Row((Cell("a checkpoint1"), Cell("50.0", interval="40.0–60.0")))
    table = Table("t", "", (Column("x", align="left", unit="text"), Column("n")), (row,))
    assert "50.0 (40.0–60.0)" not in "".join(printed(table, 28, inline=True))
    words = Table("t", "", table.columns, (Row((Cell("a checkpoint"), row.cells[1])),))
    assert "50.0 (40.0–60.0)" in "".join(printed(words, 28, inline=True))
