"""Tables as CSV: what a program reads back is what was found."""

import io
import math
from functools import partial

import pandas
import pytest

from reports.formats.comma import NUMBERS_HEADER, all_numbers, render
from reports.table import Cell, Column, Row, Table, change_cell, count_cell, points_cell, text_cell
from reports.tables.comparison import differences_table
from reports.tables.transfer import transfer_table
from tests.reports.formats.samples import NASTY, small_table
from tests.studies import make_findings

approx = partial(pytest.approx, rel=1e-11)


def read(text: str) -> pandas.DataFrame:
    """Return CSV as pandas reads it."""
    return pandas.read_csv(io.StringIO(text))


def test_twelve_digits_are_read_back() -> None:
    """The differences of a study, in points, are those of its findings, with interval, stderr and n."""
    report = make_findings().transfer
    frame = read(render(differences_table(report))).set_index("candidate")
    for comparison in report.comparisons:
        row = frame.loc[comparison.candidate]
        for task in comparison.tasks:
            found, name = task.difference, f"{task.suite} {task.task}"
            assert row[f"{name} (points)"] == approx(100 * found.value)
            assert row[f"{name} low"] == approx(100 * found.ci_low)
            assert row[f"{name} high"] == approx(100 * found.ci_high)
            assert row[f"{name} stderr"] == approx(100 * found.stderr)
            assert row[f"{name} n"] == found.num_examples
        assert row["overall (points)"] == approx(100 * comparison.overall.difference.value)


def test_plain_numbers_are_not_scaled() -> None:
    """Ratios and counts are as they are; what is not identifiable is empty."""
    comparison = make_findings().transfer.comparisons[0]
    frame = read(render(transfer_table(comparison)))
    assert frame["normalised gain"].iloc[0] == approx(comparison.transfer.normalised_gain["chat"].estimate.value)
    assert math.isnan(frame["transferability index"].iloc[1])


def test_a_header_names_group_title_and_unit() -> None:
    """Marks and earlier numbers have columns of their own, and groups of rows the first."""
    assert render(small_table()).splitlines() == [
        "group,checkpoint,math gsm8k (points),math gsm8k low,math gsm8k high,math gsm8k stderr,math gsm8k n,"
        "math gain (points),math gain low,math gain high,math gain stderr,math gain n,math gain mark,"
        "truncated (percent),truncated before,prompts",
        rf"candidates,{NASTY} (avg@4),50,40,60,5,200,-5,-15,5,5,200,,12.5,25,5000",
        "candidates,pipe|*star* (avg@4),62.5,52.5,72.5,5,200,25,15,35,5,200,†,12.5,25,5000",
        "candidates,average,56.25,,,,,,,,,,,,,",
    ]


def test_undefined_numbers_are_empty() -> None:
    """nan is an empty field, which pandas reads as nan."""
    columns = (Column("x", align="left", unit="text"), Column("y"))
    rows = (Row((text_cell("a, b"), points_cell(math.nan))),)
    assert render(Table("t", "", columns, rows)) == 'x,y (points)\n"a, b",\n'


def test_words_keep_their_marks() -> None:
    """A mark beside a name stands in the name's own field."""
    columns = (Column("x", align="left", unit="text"), Column("y"))
    assert render(Table("t", "", columns, (Row((Cell("a", mark="*"), points_cell(0.5))),))) == "x,y (points)\na*,50\n"


def test_a_zero_is_a_number() -> None:
    """0 before or after is listed; what is unknown is not."""
    rows = (Row((text_cell("a"), change_cell(0.0, 0.0), count_cell(0), count_cell(None))),)
    columns = (Column("x", align="left", unit="text"), Column("y", unit="percent"), *[Column("z", unit="plain")] * 2)
    frame = read(all_numbers([Table("t", "", columns, rows)]))
    assert list(zip(frame["column"], frame["value"], strict=True)) == [("y before", 0.0), ("y", 0.0), ("z", 0.0)]


def test_all_numbers_are_listed() -> None:
    """One line a number, of all tables, each with what is known of it."""
    frame = read(all_numbers([small_table(), differences_table(make_findings().transfer)]))
    assert tuple(frame.columns) == NUMBERS_HEADER
    first = frame.iloc[0]
    assert (first["table"], first["row_group"], first["row"]) == ("small", "candidates", NASTY)
    assert (first["column_group"], first["column"]) == ("math", "gsm8k")
    assert (first["value"], first["ci_low"], first["ci_high"], first["stderr"]) == (50.0, 40.0, 60.0, 5.0)
    assert (first["level"], first["method"], first["num_examples"], first["unit"]) == (0.95, "t", 200, "points")
    assert list(frame["column"][2:5]) == ["truncated before", "truncated", "prompts"]
    assert len(frame) == 2 * 5 + 1 + 3 * 6
    overall = frame[(frame["table"] == "differences") & (frame["row"] == "grlo") & (frame["column"] == "overall")]
    assert overall["value"].item() == approx(100 * make_findings().transfer.comparisons[0].overall.difference.value)
