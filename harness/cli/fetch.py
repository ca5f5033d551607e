"""`harness fetch`: download rows and checkpoints where there is a network, for use where there is none."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from harness.checkpoint import resolve_checkpoint
from harness.cli.options import split_accepted, split_names, task_options
from harness.cli.table import stdout_console
from harness.errors import UsageError
from harness.schema import LoadedData
from harness.store import disk_errors, write_atomically
from tasks.dataset import DataSource, check_hash, find_rows
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
    """Write a task's rows, and those that its worked examples are among; yields what was done."""

    def load_data(data_dir: Path | None) -> LoadedData:
        data = task.load(data_dir, mirror)
        check_hash(task.name, task.data_sha256, data, accepted.get(task.name))
        return data

    def load_exemplars(data_dir: Path | None) -> LoadedData:
        data = task.with_exemplars(data_dir, mirror, accepted).exemplars
        assert data is not None
        return data

    yield f"{task.name}: {_fetch_rows(task.name, task.source, folder, mirror, load_data)}"
    if task.shots is not None:
        text = _fetch_rows(task.shots_name, task.shots.source, folder, mirror, load_exemplars)
        yield f"{task.shots_name}: {text}"


def _fetch_rows(
    name: str,
    source: DataSource,
    folder: Path,
    mirror: Path | None,
    load: Callable[[Path | None], LoadedData],
) -> str:
    assert source.local is not None
    path = folder / source.local
    is_there = path.exists()
    data = load(folder if is_there else None)
    if not is_there:
        rows, _ = find_rows(name, source, None, mirror)
        _write_rows(path, list(rows))
    return f"{len(data.examples)} rows, " + ("already there, " if is_there else f"of {data.source}, to ") + str(path)


def _write_rows(path: Path, rows: list[Mapping[str, Any]]) -> None:
    import gzip

    text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows).encode()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
