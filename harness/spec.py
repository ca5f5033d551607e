"""The settings of an evaluation, an engine, a judge and a gate as records, and the canonical hash that names a run.

What a user writes becomes these records in harness.reading; weights and data are pinned by harness.checkpoint and
harness.plan.
"""

import difflib
import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from harness.schema import Positive, Record, RunSpec


class SamplingConfig(Record, frozen=True):
    """Overrides of the preset's sampling; None keeps the preset's value. Field meanings as in `Sampling`."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    num_generations: int | None = None
    seed: int | None = None
    repetition_penalty: float | None = None


class EngineConfig(Record, frozen=True):
    """Which engine, and its settings. A setting that the chosen engine has no use for is refused (ENGINE_SETTINGS)."""

    name: Literal["auto", "hf", "vllm", "openai", "ray", "scripted"] = "auto"
    """`auto` takes scripted for `scripted:` checkpoints, vllm where it is installed and sees a GPU, else hf."""
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] = "auto"
    """`auto` is bfloat16 on a GPU, float32 on a CPU."""
    device: str = "auto"
    """`auto` is cuda where there is one, else cpu."""
    max_batch_tokens: Positive | None = None
    """Prompt plus completion tokens held in a batch at once; None lets the engine choose."""
    max_batch_size: Positive | None = None
    """Most requests in a batch; None lets the engine choose."""
    tensor_parallel: Positive = 1
    """GPUs that share one copy of the weights."""
    data_parallel: Positive = 1
    """Copies of the weights, each on its own GPUs."""
    max_model_len: Positive | None = None
    """Longest prompt plus completion in tokens; None takes the checkpoint's own limit."""
    gpu_memory: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Share of a GPU's memory that may be taken; None is vLLM's own default."""
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further arguments of `vllm.LLM`, such as quantization; part of what names a run."""
    base_url: str | None = None
    """Address of the server's API, such as http://localhost:8000/v1."""
    model: str | None = None
    """Name under which the server has the checkpoint; None takes its only model."""
    concurrency: Positive = 64
    """Most requests under way at once."""
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    """Seconds after which a request is taken for lost, and sent again."""
    retries: Annotated[int, msgspec.Meta(ge=0)] = 8
    """How often a request is sent again before it ends in an error."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; the key itself is never written anywhere."""
    top_logprobs: Positive = 20
    """Tokens whose likelihoods a server lists where words are weighed: OpenAI's most is 20, vLLM's --max-logprobs."""
    inner: Literal["hf", "vllm", "openai"] = "hf"
    """The engine that each Ray actor runs."""
    num_replicas: Positive | None = None
    """Ray actors; None takes one for each GPU of the cluster, or each core where it has none."""
    gpus_per_replica: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """GPUs of an actor; None takes tensor_parallel where the cluster has GPUs, else 0."""
    ray_address: str | None = None
    """Head of a running cluster: auto, or head:6379; None takes $RAY_ADDRESS, else starts Ray on this machine."""


_HF_SETTINGS = frozenset({"dtype", "device", "max_batch_tokens", "max_batch_size"})
_VLLM_SETTINGS = frozenset(
    {"dtype", "device", "max_batch_size", "tensor_parallel", "data_parallel", "max_model_len", "gpu_memory", "args"}
)
_OPENAI_SETTINGS = frozenset({"base_url", "model", "concurrency", "timeout", "retries", "api_key_env", "top_logprobs"})
_RAY_SETTINGS = frozenset({"inner", "num_replicas", "gpus_per_replica", "ray_address"})
ENGINE_SETTINGS: dict[str, frozenset[str]] = {
    "hf": _HF_SETTINGS,
    "vllm": _VLLM_SETTINGS,
    "openai": _OPENAI_SETTINGS,
    "ray": _RAY_SETTINGS,
    "scripted": frozenset({"dtype", "device", "max_batch_tokens", "max_batch_size"}),
}
"""Settings that each engine reads; ray's actors read those of `inner` too. scripted takes hf's, and has no use for
them, so that a configuration can be tried without a model."""


LM_EVAL_PREFIX = "lm_eval:"
"""Begins the name of a task that lm-eval brings."""


class LmEvalConfig(Record, frozen=True):
    """How tasks of lm-eval (`--task lm_eval:NAME`) are asked."""

    include_path: str | None = None
    """Folder with task files of your own, searched before lm-eval's."""
    num_fewshot: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Worked examples; None takes the task's own number."""
    system: str | None = None
    """System message."""
    fewshot_as_turns: bool = True
    """Whether worked examples are turns of the conversation, as lm-eval has it by default (chat prompting only)."""
    domains: dict[str, str] = msgspec.field(default_factory=dict)
    """Task or group name to the suite that its scores are averaged in; without an entry it is `other`."""


