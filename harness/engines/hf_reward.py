"""A sequence-classification checkpoint with one label, a reward model: loads it and reads conversations in batches.

Which conversations, and what a failure means to whoever asked, is the business of its users: trainers.reward_model and
harness.judging.reward. It is loaded whole on one device.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.engines.hf_load import load_tokenizer, one_line
from harness.engines.hf_template import apply_template
from harness.errors import CheckpointError, EngineError
from harness.schema import EngineSpec, Message

Unfinished = Literal["closed", "open"]
"""How a turn that did not end is shown: `closed` like any other; `open` stops right after its text, without the end of
the turn."""


def render_conversation(
    tokenizer: Any, messages: Sequence[Message], text: str, is_finished: bool, unfinished: Unfinished
) -> str:
    """Return a prompt and its response in the tokenizer's chat template.

    Args:
        tokenizer: the reward model's.
        messages: the prompt.
        text: the response.
        is_finished: whether the response ended.
        unfinished: how it is shown if not.
    """
    if not is_finished and unfinished == "open":
        return apply_template(messages, tokenizer, add_generation_prompt=True) + text
    answered = (*messages, Message(role="assistant", content=text))
    return apply_template(answered, tokenizer, add_generation_prompt=False)


class HfReward:
    """The one number that the checkpoint gives a conversation."""

    def __init__(self, ckpt: str, model: Any, tokenizer: Any, device: str) -> None:
        """Take a loaded model with one label, and its tokenizer; load_hf_reward returns both in one."""
        self.name = f"reward model {ckpt}"
        self.tokenizer = tokenizer
        self.device = device
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        """Most tokens that it can read; None if its configuration does not say."""
        self._model = model

    def encode(self, messages: Sequence[Message], text: str, is_finished: bool, unfinished: Unfinished) -> list[int]:
        """Return the tokens of render_conversation's text; the template writes every special token itself."""
        conversation = render_conversation(self.tokenizer, messages, text, is_finished, unfinished)
        ids: list[int] = self.tokenizer(conversation, add_special_tokens=False)["input_ids"]
        return ids

    def find_flaw(self, ids: Sequence[int]) -> str | None:
        """Return why a conversation cannot be read, None if it can."""
        if self.context is not None and len(ids) > self.context:
            return f"{self.name} has a context of {self.context:,} tokens, and a conversation has {len(ids):,}"
        return None

    def score(self, ids: Sequence[Sequence[int]], batch_size: int) -> list[float]:
        """Return the rewards of conversations; those of similar length share a batch.

        Raises:
            EngineError: if memory runs out.
        """
        scores = [0.0] * len(ids)
        for chosen in self._batches(sorted(range(len(ids)), key=lambda index: len(ids[index])), batch_size):
            for index, value in zip(chosen, self._score_batch([ids[index] for index in chosen]), strict=True):
                scores[index] = value
        return scores

    def close(self) -> None:
        """Release the model's memory."""
        self._model = None

    def _batches(self, order: Sequence[int], batch_size: int) -> Iterator[Sequence[int]]:
        size = batch_size if self._model.config.pad_token_id is not None else 1
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _score_batch(self, ids: Sequence[Sequence[int]]) -> list[float]:
        import torch

        from harness.engines.hf_decode import is_out_of_memory

        longest = max(map(len, ids))
        pad = self._model.config.pad_token_id
        tokens_bt = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in ids], device=self.device)
        mask_bt = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids], device=self.device)
        try:
            with torch.inference_mode():
                logits_b1 = self._model(input_ids=tokens_bt, attention_mask=mask_bt).logits
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise EngineError(
                f"{self.name} ran out of memory over {len(ids)} conversations of up to {longest:,} tokens"
            ) from error
        values: list[float] = logits_b1[:, 0].float().tolist()
        return values


def load_hf_reward(folder: Path, ckpt: str, spec: EngineSpec) -> HfReward:
    """Load a reward model.

    Args:
        folder: of the checkpoint.
        ckpt: as the user named it, for errors.
        spec: what resolve_hf returned.

    Raises:
        CheckpointError: if it is damaged, has no chat template, no trained score head, or several labels.
        EngineError: if it does not fit into memory.
    """
    tokenizer = load_tokenizer(str(folder), None)
    if not tokenizer.chat_template:
        raise CheckpointError(f"the tokenizer of reward model {ckpt} has no chat template to read conversations in")
    return HfReward(ckpt, _load_model(folder, ckpt, spec), tokenizer, spec.device)


def _load_model(folder: Path, ckpt: str, spec: EngineSpec) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    from harness.engines.hf_decode import is_out_of_memory

    try:
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
            str(folder), dtype=getattr(torch, spec.dtype), output_loading_info=True, use_safetensors=True
        )
        model, info = loaded[0].to(spec.device).eval(), loaded[1]
    except (
        OSError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        SafetensorError,
        ImportError,
        MemoryError,
    ) as error:
        if is_out_of_memory(error):
            raise EngineError(
                f"the {spec.device} has no memory left for reward model {ckpt}; take a smaller one or other hardware"
            ) from error
        raise CheckpointError(f"cannot load reward model {ckpt}: {one_line(error)}") from error
    # transformers fills a missing head with random numbers, which would be a random reward
    if missing := sorted(info["missing_keys"]):
        raise CheckpointError(
            f"{ckpt} lacks {', '.join(missing[:3])} of a sequence classifier: it is no reward model, or is damaged"
        )
    if model.config.num_labels != 1:
        raise CheckpointError(
            f"reward model {ckpt} gives {model.config.num_labels} numbers a conversation (num_labels); expected 1"
        )
    return model
