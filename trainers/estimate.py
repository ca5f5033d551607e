"""What a recipe would cost before anything is loaded: steps, rollouts, tokens, and memory from config.json alone.

An estimate, made to choose a micro-batch and a machine by. It knows transformers with RMSNorm and a gated MLP (Qwen,
Llama, Mistral, Gemma and their kin), trained whole on one device; sharding over several is not in it.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines.hf_load import one_line
from harness.errors import CheckpointError, TrainingError
from trainers.lab import REWARDS, SHIPPED
from trainers.prompts import steps_per_epoch
from trainers.spec import Recipe

GIB = 1 << 30
_STATE_BYTES = 16
"""A parameter's: weight, gradient and AdamW's two moments, float32 each."""


@dataclass(frozen=True)
class Counts:
    """How much work a recipe is, at most."""

    num_steps: int
    num_rollouts: int
    num_updates: int
    """Optimiser steps of the policy."""
    most_tokens_generated: int
    """If no response ends before max_response_tokens."""
    most_tokens_trained: int
    """Response tokens in the policy's loss, once per epoch."""


@dataclass(frozen=True)
class Shape:
    """A model's sizes."""

    num_parameters: int
    num_layers: int
    hidden: int
    intermediate: int
    query: int
    """Attention heads × head size."""
    key: int
    """Key-value heads × head size."""
    vocabulary: int
    has_head_norm: bool
    """Whether queries and keys are normalised, as in Qwen3."""


@dataclass(frozen=True)
class Memory:
    """Bytes by what holds them."""

    trained: int
    """Weights, gradients and optimiser states of policy and critic."""
    frozen: int
    """Weights of the reference, and of reward models whose config.json is here."""
    update: int
    """What the backward pass over one micro-batch adds: activations, logits, copies of weights."""
    unknown: tuple[str, ...]
    """Reward models whose size is not known here."""

    @property
    def fixed(self) -> int:
        """What no smaller micro-batch saves."""
        return self.trained + self.frozen

    @property
    def total(self) -> int:
        """At the peak of an update."""
        return self.fixed + self.update


