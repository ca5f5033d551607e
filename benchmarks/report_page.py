"""How fast does the report page open with 20,000 generations? Five checkpoints, 1,319 examples, 3 generations each.

The texts are sums in sentences with formulas, 1 to 1.5 kB each, all of one task: the most that one chunk can hold.
Reading and packing, rendering, and what a reader waits for in a real browser are measured apart: the list (ids,
filters, counts), the first example in full, a search through every text of two checkpoints. The limit for the list is
3 s.

    python benchmarks/report_page.py [--generations 3] [--keep page.html]
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, Results, add_json, save

from harness.findings import TransferReport
from harness.schema import (
    CheckpointRef,
    EngineSpec,
    Example,
    Fingerprint,
    Generation,
    RequestKey,
    RunRecord,
    RunSpec,
    Sampling,
    Score,
    TaskRef,
)
from harness.spec import spec_id
from harness.store import RunStore, run_path
from harness.study.findings import StudyFindings, StudyRun
from harness.study.spec import Role, StudyCheckpoint, StudySpec
from reports.page.examples import pack_examples
from reports.page.page import render_page

LABELS = ("base", "grlo", "rlvr", "random", "released")
NUM_EXAMPLES = 1319
WORDS = (
    "each",
    "then",
    "therefore",
    "remaining",
    "apples",
    "train",
    "price",
    "average",
    "first",
    "total",
    "half",
    "day",
)


def draw_text(rng: np.random.Generator) -> str:
    """Return 1 to 1.5 kB of steps with formulas."""
    lines: list[str] = []
    while sum(map(len, lines)) < rng.integers(1000, 1400):
        a, b = rng.integers(2, 999, 2)
        words = " ".join(rng.choice(WORDS, 9))
        lines.append(
            f"{words}: $\\frac{{{a}}}{{{b}}} \\cdot {b} = {a}$, so it costs ${a} and\n\\[ x_{{{b}}} = {a * b} \\]"
        )
    return "\n".join([*lines, f"The answer is \\boxed{{{rng.integers(999)}}}."])


def write_run(root: Path, label: str, k: int, rng: np.random.Generator) -> StudyRun:
    """Write one finished run directory."""
    sampling = Sampling(temperature=1.0 if k > 1 else 0.0, num_generations=k)
    ref = TaskRef("gsm8k", "1", "math", "0" * 64, "prompt@1", "scorer@1", sampling, NUM_EXAMPLES)
    fingerprint = Fingerprint(weights=label, tokenizer="t", template="c")
    engine = EngineSpec(name="scripted", dtype="none", device="none")
    spec = RunSpec(CheckpointRef(label, label, None, fingerprint), (ref,), engine, "chat", None, None)
    store = RunStore(run_path(root, spec), spec)
    store.keep_examples(Example("gsm8k", str(i), draw_text(rng)[:300], str(i)) for i in range(NUM_EXAMPLES))
    for row, index in np.ndindex(NUM_EXAMPLES, k):
        key = RequestKey("gsm8k", str(row), int(index))
        store.generations.append(Generation(key, draw_text(rng), "stop", 90, 400, 0.1))
        store.scores.append(Score(key, float(rng.random() < 0.5), "scored", str(row), "math@1", detail="equal to it"))
    record = RunRecord(spec_id(spec), spec, "complete", (), None, (), "2026-01-01T00:00:00+00:00")
    store.finish(record)
    store.close()
    return StudyRun(label, str(store.path), "", record)


def describe(runs: list[StudyRun]) -> StudyFindings:
    """Return findings of nothing but the runs: the example browser is what is measured."""
    roles: tuple[Role, ...] = ("base", "candidate", "candidate", "control", "reference")
    checkpoints = tuple(StudyCheckpoint(label, role, label) for label, role in zip(LABELS, roles, strict=True))
    report = TransferReport(0.95, "domains", 0, 10_000, (), ())
    spec = StudySpec(name="benchmark", checkpoints=checkpoints)
    return StudyFindings(spec, report, (), (), (), (), (), (), {}, tuple(runs), ())


def measure_in_browser(path: Path) -> dict[str, float]:
    """Return the seconds a reader waits, opening the file once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        found = {}
        started = time.monotonic()

        def lap(name: str) -> None:
            nonlocal started
            found[name] = time.monotonic() - started
            started = time.monotonic()

        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector("#list [role=option]")
        lap("open to list")
        page.click("#list [role=option] >> nth=3")
        page.wait_for_selector("#detail math")
        lap("first example")
        page.keyboard.press("j")
        page.locator("#detail h3", has_text="gsm8k / 4").wait_for()
        lap("next example")
        page.fill("#query", "x_{7} =")
        page.locator("#status", has_text="found").wait_for()
        lap("first search")
        browser.close()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=3, help="per example and checkpoint")
    parser.add_argument("--keep", type=Path, help="write the page here")
    add_json(parser)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        runs = [write_run(Path(folder), label, options.generations, rng) for label in LABELS]
        findings = describe(runs)
        started = time.monotonic()
        book = pack_examples(runs)
        packed = time.monotonic()
        text = render_page(findings, [], [], [], book)
        rendered = time.monotonic()
        path = options.keep or Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        print(f"{book.num_shown:,} of {book.num_generations:,} generations, page {len(text) / 1e6:.1f} MB")
        print(f"read and pack   {packed - started:6.2f} s")
        print(f"render          {rendered - packed:6.2f} s")
        waits = measure_in_browser(path)
    for name, seconds in waits.items():
        print(f"{name:<15} {seconds:6.2f} s")
    found = {"packed": packed - started, "opened to its list": waits["open to list"], "searched": waits["first search"]}
    what = f"a report page with {book.num_shown:,} generations"
    save(options.json, Results(tuple(Figure(f"{what}, {name}", spent, "s") for name, spent in found.items())))


if __name__ == "__main__":
    main()
