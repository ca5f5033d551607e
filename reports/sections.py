"""Which tables a report has, in its order. What a table says is its own module's business."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.study.findings import StudyFindings
from reports.table import Table
from reports.tables.claims import claims_table
from reports.tables.comparison import differences_table, differences_tables, elicited_table
from reports.tables.contamination import clean_table, contamination_table, labels_table
from reports.tables.cost import cost_table, ratio_table
from reports.tables.judged import length_effect_table, ratings_table, win_rates_table
from reports.tables.length import length_table
from reports.tables.main import main_table, main_tables_by_domain
from reports.tables.parts import cells_table, coverage_table, decomposition_table
from reports.tables.published import published_table
from reports.tables.transfer import matrix_table, repeats_table, transfer_table

CLAIMS = "Claims"
CONTAMINATION = "Contamination"


@dataclass(frozen=True)
class Section:
    """Tables that belong together."""

    title: str
    tables: tuple[Table, ...]


def build_sections(findings: StudyFindings) -> tuple[Section, ...]:
    """Return every table that the findings have something for, by section; sections without tables are left out."""
    report = findings.transfer
    plain = [comparison for comparison in report.comparisons if comparison.base_kind == "plain"]
    sections = (
        _section(CLAIMS, [claims_table(findings)]),
        _section("Scores", [main_table(findings), *main_tables_by_domain(findings)]),
        _section(
            "Differences to the base",
            [differences_table(report), elicited_table(report), *differences_tables(report)] if plain else [],
        ),
        _section(
            "Judged conversation",
            [win_rates_table(findings), ratings_table(findings), *map(length_effect_table, report.comparisons)],
        ),
        _section("Transfer", [matrix_table(report), *map(transfer_table, report.comparisons)] if plain else []),
        _section("What the differences are made of", map(decomposition_table, report.comparisons)),
        _section("How generations ended", [length_table(findings), *map(cells_table, report.comparisons)]),
        _section("What the base could already do", map(coverage_table, plain)),
        _section("Repeated runs", [repeats_table(report)]),
        _section("Cost", [cost_table(findings), ratio_table(findings)]),
        _section("Published beside measured", [published_table(findings)]),
        _section(
            CONTAMINATION,
            [
                table
                for audit in findings.audits
                for table in (contamination_table(audit), clean_table(audit), labels_table(audit))
            ],
        ),
    )
    return tuple(section for section in sections if section.tables)


def _section(title: str, tables: Iterable[Table | None]) -> Section:
    return Section(title, tuple(table for table in tables if table is not None and table.rows))
