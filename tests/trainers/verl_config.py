"""Run by an interpreter that has verl: composes its configuration with the given overrides, as main_ppo does.

Then verl's own validation, each part as the dataclass that verl makes of it, the prompts as verl's data set, and the
reward function as verl loads it. Prints the configuration and a row as JSON. No GPU, no Ray: it stops where main_ppo
would start them.
"""

# mypy: disable-error-code="import-not-found"
# verl lives in an environment of its own.

import contextlib
import json
import sys

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.utils import create_rl_dataset, need_critic, need_reference_policy
from verl.utils import hf_tokenizer
from verl.utils.config import omega_conf_to_dataclass, validate_config

with contextlib.redirect_stdout(sys.stderr):
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=sys.argv[1:])
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    parts = [config.actor_rollout_ref.rollout, config.actor_rollout_ref.model, config.algorithm]
    if config.reward.reward_model.enable:
        parts += [config.reward.reward_model]
    for part in parts:
        omega_conf_to_dataclass(part)
    data = create_rl_dataset(
        config.data.train_files, config.data, hf_tokenizer(config.actor_rollout_ref.model.path), processor=None
    )
    row, rewards = data[0], None
    if (compute_score := get_custom_reward_fn(config)) is not None:
        known = {key: row[key] for key in ("data_source", "extra_info")}
        answers = (row["reward_model"]["ground_truth"], "I am not sure.")
        rewards = [compute_score(solution_str=answer, ground_truth=answers[0], **known)["score"] for answer in answers]
print(
    json.dumps(
        {
            "config": OmegaConf.to_container(config, resolve=True),
            "num_prompts": len(data),
            "raw_prompt": row["raw_prompt"],
            "rewards": rewards,
        }
    )
)
