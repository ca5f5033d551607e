"""Renders a recipe as a launch on many GPUs: verl's main_ppo, or our own trainer under accelerate. Starts nothing."""

from collections.abc import Mapping
from pathlib import Path

from harness.errors import SpecError, UsageError
from trainers.launch_accelerate import render_accelerate
from trainers.launch_script import Cluster, Launcher
from trainers.launch_verl import render_verl
from trainers.spec import Algorithm, Recipe

LAUNCHERS = {"verl": render_verl, "accelerate": render_accelerate}
ONE_PROCESS: Mapping[Algorithm, str] = {
    "ppo": "trainers/loop.py is plain torch",
    "grpo": "TRL would share the batch, but trainers/trl.py draws and judges all of it in each process",
    "rloo": "TRL would share the batch, but trainers/trl.py draws and judges all of it in each process",
}
"""Why a loop of ours cannot run as several processes; one that can has no entry."""


def render(recipe: Recipe, launcher: Launcher, out: Path, cluster: Cluster | None = None) -> tuple[Path, ...]:
    """Write the files of a launch into a folder and return them, the script to run (run.sh) first.

    Args:
        recipe: what to train.
        launcher: `verl`, or `accelerate` for our own loops.
        out: a folder that does not exist yet, or is empty.
        cluster: the machines; None takes one node with 4 GPUs, as in the authors' release.

    Raises:
        UsageError: if the folder holds files.
        SpecError: if the launcher cannot express the recipe, naming the field; or if our loop is one process and there
            are several GPUs.
        DataError: if the prompts cannot be read, or are fewer than a batch.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; a launch is never written over another: name a new one")
    cluster = cluster or Cluster()
    if launcher == "accelerate" and cluster.num_gpus > 1 and recipe.algorithm in ONE_PROCESS:
        raise SpecError(
            f"{recipe.name}: our {recipe.algorithm} is one process ({ONE_PROCESS[recipe.algorithm]}), and "
            f"{cluster.num_gpus} GPUs need as many; use --launcher verl, or train on one GPU"
        )
    return LAUNCHERS[launcher](recipe, out, cluster)
