"""What the docs say is so: commands run, links lead somewhere, the tree and the layers are the real ones.

Fences: each line of `sh` is run in an empty folder of its own; the lines of `sh script` are run one after the other in
one folder; `sh data` is run where HARNESS_DATA is set; `sh hub` needs the hub and is only parsed, and so are the
commands of ours in `bash`, which need a server, a GPU or hours. `toml` is a
run's settings, `toml gate` a gate's policy, `toml study` a study, `toml recipe` a training recipe, `toml template` a
judge's prompt. `python` is a program, run in an empty folder of its own.
"""

import importlib.util
import os
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from harness.cli.main import COMMANDS, cli
from harness.judging.template import read_template
from harness.reading import parse_policy, parse_record
from harness.spec import EvalConfig, JudgeConfig
from harness.study.spec import parse_study
from trainers.spec import parse_recipe

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
Run = Callable[..., tuple[int, str, str]]
VERDICTS = {"doctor": (0, 1), "diff": (0, 1)}
"""Commands whose negative verdict is an answer too."""


def fences(kind: str) -> list[tuple[str, str]]:
    """Return (page, command) of every line in fences of a kind."""
    return sorted({(page, line) for page, lines in scripts(kind) for line in lines})


def scripts(kind: str) -> list[tuple[str, list[str]]]:
    """Return (page, commands) of every fence of a kind."""
    return [
        (page, [line.split("  #")[0].strip() for line in body.splitlines() if line.strip()])
        for page, body in fenced(kind)
    ]


def fenced(kind: str) -> list[tuple[str, str]]:
    """Return (page, text) of every fence of a kind."""
    return [
        (page.name, body)
        for page in PAGES
        for body in re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    ]


def check(command: str, run_harness: Run) -> None:
    """Run one command of the docs."""
    words = shlex.split(os.path.expandvars(command))
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), command
        return
    assert words[0] == "harness", f"do not know how to run: {command}"
    code, _, err = run_harness(*words[1:])
    assert code in VERDICTS.get(words[1], (0,)), err


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "command"), fences("sh"), ids=lambda text: text)
def test_commands_run(page: str, command: str, run_folder: Path, run_harness: Run) -> None:
    """Every command in an `sh` fence works as it is written."""
    check(command, run_harness)


@pytest.mark.parametrize(("page", "lines"), scripts("sh script"), ids=str)
def test_scripts_run(page: str, lines: list[str], run_folder: Path, run_harness: Run) -> None:
    """Every `sh script` fence works line after line."""
    for line in lines:
        check(line, run_harness)


@pytest.mark.parametrize(("page", "command"), fences("sh data"), ids=lambda text: text)
def test_commands_on_real_rows_run(page: str, command: str, run_folder: Path, run_harness: Run, data_dir: Path) -> None:
    """Every command in an `sh data` fence works where the rows are."""
    check(command, run_harness)


@pytest.mark.parametrize(("page", "program"), fenced("python"), ids=lambda text: text.splitlines()[0])
def test_programs_run(page: str, program: str, run_folder: Path) -> None:
    """Every `python` fence works as it is written."""
    exec(compile(program, page, "exec"), {"__name__": page.removesuffix(".md")})


@pytest.mark.parametrize(("page", "command"), fences("sh hub"), ids=lambda text: text)
def test_commands_that_need_the_hub_parse(page: str, command: str) -> None:
    """Their names and flags exist; nothing is fetched."""
    words = shlex.split(command)
    assert words[0] == "harness"
    chosen = cli.get_command(click.Context(cli), words[1])
    assert chosen is not None
    chosen.make_context(words[1], words[2:])


def commands_for_elsewhere() -> list[tuple[str, str]]:
    """Return (page, command) of ours in every plain `bash` fence; lines that a backslash continues are joined."""
    ours = ("harness ", "make ", "python -m ")
    bodies = [(page, re.sub(r"\\\n\s*", "", body)) for page, body in fenced("bash")]
    lines = [(page, line.strip()) for page, body in bodies for line in body.splitlines()]
    return [(page, line.split("  #")[0]) for page, line in lines if line.startswith(ours)]


