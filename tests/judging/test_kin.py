"""Kinship of judges and checkpoints: by weights, name and family, and through what a checkpoint was trained from."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoint import ResolvedCheckpoint, fingerprint_folder, resolve_checkpoint, resolve_served
from harness.errors import CheckpointError
from harness.judging.kin import TrainedAgainst, kinship, read_history
from harness.judging.records import JudgeIdentity
from harness.spec import JudgeConfig
from trainers.lab import REWARDS, SHIPPED

REWARD = fingerprint_folder(REWARDS["lab/reward"]).weights


def judge(name: str = "lab/reward", weights: str = REWARD) -> JudgeIdentity:
    return JudgeIdentity(name=name, kind="reward", model=weights, engine={}, settings={})


def kin_of(checkpoint: ResolvedCheckpoint, identity: JudgeIdentity, ckpt: str, **settings: Any) -> str | None:
    history = read_history(checkpoint.ref, checkpoint.folder, SHIPPED)
    return kinship(identity, JudgeConfig(ckpt=ckpt, **settings), checkpoint.ref, history)


def kin_of_names(judged_by: str, trained_against: str, **settings: Any) -> str | None:
    """Return the kinship that follows from names alone."""
    checkpoint = resolve_checkpoint("lab/base", SHIPPED, "mine").ref
    history = (TrainedAgainst("mine", trained_against, "0" * 64),)
    return kinship(judge(judged_by, "1" * 64), JudgeConfig(ckpt=judged_by, **settings), checkpoint, history)


@pytest.mark.parametrize(
    ("ckpt", "expected"),
    [
        ("lab/grlo", "lab-grlo was trained against lab/reward itself"),
        ("lab/grlo_rlvr", "lab/grlo, which lab-grlo_rlvr goes back to, was trained against lab/reward itself"),
        ("lab/rlvr", None),
        ("lab/instruct", None),
        ("lab/base", None),
    ],
)
def test_shipped_checkpoints(ckpt: str, expected: str | None) -> None:
    """lab/reward is kin of what GRLO made, also where RLVR came after it; of nothing else."""
    assert kin_of(resolve_checkpoint(ckpt, SHIPPED), judge(), "lab/reward") == expected


def test_weights_count_whatever_they_are_called(tmp_path: Path) -> None:
    """A copy of lab/reward is lab/reward; other weights under its name are told apart from it."""
    grlo = resolve_checkpoint("lab/grlo", SHIPPED)
    assert kin_of(grlo, judge("copy"), str(tmp_path / "copy")) == "lab-grlo was trained against copy itself"
    renewed = kin_of(grlo, judge(weights="2" * 64), "lab/reward@v2")
    assert renewed == "lab-grlo was trained against a reward model of the judge's name, lab/reward"


def test_a_policy_that_judges_itself() -> None:
    """By its weights; of what a server holds, by its name."""
    grlo = resolve_checkpoint("lab/grlo", SHIPPED)
    same = judge("lab/grlo", grlo.ref.fingerprint.weights)
    assert kin_of(grlo, same, "lab/grlo") == "lab/grlo judges itself: lab-grlo is the same model"
    served = resolve_served("gpt-x", SHIPPED)
    assert kin_of(served, judge("gpt-x", "gpt-x"), "gpt-x") == "gpt-x judges itself: gpt-x is the same model"
    assert kin_of(served, judge("gpt-y", "gpt-y"), "gpt-y") is None


@pytest.mark.parametrize(
    ("judged_by", "trained_against", "is_kin"),
    [
        ("Skywork/Skywork-Reward-V2-Llama-3.1-8B", "Skywork/Skywork-Reward-V2-Qwen3-8B", True),
        ("Skywork/Skywork-Reward-V2-Llama-3.1-8B", "Skywork/Skywork-Reward-Gemma-2-27B-v0.2@main", True),
        ("/models/Skywork-Reward-V2-Llama-3.1-8B/", "Skywork/Skywork-Reward-V2-Qwen3-8B", True),
        ("Skywork/Skywork-Critic-Llama-3.1-8B", "Skywork/Skywork-Reward-V2-Qwen3-8B", False),
        ("other/Skywork-Reward-V2-Qwen3-8B", "Skywork/Skywork-Reward-V2-Qwen3-8B", False),
        ("RLHFlow/ArmoRM-Llama3-8B-v0.1", "Skywork/Skywork-Reward-V2-Qwen3-8B", False),
        ("/a/reward", "lab/reward", False),
        ("Qwen/Qwen3-8B", "Qwen/Qwen2.5-Math-RM-72B", False),
    ],
)
def test_families(judged_by: str, trained_against: str, is_kin: bool) -> None:
    """One owner and the same first two words; a folder's owner is not known, so that one word is not enough."""
    expected = f"mine was trained against {trained_against}, of one family with {judged_by}" if is_kin else None
    assert kin_of_names(judged_by, trained_against) == expected


