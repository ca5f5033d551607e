"""The worked examples of the how-to pages: their files are written as they stand, then their commands are run.

A fence with a title is a file. `bash files` is run in a folder that holds the page's files; `bash fork` where the
page's task module is in the registry, as a fork's would be. All other fences are run by tests/test_docs.py.
"""

import importlib.util
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.api.run import load_run
from tasks import registry
from tasks.task import BenchmarkTask
from tests.exchange.lm_eval_logs import write_logs

HOWTO = Path(__file__).parent.parent / "docs" / "howto"
Cli = Callable[..., tuple[int, str, str]]


def write_files(page: str, folder: Path) -> None:
    """Write every fence with a title under the path that the title names."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    for path, body in re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', text, re.M | re.S):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(body, encoding="utf-8")


def commands(page: str, kind: str) -> list[list[str]]:
    """Return the words of every command in fences of a kind, and fail if there are none."""
    bodies = re.findall(rf"^```{kind}\n(.*?)^```", (HOWTO / page).read_text(encoding="utf-8"), re.M | re.S)
    lines = [shlex.split(line) for body in bodies for line in body.splitlines()]
    assert lines
    assert all(words[0] == "harness" for words in lines)
    return [words[1:] for words in lines]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_task_file_outside_the_repository(folder: Path, run_harness: Cli) -> None:
    """The rows and the task file of the page make a run of three examples under --include-path."""
    write_files("add_task.md", folder)
    for words in commands("add_task.md", "bash files"):
        code, _, err = run_harness(*words)
        assert code == 0, err
    (summary,) = load_run("runs/lab-base").record.tasks
    assert summary.task.startswith("lm_eval:capitals")
    assert summary.score.num_examples == 3


def test_a_task_module_in_a_fork(folder: Path, run_harness: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's module, named in TASKS, is shown, passes its own check, and is evaluated; its hash is the real one."""
    write_files("add_task.md", folder)
    spec = importlib.util.spec_from_file_location("suite_capitals", folder / "tasks" / "suite_capitals.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    task = module.CAPITALS
    assert isinstance(task, BenchmarkTask)
    monkeypatch.setitem(registry.TASKS, task.name, task)
    for words in commands("add_task.md", "bash fork"):
        code, _, err = run_harness(*words)
        assert code == 0, err
    (summary,) = load_run("runs/lab-base").record.tasks
    assert (summary.task, summary.score.num_examples) == ("capitals", 3)


def test_logs_of_lm_eval_are_imported(folder: Path, run_harness: Cli) -> None:
    """The page's command makes a run out of what stock lm-eval wrote."""
    logs = write_logs(folder / "logs")
    first = commands("import_logs.md", "bash logs")[0]
    assert first[:2] == ["import", "lm-eval"]
    code, out, err = run_harness(*first[:2], str(logs), *first[3:])
    assert code == 0, err
    assert "sums" in out
