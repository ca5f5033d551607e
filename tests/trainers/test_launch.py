"""Launches of verl: what is rendered, what is refused, and what verl's own configuration makes of it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from harness.errors import CheckpointError, DataError, SpecError, UsageError
from harness.schema import Example
from tests.trainers.launches import (
    MATH,
    SKYWORK,
    VERIFIER,
    authors_recipe,
    called_with,
    grpo,
    make_recipe,
    settings_of,
    write_prompts,
)
from trainers.lab import SHIPPED
from trainers.launch import render
from trainers.launch_script import Cluster
from trainers.launch_verl_keys import KEYS, NO_KEY, REWARD_KEYS, hydra_value
from trainers.spec import OptimiserSpec, PpoSpec, Recipe, RewardSpec


def test_every_field_of_a_recipe_has_a_place() -> None:
    """No field of a recipe is silently lost: each has a key of verl, or a line in run.sh that says what happens."""
    fields = {f for f in Recipe.__struct_fields__ if f not in ("optimiser", "ppo")}
    fields |= {f"optimiser.{f}" for f in OptimiserSpec.__struct_fields__} | {
        f"ppo.{f}" for f in PpoSpec.__struct_fields__
    }
    assert fields == {*KEYS, *NO_KEY}
    assert not set(KEYS) & set(NO_KEY)
    assert set(RewardSpec.__struct_fields__) == {*REWARD_KEYS, "kind", "task", "weight", "unfinished", "batch_size"}


def test_authors_settings(tmp_path: Path) -> None:
    """The launch has the settings of the authors' release, and 5,000 prompts make 60 steps in their 15 epochs."""
    recipe = authors_recipe(write_prompts(tmp_path / "prompts.jsonl", 5000))
    settings = settings_of(render(recipe, "verl", tmp_path / "out")[0])
    expected = {
        "algorithm.adv_estimator": "gae",
        "data.train_batch_size": "1024",
        "actor_rollout_ref.actor.ppo_mini_batch_size": "256",
        "actor_rollout_ref.rollout.n": "1",
        "data.max_prompt_length": "1024",
        "data.max_response_length": "3072",
        "actor_rollout_ref.actor.optim.lr": "1e-06",
        "critic.optim.lr": "1e-05",
        "actor_rollout_ref.actor.use_kl_loss": "False",
        "algorithm.use_kl_in_reward": "False",
        "actor_rollout_ref.model.enable_gradient_checkpointing": "True",
        "critic.model.enable_gradient_checkpointing": "True",
        "actor_rollout_ref.rollout.name": "vllm",
        "reward.reward_model.enable": "True",
        "reward.reward_model.model_path": "Skywork/Skywork-Reward-V2-Llama-3.1-8B",
        "trainer.total_epochs": "15",
        "trainer.total_training_steps": "60",
        "trainer.nnodes": "1",
        "trainer.n_gpus_per_node": "4",
        "algorithm.gamma": "1.0",
        "algorithm.lam": "1.0",
        "actor_rollout_ref.actor.clip_ratio": "0.2",
        "actor_rollout_ref.rollout.temperature": "1.0",
    }
    assert {key: settings[key] for key in expected} == expected


