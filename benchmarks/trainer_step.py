"""Seconds per training step of `harness train` beside TRL's own trainers: same work, taking turns in one run.

    OMP_NUM_THREADS=1 python benchmarks/trainer_step.py [--steps 3] [--blocks 3] [--base lab/base] [--trl-python PYTHON]

A step draws 128 responses of at most 96 tokens, has lab/reward judge them, and learns from them in four mini-batches of
32; policy, critic and reward model have 1.3M parameters. Every trainer is a process that waits for its turn; each has
one step to warm up. The learning rate is next to zero, so that responses stay as long as they are. The processes have
one thread, so their CPU time is a check on a busy machine.

GRPO is TRL's trainer on both sides with the same settings, on our rollouts or on its own. TRL dropped PPO after 1.12;
that release needs an older transformers, so it is measured in an environment of its own, given by --trl-python:

    python -m venv PEER && PEER/bin/pip install "trl==1.12.0" "transformers==5.19.0" "torch<2.14" accelerate datasets

Where the work of the two PPOs differs: TRL pads every sequence to the longest prompt and 96 tokens, takes the old
probabilities from generation, and steps one optimiser for policy and critic together. It has no micro-batches here,
since its accumulation of gradients would span the mini-batches and leave one optimiser step of the four. Both ask the
reference for probabilities. Not covered: GPUs, other sizes, vLLM.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import Figure, Results, add_json, save

# The PPO peer runs this file in an environment without the harness, which is therefore imported in functions only.

RECIPES = {"grpo": "lab_grlo_grpo", "ppo": "lab_grlo"}
PEERS = {"grpo": "TRL's GRPOTrainer", "ppo": "TRL 1.12's PPOTrainer"}
RATE = 1e-9
"""Of every optimiser: weights stay as they are."""


class Turns:
    """Holds a trainer back until it is given steps, and says how long each took."""

    def __init__(self) -> None:
        """Keep standard output for the answers; what trainers print goes where errors go."""
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._num_left = 0
        self._answer: dict[str, list[float]] = {}
        self._started = (0.0, 0.0)

    def next(self, num_tokens: float = math.nan) -> None:
        """End a step, of responses of so many tokens on average, and begin one; called before the first as well."""
        if self._num_left:
            numbers = (time.perf_counter() - self._started[0], time.process_time() - self._started[1], num_tokens)
            for name, number in zip(("seconds", "cpu_seconds", "num_tokens"), numbers, strict=True):
                self._answer.setdefault(name, []).append(number)
            self._num_left -= 1
        if not self._num_left:
            print(json.dumps(self._answer), file=self._answers, flush=True)
            self._answer = {}
            line = sys.stdin.readline()
            if not line:
                sys.exit()
            self._num_left = int(line)
        self._started = (time.perf_counter(), time.process_time())


def run_ours(job: dict[str, Any], turns: Turns) -> None:
    """Train as `harness train` does."""
    from trainers.log import Silent
    from trainers.loop import train
    from trainers.spec import find_recipe, read_recipe
    from trainers.trl import train_with_trl

    class Follower(Silent):
        def start(self, recipe: Any, first: int) -> None:
            turns.next()

        def step(self, log: Any) -> None:
            turns.next(log.num_tokens_mean)

    recipe = read_recipe(find_recipe(job["recipe"]), job["assignments"])
    (train if recipe.algorithm == "ppo" else train_with_trl)(recipe, False, Follower())


def make_callback(turns: Turns, num_updates: int) -> Any:
    """Return what tells of TRL's steps, each of so many optimiser steps."""
    from transformers import TrainerCallback

    class Follower(TrainerCallback):
        num_tokens = math.nan

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            turns.next()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self.num_tokens = logs.get("completions/mean_length", self.num_tokens)
            if state.global_step % num_updates == 0:
                turns.next(self.num_tokens)

    return Follower()


