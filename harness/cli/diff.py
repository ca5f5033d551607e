"""`harness diff`: which fields two runs differ in, and what that means for comparing them."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from harness.cli.table import stdout_console
from harness.errors import EXIT_NEGATIVE, EXIT_OK, StoreError
from harness.identity import FieldDifference, conflicting_fields, differing_fields
from harness.schema import Provenance, Record, RunRecord, RunSpec
from harness.spec import spec_id
from harness.store import encode_pretty, read_json, read_lines

_ENGINE_SETTINGS = ("device_name", "attention", "max_batch_tokens", "max_batch_size", "threads")
"""What an engine says of itself that may move its arithmetic; the rest are counts and versions."""


class DiffReport(Record, frozen=True):
    """What `harness diff --json` prints."""

    left: str
    """label/spec_id."""
    right: str
    differing: tuple[FieldDifference, ...]
    """Fields that decide results."""
    refused: tuple[str, ...]
    """Those of them for which `harness compare` refuses the pair; `tasks` if the runs share none."""
    unfinished: tuple[str, ...]
    """Those of the two that have not finished, so that they cannot be compared yet."""
    circumstances: tuple[FieldDifference, ...]
    """Differences in where and with what the runs were made; they decide nothing by themselves."""


@dataclass(frozen=True)
class _Side:
    """One of the two runs, finished or not."""

    spec: RunSpec
    sessions: tuple[Provenance, ...]
    is_finished: bool

    @property
    def name(self) -> str:
        return f"{self.spec.checkpoint.label}/{spec_id(self.spec)}"


@click.command("diff")
@click.argument("left", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("right", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON instead of a table.")
def command(left: Path, right: Path, as_json: bool) -> int:
    """Say which fields two runs differ in, and whether they may be compared.

    RUN is a run directory, finished or not, the run.<grading>.json of a re-grading, or a label's folder with one run.

    \b
    harness diff runs/lab-base/0123456789abcdef runs/lab-grlo/fedcba9876543210
    harness diff runs/lab-base runs/lab-grlo

    Exit code, as of diff(1): 0 if nothing that decides a result differs, 1 if something does.
    """  # noqa: D301 - click reads \b as a backspace character
    report = compare_specs(_read_side(left), _read_side(right))
    if as_json:
        sys.stdout.write(encode_pretty(report).decode())
    else:
        print_diff(report)
    return EXIT_NEGATIVE if report.differing else EXIT_OK


def compare_specs(left: _Side, right: _Side) -> DiffReport:
    """Return what differs between two runs."""
    differing = differing_fields(left.spec, right.spec)
    refused = dict.fromkeys(item.field for item in conflicting_fields(left.spec, right.spec))
    if not {ref.name for ref in left.spec.tasks} & {ref.name for ref in right.spec.tasks}:
        refused["tasks"] = None
    return DiffReport(
        left=left.name,
        right=right.name,
        differing=differing,
        refused=tuple(refused),
        unfinished=tuple(side.name for side in (left, right) if not side.is_finished),
        circumstances=_circumstances(left.sessions, right.sessions),
    )


def _read_side(path: Path) -> _Side:
    if path.is_file() and re.fullmatch(r"run(\.\w+)?\.json", path.name):
        record = read_json(path, RunRecord)
        return _Side(record.spec, record.sessions, is_finished=True)
    folder = path if (path / "spec.json").is_file() else _only_run(path)
    sessions = folder / "sessions.jsonl"
    return _Side(
        spec=read_json(folder / "spec.json", RunSpec),
        sessions=tuple(read_lines(sessions, Provenance)) if sessions.is_file() else (),
        is_finished=(folder / "run.json").is_file(),
    )


def _only_run(path: Path) -> Path:
    found = sorted(spec.parent for spec in path.glob("*/spec.json"))
    if not found:
        raise StoreError(
            f"{path} is neither a run directory (with a spec.json), a run.json, nor a label's folder; expected e.g. "
            "runs/LABEL/0123456789abcdef, which `harness eval` prints at its end"
        )
    if len(found) > 1:
        raise StoreError(f"{path} holds {len(found)} runs; name one: {', '.join(str(run) for run in found)}")
    return found[0]


def _circumstances(left: tuple[Provenance, ...], right: tuple[Provenance, ...]) -> tuple[FieldDifference, ...]:
    """Compare what each side's sessions say of themselves; nothing where a side has none."""
    if not left or not right:
        return ()
    values = [_described(sessions) for sessions in (left, right)]
    names = dict.fromkeys(name for side in values for name in side)
    for name in _ENGINE_SETTINGS:
        if not all(name in side for side in values):
            names.pop(name, None)  # another kind of engine has other settings
    pairs = [(name, *(", ".join(side.get(name, ["none"])) for side in values)) for name in names]
    return tuple(FieldDifference(field=name, task=None, left=a, right=b) for name, a, b in pairs if a != b)


def _described(sessions: tuple[Provenance, ...]) -> dict[str, list[str]]:
    """Return field → its values, each once, over a run's sessions."""
    found: dict[str, list[str]] = {}
    for session in sessions:
        dirty = " with uncommitted changes" if session.git_dirty else ""
        plain: dict[str, Any] = {
            "harness": session.harness_version,
            "commit": f"{session.git_commit or 'unknown'}{dirty}",
            "device": session.device,
            "python": session.python,
            "platform": session.platform,
            **session.packages,
            **{name: session.engine[name] for name in _ENGINE_SETTINGS if name in session.engine},
        }
        for name, value in plain.items():
            values = found.setdefault(name, [])
            if str(value) not in values:
                values.append(str(value))
    return found


def print_diff(report: DiffReport) -> None:
    """Print what differs, what it means for comparing, and, dimly, what differs without deciding anything."""
    console = stdout_console()
    console.print(f"left   {report.left}\nright  {report.right}", markup=False, highlight=False, soft_wrap=True)
    if report.differing:
        console.print(_table(report.differing))
    console.print(_meaning(report), highlight=False)
    if report.circumstances:
        console.print("\nDiffers, does not count:", style="dim")
        table = _table(report.circumstances)
        table.style = "dim"
        console.print(table)


def _table(items: tuple[FieldDifference, ...]) -> Table:
    """Return a row for each field, tasks that differ in it alike together."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for item in items:
        rows.setdefault((item.field, item.left, item.right), []).append(item.task or "")
    has_tasks = any(item.task for item in items)
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("field", no_wrap=True)
    if has_tasks:
        table.add_column("task", max_width=30)
    for name in ("left", "right"):
        table.add_column(name, overflow="fold")
    for (field, left, right), tasks in rows.items():
        where = (", ".join(tasks),) if has_tasks else ()
        table.add_row(field, *where, escape(_shorten(left)), escape(_shorten(right)))
    return table


def _shorten(value: str) -> str:
    """Cut every digest to its first 12 digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1", value)


def _meaning(report: DiffReport) -> str:
    if not report.differing:
        return "Nothing that decides a result differs: this is one run measured twice."
    if "tasks" in report.refused:
        return "`harness compare` refuses to compare these: they have no task in common."
    if report.refused:
        flags = " ".join(f"--allow-drift {field}" for field in report.refused)
        return (
            f"`harness compare` refuses to compare these: {', '.join(report.refused)} must agree.\nMeasure both alike, "
            f"or pass {flags}."
        )
    waiting = f", once {' and '.join(report.unfinished)} has finished" if report.unfinished else ""
    return f"`harness compare` takes these as base and candidate{waiting}: all that must agree does."
