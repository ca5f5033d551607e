"""The checkpoint that training starts from: found, pinned, its tokenizer ready. Loads no weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checkpoint import read_template, resolve_checkpoint
from harness.engines.hf_load import load_tokenizer
from harness.errors import CheckpointError
from harness.schema import CheckpointRef
from trainers.lab import SHIPPED
from trainers.spec import Recipe


@dataclass(frozen=True)
class Base:
    """A checkpoint that can be trained."""

    ref: CheckpointRef
    folder: Path
    tokenizer: Any
    """Pads on the left; has the recipe's chat template where that names one."""


def open_base(recipe: Recipe) -> Base:
    """Find a recipe's base and check that it can be trained as the recipe says.

    Raises:
        CheckpointError: if it is missing or damaged, has no chat template, has fewer embeddings than its tokenizer has
            tokens, or a context too short for prompt and response.
    """
    template = Path(recipe.chat_template).expanduser() if recipe.chat_template else None
    resolved = resolve_checkpoint(recipe.base, SHIPPED, chat_template=template)
    if resolved.folder is None:
        raise CheckpointError(f"base {recipe.base} has no weights to train; name a folder, a hub id or lab/base")
    tokenizer = load_tokenizer(str(resolved.folder), None)
    tokenizer.padding_side = "left"
    if template is not None:
        tokenizer.chat_template = read_template(resolved.folder, template)
    if not tokenizer.chat_template:
        raise CheckpointError(
            f"the tokenizer of {recipe.base} has no chat template, which training prompts need; "
            "name a file with one in the recipe: chat_template = FILE"
        )
    check_config(recipe, resolved.folder / "config.json", len(tokenizer))
    return Base(ref=resolved.ref, folder=resolved.folder, tokenizer=tokenizer)


def check_config(recipe: Recipe, path: Path, num_tokens: int) -> None:
    """Compare a base's config.json with its tokenizer and the recipe's lengths.

    Raises:
        CheckpointError: if it cannot be read, has too few embeddings, or too short a context.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    config = config.get("text_config", config)
    vocabulary, context = config.get("vocab_size"), config.get("max_position_embeddings")
    if vocabulary is not None and vocabulary < num_tokens:
        raise CheckpointError(
            f"base and tokenizer of {recipe.base} do not belong together: the tokenizer has {num_tokens:,} tokens, "
            f"config.json has embeddings for {vocabulary:,}; copy the tokenizer that the base was trained with"
        )
    needed = recipe.max_prompt_tokens + recipe.max_response_tokens
    if context is not None and context < needed:
        raise CheckpointError(
            f"{recipe.base} has a context of {context:,} tokens; prompts of up to {recipe.max_prompt_tokens:,} and "
            f"responses of up to {recipe.max_response_tokens:,} need {needed:,}: lower max_prompt_tokens or "
            "max_response_tokens"
        )
