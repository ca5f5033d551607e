"""What does inspect_ai cost around a model? Its mockllm beside our scripted engine, on GSM8K's 1,319 rows.

    python benchmarks/peers.py --data-dir DIR --inspect-python PYTHON [--repeats 3]

The Python is that of an environment with inspect_ai, which need not have the harness:

    python -m venv PEER && PEER/bin/pip install inspect_ai

Whole processes take turns, at 20 rows and at all of them: the first is the fixed cost, the difference over the number
of rows the cost of a request. Both read the same file, get a text at once, look for the last number in it, and write
their logs. The text of ours is scripted and varies, mockllm's is "The answer is 42."; ours judges by the math scorer,
inspect_ai by its `match` of numbers. lighteval 0.13 is not measured: it cannot be run offline, since loading its tasks
fetches a file from the web, also for a task of one's own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, Results, add_json, save

HARNESS = [sys.executable, "-m", "harness.cli.main"]
FEW = 20
INSPECT = """
import json, sys
import inspect_ai
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

rows = [json.loads(line) for line in open(sys.argv[1])][: int(sys.argv[2])]
samples = [Sample(input=row["question"], target=row["answer"].split("####")[-1].strip()) for row in rows]

def answer(*_):
    output = ModelOutput.from_content("mockllm/model", "The answer is 42.")
    output.usage = ModelUsage(input_tokens=100, output_tokens=5, total_tokens=105)  # or it fetches a tokenizer
    return output

model = get_model("mockllm/model", custom_outputs=answer)
task = Task(dataset=MemoryDataset(samples), solver=generate(), scorer=match(numeric=True))
(log,) = eval(task, model=model, display="none", log_dir=sys.argv[3])
assert log.status == "success" and len(log.samples) == len(rows), log.error
print(inspect_ai.__version__)
"""


def run(command: list[str], folder: str) -> tuple[float, str]:
    """Return the wall-clock seconds of a command, and the last line that it printed."""
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return time.monotonic() - started, done.stdout.splitlines()[-1]


def main() -> None:
    """Let both take turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--inspect-python", required=True, help="interpreter of an environment with inspect_ai")
    parser.add_argument("--repeats", type=int, default=3)
    add_json(parser)
    options = parser.parse_args()
    data_dir = options.data_dir.resolve()
    rows = data_dir / "gsm8k" / "test.jsonl"
    sizes = (FEW, sum(1 for _ in rows.open()))
    times: dict[tuple[str, int], list[float]] = {}
    says: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peer.py").write_text(INSPECT)
        for repeat in range(options.repeats):
            for size in sizes:
                ours = [*HARNESS, "eval", "--ckpt", "scripted:mixed", "--task", "gsm8k", "--data-dir", str(data_dir)]
                commands = {
                    "harness": [*ours, "--limit", str(size), "--out", f"{folder}/ours{repeat}-{size}"],
                    "inspect_ai": [options.inspect_python, "peer.py", str(rows), str(size), f"logs{repeat}-{size}"],
                }
                for name, command in commands.items():
                    spent, says[name] = run(command, folder)
                    times.setdefault((name, size), []).append(spent)
    few, many = ({name: statistics.median(times[name, size]) for name in ("harness", "inspect_ai")} for size in sizes)
    each = {name: 1000 * (many[name] - few[name]) / (sizes[1] - FEW) for name in few}
    peer = f"inspect_ai {says['inspect_ai']}, mockllm"
    found = (
        Figure(
            f"a whole run without a model, {FEW} examples",
            few["harness"],
            "s",
            few["inspect_ai"],
            peer,
            f"a run of {FEW} examples",
        ),
        Figure(f"the same, {sizes[1]:,} examples", many["harness"], "s", many["inspect_ai"], peer),
        Figure("each further request", each["harness"], "ms", each["inspect_ai"], peer, "each further request"),
    )
    for figure in found:
        print(f"{figure.what:<44} {figure.ours:8.2f} {figure.unit:<3} {peer} {figure.peer:8.2f}  {figure.ratio:.3f}")
    save(options.json, Results(found))


if __name__ == "__main__":
    main()
