"""The commands that are killed, each with the files it starts from: small, offline, with real models and scorers."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.registry import TASKS
from tests.chaos.command import run

STUDY = """
name = "chaos"
tasks = ["lab_math", "lab_chat"]
limit = 6
num_resamples = 400

[[checkpoints]]
label = "base"
role = "base"
ckpt = "lab/base"
elicit = true

[[checkpoints]]
label = "grlo"
role = "candidate"
ckpt = "lab/grlo"
"""
TRAIN = {
    "steps": "4",
    "save_every": "1",
    "prompts_per_step": "4",
    "mini_batch": "4",
    "max_response_tokens": "16",
    "prompts.num_prompts": "64",
    "threads": "1",
    "device": "cpu",
    "out": "out",
}


@dataclass(frozen=True)
class Subject:
    """One command."""

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], object]
    """Writes what it starts from into an empty folder."""
    unit: str
    counted: str
    """Pattern of the files that have a line for each unit of its work."""


def _settings(values: dict[str, str]) -> tuple[str, ...]:
    return tuple(word for name, value in values.items() for word in ("--set", f"{name}={value}"))


def _do(folder: Path, *arguments: str) -> None:
    code, _, err = run(arguments, folder)
    assert code == 0, err


def _nothing(folder: Path) -> None:
    """Start from nothing."""


def _finished_run(folder: Path) -> None:
    """Make a run to grade again, under a name that is known before."""
    _do(folder, "eval", "--ckpt", "lab/base", "--suite", "lab", "--limit", "30", "--out", "made")
    (path,) = folder.glob("made/lab-base/*")
    path.rename(folder / "run")
    shutil.rmtree(folder / "made")


def _generations(folder: Path) -> None:
    """Write another tool's programs: of forty problems, every third one wrong."""
    task = TASKS["lab_code"]
    rows = [
        {"example_id": item.example_id, "text": task.near_miss(item) if number % 3 == 0 else task.gold(item)}
        for number, item in enumerate(task.load(None, None).examples[:40])
    ]
    (folder / "made.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _two_runs(folder: Path) -> None:
    for name in ("base", "grlo"):
        _do(folder, "eval", "--ckpt", f"lab/{name}", "--task", "lab_chat", "--limit", "25", "--label", name)
    engine = '[engine]\nname = "hf"\nmax_batch_size = 2\n'
    (folder / "judge.toml").write_text(f'ckpt = "lab/instruct"\ntemplate = "pair"\nread = "logprobs"\n{engine}')


def _instructions(folder: Path) -> None:
    """Eight made-up instructions of AlpacaEval's form."""
    data = folder / "data" / "alpacaeval2"
    data.mkdir(parents=True)
    rows = [
        {"index": number, "dataset": "made_up", "instruction": f"Name {number + 2} colours.",
         "generator": "gpt4_1106_preview", "output": "Red, green and blue." * (number + 1)}
        for number in range(8)
    ]  # fmt: skip
    hard = [{"index": number, "instruction_difficulty": number / 10} for number in range(8)]
    for name, lines in (("reference_gpt4_1106_preview", rows), ("instruction_difficulty", hard)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "judge.toml").write_text('ckpt = "lab/reward"\n')
    sha256 = TASKS["alpaca_eval2"].load(folder / "data", None).sha256
    (folder / "eval.toml").write_text(f'[accept_data]\nalpaca_eval2 = "{sha256}"\n')


def _study(folder: Path) -> None:
    (folder / "study.toml").write_text(STUDY)


_SAMPLED = ("--suite", "lab", "--limit", "20", "--set", "sampling.temperature=1.0")
_JUDGED = ("--task", "alpaca_eval2", "--data-dir", "data", "--config", "eval.toml", "--judge", "judge.toml")

SUBJECTS = (
    Subject("eval", ("eval", "--ckpt", "lab/base", *_SAMPLED), _nothing, "requests", "**/generations.jsonl"),
    Subject("score", ("score", "run"), _finished_run, "verdicts", "run/scores.*.jsonl"),
    Subject(
        "score --generations",
        ("score", "--task", "lab_code", "--generations", "made.jsonl", "--allow-missing"),
        _generations,
        "verdicts",
        "**/scores.jsonl",
    ),
    Subject("train (PPO)", ("train", "lab_finish", *_settings(TRAIN)), _nothing, "steps", "**/steps.jsonl"),
    Subject("train (GRPO)", ("train", "lab_rlvr", *_settings(TRAIN)), _nothing, "steps", "**/steps.jsonl"),
    Subject(
        "judge",
        ("judge", "--a", "runs/base", "--b", "runs/grlo", "--judge", "judge.toml"),
        _two_runs,
        "verdicts",
        "**/verdicts.jsonl",
    ),
    Subject("eval --judge", ("eval", "--ckpt", "lab/grlo", *_JUDGED), _instructions, "verdicts", "**/verdicts.jsonl"),
    Subject("study run", ("study", "run", "study.toml"), _study, "requests", "**/generations.jsonl"),
)