class JudgeConfig(Record, frozen=True):
    """Who judges conversation, and how; a TOML file of these fields is what `--judge FILE` takes (docs/chat.md)."""

    ckpt: str
    """Shipped name (lab/reward), folder or hub id[@revision] of a language model or of a reward model (a sequence
    classifier); with engine openai the name that the server has for it."""
    label: str | None = None
    """Name in tables; None derives it from ckpt."""
    engine: EngineConfig = EngineConfig()
    template: str | None = None
    """`pair`, the one that comes with the harness, or a template file, instead of each task's own."""
    read: Literal["auto", "logprobs", "text"] = "auto"
    """How a verdict is read: from the likelihoods of its words, or from what the judge writes. `auto` is logprobs where
    the template has such words and the engine can weigh them."""
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    max_tokens: Positive | None = None
    """Of a verdict in writing; None takes the template's."""
    seed: int = 0
    enable_thinking: bool | None = None
    swap: bool = True
    """Ask about each pair in both orders; False draws one order per pair by its hash."""
    attempts: Positive = 3
    """How often a judge is asked that writes no verdict."""
    strip: tuple[str, ...] = ("think",)
    """Tags of reasoning that answers are judged without, <think>…</think>; none leaves answers as they are."""
    family: tuple[str, ...] = ()
    """Beginnings of names of reward models that are the judge's kin, beside those that are plainly so."""
    verdicts: str = "verdicts"
    """Folder of the verdict store."""
    max_calls: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Most calls of the judge that one command may make; None asks a person, and refuses where none is there."""
    price_in: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Of a million prompt tokens, in any currency; for the estimate before the start."""
    price_out: Annotated[float, msgspec.Meta(ge=0)] | None = None


class EvalConfig(Record, frozen=True):
    """Everything `harness eval` can be told; a TOML file of these fields is the same as the flags."""

    ckpt: str
    """Shipped name (lab/base), folder, hub id[@revision], or `scripted:…`."""
    tasks: tuple[str, ...]
    """Task and suite names, and lm_eval:NAME or lm_eval:NAME/FILTER."""
    label: str | None = None
    """Name in tables and of the run folder; None derives it from ckpt."""
    out: str = "runs"
    """Folder that holds run directories."""
    preset: str = "greedy"
    """Named sampling preset of the tasks: greedy or avg@8."""
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = EngineConfig()
    prompting: Literal["auto", "chat", "completion", "few_shot", "standard"] = "auto"
    """How questions are put (harness.schema.Style); `auto` is chat if the tokenizer has a template, else completion."""
    enable_thinking: bool | None = None
    """Qwen3's thinking switch; None leaves the template's default."""
    chat_template: str | None = None
    """File with a chat template to use instead of the tokenizer's."""
    limit: Positive | None = None
    """Evaluate only the first examples of each task."""
    data_dir: str | None = None
    """Folder of benchmark data; None reads $HARNESS_DATA, else the hub."""
    hub_dir: str | None = None
    """Local mirror of hub data sets (folder/org/name), read instead of the hub."""
    lm_eval: LmEvalConfig = LmEvalConfig()
    judge: JudgeConfig | Literal["later"] | None = None
    """Judges the answers of judged tasks; `later` stores them unjudged, for `harness score RUN --judge FILE`."""
    accept_data: dict[str, str] = msgspec.field(default_factory=dict)
    """Task name to data hash: explicit consent to rows that differ from the registered ones."""
    sandbox: Literal["bubblewrap", "process"] = "bubblewrap"
    """Where generated programs run."""
    workers: Positive | None = None
    """Processes that score; None takes the number of cores."""
    attempt: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Raised by --fresh to measure again beside an old run."""


class GatePolicy(Record, frozen=True):
    """What `harness gate` accepts; a TOML file of these fields, all of them optional. docs/gate.md has the reasons."""

    margin: float = 3.0
    """Largest loss in points that is accepted on a task or domain."""
    level: float = 0.05
    """Chance of a false alarm, and of passing a candidate that is worse by the margin on some task."""
    margins: dict[str, float] = msgspec.field(default_factory=dict)
    """Task or domain name to its own margin; a domain's holds for its average, not for its tasks."""
    gate_on: tuple[Literal["tasks", "domains"], ...] = ("tasks", "domains")
    """What is tested against the margin."""
    ignore: tuple[str, ...] = ()
    """Tasks and domains left out altogether; a domain with all of its tasks."""
    max_truncated_increase: float = 5.0
    """Points by which a task's share of truncated generations may grow."""
    max_no_answer_increase: float = 5.0
    """Points by which a task's share of generations without an answer may grow."""
    max_length_ratio: float = 1.5
    """Mean completion tokens of a task, as a multiple of the baseline's."""
    max_error_share: float = 0.0
    """Share of a task's requests, from 0 to 1, that may have ended in error; their examples are left out."""
    max_examples_listed: int = 20
    """Most regressed examples listed per task."""


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, UTF-8, nan and infinity spelled out."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def content_hash(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def spec_id(spec: RunSpec) -> str:
    """Return the name of a run: the first 16 hex digits of the spec's canonical hash.

    Names do not count, only what decides the result: a moved or relabelled checkpoint, another order of the tasks, or a
    `limit` that leaves the same examples (each task's num_examples) is the same run.
    """
    checkpoint = msgspec.structs.replace(spec.checkpoint, label="", path="", revision=None)
    tasks = tuple(sorted(spec.tasks, key=lambda ref: ref.name))
    spec = msgspec.structs.replace(spec, checkpoint=checkpoint, tasks=tasks, limit=None)
    # through JSON and back, so that a temperature of 1 and of 1.0 is one run
    typed = msgspec.json.decode(msgspec.json.encode(spec), type=RunSpec)
    return content_hash(msgspec.to_builtins(typed))[:16]


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` if a known name is close to what was given, else an empty string."""
    names = list(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    close = close or [name for name in names if len(given) >= 3 and name.startswith(given)]
    return f" (did you mean {close[0]}?)" if close else ""