def test_public_prompts_do_not_fill_a_batch(tmp_path: Path) -> None:
    """The 1,000 public prompts are fewer than the authors' batch of 1,024: refused, with both numbers."""
    recipe = authors_recipe(write_prompts(tmp_path / "prompts.jsonl", 1000))
    with pytest.raises(DataError, match=r"1,000 prompts, fewer than prompts_per_step, 1,024"):
        render(recipe, "verl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_grpo_has_no_critic(tmp_path: Path) -> None:
    """GRPO gets its estimator, its group and its KL loss, and no setting of a critic or of GAE."""
    settings = settings_of(render(grpo(kl=0.01), "verl", tmp_path / "out")[0])
    assert settings["algorithm.adv_estimator"] == "grpo"
    assert settings["actor_rollout_ref.rollout.n"] == "8"
    assert settings["actor_rollout_ref.actor.kl_loss_coef"] == "0.01"
    assert settings["actor_rollout_ref.actor.use_kl_loss"] == "True"
    assert settings["algorithm.use_kl_in_reward"] == "False"
    assert not [key for key in settings if key.startswith("critic.") or key in ("algorithm.gamma", "algorithm.lam")]


def test_rloo_has_its_kl_in_the_reward(tmp_path: Path) -> None:
    """RLOO keeps its name, and its KL penalty is part of the reward, as in TRL."""
    script = render(make_recipe(algorithm="rloo", num_generations=4, kl=0.01), "verl", tmp_path / "out")[0]
    settings = settings_of(script)
    assert settings["algorithm.adv_estimator"] == "rloo"
    assert settings["algorithm.use_kl_in_reward"] == "True"
    assert settings["algorithm.kl_ctrl.kl_coef"] == "0.01"
    assert settings["actor_rollout_ref.actor.use_kl_loss"] == "False"


@pytest.mark.parametrize(("given", "rendered"), [(3.0, "3.0"), (float("inf"), "1000000000.0")])
def test_dual_clip(given: float, rendered: str, tmp_path: Path) -> None:
    """The second clip of PPO is verl's clip_ratio_c, where no bound is a number so large that it never binds."""
    recipe = make_recipe(ppo={"dual_clip": given})
    settings = settings_of(render(recipe, "verl", tmp_path / "out")[0])
    assert settings["actor_rollout_ref.actor.clip_ratio_c"] == rendered


def test_machines(tmp_path: Path) -> None:
    """Nodes and GPUs go to the trainer and to the reward model that shares them; arguments are added at the end."""
    script = render(grpo(), "verl", tmp_path / "out", Cluster(num_nodes=2, gpus_per_node=8))[0]
    settings = settings_of(script)
    assert (settings["trainer.nnodes"], settings["trainer.n_gpus_per_node"]) == ("2", "8")
    assert settings["reward.reward_model.n_gpus_per_node"] == "8"
    assert "on the head node of a Ray cluster of 2 nodes" in script.read_text()
    assert called_with(script, "python3", "trainer.save_freq=1")[-1] == "trainer.save_freq=1"


def test_micro_batch_is_a_budget_of_tokens(tmp_path: Path) -> None:
    """Three sequences at once are three times prompt and response in tokens on a GPU."""
    settings = settings_of(render(make_recipe(micro_batch=3), "verl", tmp_path / "out")[0])
    assert settings["actor_rollout_ref.actor.ppo_max_token_len_per_gpu"] == str(3 * (96 + 96))


def test_folder_with_a_space(tmp_path: Path) -> None:
    """Files are found beside the script wherever it lies, quoted for the shell and for hydra."""
    folder = tmp_path / "my launches"
    settings = settings_of(render(make_recipe(), "verl", folder)[0])
    assert settings["data.train_files"] == f"'{folder}/train.parquet'"


def test_parquet_has_verls_columns(tmp_path: Path) -> None:
    """A row has the five columns of verl's data, and the base's tokenizer counted too long prompts here."""
    script, parquet = render(make_recipe(), "verl", tmp_path / "out")
    table = pd.read_parquet(parquet)
    assert list(table.columns) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert len(table) == 20
    row = table.iloc[3]
    assert (row.data_source, row.ability) == ("lab:chat", "lab-chat")
    assert [turn["role"] for turn in row.prompt] == ["user"]
    assert row.prompt[0]["content"]
    assert row.reward_model["style"] == "model"
    assert row.extra_info["index"] == 3
    assert row.extra_info["split"] == "train"
    assert "0 were too long" in script.read_text()


def test_files_are_reproducible(tmp_path: Path) -> None:
    """Rendering twice writes the same bytes."""
    first, second = (render(make_recipe(**MATH), "verl", tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == ["run.sh", "train.parquet", "reward.py"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_reward_file_scores_strings(tmp_path: Path) -> None:
    """What verl calls returns the scorer's verdict times its weight, on rows as they come out of train.parquet."""
    recipe = make_recipe(**MATH | {"rewards": [VERIFIER | {"weight": 2.0}]})
    script, parquet, reward = render(recipe, "verl", tmp_path / "out")
    spec = importlib.util.spec_from_file_location("reward", reward)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    row = pd.read_parquet(parquet).iloc[0]
    example = msgspec.json.decode(row.extra_info["example"], type=Example)
    right = int(row.reward_model["ground_truth"])
    assert str(right) == example.target
    assert row.reward_model["style"] == "rule"

    def score(response: str) -> dict[str, float]:
        return module.compute_score(  # type: ignore[no-any-return] # a module made in this test
            data_source=row.data_source, solution_str=response, ground_truth=str(right), extra_info=row.extra_info
        )

    assert score(f"It is {right}.") == {"score": 2.0, "lab_math": 1.0}
    assert score(f"It is {right + 1}.") == {"score": 0.0, "lab_math": 0.0}
    assert score("I am not sure.")["score"] == 0.0
    settings = settings_of(script)
    assert settings["reward.custom_reward_function.path"] == f"'{tmp_path}/out/reward.py'"
    assert "reward.reward_model.enable" not in settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rewards": [{"kind": "random"}]}, "no reward random"),
        ({"rewards": [{"kind": "finish_only"}, SKYWORK]}, "no reward finish_only"),
        (MATH | {"rewards": [SKYWORK, VERIFIER]}, "cannot be mixed"),
        (MATH | {"rewards": [VERIFIER, VERIFIER]}, "same task"),
        ({"rewards": [SKYWORK | {"weight": 0.5}]}, "weight is 0.5"),
        ({"rewards": [SKYWORK | {"unfinished": "open"}]}, "unfinished is open"),
        ({"rewards": [SKYWORK | {"ckpt": "org/name@main"}]}, "rewards.ckpt is org/name@main"),
        ({"base": "org/name@main"}, "base is org/name@main"),
        ({"dtype": "float32"}, "dtype is float32"),
        ({"device": "cpu"}, "device is cpu"),
        ({"base": "org/name", "prompts": {"source": "lab:chat", "num_prompts": 20, "too_long": "error"}}, "too_long"),
        ({"mini_batch": 2}, "2 responses (mini_batch x num_generations), which 4 GPUs cannot share"),
    ],
)
def test_verl_refuses(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    """What verl has no key for and would change what is learned is an error that names the field, in one line."""
    with pytest.raises(SpecError) as caught:
        render(make_recipe(**changes), "verl", tmp_path / "out")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_template(tmp_path: Path) -> None:
    """A chat template that is not there is named."""
    recipe = make_recipe(base="org/name", chat_template="nowhere.jinja")
    with pytest.raises(CheckpointError, match=r"nowhere\.jinja"):
        render(recipe, "verl", tmp_path / "out")


def test_template_that_verl_would_misread(tmp_path: Path) -> None:
    """A chat template with ${ would be taken for a reference by verl's configuration."""
    (tmp_path / "template.jinja").write_text("${messages}")
    with pytest.raises(SpecError, match="chat_template"):
        render(make_recipe(chat_template=str(tmp_path / "template.jinja")), "verl", tmp_path / "out")


def test_long_prompts_are_dropped_here(tmp_path: Path) -> None:
    """Where the base is at hand, train.parquet holds only prompts that fit, and run.sh says how many did not."""
    recipe = make_recipe(prompts={"source": "lab:chat", "num_prompts": 60}, max_prompt_tokens=22)
    script, parquet = render(recipe, "verl", tmp_path / "out")
    num_kept = len(pd.read_parquet(parquet))
    assert 8 <= num_kept < 60
    assert f"{60 - num_kept} were too long" in script.read_text()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder with files in it is refused."""
    render(make_recipe(), "verl", tmp_path / "out")
    with pytest.raises(UsageError, match="not an empty folder"):
        render(make_recipe(), "verl", tmp_path / "out")


HYDRA_VALUES = [
    (True, "True"),
    (1e-06, "1e-06"),
    ("Qwen/Qwen3-4B-Base", "Qwen/Qwen3-4B-Base"),
    ("/data/my-model_1.0", "/data/my-model_1.0"),
    ("null", "'null'"),
    ("True", "'True'"),
    ("7b", "'7b'"),
    ("a b=c,d", "'a b=c,d'"),
    ("{{ x['y'] }}", r"'{{ x[\'y\'] }}'"),
    ("a\\'b\\", r"'a\\\'b\\'"),
    ("{}\\\n", "'{}\\\n'"),
    (("model", "extra"), "[model,extra]"),
]


@pytest.mark.parametrize(("value", "text"), HYDRA_VALUES)
def test_hydra_values(value: Any, text: str) -> None:
    """Values are written in hydra's grammar, quoted where it would read them as something else."""
    assert hydra_value(value) == text


def verl_python() -> str:
    """Return an interpreter that has verl."""
    if importlib.util.find_spec("verl") is not None:
        return sys.executable
    found = os.environ.get("HARNESS_VERL_PYTHON")
    if not found:
        pytest.skip(
            "verl needs an environment of its own: set HARNESS_VERL_PYTHON to its python (docs/train_at_scale.md)"
        )
    return found


TEMPLATE = """{%- for m in messages %}{{ '<|im_start|>' + m['role'] + "\\n" + m.content }}\\{% endfor %}
$HOME `date` # é\\"""


@pytest.mark.parametrize(
    "changes",
    [
        {"chat_template": "template.jinja"},
        {"algorithm": "grpo", "num_generations": 8, "kl": 0.01, "entropy": 0.001},
        {"algorithm": "rloo", "num_generations": 4, "kl": 0.01, **MATH},
    ],
    ids=["ppo", "grpo", "rloo-verifier"],
)
def test_verl_accepts_every_setting(changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """verl's own configuration takes every setting with the value that was meant, and its loader reads the prompts."""
    python = verl_python()
    monkeypatch.chdir(tmp_path)
    Path("template.jinja").write_text(TEMPLATE)
    recipe = make_recipe(**{"gradient_checkpointing": True, "name": "7b"} | changes)
    script = render(recipe, "verl", tmp_path / "out")[0]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text(
        f'#!/bin/sh\nshift 2\nexec "{python}" "{Path(__file__).with_name("verl_config.py")}" "$@"\n'
    )
    (tmp_path / "bin/python3").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["bash", script],
        env=os.environ | {"PATH": path, "PYTHONPATH": root, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    config = found["config"]
    actor, rollout = config["actor_rollout_ref"]["actor"], config["actor_rollout_ref"]["rollout"]
    assert config["trainer"]["experiment_name"] == "7b"
    assert config["actor_rollout_ref"]["model"]["path"] == str(SHIPPED["lab/base"].resolve())
    assert actor["optim"]["lr"] == 1e-6
    assert actor["clip_ratio_high"] == 0.2
    assert rollout["n"] == recipe.num_generations
    assert rollout["prompt_length"] == 96
    assert actor["use_kl_loss"] is (recipe.algorithm == "grpo")
    assert config["algorithm"]["use_kl_in_reward"] is (recipe.algorithm == "rloo")
    assert actor["entropy_coeff"] == recipe.entropy
    assert actor["checkpoint"]["save_contents"] == ["model", "optimizer", "extra", "hf_model"]
    assert config["reward"]["reward_model"]["enable"] is (recipe.rewards[0].kind == "reward_model")
    assert config["data"]["train_files"] == str(tmp_path / "out/train.parquet")
    assert found["num_prompts"] == recipe.prompts.num_prompts
    assert found["raw_prompt"] == list(pd.read_parquet(tmp_path / "out/train.parquet").iloc[0].prompt)
    assert found["rewards"] == ([1.0, 0.0] if recipe.rewards[0].kind == "verifier" else None)
    if recipe.chat_template:
        assert config["actor_rollout_ref"]["model"]["custom_chat_template"] == TEMPLATE
