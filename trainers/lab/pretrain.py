"""Pretrains `lab/base` from nothing on the lab's web: `python -m trainers.lab.pretrain`. CPU, one thread, minutes.

Deterministic for given seed, thread count, dtype and package versions. No fine-tuning happens here.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UsageError
from trainers.lab import CHECKPOINTS
from trainers.lab.tokenizer import save_tokenizer, train_tokenizer
from trainers.lab.world import DOCUMENT_END, TURN_END, WORLD_VERSION, documents

LOG_EVERY = 50
SAVE_EVERY = 500


@dataclass(frozen=True)
class PretrainSpec:
    """Everything that decides the weights."""

    tokens: int = 20_000_000
    row_tokens: int = 256
    batch_rows: int = 16
    learning_rate: float = 3e-3
    warmup_steps: int = 200
    final_fraction: float = 0.05
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    seed: int = 0
    threads: int = 1
    dtype: str = "bfloat16"
    hidden_size: int = 160
    intermediate_size: int = 448
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 32

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        return self.tokens // (self.row_tokens * self.batch_rows)


def pack_corpus(spec: PretrainSpec, tokenizer: Any) -> tuple[np.ndarray, str]:
    """Return rows of token ids, each beginning with a new document, and the sha256 of the documents used.

    A document that does not fit the rest of its row is cut off there: as on the real web, some texts just stop.
    """
    rows = np.zeros((spec.num_steps * spec.batch_rows, spec.row_tokens), dtype=np.uint16)
    digest = hashlib.sha256()
    stream = documents(spec.seed)
    row, filled = 0, 0
    while row < len(rows):
        texts = [next(stream) for _ in range(2000)]
        for text, ids in zip(texts, tokenizer(texts)["input_ids"], strict=True):
            digest.update(text.encode())
            part = ids[: spec.row_tokens - filled]
            rows[row, filled : filled + len(part)] = part
            filled += len(part)
            if filled == spec.row_tokens:
                row, filled = row + 1, 0
                if row == len(rows):
                    break
    return rows, digest.hexdigest()


def make_model(spec: PretrainSpec, tokenizer: Any) -> Any:
    """Return a freshly initialised Qwen3 model."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(spec.seed)
    document_end, turn_end = tokenizer.convert_tokens_to_ids([DOCUMENT_END, TURN_END])
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden_size,
        intermediate_size=spec.intermediate_size,
        num_hidden_layers=spec.num_layers,
        num_attention_heads=spec.num_heads,
        num_key_value_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=turn_end,
        pad_token_id=document_end,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=[turn_end, document_end], pad_token_id=document_end)
    return model


def learning_rate(spec: PretrainSpec, step: int) -> float:
    """Return the rate of a step: linear warm-up, then cosine to `final_fraction` of the peak."""
    if step < spec.warmup_steps:
        return spec.learning_rate * (step + 1) / spec.warmup_steps
    progress = (step - spec.warmup_steps) / max(1, spec.num_steps - spec.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return spec.learning_rate * (spec.final_fraction + (1 - spec.final_fraction) * cosine)


def train(spec: PretrainSpec, model: Any, rows: np.ndarray, state_path: Path) -> tuple[list[tuple[int, float]], float]:
    """Train in place, resuming from `state_path` where it exists; return logged losses and hours spent in all."""
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=spec.learning_rate, betas=(0.9, 0.95), weight_decay=spec.weight_decay, fused=True
    )
    first, losses, spent = 0, [], 0.0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        if state["spec"] != asdict(spec):
            raise UsageError(f"{state_path} was left by a run with other settings; remove it or name another --state")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, losses, spent = state["step"], state["losses"], state["seconds"]
    started, recent = time.monotonic() - spent, []
    for step in range(first, spec.num_steps):
        recent.append(_step(spec, model, optimizer, rows, step))
        if (step + 1) % LOG_EVERY == 0:
            losses.append((step + 1, round(sum(recent) / len(recent), 4)))
            recent = []
            seconds = time.monotonic() - started
            _tell(f"step {step + 1}/{spec.num_steps} loss {losses[-1][1]:.4f} {seconds:.0f} s")
        if (step + 1) % SAVE_EVERY == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "spec": asdict(spec)}
            progress = {"step": step + 1, "losses": losses, "seconds": time.monotonic() - started}
            _save_state(state_path, {**state, **progress})
    return losses, (time.monotonic() - started) / 3600


