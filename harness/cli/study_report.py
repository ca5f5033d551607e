"""`harness study report` and `harness study claims`: what a study's finished runs say. They load no weights."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from rich.markup import escape

from harness.cli.options import split_names
from harness.cli.progress import show_steps
from harness.cli.study_runs import study_run_paths
from harness.cli.table import print_note, stdout_console
from harness.errors import EXIT_NEGATIVE, EXIT_OK, UsageError
from harness.study.assemble import assemble, assemble_runs
from harness.study.contamination import audit_study
from harness.study.findings import StudyFindings
from harness.study.gather import load_runs
from harness.study.spec import StudySpec, read_study

if TYPE_CHECKING:
    from reports.study import WrittenReport

F = TypeVar("F", bound=Callable[..., Any])
FIGURE_FORMATS = ("pdf", "svg", "png")


def report_options(function: F) -> F:
    """Add the options that say what a report shows and where it goes."""
    for option in (
        click.option(
            "--examples",
            type=click.IntRange(0),
            default=20_000,
            show_default=True,
            metavar="N",
            help="Most generations whose texts go into the page; 0 leaves the example browser out.",
        ),
        click.option(
            "--figures",
            metavar="FORMATS",
            default=",".join(FIGURE_FORMATS),
            show_default=True,
            help="File formats of the figures, comma-separated.",
        ),
        click.option(
            "--out",
            "-o",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Folder of the report; one that is there is replaced.",
        ),
    ):
        function = option(function)
    return function


@click.command("report")
@click.argument("study", type=click.Path(path_type=Path))
@report_options
@click.option("--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Any setting of the study.")
def report_command(study: Path, assignments: tuple[str, ...], **flags: Any) -> int:
    """Write the tables, the figures and the page of a study's finished runs.

    Needs neither weights nor a GPU. What has not been run is said, and the rest is reported.

    \b
    harness study report study.toml
    harness study report study.toml -o paper/results --figures pdf --set level=0.99
    """  # noqa: D301 - click reads \b as a backspace character
    spec = read_study(study, assignments)
    out = flags.pop("out") or Path("report") / spec.name
    write_and_show(spec, *find_runs_of(spec), out, flags)
    return EXIT_OK


@click.command("claims")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON instead of a table.")
@click.option("--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Any setting of the study.")
def claims_command(study: Path, assignments: tuple[str, ...], as_json: bool) -> int:
    """Say of each claim of a study whether its runs support it, refute it, or leave it undecided.

    Exit code 1 if one is refuted.

    \b
    harness study claims study.toml
    """  # noqa: D301 - click reads \b as a backspace character
    from reports.formats.terminal import print_table
    from reports.tables.claims import claims_table

    spec = read_study(study, assignments)
    if not spec.claims:
        raise UsageError(f'{study} claims nothing; add e.g.  [[claims]]  claim = "overall grlo - base > 5"')
    paths, notes = find_runs_of(spec)
    findings = assemble(spec, paths, (), notes)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(findings.claims), indent=2) + b"\n")
    else:
        for note in notes:
            print_note(note)
        table = claims_table(findings)
        assert table is not None, "there are claims"
        print_table(table, stdout_console())
    return EXIT_NEGATIVE if any(claim.verdict == "refuted" for claim in findings.claims) else EXIT_OK


def find_runs_of(spec: StudySpec) -> tuple[Mapping[str, Sequence[Path]], tuple[str, ...]]:
    """Return a study's run.json files by label, and a line on each checkpoint without any."""
    found = study_run_paths(spec)
    missing = tuple(f"{label}: {reason}" for label, reason in found.missing.items())
    return found.paths, (*missing, *found.notes)


def write_and_show(
    spec: StudySpec, paths: Mapping[str, Sequence[Path]], notes: Sequence[str], out: Path, flags: Mapping[str, Any]
) -> None:
    """Measure, write the report and print its answer."""
    from reports.study import ReportOptions, check_out, write_report

    options = ReportOptions(formats=_split_formats(flags["figures"]), max_generations=flags["examples"])
    check_out(out)  # before the work, not after it
    with show_steps() as say:
        say("runs")
        runs = load_runs(spec, paths)
        say("training prompts")
        audits = audit_study(spec, runs)
        say("statistics")
        findings = assemble_runs(spec, runs, audits, notes)
        written = write_report(findings, out, options, say)
    _print_answer(findings, written)


def _split_formats(text: str) -> tuple[str, ...]:
    formats = split_names((text,), ())
    for name in formats:
        if name not in FIGURE_FORMATS:
            raise UsageError(f"--figures: no format {name}; known: {', '.join(FIGURE_FORMATS)}")
    return formats


def _print_answer(findings: StudyFindings, written: "WrittenReport") -> None:
    from reports.formats.terminal import print_table
    from reports.page.summary import answer_study

    console = stdout_console()
    for answer in answer_study(findings):
        console.print(f"[bold]{escape(answer.headline)}[/] {escape(' '.join(answer.details))}", highlight=False)
        console.print()
    for section in written.sections:
        if section.title in ("Scores", "Claims"):
            print_table(section.tables[0], console)
    for line in (*findings.not_run, *written.missing):
        console.print(f"[yellow]not run[/] {escape(line)}", highlight=False)
    for name in ("report.html", "summary.md", "tables", "figures", "numbers.csv"):
        console.print(f"{written.folder / name}", markup=False, highlight=False, soft_wrap=True)
