"""`harness fetch`: download rows, judges' prompts and checkpoints ahead, for use where there is no network."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from harness.checkpoint import resolve_checkpoint
from harness.cli.options import split_accepted, split_names, task_options
from harness.cli.table import stdout_console
from harness.download import download
from harness.errors import UsageError
from harness.judging.protocol import TemplateFile
from harness.judging.template_files import is_by_hand, load_templates, parse_templates
from harness.schema import LoadedData
from harness.store import disk_errors, write_atomically
from tasks.dataset import DataSource, Join, check_hash
from tasks.places import find_rows
from tasks.registry import select_tasks
from tasks.task import BenchmarkTask
from trainers.lab import SHIPPED


@click.command("fetch")
@task_options
@click.option("--ckpt", metavar="ID", multiple=True, help="Hub checkpoint to download into the hub's cache.")
@click.option("--data-dir", metavar="DIR", help="Folder to write rows to; pass the same to `harness eval`.")
@click.option("--hub-dir", metavar="DIR", help="Read from this mirror (DIR/org/name) instead of the hub.")
@click.option(
    "--accept-data", metavar="TASK=HASH", multiple=True, help="Take rows that differ from the registered ones."
)
def command(
    suite: tuple[str, ...],
    task: tuple[str, ...],
    ckpt: tuple[str, ...],
    data_dir: str | None,
    hub_dir: str | None,
    accept_data: tuple[str, ...],
) -> None:
    """Download benchmark rows and checkpoints ahead, for offline use.

    \b
    harness fetch --suite chat,math,code --data-dir data
    harness fetch --ckpt Qwen/Qwen3-4B-Base
    """  # noqa: D301 - click reads \b as a backspace character
    console = stdout_console()
    names, accepted = split_names(suite, task), split_accepted(accept_data)
    if not names and not ckpt:
        raise UsageError("nothing to fetch; pass --suite or --task with --data-dir, or --ckpt")
    if names and not data_dir:
        raise UsageError("--data-dir DIR is needed: where should the rows go?")
    for checkpoint_id in ckpt:
        resolved = resolve_checkpoint(checkpoint_id, SHIPPED)
        console.print(
            f"{checkpoint_id}: revision {resolved.ref.revision} in {resolved.folder}", markup=False, soft_wrap=True
        )
    mirror = Path(hub_dir) if hub_dir else None
    for chosen in select_tasks(names) if names else ():
        if chosen.source.embedded:
            console.print(f"{chosen.name}: comes with the package")
            continue
        assert data_dir is not None
        for line in _fetch_task(chosen, Path(data_dir), mirror, accepted):
            console.print(line, markup=False, soft_wrap=True)


def _fetch_task(task: BenchmarkTask, folder: Path, mirror: Path | None, accepted: Mapping[str, str]) -> Iterator[str]:
    """Write the files of a task's rows, of its worked examples and of its judge's prompts; yields what was done."""

    def load_data(data_dir: Path | None) -> LoadedData:
        data = task.load(data_dir, mirror)
        check_hash(task.name, task.data_sha256, data, accepted.get(task.name))
        return data

    def load_exemplars(data_dir: Path | None) -> LoadedData:
        data = task.with_exemplars(data_dir, mirror, accepted).exemplars
        assert data is not None
        return data

    yield from _fetch_rows(task.name, task.source, folder, mirror, load_data)
    if task.shots is not None:
        yield from _fetch_rows(task.shots_name, task.shots.source, folder, mirror, load_exemplars)
    if task.judging is not None and task.judging.templates is not None:
        yield f"{task.name} judge: {_fetch_templates(task.judging.templates, folder)}"


def _fetch_rows(
    name: str,
    source: DataSource,
    folder: Path,
    mirror: Path | None,
    load: Callable[[Path | None], LoadedData],
) -> Iterator[str]:
    """Write the files of a source that are missing, once they are known to make the rows that are meant."""
    data = load(folder if folder.is_dir() else None)
    for place in source.places:
        assert place.local is not None
        path = folder / place.local
        what = place.what if isinstance(place, Join) else f"{len(data.examples)} rows"
        if path.exists():
            yield f"{name}: {what}, already there, {path}"
            continue
        rows, where = find_rows(name, place, None, mirror)
        _write_rows(path, list(rows))
        yield f"{name}: {what}, of {where}, to {path}"


def _fetch_templates(source: TemplateFile, folder: Path) -> str:
    """Write a judge's prompts as their authors have them, and return what was done."""
    path = folder / source.local
    if not path.exists():
        if is_by_hand(source):
            return f"its authors keep the prompt in a program, {source.url}; write {path} as docs/data.md says"
        content = download(source.url)
        parse_templates(source, content, source.url)
        _write(path, content)
        return f"prompts of {source.url}, to {path}"
    load_templates(source, folder)
    return f"prompts already there, {path}"


def _write_rows(path: Path, rows: list[Mapping[str, Any]]) -> None:
    import gzip

    text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows).encode()
    _write(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def _write(path: Path, content: bytes) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
