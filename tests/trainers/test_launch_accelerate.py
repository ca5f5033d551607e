"""Launches under accelerate: what its own loader and parser make of them, and who is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import SpecError
from tests.trainers.launches import SKYWORK, called_with, grpo, make_recipe, write_prompts
from trainers.launch import render
from trainers.launch_accelerate import render_accelerate
from trainers.launch_script import Cluster
from trainers.spec import Recipe, read_recipe


def load_accelerate(config: Path) -> Any:
    """Return a configuration as accelerate reads it."""
    from accelerate.commands.config import config_args  # type: ignore[import-untyped, unused-ignore]

    return config_args.load_config_from_file(str(config))


@pytest.mark.parametrize("recipe", [make_recipe(), grpo()], ids=["ppo", "grpo"])
def test_accelerate_refuses_loops_of_one_process(recipe: Recipe, tmp_path: Path) -> None:
    """A loop that does not share its batch is refused on several GPUs, and rendered for one."""
    with pytest.raises(SpecError, match=r"is one process .* 4 GPUs need as many; use --launcher verl"):
        render(recipe, "accelerate", tmp_path / "out")
    assert render(recipe, "accelerate", tmp_path / "out", Cluster(gpus_per_node=1))[0].name == "run.sh"


def test_accelerate_reads_its_configuration(tmp_path: Path) -> None:
    """accelerate's own loader takes accelerate.yaml, and its own parser the command line of run.sh."""
    from accelerate.commands.launch import launch_command_parser  # type: ignore[import-untyped, unused-ignore]

    script, config, recipe = render_accelerate(grpo(), tmp_path / "my out", Cluster(num_nodes=2, gpus_per_node=4))
    loaded = load_accelerate(config)
    assert (loaded.num_processes, loaded.num_machines) == (8, 2)
    assert loaded.distributed_type.value == "MULTI_GPU"
    assert loaded.mixed_precision == "no"
    called = called_with(script, "accelerate", "--resume", NODE_RANK="1", HEAD="10.0.0.1")
    assert called[0].split(" ", 1)[0] == "launch"
    arguments = [called[0].split(" ", 1)[1], *called[1:]]
    parsed = launch_command_parser().parse_args(arguments)
    assert parsed.config_file == str(config)
    assert (parsed.machine_rank, parsed.main_process_ip, parsed.main_process_port) == (1, "10.0.0.1", 29500)
    assert parsed.module
    assert parsed.training_script == "harness.cli.main"
    assert parsed.training_script_args == ["train", str(recipe), "--resume"]


def test_accelerate_on_one_gpu(tmp_path: Path) -> None:
    """One process is no distributed run."""
    _, config, _ = render(grpo(), "accelerate", tmp_path / "out", Cluster(gpus_per_node=1))
    loaded = load_accelerate(config)
    assert loaded.distributed_type.value == "NO"
    assert loaded.num_processes == 1


def test_accelerate_gets_the_same_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """recipe.toml is the recipe again, quotes and all, with local paths made absolute."""
    monkeypatch.chdir(tmp_path)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 20)
    given = grpo(
        prompts={"source": "prompts.jsonl", "template": 'Say "é":\n{input}\\'},
        rewards=[SKYWORK, {"kind": "finish_only", "weight": 0.5}],
    )
    recipe = read_recipe(render(given, "accelerate", tmp_path / "out", Cluster(gpus_per_node=1))[2])
    assert recipe.prompts.source == str(prompts)
    assert recipe.out == str(tmp_path / "checkpoints")
    back = {"prompts": msgspec.structs.replace(recipe.prompts, source="prompts.jsonl"), "out": "checkpoints"}
    assert msgspec.structs.replace(recipe, **back) == given
