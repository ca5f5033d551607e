"""From a JudgeConfig to a judge that can be asked: where reward models, engines, templates and verdicts meet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import msgspec

from harness.checkpoint import (
    SCRIPTED_PREFIX,
    ResolvedCheckpoint,
    default_label,
    fingerprint_folder,
    resolve_checkpoint,
    resolve_served,
)
from harness.engines.recipe import EngineRecipe, choose_engine, make_engine, resolve_engine
from harness.errors import CheckpointError, HarnessError, SpecError
from harness.interfaces import Scorer
from harness.judging.bench import Bench, Listener, open_bench
from harness.judging.budget import Confirm
from harness.judging.judge import GenerativeJudge, Judge, judge_identity
from harness.judging.kin import kinship, read_history
from harness.judging.protocol import JudgeProtocol
from harness.judging.records import JudgeIdentity, Template, Verdict
from harness.judging.reward import is_reward_model, load_reward_judge, reward_identity
from harness.judging.scorer import JudgeScorer
from harness.judging.template import PAIR, read_template
from harness.judging.template_files import load_templates
from harness.judging.unjudged import UnjudgedScorer
from harness.schema import CheckpointRef
from harness.spec import JudgeConfig
from trainers.lab import REWARDS, SHIPPED

KNOWN = SHIPPED | REWARDS
"""Checkpoints that come with the package."""


@dataclass(frozen=True)
class PreparedJudge:
    """A judge with its store and its budget; nothing is loaded before the first question."""

    config: JudgeConfig
    bench: Bench
    tally: "Tally"

    @property
    def identity(self) -> JudgeIdentity:
        """Who judges."""
        return self.bench.identity

    @cached_property
    def pair_template(self) -> Template | None:
        """What it is asked by about pairs, unless a task has its own; None for a reward model.

        Raises:
            SpecError: if the judge's template file cannot be read, or is not one of pairs.
        """
        if self.identity.kind == "reward":
            return None
        if self.config.template in (None, "pair"):
            return PAIR
        template = read_template(Path(str(self.config.template)))
        if template.reading == "rating":
            raise SpecError(f"{self.config.template} is a template of ratings, expected one that compares two answers")
        return template

    def templates_of(self, protocol: JudgeProtocol, data_dir: Path | None) -> dict[str, Template]:
        """Return the templates that it is asked by on a judged task, by use; none for a reward model.

        Args:
            protocol: of the task.
            data_dir: folder of benchmark data, which holds the task's own templates.

        Raises:
            HarnessError: if a template cannot be had.
        """
        if self.pair_template is None:
            return {}
        if protocol.templates is None or (protocol.kind == "pair" and self.config.template is not None):
            return {"pair": self.pair_template}
        return load_templates(protocol.templates, data_dir)

    def find_kin(self, checkpoint: CheckpointRef, folder: Path | None) -> str | None:
        """Return one sentence that says why the judge is kin of a checkpoint; None if nothing makes it so.

        Args:
            checkpoint: whose answers are judged.
            folder: of its files; None where there are none.
        """
        return kinship(self.identity, self.config, checkpoint, read_history(checkpoint, folder, KNOWN))


class Tally(Listener):
    """Counts what was asked and what was known, and passes it on to whoever draws it."""

    def __init__(self, listener: Listener | None = None) -> None:
        self.num_questions = 0
        self.num_stored = 0
        self._listener = listener or Listener()

    def start(self, num_questions: int, num_stored: int) -> None:
        """Add the questions of a task."""
        self.num_questions += num_questions
        self.num_stored += num_stored
        self._listener.start(num_questions, num_stored)

    def verdict(self, verdict: Verdict) -> None:
        """Pass it on."""
        self._listener.verdict(verdict)


def prepare_judge(
    config: JudgeConfig, confirm: Confirm | None = None, listener: Listener | None = None
) -> PreparedJudge:
    """Find a judge and pin it; its weights are loaded when the store lacks a verdict.

    Args:
        config: who judges, and how.
        confirm: asks a person about the cost; None where none is there.
        listener: hears of each verdict.

    Raises:
        HarnessError: if it is missing or damaged, or a setting is of no use to it.
    """
    make_judge, identity = _find_reward(config) or _find_generative(config)
    tally = Tally(listener)
    return PreparedJudge(config, open_bench(config, make_judge, identity, confirm, tally), tally)


class JudgeMaker:
    """Makes the scorers of a run's judged tasks. They share one judge, which is found when the first is made."""

    def __init__(
        self,
        config: JudgeConfig | Literal["later"] | None,
        data_dir: Path | None,
        checkpoint: CheckpointRef | None = None,
        folder: Path | None = None,
        confirm: Confirm | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            config: who judges; `later` has answers stored unjudged, None refuses judged tasks.
            data_dir: folder of benchmark data, which holds the tasks' templates.
            checkpoint: whose answers are judged, where that is known yet.
            folder: of its files; None where they are not here.
            confirm: asks a person about the cost; None where none is there.
        """
        self.kin: str | None = None
        """Why the judge is kin of the checkpoint, once it was found."""
        self._config = config
        self._data_dir = data_dir
        self._checkpoint = checkpoint
        self._folder = folder
        self._confirm = confirm
        self._judge: PreparedJudge | None = None

    def make(self, task: str, protocol: JudgeProtocol) -> Scorer:
        """Return the scorer of a judged task.

        Raises:
            HarnessError: if the judge, or its templates, cannot be had.
        """
        if not isinstance(self._config, JudgeConfig):
            return UnjudgedScorer(task, later=self._config == "later")
        if self._judge is None:
            self._judge = prepare_judge(self._config, self._confirm)
            if self._checkpoint is not None:
                self.kin = self._judge.find_kin(self._checkpoint, self._folder)
        judge = self._judge
        templates = judge.templates_of(protocol, self._data_dir)
        return JudgeScorer(task, protocol, templates, judge.bench, judge.config, self.kin)


def checkpoint_folder(checkpoint: CheckpointRef) -> Path | None:
    """Return where a run's checkpoint is on this machine; None if it is not, and then its history is not known.

    A folder that was trained on since holds other weights, with another history.
    """
    folder = KNOWN.get(checkpoint.path) or Path(checkpoint.path).expanduser()
    try:
        is_same = folder.is_dir() and fingerprint_folder(folder).weights == checkpoint.fingerprint.weights
    except CheckpointError:  # nor is a folder whose files are no longer whole
        return None
    return folder if is_same else None


def _find_reward(config: JudgeConfig) -> tuple[Callable[[], Judge], JudgeIdentity] | None:
    """Return a reward model; None if the judge is none, or is on a server."""
    if is_served(config):
        return None
    checkpoint = resolve_checkpoint(config.ckpt, KNOWN, config_label(config))
    if checkpoint.folder is None or not is_reward_model(checkpoint.folder):
        return None
    name = config.label or config.ckpt
    identity = reward_identity(name, checkpoint.ref.fingerprint, config)
    return partial(load_reward_judge, checkpoint.folder, name, config), identity


def _find_generative(config: JudgeConfig) -> tuple[Callable[[], Judge], JudgeIdentity]:
    is_scripted = config.ckpt.startswith(SCRIPTED_PREFIX)
    with _blames_judge(config):
        chosen = choose_engine(config.engine, is_scripted)
    checkpoint = _find_checkpoint(config)
    if is_scripted:
        source = config.ckpt.removeprefix(SCRIPTED_PREFIX)
    elif is_served(config):
        source = chosen.model or (config.ckpt if checkpoint.folder is None else "")
    else:
        source = str(checkpoint.folder)
    recipe = EngineRecipe(chosen, source, enable_thinking=config.enable_thinking)
    with _blames_judge(config):
        spec = resolve_engine(recipe)
    pinned = source if is_served(config) and checkpoint.folder is None else checkpoint.ref
    identity = msgspec.structs.replace(judge_identity(config, pinned, spec), name=config.label or config.ckpt)
    return lambda: GenerativeJudge(partial(make_engine, recipe, spec), config, identity), identity


@contextmanager
def _blames_judge(config: JudgeConfig) -> Iterator[None]:
    """Say whose engine cannot work: a run has one of its own, with settings of the same names."""
    try:
        yield
    except HarnessError as error:
        raise type(error)(f"judge {config.ckpt}, table [engine] of its file: {error}") from error


def _find_checkpoint(config: JudgeConfig) -> ResolvedCheckpoint:
    if is_served(config):
        return resolve_served(config.ckpt, SHIPPED, config_label(config), config.engine.model)
    checkpoint = resolve_checkpoint(config.ckpt, SHIPPED, config_label(config))
    if checkpoint.ref.fingerprint.template is None:
        raise CheckpointError(f"judge {config.ckpt} has no chat template, which asking it needs; take a chat model")
    return checkpoint


def is_served(config: JudgeConfig) -> bool:
    """Return whether a server holds the judge."""
    return "openai" in (config.engine.name, config.engine.inner if config.engine.name == "ray" else "")


def config_label(config: JudgeConfig) -> str:
    """Return a label that may name a folder, whatever the judge is called."""
    return default_label(config.label or config.ckpt)
