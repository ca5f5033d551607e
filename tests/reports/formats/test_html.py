"""Tables as fragments of HTML."""

import re
from xml.etree import ElementTree

from reports.formats.html import render
from reports.table import Cell, Column, Row, Table
from tests.reports.formats.samples import NASTY, small_table


def parsed() -> ElementTree.Element:
    """Return the sample as a tree; its HTML is XML too."""
    return ElementTree.fromstring(f"<div>{render(small_table())}</div>")


def test_headings_say_what_they_are_for() -> None:
    """Columns, groups of columns, rows and groups of rows have scopes."""
    scopes = [(cell.get("scope"), cell.text) for cell in parsed().iter("th")]
    assert scopes[:3] == [("colgroup", "math"), ("col", "checkpoint"), ("col", "gsm8k")]
    assert ("rowgroup", "candidates") in scopes
    assert ("row", "average") in scopes


def test_every_row_spans_the_table() -> None:
    """The widths of all cells of a row add up to the number of columns."""
    rows = [[int(cell.get("colspan", "1")) for cell in row] for row in parsed().iter("tr")]
    assert [sum(row) for row in rows] == [5] * 6


def test_cells_have_classes_and_no_style() -> None:
    """Bold, numbers, intervals and totals are told by class; the page decides how they look."""
    text = render(small_table())
    assert '<td class="num strong">62.5 <span class="ci">52.5–72.5</span></td>' in text
    assert '<td class="num">+25.0<sup>†</sup> <span class="ci">+15.0 to +35.0</span></td>' in text
    assert '<tr class="total rule"><th scope="row">average</th>' in text
    assert "style=" not in text


def test_numbers_have_a_true_minus_and_names_keep_their_hyphens() -> None:
    """A hyphen is a minus only where a number begins with it."""
    columns = (Column("name", align="left", unit="text"), Column("gain"))
    text = render(Table("t", "", columns, (Row((Cell("step -4", "seed -1"), Cell("-5.0", "-15.0 to +5.0"))),)))
    assert '<th scope="row">step -4 <span class="ci">seed -1</span></th>' in text
    assert '−5.0 <span class="ci">−15.0 to +5.0' in text


def test_text_is_escaped() -> None:
    """Labels, titles, groups and notes cannot become markup."""
    evil = '<script>alert("x")</script>&'
    row = Row((Cell(evil, evil, mark=evil),), evil)
    text = render(Table(evil, evil, (Column(evil, group=evil, align="left"),), (row,), (evil,)))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 9
    assert parsed().findall(".//th[@scope='row']")[0].text == f"{NASTY} "


def test_rows_without_a_group_have_no_heading() -> None:
    """A group's heading stands before its first row; where groups end, nothing does."""
    rows = [Row((Cell(name), Cell("1")), group) for name, group in (("a", ""), ("b", "B"), ("c", "B"), ("d", ""))]
    text = render(Table("t", "", (Column("name", align="left", unit="text"), Column("n")), tuple(rows)))
    assert re.findall(r'scope="row(?:group)?"[^>]*>([^<]*)', text) == ["a", "B", "b", "c", "d"]


def test_an_empty_heading_is_no_heading() -> None:
    """A column without a title has an empty cell, which no reader announces."""
    text = render(Table("t", "", (Column("", align="left", unit="text"), Column("n")), ()))
    assert '<tr><td></td><th scope="col" class="num">n</th></tr>' in text
