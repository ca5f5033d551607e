"""Finds lm-eval's tasks by name and loads them. What they ask and how they judge is tasks.py's and judge.py's."""

import contextlib
import io
import json
import logging
import os
import random
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.cache import cache_dir
from harness.errors import DataError, UsageError
from harness.schema import Record
from harness.spec import did_you_mean

LM_EVAL = f"lm-eval-{version('lm_eval')}"

Index = dict[str, Any]
"""Name of a task, group or tag → lm-eval's entry for it."""


class Place(Record, frozen=True):
    """Where a task is found, in plain values, so that a worker process can load the same one."""

    name: str
    """Task, group or tag that was asked for."""
    include_path: str | None
    """Folder that is searched before lm-eval's own tasks."""
    data_dir: str | None
    """Folder of benchmark data, which may hold the NLTK tables that some tasks need."""


def load_tasks(place: Place) -> dict[str, Any]:
    """Return lm-eval's task objects by name: one, or the members of a group or tag.

    Raises:
        UsageError: if there is no such name, or a task runs generated code.
        DataError: if a task or its rows cannot be loaded.
    """
    return _load(place, None)


@lru_cache(maxsize=64)
def load_task(place: Place, name: str) -> Any:
    """Return one of the tasks that load_tasks returns, leaving its siblings alone.

    Raises:
        UsageError: as load_tasks.
        DataError: as load_tasks.
    """
    return _load(place, name)[name]


def _load(place: Place, only: str | None) -> dict[str, Any]:
    with as_lm_eval_runs():
        _add_nltk_tables(place.data_dir)
        manager = _make_manager(find_index(place), only)
        try:
            tasks: dict[str, Any] = manager.load([place.name])["tasks"]
        except UsageError:
            raise
        except Exception as error:  # task files are anybody's code
            raise DataError(
                f"lm_eval:{place.name} cannot be loaded ({describe(error)}); lm-eval reads rows from the hub: run it "
                "once where there is a network, or pass --include-path DIR with a task file that names local files "
                "(dataset_path: json, dataset_kwargs: {data_files: …})"
            ) from error
    if not tasks:
        raise UsageError(f"lm_eval:{place.name} has no tasks in it")
    _require_nltk_tables(place.name)
    return tasks


def refuse(name: str, output_type: str | None, is_unsafe: bool) -> None:
    """Refuse a task that cannot be run here; its file alone tells, before its code or its rows are loaded.

    Raises:
        UsageError: with the reason, and what to do instead.
    """
    if is_unsafe:
        raise UsageError(
            f"lm_eval:{name} runs generated programs in its own process; use this harness's tasks, which run them in a "
            "sandbox: --task humaneval_plus,mbpp_plus"
        )
    if output_type == "loglikelihood_rolling":
        raise UsageError(
            f"lm_eval:{name} measures perplexity (loglikelihood_rolling), which is no verdict from 0 to 1 on an "
            "example; run it in lm-eval"
        )


