"""The child side of engine `vllm`: holds one copy of the model and answers jobs until its parent is gone.

Run by `harness.engines.vllm_replica` as `python -m harness.engines.vllm_process`; not meant to be called by hand. A
process of its own, because vLLM changes the process it lives in (environment, torch's threads, signal handlers), prints
to the terminal, and gives back a GPU's memory for certain only when its process ends.
"""

import math
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import msgspec

DAMAGED = "the model's logits are not finite: its weights hold NaN or infinity, or the dtype overflows"

GRACE_SECONDS = 20.0
"""How long vLLM may take to end its own processes before they are killed."""


class Job(msgspec.Struct, array_like=True):
    """A prompt to continue, or a continuation to weigh."""

    number: int
    prompt: list[int]
    """Token ids; of context and continuation where one is weighed."""
    sampling: dict[str, Any]
    """Arguments of vllm.SamplingParams."""
    num_weighed: int = 0
    """Tokens at the prompt's end whose likelihood is asked for; 0 where the prompt is continued."""


class Result(msgspec.Struct, array_like=True):
    """What became of a job."""

    number: int
    tokens: list[int] = []
    """Token ids, with the one that ended the completion."""
    finish_reason: str = "error"
    """As vLLM says it."""
    is_end_token: bool = False
    """Whether the last token is an end token."""
    num_cached: int = 0
    """Prompt tokens that were there already."""
    seconds: float = 0.0
    logprob: float = 0.0
    is_greedy: bool = True
    error: str | None = None


class Message(msgspec.Struct):
    """What the child says: first what it loaded, then results; or, at any time, why it is dead."""

    loaded: dict[str, Any] | None = None
    results: list[Result] = []
    failure: str | None = None


