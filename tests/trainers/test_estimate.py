"""Estimates: counted by hand, and held against what transformers and autograd do."""

import json
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import TrainingError
from trainers.estimate import (
    Counts,
    Memory,
    Shape,
    check_memory,
    count_epochs,
    count_work,
    estimate_memory,
    estimate_recipe,
    find_config,
    find_device,
    read_shape,
    savings,
    token_bytes,
)
from trainers.lab import SHIPPED
from trainers.spec import OptimiserSpec, PpoSpec, PromptsSpec, Recipe, RewardSpec

QWEN3_4B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
}


def make_recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "name": "test",
        "base": "lab/base",
        "algorithm": "ppo",
        "prompts": PromptsSpec(source="lab:chat", num_prompts=100),
        "rewards": (RewardSpec(kind="random"),),
        "trained_on": ("chat",),
        "steps": 10,
        "prompts_per_step": 8,
        "mini_batch": 4,
        "max_prompt_tokens": 30,
        "max_response_tokens": 70,
        "optimiser": OptimiserSpec(),
        "device": "cpu",
    }
    return Recipe(**(fields | changes))


def test_counts() -> None:
    """10 steps × 8 prompts; 3 epochs of 2 mini-batches; with a warm-up of the critic, fewer updates of the policy."""
    assert count_work(make_recipe(epochs=3)) == Counts(10, 80, 60, 5600, 16800)
    warm = make_recipe(ppo=PpoSpec(critic_warmup_steps=4))
    assert count_work(warm) == Counts(10, 80, 12, 5600, 6 * 8 * 70)
    grouped = make_recipe(algorithm="grpo", num_generations=5)
    assert count_work(grouped) == Counts(10, 400, 20, 28000, 28000)
    assert count_epochs(make_recipe(), 33) == 2.5


def test_parameters_of_known_models(tmp_path: Path) -> None:
    """The lab's base and Qwen3-4B have the parameters that their files and cards say; a reward model has no head."""
    base = read_shape(SHIPPED["lab/base"] / "config.json")
    assert base == Shape(1_261_216, 4, 160, 448, 128, 64, 960, True)
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_4B))
    assert read_shape(tmp_path / "config.json") == Shape(4_022_468_096, 36, 2560, 9728, 4096, 1024, 151936, True)
    (tmp_path / "config.json").write_text(json.dumps({**QWEN3_4B, "tie_word_embeddings": False}))
    shapes = [read_shape(tmp_path / "config.json", with_head=head) for head in (True, False)]
    assert [shape.num_parameters for shape in shapes if shape] == [4_022_468_096 + 151936 * 2560, 4_022_468_096]


@pytest.mark.parametrize("is_mixed", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_activations_are_what_autograd_saves(family: str, is_mixed: bool, checkpointing: bool, tmp_path: Path) -> None:
    """The formula agrees within 2 % with the bytes that a forward pass keeps for the backward pass."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 160, "intermediate_size": 448, "num_hidden_layers": 4, "vocab_size": 100, "head_dim": 64}
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": family, "num_attention_heads": 4, "num_key_value_heads": 2, **sizes})
    )
    shape = read_shape(tmp_path / "config.json")
    assert shape is not None
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path)).train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    num_sequences, length = 3, 101
    tokens_BT = torch.zeros((num_sequences, length), dtype=torch.int64)
    saved = _saved_bytes(model, tokens_BT, is_mixed)
    expected = token_bytes(shape, is_mixed, checkpointing)
    if checkpointing:
        # the layer that is computed again does not exist yet after the forward pass
        expected -= token_bytes(shape, is_mixed, False) // 4 - 2 * shape.hidden
    assert saved / (num_sequences * length) == pytest.approx(expected, rel=0.02)


def _saved_bytes(model: Any, tokens_BT: Any, is_mixed: bool) -> int:
    """Return the bytes of all tensors kept for the backward pass, weights and their copies apart."""
    import torch

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    shapes = {tuple(weight.shape) for weight in model.parameters()}
    shapes |= {shape[::-1] for shape in shapes}
    sizes: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tuple(tensor.shape) not in shapes:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's checkpointing speaks of its own future
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=is_mixed),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            output = model.model(input_ids=tokens_BT, use_cache=False)
    assert output is not None  # alive until here, or what it saved would be freed and its addresses used again
    return sum(sizes.values())


SHAPE = Shape(1000, 2, 10, 20, 8, 4, 50, False)


def test_memory_by_hand() -> None:
    """PPO in float32: 2 models × 16 bytes, the reference's 4; 4 sequences of 100 tokens; logits of 70 of them."""
    layer = 24 * 10 + 16 * 20 + 8 * 12
    update = 400 * (2 * layer + 80) + 4 * 70 * 50 * 12
    assert estimate_memory(make_recipe(), SHAPE, {}, False) == Memory(32_000, 4_000, update, ())


def test_memory_of_mixed_precision_by_hand() -> None:
    """GRPO, mixed, checkpointing: 16 bytes, no reference; reward models of 2 bytes; inputs of layers, and one layer."""
    recipe = make_recipe(algorithm="grpo", num_generations=2, micro_batch=3, gradient_checkpointing=True)
    layer = 26 * 10 + 8 * 20 + 4 * 12
    update = 300 * (2 * 40 + layer + 80) + 3 * 70 * 50 * 12 + 2000
    memory = estimate_memory(recipe, SHAPE, {"a": SHAPE, "b": None}, True)
    assert memory == Memory(16_000, 2_000, update, ("b",))
    assert memory.total == 16_000 + 2_000 + update
    assert estimate_memory(msgspec.structs.replace(recipe, kl=0.1), SHAPE, {}, True).frozen == 4_000


def test_recipe_on_this_machine(tmp_path: Path) -> None:
    """A recipe's memory comes from config.json alone; without one it is not known, and nothing is downloaded."""
    memory = estimate_recipe(make_recipe(), "cpu")
    assert memory is not None
    assert (memory.trained, memory.frozen) == (32 * 1_261_216, 4 * 1_261_216)
    assert estimate_recipe(make_recipe(base="no-such-owner/no-such-model"), "cpu") is None
    assert find_config(str(tmp_path)) is None
    assert find_config("lab/base") == SHIPPED["lab/base"] / "config.json"
    device, available = find_device(make_recipe())
    assert (device, available > 1 << 28) == ("cpu", True)


def test_models_of_another_kind(tmp_path: Path) -> None:
    """GPT-2's config has no gated MLP: no estimate rather than a wrong one."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert read_shape(tmp_path / "config.json") is None


def test_not_enough_memory() -> None:
    """A base that cannot fit is refused before it is loaded, with the numbers and the ways out; others are not."""
    memory = Memory(trained=60 << 30, frozen=4 << 30, update=900 << 30, unknown=())
    with pytest.raises(TrainingError) as caught:
        check_memory(memory, make_recipe(), "cpu", 24 << 30)
    assert "about 64.0 GiB" in str(caught.value)
    assert "24.0 GiB; take a smaller base, algorithm = grpo, which has no critic" in str(caught.value)
    check_memory(memory, make_recipe(), "cuda", 65 << 30)


def test_what_to_lower() -> None:
    """The gentlest change comes first; what is already done is not advised."""
    first = next(iter(savings(make_recipe())))
    assert first == "set micro_batch below 4 (the result stays the same)"
    done = make_recipe(micro_batch=1, gradient_checkpointing=True)
    assert list(savings(done)) == ["lower max_response_tokens (70)"]
