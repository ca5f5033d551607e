"""`harness fetch`: download rows and checkpoints where there is a network, for use where there is none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.checkpoint import resolve_checkpoint
from harness.cli.options import split_accepted, split_names, task_options
from harness.cli.table import stdout_console
from harness.errors import UsageError
from harness.store import disk_errors, write_atomically
from tasks.dataset import check_hash, find_rows
from tasks.registry import select_tasks
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
    for chosen in select_tasks(names) if names else ():
        if chosen.source.embedded:
            console.print(f"{chosen.name}: comes with the package")
            continue
        assert data_dir is not None
        assert chosen.source.local is not None
        path, mirror = Path(data_dir) / chosen.source.local, Path(hub_dir) if hub_dir else None
        here = Path(data_dir) if path.exists() else None
        data = chosen.load(here, mirror)
        check_hash(chosen.name, chosen.data_sha256, data, accepted.get(chosen.name))
        if here is None:
            rows, _ = find_rows(chosen.name, chosen.source, None, mirror)
            _write_rows(path, list(rows))
        text = f"{chosen.name}: {len(data.examples)} rows, " + ("already there," if here else f"of {data.source}, to")
        console.print(f"{text} {path}", markup=False, soft_wrap=True)


def _write_rows(path: Path, rows: list[Mapping[str, Any]]) -> None:
    import gzip

    text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows).encode()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
