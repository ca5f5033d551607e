"""The study's claims with what the data say to each."""

from harness.study.findings import StudyFindings
from reports.table import Column, Row, Table, percent, text_cell


def claims_table(findings: StudyFindings) -> Table | None:
    """Return a row a claim; None where the study makes none."""
    if not findings.claims:
        return None
    shows_source = any(claim.source for claim in findings.claims)
    titles = ("claim", *(["claimed by"] if shows_source else []), "verdict", "evidence")
    rows = []
    for claim in findings.claims:
        source = [text_cell(claim.source)] if shows_source else []
        verdict = text_cell(claim.verdict, strong=claim.verdict == "refuted")
        rows.append(Row((text_cell(claim.claim), *source, verdict, text_cell(claim.evidence))))
    notes = (
        f"Points. Supported: the whole {percent(findings.spec.level)} interval lies on the claimed side; refuted: on "
        "the other; else undecided. Each claim by itself, not adjusted for their number. Costs count as known exactly.",
    )
    columns = tuple(Column(title, align="left", unit="text") for title in titles)
    return Table("claims", "Claims", columns, tuple(rows), notes)
