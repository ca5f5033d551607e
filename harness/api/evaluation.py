"""evaluate(): from settings to a finished run. The command line's runs go through here too."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from harness.api.run import Run
from harness.checkpoint import SCRIPTED_PREFIX
from harness.errors import UsageError
from harness.interfaces import Engine
from harness.judging.budget import Confirm
from harness.provenance import collect_provenance
from harness.reading import parse_record
from harness.runner import Progress, execute
from harness.schema import EngineSpec, Generation, Provenance, Request, RunRecord
from harness.spec import EngineConfig, EvalConfig, SamplingConfig
from harness.store import RunStore, read_run, run_path
from harness.wiring import PreparedRun, close_scorers, prepare_run


def evaluate(
    ckpt: str | Path,
    tasks: str | Sequence[str],
    *,
    label: str | None = None,
    out: str | Path = "runs",
    preset: str = "greedy",
    engine: str | Mapping[str, Any] | EngineConfig | Engine = "auto",
    sampling: Mapping[str, Any] | SamplingConfig | None = None,
    limit: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> Run:
    """Evaluate a checkpoint, as `harness eval` does; the same call again resumes, or reads the finished run back.

    Args:
        ckpt: shipped name (lab/base), folder, hub id[@revision], or `scripted:mixed`.
        tasks: names of tasks and suites.
        label: name in tables and of the run folder; None derives it from ckpt.
        out: folder that holds run directories.
        preset: named sampling of the tasks: greedy or avg@8.
        engine: its name, its settings (harness.spec.EngineConfig), or an object with the interface
            harness.interfaces.Engine. An object is recorded as engine `own` with the dtype, device and args of its
            `spec`, and its class among the args; it stays open.
        sampling: what to change in the preset, e.g. {"max_tokens": 512}.
        limit: evaluate only the first examples of each task.
        fresh: measure again beside an existing run instead of resuming it.
        progress: hears of each generation and score.
        settings: any other field of harness.spec.EvalConfig, such as prompting or data_dir.

    Returns:
        The finished run. Its `record.status` is `incomplete` if requests ended in error; the same call retries them.

    Raises:
        HarnessError: if a setting does not fit, or the run cannot be done. What is done stays done.
    """
    own = None if isinstance(engine, str | Mapping | EngineConfig) else _BorrowedEngine(engine)
    given = {
        "ckpt": ckpt,
        "tasks": (tasks,) if isinstance(tasks, str) else tuple(tasks),
        "label": label,
        "out": out,
        "preset": preset,
        "engine": _engine_settings(engine, str(ckpt)),
        "sampling": {} if sampling is None else sampling,
        "limit": limit,
    }
    config = _parse_settings({**given, **settings})
    with open_run(config, fresh, own) as prepared:
        record = measure(prepared, lambda: nullcontext(progress or Progress()), _describe_call(config, own))
        return Run(path=run_path(Path(config.out), prepared.spec), record=record)


@contextmanager
def open_run(
    config: EvalConfig, fresh: bool = False, engine: Engine | None = None, confirm: Confirm | None = None
) -> Iterator[PreparedRun]:
    """Prepare a run, and stop its scorers in the end.

    Args:
        config: its settings.
        fresh: take the next attempt number, unless an attempt that was begun is to be resumed.
        engine: takes the place of the one that the settings name.
        confirm: asks a person about the cost of judging; None where none is there.

    Raises:
        HarnessError: as harness.wiring.prepare_run.
    """
    prepared = prepare_run(config, confirm)
    try:
        if engine is not None:
            spec = msgspec.structs.replace(prepared.spec, engine=engine.spec)
            prepared = replace(prepared, spec=spec, make_engine=lambda: engine)
        yield _next_attempt(prepared) if fresh else prepared
    finally:
        close_scorers(prepared.planned)


def measure(
    prepared: PreparedRun,
    open_progress: Callable[[], AbstractContextManager[Progress]],
    command: str | None = None,
) -> RunRecord:
    """Execute a prepared run, or read it back if it is complete.

    Args:
        prepared: the run.
        open_progress: called if anything is left to do.
        command: recorded as what began this session; None takes the command line.

    Raises:
        HarnessError: as harness.runner.execute.
    """
    path = run_path(Path(prepared.config.out), prepared.spec)
    store = RunStore(path, prepared.spec)
    try:
        if store.is_complete():
            return read_run(path)
        with open_progress() as progress:
            return execute(
                prepared.planned,
                store,
                prepared.make_engine,
                partial(_collect_provenance, command),
                prepared.checkpoint.training,
                progress,
                prepared.num_workers,
            )
    finally:
        store.close()


class _BorrowedEngine:
    """An engine object of the caller's, with its class in its spec so that it is never taken for one of ours."""

    def __init__(self, engine: Engine) -> None:
        spec = getattr(engine, "spec", None)
        if not isinstance(spec, EngineSpec) or not all(
            callable(getattr(engine, name, None)) for name in ("describe", "generate")
        ):
            raise UsageError(
                f"engine is of type {type(engine).__name__}; expected a name such as hf, a mapping of settings, or an "
                "object with spec (harness.schema.EngineSpec), describe(), generate() and close()"
            )
        self._engine = engine
        kind = f"{type(engine).__module__}.{type(engine).__qualname__}"
        self.spec = msgspec.structs.replace(spec, name="own", args={**spec.args, "class": kind})

    def describe(self) -> dict[str, Any]:
        return self._engine.describe()

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        return self._engine.generate(requests)

    def close(self) -> None:
        """Leave it open: who made it closes it."""


