"""How many records a second can one driver store? Engine `ray` without a model, its parts and the whole.

Each request comes back at once as a text of 2,000 characters; for each, a generation and a score are written, as in a
run. Nothing is judged: scorers have processes of their own. Needs Ray.

    python benchmarks/driver.py [--requests 20000] [--replicas 1 2] [--chars 2000] [--repeats 3]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from figures import Figure, Results, add_json, save

from harness.engines.ray import RayEngine
from harness.engines.recipe import EngineRecipe
from harness.runner import failed_score
from harness.schema import EngineSpec, Generation, Message, Request, RequestKey, Sampling, Score
from harness.spec import EngineConfig
from harness.store import JsonLines

NO_MODEL = EngineSpec(name="scripted", dtype="none", device="none")


class Echo:
    """An engine that answers at once."""

    spec = NO_MODEL

    def __init__(self, num_chars: int) -> None:
        self._text = ("so we get 42, and " * (num_chars // 18 + 1))[:num_chars]

    def describe(self) -> dict[str, Any]:
        """Say nothing."""
        return {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Answer each request with the same text."""
        for request in requests:
            yield Generation(
                key=request.key,
                text=self._text,
                finish_reason="stop",
                num_prompt_tokens=100,
                num_completion_tokens=600,
                seconds=0.1,
            )

    def close(self) -> None:
        """Hold nothing."""


def make_requests(count: int) -> Iterator[Request]:
    """Yield requests with prompts of 400 characters."""
    sampling = Sampling(temperature=1.0, num_generations=8)
    for i in range(count):
        key = RequestKey(task="gsm8k", example_id=str(i // 8), index=i % 8)
        yield Request(key=key, sampling=sampling, seed=i, messages=(Message(role="user", content="what is 4 " * 40),))


def store(generations: Iterable[Generation], folder: Path) -> int:
    """Write a generation and a score for each, as the runner does; return how many there were."""
    lines, scores = JsonLines(folder / "generations.jsonl", Generation), JsonLines(folder / "scores.jsonl", Score)
    number = 0
    for generation in generations:
        number += 1
        lines.append(generation)
        scores.append(failed_score(generation.key, "none@1", "not judged"))
    lines.close()
    scores.close()
    return number


def ray_engine(num_replicas: int, num_chars: int) -> RayEngine:
    """Return engine `ray` with engines that answer at once."""
    config = EngineConfig(name="ray", inner="scripted", num_replicas=num_replicas)
    return RayEngine(EngineRecipe(config, ""), NO_MODEL, lambda recipe, spec: Echo(num_chars))


def rate(engine: Echo | RayEngine, count: int, repeats: int, is_stored: bool) -> list[float]:
    """Return requests per second, once the engine is warm."""
    rates = []
    list(engine.generate(make_requests(100)))
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            generations = engine.generate(make_requests(count))
            assert (store(generations, Path(folder)) if is_stored else sum(1 for _ in generations)) == count
            rates.append(count / (time.monotonic() - started))
    engine.close()
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--chars", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    add_json(parser)
    options = parser.parse_args()
    count, repeats = options.requests, options.repeats
    engines: dict[str, tuple[Echo | RayEngine, bool]] = {}
    engines["stored, engine in this process"] = (Echo(options.chars), True)
    for num_replicas in options.replicas:
        for is_stored in (False, True):
            name = f"{'stored' if is_stored else 'received'}, ray with {num_replicas} replicas"
            engines[name] = (ray_engine(num_replicas, options.chars), is_stored)
    found = []
    for name, (engine, is_stored) in engines.items():
        rates = rate(engine, count, repeats, is_stored)
        found.append(Figure(name, statistics.median(rates), "requests/s"))
        print(f"{name:<40}{found[-1].ours:8,.0f}/s  (min {min(rates):,.0f}, max {max(rates):,.0f})", flush=True)
    save(options.json, Results(tuple(found)))


if __name__ == "__main__":
    main()
