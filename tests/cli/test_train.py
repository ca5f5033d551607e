"""`harness train` end to end: a tiny model for what it does, the lab's recipes for what it says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import COMMANDS
from harness.errors import EXIT_COULD_NOT_RUN, EXIT_OK
from tests.tiny_model import build_tiny_checkpoint
from trainers.spec import RECIPES

Run = Callable[..., tuple[int, str, str]]

RECIPE = """
name = "tiny"
base = "{folder}/base"
algorithm = "{algorithm}"
trained_on = ["chat"]
out = "{folder}/out"
steps = 2
prompts_per_step = 2
num_generations = {generations}
mini_batch = 2
max_prompt_tokens = 64
max_response_tokens = 6
device = "cpu"
threads = 1

[prompts]
source = "{folder}/prompts.jsonl"

[[rewards]]
kind = "finish_only"
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command reachable, whether or not the command line lists it."""
    monkeypatch.setitem(COMMANDS, "train", ("harness.cli.train", "Train a checkpoint from a recipe."))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return a recipe that trains the tiny model on three prompts for two steps."""
    build_tiny_checkpoint(tmp_path / "base")
    rows = [{"prompt": text, "answer": 42} for text in ("What is 12 + 30?", "The sea?", "How many apples?")]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(folder=tmp_path, algorithm="ppo", generations=1))
    return path


def one_line(text: str) -> str:
    (line,) = text.strip().splitlines()
    return line


def test_dry_run_of_the_lab(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan has rollouts, tokens, memory, prompts and passes, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run_harness("train", "lab_rlvr", "--dry-run", "--set", "steps=50")
    assert (code, err) == (EXIT_OK, "")
    rows = {line.split("│")[0].strip(): line.split("│")[1].strip() for line in out.splitlines() if "│" in line}
    assert rows["training"] == "grpo from lab/base, on lab-math"
    assert rows["reward"] == "verifier lab_math"
    assert rows["rollouts"] == "50 steps × 16 prompts × 8 responses = 6,400"
    assert rows["optimiser"] == "200 steps of 32 responses"
    assert rows["tokens"] == "≤ 614,400 generated, ≤ 614,400 trained on"
    assert re.match(r"about \d+ MiB of this cpu's ", rows["memory"])
    assert rows["prompts"].startswith("2,000 of lab:math, sha256 ")
    assert rows["passes"] == "0.4, of 125 full batches each"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(RECIPES.glob("lab_*.toml")), ids=lambda path: path.stem)
def test_every_lab_recipe_plans(path: Path, run_harness: Run) -> None:
    """Every recipe of the lab has prompts that fit and fill its batches."""
    code, out, err = run_harness("train", str(path), "--dry-run", "--set", "base=lab/base")
    assert (code, err) == (EXIT_OK, "")
    assert "; 0 of more than 64 tokens are left out" in out


def test_dry_run_at_the_papers_scale(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without base and reward model here, all that can be said is said; missing prompts are an error after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    code, out, err = run_harness("train", "grlo_qwen3_4b", "--dry-run")
    assert code == EXIT_COULD_NOT_RUN
    assert "60 steps × 1,024 prompts = 61,440" in out
    assert one_line(err).startswith("harness: grlo_prompts.parquet does not exist")
    prompts = tmp_path / "released.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Question {number}?"}) + "\n" for number in range(1000)))
    code, out, err = run_harness("train", "grlo_qwen3_4b", "--dry-run", "--set", f"prompts.source={prompts}")
    assert code == EXIT_COULD_NOT_RUN
    assert "has 1,000 prompts, fewer than prompts_per_step, 1,024: not one batch" in one_line(err)


def test_memory_of_the_papers_base(run_harness: Run, tmp_path: Path) -> None:
    """With a config.json of Qwen3-4B's shape and no weights, the plan has the size of policy and critic."""
    from tests.trainers.test_estimate import QWEN3_4B

    (tmp_path / "config.json").write_text(json.dumps(QWEN3_4B))
    _, out, _ = run_harness("train", "grlo_qwen3_4b", "--dry-run", "--set", f"base={tmp_path}", "--set", "device=cpu")
    # 2 models × 16 bytes × 4,022,468,096
    assert "policy and critic 119.9 GiB" in out
    assert "without Skywork/Skywork-Reward-V2-Llama-3.1-8B" in " ".join(out.replace("│", " ").split())