class Inbox(threading.Thread):
    """Receives the jobs, so that the parent never waits for a step to end; ends all if the parent is gone."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        """None says that there will be no more."""

    def run(self) -> None:
        """Fill the queue until the connection is closed; then make sure that every process of the group ends."""
        decoder = msgspec.msgpack.Decoder(Job)
        try:
            while True:
                self.jobs.put(decoder.decode(self._connection.recv_bytes()))
        except (EOFError, OSError):
            self.jobs.put(None)
        time.sleep(GRACE_SECONDS)
        os.killpg(0, signal.SIGKILL)


class Model:
    """vLLM's engine, its queue and its clock."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        from vllm import LLM

        self._llm = LLM(**arguments)
        self._engine: Any = self._llm.llm_engine
        self._flying: dict[str, tuple[Job, float]] = {}
        """Jobs under way by vLLM's name for them, and what the clock said when they were handed over."""
        self._clock = 0.0
        """Advances in each step by its time divided by the jobs under way, so that shares add up to the time spent."""

    @property
    def num_flying(self) -> int:
        """Number of jobs under way."""
        return len(self._flying)

    def describe(self) -> dict[str, Any]:
        """Return what only loading tells."""
        import torch
        import vllm
        from vllm.platforms import current_platform

        config = self._engine.vllm_config
        return {
            "vllm": vllm.__version__,
            "torch": str(torch.__version__),
            "device_name": current_platform.get_device_name(),  # torch's own would take GPU memory to say it
            "context_length": config.model_config.max_model_len,
            "vocabulary": config.model_config.get_vocab_size(),
            "quantization": config.model_config.quantization,
            "max_batch_size": config.scheduler_config.max_num_seqs,
            "max_batched_tokens": config.scheduler_config.max_num_batched_tokens,
            "cache_blocks": config.cache_config.num_gpu_blocks,
            "cache_block_size": config.cache_config.block_size,
            "prefix_caching": config.cache_config.enable_prefix_caching,
        }

    def has_finite_logits(self) -> bool:
        """Whether a first token has a likelihood: damaged weights would give the same token for ever, and no error."""
        self.add(Job(number=-1, prompt=[0], sampling={"temperature": 0.0, "max_tokens": 1, "logprobs": 0}))
        while True:
            for output in self._engine.step():
                if output.finished:
                    self._flying.clear()
                    self._clock = 0.0
                    logprob: float = output.outputs[0].cumulative_logprob
                    return math.isfinite(logprob)

    def add(self, job: Job) -> None:
        """Hand a job to vLLM."""
        from vllm import SamplingParams
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind

        stop = job.sampling.get("stop")
        params = SamplingParams(
            **job.sampling,
            detokenize=bool(stop),
            prompt_logprobs=1 if job.num_weighed else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        name = str(job.number)
        self._engine.add_request(name, tokens_input(job.prompt), params)
        self._flying[name] = (job, self._clock)

    def step(self) -> list[Result]:
        """Advance every job under way by a step; return those that ended."""
        started = time.perf_counter()
        outputs = self._engine.step()
        self._clock += (time.perf_counter() - started) / len(self._flying)
        return [self._result(output) for output in outputs if output.finished]

    def _result(self, output: Any) -> Result:
        job, started = self._flying.pop(output.request_id)
        completion = output.outputs[0]
        result = Result(
            number=job.number,
            tokens=list(completion.token_ids),
            finish_reason=str(completion.finish_reason),
            is_end_token=isinstance(completion.stop_reason, int),
            num_cached=output.num_cached_tokens or 0,
            seconds=self._clock - started,
        )
        if job.num_weighed:
            result.logprob, result.is_greedy = weigh(job, output.prompt_logprobs)
        return result

    def close(self) -> None:
        """End vLLM's own processes; where it has none, the end of this one is enough, and takes 2 seconds less."""
        is_alone = os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0"
        if not is_alone or self._engine.vllm_config.parallel_config.world_size > 1:
            self._engine.engine_core.shutdown()


def weigh(job: Job, logprobs: list[dict[int, Any] | None]) -> tuple[float, bool]:
    """Return the summed log-probability of a job's last tokens, and whether none has a more likely rival."""
    total, is_greedy = 0.0, True
    first = len(job.prompt) - job.num_weighed
    for token, known in zip(job.prompt[first:], logprobs[first:], strict=True):
        assert known is not None, "only the first token of a prompt has no likelihood"
        own = known[token].logprob
        total += own
        is_greedy = is_greedy and own >= max(entry.logprob for entry in known.values())
    return total, is_greedy


def serve(connection: Connection, inbox: Inbox, arguments: dict[str, Any]) -> None:
    """Load the model, then answer jobs until there are no more."""
    from vllm.exceptions import VLLMValidationError

    encode = msgspec.msgpack.Encoder().encode
    model = Model(arguments)
    if not model.has_finite_logits():
        connection.send_bytes(encode(Message(failure=DAMAGED)))
        return
    connection.send_bytes(encode(Message(loaded=model.describe())))
    while True:
        results = []
        while not model.num_flying or not inbox.jobs.empty():
            job = inbox.jobs.get()
            if job is None:
                model.close()
                return
            try:
                model.add(job)
            except (ValueError, VLLMValidationError) as error:
                results.append(Result(number=job.number, error=f"vLLM refuses it: {describe_error(error)}"))
                break
        if model.num_flying:
            results += model.step()
        if results:
            connection.send_bytes(encode(Message(results=results)))


def describe_error(error: BaseException) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def main() -> None:
    """Read the connection's file descriptor and the arguments of vllm.LLM from the command line, and serve."""
    connection = Connection(int(sys.argv[1]))
    arguments = msgspec.json.decode(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox = Inbox(connection)
    inbox.start()
    try:
        serve(connection, inbox, arguments)
    except BrokenPipeError:
        sys.exit(1)  # the parent is gone
    except Exception as error:
        connection.send_bytes(msgspec.msgpack.encode(Message(failure=describe_error(error))))
        raise
    os._exit(0)  # vLLM has ended its processes; tearing the interpreter down would take seconds more


if __name__ == "__main__":
    main()
