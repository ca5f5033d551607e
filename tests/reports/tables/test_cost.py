"""What training cost and bought: the paper's 46 times the data and 68 times the compute."""

import math

import msgspec
import pytest

from harness.schema import Estimate
from harness.study.findings import StudyFindings
from reports.table import UNKNOWN, Table
from reports.tables.cost import cost_table, ratio_table
from tests.studies import make_findings


def text(table: Table | None, label: str) -> dict[str, str]:
    """Return a checkpoint's row by column, with marks."""
    assert table is not None
    (row,) = [row for row in table.rows if row.cells[0].text == label]
    titles = [f"{column.group} {column.title}".strip() for column in table.columns]
    return {title: cell.text + cell.mark for title, cell in zip(titles, row.cells, strict=True)}


def with_cost(findings: StudyFindings, label: str, **changes: object) -> StudyFindings:
    """Return the findings with one checkpoint's cost changed."""
    costs = [msgspec.structs.replace(row, **changes) if row.label == label else row for row in findings.costs]
    return msgspec.structs.replace(findings, costs=tuple(costs))


def test_costs_stand_beside_what_they_bought() -> None:
    """GRLO: 5,000 prompts and 22.7 GPU-hours; points per hour are the gain divided by them."""
    findings = make_findings()
    row = text(cost_table(findings), "grlo")
    gain = 100 * findings.costs[0].gain.value
    assert (row["cost prompts"], row["cost rollouts"], row["cost GPU-hours"]) == ("5,000", "75,000", "22.7")
    assert row["overall gain"] == f"{gain:+.1f}†"
    assert float(row["overall per GPU-hour"]) == pytest.approx(gain / 22.7, abs=0.001)
    assert float(row["overall per 1K prompts"]) == pytest.approx(gain / 5, abs=0.001)
    assert row["on front"] == "yes"
    assert text(cost_table(findings), "random")["overall gain"][-1] != "†"
    assert text(cost_table(findings), "rlvr")["on front"] == "no"


def test_typed_costs_are_marked() -> None:
    """A cost that the study file states carries a mark and its source."""
    typed = with_cost(make_findings(), "rlvr", source="typed (the paper's appendix)")
    table = cost_table(typed)
    assert text(table, "rlvr")["cost prompts"] == "230,000*"
    assert text(table, "grlo")["cost prompts"] == "5,000"
    assert table is not None
    assert "* Cost of rlvr: typed (the paper's appendix)." in table.notes
    assert "Cost of grlo, random: training.json." in table.notes


def test_an_unknown_cost_is_a_dash() -> None:
    """Nor is such a checkpoint said to be on the front or off it."""
    unknown = with_cost(make_findings(), "rlvr", gpu_hours=None, gain_per_gpu_hour=None, on_front=False)
    row = text(cost_table(unknown), "rlvr")
    assert row["cost GPU-hours"] == row["overall per GPU-hour"] == row["on front"] == UNKNOWN
    assert row["cost prompts"] == "230,000"


def test_an_undefined_gain_is_neither_on_the_front_nor_off_it() -> None:
    """A checkpoint without every task of the base has no overall score."""
    findings = make_findings()
    nan = Estimate(*[math.nan] * 4, 0.95, "undefined", 0, 0)
    row = text(cost_table(with_cost(findings, "grlo", gain=nan, on_front=False)), "grlo")
    assert row["overall gain"] == row["on front"] == UNKNOWN


def test_stages_are_listed_where_there_are_several() -> None:
    """GRLO then RLVR: both count."""
    staged = with_cost(make_findings(), "rlvr", stages=("grlo", "rlvr"))
    assert text(cost_table(staged), "rlvr")["stages"] == "grlo → rlvr"
    assert "stages" not in text(cost_table(make_findings()), "rlvr")


def test_without_costs_there_is_no_table() -> None:
    """Neither of costs nor of ratios; one known cost has no ratio."""
    findings = make_findings()
    none = findings
    for label in ("grlo", "rlvr", "random"):
        none = with_cost(none, label, prompts=None, rollouts=None, gpu_hours=None)
    assert cost_table(none) is None
    assert ratio_table(none) is None
    assert ratio_table(msgspec.structs.replace(findings, costs=findings.costs[:1])) is None


def test_ratios_are_the_papers() -> None:
    """230,000 / 5,000 prompts are 46 times, 1,543.6 / 22.7 GPU-hours 68 times."""
    table = ratio_table(make_findings())
    row = text(table, "rlvr")
    assert (row["data grlo"], row["compute grlo"]) == ("46×", "68×")
    assert (row["data rlvr"], row["compute random"]) == ("1×", "77×")
    back = text(table, "grlo")
    assert (back["data rlvr"], back["compute rlvr"], back["compute random"]) == ("0.022×", "0.015×", "1.1×")
    assert table is not None
    assert table.rows[1].cells[1].number == 46.0


def test_ratios_leave_out_what_is_not_known() -> None:
    """A checkpoint without GPU-hours has ratios of data alone."""
    table = ratio_table(with_cost(make_findings(), "random", gpu_hours=None))
    row = text(table, "random")
    assert (row["data grlo"], row["compute grlo"]) == ("1×", UNKNOWN)
    assert "compute random" not in row
