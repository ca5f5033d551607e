"""Every record that crosses a stage or touches disk, frozen, unknown fields rejected.

The whole system's nouns on one page. What the records mean together (outcomes, counts, identity) is in docs/records.md.
"""

from typing import Annotated, Any, Literal, get_args

import msgspec

Outcome = Literal["scored", "no_answer", "timeout", "error"]
"""How a request ended. `no_answer` and `timeout` count as 0 in the metric; `error` makes the run incomplete."""

FinishReason = Literal["stop", "length", "error", "unknown"]
"""Why a generation ended; `length` means truncated, `unknown` is for imported text that does not say."""

Style = Literal["chat", "completion", "few_shot", "standard"]
"""How a question is put: the chat template; or as plain text, zero-shot, after worked examples, or in the task family's
own standard frame for base models."""

STYLES: tuple[Style, ...] = get_args(Style)
"""All styles; their order breaks ties where one is chosen."""

Verdict = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A number in [0, 1]; a stored one outside is refused on reading."""

OWN_UNIT: dict[str, str] = {
    "rating": "of 10",
    "rating_1": "of 10",
    "rating_2": "of 10",
    "characters": "mean",
    "baseline_characters": "mean",
}
"""Further metrics that are no shares, with their unit: they are shown as they are, not in points."""

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all records."""


