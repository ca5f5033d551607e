"""`harness completion`: what a shell is offered, and what that costs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.completion import Bash, Fish, Quick, Zsh
from harness.cli.main import COMMANDS, cli
from tasks.registry import SUITES, TASKS
from trainers.lab import SHIPPED

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


def complete(line: str, kind: type[Quick] = Bash) -> list[str]:
    """Return what the last word of a line may become."""
    *args, incomplete = line.split(" ")
    return [item.value for item in kind(cli, {}, "harness", "_HARNESS_COMPLETE").get_completions(args, incomplete)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells(run_harness: Run, shell: str) -> None:
    """It asks `harness` in the way that click answers."""
    code, out, err = run_harness("completion", shell)
    assert (code, err) == (0, "")
    assert f"_HARNESS_COMPLETE={shell}_complete" in out


def test_another_shell_is_refused(run_harness: Run) -> None:
    """With those that are known."""
    code, _, err = run_harness("completion", "tcsh")
    assert code == 3
    assert "'bash', 'zsh', 'fish'" in err


def test_commands_are_offered_with_what_they_do() -> None:
    """All of them on an empty word, those that fit on another."""
    assert complete("") == list(COMMANDS)
    assert complete("co") == ["compare", "completion"]
    assert complete("--debug ga") == ["gate"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("eval --task gsm", ["gsm8k"]),
        ("eval --task gsm8k,math", ["gsm8k,math500"]),
        ("eval --task=gsm", ["--task=gsm8k"]),
        ("eval --task = gsm", ["gsm8k"]),
        ("eval --ckpt x --suite co", ["code"]),
        ("tasks show gsm", ["gsm8k"]),
        ("eval --ckpt lab/rl", ["lab/rlvr", "lab/rl"]),
        ("train lab_grlo_", ["lab_grlo_grpo", "lab_grlo_rlvr", "lab_grlo_"]),
        ("eval --config run", ["run"]),
        ("eval --judge ", [""]),
        ("eval --preset ", []),
    ],
)
def test_names_are_offered_where_they_fit(line: str, offered: list[str]) -> None:
    """Tasks, suites, shipped checkpoints and recipes; what follows the names stands for files of that beginning."""
    assert complete(line) == offered


def test_all_names_are_known() -> None:
    """On an empty word nothing is left out."""
    assert complete("eval --task ") == list(TASKS)
    assert complete("eval --suite ") == list(SUITES)
    assert complete("tasks check ") == [*TASKS, *SUITES]
    assert complete("eval --ckpt ")[:-1] == list(SHIPPED)
    assert complete("train ")[:-1] == sorted(file.stem for file in (ROOT / "trainers" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("kind", [Bash, Zsh, Fish])
def test_options_are_the_commands_own(kind: type[Quick]) -> None:
    """Read from the command itself, and so are the words that an option takes."""
    assert complete("gate --base", kind) == ["--baseline"]
    assert complete("eval --engine v", kind) == ["vllm"]
    assert complete("eval --engine=v", kind) == ["vllm"]


def answer(shell: str, words: str, index: str) -> subprocess.CompletedProcess[str]:
    """Ask as the shell's script does."""
    code = (
        "import sys; from harness.cli.main import main; code = main([]);"
        "heavy = {'numpy', 'scipy', 'torch', 'transformers', 'rich'} & set(sys.modules);"
        "print(code, sorted(heavy), file=sys.stderr)"
    )
    asked = {"_HARNESS_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": index}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | asked, cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "index", "offered"),
    [
        ("harness ", "1", "plain,eval"),
        ("harness eval --task gsm", "3", "plain,gsm8k"),
        ("harness eval --ckpt lab/", "3", "plain,lab/grlo"),
        ("harness train lab", "2", "plain,lab_grlo"),
    ],
)
def test_names_are_completed_without_anything_heavy(words: str, index: str, offered: str) -> None:
    """Commands and names come from tables of words: the tab key answers in the time that Python takes to start."""
    asked = answer("bash", words, index)
    assert offered in asked.stdout.splitlines()
    assert asked.stderr == "0 []\n"


def test_options_load_nothing_that_measures() -> None:
    """The command's own module is read for them, which loads neither engines nor statistics."""
    asked = answer("bash", "harness eval --lim", "2")
    assert asked.stdout == "plain,--limit\n"
    assert asked.stderr == "0 ['numpy', 'rich']\n"


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    """The printed script, sourced by a real bash, fills in the word."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is needed")
    program = tmp_path / "harness"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m harness.cli.main "$@"\n')
    program.chmod(0o755)
    lines = (
        'eval "$(harness completion bash)"',
        "COMP_WORDS=(harness eval --suite co) COMP_CWORD=3",
        "_harness_completion harness",
        'echo "${COMPREPLY[@]}"',
        "complete -p harness",
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "--norc", "-c", "\n".join(lines)], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "code", done.stderr
    assert done.stdout.splitlines()[1].endswith("-F _harness_completion harness")