def describe(error: BaseException) -> str:
    """Return an error of somebody else's code on one line."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    return text if len(text) <= 240 else text[:237] + "..."


@contextlib.contextmanager
def as_lm_eval_runs() -> Iterator[None]:
    """Seed Python's and NumPy's global generators as lm-eval does, and keep its progress bars and notes quiet.

    Some tasks shuffle by a global generator; whoever uses those beside us gets them back as they were.
    """
    import datasets
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    logger, state, numpy_state = logging.getLogger("lm_eval"), random.getstate(), np.random.get_state()
    level = logger.level
    datasets.disable_progress_bars()
    try:
        logger.setLevel(logging.ERROR)
        random.seed(DEFAULT_RANDOM_SEED)
        np.random.seed(DEFAULT_OTHER_SEED)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
        random.setstate(state)
        np.random.set_state(numpy_state)


def find_index(place: Place) -> Index:
    """Return the names that may be loaded: those of the include path, and lm-eval's own where they are needed.

    Raises:
        UsageError: if the include path is no folder, or the name is in neither, with a suggestion.
        DataError: if the name may be in a file that is no YAML, which lm-eval skips without a word.
    """
    from lm_eval.tasks._index import TaskIndex

    index: Index = {}
    if place.include_path is not None:
        if not Path(place.include_path).is_dir():
            raise UsageError(f"--include-path {place.include_path} is not a folder")
        index = TaskIndex.build([Path(place.include_path)])
    if not _is_whole(index, place.name):
        index = {**_own_index(), **index}
    if place.name not in index:
        _check_readable(place)
        hint = did_you_mean(place.name, index) or "; `lm_eval ls tasks` lists lm-eval's"
        where = (
            f" and {place.include_path}" if place.include_path else "; for files of your own pass --include-path DIR"
        )
        raise UsageError(f"no task named {place.name} among lm-eval's{where}{hint}")
    return index


def _check_readable(place: Place) -> None:
    """Name the first task file of the include path that is no YAML."""
    from lm_eval.tasks._yaml_loader import load_yaml
    from yaml import YAMLError

    for path in sorted(Path(place.include_path).rglob("*.yaml")) if place.include_path else ():
        try:
            load_yaml(path, resolve_func=False)
        except (YAMLError, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"no task named {place.name} was found, and {path} is no YAML: {reason}") from error


def _is_whole(index: Index, name: str) -> bool:
    """Return whether a name stands for nothing that is not in the index, so that lm-eval's own need not be read."""
    if name not in index or index[name].kind.name != "GROUP":
        return name in index
    members = index[name].cfg["task"]
    return all(_is_whole(index, item if isinstance(item, str) else item.get("task")) for item in members)


@lru_cache(maxsize=1)
def _own_index() -> Index:
    """Return the index of the tasks that lm-eval ships; reading its 14,000 files takes some 10 s, so it is kept."""
    import lm_eval.tasks
    from lm_eval.tasks._index import Entry, Kind, TaskIndex

    folder = Path(lm_eval.tasks.__file__).parent
    kept = cache_dir() / f"{LM_EVAL}-index.json"
    with contextlib.suppress(OSError, ValueError):
        return {
            name: Entry(name, Kind[kind], folder / path if path else None, tags=set(tags))
            for name, (kind, path, tags) in json.loads(kept.read_text()).items()
        }
    index: Index = TaskIndex.build([folder])
    plain = {
        name: (
            entry.kind.name,
            str(entry.yaml_path.relative_to(folder)) if entry.yaml_path else None,
            sorted(entry.tags),
        )
        for name, entry in index.items()
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(plain))
    unfinished.replace(kept)
    return index


def _make_manager(index: Index, only: str | None) -> Any:
    """Return lm-eval's manager over an index of ours; `only` names the one task that is built."""
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._factory import TaskFactory
    from lm_eval.tasks._yaml_loader import load_yaml

    class Factory(TaskFactory):  # type: ignore[misc]
        def _build_task(self, entry: Any, overrides: dict[str, Any] | None) -> Any:
            name = (overrides or {}).get("task", entry.name)
            if entry.yaml_path is not None:
                config = load_yaml(entry.yaml_path, resolve_func=False)
                refuse(name, config.get("output_type"), is_unsafe=bool(config.get("unsafe_code")))
            if only is not None and name != only:
                return SimpleNamespace(task_name=name)
            return super()._build_task(entry, overrides)

    manager = TaskManager(include_defaults=False)
    manager._index, manager._factory = index, Factory()
    return manager


def _add_nltk_tables(data_dir: str | None) -> None:
    """Let tasks find NLTK's tables in the data folder, where `harness fetch` puts them."""
    if data_dir is not None and (tables := Path(data_dir) / "nltk_data").is_dir():
        import nltk

        if str(tables) not in nltk.data.path:
            nltk.data.path.append(str(tables))


def _require_nltk_tables(name: str) -> None:
    """Fail now if IFEval or a variant was loaded without the tables: lm-eval would fail at some example or other."""
    if not any(module.endswith("instructions_util") for module in sys.modules):
        return
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english")
    except LookupError as error:
        raise DataError(
            f"lm_eval:{name} needs NLTK's punkt_tab tables, which are not here and could not be downloaded; set "
            "NLTK_DATA to a folder that holds tokenizers/punkt_tab/english, or pass --data-dir DIR where DIR/nltk_data "
            "is such a folder"
        ) from error
