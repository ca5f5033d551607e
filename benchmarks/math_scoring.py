"""How many solutions a second does the math scorer judge, and does it judge them right? Beside math-verify and lm-eval.

Released solutions of GSM8K (three models) and MATH (one, 8 samples), with their published labels. Each judges whole
texts, start-up of worker processes included. math-verify: parse and verify in this process, one text after the other,
with its own time limits. lm-eval: its gsm8k task's flexible-extract filter and exact match, which never leaves regular
expressions; for MATH process_results of its minerva_math, of which the math_verify metric is shown: exact match wants
the words "Final Answer: The final answer is", which these texts lack. Ours also with one worker: what the cores give.

    python benchmarks/math_scoring.py --data-dir DIR [--limit 200] [--workers 2]
"""

import argparse
import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.resources import files
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


def judge_ours(rows: Rows, workers: int) -> list[bool]:
    """Score as a run does: extraction in threads, computer algebra in worker processes."""
    is_math = rows[0][0].task == "math"
    scorer = MathAnswerScorer(ScorerOptions(num_workers=workers), fallback="none" if is_math else "last_number")

    def score(row: tuple[Example, str, bool]) -> bool:
        example, text, _ = row
        key = RequestKey(example.task, example.example_id, 0)
        return bool(scorer.score(example, Generation(key, text, "unknown", None, None, 0.0)).value)

    with ThreadPoolExecutor(workers) as threads:
        verdicts = list(threads.map(score, rows))
    scorer.close()
    return verdicts


def judge_math_verify(rows: Rows) -> list[bool]:
    """Call math-verify on target and text, one after the other."""
    from math_verify import parse, verify

    return [bool(verify(parse(f"\\boxed{{{example.target}}}"), parse(text))) for example, text, _ in rows]


def judge_lm_eval(rows: Rows) -> list[bool]:
    """Judge by the rules of lm-eval's own task of the data set."""
    return _judge_minerva(rows) if rows[0][0].task == "math" else _judge_gsm8k(rows)


def _judge_gsm8k(rows: Rows) -> list[bool]:
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


def _judge_minerva(rows: Rows) -> list[bool]:
    rules: Any = import_module("lm_eval.tasks.minerva_math.utils")
    docs = [
        {"solution": f"\\boxed{{{example.target}}}", "answer": rules.normalize_final_answer(example.target)}
        for example, _, _ in rows
    ]
    return [
        bool(rules.process_results(doc, [text])["math_verify"]) for doc, (_, text, _) in zip(docs, rows, strict=True)
    ]


def measure(rows: Rows, workers: int) -> tuple[dict[str, float], dict[str, list[bool]]]:
    """Return seconds and verdicts by who judged."""
    judges: dict[str, Callable[[Rows], list[bool]]] = {
        f"ours, {workers} workers": partial(judge_ours, workers=workers),
        "ours, 1 worker": partial(judge_ours, workers=1),
        "math-verify": judge_math_verify,
        "lm-eval": judge_lm_eval,
    }
    for judge in judges.values():  # imports are not counted
        judge(rows[:2])
    seconds, verdicts = {}, {}
    for name, judge in judges.items():
        started = time.perf_counter()
        verdicts[name] = judge(rows)
        seconds[name] = time.perf_counter() - started
    return seconds, verdicts


COLUMNS = ("solutions", "judge", "s", "texts/s", "agrees with the labels", "with ours")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="solutions of each file; all if left out")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    add_json(parser)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # math-verify tells of every text that it cannot parse
    figures, grid = [], []
    for name, rows in read_sets(options.data_dir, options.limit).items():
        seconds, verdicts = measure(rows, options.workers)
        ours, *_ = verdicts.values()
        for judge, found in verdicts.items():
            labelled = sum(verdict == label for verdict, (_, _, label) in zip(found, rows, strict=True))
            same = sum(verdict == other for verdict, other in zip(found, ours, strict=True))
            rate = f"{len(rows) / seconds[judge]:,.0f}"
            row = (name, judge, f"{seconds[judge]:.2f}", rate, f"{labelled:,} of {len(rows):,}", f"{same:,}")
            grid.append(row)
        rates = [len(rows) / spent for spent in seconds.values()]
        for peer_name, rate_of_peer in (("math-verify, serially", rates[2]), ("lm-eval's rules", rates[3])):
            what = f"judging {len(rows):,} solutions of {name}, {options.workers} workers"
            figures.append(Figure(what, rates[0], "texts/s", rate_of_peer, peer_name, f"judging {name}"))
    for row in (COLUMNS, *grid):
        print("".join(f"{cell:>24}" for cell in row))
    save(options.json, Results(tuple(figures), (Grid("Math scoring", COLUMNS, tuple(grid)),)))


if __name__ == "__main__":
    main()
