"""A sequence-classification checkpoint as a reward: it reads prompt and response in its own chat template.

Loading and reading are harness.engines.hf_reward's; training one is trainers.lab's and TRL's work.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.checkpoint import resolve_checkpoint
from harness.engines.hf import resolve_hf
from harness.engines.hf_reward import HfReward, load_hf_reward, render_conversation
from harness.errors import CheckpointError, EngineError, TrainingError
from harness.schema import Fingerprint
from trainers.lab import REWARDS, SHIPPED
from trainers.rewards import Completion
from trainers.spec import RewardSpec

__all__ = ["RewardModel", "load_reward_model", "render_conversation"]


class RewardModel:
    """The one number that the checkpoint gives a conversation."""

    def __init__(self, model: HfReward, spec: RewardSpec, fingerprint: Fingerprint) -> None:
        """Take a loaded reward model."""
        self.name = f"reward_model {spec.ckpt}"
        self._model = model
        self._spec = spec
        self._fingerprint = fingerprint
        self._counts = {"num_scored": 0, "num_truncated": 0}

    def score(self, completions: Sequence[Completion], seed: int) -> list[float]:
        """Return the model's scores; conversations of similar length share a batch.

        Raises:
            TrainingError: if memory runs out, or a conversation is longer than the model's context.
        """
        ids = [self._tokenize(completion) for completion in completions]
        try:
            return self._model.score(ids, self._spec.batch_size)
        except EngineError as error:
            raise TrainingError(f"{error}; lower its batch_size or max_tokens") from error

    def _tokenize(self, completion: Completion) -> list[int]:
        """Return the last max_tokens tokens of a conversation."""
        ids = self._model.encode(
            completion.prompt.messages, completion.text, completion.is_finished, self._spec.unfinished
        )
        self._counts["num_scored"] += 1
        self._counts["num_truncated"] += len(ids) > self._spec.max_tokens
        ids = ids[-self._spec.max_tokens :]
        if flaw := self._model.find_flaw(ids):
            raise TrainingError(
                f"{flaw}; lower its max_tokens ({self._spec.max_tokens:,}) to {self._model.context:,}, which cuts "
                "longer ones on the left"
            )
        return ids

    def describe(self) -> dict[str, Any]:
        """Return the checkpoint, its fingerprint (weights, tokenizer, chat template) and how many were cut."""
        return {
            "kind": "reward_model",
            "ckpt": self._spec.ckpt,
            "fingerprint": msgspec.to_builtins(self._fingerprint),
            "unfinished": self._spec.unfinished,
            "max_tokens": self._spec.max_tokens,
            **self._counts,
        }

    def counts(self) -> dict[str, int]:
        """Return how many conversations were scored, and how many of them were cut."""
        return dict(self._counts)

    def resume(self, counts: Mapping[str, int]) -> None:
        """Go on from an earlier session's counts."""
        self._counts.update(counts)

    def close(self) -> None:
        """Release the model's memory."""
        self._model.close()


def load_reward_model(spec: RewardSpec, device: str, dtype: str) -> RewardModel:
    """Load the checkpoint a recipe names.

    Raises:
        CheckpointError: if it is missing or damaged, has no chat template, no trained score head, or several labels.
        TrainingError: if it does not fit into memory.
    """
    assert spec.ckpt is not None, "checked with the recipe"
    resolved = resolve_checkpoint(spec.ckpt, SHIPPED | REWARDS)
    if resolved.folder is None:
        raise CheckpointError(f"reward model {spec.ckpt} has no weights; name a sequence-classification checkpoint")
    engine = resolve_hf(dtype, device)
    try:
        model = load_hf_reward(resolved.folder, spec.ckpt, engine)
    except EngineError as error:
        raise TrainingError(str(error)) from error
    return RewardModel(model, spec, resolved.ref.fingerprint)
