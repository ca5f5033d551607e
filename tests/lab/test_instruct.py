"""The supervised reference: what it is trained on, at a size that takes seconds, and the checkpoint that came out."""

import json
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from harness.schema import TrainingCost
from trainers.lab import SHIPPED
from trainers.lab.instruct import SPEC, Corpus, clean_turns, describe, pack_turns
from trainers.lab.tasks import held_out_problems
from trainers.lab.world import ASSISTANT, DOCUMENT_END, TURN_END, USER

SMALL = replace(SPEC, tokens=40_960)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Return lab/base's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SHIPPED["lab/base"])


@pytest.fixture(scope="module")
def corpus(tokenizer: Any) -> Corpus:
    """Return ten batches of rows."""
    return pack_turns(SMALL, tokenizer)


def test_turns_end_and_are_not_held_out() -> None:
    """Every conversation is one ended turn, of the domains in equal parts, and none is a question of a task."""
    texts = list(islice(clean_turns(0), 6000))
    assert all(text.startswith(USER) and text.endswith(TURN_END + DOCUMENT_END) for text in texts)
    prompts = {text.removeprefix(USER).partition(TURN_END)[0] for text in texts}
    held_out = {problem.prompt for domain in ("chat", "math", "code") for problem in held_out_problems(domain)}
    assert not prompts & held_out
    assert sum("Python" in text or "def " in text for text in texts) >= 2000
    assert not any("Wait, no." in text or "I am not sure" in text for text in texts)


def test_rows_hold_whole_conversations(tokenizer: Any, corpus: Corpus) -> None:
    """A row begins with a conversation, holds whole ones, and ends in filling only."""
    assert corpus.rows.shape == (160, 256)
    texts = [tokenizer.decode(row) for row in corpus.rows]
    assert all(text.startswith(USER) and text.endswith(DOCUMENT_END) for text in texts)
    assert sum(text.count(ASSISTANT) for text in texts) == corpus.num_turns
    assert sum(text.count(TURN_END + DOCUMENT_END) for text in texts) == corpus.num_turns
    assert (pack_turns(SMALL, tokenizer).rows == corpus.rows).all()


def test_ledger_can_be_read(corpus: Corpus) -> None:
    """The ledger's cost names every domain, and its data the generator and the number of conversations."""
    training = describe(SMALL, corpus, [(10, 0.5)], 0.1)
    cost = TrainingCost(**training["cost"])
    assert cost.trained_on == ["lab-chat", "lab-math", "lab-code"]
    assert (cost.prompts, cost.tokens, cost.wall_hours) == (corpus.num_turns, 40_960, 0.1)
    assert training["base"]["path"] == "lab/base"
    assert training["data"]["sha256"] == corpus.sha256


def test_ten_steps_lower_the_loss(corpus: Corpus, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps from lab/base on clean turns lower the loss of clean turns."""
    import torch
    from transformers import AutoModelForCausalLM

    from trainers.lab.pretrain import train

    monkeypatch.setattr("trainers.lab.pretrain.LOG_EVERY", 2)
    short = replace(SPEC, tokens=10_240, batch_rows=4, warmup_steps=2, dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(SHIPPED["lab/base"], dtype=torch.float32)
    losses, _ = train(short, model, corpus.rows, tmp_path / "state.pt")
    assert [step for step, _ in losses] == [2, 4, 6, 8, 10]
    assert losses[-1][1] < losses[0][1] - 0.05
    assert np.isfinite([loss for _, loss in losses]).all()


def test_shipped_checkpoint_is_small() -> None:
    """The shipped reference stays below 5.2 MB and says what it was trained on."""
    folder = SHIPPED["lab/instruct"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_200_000
    training = json.loads((folder / "training.json").read_text())
    assert training["algorithm"] == "supervised fine-tuning"
    assert training["data"]["num_turns"] == training["cost"]["prompts"] > 50_000
