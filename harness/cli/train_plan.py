"""`harness train --dry-run`: what a recipe would do and take, without loading weights or asking the network."""

from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from harness.cli.table import stdout_console
from harness.errors import HarnessError
from trainers.base import open_base
from trainers.estimate import (
    GIB,
    count_epochs,
    count_work,
    estimate_recipe,
    find_config,
    find_device,
    is_hub_id,
    savings,
)
from trainers.prompts import PromptSet, check_batch, load_prompts, read_prompts, steps_per_epoch
from trainers.spec import Recipe, RewardSpec


def print_plan(recipe: Recipe) -> None:
    """Print the plan.

    Raises:
        HarnessError: if the base is damaged, or the prompts cannot be had or are too few; the rest is printed first.
    """
    table = Table(title=f"plan for {recipe.name}", show_edge=False, show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _rows(recipe):
        table.add_row(name, escape(text))
    problem: HarnessError | None = None
    try:
        for name, text in _prompt_rows(recipe):
            table.add_row(name, escape(text))
    except HarnessError as error:
        problem = error
    stdout_console().print(table, highlight=False)
    if problem is not None:
        raise problem


def _rows(recipe: Recipe) -> Iterator[tuple[str, str]]:
    counts = count_work(recipe)
    yield "training", f"{recipe.algorithm} from {recipe.base}, on {', '.join(recipe.trained_on)}"
    yield "reward", " + ".join(_describe(reward) for reward in recipe.rewards)
    responses = f" × {recipe.num_generations} responses" if recipe.num_generations > 1 else ""
    yield (
        "rollouts",
        f"{counts.num_steps:,} steps × {recipe.prompts_per_step:,} prompts{responses} = {counts.num_rollouts:,}",
    )
    yield "optimiser", f"{counts.num_updates:,} steps of {recipe.mini_batch * recipe.num_generations:,} responses"
    yield "tokens", f"≤ {counts.most_tokens_generated:,} generated, ≤ {counts.most_tokens_trained:,} trained on"
    yield "memory", _memory(recipe)
    yield "writes", str(Path(recipe.out) / recipe.name)


def _describe(reward: RewardSpec) -> str:
    name = {"reward_model": reward.ckpt, "verifier": reward.task}.get(reward.kind)
    weight = "" if reward.weight == 1 else f"{reward.weight:g} × "
    return f"{weight}{reward.kind}" + (f" {name}" if name else "")


def _memory(recipe: Recipe) -> str:
    device, available = find_device(recipe)
    memory = estimate_recipe(recipe, device)
    if memory is None:
        return f"not known: the config.json of {recipe.base} is not on this machine, or of a kind that is not estimated"
    parts = {"policy and critic" if recipe.algorithm == "ppo" else "policy": memory.trained}
    parts |= {"frozen models": memory.frozen, "an update": memory.update}
    text = " + ".join(f"{name} {_size(value)}" for name, value in parts.items() if value)
    text = f"about {_size(memory.total)} of this {device}'s {_size(available)}: {text}"
    if memory.unknown:
        text += f"; without {', '.join(memory.unknown)}, whose config.json is not here"
    if memory.total > available:
        text += f". Too much: {', or '.join(savings(recipe))}"
    return text


def _size(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB else f"{num_bytes / (1 << 20):.0f} MiB"


def _prompt_rows(recipe: Recipe) -> Iterator[tuple[str, str]]:
    prompts, how = _read_prompts(recipe)
    yield "prompts", f"{prompts.num_given:,} of {prompts.source}, sha256 {prompts.sha256[:12]}; {how}"
    check_batch(prompts, recipe)
    num_prompts = len(prompts.prompts)
    per_pass = steps_per_epoch(num_prompts, recipe)
    yield "passes", f"{count_epochs(recipe, num_prompts):.1f}, of {per_pass:,} full batches each"


def _read_prompts(recipe: Recipe) -> tuple[PromptSet, str]:
    if is_hub_id(recipe.base) and find_config(recipe.base) is None:
        return read_prompts(recipe.prompts), "their lengths are not known without the base's tokenizer"
    prompts = load_prompts(recipe, open_base(recipe).tokenizer)
    return prompts, f"{prompts.num_too_long:,} of more than {recipe.max_prompt_tokens:,} tokens are left out"
