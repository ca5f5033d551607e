"""What both launchers share: the machines they render for, and the shell script they write."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import SpecError
from trainers.spec import Recipe

Launcher = Literal["verl", "accelerate"]


@dataclass(frozen=True)
class Cluster:
    """Machines of one kind. The default is the one that the authors' release names."""

    num_nodes: int = 1
    gpus_per_node: int = 4

    @property
    def num_gpus(self) -> int:
        """GPUs in all."""
        return self.num_nodes * self.gpus_per_node


@dataclass(frozen=True)
class Setting:
    """One argument of a launch, and why it is there."""

    argument: str
    why: str
    has_here: bool = False
    """Whether it holds $HERE, the folder of the script."""

    def line(self) -> str:
        """Return it as an element of a bash array."""
        # Inside double quotes bash would also expand ` and \, which no path rendered with $HERE holds.
        quoted = f'"{self.argument}"' if self.has_here else shlex.quote(self.argument)
        return f"  {quoted}  # {self.why}"


def check_gpus(recipe: Recipe, cluster: Cluster) -> None:
    """Check that the responses of an optimiser step can be shared out evenly.

    Raises:
        SpecError: if they cannot.
    """
    responses = recipe.mini_batch * recipe.num_generations
    if responses % cluster.num_gpus:
        raise SpecError(
            f"{recipe.name}: an optimiser step has {responses} responses (mini_batch x num_generations), which "
            f"{cluster.num_gpus} GPUs cannot share evenly; change mini_batch or the number of GPUs"
        )


def write_script(path: Path, header: Iterable[str], settings: Iterable[Setting], command: Iterable[str]) -> Path:
    """Write an executable bash script: comments, an array of settings, and the command that takes them."""
    lines = ["#!/usr/bin/env bash", *(f"# {line}".rstrip() for line in header), "set -euo pipefail"]
    lines += ['HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"', "", "settings=("]
    lines += [setting.line() for setting in settings]
    lines += [")", *command]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path
