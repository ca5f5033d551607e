"""The CI workflows: valid YAML, commands that exist, actions at a fixed major version."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.cli.main import cli
from harness.reading import parse_policy

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def commands(path: Path) -> list[str]:
    """Return every `harness` line of a workflow."""
    lines = [line.strip() for step in steps(path) for line in step.get("run", "").splitlines()]
    return [line for line in lines if line.startswith("harness ")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_harness_command_parses(path: Path) -> None:
    """Sub-commands and flags exist; nothing is run."""
    assert commands(path)
    for line in commands(path):
        words = shlex.split(line)
        chosen = cli.get_command(click.Context(cli), words[1])
        assert chosen is not None, line
        chosen.make_context(words[1], words[2:])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_major_version(path: Path) -> None:
    """No action floats with a branch."""
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[\w-]+@v\d+", name)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_files_and_targets_of_a_workflow_exist(path: Path) -> None:
    """The policy parses, the checkpoint is there, and `make` knows the targets."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"--policy (\S+)", text):
        parse_policy(tomllib.loads((ROOT / name).read_text(encoding="utf-8")), name)
    for name in re.findall(r"(trainers/[\w/]+)", text):
        assert (ROOT / name / "config.json").is_file()
    for name in " ".join(re.findall(r"^ *make (.+)$", text, re.M)).split():
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M), name


def test_the_gate_is_reported_even_when_it_fails() -> None:
    """The artifacts of the regression workflow are uploaded whatever the verdict."""
    upload = steps(ROOT / ".github" / "workflows" / "regression.yml")[-1]
    assert (upload["if"], upload["with"]["path"]) == ("always()", "gate/")
