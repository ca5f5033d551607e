"""The training recipe: what is trained, on which prompts, for which reward, by which algorithm. TOML → one Recipe.

It says what a training run is, and refuses what cannot be one; no weights and no prompts are loaded here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness.checkpoint import check_label
from harness.errors import CheckpointError, SpecError, UsageError
from harness.reading import merge_tables, parse_assignments, parse_record, read_toml
from harness.schema import Positive, Record
from harness.spec import did_you_mean

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Above = Annotated[float, msgspec.Meta(gt=0)]
NotBelow = Annotated[float, msgspec.Meta(ge=0)]
Algorithm = Literal["ppo", "grpo", "rloo"]

RECIPES = Path(__file__).parent / "recipes"
"""Recipes that come with the package; the name of one without `.toml` is enough to train it."""
LAB = "lab:"
"""Begins a source of prompts that the lab's generator makes."""


class PromptsSpec(Record, frozen=True):
    """Where training prompts come from."""

    source: str
    """A file (.jsonl, .jsonl.gz, .json, .parquet, .txt), or the lab's generator: `lab:chat`, `lab:math`, `lab:code`."""
    field: str | None = None
    """Where a row of the file has its prompt, dotted; None takes the first of the usual names."""
    target_field: str | None = None
    """Where a row has the reference answer that a `verifier` needs, dotted (verl: reward_model.ground_truth); of a text
    with ####, as GSM8K writes it, the part behind."""
    template: str = "{input}"
    """What the user says; {input} is replaced by the row's text. To ask for a boxed answer, say."""
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
    unfinished: Literal["closed", "open"] = "closed"
    """Of `reward_model`: how it sees a turn that did not end. `closed` writes the end of the turn all the same, as verl
    does; `open` leaves it out, for reward models that have seen such turns."""


class OptimiserSpec(Record, frozen=True):
    """AdamW, constant after a linear warm-up."""

    learning_rate: Above = 1e-6
    critic_learning_rate: Above = 1e-5
    """Of PPO's critic."""
    warmup_steps: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Batches of rollouts, as `steps`: all updates of the k-th of n take k/n of the rate."""
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
    dual_clip: Annotated[float, msgspec.Meta(gt=1)] = 3.0
    """verl's clip_ratio_c: where the advantage is negative, a token's loss is at most this times its size; inf is no
    bound (Ye et al. 2020, arXiv 1912.09729)."""
    measure_kl: bool = True
    """Whether the KL divergence from the base is measured at each step where `kl` is 0; costs a forward pass and the
    memory of the base's weights."""


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
    """Weight of the KL divergence from the base in the loss."""
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
    """Of matrix products; `auto` is bfloat16 on a GPU, float32 on a CPU. Trained weights are float32 all the same."""
    gradient_checkpointing: bool = False
    threads: Positive | None = None
    """Of the CPU; results are reproducible for a given number."""


def find_recipe(given: str) -> Path:
    """Return the file of a recipe: a path, or the name of one that comes with the package.

    Raises:
        SpecError: if there is neither.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path
    shipped = RECIPES / f"{given.removesuffix('.toml')}.toml"
    if path.name == given and shipped.is_file():
        return shipped
    names = sorted(found.stem for found in RECIPES.glob("*.toml"))
    hint = did_you_mean(path.stem, names) or f"; shipped recipes: {', '.join(names)}"
    raise SpecError(f"no recipe {given}: expected a TOML file, or the name of a shipped recipe{hint}")


def read_recipe(path: Path, assignments: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, with `--set NAME=VALUE` laid over it.

    Raises:
        SpecError: if it cannot be read or does not describe a training run.
    """
    data = merge_tables(read_toml(path), parse_assignments(assignments))
    return parse_recipe(data, str(path))


def parse_recipe(data: Mapping[str, Any], source: str) -> Recipe:
    """Build a recipe from plain data, checked; `source` is named in errors.

    Raises:
        SpecError: if a key is unknown, missing, of the wrong type or out of range, or if settings exclude each other.
    """
    recipe = parse_record(data, Recipe, source)
    for problem in _problems(recipe):
        raise SpecError(f"{source}: {problem}")
    return recipe


def _problems(recipe: Recipe) -> Iterator[str]:
    """Yield what makes a recipe impossible."""
    try:
        check_label(recipe.name)
    except CheckpointError:
        yield f"name {recipe.name!r} cannot name a folder; use letters, digits, and . _ - + @ (at most 100)"
    if not recipe.trained_on:
        yield 'trained_on is empty; name the domains that the prompts belong to, such as ["chat"] or ["lab-chat"]'
    if recipe.seed < 0 or recipe.prompts.seed < 0:
        yield "seed is negative; expected 0 or more"
    yield from _batch_problems(recipe)
    yield from _prompt_problems(recipe.prompts)
    yield from _reward_problems(recipe)


