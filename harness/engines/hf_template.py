"""Renders a conversation in a tokenizer's chat template, for what is trained and for reward models.

Prompts of an evaluation are HfRenderer's, which also begins turns and tells templates about thinking.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.engines.hf import stop_clock
from harness.engines.hf_load import one_line
from harness.errors import CheckpointError
from harness.schema import Message


def apply_template(
    messages: Sequence[Message],
    tokenizer: Any,
    add_generation_prompt: bool,
    what: str = "a conversation",
    hint: str = "",
) -> str:
    """Return a conversation in the tokenizer's chat template, its clock standing still.

    Args:
        messages: the conversation.
        tokenizer: of transformers.
        add_generation_prompt: whether the assistant's next turn is begun.
        what: the conversation in words, for errors.
        hint: ends an error; what to do about it.

    Raises:
        CheckpointError: if there is no chat template, or it fails.
    """
    from jinja2 import TemplateError

    template = tokenizer.chat_template
    template = template.get("default") if isinstance(template, Mapping) else template
    if not template:
        raise CheckpointError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, which conversations need{hint}"
        )
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text: str = tokenizer.apply_chat_template(
            turns, chat_template=stop_clock(template), tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise CheckpointError(
            f"the chat template of {tokenizer.name_or_path} fails on {what}: {one_line(error)}{hint}"
        ) from error
    if not text:
        raise CheckpointError(f"the chat template of {tokenizer.name_or_path} writes nothing for {what}{hint}")
    return text
