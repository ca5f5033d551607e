"""Do our mathematics and IFEval scores agree with references, released labels and published figures? How fast are they?

python benchmarks/agreement_math_ifeval.py --data-dir DIR [--only targets,cases,math,ifeval]
"""

import argparse
import gzip
import json
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.interfaces import Scorer
from harness.schema import Example, Generation, RequestKey, Score, ScorerOptions
from harness.scorers.answer_match import match_quickly
from harness.scorers.answer_text import extract_answer
from harness.scorers.instructions import InstructionScorer
from harness.scorers.math_answer import MathAnswerScorer
from harness.scorers.worker import WorkerPool
from tasks.registry import SUITES, TASKS

NUM_WORKERS = 2
OPTIONS = ScorerOptions(num_workers=NUM_WORKERS)
FORMULA = re.compile(r"\$\$?(.+?)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
SOLUTION_FIELDS = {"gsm8k": "answer", "math500": "solution", "aime24": "solution", "minerva_math": "solution"}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file, compressed or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def score_all(scorer: Scorer, pairs: Iterable[tuple[Example, str]]) -> list[Score]:
    """Score every (example, text) pair, in order."""

    def score(pair: tuple[Example, str]) -> Score:
        example, text = pair
        key = RequestKey(task=example.task, example_id=example.example_id, index=0)
        generation = Generation(
            key=key, text=text, finish_reason="unknown", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
        )
        return scorer.score(example, generation)

    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        return list(threads.map(score, pairs))


def show_targets(data_dir: Path) -> None:
    """Every reference answer, boxed, and every reference solution; and what math-verify alone makes of the answers."""
    print("\nTargets: rows, boxed target = 1, solution text = 1, targets that math-verify cannot parse")
    judge = WorkerPool("harness.scorers.math_judge:judge", num_workers=1, timeout_seconds=20, memory_bytes=4 << 30)
    for name in SUITES["math"]:
        examples = TASKS[name].load(data_dir, None).examples
        scorer = MathAnswerScorer(OPTIONS, fallback="none")
        boxed = score_all(scorer, [(example, f"So \\boxed{{{example.target}}}.") for example in examples])
        texts: list[Score] = []
        if field := SOLUTION_FIELDS.get(name):
            rows = read_rows(data_dir / name / "test.jsonl")
            texts = score_all(scorer, [(example, row[field]) for example, row in zip(examples, rows, strict=True)])
        scorer.close()
        replies = [judge.call({"target": example.target, "answer": example.target}) for example in examples]
        unread = [example for example, reply in zip(examples, replies, strict=True) if not reply["target_parsed"]]
        solved = f"{sum(score.value == 1 for score in texts)}/{len(texts)}" if texts else "-"
        right = sum(score.value == 1 for score in boxed)
        print(f"  {name:14} {len(examples):5} {right:5} {solved:>10} {len(unread):3}")
        for score in (*boxed, *texts):
            if score.value != 1:
                print(f"      {score.key.example_id}: answer {score.answer!r}, {score.outcome}, {score.detail}")
        for example in unread:
            print(f"      {example.example_id}: not parsed: {example.target}")
    judge.close()


def last_formula(text: str) -> str:
    """Return the answer of a test text that is mostly one formula: box, statement, last formula, or the text itself."""
    formulas = [next(filter(None, groups)) for groups in FORMULA.findall(text)]
    return extract_answer(text, "none") or (formulas[-1] if formulas else text)


def show_cases(data_dir: Path) -> None:
    """math-verify's own test cases."""
    rows = read_rows(data_dir / "math_equivalence_cases/math_verify_cases.jsonl")
    judge = WorkerPool("harness.scorers.math_judge:judge", num_workers=1, timeout_seconds=20, memory_bytes=4 << 30)
    differing = []
    for row in rows:
        target, answer = last_formula(row["gold"]), last_formula(row["pred"])
        verdict = match_quickly(target, answer)
        if verdict is None:
            verdict = judge.call({"target": target, "answer": answer})["equal"]
        if verdict != bool(row["expected"]):
            differing.append((row["test_name"], row["expected"], target[:60], answer[:60]))
    judge.close()
    print(
        f"\nmath-verify's test cases: {len(rows) - len(differing)} of {len(rows)} agree; the others (expected there):"
    )
    for name, expected, target, answer in differing:
        print(f"  {name}: {expected}  {target!r}  {answer!r}")


def math_outputs(data_dir: Path) -> Iterable[tuple[str, list[tuple[Example, str, bool]]]]:
    """Yield (file, [(example, text, label)])."""
    gsm8k = TASKS["gsm8k"].load(data_dir, None).examples
    for name, field, label in (
        ("abel-7b-001", "response", "result"),
        ("openai-6b_finetuning", "solution", "is_correct"),
        ("openai-175b_verification", "solution", "is_correct"),
    ):
        rows = read_rows(data_dir / f"outputs/gsm8k/{name}.jsonl")
        yield name, [(example, row[field], row[label]) for example, row in zip(gsm8k, rows, strict=True)]
    tora = read_rows(data_dir / "outputs/gsm8k/tora-code-34b-v1.0.jsonl")
    yield (
        "tora-code-34b-v1.0",
        [
            (example, row["code"][0], match_quickly(str(example.target), row["pred"][0]) is True)
            for example, row in zip(gsm8k, tora, strict=True)
        ],
    )
    qwen = read_rows(data_dir / "outputs/math/qwen25_math_cot_8samples.jsonl")
    yield (
        "qwen25_math_cot_8samples",
        [
            (Example(task="math", example_id=f"{row['idx']}.{index}", input="", target=row["answer"]), text, label)
            for row in qwen
            for index, (text, label) in enumerate(zip(row["code"], row["score"], strict=True))
        ],
    )


def show_math(data_dir: Path) -> None:
    """Released solutions with labels, and the time a verdict takes."""
    published = {
        row["file"]: row.get("published") for row in read_rows(data_dir / "outputs/gsm8k/published_scores.jsonl")
    }
    print("\nReleased solutions: n, accuracy by labels, ours, published, verdicts that agree, outcomes")
    quick_pairs: list[tuple[str, str]] = []
    slow_pairs: list[tuple[str, str]] = []
    for name, rows in math_outputs(data_dir):
        scorer = MathAnswerScorer(OPTIONS, fallback="none" if name.startswith("qwen") else "last_number")
        scores = score_all(scorer, [(example, text) for example, text, _ in rows])
        scorer.close()
        ours = 100 * statistics.mean(score.value for score in scores)
        labels = 100 * statistics.mean(float(label) for _, _, label in rows)
        differing = [row for row, score in zip(rows, scores, strict=True) if bool(score.value) != bool(row[2])]
        outcomes = dict(Counter(score.outcome for score in scores))
        figures = f"{len(rows):5} {labels:7.3f} {ours:7.3f} {published.get(name) or '-':>6}"
        print(f"  {name:26} {figures}  {len(rows) - len(differing)}/{len(rows)}  {outcomes}")
        for example, _, label in differing:
            print(f"      {example.example_id}: target {example.target!r}, label {label}")
        for (example, _, _), score in zip(rows, scores, strict=True):
            if score.answer is not None:
                is_slow = match_quickly(str(example.target), score.answer) is None
                (slow_pairs if is_slow else quick_pairs).append((str(example.target), score.answer))
    show_speed(quick_pairs, slow_pairs, [text for _, rows in math_outputs(data_dir) for _, text, _ in rows])


def show_speed(quick_pairs: list[tuple[str, str]], slow_pairs: list[tuple[str, str]], texts: list[str]) -> None:
    """Mean time of extraction and of both paths."""
    started = time.perf_counter()
    for text in texts:
        extract_answer(text, "last_number")
    extraction = time.perf_counter() - started
    started = time.perf_counter()
    for pair in quick_pairs:
        match_quickly(*pair)
    quick = time.perf_counter() - started
    with WorkerPool("harness.scorers.math_judge:judge", num_workers=1, timeout_seconds=20, memory_bytes=0) as judge:
        started = time.perf_counter()
        judge.call({"target": "1", "answer": "2"})
        start = time.perf_counter() - started
        started = time.perf_counter()
        for target, answer in slow_pairs:
            judge.call({"target": target, "answer": answer})
        slow = time.perf_counter() - started
    share = len(quick_pairs) / (len(quick_pairs) + len(slow_pairs))
    print(f"  extraction {extraction / len(texts) * 1e6:.0f} µs a text")
    print(f"  quick path {quick / len(quick_pairs) * 1e6:.0f} µs, {share:.2%} of the verdicts")
    print(f"  slow path {slow / max(len(slow_pairs), 1) * 1e3:.1f} ms, {len(slow_pairs)} verdicts; start {start:.1f} s")


def show_ifeval(data_dir: Path) -> None:
    """Released IFEval responses with labels per instruction."""
    os.environ.setdefault("HARNESS_DATA", str(data_dir))
    examples = {example.metadata["key"]: example for example in TASKS["ifeval"].load(data_dir, None).examples}
    published = {row["model"]: row for row in read_rows(data_dir / "outputs/ifeval/published_scores.jsonl")}
    scorer = InstructionScorer(OPTIONS)
    for kind in ("strict", "loose"):
        print(f"\nIFEval {kind}: prompt level by labels, ours; instruction level by labels, ours; published; agreement")
        for path in sorted((data_dir / "outputs/ifeval").glob("*.jsonl*")):
            model = path.name.removesuffix(".gz").removesuffix(".jsonl")
            if model != "published_scores":
                show_model(scorer, examples, read_rows(path), model, kind, published[model])
    scorer.close()


def show_model(
    scorer: Scorer,
    examples: dict[int, Example],
    rows: list[dict[str, Any]],
    model: str,
    kind: str,
    figures: dict[str, Any],
) -> None:
    """One model's line, and the instructions on which we differ."""
    scores = score_all(scorer, [(examples[row["key"]], row["response"]) for row in rows])
    verdicts = [
        (row["key"], name, bool(label), bool(value))
        for row, score in zip(rows, scores, strict=True)
        for name, label, value in zip(
            row["instruction_id_list"], row[kind]["follow_instruction_list"], score.parts[f"inst_{kind}"], strict=True
        )
    ]
    prompt_labels = 100 * statistics.mean(row[kind]["follow_all_instructions"] for row in rows)
    prompt_ours = 100 * statistics.mean(
        score.value if kind == "strict" else score.parts["prompt_loose"][0] for score in scores
    )
    inst_labels = 100 * statistics.mean(label for _, _, label, _ in verdicts)
    inst_ours = 100 * statistics.mean(value for _, _, _, value in verdicts)
    differing = [verdict for verdict in verdicts if verdict[2] != verdict[3]]
    level = {
        name.removeprefix("published_"): value for name, value in figures.items() if name.endswith(f"level_{kind}")
    }
    agreement = 100 * (1 - len(differing) / len(verdicts))
    print(
        f"  {model:38} {prompt_labels:6.2f} {prompt_ours:6.2f}  {inst_labels:6.2f} {inst_ours:6.2f}  {level or '-'}"
        f"  {agreement:.2f} %"
    )
    for key, name, label, value in differing:
        print(f"      {key} {name}: label {label}, ours {value}")


SECTIONS = {"targets": show_targets, "cases": show_cases, "math": show_math, "ifeval": show_ifeval}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        SECTIONS[name](arguments.data_dir)


if __name__ == "__main__":
    main()