def _batch_problems(recipe: Recipe) -> Iterator[str]:
    if recipe.algorithm == "ppo" and recipe.num_generations != 1:
        yield (
            f"num_generations is {recipe.num_generations}, and ppo takes 1 response per prompt: its critic stands for "
            "the others; set 1, or algorithm to grpo or rloo"
        )
    if recipe.algorithm != "ppo" and recipe.num_generations < 2:
        yield f"num_generations is 1, and {recipe.algorithm} compares responses to the same prompt; set 2 or more"
    if recipe.algorithm != "ppo" and recipe.ppo != PpoSpec():
        yield f"the settings of [ppo] have no meaning for {recipe.algorithm}; leave them out"
    if recipe.prompts_per_step % recipe.mini_batch:
        yield (
            f"mini_batch is {recipe.mini_batch}, which does not divide prompts_per_step, {recipe.prompts_per_step}: "
            "every optimiser step takes the same number of prompts"
        )
    if recipe.ppo.critic_warmup_steps >= recipe.steps:
        yield f"ppo.critic_warmup_steps is {recipe.ppo.critic_warmup_steps} of {recipe.steps} steps: no step is left"
    finite = {"clip": recipe.clip, "kl": recipe.kl, "entropy": recipe.entropy, "temperature": recipe.temperature}
    finite |= {f"optimiser.{name}": value for name, value in msgspec.structs.asdict(recipe.optimiser).items()}
    for name, value in finite.items():
        if not math.isfinite(value):
            yield f"{name} is {value}; expected a finite number"


def _prompt_problems(prompts: PromptsSpec) -> Iterator[str]:
    if "{input}" not in prompts.template:
        yield f"prompts.template is {prompts.template!r}; it must hold {{input}}, where the row's text goes"
    if not prompts.source.startswith(LAB):
        return
    if (domain := prompts.source.removeprefix(LAB)) not in ("chat", "math", "code"):
        yield f"prompts.source is {prompts.source}; the lab generates lab:chat, lab:math and lab:code, not {domain!r}"
    if prompts.num_prompts is None:
        yield f"prompts.num_prompts is missing: {prompts.source} has no end; say how many to draw"
    if prompts.field or prompts.target_field or prompts.template != "{input}":
        yield f"prompts.field, target_field and template are of files; {prompts.source} knows where its prompts are"


def _reward_problems(recipe: Recipe) -> Iterator[str]:
    if not recipe.rewards:
        yield "no reward is given; add a table [[rewards]] with kind = reward_model, verifier, random or finish_only"
    elif not any(reward.weight for reward in recipe.rewards):
        yield "the weights of all rewards are 0: nothing would be learned"
    for number, reward in enumerate(recipe.rewards):
        where = f"rewards[{number}]"
        if not math.isfinite(reward.weight):
            yield f"{where}.weight is {reward.weight}; expected a finite number"
        for kind, key in (("reward_model", "ckpt"), ("verifier", "task")):
            given = getattr(reward, key)
            if reward.kind == kind and not given:
                what = "a sequence-classification checkpoint" if key == "ckpt" else "the task whose scorer judges"
                yield f"{where} is a {kind} without {key}: name {what}"
            if reward.kind != kind and given is not None:
                yield f"{where}.{key} is of a {kind}, and this is {reward.kind}; leave it out"
        if reward.kind == "verifier":
            yield from _verifier_problems(where, reward.task or "", recipe.prompts)


def _verifier_problems(where: str, task: str, prompts: PromptsSpec) -> Iterator[str]:
    """Say why a task's scorer could not judge answers to these prompts, before anything is generated."""
    from tasks.registry import TASKS, select_tasks

    if task not in TASKS:
        try:
            names = ", ".join(found.name for found in select_tasks([task]))
            yield f"{where}.task is {task}, a suite; name one of its tasks: {names}"
        except UsageError as error:
            yield f"{where}.task: {error}"
        return
    has_target = prompts.source == "lab:math" or not prompts.source.startswith(LAB)
    judged_by_target = TASKS[task].suite in ("math", "lab-math")
    own = f"lab:{task.removeprefix('lab_')}" if task.startswith("lab_") else None
    if prompts.source != own and not (has_target and judged_by_target):
        needs = f"prompts of {own}" if own else "what its own examples hold"
        yield f"{where}: the scorer of {task} needs {needs}, which prompts.source = {prompts.source!r} does not give"
    elif not prompts.source.startswith(LAB) and prompts.target_field is None:
        yield f"{where}: a verifier needs reference answers; say where rows have them with prompts.target_field"