@pytest.mark.parametrize(("page", "command"), commands_for_elsewhere(), ids=lambda text: text)
def test_commands_for_elsewhere_parse(page: str, command: str) -> None:
    """What needs a server, a GPU or hours names commands, flags, targets and modules that exist."""
    words = shlex.split(command)
    if words[0] == "python":
        assert importlib.util.find_spec(words[2])
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    else:
        chosen = cli.get_command(click.Context(cli), words[1])
        assert chosen is not None
        chosen.make_context(words[1], words[2:])


def test_judges_templates_in_the_docs_are_accepted(tmp_path: Path) -> None:
    """Every `toml template` fence is a whole template, and there is one."""
    bodies = fenced("toml template")
    assert bodies
    for _, body in bodies:
        (tmp_path / "mine.toml").write_text(body)
        assert read_template(tmp_path / "mine.toml").words == ("A", "B")


def test_settings_files_in_the_docs_are_accepted() -> None:
    """Every `toml` fence is a whole run."""
    for name, body in fenced("toml"):
        assert parse_record(tomllib.loads(body), EvalConfig, name).tasks, name


def test_judges_in_the_docs_are_accepted() -> None:
    """Every `toml judge` fence is a whole judge, and there is one."""
    bodies = fenced("toml judge")
    assert bodies
    for name, body in bodies:
        assert parse_record(tomllib.loads(body), JudgeConfig, name).ckpt, name


def test_policies_in_the_docs_are_accepted() -> None:
    """Every `toml gate` fence is a gate's policy, and there is one."""
    bodies = fenced("toml gate")
    assert bodies
    for name, body in bodies:
        assert parse_policy(tomllib.loads(body), name).margin > 0


def test_studies_in_the_docs_are_accepted() -> None:
    """Every `toml study` fence is a whole study, and there is one."""
    bodies = fenced("toml study")
    assert bodies
    for name, body in bodies:
        assert parse_study(tomllib.loads(body), name).base.role == "base"


def test_recipes_in_the_docs_are_accepted() -> None:
    """Every `toml recipe` fence is a whole recipe, and there is one."""
    bodies = fenced("toml recipe")
    assert bodies
    for name, body in bodies:
        assert parse_recipe(tomllib.loads(body), name).rewards


def test_links_lead_somewhere() -> None:
    """Relative links in the docs name files that exist."""
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http") and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_annotated_tree_is_the_real_one() -> None:
    """Every module of harness/ and tasks/ is in docs/architecture.md, and nothing else is."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for package in ("harness", "tasks"):
        block = re.search(rf"^{package}/\n((?:  .*\n)+)", text, re.M)
        assert block is not None
        named = {line.split()[0] for line in block[1].splitlines()}
        real = {path.name for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"}
        real |= {f"{path.name}/" for path in (ROOT / package).iterdir() if path.is_dir() and path.name != "__pycache__"}
        suites = {name for name in real if name.startswith("suite_")}
        assert named - {"suite_*.py"} == real - suites


def test_the_layers_in_the_docs_are_the_checked_ones() -> None:
    """docs/architecture.md names the layers of pyproject.toml, in order."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    text = " ".join((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split())
    shown = text.split("checked by import-linter in `make check`:")[1].split("## Words")[0]
    names = [re.sub(r"harness\.", "", word) for layer in layers for word in layer.split(" | ")]
    assert re.findall(r"[\w.]+", shown.replace("harness.", "")) == names


def test_every_command_is_documented() -> None:
    """README names each sub-command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"harness {name}" not in text] == []


def test_the_repository_speaks_of_the_project_alone() -> None:
    """No absolute paths of a machine, no package registry hosts."""
    pattern = re.compile(r"/work/|/root/|/home/\w+/|/opt/|\.pyenv|extra-index-url|find-links")
    found = []
    for path in [*ROOT.glob("*.*"), *ROOT.glob("Makefile"), *ROOT.glob("*/**/*")]:
        if (
            ".venv" in path.parts
            or path.suffix not in (".py", ".md", ".toml", ".txt", ".json", ".yml", "")
            or path.is_dir()
        ):
            continue
        if path.name == "test_docs.py" or path.parts[len(ROOT.parts)].startswith(
            (".git", ".mypy", ".ruff", ".pytest", ".import", ".hypothesis", ".coverage", "build")
        ):
            continue
        if path.parent == ROOT / "tests" / "hostile":  # programs that look for such places
            continue
        if match := pattern.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert found == []
