"""From an EvalConfig to everything a run needs: where tasks, scorers, engines and checkpoints meet."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.checkpoint import SCRIPTED_PREFIX, ResolvedCheckpoint, resolve_checkpoint
from harness.engines.scripted import ScriptedEngine
from harness.errors import CheckpointError, SpecError, UsageError
from harness.interfaces import Engine, Scorer
from harness.plan import PlannedTask, pin_task
from harness.schema import EngineSpec, Request, RunSpec, ScorerOptions, Style
from harness.spec import EvalConfig, resolve_sampling
from tasks.dataset import check_hash
from tasks.registry import select_tasks
from tasks.task import BenchmarkTask
from trainers.lab import SHIPPED


@dataclass(frozen=True)
class PreparedRun:
    """A resolved run: nothing is measured yet, everything is pinned."""

    config: EvalConfig
    spec: RunSpec
    planned: tuple[PlannedTask, ...]
    checkpoint: ResolvedCheckpoint
    make_engine: Callable[[], Engine]
    render: Callable[[Request], tuple[str, list[int] | None]]
    """A request's prompt as the engine sends it: text and token ids (None where the engine has no tokenizer)."""
    num_workers: int
    sources: dict[str, str]
    """Where each task's rows came from."""


def close_scorers(planned: Sequence[PlannedTask]) -> None:
    """Stop the scorers' processes; tasks may share a scorer."""
    for scorer in {id(item.scorer): item.scorer for item in planned}.values():
        scorer.close()


def prepare_run(config: EvalConfig) -> PreparedRun:
    """Find the checkpoint and the data, pin both, and check that every scorer can work here.

    Raises:
        HarnessError: whatever is missing or does not fit, in one line.
    """
    tasks = select_tasks(config.tasks)
    if config.prompting != "auto":
        check_style(tasks, config.prompting)
    checkpoint = find_checkpoint(config)
    prompting = resolve_prompting(config, checkpoint)
    engine_spec, make_engine, render = _wire_engine(config, checkpoint)
    options = scorer_options(config)
    if prompting == "few_shot":
        tasks = tuple(task.with_exemplars(*data_folders(config), config.accept_data) for task in tasks)
    planned, sources = plan_tasks(tasks, config, options, prompting)
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
        make_engine=make_engine,
        render=render,
        num_workers=options.num_workers,
        sources=sources,
    )


def find_checkpoint(config: EvalConfig) -> ResolvedCheckpoint:
    """Find the checkpoint and pin it by content.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    template = Path(config.chat_template) if config.chat_template else None
    return resolve_checkpoint(config.ckpt, SHIPPED, config.label, template)


def check_style(tasks: Sequence[BenchmarkTask], prompting: Style) -> None:
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
    tasks: tuple[BenchmarkTask, ...], config: EvalConfig, options: ScorerOptions, prompting: Style
) -> tuple[tuple[PlannedTask, ...], dict[str, str]]:
    """Load, verify and pin each task's rows; tasks with the same scorer and way of continuing share one.

    Raises:
        HarnessError: if rows are missing or other than registered, or a scorer cannot work here.
    """
    unknown = set(config.accept_data) - {name for task in tasks for name in (task.name, task.shots_name)}
    if unknown:
        raise SpecError(f"--accept-data names {', '.join(sorted(unknown))}, which this run does not evaluate")
    scorers: dict[object, Scorer] = {}
    planned, sources = [], {}
    data_dir, hub_dir = data_folders(config)
    for task in tasks:
        continues = options.continuation or task.continues(prompting)
        identity = (task.scorer_factory, continues)
        if identity not in scorers:
            scorers[identity] = task.scorer_factory(msgspec.structs.replace(options, continuation=continues))
            scorers[identity].check()
        data = task.load(data_dir, hub_dir)
        check_hash(task.name, task.data_sha256, data, config.accept_data.get(task.name))
        sampling = resolve_sampling(task.sampling(config.preset, prompting), config.sampling)
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


def _wire_engine(
    config: EvalConfig, checkpoint: ResolvedCheckpoint
) -> tuple[EngineSpec, Callable[[], Engine], Callable[[Request], tuple[str, list[int] | None]]]:
    is_scripted = config.ckpt.startswith(SCRIPTED_PREFIX)
    if (config.engine.name == "scripted") != is_scripted and config.engine.name != "auto":
        raise SpecError(
            f"engine {config.engine.name} cannot run {config.ckpt}: the scripted engine takes `--ckpt scripted:mixed`, "
            "the others take weights"
        )
    if is_scripted:
        engine = ScriptedEngine(config.ckpt.removeprefix(SCRIPTED_PREFIX))
        return ScriptedEngine.spec, lambda: engine, _plain_text
    assert checkpoint.folder is not None, "only scripted checkpoints have no folder"
    return _wire_hf(config, checkpoint.folder)


def _wire_hf(
    config: EvalConfig, folder: Path
) -> tuple[EngineSpec, Callable[[], Engine], Callable[[Request], tuple[str, list[int] | None]]]:
    from harness.checkpoint import read_template
    from harness.engines.hf import HfEngine, HfRenderer, resolve_hf

    spec = resolve_hf(config.engine.dtype, config.engine.device)
    template = read_template(folder, Path(config.chat_template)) if config.chat_template else None
    renderer = HfRenderer(str(folder), chat_template=template, enable_thinking=config.enable_thinking)

    def make_engine() -> Engine:
        return HfEngine(
            str(folder),
            spec,
            renderer,
            max_batch_tokens=config.engine.max_batch_tokens,
            max_batch_size=config.engine.max_batch_size,
        )

    return spec, make_engine, renderer.render


def _plain_text(request: Request) -> tuple[str, None]:
    text = request.prompt or "\n".join(f"{message.role}: {message.content}" for message in request.messages or ())
    return text, None