@pytest.mark.parametrize(("family", "is_kin"), [("skywork/", True), ("Skywork-Reward", True), ("Armo", False)])
def test_further_relatives_are_told(family: str, is_kin: bool) -> None:
    """The beginning of a name, with its owner or without."""
    found = kin_of_names("RLHFlow/ArmoRM-8B", "Skywork/Skywork-Reward-V2-Qwen3-8B", family=(family,))
    assert (found is not None) is is_kin


def copy_checkpoint(name: str, folder: Path, **changes: Any) -> ResolvedCheckpoint:
    """Copy a shipped checkpoint, its training.json changed."""
    shutil.copytree(SHIPPED[name], folder)
    training = json.loads((folder / "training.json").read_text()) | changes
    (folder / "training.json").write_text(json.dumps(training))
    return resolve_checkpoint(str(folder), SHIPPED)


def test_a_base_is_found_where_it_is_said_to_be(tmp_path: Path) -> None:
    """In its folder, if that still has the weights that were trained from; a path without weights is believed."""
    copy_checkpoint("lab/grlo", tmp_path / "grlo")
    base = {"path": str(tmp_path / "grlo"), "fingerprint": {"weights": fingerprint_folder(SHIPPED["lab/grlo"]).weights}}
    after = copy_checkpoint("lab/rlvr", tmp_path / "after", base=base)
    expected = f"{tmp_path / 'grlo'}, which after goes back to, was trained against lab/reward itself"
    assert kin_of(after, judge(), "lab/reward") == expected
    believed = copy_checkpoint("lab/rlvr", tmp_path / "believed", base=str(tmp_path / "grlo"))
    assert kin_of(believed, judge(), "lab/reward") is not None
    base["fingerprint"]["weights"] = "3" * 64
    gone = copy_checkpoint("lab/rlvr", tmp_path / "gone", base=base)
    assert kin_of(gone, judge(), "lab/reward") is None


def test_odd_ledgers(tmp_path: Path) -> None:
    """Rewards count wherever a ledger has them; one that is its own base ends the search; no JSON is an error."""
    odd = copy_checkpoint("lab/base", tmp_path / "odd", recipe={"rewards": [{"kind": "reward_model", "ckpt": "a/b-c"}]})
    assert read_history(odd.ref, odd.folder, SHIPPED) == (TrainedAgainst("odd", "a/b-c", None),)
    circle = copy_checkpoint("lab/rlvr", tmp_path / "circle", base=str(tmp_path / "circle"), reward=None, recipe=3)
    assert read_history(circle.ref, circle.folder, SHIPPED) == ()
    assert read_history(circle.ref, None, SHIPPED) == ()
    (tmp_path / "odd" / "training.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"training\.json is not JSON"):
        read_history(odd.ref, odd.folder, SHIPPED)


def test_a_reward_is_listed_once() -> None:
    """The ledger names lab/reward among the rewards with its weights, and in the recipe without; that is one."""
    grlo = resolve_checkpoint("lab/grlo", SHIPPED)
    assert read_history(grlo.ref, grlo.folder, SHIPPED) == (TrainedAgainst("lab-grlo", "lab/reward", REWARD),)