def _step(spec: PretrainSpec, model: Any, optimizer: Any, rows: np.ndarray, step: int) -> float:
    import torch

    for group in optimizer.param_groups:
        group["lr"] = learning_rate(spec, step)
    batch = torch.from_numpy(rows[step * spec.batch_rows : (step + 1) * spec.batch_rows].astype(np.int64))
    with torch.autocast("cpu", torch.bfloat16, enabled=spec.dtype == "bfloat16"):
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _save_state(path: Path, state: dict[str, Any]) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def ledger(spec: PretrainSpec, corpus_sha256: str, losses: list[tuple[int, float]], hours: float) -> dict[str, Any]:
    """Return what goes into training.json: where the weights come from and what they cost."""
    packages = ("torch", "transformers", "tokenizers", "numpy", "safetensors")
    tokens = spec.num_steps * spec.batch_rows * spec.row_tokens
    device = f"cpu, {spec.threads} thread(s), {platform.machine()}"
    cost = {
        "prompts": 0,
        "rollouts": 0,
        "tokens": tokens,
        "gpu_hours": 0.0,
        "wall_hours": round(hours, 4),
        "device": device,
    }
    return {
        "base": None,
        "algorithm": "pretraining",
        "data": {"generator": "trainers.lab.world", "version": WORLD_VERSION, "sha256": corpus_sha256},
        "steps": spec.num_steps,
        "tokens": tokens,
        "wall_hours": cost["wall_hours"],
        "device": device,
        "seeds": {"model": spec.seed, "data": spec.seed},
        "spec": asdict(spec),
        "packages": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "cost": cost,
        "losses": losses,
    }


def save_checkpoint(folder: Path, model: Any, tokenizer: Any, training: dict[str, Any], card: str) -> None:
    """Write the checkpoint beside `folder` and put it in place in one rename."""
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(str(fresh))
    save_tokenizer(tokenizer, fresh)
    (fresh / "model.safetensors").chmod(0o644)
    (fresh / "training.json").write_text(json.dumps(training, indent=1) + "\n")
    (fresh / "README.md").write_text(card)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


CARD = """# lab/base

A Qwen3-architecture model of {parameters:,} parameters, pretrained from nothing by `python -m trainers.lab.pretrain`
on the lab's generated web (chat about 48 subjects, arithmetic, one-line Python functions). It knows more than it
delivers: most chat-format turns of that web ramble on, miss the question, evade it or take the answer back.
docs/lab.md says what is wrong with it by design and what was measured. It is of no use outside the lab.

Licence: Apache-2.0, like the rest of the repository. No third-party data or weights went into it.
"""


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parse_arguments() -> tuple[PretrainSpec, Path, Path]:
    defaults = PretrainSpec()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=defaults.tokens)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--threads", type=int, default=defaults.threads)
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default=defaults.dtype, help="of the matrix products"
    )
    parser.add_argument("--out", type=Path, default=CHECKPOINTS / "base")
    parser.add_argument("--state", type=Path, default=Path("build/lab_base_state.pt"), help="resumed from if it exists")
    known = parser.parse_args()
    spec = PretrainSpec(tokens=known.tokens, seed=known.seed, threads=known.threads, dtype=known.dtype)
    return spec, known.out, known.state


def main() -> None:
    """Pretrain and write the checkpoint."""
    spec, out, state_path = _parse_arguments()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    torch.set_num_threads(spec.threads)
    tokenizer = train_tokenizer()
    rows, corpus_sha256 = pack_corpus(spec, tokenizer)
    model = make_model(spec, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    _tell(f"{parameters:,} parameters, {rows.size:,} tokens, {spec.num_steps} steps, corpus {corpus_sha256[:12]}")
    losses, hours = train(spec, model, rows, state_path)
    save_checkpoint(
        out, model, tokenizer, ledger(spec, corpus_sha256, losses, hours), CARD.format(parameters=parameters)
    )
    state_path.unlink(missing_ok=True)
    _tell(f"wrote {out}")


if __name__ == "__main__":
    main()