def test_trains_resumes_and_begins_again(recipe: Path, run_harness: Run, tmp_path: Path) -> None:
    """A finished run is left alone; --fresh keeps it under another name; other settings do not go on in it."""
    folder = tmp_path / "out" / "tiny"
    code, out, err = run_harness("train", str(recipe), "--tensorboard", str(tmp_path / "events"))
    assert code == EXIT_OK, err
    said = one_line(out)
    assert said.startswith(f"{folder}: 2 steps, ")
    assert said.endswith(f"; next: harness eval --ckpt {folder} --suite chat,math,code")
    assert " 4 rollouts, " in said
    ledger = (folder / "training.json").read_bytes()
    assert json.loads(ledger)["recipe"]["name"] == "tiny"
    assert len([line for line in err.splitlines() if "reward" in line]) == 2
    assert any((tmp_path / "events").iterdir())

    code, out, err = run_harness("train", str(recipe))
    assert (code, one_line(out)) == (EXIT_OK, said)
    assert (folder / "training.json").read_bytes() == ledger

    code, _, err = run_harness("train", str(recipe), "--set", "temperature=0.5")
    assert code == EXIT_COULD_NOT_RUN
    assert "temperature" in one_line(err)

    code, out, err = run_harness("train", str(recipe), "--fresh")
    assert code == EXIT_OK, err
    assert f"{folder} is now {folder}.1" in err
    assert (tmp_path / "out" / "tiny.1" / "training.json").read_bytes() == ledger
    assert (folder / "model.safetensors").is_file()


def test_grpo(recipe: Path, run_harness: Run, tmp_path: Path) -> None:
    """The same command trains by TRL, with the same end."""
    pytest.importorskip("trl")
    recipe.write_text(RECIPE.format(folder=tmp_path, algorithm="grpo", generations=2))
    code, out, err = run_harness("train", str(recipe))
    assert code == EXIT_OK, err
    assert " 8 rollouts, " in one_line(out)
    assert (tmp_path / "out" / "tiny" / "training.json").is_file()


def test_trained_checkpoint_can_be_evaluated(recipe: Path, run_harness: Run, tmp_path: Path) -> None:
    """What the last line proposes works: the checkpoint is evaluated, and its cost is in the run."""
    assert run_harness("train", str(recipe))[0] == EXIT_OK
    code, _, err = run_harness(
        "eval", "--ckpt", str(tmp_path / "out" / "tiny"), "--task", "lab_math", "--limit", "2", "--out", str(tmp_path),
        "--set", "sampling.max_tokens=4",
    )  # fmt: skip
    assert code == EXIT_OK, err
    (path,) = (tmp_path / "tiny").glob("*/run.json")
    assert json.loads(path.read_text())["training"]["rollouts"] == 4


def test_launch_files(recipe: Path, run_harness: Run, tmp_path: Path) -> None:
    """--launcher writes a script and says how to start it; nothing is trained."""
    verified = recipe.read_text().replace('"finish_only"', '"verifier"\ntask = "gsm8k"')
    recipe.write_text(verified.replace("[[rewards]]", 'target_field = "answer"\n\n[[rewards]]'))
    code, out, err = run_harness(
        "train", str(recipe), "--launcher", "verl", "-o", str(tmp_path / "go"), "--gpus", "2", "--set", "device=auto"
    )
    assert code == EXIT_OK, err
    lines = out.splitlines()
    assert lines[0] == f"wrote {tmp_path / 'go' / 'run.sh'}"
    assert lines[-1] == f"next: bash {tmp_path / 'go' / 'run.sh'}"
    assert all(Path(line.removeprefix("wrote ")).is_file() for line in lines[:-1])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["lab_grl0"],
            "no recipe lab_grl0: expected a TOML file, or the name of a shipped recipe (did you mean lab_grlo?)",
        ),
        (["lab_grlo", "--set", "stepz=3"], "unknown setting stepz (did you mean steps?)"),
        (["lab_grlo", "--set", "mini_batch=48"], "mini_batch is 48, which does not divide prompts_per_step, 128"),
        (["lab_grlo", "--launcher", "verl"], "--launcher writes files: name a folder for them with -o DIR"),
        (["lab_grlo", "-o", "x"], "--launch-dir is of --launcher"),
        (["lab_finish", "--set", "base=./nowhere"], "no checkpoint at ./nowhere"),
        (
            ["lab_finish", "--set", "prompts.source=nothing.jsonl", "--set", "prompts.num_prompts=1"],
            "nothing.jsonl does",
        ),
        (
            ["lab_finish", "--set", "prompts.num_prompts=100"],
            "lab:chat has 100 prompts, fewer than prompts_per_step, 128",
        ),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], said: str, run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input ends in exit code 3 and one line, before anything is written."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run_harness("train", *arguments)
    assert (code, out) == (EXIT_COULD_NOT_RUN, "")
    assert said in one_line(err)
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_cannot_fit(recipe: Path, run_harness: Run, tmp_path: Path) -> None:
    """A base far larger than the machine is refused before its weights are read, with what to do."""
    config: dict[str, Any] = json.loads((tmp_path / "base" / "config.json").read_text())
    huge = config | {"hidden_size": 1 << 16, "intermediate_size": 1 << 18}
    (tmp_path / "base" / "config.json").write_text(json.dumps(huge))
    code, _, err = run_harness("train", str(recipe))
    assert code == EXIT_COULD_NOT_RUN
    assert "GiB for weights, gradients and optimiser states alone, and the cpu has" in one_line(err)