def count_work(recipe: Recipe) -> Counts:
    """Return steps, rollouts and the most tokens a recipe can take."""
    num_rollouts = recipe.steps * recipe.prompts_per_step * recipe.num_generations
    learning = recipe.steps - (recipe.ppo.critic_warmup_steps if recipe.algorithm == "ppo" else 0)
    per_step = recipe.prompts_per_step * recipe.num_generations * recipe.max_response_tokens
    return Counts(
        num_steps=recipe.steps,
        num_rollouts=num_rollouts,
        num_updates=learning * recipe.epochs * (recipe.prompts_per_step // recipe.mini_batch),
        most_tokens_generated=recipe.steps * per_step,
        most_tokens_trained=learning * per_step * recipe.epochs,
    )


def count_epochs(recipe: Recipe, num_prompts: int) -> float:
    """Return how often each pass over the prompts is made: steps / full batches in one pass."""
    return recipe.steps / steps_per_epoch(num_prompts, recipe)


def find_config(ckpt: str) -> Path | None:
    """Return the config.json of a checkpoint if it is on this machine: shipped, a folder, or in the hub's cache."""
    path = (SHIPPED | REWARDS).get(ckpt, Path(ckpt).expanduser()) / "config.json"
    if path.is_file():
        return path
    if not is_hub_id(ckpt):
        return None
    from huggingface_hub import try_to_load_from_cache

    repo_id, _, revision = ckpt.partition("@")
    found = try_to_load_from_cache(repo_id, "config.json", revision=revision or None)
    return Path(found) if isinstance(found, str) else None


def is_hub_id(ckpt: str) -> bool:
    """Return whether a checkpoint's name stands for a repository of the hub (org/name[@revision])."""
    return ckpt not in SHIPPED | REWARDS and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", ckpt) is not None


def read_shape(path: Path, with_head: bool = True) -> Shape | None:
    """Return a model's sizes from its config.json, or None if it is of another kind; weights are never made.

    Args:
        path: of the config.json.
        with_head: whether the language model's head counts; a reward model has one number instead.

    Raises:
        CheckpointError: if transformers cannot make such a model.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    try:
        config: Any = AutoConfig.from_pretrained(str(path.parent)).get_text_config()
        if any(getattr(config, name, None) is None for name in names):
            return None
        with torch.device("meta"):
            model: Any = (AutoModelForCausalLM if with_head else AutoModel).from_config(config)
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, StrictDataclassError) as error:
        raise CheckpointError(f"{path} describes no model that can be made: {one_line(error)}") from error
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        query=heads * head_size,
        key=(getattr(config, "num_key_value_heads", None) or heads) * head_size,
        vocabulary=config.vocab_size,
        has_head_norm=any(name.endswith("q_norm.weight") for name, _ in model.named_parameters()),
    )


def token_bytes(shape: Shape, is_mixed: bool, checkpointing: bool) -> int:
    """Return the bytes that the backward pass keeps for one token, logits apart.

    Counted from transformers' own modules, with an attention kernel that keeps no matrix of scores, and checked against
    what autograd saves. With h the hidden size, I the MLP's, a that of queries and keys together, per layer:

    - float32: 24h + 16I + 8a. Two RMSNorms keep input, normalised value and output (4 bytes each); the gated MLP four
      vectors; attention the rotated queries and keys, the values and its result.
    - mixed (float32 weights, bfloat16 products): 26h + 8I + 4a. Norms stay float32, and autocast makes a bfloat16 copy
      of their output for each of the five products that read it.
    - norms of queries and keys (Qwen3) keep input and normalised value: 8a, or 6a mixed.

    The last norm keeps 8h. With gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) a layer keeps its input
    only, 4h, and one layer at a time is computed again. Compare Korthikanti et al. 2022 (arXiv 2205.05198), eq. 2:
    34h for a 16-bit GPT, whose MLP is 4h wide and not gated.

    Args:
        shape: of the model.
        is_mixed: whether matrix products run in bfloat16.
        checkpointing: whether layers are computed again in the backward pass.
    """
    h, inner, a = shape.hidden, shape.intermediate, shape.query + shape.key
    layer = 26 * h + 8 * inner + 4 * a if is_mixed else 24 * h + 16 * inner + 8 * a
    if shape.has_head_norm:
        layer += 6 * a if is_mixed else 8 * a
    if checkpointing:
        return shape.num_layers * 4 * h + layer + 8 * h
    return shape.num_layers * layer + 8 * h


def estimate_memory(recipe: Recipe, shape: Shape, rewards: dict[str, Shape | None], is_mixed: bool) -> Memory:
    """Return what training on one device takes at the peak of an update.

    The policy, and PPO's critic, whose body is taken to have the base's size, hold 16 bytes a parameter: weight,
    gradient and AdamW's two moments in float32 (Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1, count the same
    16 for 16-bit weights with a float32 copy). Mixed precision adds a bfloat16 copy of one model's weights. The
    reference is float32; reward models are bfloat16 where training is mixed. Logits over the response are counted
    three times in float32: themselves, their log-softmax, their gradient. Rollouts come before the update and take
    what is free then, so they do not raise the peak.

    Args:
        recipe: what to train.
        shape: of the base.
        rewards: reward models by name; None where the size is not known.
        is_mixed: whether matrix products run in bfloat16.
    """
    num_trained = shape.num_parameters * (2 if recipe.algorithm == "ppo" else 1)
    has_reference = recipe.kl or (recipe.algorithm == "ppo" and recipe.ppo.measure_kl)
    frozen = 4 * shape.num_parameters if has_reference else 0
    frozen += sum((2 if is_mixed else 4) * found.num_parameters for found in rewards.values() if found is not None)
    sequences = recipe.micro_batch or recipe.mini_batch * recipe.num_generations
    positions = sequences * (recipe.max_prompt_tokens + recipe.max_response_tokens)
    copies = 2 * shape.num_parameters if is_mixed else 0
    logits = sequences * recipe.max_response_tokens * shape.vocabulary * 4 * 3
    return Memory(
        trained=_STATE_BYTES * num_trained,
        frozen=frozen,
        update=positions * token_bytes(shape, is_mixed, recipe.gradient_checkpointing) + logits + copies,
        unknown=tuple(name for name, found in rewards.items() if found is None),
    )


def estimate_recipe(recipe: Recipe, device: str) -> Memory | None:
    """Return a recipe's memory on a device, or None if the base's config.json is not here or of another kind."""
    path = find_config(recipe.base)
    shape = read_shape(path) if path else None
    if shape is None:
        return None
    rewards: dict[str, Shape | None] = {}
    for spec in recipe.rewards:
        if spec.ckpt is not None:
            config = find_config(spec.ckpt)
            rewards[spec.ckpt] = read_shape(config, with_head=False) if config else None
    is_mixed = recipe.dtype == "bfloat16" or (recipe.dtype == "auto" and device == "cuda")
    return estimate_memory(recipe, shape, rewards, is_mixed)


def find_device(recipe: Recipe) -> tuple[str, int]:
    """Return the device that a recipe trains on here, and the bytes of memory it has in all."""
    import torch

    from harness.engines.hf import resolve_hf

    device = resolve_hf("float32", recipe.device).device
    if device == "cuda":
        return device, int(torch.cuda.get_device_properties(0).total_memory)
    return device, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(memory: Memory, recipe: Recipe, device: str, available: int) -> None:
    """Refuse a run that cannot fit whatever its micro-batch.

    Raises:
        TrainingError: if weights, gradients and optimiser states alone are more than the machine has.
    """
    if memory.fixed > available:
        raise TrainingError(
            f"training {recipe.base} takes about {memory.fixed / GIB:.1f} GiB for weights, gradients and optimiser "
            f"states alone, and the {device} has {available / GIB:.1f} GiB; take a smaller base, "
            + ("algorithm = grpo, which has no critic, " if recipe.algorithm == "ppo" else "")
            + "or several GPUs (--launcher verl)"
        )


def savings(recipe: Recipe) -> Iterator[str]:
    """Yield what would lower the memory of an update, the gentlest first."""
    sequences = recipe.micro_batch or recipe.mini_batch * recipe.num_generations
    if sequences > 1:
        yield f"set micro_batch below {sequences} (the result stays the same)"
    if not recipe.gradient_checkpointing:
        yield "set gradient_checkpointing = true"
    yield f"lower max_response_tokens ({recipe.max_response_tokens:,})"
