"""Which setting of verl 0.9.1's main_ppo says what a field of a recipe says, and the values in verl's terms.

Older verl named the reward model reward_model.*; 0.9.1 still accepts those names and ignores them (verl-project/verl,
pull request 7331), so a launch for another version needs these tables checked again.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.checkpoint import read_template
from trainers.lab import SHIPPED
from trainers.launch_script import Cluster, Setting
from trainers.prompts import steps_per_epoch
from trainers.spec import Recipe, RewardSpec

VERSION = "0.9.1"
MODEL, ACTOR, ROLLOUT = "actor_rollout_ref.model", "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
REWARD_MODEL = "reward.reward_model"
NO_BOUND = 1e9
"""For clip_ratio_c, where inf times an advantage of 0 would be nan."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "algorithm": ("algorithm.adv_estimator",),
    "ppo.gamma": ("algorithm.gamma",),
    "ppo.lam": ("algorithm.lam",),
    "base": (f"{MODEL}.path",),
    "ppo.critic_ckpt": ("critic.model.path",),
    "chat_template": (f"{MODEL}.custom_chat_template",),
    "gradient_checkpointing": (f"{MODEL}.enable_gradient_checkpointing", "critic.model.enable_gradient_checkpointing"),
    "prompts_per_step": ("data.train_batch_size",),
    "num_generations": (f"{ROLLOUT}.n",),
    "mini_batch": (f"{ACTOR}.ppo_mini_batch_size", "critic.ppo_mini_batch_size"),
    "micro_batch": (f"{ACTOR}.ppo_max_token_len_per_gpu", "critic.ppo_max_token_len_per_gpu"),
    "epochs": (f"{ACTOR}.ppo_epochs", "critic.ppo_epochs"),
    "max_prompt_tokens": ("data.max_prompt_length",),
    "max_response_tokens": ("data.max_response_length",),
    "temperature": (f"{ROLLOUT}.temperature",),
    "clip": (f"{ACTOR}.clip_ratio", f"{ACTOR}.clip_ratio_low", f"{ACTOR}.clip_ratio_high"),
    "ppo.dual_clip": (f"{ACTOR}.clip_ratio_c",),
    "ppo.value_clip": ("critic.cliprange_value",),
    "kl": (f"{ACTOR}.kl_loss_coef", "algorithm.kl_ctrl.kl_coef"),
    "entropy": (f"{ACTOR}.entropy_coeff",),
    "optimiser.learning_rate": (f"{ACTOR}.optim.lr",),
    "optimiser.critic_learning_rate": ("critic.optim.lr",),
    "optimiser.warmup_steps": (f"{ACTOR}.optim.lr_warmup_steps", "critic.optim.lr_warmup_steps"),
    "optimiser.weight_decay": (f"{ACTOR}.optim.weight_decay", "critic.optim.weight_decay"),
    # actor.grad_clip is accepted too, and read nowhere in 0.9.1
    "optimiser.max_grad_norm": (f"{ACTOR}.optim.clip_grad", "critic.optim.clip_grad"),
    "ppo.critic_warmup_steps": ("trainer.critic_warmup",),
    "dtype": (f"{ACTOR}.fsdp_config.dtype", "critic.fsdp.dtype", f"{ROLLOUT}.dtype"),
    "seed": ("data.seed", f"{ROLLOUT}.seed", f"{ACTOR}.data_loader_seed", "critic.data_loader_seed"),
    "steps": ("trainer.total_training_steps",),
    "save_every": ("trainer.save_freq",),
    "keep": ("trainer.max_actor_ckpt_to_keep", "trainer.max_critic_ckpt_to_keep"),
    "name": ("trainer.experiment_name",),
}
"""Where each field of a recipe goes."""

REWARD_KEYS: Mapping[str, tuple[str, ...]] = {
    "ckpt": (f"{REWARD_MODEL}.model_path",),
    "max_tokens": (f"{REWARD_MODEL}.rollout.max_model_len",),
}
"""Where fields of a reward of kind reward_model go."""

NO_KEY: Mapping[str, str] = {
    "prompts": "chosen, filled in and written to train.parquet",
    "trained_on": "column `ability` of train.parquet; no part in training",
    "rewards": "reward.* below, and reward.py for verifiers",
    "out": "checkpoints/ beside this script instead",
    "device": "verl takes all the GPUs it is given",
    "threads": "of a CPU; verl trains on GPUs",
    "ppo.measure_kl": "verl measures no KL where kl is 0",
}
"""Fields without a key, and what happens to them; every run.sh says so."""

FIXED: Mapping[str, tuple[Any, str]] = {
    f"{ROLLOUT}.name": ("vllm", "as the authors"),
    f"{ROLLOUT}.tensor_model_parallel_size": (1, "chosen here: a 4B model fits on one GPU; verl's default is 2"),
    f"{ACTOR}.use_dynamic_bsz": (True, "chosen here: micro-batches by tokens; the loss is the same"),
    f"{ACTOR}.checkpoint.save_contents": (
        ("model", "optimizer", "extra", "hf_model"),
        "hf_model is what `harness eval --ckpt` reads",
    ),
    "data.filter_overlong_prompts": (True, "prompts of more than max_prompt_length are left out"),
    "trainer.val_before_train": (False, "evaluation is the harness's"),
    "trainer.test_freq": (-1, "evaluation is the harness's"),
    "trainer.logger": (("console", "tensorboard"), "verl's default needs an account at wandb"),
    "trainer.project_name": ("grlo-harness", "names the logs"),
}
"""What no recipe says: value, reason."""


