"""Training prompts: read from a file or drawn by the lab's generator, measured by the tokenizer, put in order.

Never a held-out question: the lab's generator leaves those out here as it does in the web.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, get_args

import numpy as np

from harness.audit.prompts import PromptFile, look_up, open_prompts
from harness.engines.hf_template import apply_template
from harness.errors import DataError
from harness.schema import Example, Message
from trainers.spec import LAB, PromptsSpec, Recipe

_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
_PATIENCE = 1000
"""Draws of the lab's generator in a row without a new prompt, after which it counts as exhausted."""


@dataclass(frozen=True)
class TrainingPrompt:
    """One conversation to respond to."""

    prompt_id: str
    messages: tuple[Message, ...]
    example: Example | None
    """What a task's scorer needs to judge a response; None where no reference answer was given."""


@dataclass(frozen=True)
class PromptSet:
    """All prompts of a training run."""

    prompts: tuple[TrainingPrompt, ...]
    sha256: str
    """Of the file's bytes, or of the generated rows."""
    num_given: int
    """Before long ones were dropped."""
    num_too_long: int
    source: str


def load_prompts(recipe: Recipe, tokenizer: Any) -> PromptSet:
    """Read or draw a recipe's prompts, and drop those that are too long.

    Raises:
        DataError: if a row has no prompt or no reference answer, a prompt is too long and the recipe says that this is
            an error, or the prompts do not fill a batch.
        CheckpointError: if the tokenizer has no chat template, or the template fails.
    """
    prompt_set = _drop_long(read_prompts(recipe.prompts), recipe, tokenizer)
    check_batch(prompt_set, recipe)
    return prompt_set


def read_prompts(spec: PromptsSpec) -> PromptSet:
    """Read or draw prompts of any length.

    Raises:
        DataError: if the file cannot be read, or a row has no prompt or no reference answer.
    """
    if spec.source.startswith(LAB):
        return _draw_prompts(spec)
    path = Path(spec.source).expanduser()
    try:
        file = open_prompts(path, spec.field)
        prompts = tuple(_take(_read_file(file, spec), spec.num_prompts))
    except DataError as error:
        # the reader is shared with `harness audit`, where the field is a flag
        raise DataError(str(error).replace("--field", "prompts.field")) from error
    if len(prompts) < (spec.num_prompts or 0):
        raise DataError(
            f"{path} has {len(prompts):,} prompts, fewer than prompts.num_prompts, {spec.num_prompts:,}; lower it, or "
            "leave it out to take the whole file"
        )
    return PromptSet(prompts, file.sha256, len(prompts), 0, spec.source)


def check_batch(prompt_set: PromptSet, recipe: Recipe) -> None:
    """Check that the prompts fill at least one batch.

    Raises:
        DataError: if they do not, with both numbers.
    """
    num_prompts = len(prompt_set.prompts)
    if num_prompts < recipe.prompts_per_step:
        dropped = f" (after {prompt_set.num_too_long:,} that were too long)" if prompt_set.num_too_long else ""
        raise DataError(
            f"{prompt_set.source} has {num_prompts:,} prompts{dropped}, fewer than prompts_per_step, "
            f"{recipe.prompts_per_step:,}: not one batch could be filled; lower prompts_per_step (and mini_batch), or "
            "give more prompts"
        )


def steps_per_epoch(num_prompts: int, recipe: Recipe) -> int:
    """Return the full batches in one pass over the prompts."""
    return num_prompts // recipe.prompts_per_step


def order_prompts(prompt_set: PromptSet, recipe: Recipe, step: int) -> tuple[TrainingPrompt, ...]:
    """Return the prompts of a step, counted from 0: a function of the recipe's seed and the step alone.

    Each pass over the prompts is a shuffle of its own. What is left of it after the last full batch is not used, as in
    verl's loader (drop_last), so that no prompt is twice in a batch; the next shuffle leaves out others.
    """
    epoch, position = divmod(step, steps_per_epoch(len(prompt_set.prompts), recipe))
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(prompt_set.prompts))
    start = position * recipe.prompts_per_step
    return tuple(prompt_set.prompts[index] for index in order[start : start + recipe.prompts_per_step])


def render_prompt(messages: Sequence[Message], tokenizer: Any) -> str:
    """Return the text after which the model responds, as `harness eval` renders it.

    Raises:
        CheckpointError: if there is no chat template, or it fails.
    """
    missing = "another" if tokenizer.chat_template else "a file with one"
    hint = f"; for the base, name {missing} in the recipe: chat_template = FILE"
    return apply_template(messages, tokenizer, add_generation_prompt=True, what="a training prompt", hint=hint)


def tokenize_prompt(messages: Sequence[Message], tokenizer: Any) -> list[int]:
    """Return the token ids that the model is given; the template writes every special token itself."""
    return list(tokenizer(render_prompt(messages, tokenizer), add_special_tokens=False)["input_ids"])


