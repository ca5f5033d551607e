"""Makes the pictures of the README from real runs: python docs/make_images.py."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from harness.cli import table
from harness.cli.main import main

IMAGES = Path(__file__).parent / "images"


def make_eval_image() -> None:
    """Record the table of `harness eval --ckpt lab/base --suite lab`."""
    console = Console(record=True, width=118, file=open("/dev/null", "w"))  # noqa: SIM115 - lives as long as the process
    console.print("[bold green]$[/] harness eval --ckpt lab/base --suite lab", highlight=False)
    table.stdout_console = lambda: console
    with tempfile.TemporaryDirectory() as folder:
        main(["eval", "--ckpt", "lab/base", "--suite", "lab", "--out", folder])
    IMAGES.mkdir(exist_ok=True)
    text = console.export_svg(title="GRLO Harness", theme=MONOKAI).replace(f"{folder}/", "runs/")
    (IMAGES / "eval.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make_eval_image()
