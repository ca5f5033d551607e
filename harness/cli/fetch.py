"""`harness fetch`: download rows and checkpoints where there is a network, for use where there is none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.checkpoint import resolve_checkpoint
from harness.cli.options import split_names, task_options
from harness.cli.table import stdout_console
from harness.errors import UsageError
from harness.store import write_atomically
from tasks.dataset import find_rows
from tasks.registry import select_tasks
from trainers.lab import SHIPPED


@click.command("fetch")
@task_options
@click.option("--ckpt", metavar="ID", multiple=True, help="Hub checkpoint to download into the hub's cache.")
@click.option("--data-dir", metavar="DIR", help="Folder to write rows to; pass the same to `harness eval`.")
@click.option("--hub-dir", metavar="DIR", help="Read from this mirror (DIR/org/name) instead of the hub.")
def command(
    suite: tuple[str, ...], task: tuple[str, ...], ckpt: tuple[str, ...], data_dir: str | None, hub_dir: str | None
) -> None:
    r"""Download benchmark rows and checkpoints ahead, for offline use.

    \b
    harness fetch --suite chat,math,code --data-dir data
    harness fetch --ckpt Qwen/Qwen3-4B-Base
    """
    console = stdout_console()
    names = split_names(suite, task)
    if not names and not ckpt:
        raise UsageError("nothing to fetch; pass --suite or --task with --data-dir, or --ckpt")
    if names and not data_dir:
        raise UsageError("--data-dir DIR is needed: where should the rows go?")
    for checkpoint_id in ckpt:
        resolved = resolve_checkpoint(checkpoint_id, SHIPPED)
        console.print(f"{checkpoint_id}: revision {resolved.ref.revision} in {resolved.folder}", soft_wrap=True)
    for chosen in select_tasks(names) if names else ():
        if chosen.source.embedded:
            console.print(f"{chosen.name}: comes with the package")
            continue
        assert data_dir is not None
        assert chosen.source.local is not None
        path = Path(data_dir) / chosen.source.local
        if path.exists():
            console.print(f"{chosen.name}: already there, {path}", soft_wrap=True)
            continue
        rows, where = find_rows(chosen.name, chosen.source, None, Path(hub_dir) if hub_dir else None)
        num_rows = _write_rows(path, list(rows))
        console.print(f"{chosen.name}: {num_rows} rows of {where} to {path}", soft_wrap=True)


def _write_rows(path: Path, rows: list[Mapping[str, Any]]) -> int:
    import gzip

    text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text.rstrip(b"\n"))
    return len(rows)
