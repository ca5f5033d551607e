"""Renders a recipe as a launch of verl's main_ppo: run.sh, train.parquet, for verifiers reward.py. Runs nothing."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import SpecError
from trainers.base import open_base
from trainers.launch_script import Cluster, check_gpus, write_script
from trainers.launch_verl_keys import NO_KEY, VERSION, all_settings, look_up, place, verl_value
from trainers.prompts import PromptSet, TrainingPrompt, check_batch, load_prompts, read_prompts
from trainers.spec import Recipe

REWARD_FILE = '''"""Reward of the recipe {name} for verl: the harness's scorers. It must be importable there."""

from typing import Any

from trainers.verl_reward import score_response

TERMS = {terms}
"""Weight of each task's scorer."""


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **_: Any
) -> dict[str, float]:
    """Return verl's reward of one response."""
    return score_response(TERMS, solution_str, extra_info)
'''


def render_verl(recipe: Recipe, out: Path, cluster: Cluster) -> tuple[Path, ...]:
    """Write run.sh, train.parquet and, for verifiers, reward.py.

    Raises:
        SpecError: if verl cannot do what the recipe says, naming the field.
        DataError: if the prompts cannot be read, or are fewer than a batch.
    """
    _check(recipe)
    check_gpus(recipe, cluster)
    prompts, is_counted = _load(recipe)
    settings = all_settings(recipe, len(prompts.prompts), cluster)
    out.mkdir(parents=True, exist_ok=True)
    files = [_write_parquet(out / "train.parquet", recipe, prompts.prompts)]
    if recipe.rewards[0].kind == "verifier":
        terms = {reward.task: reward.weight for reward in recipe.rewards}
        files.append(out / "reward.py")
        files[-1].write_text(REWARD_FILE.format(name=recipe.name, terms=json.dumps(terms)), encoding="utf-8")
    header = list(_header(recipe, prompts, is_counted, cluster))
    command = ('exec python3 -m verl.trainer.main_ppo "${settings[@]}" "$@"',)
    return (write_script(out / "run.sh", header, settings, command), *files)


def _check(recipe: Recipe) -> None:
    """Refuse what verl has no key for and would change what is learned."""
    for problem in _problems(recipe):
        raise SpecError(f"{recipe.name}: {problem}; train it with our own loop (no --launcher), or change the recipe")


def _problems(recipe: Recipe) -> Iterator[str]:
    kinds = {reward.kind for reward in recipe.rewards}
    if alone := kinds & {"random", "finish_only"}:
        yield f"verl has no reward {' or '.join(sorted(alone))} (its reward functions do not see how a turn ended)"
    if "reward_model" in kinds and len(recipe.rewards) > 1:
        yield "verl's reward model cannot be mixed with other rewards through its settings"
    tasks = [reward.task for reward in recipe.rewards if reward.kind == "verifier"]
    if len(tasks) != len(set(tasks)):
        yield "two rewards name the same task; give it once, with the sum of the weights"
    for reward in recipe.rewards:
        if reward.kind == "reward_model" and reward.weight != 1:
            yield f"rewards.weight is {reward.weight}, and verl has no factor for its reward model; expected 1"
        if reward.kind == "reward_model" and reward.unfinished == "open":
            yield "rewards.unfinished is open, and verl closes every turn that its reward model reads"
    if "${" in (verl_value(recipe, "chat_template") or ""):
        yield "chat_template holds ${, which verl's configuration would take for a reference"
    if recipe.dtype == "float32":
        yield "dtype is float32, and verl's engine computes in bfloat16 or float16"
    if recipe.device == "cpu":
        yield "device is cpu, and verl trains on GPUs"
    for field in ("base", "ppo.critic_ckpt", "rewards.ckpt"):
        for ckpt in filter(None, _checkpoints(recipe, field)):
            if "@" in ckpt and not Path(ckpt).expanduser().exists():
                yield f"{field} is {ckpt}, and verl takes no revision; download it (hf download) and give its folder"


def _checkpoints(recipe: Recipe, field: str) -> list[str | None]:
    return [r.ckpt for r in recipe.rewards] if field.startswith("rewards") else [look_up(recipe, field)]


def _load(recipe: Recipe) -> tuple[PromptSet, bool]:
    """Return the prompts, and whether too long ones could be counted here, which takes the base's tokenizer.

    A launch is often rendered where the weights are not; verl then leaves out long prompts itself.
    """
    if Path(place(recipe.base)).is_dir():
        return load_prompts(recipe, open_base(recipe).tokenizer), True
    if recipe.prompts.too_long == "error":
        raise SpecError(
            f'{recipe.name}: prompts.too_long is "error", and {recipe.base} is not a folder here whose tokenizer could '
            'count; give the folder of the base, or set too_long = "drop", which verl does by itself'
        )
    prompts = read_prompts(recipe.prompts)
    check_batch(prompts, recipe)
    return prompts, False


def _write_parquet(path: Path, recipe: Recipe, prompts: Sequence[TrainingPrompt]) -> Path:
    """Write the columns that verl reads (its rl_dataset.py); the same bytes each time under one version of pyarrow."""
    import pandas as pd

    rows = [_row(recipe, index, prompt) for index, prompt in enumerate(prompts)]
    pd.DataFrame(rows).to_parquet(path, engine="pyarrow", index=False, compression="zstd")
    return path


def _row(recipe: Recipe, index: int, prompt: TrainingPrompt) -> dict[str, Any]:
    extra_info: dict[str, Any] = {"split": "train", "index": index, "prompt_id": prompt.prompt_id}
    if prompt.example is not None:
        extra_info["example"] = msgspec.json.encode(prompt.example).decode()
    style = "rule" if recipe.rewards[0].kind == "verifier" else "model"
    target = prompt.example.target if prompt.example is not None else None
    return {
        "data_source": recipe.prompts.source,
        "prompt": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "ability": "+".join(recipe.trained_on),
        "reward_model": {"style": style, "ground_truth": target or ""},
        "extra_info": extra_info,
    }


def _header(recipe: Recipe, prompts: PromptSet, is_counted: bool, cluster: Cluster) -> Iterator[str]:
    """Yield what a reader of run.sh should know before running it."""
    num, batch = len(prompts.prompts), recipe.prompts_per_step
    yield f"{recipe.name}: {recipe.algorithm}, {recipe.steps} steps of {batch} prompts, for verl {VERSION}."
    yield "Rendered from a recipe, and never run at this size by the project: docs/train_at_scale.md."
    if cluster.num_nodes > 1:
        yield f"Run it once, on the head node of a Ray cluster of {cluster.num_nodes} nodes (`ray start` on each);"
        yield "this folder must have the same path on every node. Arguments are added to the settings."
    else:
        yield "Run it on the node. Arguments are added to the settings."
    yield f"Prompts: {num} of {prompts.num_given} in {prompts.source}, sha256 {prompts.sha256}."
    if is_counted:
        yield f"{prompts.num_too_long} were too long and are left out."
    else:
        yield f"Too long ones were not counted ({recipe.base} is not here); verl leaves them out, and if fewer than"
        yield f"{batch} remain, it has no batch to train on."
    if num % batch:
        yield f"An epoch is {num // batch} steps; verl leaves out {num % batch} prompts of each, others every time."
    yield "Without a key in verl:"
    for field, what in NO_KEY.items():
        yield f"  {field}: {what}"
    if recipe.rewards[0].kind == "reward_model":
        yield "  rewards.max_tokens: verl cuts nothing; the reward model gets room for twice the policy's tokens"
        yield "  rewards.batch_size: vLLM makes its own batches"
    else:
        yield "  rewards: verl does not say whether a turn ended, so scorers judge the text alone"
    yield "Otherwise than in our own loop: vLLM draws the responses, and the policy computes their probabilities again."
    if recipe.algorithm == "rloo":
        yield "The clipped ratio is a token's, and in our RLOO a whole response's."
