"""What does a run cost before and around the model? GSM8K's 1,319 examples, no model, beside lm-eval's dummy model.

Also start-up (`harness --help`, a finished run printed again) and peak memory at 1, 16 and 64 generations per example.

    python benchmarks/fixed_cost.py --data-dir DIR [--repeats 3]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, Results, add_json, save

HARNESS = [sys.executable, "-m", "harness.cli.main"]
PEER = """
import sys, lm_eval
from lm_eval.tasks import TaskManager
manager = TaskManager(include_path=sys.argv[1], include_defaults=False)
lm_eval.simple_evaluate(model="dummy", tasks=["gsm8k_local"], task_manager=manager, bootstrap_iters=0, log_samples=True,
    limit=int(sys.argv[2]))
"""
PEER_TASK = """
task: gsm8k_local
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer.split('####')[-1].strip()}}}}"
generation_kwargs: {{until: ["Question:"], do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of a command."""
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def peak_megabytes(command: list[str]) -> float:
    """Return the peak resident memory of a command and its children, in a process of its own."""
    code = (
        "import json, resource, subprocess, sys;"
        "subprocess.run(json.loads(sys.argv[1]), check=True, capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    return float(subprocess.check_output([sys.executable, "-c", code, json.dumps(command)]))


def describe(times: dict[str, list[float]], num_examples: int) -> list[Figure]:
    """Print the seconds of the four commands, the peer's last, and return them as figures."""
    for name, found in times.items():
        print(f"{name:<38} median {statistics.median(found):6.2f} s  (min {min(found):.2f}, max {max(found):.2f})")
    start, again, ours, peer = map(statistics.median, times.values())
    print(f"{'ratio ours / lm-eval':<38} {ours / peer:.3f}")
    what = f"a whole run without a model, {num_examples:,} examples"
    return [
        Figure("harness --help", start, "s"),
        Figure("a finished run printed again", again, "s"),
        Figure(what, ours, "s", peer, "lm-eval, dummy model", label="a run without a model"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, help="examples; all if left out")
    add_json(parser)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        rows = (options.data_dir / "gsm8k" / "test.jsonl").resolve()
        num_examples = options.limit or sum(1 for _ in rows.open())
        (Path(folder) / "gsm8k.yaml").write_text(PEER_TASK.format(path=rows))
        base = [*HARNESS, "eval", "--ckpt", "scripted:mixed", "--task", "gsm8k", "--data-dir", str(options.data_dir)]
        base += ["--limit", str(num_examples)] if options.limit else []
        done = [*base, "--out", f"{folder}/done"]
        seconds(done)
        times: dict[str, list[float]] = {}
        for repeat in range(options.repeats):
            commands = {
                "harness --help": [*HARNESS, "--help"],
                "harness eval, finished run printed": done,
                "harness eval, new run": [*base, "--out", f"{folder}/new{repeat}"],
                "lm-eval, dummy model": [sys.executable, "-c", PEER, folder, str(num_examples)],
            }
            for name, command in commands.items():
                times.setdefault(name, []).append(seconds(command))
        figures = describe(times, num_examples)
        for k in (1, 16, 64):
            settings = [f"sampling.num_generations={k}", "sampling.temperature=1.0"]
            extra = [part for setting in settings for part in ("--set", setting)]
            peak = peak_megabytes([*base, "--out", f"{folder}/k{k}", *extra])
            print(f"peak memory, {num_examples * k:>6} requests            {peak:6.0f} MB")
            figures.append(Figure(f"peak memory of a run of {num_examples * k:,} requests", peak, "MB"))
    save(options.json, Results(tuple(figures)))


if __name__ == "__main__":
    main()
