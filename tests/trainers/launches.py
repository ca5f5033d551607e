"""Recipes to launch, and scripts run with a stand-in for the program that they start."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from trainers.spec import Recipe, find_recipe, parse_recipe, read_recipe

SKYWORK = {"kind": "reward_model", "ckpt": "Skywork/Skywork-Reward-V2-Llama-3.1-8B"}
VERIFIER = {"kind": "verifier", "task": "lab_math"}
MATH = {
    "prompts": {"source": "lab:math", "num_prompts": 16},
    "rewards": [VERIFIER],
    "trained_on": ["lab-math"],
}
PYTHON = """#!/bin/sh
echo "$1" "$2"
shift 2
printf '%s\\n' "$@"
"""
"""Stands for python3 or accelerate: prints what it was called with."""


def make_recipe(**changes: Any) -> Recipe:
    """Return a small recipe that the lab can feed."""
    data = {
        "name": "small",
        "base": "lab/base",
        "algorithm": "ppo",
        "prompts": {"source": "lab:chat", "num_prompts": 20},
        "rewards": [SKYWORK],
        "trained_on": ["lab-chat"],
        "steps": 5,
        "prompts_per_step": 8,
        "mini_batch": 4,
        "max_prompt_tokens": 96,
        "max_response_tokens": 96,
    }
    return parse_recipe(data | changes, "test")


def grpo(**changes: Any) -> Recipe:
    """Return the small recipe for GRPO with eight responses."""
    return make_recipe(algorithm="grpo", num_generations=8, **changes)


def authors_recipe(source: Path) -> Recipe:
    """Return the authors' release as the recipe that comes with the package, on other prompts."""
    return read_recipe(find_recipe("grlo_qwen3_4b"), [f"prompts.source={source}"])


def write_prompts(path: Path, num_prompts: int) -> Path:
    """Write a file of prompts in verl's format, as the authors' is."""
    rows = [{"prompt": [{"role": "user", "content": f"Question {number}?"}]} for number in range(num_prompts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def called_with(script: Path, program: str, *arguments: str, **environment: str) -> list[str]:
    """Run a script with a program replaced by one that prints its arguments, and return those."""
    folder = script.parent.parent / "programs"
    folder.mkdir(exist_ok=True)
    (folder / program).write_text(PYTHON)
    (folder / program).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", script, *arguments], env=environment | {"PATH": path}, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def settings_of(script: Path) -> dict[str, str]:
    """Return the settings that verl would be given, by key."""
    module, *settings = called_with(script, "python3")
    assert module == "-m verl.trainer.main_ppo"
    pairs = [setting.split("=", 1) for setting in settings]
    assert len(pairs) == len(dict(pairs)), "a key is given twice"
    return dict(pairs)
