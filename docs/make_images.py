"""Makes the pictures of the docs from real runs: python docs/make_images.py."""

import io
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from harness.cli import compare, table
from harness.cli.main import main

IMAGES = Path(__file__).parent / "images"
COMPARE = ("compare", "runs/lab-base", "runs/lab-grlo", "runs/lab-rlvr")


def make_image(name: str, arguments: Sequence[str], width: int, prepare: Sequence[Sequence[str]] = ()) -> None:
    """Record what one command prints, after running what it needs."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for command in prepare:
            main(list(command))
        console = Console(record=True, width=width, file=io.StringIO())
        console.print(f"[bold green]$[/] harness {' '.join(arguments)}", highlight=False)
        table.stdout_console = compare.stdout_console = lambda: console
        main(list(arguments))
        os.chdir(IMAGES)
    (IMAGES / f"{name}.svg").write_text(console.export_svg(title="GRLO Harness", theme=MONOKAI), encoding="utf-8")


def make_report_images() -> None:
    """Make the report of the lab's study, keep one figure, and take a picture of the page's first screen."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        os.chdir(folder)
        for command in (("init", "study.toml"), ("run", "study.toml"), ("report", "study.toml", "-o", "out")):
            main(["study", *command])
        shutil.copy("out/figures/deltas.svg", IMAGES / "deltas.svg")
        page = play.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(
            viewport={"width": 1100, "height": 900}, device_scale_factor=1.5
        )
        page.goto(Path("out/report.html").resolve().as_uri())
        page.screenshot(path=IMAGES / "report.png")
        page.context.browser.close()
        os.chdir(IMAGES)


def make_verified_image() -> None:
    """Draw what the campaigns found, read from the pages that they wrote; a page that is missing has no bar."""
    import matplotlib.pyplot as plt

    bars = read_campaigns(IMAGES.parent)
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(bars) + 0.5), layout="constrained")
    for row, (_, good, total) in enumerate(reversed(bars)):
        axes.barh(row, good / total, color="#2a9d8f")
        axes.barh(row, 1 - good / total, left=good / total, color="#e76f51")
        axes.text(0.01, row, f"{good:,} of {total:,}", va="center", color="white", weight="bold")
    axes.set_yticks(range(len(bars)), [what for what, _, _ in reversed(bars)])
    axes.set_xticks([])
    axes.set_xlim(0, 1)
    axes.spines[:].set_visible(False)
    figure.savefig(IMAGES / "verified.svg", metadata={"Date": None})
    plt.close(figure)


def read_campaigns(pages: Path) -> list[tuple[str, int, int]]:
    """Return what each campaign tried, as (what, how many went well, how many there were)."""
    bars = []
    hostile = (pages / "hostile.md").read_text(encoding="utf-8")
    ours, theirs = re.findall(r"^\| all \| (\d+) \| (\d+) \|", hostile, re.MULTILINE)[:2]
    for who, (total, passed) in (("stopped here", ours), ("stopped by EvalPlus", theirs)):
        bars.append((f"hostile programs {who}", int(total) - int(passed), int(total)))
    chaos = (pages / "chaos.md").read_text(encoding="utf-8")
    (everything,) = re.findall(r"^\| \*\*all\*\* \|(.+)\|$", chaos, re.MULTILINE)
    kills, *_, units, lost, doubled, _, _ = (int(cell.strip(" *").replace(",", "")) for cell in everything.split("|"))
    bars.append((f"requests, verdicts and steps kept over {kills} kills", units - lost - doubled, units))
    calibration = (pages / "calibration.md").read_text(encoding="utf-8")
    held, failed = (sum(map(int, re.findall(rf"(\d+) {word}", calibration[:1500]))) for word in ("hold,", "fail"))
    bars.append(("intervals and tests that hold, of those decided", held, held + failed))
    return bars


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    make_verified_image()
    make_report_images()
    make_image("eval", ["eval", "--ckpt", "lab/base", "--suite", "lab"], 100)
    sampled = [
        ("eval", "--ckpt", f"lab/{arm}", "--suite", "lab", "--preset", "avg@8") for arm in ("base", "grlo", "rlvr")
    ]
    make_image("compare", COMPARE, 100, sampled)
