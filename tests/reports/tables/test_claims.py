"""Claims with what the data say to each."""

import msgspec

from harness.study.findings import ClaimVerdict
from reports.tables.claims import claims_table
from tests.studies import make_findings


def test_each_claim_stands_with_its_verdict_and_evidence() -> None:
    """In the study's order, with who claims it."""
    table = claims_table(make_findings())
    assert table is not None
    assert [column.title for column in table.columns] == ["claim", "claimed by", "verdict", "evidence"]
    assert [cell.text for cell in table.rows[0].cells] == [
        "overall grlo - base > 5", "the paper", "supported", "+33.0 (+30.1 to +36.0), all above 5"
    ]  # fmt: skip


def test_a_refuted_claim_stands_out() -> None:
    """Bold; without sources there is no column for them."""
    verdicts = (ClaimVerdict("gsm8k rlvr > 90", "", "refuted", "50.5"), ClaimVerdict("x", "", "undecided", "y"))
    table = claims_table(msgspec.structs.replace(make_findings(), claims=verdicts))
    assert table is not None
    assert [column.title for column in table.columns] == ["claim", "verdict", "evidence"]
    assert [row.cells[1].strong for row in table.rows] == [True, False]


def test_a_study_without_claims_has_no_table() -> None:
    """None instead of an empty table."""
    assert claims_table(msgspec.structs.replace(make_findings(), claims=())) is None
