"""Tokens per second of engine `hf` beside transformers' own generate: same model, same batch, same run.

    python benchmarks/hf_engine.py [--ckpt DIR] [--batch 32 64] [--tokens 96] [--repeats 5] [--device auto]

Without --ckpt the model is a random Qwen3 of 1.5M parameters. Only tokens that belong to a completion are counted, not
those that generate computes for rows that have ended. Not covered: prompts of very different lengths, several batches.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, Results, add_json, save

from harness.engines.hf import HfEngine, HfRenderer, resolve_hf
from harness.schema import Message, Request, RequestKey, Sampling

SAMPLINGS = {
    "greedy": {},
    "temperature 1": {"temperature": 1.0},
    "temperature 0.6, top-p 0.95, top-k 20": {"temperature": 0.6, "top_p": 0.95, "top_k": 20},
}
WORDS = ("what", "is", "the", "sum", "of", "twelve", "apples", "and", "thirty", "ships", "answer", "please")


def make_requests(count: int, sampling: Sampling) -> list[Request]:
    """Return requests with prompts of 20 to 60 words."""
    rng = random.Random(0)
    requests = []
    for i in range(count):
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(20, 60)))
        key = RequestKey(task="speed", example_id=str(i), index=0)
        messages = (Message(role="user", content=text),)
        requests.append(Request(key=key, messages=messages, sampling=sampling, seed=rng.getrandbits(63)))
    return requests


def run_ours(engine: HfEngine, requests: list[Request]) -> tuple[int, float]:
    """Return completion tokens and seconds of the engine."""
    started = time.perf_counter()
    count = sum(generation.num_completion_tokens or 0 for generation in engine.generate(requests))
    return count, time.perf_counter() - started


def run_generate(model: Any, renderer: HfRenderer, requests: list[Request], ends: list[int]) -> tuple[int, float]:
    """Return completion tokens and seconds of model.generate on the same prompts as one batch, decoding included."""
    import torch

    sampling = requests[0].sampling
    started = time.perf_counter()
    prompts = [renderer.render(request)[1] for request in requests]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    drawn: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        drawn = {"do_sample": True, "temperature": sampling.temperature}
        drawn |= {"top_p": sampling.top_p, "top_k": sampling.top_k}
    output = model.generate(
        ids, attention_mask=mask, max_new_tokens=sampling.max_tokens, eos_token_id=ends, pad_token_id=ends[0], **drawn
    )
    new = output[:, width:].tolist()
    renderer.tokenizer.batch_decode(new, skip_special_tokens=True)
    seconds = time.perf_counter() - started
    count = sum(next((i + 1 for i, token in enumerate(row) if token in ends), len(row)) for row in new)
    return count, seconds


def build_default(folder: Path) -> Path:
    """Write the random checkpoint that is measured by default."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.tiny_model import build_tiny_checkpoint

    size = {"hidden_size": 160, "intermediate_size": 640, "num_hidden_layers": 4}
    return build_tiny_checkpoint(folder, max_position_embeddings=2048, **size)


def measure(arguments: argparse.Namespace, checkpoint: Path) -> list[Figure]:
    """Print and return one line per sampling and batch size; the two engines take turns, and medians are compared."""
    import torch

    spec = resolve_hf(device=arguments.device)
    renderer = HfRenderer(checkpoint)
    engine = HfEngine(checkpoint, spec, renderer, max_batch_tokens=10**9, max_batch_size=max(arguments.batch))
    model = engine.load()
    ends = engine.describe()["end_tokens"]
    num_parameters = sum(p.numel() for p in model.parameters())
    print(f"{num_parameters / 1e6:.2f}M parameters, {spec.dtype}, {spec.device}, {torch.get_num_threads()} threads")
    print(f"{'sampling':40} {'batch':>5} {'ours tok/s':>10} {'generate':>10} {'ratio':>6}")
    found = []
    for name, settings in SAMPLINGS.items():
        for size in arguments.batch:
            requests = make_requests(size, Sampling(max_tokens=arguments.tokens, **settings))
            rates: dict[str, list[float]] = {"ours": [], "generate": []}
            for repeat in range(arguments.repeats + 1):
                count, seconds = run_ours(engine, requests)
                their_count, their_seconds = run_generate(model, renderer, requests, ends)
                if repeat:  # the first round warms up
                    rates["ours"].append(count / seconds)
                    rates["generate"].append(their_count / their_seconds)
            ours, theirs = statistics.median(rates["ours"]), statistics.median(rates["generate"])
            print(f"{name:40} {size:5} {ours:10.0f} {theirs:10.0f} {ours / theirs:6.2f}", flush=True)
            label = f"engine hf, {name}" if size == arguments.batch[0] else ""
            what = f"engine hf, {num_parameters / 1e6:.1f}M parameters, batch {size}, {name}"
            found.append(Figure(what, ours, "tokens/s", theirs, "transformers' generate", label))
    shown = ("num_tokens", "num_recomputed", "num_recomputed_changed", "max_logit_error")
    print({key: engine.describe()[key] for key in shown})
    return found


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ckpt", type=Path)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    add_json(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, arguments.ckpt or build_default(Path(folder)))
    save(arguments.json, Results(tuple(found)))


if __name__ == "__main__":
    main()
