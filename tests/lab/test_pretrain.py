"""Pretraining at a size that takes seconds, and the checkpoint that the real run left."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.schema import TrainingCost
from trainers.lab import SHIPPED
from trainers.lab.pretrain import (
    PretrainSpec,
    ledger,
    make_model,
    pack_corpus,
    save_checkpoint,
    train,
)
from trainers.lab.tokenizer import train_tokenizer

SMALL = PretrainSpec(
    tokens=30_720,
    row_tokens=64,
    batch_rows=8,
    warmup_steps=5,
    dtype="float32",
    hidden_size=32,
    intermediate_size=64,
    num_layers=1,
    num_heads=2,
    num_kv_heads=1,
)
BASE = SHIPPED["lab/base"]
TEXTS = [
    "What is 305 - 12?\n",
    "Natalia sold clips — é 日本 \t x = 3.5\r\n  y",
    "<html>\x00 don't",
    "a  b\n\n\n    return x",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Return the lab's tokenizer, trained anew."""
    return train_tokenizer()


def run(spec: PretrainSpec, tokenizer: Any, state: Path) -> tuple[Any, list[tuple[int, float]]]:
    """Pretrain a small model from its spec."""
    rows, _ = pack_corpus(spec, tokenizer)
    model = make_model(spec, tokenizer)
    losses, _ = train(spec, model, rows, state)
    return model, losses


def weights(model: Any) -> list[Any]:
    """Return all weights."""
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_training_learns_and_repeats(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss falls, and a run resumed from its last saved step ends with the weights of an uninterrupted one."""
    monkeypatch.setattr("trainers.lab.pretrain.LOG_EVERY", 10)
    monkeypatch.setattr("trainers.lab.pretrain.SAVE_EVERY", 40)
    whole, losses = run(SMALL, tokenizer, tmp_path / "whole.pt")
    assert losses[0][1] - losses[-1][1] > 0.5
    resumed, _ = run(SMALL, tokenizer, tmp_path / "whole.pt")
    assert all(bool((a == b).all()) for a, b in zip(weights(whole), weights(resumed), strict=True))
    with pytest.raises(UsageError, match="other settings"):
        run(replace(SMALL, seed=1), tokenizer, tmp_path / "whole.pt")


def test_rows_begin_with_a_document(tokenizer: Any) -> None:
    """Every packed row starts a new document, as every prompt does."""
    rows, digest = pack_corpus(SMALL, tokenizer)
    assert rows.shape == (SMALL.num_steps * SMALL.batch_rows, SMALL.row_tokens)
    firsts = {tokenizer.decode([row[0]]) for row in rows}
    assert len(firsts & {"<|im_start|>", "Question", "#"}) == 3
    assert digest == pack_corpus(SMALL, tokenizer)[1]


def test_checkpoint_is_replaced_whole(tokenizer: Any, tmp_path: Path) -> None:
    """Saving over an existing checkpoint leaves the new one alone in the folder, and it loads."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "old").write_text("old")
    save_checkpoint(folder, make_model(SMALL, tokenizer), tokenizer, ledger(SMALL, "0", [], 0.0), "card")
    assert not (folder / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "qwen3"
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("text", TEXTS)
def test_tokenizer_takes_any_text(text: str) -> None:
    """Any text comes back unchanged, although the lab never saw its characters."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_base_is_what_the_code_makes(tokenizer: Any) -> None:
    """The shipped tokenizer is the one that the present generator gives."""
    from transformers import AutoTokenizer

    shipped = AutoTokenizer.from_pretrained(BASE)
    assert shipped.get_vocab() == tokenizer.get_vocab()
    assert len(shipped) < 1000
    chat = shipped.apply_chat_template(
        [{"role": "user", "content": "Hi 42"}], add_generation_prompt=True, tokenize=False
    )
    assert chat == "<|im_start|>user\nHi 42<|im_end|>\n<|im_start|>assistant\n"
    assert shipped.convert_ids_to_tokens(shipped("42")["input_ids"]) == ["4", "2"]


def test_base_is_small_and_has_a_ledger() -> None:
    """The shipped folder stays below 8 MB and says what it cost."""
    assert sum(path.stat().st_size for path in BASE.iterdir()) <= 8_000_000
    training = json.loads((BASE / "training.json").read_text())
    cost = TrainingCost(**training["cost"])
    assert training["base"] is None
    assert cost.tokens == training["tokens"] == PretrainSpec(**training["spec"]).tokens // 4096 * 4096
    assert (cost.prompts, cost.rollouts, cost.gpu_hours) == (0, 0, 0.0)
    assert training["data"]["version"] == "1"
