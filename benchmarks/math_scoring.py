"""How many solutions a second does the math scorer judge, and does it judge them right? Beside math-verify and lm-eval.

Released solutions of GSM8K (three models) and MATH (one, 8 samples), with their published labels. Each judge is a
process of its own, so that none finds another's caches; before the clock starts it has imported what it needs and
judged two texts, and then it judges all of them. What our worker processes need for their imports is shown beside, by
ours with the workers' start within the clock. With one worker one sees what the cores give.
math-verify: parse and verify in one process, one text after the other, with its own time limits. lm-eval on GSM8K: its
task's flexible-extract filter and exact match, regular expressions alone. lm-eval on MATH: process_results of its
minerva_math, which computes two metrics. Its exact match wants "Final Answer: The final answer is", which these texts
lack, and then spends its time on comparing a place-holder. So it is measured twice: on the texts as they are, where the
verdict is its metric math_verify, and with that line put after each text, holding the text's last box, where it is
exact match. The ratio is to the second.

    python benchmarks/math_scoring.py --data-dir DIR [--limit 200] [--workers 2]
"""

import argparse
import itertools
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.resources import files
from operator import eq
from pathlib import Path
from typing import Any

from agreement_math_ifeval import math_outputs
from figures import Figure, Grid, Results, add_json, save

from harness.schema import Example, Generation, RequestKey, ScorerOptions
from harness.scorers.math_answer import MathAnswerScorer

Rows = Sequence[tuple[Example, str, bool]]
"""Example, text, label."""
UNLABELLED = "tora-code-34b-v1.0"
"""Its labels are made by our own quick path."""


def read_sets(data_dir: Path, limit: int | None) -> dict[str, list[tuple[Example, str, bool]]]:
    """Return the labelled solutions by data set, at most so many of a file."""
    found: dict[str, list[tuple[Example, str, bool]]] = {"GSM8K": [], "MATH": []}
    for name, rows in math_outputs(data_dir):
        if name != UNLABELLED:
            found["MATH" if name.startswith("qwen") else "GSM8K"] += itertools.islice(rows, limit)
    return found


class Ours:
    """Our scorer as a run uses it: extraction in threads, computer algebra in worker processes."""

    def __init__(self, workers: int, *, is_cold: bool = False) -> None:
        self._workers, self._is_cold = workers, is_cold
        self._scorers: dict[str, MathAnswerScorer] = {}

    def __call__(self, rows: Rows) -> list[bool]:
        """Judge; the first call starts every worker unless the start is to be seen."""
        task = rows[0][0].task
        if task not in self._scorers:
            options = ScorerOptions(num_workers=self._workers)
            scorer = MathAnswerScorer(options, fallback="none" if task == "math" else "last_number")
            self._scorers[task] = scorer
            if not self._is_cold:  # answers that take computer algebra, enough at a time to occupy each worker
                example = Example(task, "start", "", target="\\sqrt{34}")
                rows = [*rows, *[(example, f"\\boxed{{\\sqrt{{{n}}}}}", False) for n in range(4 * self._workers)]]
        scorer = self._scorers[task]

        def score(row: tuple[Example, str, bool]) -> bool:
            example, text, _ = row
            key = RequestKey(example.task, example.example_id, 0)
            return bool(scorer.score(example, Generation(key, text, "unknown", None, None, 0.0)).value)

        with ThreadPoolExecutor(self._workers) as threads:
            return list(threads.map(score, rows))


def judge_math_verify(rows: Rows) -> list[bool]:
    """Call math-verify on target and text, one after the other."""
    from math_verify import parse, verify

    return [bool(verify(parse(f"\\boxed{{{example.target}}}"), parse(text))) for example, text, _ in rows]


def judge_gsm8k(rows: Rows) -> list[bool]:
    """Judge by the rules of lm-eval's gsm8k."""
    import yaml
    from lm_eval.api.metrics import exact_match_fn
    from lm_eval.filters.extraction import RegexFilter

    settings = yaml.safe_load((files("lm_eval.tasks.gsm8k") / "gsm8k.yaml").read_text())
    (chosen,) = (each for each in settings["filter_list"] if each["name"] == "flexible-extract")
    arguments = {name: value for name, value in chosen["filter"][0].items() if name != "function"}
    answers = RegexFilter(**arguments).apply([[text] for _, text, _ in rows], [{} for _ in rows])
    (metric,) = settings["metric_list"]
    rules = {name: metric[name] for name in ("ignore_case", "ignore_punctuation", "regexes_to_ignore")}
    return [
        bool(exact_match_fn(references=[f"#### {example.target}"], predictions=[answer], **rules)["exact_match"])
        for (example, _, _), (answer,) in zip(rows, answers, strict=True)
    ]


