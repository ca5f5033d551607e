"""The training recipe: what is trained, on which prompts, for which reward, by which algorithm. TOML → one frozen Recipe.

It says what a training run is; nothing is loaded here.
"""

from typing import Annotated, Literal

import msgspec

from harness.schema import Positive, Record

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Above = Annotated[float, msgspec.Meta(gt=0)]
NotBelow = Annotated[float, msgspec.Meta(ge=0)]
Algorithm = Literal["ppo", "grpo", "rloo"]


class PromptsSpec(Record, frozen=True):
    """Where training prompts come from."""

    source: str
    """A file (.jsonl, .jsonl.gz, .json, .parquet, .txt), or `lab:chat`, `lab:math`, `lab:code` of the lab's generator."""
    field: str | None = None
    """Where a row of the file has its prompt, dotted; None takes the first of the usual names."""
    num_prompts: Positive | None = None
    """How many are used, from the beginning; None takes the whole file. The lab's generator needs a number."""
    seed: int = 0
    """Of the lab's generator."""
    too_long: Literal["drop", "error"] = "drop"
    """What happens to prompts of more than max_prompt_tokens; dropped ones are counted in the ledger."""


class RewardSpec(Record, frozen=True):
    """One term of the reward."""

    kind: Literal["reward_model", "verifier", "random", "finish_only"]
    """Score of a sequence-classification checkpoint; verdict of a task's own scorer; noise; 1 if the turn ended."""
    weight: float = 1.0
    ckpt: str | None = None
    """Of `reward_model`: shipped name, folder or hub id[@revision]."""
    task: str | None = None
    """Of `verifier`: the task whose scorer judges; prompts must come with what it needs."""
    max_tokens: Positive = 4096
    """Of `reward_model`: prompt and response together; longer ones are cut on the left and counted."""
    batch_size: Positive = 64


class OptimiserSpec(Record, frozen=True):
    """AdamW, constant after a linear warm-up."""

    learning_rate: Above = 1e-6
    critic_learning_rate: Above = 1e-5
    """Of PPO's critic."""
    warmup_steps: Annotated[int, msgspec.Meta(ge=0)] = 0
    weight_decay: NotBelow = 0.01
    """verl's default."""
    max_grad_norm: Above = 1.0


class PpoSpec(Record, frozen=True):
    """What only PPO has; the defaults are the authors' (verl's where their script says nothing)."""

    gamma: Share = 1.0
    lam: Share = 1.0
    """λ of generalised advantage estimation (Schulman et al. 2015, arXiv 1506.02438)."""
    value_clip: Above = 0.5
    """verl's cliprange_value."""
    critic_ckpt: str | None = None
    """None starts the critic's body from the base, with a new value head."""
    critic_warmup_steps: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Steps in which only the critic learns."""


class Recipe(Record, frozen=True):
    """A whole training run. Every field is a key of the recipe file."""

    name: str
    """Folder-safe; label of the checkpoint it makes."""
    base: str
    """Shipped name (lab/base), folder, or hub id[@revision]."""
    algorithm: Algorithm
    prompts: PromptsSpec
    rewards: tuple[RewardSpec, ...]
    """Added up, each with its weight."""
    trained_on: tuple[str, ...]
    """Domains that the prompts belong to, as suites name them: chat, or lab-chat."""
    out: str = "checkpoints"
    """The checkpoint goes to OUT/NAME, what resuming needs to OUT/NAME/state."""
    steps: Positive = 100
    """Rollout batches."""
    prompts_per_step: Positive = 1024
    num_generations: Positive = 1
    """Responses per prompt: 1 for PPO, the group's size for GRPO and RLOO."""
    mini_batch: Positive = 256
    """Prompts per optimiser step."""
    epochs: Positive = 1
    """Passes over a rollout batch."""
    micro_batch: Positive | None = None
    """Sequences held in memory at once in a backward pass; None takes the whole mini-batch."""
    clip: Above = 0.2
    """ε of the clipped policy ratio."""
    kl: NotBelow = 0.0
    """Weight of the KL divergence from the base in the loss; 0 loads no reference model."""
    entropy: NotBelow = 0.0
    """Weight of the entropy bonus."""
    temperature: Above = 1.0
    max_prompt_tokens: Positive = 1024
    max_response_tokens: Positive = 3072
    chat_template: str | None = None
    """File with a chat template to use instead of the tokenizer's."""
    optimiser: OptimiserSpec = OptimiserSpec()
    ppo: PpoSpec = PpoSpec()
    seed: int = 0
    """Of the order of prompts, the rollouts and a new value head."""
    save_every: Positive = 50
    """Steps between checkpoints."""
    keep: Positive = 2
    """Resumable states kept; the last good checkpoint is always kept."""
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of weights; `auto` is bfloat16 on a GPU, float32 on a CPU."""
    gradient_checkpointing: bool = False
    threads: Positive | None = None
    """Of the CPU; results are reproducible for a given number."""
