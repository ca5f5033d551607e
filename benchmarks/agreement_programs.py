"""Do our code scores agree with published pass rates and released labels? Runs `harness score` on released programs.

    python benchmarks/agreement_programs.py --data-dir DIR [--out RUNS]

Run directories are kept in --out, so a second call only prints the table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from harness.rows import read_jsonl
from harness.schema import RequestKey, RunRecord, Score
from harness.store import read_lines, run_path


class Released(NamedTuple):
    """A released file of programs."""

    path: str
    task: str
    flags: tuple[str, ...] = ()
    label: str | None = None
    """Field that says whether the program passed the original tests."""
    id_prefix: str = ""


FILES = (
    Released("humaneval/gpt4_final_500c_long", "humaneval_plus"),
    Released("humaneval/Bard_custom", "humaneval_plus"),
    Released("humaneval/TheBloke_WizardLM-30B-GPTQ_VICUNA_MEDIUM", "humaneval_plus"),
    Released("humaneval/TheBloke_OpenAssistant-SFT-7-Llama-30B-GPTQ_OPENA_", "humaneval_plus"),
    Released("humaneval/TheBloke_falcon-7b-instruct-GPTQ_FALCON_", "humaneval_plus"),
    Released("humaneval/h2oai_h2ogpt-gm-oasst1-en-2048-falcon-7b-v2_H2O_h2o", "humaneval_plus"),
    Released("humaneval/poe_codellama_7b", "humaneval_plus", label="passed"),
    Released("humaneval/poe_qwen2.5-coder_7b", "humaneval_plus", label="passed"),
    Released(
        "humaneval/jamesmurdza_gpt-3.5-turbo_10runs",
        "humaneval_plus",
        ("--map", "example_id=task_id,text=code"),
        label="passed",
    ),
    Released("humanevalplus/mavencoder_gpt-4o-mini", "humaneval_plus"),
    Released("mbppplus/mavencoder_gpt-4o-mini", "mbpp_plus"),
    Released(
        "mbpp/evalplus_chatgpt_temp0",
        "mbpp_plus",
        ("--map", "example_id=task_id,text=completion", "--id-prefix", "Mbpp/", "--allow-extra"),
    ),
)


def score_file(file: Released, data_dir: Path, out: Path) -> tuple[RunRecord, Path]:
    """Score one file by the command users run; return its record and run directory."""
    import msgspec

    label = file.path.replace("/", "-")
    path = data_dir / "outputs" / f"{file.path}.jsonl"
    command = [sys.executable, "-m", "harness.cli.main", "score", "--task", file.task, "--generations", str(path)]
    command += ["--data-dir", str(data_dir), "--out", str(out), "--label", label, "--json", *file.flags]
    record = msgspec.json.decode(subprocess.check_output(command), type=RunRecord)
    return record, run_path(out, record.spec)


def compare_labels(file: Released, data_dir: Path, run: Path) -> tuple[int, int, list[str]]:
    """Return how many rows agree with their label on the base tests, how many there are, and the others' ids."""
    verdicts = {score.key: bool(score.parts["base"][0]) for score in read_lines(run / "scores.jsonl", Score)}
    counts: dict[str, int] = {}
    odd, num_rows = [], 0
    for row in read_jsonl(data_dir / "outputs" / f"{file.path}.jsonl"):
        example_id = row["task_id"]
        key = RequestKey(task=file.task, example_id=example_id, index=counts.get(example_id, 0))
        counts[example_id] = key.index + 1
        num_rows += 1
        if verdicts[key] != row[str(file.label)]:
            odd.append(example_id)
    return num_rows - len(odd), num_rows, odd


def read_published(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Return the published figures by file name and benchmark."""
    rows = read_jsonl(data_dir / "outputs" / "humaneval" / "published_scores.jsonl")
    return {f"{row['benchmark']}/{row['file']}": dict(row) for row in rows}


def main() -> None:
    """Score, compare and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    published = read_published(options.data_dir)
    print("| file | n × k | base | plus | published | labels that agree (base) |\n|---|---|---|---|---|---|")
    for file in FILES:
        record, run = score_file(file, options.data_dir, out)
        (summary,) = record.tasks
        known = published.get(file.path, {})
        shown = [known.get(name) for name in ("published_base", "published_pass_at_1", "published_plus")]
        text = " / ".join(str(figure) for figure in shown if figure is not None) or "–"
        labels = "–"
        if file.label:
            agree, num_rows, odd = compare_labels(file, options.data_dir, run)
            labels = f"{agree}/{num_rows}" + (f" (not: {json.dumps(sorted(set(odd)))})" if odd else "")
        base = summary.other_metrics["base"].value
        size = f"{summary.num_examples} × {summary.num_generations}"
        print(
            f"| {file.path} | {size} | {100 * base:.1f} | {100 * summary.score.value:.1f} | {text} | {labels} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
