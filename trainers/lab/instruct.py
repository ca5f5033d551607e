"""Trains `lab/instruct`, the lab's "released" reference: `python -m trainers.lab.instruct`. CPU, one thread, minutes.

lab/base, pretrained further by supervision alone on well-answered conversations of all three domains. It sees far more
data than any arm, and the good answers themselves; it is what a gap is measured to, not what arms compete with.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from harness.checkpoint import fingerprint_folder
from trainers.lab import CHECKPOINTS, SHIPPED, noise
from trainers.lab.pretrain import PretrainSpec, ledger, save_checkpoint, train
from trainers.lab.problem import DOMAINS
from trainers.lab.world import DOCUMENT_END, render_turn

BASE = "lab/base"
SPEC = PretrainSpec(tokens=4_000_000, learning_rate=1e-3, warmup_steps=50)
"""Size and architecture are lab/base's; rows and batches are its own."""


def clean_turns(seed: int) -> Iterator[str]:
    """Yield well-answered conversations without end, of each domain in turn; never a held-out question."""
    rng = Random(f"instruct {seed}")
    while True:
        for domain in DOMAINS:
            problem = noise.draw_problem(rng, domain)
            yield render_turn(problem, noise.answer(problem, rng), ended=True) + DOCUMENT_END


@dataclass(frozen=True)
class Corpus:
    """Packed rows of conversations."""

    rows: np.ndarray
    """Token ids, each row full."""
    num_turns: int
    sha256: str
    """Of the text."""


def pack_turns(spec: PretrainSpec, tokenizer: Any) -> Corpus:
    """Return whole conversations packed into rows; the rest of a row is filled with the end-of-document token."""
    rows = np.full((spec.num_steps * spec.batch_rows, spec.row_tokens), tokenizer.pad_token_id, dtype=np.uint16)
    digest, turns, row, filled, count = hashlib.sha256(), clean_turns(spec.seed), 0, 0, 0
    while True:
        text = next(turns)
        ids = tokenizer(text)["input_ids"]
        if filled + len(ids) > spec.row_tokens:
            row, filled = row + 1, 0
        if row == len(rows):
            return Corpus(rows, count, digest.hexdigest())
        rows[row, filled : filled + len(ids)] = ids
        digest.update(text.encode())
        filled, count = filled + len(ids), count + 1


CARD = """# lab/instruct

The lab's "released" reference: lab/base ({parameters:,} parameters), trained further by
`python -m trainers.lab.instruct` on {turns:,} well-answered conversations about chat, arithmetic and one-line Python
functions. docs/lab.md says what it is for. It is of no use outside the lab.

Licence: Apache-2.0, like the rest of the repository. No third-party data or weights went into it.
"""


def describe(spec: PretrainSpec, corpus: Corpus, losses: list[tuple[int, float]], hours: float) -> dict[str, Any]:
    """Return what goes into training.json."""
    fingerprint = fingerprint_folder(SHIPPED[BASE])
    plain = ledger(spec, corpus.sha256, losses, hours)
    return {
        **plain,
        "base": {"path": BASE, "weights": fingerprint.weights, "tokenizer": fingerprint.tokenizer},
        "algorithm": "supervised fine-tuning",
        "data": {**plain["data"], "generator": "trainers.lab.instruct", "num_turns": corpus.num_turns},
        "cost": {**plain["cost"], "prompts": corpus.num_turns, "trained_on": [f"lab-{domain}" for domain in DOMAINS]},
    }


def _parse_arguments() -> tuple[PretrainSpec, Path, Path]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=SPEC.tokens)
    parser.add_argument("--seed", type=int, default=SPEC.seed)
    parser.add_argument("--threads", type=int, default=SPEC.threads)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default=SPEC.dtype, help="of the matrix products")
    parser.add_argument("--out", type=Path, default=CHECKPOINTS / "instruct")
    parser.add_argument("--state", type=Path, default=Path("build/lab_instruct_state.pt"), help="resumed if it exists")
    known = parser.parse_args()
    spec = replace(SPEC, tokens=known.tokens, seed=known.seed, threads=known.threads, dtype=known.dtype)
    return spec, known.out, known.state


def main() -> None:
    """Train and write the checkpoint."""
    spec, out, state_path = _parse_arguments()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(spec.threads)
    tokenizer: Any = AutoTokenizer.from_pretrained(SHIPPED[BASE])
    model: Any = AutoModelForCausalLM.from_pretrained(SHIPPED[BASE], dtype=torch.float32)
    corpus = pack_turns(spec, tokenizer)
    _tell(f"{corpus.num_turns:,} conversations, {corpus.rows.size:,} tokens, {spec.num_steps} steps")
    losses, hours = train(spec, model, corpus.rows, state_path)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = CARD.format(parameters=parameters, turns=corpus.num_turns)
    save_checkpoint(out, model, tokenizer, describe(spec, corpus, losses, hours), card)
    state_path.unlink(missing_ok=True)
    _tell(f"wrote {out}")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
