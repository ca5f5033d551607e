"""Renders a launch of our own trainer on several GPUs: run.sh, accelerate.yaml, recipe.toml. Runs nothing.

Which algorithms may be launched so is decided in launch.py: it takes a loop that shares its batch between processes.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from trainers.launch_script import Cluster, Setting, check_gpus, write_script
from trainers.spec import LAB, Recipe

PORT = 29500
"""Where the processes of several nodes meet; accelerate's own default."""


def render_accelerate(recipe: Recipe, out: Path, cluster: Cluster) -> tuple[Path, ...]:
    """Write run.sh, accelerate.yaml and recipe.toml.

    Raises:
        SpecError: if the GPUs cannot share a batch evenly.
    """
    check_gpus(recipe, cluster)
    out.mkdir(parents=True, exist_ok=True)
    config, copy = out / "accelerate.yaml", out / "recipe.toml"
    config.write_text("".join(f"{name}: {value}\n" for name, value in accelerate_config(cluster).items()))
    copy.write_text(to_toml(_absolute(recipe)), encoding="utf-8")
    command = ('exec accelerate launch "${settings[@]}" -m harness.cli.main train "$HERE/recipe.toml" "$@"',)
    script = write_script(out / "run.sh", _header(recipe, cluster), _settings(cluster), command)
    return script, config, copy


def accelerate_config(cluster: Cluster) -> dict[str, str | int]:
    """Return the fields of accelerate's ClusterConfig: one process a GPU, the whole model on each (no sharding)."""
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU" if cluster.num_gpus > 1 else "'NO'",
        "num_machines": cluster.num_nodes,
        "num_processes": cluster.num_gpus,
        "machine_rank": 0,
        "mixed_precision": "'no'",
        "rdzv_backend": "static",
        "same_network": "true",
        "main_training_function": "main",
        "use_cpu": "false",
    }


def _settings(cluster: Cluster) -> Iterator[Setting]:
    yield Setting("--config_file=$HERE/accelerate.yaml", "one process a GPU", has_here=True)
    if cluster.num_nodes > 1:
        yield Setting("--machine_rank=${NODE_RANK:?0 on the first node, 1 on the next}", "this node", has_here=True)
        yield Setting("--main_process_ip=${HEAD:?address of the first node}", "where they meet", has_here=True)
        yield Setting(f"--main_process_port={PORT}", "where they meet")


def _header(recipe: Recipe, cluster: Cluster) -> Iterator[str]:
    yield f"{recipe.name}: {recipe.algorithm} under accelerate, GPUs: {cluster.num_gpus}."
    yield "Rendered, and never run on several GPUs by the project: docs/train_at_scale.md."
    yield "Every GPU holds the whole model, its gradients and AdamW's two moments (16 bytes a parameter)."
    yield "Arguments are handed to `harness train`."
    if cluster.num_nodes > 1:
        yield "Run it on every node at the same time: HEAD=ADDRESS NODE_RANK=0 ./run.sh, on the next NODE_RANK=1, …"


def _absolute(recipe: Recipe) -> Recipe:
    """Make local paths absolute, because a launch is started from anywhere."""
    source = recipe.prompts.source
    if not source.startswith(LAB):
        source = str(Path(source).expanduser().resolve())
    rewards = tuple(
        msgspec.structs.replace(reward, ckpt=reward.ckpt and _local(reward.ckpt)) for reward in recipe.rewards
    )
    return msgspec.structs.replace(
        recipe,
        base=_local(recipe.base),
        chat_template=recipe.chat_template and _local(recipe.chat_template),
        out=str(Path(recipe.out).expanduser().resolve()),
        prompts=msgspec.structs.replace(recipe.prompts, source=source),
        rewards=rewards,
    )


def _local(path: str) -> str:
    found = Path(path).expanduser()
    return str(found.resolve()) if found.exists() else path


def to_toml(recipe: Recipe) -> str:
    """Write a recipe as TOML; what is None is left out."""
    data = msgspec.to_builtins(recipe)
    tables = {name: value for name, value in data.items() if isinstance(value, Mapping)}
    lines = list(_pairs({name: value for name, value in data.items() if name not in (*tables, "rewards")}))
    for name, table in tables.items():
        lines += ["", f"[{name}]", *_pairs(table)]
    for reward in data["rewards"]:
        lines += ["", "[[rewards]]", *_pairs(reward)]
    return "\n".join(lines) + "\n"


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if value is not None:
            # A JSON string is a TOML string, and so are numbers and lists, but for the spelling of infinity.
            yield f"{name} = {'inf' if value == math.inf else json.dumps(value, ensure_ascii=False)}"
