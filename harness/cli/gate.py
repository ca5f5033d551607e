"""`harness gate`: the regression run of a CI job."""

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cli.options import drift_option
from harness.cli.table import stdout_console
from harness.errors import EXIT_INCONCLUSIVE, EXIT_NEGATIVE, EXIT_OK, UsageError
from harness.gate.findings import GateReport, GateSide, GateTest
from harness.gate.judge import gate_paths
from harness.gate.report import GUARD_RAILS, describe_test, format_cells, junit_xml, markdown_summary
from harness.reading import parse_policy, read_toml
from harness.spec import GatePolicy
from harness.store import disk_errors, encode_pretty, write_atomically

EXIT_CODES = {"pass": EXIT_OK, "regression": EXIT_NEGATIVE, "inconclusive": EXIT_INCONCLUSIVE}
STYLES = {"pass": "green", "regression": "bold red", "inconclusive": "yellow", "warning": "yellow"}
MAX_SUMMARY_BYTES = 900_000
"""GitHub refuses job summaries above 1 MiB; longer ones lose their examples."""

DEFAULT_POLICY = """\
# What `harness gate` accepts. Every line shows its default; docs/gate.md has the reasons.

margin = 3.0    # largest loss in points that is accepted on a task or domain
level = 0.05    # chance of a false alarm, and of passing a candidate that is worse by the margin

# what is tested against the margin
gate_on = ["tasks", "domains"]
# tasks and domains left out altogether
ignore = []

# guard rails, for each task
max_truncated_increase = 5.0    # points by which the share cut off at max_tokens may grow
max_no_answer_increase = 5.0    # points by which the share without an answer may grow
max_length_ratio = 1.5          # mean completion tokens, as a multiple of the baseline's
max_error_share = 0.0           # share of the requests, from 0 to 1, that may have ended in error

max_examples_listed = 20        # regressed examples per task in the reports

# margins of single tasks and domains, in points
[margins]
# gsm8k = 2.0
# math = 1.5
"""


@click.command("gate")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="RUN", help="The run that must not be lost.")
@click.option("--candidate", type=click.Path(path_type=Path), metavar="RUN", help="The run that is judged.")
@click.option("--policy", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of what is accepted.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for gate.json, gate.md and gate.xml.  [default: gate/ in the candidate's run directory]",
)
@drift_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of a table.")
@click.option("--init", type=click.Path(path_type=Path), metavar="FILE", help="Write a policy to start from; no gate.")
def command(**flags: Any) -> int:
    """Judge a checkpoint's run against a baseline's: pass, regression or inconclusive.

    A run is a run directory, its run.json (or a re-grading's run.<grading>.json), or a label's folder of runs.

    \b
    harness gate --baseline runs/main --candidate runs/pull-request
    harness gate --baseline runs/main --candidate runs/step-200 --policy gate.toml --out gate
    harness gate --init gate.toml

    Exit codes: 0 pass; 1 regression; 2 inconclusive, the examples are too few; 3 could not run.
    """  # noqa: D301 - click reads \b as a backspace character
    if flags["init"] is not None:
        if flags["baseline"] or flags["candidate"] or flags["policy"]:
            raise UsageError("--init only writes a policy; run the gate in a second command, with --policy")
        return _write_policy(flags["init"])
    if flags["baseline"] is None or flags["candidate"] is None:
        raise UsageError(
            "give both --baseline RUN and --candidate RUN; `harness eval` prints a run's folder at its end"
        )
    report = gate_paths(flags["baseline"], flags["candidate"], read_policy(flags["policy"]), flags["allow_drift"])
    out = flags["out"] or _default_out(flags["candidate"], report)
    write_reports(report, out)
    if flags["as_json"]:
        sys.stdout.write(encode_pretty(report).decode())
    else:
        print_report(report, out)
    return EXIT_CODES[report.verdict]


def read_policy(path: Path | None) -> GatePolicy:
    """Return the policy of a TOML file, or the default one.

    Raises:
        SpecError: if the file cannot be read, or a value is unknown or out of range.
    """
    return GatePolicy() if path is None else parse_policy(read_toml(path), str(path))


def _write_policy(path: Path) -> int:
    if path.exists():
        raise UsageError(f"{path} exists and is not overwritten; name another file")
    write_atomically(path, DEFAULT_POLICY.encode())
    click.echo(f"wrote {path}; pass it with --policy {path}", err=True)
    return EXIT_OK


def _default_out(given: Path, report: GateReport) -> Path:
    """Return gate/ in the candidate's run directory; in its label's folder if that holds several runs."""
    return (Path(report.candidate.paths[0]) if len(report.candidate.paths) == 1 else given) / "gate"


def write_reports(report: GateReport, out: Path) -> None:
    """Write gate.json, gate.md and gate.xml, and append to the job page of GitHub Actions where there is one."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    summary = markdown_summary(report)
    write_atomically(out / "gate.json", encode_pretty(report))
    write_atomically(out / "gate.md", summary.encode())
    write_atomically(out / "gate.xml", junit_xml(report))
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return
    if len(summary.encode()) > MAX_SUMMARY_BYTES:
        summary = markdown_summary(msgspec.structs.replace(report, regressed=()))
    with disk_errors(Path(page)), Path(page).open("a", encoding="utf-8") as file:
        file.write(summary)


def print_report(report: GateReport, out: Path) -> None:
    """Print the tests as two tables, then what to know about them, then the verdict."""
    console = stdout_console()
    console.print(
        f"candidate {_side(report.candidate)}", f"baseline  {_side(report.baseline)}", sep="\n", highlight=False
    )
    scores = [test for test in report.tests if test.kind not in GUARD_RAILS]
    rails = [test for test in report.tests if test.kind in GUARD_RAILS]
    _print_tests(console, scores, "task or domain", report.level)
    _print_tests(console, rails, "guard rail", report.level)
    console.print()
    for test in report.tests:
        if test.note and test.verdict == "pass":
            console.print(f"{format_cells(test).name}: {test.note}", markup=False, highlight=False)
        elif test.note or test.verdict == "regression":
            console.print(describe_test(test), markup=False, highlight=False, style=STYLES[test.verdict])
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print(f"[{STYLES[report.verdict]}]{report.verdict}[/]: {escape(str(out))}", highlight=False, soft_wrap=True)


def _side(side: GateSide) -> str:
    return f"[bold]{escape(side.label)}[/]  {', '.join(side.spec_ids)}  weights {side.weights[0][:12]}"


def _print_tests(console: Console, tests: list[GateTest], title: str, level: float) -> None:
    if not tests:
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column(title, no_wrap=True)
    for name in ("baseline", "candidate", "difference", f"{100 * level:g} % interval", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for test in tests:
        *cells, verdict = format_cells(test)
        style = "bold" if test.kind == "domain" else ""
        table.add_row(*(escape(cell) for cell in cells), f"[{STYLES[verdict]}]{verdict}[/]", style=style)
    console.print()
    console.print(table)
