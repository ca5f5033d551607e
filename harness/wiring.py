"""From an EvalConfig to everything a run needs: where tasks, scorers, engines and checkpoints meet."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.checkpoint import SCRIPTED_PREFIX, ResolvedCheckpoint, read_template, resolve_checkpoint, resolve_served
from harness.engines.recipe import (
    CAN_WEIGH,
    EngineRecipe,
    Render,
    choose_engine,
    make_engine,
    make_renderer,
    plain_text,
    resolve_engine,
)
from harness.errors import CheckpointError, SpecError, UsageError
from harness.interfaces import Engine, Scorer
from harness.judge_wiring import JudgeMaker
from harness.judging.budget import Confirm
from harness.plan import PlannedTask, pin_task
from harness.reading import resolve_sampling
from harness.schema import RunSpec, ScorerOptions, Style
from harness.spec import LM_EVAL_PREFIX, EvalConfig, LmEvalConfig, SamplingConfig
from tasks.dataset import check_hash
from tasks.registry import select_tasks
from tasks.task import BenchmarkTask
from trainers.lab import SHIPPED

if TYPE_CHECKING:
    from harness.bridge.tasks import LmEvalTask

    EvalTask = BenchmarkTask | LmEvalTask


@dataclass(frozen=True)
class PreparedRun:
    """A resolved run: nothing is measured yet, everything is pinned."""

    config: EvalConfig
    spec: RunSpec
    planned: tuple[PlannedTask, ...]
    checkpoint: ResolvedCheckpoint
    make_engine: Callable[[], Engine]
    render: Render
    num_workers: int
    sources: dict[str, str]
    """Where each task's rows came from."""
    kin: str | None = None
    """Why the judge of the run's judged tasks is kin of its checkpoint; None if nothing is known that makes it so."""


def close_scorers(planned: Sequence[PlannedTask]) -> None:
    """Stop the scorers' processes; tasks may share a scorer."""
    for scorer in {id(item.scorer): item.scorer for item in planned}.values():
        scorer.close()


def prepare_run(config: EvalConfig, confirm: Confirm | None = None, judges: JudgeMaker | None = None) -> PreparedRun:
    """Find the checkpoint and the data, pin both, and check that every scorer can work here.

    Args:
        config: the run's settings.
        confirm: asks a person about the cost of judging; None where none is there.
        judges: of a command that makes several runs of the checkpoint: they share one judge, its store and its budget.

    Raises:
        HarnessError: whatever is missing or does not fit, in one line.
    """
    tasks = choose_tasks(config)
    if config.prompting != "auto":
        check_style(tasks, config.prompting)
    checkpoint = find_checkpoint(config)
    prompting = resolve_prompting(config, checkpoint)
    recipe = find_engine(config, checkpoint)
    _check_can_weigh(tasks, recipe)
    engine_spec, renderer = resolve_engine(recipe), make_renderer(recipe)
    options = scorer_options(config)
    if prompting == "few_shot":
        tasks = tuple(
            task.with_exemplars(*data_folders(config), config.accept_data) if isinstance(task, BenchmarkTask) else task
            for task in tasks
        )
    judges = judges or JudgeMaker(config.judge, data_folders(config)[0], checkpoint.ref, checkpoint.folder, confirm)
    planned, sources = plan_tasks(tasks, config, options, prompting, judges)
    spec = RunSpec(
        checkpoint=checkpoint.ref,
        tasks=tuple(item.ref for item in planned),
        engine=engine_spec,
        prompting=prompting,
        enable_thinking=config.enable_thinking if prompting == "chat" else None,
        limit=config.limit,
        attempt=config.attempt,
    )
    return PreparedRun(
        config=config,
        spec=spec,
        planned=planned,
        checkpoint=checkpoint,
        make_engine=partial(make_engine, recipe, engine_spec, renderer),
        render=renderer.render if renderer else plain_text,
        num_workers=options.num_workers,
        sources=sources,
        kin=judges.kin,
    )


def choose_tasks(config: EvalConfig) -> "tuple[EvalTask, ...]":
    """Return the tasks that are to be evaluated, each once: our own, and lm-eval's by names that begin with lm_eval:.

    Raises:
        HarnessError: if a name stands for no task, with a suggestion; or if a task of lm-eval cannot be loaded.
    """
    if not any(name.startswith(LM_EVAL_PREFIX) for name in config.tasks):
        if config.lm_eval != LmEvalConfig():
            raise SpecError(
                f"lm_eval settings and --include-path are for tasks named {LM_EVAL_PREFIX}…; leave them out"
            )
        return select_tasks(config.tasks)
    from harness.bridge.tasks import check_same, load_lm_eval_tasks

    data_dir, _ = data_folders(config)
    chosen: dict[str, EvalTask] = {}
    for name in config.tasks:
        is_theirs = name.startswith(LM_EVAL_PREFIX)
        found = load_lm_eval_tasks((name,), config.lm_eval, data_dir) if is_theirs else select_tasks((name,))
        for task in found:
            check_same(chosen.setdefault(task.name, task), task)
    return tuple(chosen.values())


def _check_can_weigh(tasks: "Sequence[EvalTask]", recipe: EngineRecipe) -> None:
    """Refuse tasks that ask for likelihoods of an engine that has none."""
    name = recipe.inner.config.name
    weighing = [task.name for task in tasks if task.weighs]
    if weighing and name not in CAN_WEIGH:
        raise UsageError(
            f"{weighing[0]} asks how likely given answers are, which the {name} engine cannot tell; "
            f"these can: {', '.join(sorted(CAN_WEIGH))}"
        )


