"""Recipes: what is read, and what is refused with which words."""

import math
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SpecError
from harness.reading import merge_tables
from trainers.spec import RECIPES, Recipe, find_recipe, parse_recipe, read_recipe

PLAIN: dict[str, Any] = {
    "name": "grlo",
    "base": "lab/base",
    "algorithm": "ppo",
    "trained_on": ["lab-chat"],
    "prompts": {"source": "lab:chat", "num_prompts": 100},
    "rewards": [{"kind": "finish_only"}],
    "prompts_per_step": 8,
    "mini_batch": 4,
}
GROUPED = {"algorithm": "grpo", "num_generations": 4}


def parse(**changes: Any) -> Recipe:
    return parse_recipe(merge_tables(PLAIN, changes), "recipe.toml")


def verify(task: str) -> list[dict[str, str]]:
    return [{"kind": "verifier", "task": task}]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes(path: Path) -> None:
    """Every recipe that comes with the package is a recipe, trains under its own name, and says what it is for."""
    recipe = read_recipe(path)
    assert recipe.name == path.stem.replace("_", "-")
    assert path.read_text().startswith("# ")


def test_the_authors_settings() -> None:
    """The paper's recipe has every setting of the authors' release (DESIGN section 10), and 15 epochs of 5K prompts."""
    recipe = read_recipe(RECIPES / "grlo_qwen3_4b.toml")
    assert (recipe.prompts_per_step, recipe.mini_batch, recipe.num_generations) == (1024, 256, 1)
    assert (recipe.max_prompt_tokens, recipe.max_response_tokens) == (1024, 3072)
    assert (recipe.optimiser.learning_rate, recipe.optimiser.critic_learning_rate) == (1e-6, 1e-5)
    assert (recipe.kl, recipe.clip, recipe.temperature, recipe.ppo.gamma, recipe.ppo.lam) == (0, 0.2, 1, 1, 1)
    assert recipe.gradient_checkpointing
    assert recipe.rewards[0].ckpt == "Skywork/Skywork-Reward-V2-Llama-3.1-8B"
    assert recipe.steps == 15 * (5000 // recipe.prompts_per_step)


def test_arms_differ_in_their_reward_alone() -> None:
    """The control arms of the lab are its GRLO recipe with another name and reward."""
    arms = {name: read_recipe(RECIPES / f"lab_{name}.toml") for name in ("grlo", "random", "finish")}
    bare = {parse_recipe(_without_reward(recipe), "") for recipe in arms.values()}
    assert len(bare) == 1


def _without_reward(recipe: Recipe) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(recipe)
    return plain | {"name": "arm", "rewards": [{"kind": "random"}]}


def test_second_stage_differs_in_its_base_alone() -> None:
    """RLVR after GRLO is RLVR from another base."""
    first, second = (read_recipe(RECIPES / f"lab_{name}.toml") for name in ("rlvr", "grlo_rlvr"))
    assert parse_recipe(_without_reward(second) | {"base": first.base}, "") == parse_recipe(_without_reward(first), "")
    assert first.rewards == second.rewards


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a/b"}, "cannot name a folder"),
        ({"trained_on": []}, "trained_on is empty"),
        ({"seed": -1}, "seed is negative"),
        ({"num_generations": 4}, "ppo takes 1 response per prompt"),
        ({"algorithm": "grpo"}, "num_generations is 1, and grpo compares responses"),
        ({"algorithm": "rloo"}, "num_generations is 1, and rloo compares responses"),
        ({**GROUPED, "ppo": {"lam": 0.95}}, "[ppo] have no meaning for grpo"),
        ({"mini_batch": 3}, "mini_batch is 3, which does not divide prompts_per_step, 8"),
        ({"mini_batch": 16}, "mini_batch is 16, which does not divide prompts_per_step, 8"),
        ({"steps": 5, "ppo": {"critic_warmup_steps": 5}}, "critic_warmup_steps is 5 of 5 steps"),
        ({"temperature": math.inf}, "temperature is inf; expected a finite number"),
        ({"optimiser": {"learning_rate": math.inf}}, "optimiser.learning_rate is inf"),
        ({"kl": math.nan}, "$.kl"),
        ({"prompts": {"source": "lab:poetry"}}, "lab:chat, lab:math and lab:code, not 'poetry'"),
        ({"prompts": {"num_prompts": None}}, "prompts.num_prompts is missing: lab:chat has no end"),
        ({"prompts": {"target_field": "answer"}}, "lab:chat knows where its prompts are"),
        ({"prompts": {"source": "a.jsonl", "template": "Solve."}}, "it must hold {input}"),
        ({"rewards": []}, "no reward is given"),
        ({"rewards": [{"kind": "random", "weight": 0}]}, "the weights of all rewards are 0"),
        ({"rewards": [{"kind": "random", "weight": math.nan}]}, "rewards[0].weight is nan"),
        ({"rewards": [{"kind": "reward_model"}]}, "rewards[0] is a reward_model without ckpt"),
        ({"rewards": [{"kind": "verifier"}]}, "rewards[0] is a verifier without task"),
        ({"rewards": [{"kind": "random", "task": "gsm8k"}]}, "rewards[0].task is of a verifier, and this is random"),
        ({"rewards": verify("gsm9k")}, "no task or suite named gsm9k (did you mean gsm8k?)"),
        ({"rewards": verify("lab")}, "name one of its tasks: lab_chat, lab_math, lab_code"),
        ({"rewards": verify("lab_math")}, "lab_math needs prompts of lab:math, which prompts.source = 'lab:chat'"),
        ({"rewards": verify("ifeval")}, "ifeval needs what its own examples hold"),
        ({"rewards": verify("gsm8k"), "prompts": {"source": "a.jsonl"}}, "with prompts.target_field"),
        ({"rewards": [{"kind": "random", "weigth": 2}]}, "rewards[0].weigth (did you mean weight?)"),
        ({"prompts": {"nun_prompts": 5}}, "prompts.nun_prompts (did you mean num_prompts?)"),
        ({"prompts_per_step": 0}, "prompts_per_step"),
    ],
)
def test_refused(changes: dict[str, Any], said: str) -> None:
    """What cannot be a training run is refused in one line that names the file, the setting and the way out."""
    with pytest.raises(SpecError) as caught:
        parse(**changes)
    assert said in str(caught.value)
    assert str(caught.value).startswith("recipe.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "task"),
    [("lab:chat", "lab_chat"), ("lab:math", "lab_math"), ("lab:math", "gsm8k"), ("lab:code", "lab_code")],
)
def test_verifiers_of_the_lab(source: str, task: str) -> None:
    """The lab's prompts hold what their own task's scorer needs; numbers can be judged by any task of mathematics."""
    assert parse(prompts={"source": source}, rewards=verify(task)).rewards[0].task == task


def test_assignments(tmp_path: Path) -> None:
    """--set reaches tables, and replaces the list of rewards as a whole."""
    recipe = read_recipe(
        RECIPES / "lab_grlo.toml",
        ["steps=3", "prompts.num_prompts=200", 'rewards=[{kind="random"}]', "optimiser.learning_rate=0.5"],
    )
    assert (recipe.steps, recipe.prompts.num_prompts, recipe.optimiser.learning_rate) == (3, 200, 0.5)
    assert [reward.kind for reward in recipe.rewards] == ["random"]


def test_find_recipe(tmp_path: Path) -> None:
    """A recipe is found by path or by its shipped name; a near miss is suggested."""
    mine = tmp_path / "lab_grlo.toml"
    mine.write_text("")
    assert find_recipe(str(mine)) == mine
    assert find_recipe("lab_grlo") == find_recipe("lab_grlo.toml") == RECIPES / "lab_grlo.toml"
    with pytest.raises(SpecError, match="did you mean lab_grlo"):
        find_recipe("lab_grl0")
    with pytest.raises(SpecError, match="expected a TOML file"):
        find_recipe(str(tmp_path / "nothing.toml"))