def judge_minerva(rows: Rows, is_own_form: bool) -> list[bool]:
    """Judge by the rules of lm-eval's minerva_math, on texts as they are or in the form that it asks for."""
    rules: Any = import_module("lm_eval.tasks.minerva_math.utils")
    metric = "exact_match" if is_own_form else "math_verify"
    verdicts = []
    for example, text, _ in rows:
        solution = f"\\boxed{{{example.target}}}"
        doc = {"solution": solution, "answer": rules.normalize_final_answer(example.target)}
        box = rules.last_boxed_only_string(text) if is_own_form else None
        if box is not None:
            text += f"\nFinal Answer: The final answer is ${rules.remove_boxed(box)}$. I hope it is correct."
        verdicts.append(bool(rules.process_results(doc, [text])[metric]))
    return verdicts


def make_judges(name: str, workers: int) -> dict[str, Callable[[Rows], list[bool]]]:
    """Return who judges a data set; ours first, the peers that are compared last."""
    ours = {
        "ours": Ours(workers),
        "ours, workers' start seen": Ours(workers, is_cold=True),
        "ours, 1 worker": Ours(1),
    }
    if name == "GSM8K":
        return {**ours, "math-verify": judge_math_verify, "lm-eval gsm8k": judge_gsm8k}
    return {
        **ours,
        "lm-eval, texts as they are": partial(judge_minerva, is_own_form=False),
        "math-verify": judge_math_verify,
        "lm-eval minerva_math": partial(judge_minerva, is_own_form=True),
    }


def work(options: argparse.Namespace) -> None:
    """Be one judge of one data set: print seconds and verdicts."""
    logging.disable(logging.WARNING)  # math-verify tells of every text that it cannot parse
    name, judge_name = options.worker
    rows = read_sets(options.data_dir, options.limit)[name]
    judge = make_judges(name, options.workers)[judge_name]
    judge(rows[:2])
    started = time.perf_counter()
    verdicts = judge(rows)
    print(json.dumps([time.perf_counter() - started, verdicts]))


def measure(name: str, options: argparse.Namespace) -> dict[str, tuple[float, list[bool]]]:
    """Return seconds and verdicts by who judged, each in a process of its own."""
    found = {}
    for judge in make_judges(name, options.workers):
        command = [sys.executable, __file__, "--data-dir", str(options.data_dir), "--workers", str(options.workers)]
        command += ["--limit", str(options.limit)] if options.limit else []
        done = subprocess.run([*command, "--worker", name, judge], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{judge} failed:\n{done.stderr[-2000:]}")
        seconds, verdicts = json.loads(done.stdout.splitlines()[-1])
        found[judge] = seconds, verdicts
    return found


COLUMNS = ("solutions", "judge", "s", "texts/s", "agrees with the labels", "with ours")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="solutions of each file; all if left out")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    add_json(parser)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    figures, grid = [], []
    for name, rows in read_sets(options.data_dir, options.limit).items():
        found = measure(name, options)
        labels = [label for _, _, label in rows]
        for judge, (seconds, verdicts) in found.items():
            right, same = (sum(map(eq, verdicts, others)) for others in (labels, found["ours"][1]))
            times = (f"{seconds:.2f}", f"{len(rows) / seconds:,.0f}")
            grid.append((name, judge, *times, f"{right:,} of {len(rows):,}", f"{same:,}"))
        what = f"judging {len(rows):,} solutions of {name}, {options.workers} workers"
        ours, *_, verify, rules = (len(rows) / seconds for seconds, _ in found.values())
        for peer, rate in (("math-verify, serially", verify), (list(found)[-1], rules)):
            figures.append(Figure(what, ours, "texts/s", rate, peer, f"judging {name}"))
    for row in (COLUMNS, *grid):
        print("".join(f"{cell:>28}" for cell in row))
    save(options.json, Results(tuple(figures), (Grid("Math scoring", COLUMNS, tuple(grid)),)))


if __name__ == "__main__":
    main()