def find_checkpoint(config: EvalConfig) -> ResolvedCheckpoint:
    """Find the checkpoint and pin it by content; what only a server has is pinned by the name it has there.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    template = Path(config.chat_template) if config.chat_template else None
    if is_served(config):
        return resolve_served(config.ckpt, SHIPPED, config.label, config.engine.model)
    return resolve_checkpoint(config.ckpt, SHIPPED, config.label, template)


def check_style(tasks: "Sequence[EvalTask]", prompting: Style) -> None:
    """Check that every task can be asked in a style.

    Raises:
        UsageError: if one cannot, naming the styles it has.
    """
    for task in tasks:
        if prompting not in task.styles:
            raise UsageError(
                f"{task.name} has no {prompting} prompt; pass --prompting {' or '.join(task.styles)}, or leave it out"
            )


def resolve_prompting(config: EvalConfig, checkpoint: ResolvedCheckpoint) -> Style:
    """Choose the style that `auto` stands for.

    Raises:
        CheckpointError: if chat is asked of a tokenizer without a template.
    """
    has_template = checkpoint.ref.fingerprint.template is not None
    if config.prompting == "auto":
        return "chat" if has_template else "completion"
    if config.prompting == "chat" and not has_template:
        raise CheckpointError(
            f"{config.ckpt} has no chat template, which --prompting chat needs; pass --prompting completion, or "
            "--chat-template FILE"
        )
    return config.prompting


def plan_tasks(
    tasks: "Sequence[EvalTask]",
    config: EvalConfig,
    options: ScorerOptions,
    prompting: Style,
    judges: JudgeMaker | None = None,
) -> tuple[tuple[PlannedTask, ...], dict[str, str]]:
    """Load, verify and pin each task's rows; tasks with the same scorer and way of continuing share one.

    Args:
        tasks: in the order of the plan.
        config: the run's settings.
        options: how scorers may use this machine.
        prompting: how tasks are put.
        judges: makes the scorers of judged tasks; None makes them without knowing whom they judge.

    Raises:
        HarnessError: if rows are missing or other than registered, or a scorer cannot work here.
    """
    unknown = set(config.accept_data) - {name for task in tasks for name in (task.name, task.shots_name)}
    if unknown:
        raise SpecError(f"--accept-data names {', '.join(sorted(unknown))}, which this run does not evaluate")
    scorers: dict[object, Scorer] = {}
    planned, sources = [], {}
    data_dir, hub_dir = data_folders(config)
    judges = judges or JudgeMaker(config.judge, data_dir)
    for task in tasks:
        continues = options.continuation or task.continues(prompting)
        identity = (task.scorer_factory, continues, task.name if task.judging else None)
        if identity not in scorers:
            own = msgspec.structs.replace(options, continuation=continues)
            scorers[identity] = judges.make(task.name, task.judging) if task.judging else task.scorer_factory(own)
            scorers[identity].check()
        data = task.load(data_dir, hub_dir)
        check_hash(task.name, task.data_sha256, data, config.accept_data.get(task.name))
        overrides = SamplingConfig() if task.weighs else config.sampling  # nothing is drawn there
        sampling = resolve_sampling(task.sampling(config.preset, prompting), overrides)
        planned.append(pin_task(task, data, scorers[identity], sampling, prompting, config.limit))
        sources[task.name] = data.source
    return tuple(planned), sources


def scorer_options(config: EvalConfig, continuation: bool = False) -> ScorerOptions:
    """Return how scorers may use this machine; `continuation` is for imported text, whose prompt is not ours."""
    data_dir, _ = data_folders(config)
    return ScorerOptions(
        num_workers=config.workers or os.cpu_count() or 1,
        sandbox=config.sandbox,
        continuation=continuation,
        data_dir=str(data_dir.resolve()) if data_dir else None,
    )


def data_folders(config: EvalConfig) -> tuple[Path | None, Path | None]:
    """Return the data folder ($HARNESS_DATA where none is given) and the hub mirror."""
    data_dir = config.data_dir or os.environ.get("HARNESS_DATA") or None
    return (Path(data_dir) if data_dir else None, Path(config.hub_dir) if config.hub_dir else None)


def find_engine(config: EvalConfig, checkpoint: ResolvedCheckpoint) -> EngineRecipe:
    """Return the recipe of the engine that runs a checkpoint, with `auto` replaced.

    Raises:
        SpecError: if the engine cannot run such a checkpoint, or a setting would be ignored.
    """
    is_scripted = config.ckpt.startswith(SCRIPTED_PREFIX)
    if (config.engine.name == "scripted") != is_scripted and config.engine.name != "auto":
        raise SpecError(
            f"engine {config.engine.name} cannot run {config.ckpt}: the scripted engine takes `--ckpt scripted:mixed`, "
            "the others take weights"
        )
    chosen = choose_engine(config.engine, is_scripted)
    if is_scripted:
        return EngineRecipe(chosen, config.ckpt.removeprefix(SCRIPTED_PREFIX))
    if is_served(config):
        if config.chat_template:
            raise SpecError("--chat-template is for engines that render prompts; give the server its template instead")
        served = chosen.model or (config.ckpt if checkpoint.folder is None else "")
        return EngineRecipe(chosen, served, enable_thinking=config.enable_thinking)
    assert checkpoint.folder is not None, "only scripted and served checkpoints have no folder"
    template = read_template(checkpoint.folder, Path(config.chat_template)) if config.chat_template else None
    return EngineRecipe(chosen, str(checkpoint.folder), template, config.enable_thinking)


def is_served(config: EvalConfig) -> bool:
    """Return whether a server holds the weights."""
    return "openai" in (config.engine.name, config.engine.inner if config.engine.name == "ray" else "")
