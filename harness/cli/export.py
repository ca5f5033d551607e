"""`harness export`: results in the formats of other places: the hub's model card, lm-eval's files, a table."""

import csv
import io
from pathlib import Path

import click
import msgspec

from harness.cli.table import print_note
from harness.errors import EXIT_OK, StoreError, UsageError
from harness.schema import RunRecord
from harness.store import disk_errors, read_json, write_atomically
from harness.verdicts import find_runs
from reports.model_card import model_card


@click.group("export")
def command() -> None:
    """Write results in the formats of other places."""


@command.command("model-card", short_help="The model-index block of a model card.")
@click.argument("runs", metavar="RUN…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a new file instead of printing.",
)
@click.option("--model-name", metavar="NAME", help="Name of the model on its card.  [default: the run's label]")
@click.option("--source-url", metavar="URL", help="Page that shows the results, linked from the card.")
@click.option("--allow-incomplete", is_flag=True, help="Take runs of which some requests ended in error.")
def export_model_card(
    runs: tuple[Path, ...], output: Path | None, model_name: str | None, source_url: str | None, allow_incomplete: bool
) -> int:
    """Print the model-index block for the top of a README.md on the hub: one result a task, with interval and settings.

    \b
    harness export model-card runs/grlo
    harness export model-card runs/grlo/0123456789abcdef --model-name my-org/grlo-4b -o README-part.md

    A run is given by its directory, its run.json (or run.<grading>.json), or a label's folder.
    """  # noqa: D301 - click reads \b as a backspace character
    files = dict.fromkeys(file for path in runs for file in find_runs(path))
    records = [_read_record(file, allow_incomplete) for file in files]
    card = model_card(records, model_name or records[0].spec.checkpoint.label, source_url)
    if output is None:
        click.echo(card, nl=False)
        return EXIT_OK
    if output.exists():
        raise UsageError(
            f"{output} exists and may hold a whole card: name a new file, and paste its block into the card"
        )
    with disk_errors(output):
        output.write_text(card, encoding="utf-8")
    print_note(f"written: {output}")
    return EXIT_OK


@command.command("verdicts", short_help="A judge's verdicts as a table.")
@click.argument("store", metavar="STORE", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT.csv|OUT.jsonl", type=click.Path(path_type=Path))
def export_verdicts(store: Path, output: Path) -> int:
    """Write every stored verdict as a row: who judged, what was asked, what was said, what it cost.

    \b
    harness export verdicts verdicts verdicts.csv
    harness export verdicts verdicts/lab_reward-0123456789abcdef verdicts.jsonl
    """  # noqa: D301 - click reads \b as a backspace character
    from harness.judging.verdict_store import export

    if output.suffix not in (".csv", ".jsonl"):
        raise UsageError(f"{output}: expected a name that ends in .csv or .jsonl")
    rows = list(export(store))
    if output.suffix == ".jsonl":
        text = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    else:
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
        text = file.getvalue().encode()
    write_atomically(output, text)
    print_note(f"written: {output}, {len(rows):,} verdicts")
    return EXIT_OK


@command.command("lm-eval", short_help="A run as lm-eval's results and samples.")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write into; the files stand in a folder of the model's name.",
)
def export_lm_eval_files(run: Path, folder: Path) -> int:
    """Write a run as lm-eval's results_*.json and samples_*.jsonl, for tools that read those.

    \b
    harness export lm-eval runs/grlo/0123456789abcdef -o lm-eval-results

    `harness import lm-eval` makes the same run of them again.
    """  # noqa: D301 - click reads \b as a backspace character
    from harness.exchange.lm_eval_export import export_lm_eval

    files = find_runs(run)
    if len(files) != 1:
        raise UsageError(f"{run} holds {len(files)} runs; give one run directory, such as {files[0].parent}")
    print_note(f"written: {export_lm_eval(files[0], folder)}")
    return EXIT_OK


def _read_record(file: Path, allow_incomplete: bool) -> RunRecord:
    record = read_json(file, RunRecord)
    if record.status == "incomplete" and not allow_incomplete:
        num_errors = sum(task.num_error for task in record.tasks)
        raise StoreError(
            f"{file.parent}: {num_errors} requests ended in error; run its `harness eval` command again to retry them, "
            "or pass --allow-incomplete to publish the score of the others"
        )
    return record