def all_settings(recipe: Recipe, num_prompts: int, cluster: Cluster) -> Iterator[Setting]:
    """Yield the settings of a launch: the recipe's, its reward's, the machines', and the fixed ones."""
    yield from _recipe_settings(recipe)
    yield from _reward_settings(recipe, cluster)
    yield from _run_settings(recipe, num_prompts, cluster)


def place(ckpt: str) -> str:
    """Return a checkpoint as verl must be told: the folder of a shipped one, an absolute path, or a hub id."""
    folder = SHIPPED.get(ckpt, Path(ckpt).expanduser())
    return str(folder.resolve()) if folder.exists() else ckpt


def look_up(recipe: Recipe, field: str) -> Any:
    """Return the value of a dotted field."""
    value: Any = recipe
    for name in field.split("."):
        value = getattr(value, name)
    return value


def verl_value(recipe: Recipe, field: str) -> Any:
    """Return a field's value in verl's terms; None where verl's default says the same.

    Raises:
        CheckpointError: if the file of the chat template cannot be read.
    """
    value = look_up(recipe, field)
    match field:
        case "algorithm":
            return {"ppo": "gae", "grpo": "grpo", "rloo": "rloo"}[value]
        case "base":
            return place(value)
        case "ppo.critic_ckpt":
            return place(value or recipe.base)
        case "chat_template":
            return value and read_template(Path(), Path(value).expanduser())
        case "dtype":
            return "bfloat16"
        case "micro_batch":
            return (value or 4) * (recipe.max_prompt_tokens + recipe.max_response_tokens)
        case "kl":
            return value or None
        case "ppo.dual_clip":
            return min(value, NO_BOUND)
    return value


def _recipe_settings(recipe: Recipe) -> Iterator[Setting]:
    """Yield what the recipe says."""
    for field, keys in KEYS.items():
        value = verl_value(recipe, field)
        for key in keys:
            is_critics = key.startswith("critic.") or field.startswith("ppo.")
            if value is not None and (recipe.algorithm == "ppo" or not is_critics):
                yield Setting(f"{key}={hydra_value(value)}", field)
    in_reward = recipe.algorithm == "rloo"
    yield Setting(f"{ACTOR}.use_kl_loss={recipe.kl > 0 and not in_reward}", "kl")
    yield Setting(f"algorithm.use_kl_in_reward={recipe.kl > 0 and in_reward}", "kl, which RLOO has in the reward")
    if recipe.algorithm != "ppo":
        yield Setting(f"{ACTOR}.clip_ratio_c={NO_BOUND}", "no second clip, as in TRL; verl's default is 3")


def _reward_settings(recipe: Recipe, cluster: Cluster) -> Iterator[Setting]:
    reward = recipe.rewards[0]
    if reward.kind == "verifier":
        yield Setting("reward.custom_reward_function.path='$HERE/reward.py'", "rewards", has_here=True)
        yield Setting("reward.custom_reward_function.name=compute_score", "rewards")
        return
    yield Setting(f"{REWARD_MODEL}.enable=True", "rewards.kind")
    for field, keys in REWARD_KEYS.items():
        for key in keys:
            yield Setting(f"{key}={hydra_value(_reward_value(recipe, reward, field))}", f"rewards.{field}")
    yield Setting(f"{REWARD_MODEL}.rollout.name=vllm", "chosen here: verl has no default")
    yield Setting(f"{REWARD_MODEL}.rollout.tensor_model_parallel_size=1", "chosen here: an 8B model fits on one GPU")
    yield Setting(f"{REWARD_MODEL}.n_gpus_per_node={cluster.gpus_per_node}", "it shares the GPUs with the policy")


def _reward_value(recipe: Recipe, reward: RewardSpec, field: str) -> str | int:
    if field == "ckpt":
        return place(reward.ckpt or "")
    # verl cuts nothing, and a text beyond the limit ends the run. The reward model's tokenizer counts differently.
    return max(reward.max_tokens, 2 * (recipe.max_prompt_tokens + recipe.max_response_tokens))


def _run_settings(recipe: Recipe, num_prompts: int, cluster: Cluster) -> Iterator[Setting]:
    """Yield what follows from the machines and the number of prompts, and what is fixed."""
    epochs = math.ceil(recipe.steps / steps_per_epoch(num_prompts, recipe))
    yield Setting(f"trainer.total_epochs={epochs}", "enough for the steps")
    yield Setting(f"trainer.nnodes={cluster.num_nodes}", "machines")
    yield Setting(f"trainer.n_gpus_per_node={cluster.gpus_per_node}", "machines")
    yield Setting("data.train_files='$HERE/train.parquet'", "prompts", has_here=True)
    yield Setting("data.val_files='$HERE/train.parquet'", "verl wants some, and never reads them here", has_here=True)
    yield Setting("trainer.default_local_dir='$HERE/checkpoints'", "out", has_here=True)
    for key, (value, why) in FIXED.items():
        yield Setting(f"{key}={hydra_value(value)}", why)


def hydra_value(value: bool | float | str | Sequence[str]) -> str:
    """Write a value in the grammar of hydra's overrides (hydra.cc, "Basic Override syntax")."""
    if not isinstance(value, str):
        return f"[{','.join(map(hydra_value, value))}]" if isinstance(value, Sequence) else repr(value)
    if re.fullmatch(r"[A-Za-z/][\w./-]*", value) and value.lower() not in ("true", "false", "null", "nan", "inf"):
        return value
    # Backslashes count only before a quote, and at the end, where one follows.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value) + "'"
