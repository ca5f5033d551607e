"""How long scoring the 542 reference solutions of HumanEval+ and MBPP+ takes, beside `evalplus.evaluate`.

Both score the same programs with the same number of workers and with expected outputs already cached. EvalPlus's time
ends when its result file is there: its process then lingers for up to 20 s, which is not counted against it.

    python benchmarks/score_programs.py --data-dir DATA --workers 2 --repeats 3
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from figures import Figure, Results, add_json, save

FILES = {
    "humaneval": "humanevalplus/HumanEvalPlus-v0.1.10.jsonl.gz",
    "mbpp": "mbppplus/MbppPlus-v0.2.0.jsonl.gz",
}
TITLES = {"humaneval": "HumanEval+", "mbpp": "MBPP+"}
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")
GROUND_TRUTH = """
from evalplus.data import get_human_eval_plus, get_human_eval_plus_hash, get_mbpp_plus, get_mbpp_plus_hash
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
from evalplus.evaluate import get_groundtruth
get_groundtruth(get_human_eval_plus(), get_human_eval_plus_hash(), [])
get_groundtruth(get_mbpp_plus(), get_mbpp_plus_hash(), MBPP_OUTPUT_NOT_NONE_TASKS)
"""


def read_rows(data_dir: Path, dataset: str) -> list[dict[str, Any]]:
    """Return the problems of a data set."""
    with gzip.open(data_dir / FILES[dataset], "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def score_with_harness(rows: list[dict[str, Any]], dataset: str, workers: int) -> tuple[float, int]:
    """Return seconds and number of passes, start-up of the sandboxes included."""
    from harness.schema import Example, Generation, RequestKey, ScorerOptions
    from harness.scorers.program import ProgramScorer

    started = time.perf_counter()
    scorer = ProgramScorer(ScorerOptions(num_workers=workers))

    def score(row: dict[str, Any]) -> float:
        metadata = {field: row[field] for field in FIELDS} | {"dataset": dataset}
        example = Example(task=dataset, example_id=row["task_id"], input="", target=None, metadata=metadata)
        generation = Generation(
            key=RequestKey(task=dataset, example_id=row["task_id"], index=0),
            text=row["prompt"] + row["canonical_solution"],
            finish_reason="stop",
            num_prompt_tokens=None,
            num_completion_tokens=None,
            seconds=0.0,
        )
        return scorer.score(example, generation).value

    with ThreadPoolExecutor(workers) as threads:
        passed = sum(threads.map(score, rows))
    scorer.close()
    return time.perf_counter() - started, int(passed)


def peer_environment(data_dir: Path, folder: Path) -> dict[str, str]:
    """Return EvalPlus's environment: our copy of its data, a cache of its own."""
    paths = {}
    for dataset, variable in (("humaneval", "HUMANEVAL_OVERRIDE_PATH"), ("mbpp", "MBPP_OVERRIDE_PATH")):
        plain = folder / f"{dataset}.jsonl"
        plain.write_bytes(gzip.decompress((data_dir / FILES[dataset]).read_bytes()))
        paths[variable] = str(plain)
    return {**os.environ, **paths, "XDG_CACHE_HOME": str(folder)}


def score_with_evalplus(
    rows: list[dict[str, Any]], dataset: str, workers: int, environment: dict[str, str]
) -> tuple[float, int]:
    """Return seconds until its result is written, and its number of passes."""
    with tempfile.TemporaryDirectory() as name:
        samples = Path(name) / "samples.jsonl"
        solutions = [{"task_id": row["task_id"], "solution": row["prompt"] + row["canonical_solution"]} for row in rows]
        samples.write_text("".join(json.dumps(solution) + "\n" for solution in solutions))
        result = Path(name) / "samples_eval_results.json"
        command = [sys.executable, "-m", "evalplus.evaluate", "--dataset", dataset, "--samples", str(samples)]
        started = time.perf_counter()
        with subprocess.Popen(
            [*command, "--parallel", str(workers)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while process.poll() is None and not (result.exists() and result.read_text().endswith("}")):
                time.sleep(0.05)
            seconds = time.perf_counter() - started
            process.wait()
        verdicts = json.loads(result.read_text())["eval"].values()
    return seconds, sum(each[0]["base_status"] == each[0]["plus_status"] == "pass" for each in verdicts)


def main() -> None:
    """Measure both, alternating, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HARNESS_DATA"), help="default: $HARNESS_DATA")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    add_json(parser)
    options = parser.parse_args()
    if options.data_dir is None:
        parser.error("say where the data is: --data-dir or $HARNESS_DATA")
    with tempfile.TemporaryDirectory() as name:
        os.environ["HARNESS_CACHE"] = str(Path(name) / "harness")
        environment = peer_environment(Path(options.data_dir), Path(name))
        subprocess.run([sys.executable, "-c", GROUND_TRUTH], env=environment, check=True, stdout=subprocess.DEVNULL)
        total, found = {"ours": 0.0, "peer": 0.0}, []
        print(f"{options.workers} workers, median of {options.repeats}, load {os.getloadavg()[0]:.1f} at the start")
        for dataset in FILES:
            rows = read_rows(Path(options.data_dir), dataset)
            score_with_harness(rows, dataset, options.workers)  # makes the expected outputs
            ours, peer = [], []
            for _ in range(options.repeats):
                ours.append(score_with_harness(rows, dataset, options.workers))
                peer.append(score_with_evalplus(rows, dataset, options.workers, environment))
            seconds = {"ours": statistics.median(s for s, _ in ours), "peer": statistics.median(s for s, _ in peer)}
            total = {who: total[who] + seconds[who] for who in total}
            ratio = seconds["ours"] / seconds["peer"]
            print(
                f"{dataset:10} {len(rows)} programs  harness {seconds['ours']:6.1f} s ({ours[-1][1]} pass)  "
                f"evalplus {seconds['peer']:6.1f} s ({peer[-1][1]} pass)  ratio {ratio:.2f}",
                flush=True,
            )
            what = f"{len(rows)} reference programs of {TITLES[dataset]} scored, {options.workers} workers"
            found.append(
                Figure(what, seconds["ours"], "s", seconds["peer"], "evalplus.evaluate", f"scoring {TITLES[dataset]}")
            )
        print(f"all        harness {total['ours']:.1f} s  evalplus {total['peer']:.1f} s  ", end="")
        print(f"ratio {total['ours'] / total['peer']:.2f}")
        save(options.json, Results(tuple(found)))


if __name__ == "__main__":
    main()
