"""Files that tests of faults start from: small enough for seconds."""

import json
from pathlib import Path

from tests.chaos.command import run
from tests.tiny_model import build_tiny_checkpoint

RECIPE = """
name = "tiny"
base = "base"
algorithm = "ppo"
trained_on = ["chat"]
out = "out"
steps = 2
prompts_per_step = 2
mini_batch = 2
max_prompt_tokens = 64
max_response_tokens = 6
save_every = 1
device = "cpu"
threads = 1

[prompts]
source = "prompts.jsonl"

[[rewards]]
kind = "finish_only"
"""
TRAIN = ("train", "tiny.toml")
JUDGE = ("judge", "--a", "runs/a", "--b", "runs/b", "--judge", "judge.toml")


def write_recipe(folder: Path) -> None:
    """Write what TRAIN needs: a tiny base, three prompts, a recipe of two steps."""
    build_tiny_checkpoint(folder / "base")
    rows = ({"prompt": text} for text in ("What is 12 + 30?", "The sea?", "How many apples?"))
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tiny.toml").write_text(RECIPE)


def write_two_runs(folder: Path, judge: str = 'ckpt = "lab/reward"\n') -> None:
    """Write what JUDGE needs: two runs of twelve answers each, and a judge's file."""
    for label, script in (("a", "scripted:mixed"), ("b", "scripted:mixed,seconds=0")):
        extra = ("--set", f"sampling.seed={'ab'.index(label)}", "--label", label)
        code, _, err = run(("eval", "--ckpt", script, "--task", "lab_chat", "--limit", "12", *extra), folder)
        assert code == 0, err
    (folder / "judge.toml").write_text(judge)
