"""Runs the speed scripts one after the other, prints one table, and writes it into docs/benchmarks.md with a chart.

    python benchmarks/run_all.py [--data-dir DIR] [--quick] [--full] [--only growth resampling …]

What needs benchmark data, a browser or another environment's Python is left out without it, and the page says so.
--quick runs all at small settings, to see that they work, and writes nothing; --full adds a
million requests to growth. With --only nothing is written either, unless --docs names the folder of the page.
--results keeps what each script found in a folder and takes what is there already, so that a run cut short can go on.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import Results, load
from speed_page import Made, print_table, table_rows, write

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"


@dataclass(frozen=True)
class Script:
    """How a script is called."""

    name: str
    arguments: str = ""
    quick: str | None = ""
    """Arguments under --quick; None where it cannot be quick."""
    needs: str = ""
    """An option of ours that it needs and is given: data_dir, trl_python, …; or `browser`."""
    runs_in: str = ""
    """The option that names the Python which runs it, where that is another one than ours."""

    @property
    def title(self) -> str:
        """Its name, with what tells it from another call of the same script."""
        return f"{self.name} {self.runs_in.removesuffix('_python')}".strip()


SCRIPTS = (
    Script("fixed_cost", "--repeats 3", "--repeats 1 --limit 50", "data_dir"),
    Script("score_programs", "--workers 2 --repeats 1", None, "data_dir"),
    Script("math_scoring", "", "--limit 40", "data_dir"),
    Script("hf_engine", "--repeats 3 --batch 32", "--repeats 1 --batch 8 --tokens 24"),
    Script("resampling", "", "--resamples 1000 --repeats 1 --peer-checkpoints 1"),
    Script("compare_runs", "", "--candidates 2"),
    Script("compare_runs", "--generations 8", None),
    Script("report_page", "", "--generations 1", "browser"),
    Script("audit", "", "", "data_dir"),
    Script("growth", "", "--sizes 1000"),
    Script("trainer_step", "--algorithm grpo", "--algorithm grpo --steps 1 --blocks 1"),
    Script("beside_peers", "", "--rounds 1 --tokens 4 --limit 100", "data_dir"),
    Script("beside_peers", "--engine vllm", None, "data_dir", runs_in="vllm_python"),
    Script("trainer_step", "--algorithm ppo", None, "trl_python"),
    Script("peers", "", "--repeats 1", "inspect_python"),
)
ENVIRONMENTS = ("trl_python", "vllm_python", "inspect_python")


def missing(script: Script, options: argparse.Namespace) -> str:
    """Return why a script cannot be run; nothing if it can."""
    if options.quick and script.quick is None:
        return "it cannot be quick"
    if "browser" in script.needs and not shutil.which("chromium"):
        return "no chromium"
    wanted = [script.runs_in, script.needs.replace("browser", "")]
    if script.name == "peers":
        wanted.append("data_dir")
    for name in filter(None, wanted):
        if getattr(options, name) is None:
            return f"no --{name.replace('_', '-')}"
    return ""


def command(script: Script, options: argparse.Namespace, target: Path) -> list[str]:
    """Return the words that run a script."""
    given = (script.quick or "") if options.quick else script.arguments
    words = [getattr(options, script.runs_in) if script.runs_in else sys.executable, str(HERE / f"{script.name}.py")]
    words += [*given.split(), "--json", str(target)]
    for name in ("data_dir", "trl_python", "inspect_python"):
        if script.needs == name or (script.name == "peers" and name == "data_dir"):
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return [*words, "--full"] if options.full and script.name == "growth" else words


def run(script: Script, options: argparse.Namespace, target: Path) -> Results | str:
    """Run a script in a process of its own; return what it found, or how it failed."""
    environment = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **os.environ}
    done = subprocess.run(command(script, options, target), capture_output=True, text=True, env=environment)
    if done.returncode == 0 and target.exists():
        return load(target)
    return "failed: " + next(iter(done.stderr.strip().splitlines()[::-1]), f"exit code {done.returncode}")


def run_scripts(
    scripts: Sequence[Script], options: argparse.Namespace
) -> tuple[dict[str, Results], list[str], list[str]]:
    """Run what can be run; return what was found by script, what was left out, and what failed."""
    found: dict[str, Results] = {}
    left_out, failed = [], []
    with contextlib.nullcontext(options.results) if options.results else tempfile.TemporaryDirectory() as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for script in scripts:
            if reason := missing(script, options):
                left_out.append(f"{script.title} ({' '.join(script.arguments.split())}): {reason}".replace(" ()", ""))
                continue
            started = time.monotonic()
            target = Path(folder, f"{script.title} {script.arguments}".strip() + ".json")
            result = load(target) if target.exists() else run(script, options, target)
            print(f"{script.title:<20} {time.monotonic() - started:6.1f} s", file=sys.stderr, flush=True)
            if isinstance(result, str):
                failed.append(f"{script.title}: {result}")
            else:
                name = script.title if script.title not in found else f"{script.title} {script.arguments}"
                found[name] = result
    return found, left_out, failed


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder of benchmark data, as of `harness eval`")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=sorted({script.name for script in SCRIPTS}))
    parser.add_argument("--results", type=Path, help="folder that keeps what each script found")
    parser.add_argument("--docs", type=Path, help="folder of benchmarks.md and images/")
    for name in ENVIRONMENTS:
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"environment with {name.removesuffix('_python')}")
    options = parser.parse_args()
    docs = options.docs or (None if options.quick or options.only else DOCS)
    started, load_before = time.monotonic(), os.getloadavg()[0]
    scripts = [script for script in SCRIPTS if not options.only or script.name in options.only]
    found, left_out, failed = run_scripts(scripts, options)

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(print_table(table_rows(found)))
    for line in (*left_out, *failed):
        console.print(line, markup=False, highlight=False)
    if docs is not None:
        made = Made(time.monotonic() - started, load_before, tuple(left_out + failed))
        for path in write(docs, found, made):
            console.print(f"wrote {path.relative_to(docs.parent)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