class Message(Record, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Example(Record, frozen=True):
    """One row of a task, after normalisation: the same whatever source it was read from."""

    task: str
    """Name of the task."""
    example_id: str
    """Unique within the task and stable across data sources."""
    input: str
    """The problem as the data set states it, before any prompt template."""
    target: str | None
    """The reference answer; None where the scorer needs none (instruction checks)."""
    cluster: str | None = None
    """Source shared with other examples (the unit of independence); None means the example stands alone."""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    """What the scorer needs beyond the target (test inputs, instruction arguments, level)."""


class LoadedData(Record, frozen=True):
    """All rows of a task in their fixed order."""

    examples: tuple[Example, ...]
    sha256: str
    """Canonical hash of the rows."""
    source: str
    """Where they were read from, for humans: `embedded`, a file, or hub id@revision."""


class ScorerOptions(Record, frozen=True):
    """How scorers may use this machine."""

    num_workers: int
    """Processes that judge at the same time."""
    sandbox: Literal["bubblewrap", "process"] = "bubblewrap"
    """`process` is the weaker choice for machines without bubblewrap; it becomes part of the scorer's version."""
    continuation: bool = False
    """True where a generation continues the problem's own text, so that a program is problem + text."""
    data_dir: str | None = None
    """Folder of benchmark data, which may also hold what a scorer needs (nltk_data)."""


class Sampling(Record, frozen=True):
    """How completions are drawn."""

    temperature: float = 0.0
    """0 means greedy, -1 not known (imported generations)."""
    top_p: float = 1.0
    """Nucleus mass in (0, 1]."""
    top_k: int = 0
    """Number of tokens kept; 0 keeps all."""
    max_tokens: int = 2048
    """Most completion tokens per generation; 0 means not known (imported generations)."""
    num_generations: int = 1
    """Completions per example: the k of avg@k."""
    stop: tuple[str, ...] = ()
    """Strings that end a generation; they are not part of its text."""
    seed: int = 0
    """Each request's own seed is derived from this one, its task, example and index."""
    repetition_penalty: float = 1.0
    """1 means none (Keskar et al. 2019, arXiv 1909.05858)."""


class RequestKey(Record, order=True, frozen=True):
    """Identity of a request, its generation and its score everywhere; never a list position."""

    task: str
    example_id: str
    index: int
    """Which of the example's num_generations completions, from 0."""


class Choice(Record, frozen=True):
    """A continuation whose likelihood is asked for, instead of a completion."""

    text: str
    """What follows the prompt, spaces included."""
    messages: tuple[Message, ...] | None = None
    """A conversation of its own that it follows; with `prompt` None too, it follows the request's."""
    prompt: str | None = None
    """Plain text of its own that it follows."""


class Likelihood(Record, frozen=True):
    """How likely a model finds a choice."""

    logprob: float
    """Sum of the log-probabilities of its tokens, in nats, at temperature 1."""
    is_greedy: bool
    """Whether every one of its tokens is the most likely one."""
    num_tokens: int


class Request(Record, frozen=True):
    """One prompt to send once. Exactly one of `messages` and `prompt` is set; neither where text is imported."""

    key: RequestKey
    sampling: Sampling
    seed: int
    """Seed of this request alone, 63 bits."""
    messages: tuple[Message, ...] | None = None
    """A conversation for the checkpoint's chat template."""
    prompt: str | None = None
    """Plain text to continue, sent as it is."""
    choices: tuple[Choice, ...] = ()
    """If there are any, nothing is generated: the generation has their likelihoods, and no text."""


class Generation(Record, frozen=True, omit_defaults=True):
    """One completion of a request."""

    key: RequestKey
    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int | None
    """None where the engine (or an imported file) does not say."""
    num_completion_tokens: int | None
    """None where the engine (or an imported file) does not say."""
    seconds: float
    """The request's share of the engine's wall-clock time."""
    error: str | None = None
    """Why there is no completion; set if and only if finish_reason is `error`."""
    likelihoods: tuple[Likelihood, ...] = ()
    """Of the request's choices, in their order."""


class Score(Record, frozen=True, omit_defaults=True):
    """A scorer's verdict on one generation."""

    key: RequestKey
    value: Verdict
    """The primary verdict; 0 for every outcome but `scored`."""
    outcome: Outcome
    answer: str | None
    """What was extracted from the generation; None if nothing was."""
    scorer: str
    """name@version of the scorer, limits included in the version."""
    parts: dict[str, tuple[Verdict, ...]] = msgspec.field(default_factory=dict)
    """Further verdicts by metric name, one per unit (IFEval: one per instruction)."""
    detail: str | None = None
    """One line for a human: why this value."""
    measures: dict[str, float] = msgspec.field(default_factory=dict)
    """Numbers that are no verdicts and that a metric needs: of judged answers, lengths in characters and the like."""


class Estimate(Record, frozen=True):
    """A number with its error. nan where it is undefined."""

    value: float
    stderr: float
    """One standard error."""
    ci_low: float
    ci_high: float
    level: float
    """Coverage the interval claims, e.g. 0.95."""
    method: str
    """Estimator and interval, e.g. `wilson`, `t`, `clustered-t`."""
    num_examples: int
    num_clusters: int
    """Number of independent units behind the number."""


class TaskSummary(Record, frozen=True):
    """What one task of a run came to. num_planned = num_scored + num_no_answer + num_timeout + num_error."""

    task: str
    version: str
    suite: str
    metric: str
    """Name of the primary metric with its k, e.g. `avg@8`."""
    score: Estimate
    """The primary metric."""
    other_metrics: dict[str, Estimate]
    """Further metrics by name (EvalPlus: `base`; IFEval: `inst_strict`, …)."""
    num_examples: int
    num_generations: int
    """Completions per example (k)."""
    num_planned: int
    num_scored: int
    num_no_answer: int
    num_timeout: int
    num_error: int
    num_truncated: int
    """Generations that hit max_tokens; they are scored too, so they are in the counts above."""
    num_finish_unknown: int
    """Generations that do not say why they ended."""
    num_completion_tokens: int | None
    """Sum over generations; None if any of them does not say."""
    seconds: float
    """Sum of the generations' seconds."""


class Fingerprint(Record, frozen=True):
    """Identity of a checkpoint by content: sha256 hex digests, or the hub revision."""

    weights: str
    tokenizer: str
    template: str | None
    """Digest of the chat template; None if the tokenizer has none."""


class TrainingCost(Record, frozen=True):
    """What a checkpoint was trained on, and what it cost. None where the ledger does not say."""

    trained_on: tuple[str, ...] = ()
    """Suites its training prompts belong to; empty where the ledger does not say."""

    prompts: int | None = None
    rollouts: int | None = None
    tokens: int | None = None
    gpu_hours: float | None = None
    wall_hours: float | None = None
    device: str | None = None


class CheckpointRef(Record, frozen=True):
    """Weights on disk or on the hub, pinned by content."""

    label: str
    """Name in tables and of the run folder."""
    path: str
    """As the user gave it."""
    revision: str | None
    """Commit of a hub checkpoint; None for a folder."""
    fingerprint: Fingerprint


class EngineSpec(Record, frozen=True, omit_defaults=True):
    """The part of an engine's settings that decides which tokens come out.

    Where it runs is not part of it: engines spread over a cluster by Ray have the spec of a single one.
    """

    name: Literal["hf", "vllm", "openai", "scripted", "imported", "own"]
    """`own` is an engine object that was given to harness.evaluate(); its class is among the args."""
    dtype: str
    """Weights' and activations' type, e.g. `float32`; `none` where there is no model, `served` where a server knows."""
    device: str
    """`cpu`, `cuda`, `none` or `served`."""
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further arguments of the engine that the user gave (quantization and the like)."""

    @property
    def title(self) -> str:
        """The engine in words: `vllm bfloat16 on cuda, quantization=fp8`."""
        words = [f"{name}={value}" for name, value in sorted(self.args.items())]
        return ", ".join([f"{self.name} {self.dtype} on {self.device}", *words])


class TaskRef(Record, frozen=True):
    """A task pinned by content: what must agree before two runs may be paired on it."""

    name: str
    version: str
    suite: str
    data_sha256: str
    """Hash of the normalised rows of the whole data set, before `limit`."""
    prompt: str
    """name@digest of the prompt template."""
    scorer: str
    """name@version."""
    sampling: Sampling
    num_examples: int
    """After `limit`."""


class RunSpec(Record, frozen=True):
    """One checkpoint × tasks × sampling × engine. Its canonical hash is the run's `spec_id`."""

    checkpoint: CheckpointRef
    tasks: tuple[TaskRef, ...]
    engine: EngineSpec
    prompting: Literal["chat", "completion", "few_shot", "standard", "imported", "elicited"]
    """A style; `imported`: not known; `elicited`: the best style of each half of the examples, see Elicitation."""
    enable_thinking: bool | None
    """Passed to the chat template where it knows the word (Qwen3); None leaves the template's default."""
    limit: int | None
    """First examples of each task; None means all."""
    attempt: int = 0
    """Raised by `--fresh`, which measures again beside the old run."""


class Provenance(Record, frozen=True):
    """Where and with what one session of a run was made."""

    harness_version: str
    git_commit: str | None
    git_dirty: bool | None
    packages: dict[str, str]
    device: str
    python: str
    platform: str
    command: str
    started_at: str
    """UTC, ISO 8601."""
    engine: dict[str, Any]
    """Engine settings that do not decide tokens: version, batch budget, attention kernel, first prompt's token ids."""
    num_done_before: int
    """Requests an earlier session had finished."""


class RunRecord(Record, frozen=True):
    """`run.json`: written last, so that its presence means every planned request has ended."""

    spec_id: str
    spec: RunSpec
    status: Literal["complete", "incomplete"]
    """`incomplete` if any request ended in error."""
    tasks: tuple[TaskSummary, ...]
    training: TrainingCost | None
    """From the checkpoint's training.json; None if it has none."""
    sessions: tuple[Provenance, ...]
    """Oldest first; more than one if the run was resumed."""
    finished_at: str
    """UTC, ISO 8601."""


class StyleChoice(Record, frozen=True):
    """The style that one half of a task's examples takes, chosen on the other half."""

    style: Style
    num_examples: int
    """Examples of this half."""
    scores: dict[str, Estimate]
    """Each style's score on the other half, by which the choice was made."""


class TaskElicitation(Record, frozen=True):
    """One task under all its prompt styles, and under the chosen ones."""

    task: str
    scores: dict[str, Estimate]
    """Each style's score on all examples; their maximum is biased upwards, since the same examples chose it."""
    halves: tuple[StyleChoice, StyleChoice]
    score: Estimate
    """Cross-fitted: each half scored in the style that was chosen on the other."""


class Elicitation(Record, frozen=True):
    """`elicitation.json` of an elicited run: how its generations were picked from the runs of single styles."""

    spec_id: str
    """Of the elicited run."""
    plain: Style
    """The style that `auto` takes for this checkpoint."""
    runs: dict[str, str]
    """spec_id of each style's run."""
    tasks: tuple[TaskElicitation, ...]
