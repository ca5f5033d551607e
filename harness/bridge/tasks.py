"""lm-eval's tasks as tasks of this harness: lm-eval builds prompts and judges; engines, seeds and storage are ours."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from harness.bridge.context import read_context, read_sampling, write_conversation
from harness.bridge.library import LM_EVAL, Place, as_lm_eval_runs, describe, load_tasks, refuse
from harness.bridge.metric import choose_filter, choose_metric, digest_config, digest_rules
from harness.bridge.scorer import JudgePool, LmEvalScorer, Rules
from harness.errors import DataError, UsageError
from harness.interfaces import Earlier, Scorer
from harness.schema import Choice, Example, LoadedData, Message, Record, Sampling, ScorerOptions, Style
from harness.spec import LM_EVAL_PREFIX, LmEvalConfig, content_hash

OTHER = "other"
"""Suite of tasks for which lm_eval.domains has no entry."""


class Asked(Record, frozen=True):
    """How one document is put: as messages or as plain text."""

    messages: tuple[Message, ...] | None
    prompt: str | None
    choices: tuple[Choice, ...]
    """Empty where text is generated."""


@dataclass(frozen=True, eq=False)
class LmEvalTask:
    """One task of lm-eval, with one of its filters and one of its metrics."""

    name: str
    given: str
    """What a user names to have it; a group stands for all its members."""
    suite: str
    rules: Rules
    settings: LmEvalConfig
    judges: JudgePool = field(repr=False)
    task: Any = field(repr=False)
    """lm-eval's own object."""
    docs: tuple[dict[str, Any], ...] = field(repr=False)
    asked: dict[str, tuple[Asked, ...]] = field(default_factory=dict, repr=False)
    """Every document by style, once a style was asked for."""

    @property
    def version(self) -> str:
        """The task's own version, and lm-eval's."""
        return f"{self.task.VERSION}+{LM_EVAL}"

    @property
    def metric(self) -> str:
        """The metric, by lm-eval's name."""
        return self.rules.metric

    @property
    def styles(self) -> tuple[Style, ...]:
        """How this task can be asked; its worked examples belong to both."""
        return ("chat", "completion")

    @property
    def shots_name(self) -> str:
        """Its worked examples are rows that lm-eval chose: they have no name of their own."""
        return self.name

    @property
    def weighs(self) -> bool:
        """Whether likelihoods of given choices are asked for, and no text."""
        return str(self.task.OUTPUT_TYPE) != "generate_until"

    @property
    def data_sha256(self) -> str:
        """Hash of the rows as they are: none is registered for them."""
        return self.data.sha256

    @cached_property
    def data(self) -> LoadedData:
        """Every document as an example."""
        with as_lm_eval_runs():
            examples = tuple(self._example(number, doc) for number, doc in enumerate(self.docs))
        sha256 = content_hash([msgspec.structs.asdict(example) for example in examples])
        return LoadedData(examples=examples, sha256=sha256, source=f"lm-eval ({self.task.DATASET_PATH or 'its own'})")

    def _example(self, number: int, doc: dict[str, Any]) -> Example:
        task = self.task
        text, target = task.doc_to_text(doc), task.doc_to_target(doc)
        metadata: dict[str, Any] = {"doc": doc}
        if task.OUTPUT_TYPE == "multiple_choice":
            metadata["choices"] = [str(choice) for choice in task.doc_to_choice(doc)]
            if isinstance(target, int) and 0 <= target < len(metadata["choices"]):
                target = metadata["choices"][target]
        elif isinstance(getattr(task.config, "doc_to_target", None), int):
            target = None  # the same number for every row is a place-holder
        return Example(
            task=self.name,
            example_id=example_id(number, doc),
            input=text if isinstance(text, str) else "\n".join(metadata.get("choices", ())),
            target=None if target is None else str(target),
            metadata=metadata,
        )

    def scorer_factory(self, options: ScorerOptions) -> Scorer:
        """Return the task's scorer."""
        return LmEvalScorer(options, self.rules, self.judges)

    def load(self, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
        """Return every example in lm-eval's order; where its rows are is the task's own business."""
        return self.data

    @property
    def judging(self) -> None:
        """Nothing is asked of a judge here: lm-eval's rules score."""
        return None

    def follows(self, example: Example) -> None:
        """Every document stands alone."""

    def messages(self, example: Example, earlier: Earlier = ()) -> tuple[Message, ...]:
        """Return the conversation that asks the example of a chat model."""
        return self._find("chat", example).messages or ()

    def plain_prompt(self, example: Example, prompting: str, earlier: Earlier = ()) -> str:
        """Return the plain text that asks the example."""
        return self._find(prompting, example).prompt or ""

    def choices(self, example: Example, prompting: str) -> tuple[Choice, ...]:
        """Return the continuations whose likelihoods are asked for."""
        return self._find(prompting, example).choices

    def prompt_id(self, prompting: str) -> str:
        """Return name@digest of every prompt as it is sent, worked examples and system message included.

        The stop strings are part of it: `compare` takes them for the prompt's, not for a way of sampling.
        """
        until = (self.task.config.generation_kwargs or {}).get("until") if not self.weighs else None
        sent = [msgspec.to_builtins(self._asked(prompting)), until]
        return f"lm_eval/{prompting}@{content_hash(sent)[:8]}"

    def continues(self, prompting: str) -> bool:
        """Return whether a generation goes on with the example's own text; no scorer of lm-eval asks."""
        return False

    def sampling(self, preset: str, prompting: str) -> Sampling:
        """Return the task's own sampling, which is the preset `greedy` stands for; nearly all of them are greedy.

        Raises:
            UsageError: for another preset, or settings that no engine here reads.
        """
        if self.weighs:
            return Sampling(max_tokens=1)
        if preset != "greedy":
            raise UsageError(
                f"{self.name} brings its own sampling and has no preset {preset}; leave --preset out and pass --set "
                "sampling.temperature=…, sampling.num_generations=…"
            )
        try:
            return read_sampling(self.task.config.generation_kwargs or {}, self.task.config.repeats)
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from error

    def _find(self, prompting: str, example: Example) -> Asked:
        return self._asked(prompting)[int(example.example_id.partition("-")[0])]

    def _asked(self, prompting: str) -> tuple[Asked, ...]:
        if prompting not in self.asked:
            self.asked[prompting] = _ask_all(self, is_chat=prompting == "chat")
        return self.asked[prompting]


def example_id(number: int, doc: dict[str, Any]) -> str:
    """Return lm-eval's number of a document and the beginning of its hash, both as in its logs of samples."""
    from lm_eval.utils import handle_non_serializable, hash_string

    text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
    return f"{number}-{hash_string(text)[:8]}"


def _ask_all(task: LmEvalTask, is_chat: bool) -> tuple[Asked, ...]:
    """Let lm-eval build every prompt, in order: its worked examples are drawn one document after the other."""
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    theirs, settings = task.task, task.settings
    with as_lm_eval_runs():
        theirs.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
        try:
            theirs.build_all_requests(
                system_instruction=settings.system,
                apply_chat_template=is_chat,
                fewshot_as_multiturn=settings.fewshot_as_turns and is_chat,
                chat_template=write_conversation if is_chat else None,
            )
        except Exception as error:  # task files are anybody's code
            raise DataError(f"{task.name}: lm-eval cannot build its prompts: {describe(error)}") from error
        instances = defaultdict(list)
        for instance in theirs.instances:
            instances[instance.doc_id].append(instance)
        theirs._instances = None
    if [example_id(number, instances[number][0].doc) for number in sorted(instances)] != [
        example.example_id for example in task.data.examples
    ]:
        raise DataError(
            f"{task.name}: its documents come out otherwise each time they are read; no score could be found again"
        )
    return tuple(_read_asked(task, instances[number], is_chat) for number in range(len(task.docs)))


def _read_asked(task: LmEvalTask, instances: list[Any], is_chat: bool) -> Asked:
    """Return what lm-eval's instances of one document ask."""
    kinds = {instance.request_type for instance in instances}
    if kinds not in ({"generate_until"}, {"loglikelihood"}) or (task.weighs != (kinds == {"loglikelihood"})):
        raise UsageError(f"{task.name} mixes {' and '.join(sorted(kinds))} requests, which cannot be one score")
    instances = sorted(instances, key=lambda instance: instance.idx)
    messages, prompt = read_context(instances[0].args[0])
    if is_chat and messages is None:
        raise UsageError(f"{task.name} builds no conversations; pass --prompting completion")
    if not task.weighs:
        if len(instances) > 1:
            raise UsageError(f"{task.name} asks {len(instances)} questions per document; only one can be scored")
        return Asked(messages, prompt, ())
    choices = []
    for instance in instances:
        own = read_context(instance.args[0])
        own = (None, None) if own == (messages, prompt) else own
        choices.append(Choice(text=instance.args[1], messages=own[0], prompt=own[1]))
    return Asked(messages, prompt, tuple(choices))


def load_lm_eval_tasks(
    names: Iterable[str], settings: LmEvalConfig, data_dir: Path | None = None
) -> tuple[LmEvalTask, ...]:
    """Return the tasks that names of the form lm_eval:NAME[/FILTER[/METRIC]] stand for, groups as their members.

    Raises:
        UsageError: if a name, filter or metric does not exist, or does not fit; all that do are named.
        DataError: if a task or its rows cannot be loaded.
    """
    plain = msgspec.json.encode(settings)
    data = str(data_dir) if data_dir is not None else None
    return tuple(task for name in dict.fromkeys(names) for task in _load_named(name, plain, data))


@lru_cache(maxsize=16)
def _load_named(name: str, plain_settings: bytes, data_dir: str | None) -> tuple[LmEvalTask, ...]:
    """Load once what several steps of a command ask for."""
    settings = msgspec.json.decode(plain_settings, type=LmEvalConfig)
    asked_for, *named = name.removeprefix(LM_EVAL_PREFIX).split("/")
    if not asked_for or len(named) > 2:
        raise UsageError(f"{name}: expected lm_eval:NAME, lm_eval:NAME/FILTER or lm_eval:NAME/FILTER/METRIC")
    filter_name, metric = (*named, None, None)[:2]
    place = Place(name=asked_for, include_path=settings.include_path, data_dir=data_dir)
    judges = JudgePool()
    found = []
    for member, task in load_tasks(place).items():
        docs = _check_fit(member, task, settings)
        chosen, is_first_filter = choose_filter(f"{LM_EVAL_PREFIX}{member}", task, filter_name)
        scored, is_first_metric = choose_metric(f"{LM_EVAL_PREFIX}{member}", task, chosen, metric, docs[0])
        suffix = f"/{chosen}/{scored}" if not is_first_metric else "" if is_first_filter else f"/{chosen}"
        rules = Rules(place=place, task=member, filter=chosen, metric=scored, digest=digest_rules(task))
        suite = settings.domains.get(member, settings.domains.get(asked_for, OTHER))
        found.append(LmEvalTask(f"{LM_EVAL_PREFIX}{member}{suffix}", name, suite, rules, settings, judges, task, docs))
    return tuple(found)


def check_same(first: object, second: object) -> None:
    """Check that two tasks of one name, such as a task and the same one in a group, are asked in the same way.

    Raises:
        UsageError: if they are not, since only one of them can have the name.
    """
    if first is second or not (isinstance(first, LmEvalTask) and isinstance(second, LmEvalTask)):
        return
    if digest_config(first.task) != digest_config(second.task):
        raise UsageError(
            f"{first.given} and {second.given} both have {first.name}, with other settings; evaluate them one by one"
        )


def _check_fit(member: str, task: Any, settings: LmEvalConfig) -> tuple[dict[str, Any], ...]:
    """Set the number of worked examples, and return the documents of a task that can be asked and judged here."""
    name = f"{LM_EVAL_PREFIX}{member}"
    refuse(member, task.OUTPUT_TYPE, is_unsafe=getattr(task, "UNSAFE_CODE", False))
    if getattr(task, "MULTIMODAL", False):
        raise UsageError(f"{name} shows images or sounds, which no engine here takes")
    own = task.config.num_fewshot
    if settings.num_fewshot is not None and own == 0 and settings.num_fewshot:
        raise UsageError(f"{name} sets num_fewshot to 0 itself, which lm-eval keeps; leave lm_eval.num_fewshot out")
    wanted = settings.num_fewshot if settings.num_fewshot is not None else own
    task.set_config("num_fewshot", wanted or 0)
    with as_lm_eval_runs():
        docs = tuple(task.eval_docs)
    if not docs:
        raise DataError(f"{name} has no documents")
    try:
        json.dumps(docs)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: its documents hold what JSON cannot: {error}") from error
    return docs
