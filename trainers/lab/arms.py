"""The arms of the lab's study, and the recipe of each: what is built, before anybody asks how."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.spec import did_you_mean
from harness.study.spec import Role
from trainers.spec import Recipe, find_recipe, read_recipe

REWARD = "lab/reward"


@dataclass(frozen=True)
class Arm:
    """One way of training."""

    label: str
    recipe: str
    role: Role
    title: str
    after: str | None = None
    """Label of the arm whose checkpoint of the same seed it starts from; None starts from lab/base."""


ARMS = (
    Arm("grlo", "lab_grlo", "candidate", "GRLO"),
    Arm("rlvr", "lab_rlvr", "candidate", "RLVR"),
    Arm("grlo-rlvr", "lab_grlo_rlvr", "candidate", "GRLO, then RLVR", after="grlo"),
    Arm("grlo-grpo", "lab_grlo_grpo", "candidate", "GRLO by GRPO"),
    Arm("finish", "lab_finish", "control", "reward for ending the turn"),
    Arm("random", "lab_random", "control", "random reward"),
)
"""Long ones first, and grlo before what waits for it: that leaves the least idle time."""


@dataclass(frozen=True)
class BuildSpec:
    """What is built, and where."""

    out: Path = Path("build/lab")
    arms: tuple[Arm, ...] = ARMS
    num_seeds: int = 3
    settings: tuple[str, ...] = ()
    """NAME=VALUE of every arm's recipe, such as steps=4: for a trial."""
    limit: int | None = None
    """First examples of each task, for a trial."""
    rebuild: frozenset[str] = field(default_factory=frozenset)
    """Of `reward` and `instruct`: those trained anew instead of taken as shipped."""

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.out / "checkpoints"

    def checkpoint(self, arm: Arm, seed: int) -> Path:
        """Return the folder of an arm's checkpoint."""
        return self.checkpoints / f"{arm.label}-{seed}"

    @property
    def instruct(self) -> str:
        """The reference, as --ckpt takes it."""
        return str(self.checkpoints / "instruct") if "instruct" in self.rebuild else "lab/instruct"


def select_arms(names: Iterable[str]) -> tuple[Arm, ...]:
    """Return the arms of these labels, and those that they start from, in the order of ARMS.

    Raises:
        UsageError: if there is no such arm.
    """
    by_label = {arm.label: arm for arm in ARMS}
    chosen: set[str] = set()
    for name in names:
        label: str | None = name
        while label is not None:
            if label not in by_label:
                known = ", ".join(by_label)
                raise UsageError(f"no arm {label!r}{did_you_mean(label, by_label) or f'; arms: {known}'}")
            chosen.add(label)
            label = by_label[label].after
    return tuple(arm for arm in ARMS if arm.label in chosen)


def arm_settings(spec: BuildSpec, arm: Arm, seed: int) -> list[str]:
    """Return what is laid over an arm's recipe, as --set takes it."""
    quoted = json.dumps
    settings = [f"seed={seed}", f"name={quoted(f'{arm.label}-{seed}')}", f"out={quoted(str(spec.checkpoints))}"]
    if arm.after is not None:
        settings.append(f"base={quoted(str(spec.checkpoints / f'{arm.after}-{seed}'))}")
    if has_own_reward(spec, arm):
        tables = []
        for reward in _shipped(arm).rewards:
            ckpt = str(spec.checkpoints / "reward") if reward.ckpt == REWARD else reward.ckpt
            values = msgspec.to_builtins(msgspec.structs.replace(reward, ckpt=ckpt))
            pairs = (f"{key} = {quoted(value)}" for key, value in values.items() if value is not None)
            tables.append(f"{{ {', '.join(pairs)} }}")
        settings.append(f"rewards=[{', '.join(tables)}]")
    return [*settings, *spec.settings]


def has_own_reward(spec: BuildSpec, arm: Arm) -> bool:
    """Return whether an arm is trained by a reward model that this build trains."""
    return "reward" in spec.rebuild and any(reward.ckpt == REWARD for reward in _shipped(arm).rewards)


def _shipped(arm: Arm) -> Recipe:
    return read_recipe(find_recipe(arm.recipe))
