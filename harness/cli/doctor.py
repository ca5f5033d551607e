"""`harness doctor`: what this machine can run, and one line on what to do about the rest."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click
from rich.markup import escape

from harness import __version__
from harness.cache import cache_dir
from harness.cli.table import stdout_console
from harness.errors import EXIT_NEGATIVE, EXIT_OK, HarnessError
from harness.provenance import package_versions
from tasks.registry import TASKS
from trainers.lab import SHIPPED


class Finding(NamedTuple):
    """One thing looked at."""

    name: str
    is_good: bool | None
    """None: not there, and only needed for part of the work."""
    text: str


@click.command("doctor")
@click.option("--data-dir", metavar="DIR", help="Folder of benchmark data.  [default: $HARNESS_DATA]")
def command(data_dir: str | None) -> int:
    """Say what this machine can run, and what to do about the rest. Exit code 1 if the quickstart could not run."""
    console = stdout_console()
    console.print(f"[bold]harness {__version__}[/], Python {platform.python_version()}", highlight=False)
    is_healthy = True
    for finding in look_around(data_dir or os.environ.get("HARNESS_DATA")):
        mark = {True: "[green]ok[/]  ", False: "[red]fix[/] ", None: "[yellow]–[/]   "}[finding.is_good]
        console.print(f"{mark} {finding.name:<12} {escape(finding.text)}", highlight=False, soft_wrap=True)
        is_healthy = is_healthy and finding.is_good is not False
    return EXIT_OK if is_healthy else EXIT_NEGATIVE


def look_around(data_dir: str | None) -> Iterator[Finding]:
    """Yield what was found, in the order in which a run needs it."""
    yield _packages()
    yield _torch()
    yield _engines()
    yield _sandbox()
    yield _shipped()
    yield _data(data_dir)
    yield _sentence_splitter(data_dir)
    yield _hub()
    yield _disk()


def _packages() -> Finding:
    versions = package_versions()
    return Finding("packages", True, ", ".join(f"{name} {number}" for name, number in versions.items()))


def _torch() -> Finding:
    from harness.engines.hf import resolve_hf

    spec = resolve_hf()
    text = f"the hf engine would run in {spec.dtype} on {spec.device}"
    if spec.device == "cpu":
        text += f" ({os.cpu_count()} cores): right for lab checkpoints; use a GPU for billions of parameters"
    return Finding("device", True, text)


def _engines() -> Finding:
    missing = [f'{name} needs pip install "grlo-harness[{name}]"' for name in ("vllm", "ray") if not find_spec(name)]
    return Finding("engines", None if missing else True, "; ".join(["hf and openai can be used", *missing]))


def _sandbox() -> Finding:
    from harness.scorers.sandbox import check_sandbox

    try:
        return Finding("sandbox", True, check_sandbox("bubblewrap"))
    except HarnessError as error:
        return Finding("sandbox", False, str(error))


def _shipped() -> Finding:
    missing = [name for name, folder in SHIPPED.items() if not (folder / "model.safetensors").is_file()]
    if missing:
        return Finding(
            "lab", False, f"shipped checkpoints are missing: {', '.join(missing)}; install the package again"
        )
    return Finding("lab", True, f"shipped checkpoints: {', '.join(SHIPPED)}")


def _data(data_dir: str | None) -> Finding:
    outside = {name: task for name, task in TASKS.items() if not task.source.embedded}
    if data_dir is None:
        return Finding(
            "data", None, "no data folder: the hub is used; or `harness fetch --suite chat,math,code --data-dir DIR`"
        )
    missing = [
        name
        for name, task in outside.items()
        if not all((Path(data_dir) / str(place.local)).is_file() for place in task.source.places)
    ]
    if missing:
        return Finding("data", None, f"{data_dir} lacks {', '.join(missing)}; `harness fetch` gets them")
    return Finding("data", True, f"{data_dir} has all {len(outside)} tasks")


def _sentence_splitter(data_dir: str | None) -> Finding:
    import nltk.data

    places = [str(Path(data_dir) / "nltk_data"), *nltk.data.path] if data_dir else nltk.data.path
    try:
        nltk.data.find("tokenizers/punkt_tab/english", paths=places)
    except LookupError:
        return Finding("nltk", None, "IFEval needs punkt_tab: python -m nltk.downloader punkt_tab, or set NLTK_DATA")
    return Finding("nltk", True, "punkt_tab is there (IFEval)")


def _hub() -> Finding:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Finding("hub", None, "offline by HF_HUB_OFFLINE; checkpoints must be folders or in the hub's cache")
    import socket

    host = constants.ENDPOINT.split("://")[-1].split("/")[0]
    try:
        socket.create_connection((host.split(":")[0], 443), timeout=3).close()
    except OSError:
        return Finding("hub", None, f"{host} cannot be reached: give checkpoints as folders and rows by --data-dir")
    return Finding("hub", True, f"{host} answers")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding("disk", free > 1, f"{free:.0f} GB free here; cache in {cache_dir()}")
