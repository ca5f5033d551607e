"""What `harness compare` prints: differences by domain, what they are made of, coverage, transfer. 100 columns wide."""

from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from harness.findings import Comparison, TransferReport
from reports.formats.terminal import print_table
from reports.table import Table
from reports.tables.comparison import domain_tables, method_note
from reports.tables.judged import length_effect_table
from reports.tables.parts import cells_table, coverage_table, decomposition_table
from reports.tables.sides import sides, table_title
from reports.tables.transfer import matrix_table, repeats_table, transfer_table


def print_report(report: TransferReport, console: Console, show_cells: bool = False) -> None:
    """Print a whole report."""
    for comparison in report.comparisons:
        _print_comparison(comparison, console, show_cells)
    if len({comparison.candidate for comparison in report.comparisons}) > 1:
        print_table(matrix_table(report), console)
    repeats = repeats_table(report)
    if repeats is not None:
        print_table(repeats, console)
    console.print(method_note(report), style="dim", highlight=False)


def _print_comparison(comparison: Comparison, console: Console, show_cells: bool) -> None:
    trained = comparison.transfer.trained_on
    about = f"   trained on {', '.join(trained)}" if trained else ""
    heading = Text(f"{sides(comparison)}{about}")
    heading.stylize("bold", 0, len(comparison.candidate))
    console.rule(heading, align="left")
    for table in domain_tables(comparison):
        print_table(_below_heading(table, comparison), console)
    tables = [decomposition_table(comparison)]
    if show_cells:
        tables.append(cells_table(comparison))
    if comparison.base_kind == "plain":
        tables.append(coverage_table(comparison))
    tables.append(transfer_table(comparison))
    if (by_length := length_effect_table(comparison)) is not None:
        tables.append(by_length)
    for table in tables:
        print_table(_below_heading(table, comparison), console, inline=True)
    for note in comparison.notes:
        console.print(f"[yellow]note[/] {escape(note)}", highlight=False)
    console.print()


def _below_heading(table: Table, comparison: Comparison) -> Table:
    """Return a table whose title leaves out who is compared: the heading says it."""
    return replace(table, title=table.title.removeprefix(table_title(comparison, "")))