def _drop_long(given: PromptSet, recipe: Recipe, tokenizer: Any) -> PromptSet:
    lengths = [len(tokenize_prompt(prompt.messages, tokenizer)) for prompt in given.prompts]
    kept = []
    for prompt, length in zip(given.prompts, lengths, strict=True):
        if length <= recipe.max_prompt_tokens:
            kept.append(prompt)
        elif recipe.prompts.too_long == "error":
            raise DataError(
                f"{given.source}: prompt {prompt.prompt_id} has {length:,} tokens, more than max_prompt_tokens, "
                f'{recipe.max_prompt_tokens:,}; raise it, shorten the prompt, or set prompts.too_long = "drop"'
            )
    if not kept:
        raise DataError(
            f"{given.source}: all {given.num_given:,} prompts have more than max_prompt_tokens, "
            f"{recipe.max_prompt_tokens:,}, tokens (the shortest {min(lengths):,}); raise it"
        )
    return replace(given, prompts=tuple(kept), num_too_long=len(lengths) - len(kept))


def _take(prompts: Iterator[TrainingPrompt], limit: int | None) -> Iterator[TrainingPrompt]:
    for number, prompt in enumerate(prompts):
        if number == limit:
            return
        yield prompt


def _read_file(file: PromptFile, spec: PromptsSpec) -> Iterator[TrainingPrompt]:
    for prompt in file:
        where = f"{file.path} row {prompt.row}"
        value = look_up(prompt.fields, file.field) if file.field else prompt.text
        messages = _fill(_read_turns(value, prompt.text, where), spec.template)
        example = None
        if spec.target_field is not None:
            target = _read_target(look_up(prompt.fields, spec.target_field), f"{where}: field {spec.target_field}")
            example = Example(task="prompts", example_id=str(prompt.row), input=prompt.text, target=target)
        yield TrainingPrompt(f"row {prompt.row}", messages, example)


def _read_turns(value: Any, text: str, where: str) -> list[Message]:
    """Return a conversation up to the turn that is to be answered; reference answers at its end are left out."""
    if isinstance(value, str):
        return [Message(role="user", content=text)]
    turns = []
    for turn in value:
        role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if role not in _ROLES or not isinstance(content, str):
            raise DataError(
                f"{where}: a turn of role {role!r} with content of type {type(content).__name__}; expected text by "
                f"{', '.join(_ROLES)}"
            )
        turns.append(Message(role=_ROLES[role], content=content))  # type: ignore[arg-type] # values are roles
    while turns and turns[-1].role == "assistant":
        turns.pop()
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        raise DataError(f"{where}: the conversation does not end with something that the user says")
    return turns


def _fill(turns: list[Message], template: str) -> tuple[Message, ...]:
    *before, last = turns
    return (*before, Message(role="user", content=template.replace("{input}", last.content)))


def _read_target(value: Any, where: str) -> str:
    text = str(value).rpartition("####")[2].strip()
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not text:
        raise DataError(f"{where} holds no reference answer but {value!r}; fill it in, or remove the row")
    return text


def _draw_prompts(spec: PromptsSpec) -> PromptSet:
    """Draw different prompts; each is an example of its domain's task, so that the task's scorer can judge."""
    from tasks.registry import TASKS
    from trainers.lab import noise
    from trainers.lab.problem import Domain
    from trainers.lab.tasks import make_row, render

    domain = next(name for name in get_args(Domain) if spec.source == LAB + name)
    assert spec.num_prompts is not None, "checked with the recipe"
    task = TASKS[f"lab_{domain}"]
    problems, targets = Random(f"{spec.seed} {domain} training"), Random(f"{spec.seed} {domain} training targets")
    rows: dict[str, dict[str, Any]] = {}
    num_repeats = 0
    while len(rows) < spec.num_prompts and num_repeats < _PATIENCE:
        problem = noise.draw_problem(problems, domain)
        if problem.prompt in rows:
            num_repeats += 1
        else:
            row_id = f"{domain}-train-{spec.seed}-{len(rows):05d}"
            rows[problem.prompt] = {"id": row_id, **make_row(problem, len(rows), targets)}
            num_repeats = 0
    if len(rows) < spec.num_prompts:
        raise DataError(
            f"prompts.num_prompts is {spec.num_prompts:,}, and {spec.source} gave {len(rows):,} different prompts; "
            "lower it"
        )
    examples = [task.source.parse(task.name, number, row) for number, row in enumerate(rows.values())]
    digest = hashlib.sha256(render(rows.values()).encode()).hexdigest()
    prompts = tuple(TrainingPrompt(example.example_id, task.messages(example), example) for example in examples)
    return PromptSet(prompts, digest, len(prompts), 0, spec.source)