def run_trl_grpo(job: dict[str, Any], turns: Turns) -> None:
    """Train by TRL's GRPO on rollouts of its own."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from harness.schema import EngineSpec
    from trainers.spec import find_recipe, read_recipe
    from trainers.trl import make_settings, updates_per_step

    recipe = read_recipe(find_recipe(job["recipe"]), job["assignments"])
    settings = make_settings(recipe, EngineSpec("hf", "float32", "cpu"), Path(job["out"]) / "trl")
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["base"]),
        reward_funcs=AutoModelForSequenceClassification.from_pretrained(job["reward"]),
        reward_processing_classes=AutoTokenizer.from_pretrained(job["reward"]),
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_list([{"prompt": row["messages"]} for row in job["prompts"]]),
        processing_class=AutoTokenizer.from_pretrained(job["base"], padding_side="left"),
        callbacks=[make_callback(turns, updates_per_step(recipe))],
    )
    trainer.train()


def ppo_settings(job: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of TRL's PPOConfig."""
    size = job["num_responses"]
    return {
        "output_dir": str(Path(job["out"]) / "trl"),
        "total_episodes": len(job["prompts"]),
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": 1,
        "num_mini_batches": size // job["mini_batch"],
        "num_ppo_epochs": 1,
        "local_rollout_forward_batch_size": size,
        "response_length": job["max_tokens"],
        "temperature": 1.0,
        "stop_token": "eos",
        "kl_coef": 0.0,
        "lam": 1.0,
        "learning_rate": RATE,
        "num_sample_generations": 0,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def run_trl_ppo(job: dict[str, Any], turns: Turns) -> None:
    """Train by TRL 1.12's PPO. Imports nothing of the harness."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    trainer = PPOTrainer(
        args=PPOConfig(**ppo_settings(job)),
        processing_class=AutoTokenizer.from_pretrained(job["base"], padding_side="left"),
        model=AutoModelForCausalLM.from_pretrained(job["base"]),
        ref_model=AutoModelForCausalLM.from_pretrained(job["base"]),
        reward_model=AutoModelForSequenceClassification.from_pretrained(job["reward"]),
        value_model=AutoModelForSequenceClassification.from_pretrained(job["base"], num_labels=1),
        train_dataset=Dataset.from_list([{"input_ids": row["input_ids"]} for row in job["prompts"]]),
        callbacks=[make_callback(turns, 1)],
    )
    trainer.train()


WORKERS = {"ours": run_ours, "trl_grpo": run_trl_grpo, "trl_ppo": run_trl_ppo}


@dataclass
class Trainer:
    """A training process and what it has answered."""

    name: str
    process: subprocess.Popen[str]
    errors: Path
    answers: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, num_steps: int) -> dict[str, list[float]]:
        """Let it go so many steps and return its numbers of each; with 0, wait until it is loaded."""
        if num_steps:
            print(num_steps, file=self.process.stdin, flush=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} failed:\n" + "\n".join(self.errors.read_text().splitlines()[-20:]))
        answer: dict[str, list[float]] = json.loads(line)
        return answer

    def take_turn(self, num_steps: int) -> None:
        """Go so many steps and keep the numbers."""
        for name, numbers in self.ask(num_steps).items():
            self.answers.setdefault(name, []).extend(numbers)

    def median(self, name: str) -> float:
        """Return the median of a number over all steps."""
        return statistics.median(self.answers[name])


def start(name: str, worker: str, python: str, job: dict[str, Any], folder: Path) -> Trainer:
    """Start a training process and wait until it is loaded."""
    out = folder / f"{worker}-{job['recipe']}"
    out.mkdir()
    (out / "job.json").write_text(json.dumps(job | {"out": str(out)}))
    errors = out / "errors.txt"
    with errors.open("w") as sink:
        process = subprocess.Popen(
            [python, __file__, "--worker", worker, "--job", str(out / "job.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
            env={"OMP_NUM_THREADS": "1", **os.environ, "HF_HUB_OFFLINE": "1"},
        )
    trainer = Trainer(name, process, errors)
    trainer.ask(0)
    return trainer


def make_job(algorithm: str, base: str, num_steps: int, out: Path) -> dict[str, Any]:
    """Return what both trainers of an algorithm are given; they are stopped before the last step."""
    from trainers.base import open_base
    from trainers.lab import REWARDS
    from trainers.prompts import load_prompts, order_prompts, tokenize_prompt
    from trainers.spec import find_recipe, read_recipe

    settings = {"base": base, "steps": num_steps + 1, "save_every": 10**6, "out": str(out)}
    settings |= {"optimiser.learning_rate": RATE, "optimiser.critic_learning_rate": RATE}
    assignments = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    recipe = read_recipe(find_recipe(RECIPES[algorithm]), assignments)
    opened = open_base(recipe)
    found = load_prompts(recipe, opened.tokenizer)
    ordered = [prompt for step in range(recipe.steps) for prompt in order_prompts(found, recipe, step)]
    rows = [
        {
            "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
            "input_ids": tokenize_prompt(prompt.messages, opened.tokenizer),
        }
        for prompt in ordered
    ]
    return {
        "recipe": RECIPES[algorithm],
        "assignments": assignments,
        "base": str(opened.folder),
        "reward": str(REWARDS["lab/reward"]),
        "prompts": rows,
        "num_responses": recipe.prompts_per_step * recipe.num_generations,
        "mini_batch": recipe.mini_batch * recipe.num_generations,
        "max_tokens": recipe.max_response_tokens,
    }


def measure(algorithm: str, options: argparse.Namespace) -> Figure:
    """Let both trainers of an algorithm take turns, print a line for each and their ratio, and return it."""
    python = sys.executable if algorithm == "grpo" else options.trl_python
    with tempfile.TemporaryDirectory() as name:
        job = make_job(algorithm, options.base, 1 + options.steps * options.blocks, Path(name) / "checkpoints")
        trainers: list[Trainer] = []
        try:
            trainers.append(start(f"harness train, {algorithm}", "ours", sys.executable, job, Path(name)))
            trainers.append(start(PEERS[algorithm], f"trl_{algorithm}", python, job, Path(name)))
            for trainer in trainers:
                trainer.ask(1)  # warms up
            for _ in range(options.blocks):
                for trainer in trainers:
                    trainer.take_turn(options.steps)
        finally:
            for trainer in trainers:
                trainer.process.communicate()  # the end of its input stops it
    show(trainers, options.steps)
    ours, peer = (trainer.median("seconds") for trainer in trainers)
    return Figure(
        f"a training step, {algorithm.upper()}, 128 responses",
        ours,
        "s",
        peer,
        PEERS[algorithm],
        f"training step, {algorithm.upper()}",
    )


def show(trainers: list[Trainer], num_steps: int) -> None:
    """Print medians over all steps, the ratio of ours to the peer's, and between which it was over the blocks."""
    for trainer in trainers:
        seconds = trainer.answers["seconds"]
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        tokens = trainer.median("num_tokens")
        shown = "–" if math.isnan(tokens) else f"{tokens:.0f}"
        print(
            f"{trainer.name:24} {trainer.median('seconds'):8.2f} {spread:>14} {trainer.median('cpu_seconds'):8.2f} "
            f"{shown:>10}"
        )
    ours, peer = trainers
    blocks = []
    for first in range(0, len(ours.answers["seconds"]), num_steps):
        part = slice(first, first + num_steps)
        blocks.append(sum(ours.answers["seconds"][part]) / sum(peer.answers["seconds"][part]))
    ratio, cpu_ratio = (ours.median(name) / peer.median(name) for name in ("seconds", "cpu_seconds"))
    print(f"{'ratio':24} {ratio:8.2f} {f'{min(blocks):.2f} to {max(blocks):.2f}':>14} {cpu_ratio:8.2f}", flush=True)


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3, help="in a row, before the other takes its turn")
    parser.add_argument("--blocks", type=int, default=3, help="turns of each")
    parser.add_argument("--base", default="lab/base")
    parser.add_argument("--algorithm", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--trl-python", help="interpreter of an environment with TRL 1.12, for PPO")
    add_json(parser)
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        WORKERS[options.worker](json.loads(options.job.read_text()), Turns())
        return
    print(
        f"{options.base}, {options.blocks} turns of {options.steps} steps, load {os.getloadavg()[0]:.1f} at the start"
    )
    print(f"{'median of all steps':24} {'s a step':>8} {'range':>14} {'of CPU':>8} {'tokens':>10}", flush=True)
    figures, notes = [], []
    for algorithm in options.algorithm:
        if algorithm == "ppo" and options.trl_python is None:
            notes.append("PPO was not measured: TRL has none after 1.12; give --trl-python (--help says how to get it)")
            print(notes[-1])
            continue
        figures.append(measure(algorithm, options))
    save(options.json, Results(tuple(figures), notes=tuple(notes)))


if __name__ == "__main__":
    main()