def _engine_settings(engine: str | Mapping[str, Any] | EngineConfig | Engine, ckpt: str) -> Any:
    if isinstance(engine, str):
        return {"name": engine}
    if isinstance(engine, Mapping | EngineConfig):
        return engine
    # an object takes the place of whatever is named here; this needs no GPU and no server
    return {"name": "auto" if ckpt.startswith(SCRIPTED_PREFIX) else "hf"}


def _parse_settings(given: Mapping[str, Any]) -> EvalConfig:
    """Return the settings of a run; folders may begin with ~."""
    data = {name: _plain(value) for name, value in given.items()}
    for name in ("out", "data_dir", "hub_dir", "chat_template"):
        if isinstance(data.get(name), str):
            data[name] = str(Path(data[name]).expanduser())
    return parse_record(data, EvalConfig, "evaluate()")


def _plain(value: Any) -> Any:
    """Return paths and records as a TOML file would have them."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    return dict(value) if isinstance(value, Mapping) else value


def _next_attempt(prepared: PreparedRun) -> PreparedRun:
    """Return the run under the next attempt number; one that was begun afresh before and did not finish is resumed."""
    out, spec = Path(prepared.config.out), prepared.spec
    if run_path(out, spec).exists():
        spec = msgspec.structs.replace(spec, attempt=spec.attempt + 1)
    while (run_path(out, spec) / "run.json").exists():
        spec = msgspec.structs.replace(spec, attempt=spec.attempt + 1)
    return replace(prepared, spec=spec)


def _describe_call(config: EvalConfig, engine: Engine | None) -> str:
    """Return the call of evaluate() that gives these settings."""
    defaults = msgspec.to_builtins(EvalConfig(ckpt="", tasks=()))
    given = _changes(msgspec.to_builtins(config), defaults)
    if engine is not None:
        given["engine"] = engine.spec.args["class"]
    return f"harness.evaluate({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _changes(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the defaults; of a table with defaults of its own, the entries that do."""
    return {
        name: _changes(value, defaults[name]) if isinstance(value, dict) and defaults[name] else value
        for name, value in values.items()
        if value != defaults.get(name)
    }


def _collect_provenance(
    command: str | None, engine: Engine | None, num_done_before: int, started_at: datetime
) -> Provenance:
    found = collect_provenance(engine, num_done_before, started_at)
    return found if command is None else msgspec.structs.replace(found, command=command)
