"""Small studies made from arrays, for tests of what a study measures: no run directory, no model."""

from collections.abc import Mapping

import numpy as np

from harness.pairing import LabelVerdicts
from harness.study.gather import StudyLabels, gather_study
from harness.study.spec import Claim, Role, StudyCheckpoint, StudySpec
from harness.verdicts import TaskVerdicts
from tests.labels import make_label, make_task

TASKS = {"talk": ("chat", 60), "sums": ("math", 80), "proofs": ("math", 40), "programs": ("code", 50)}
"""Task to suite and number of examples."""
ROLES: dict[str, Role] = {"base": "base", "grlo": "candidate", "random": "control", "released": "reference"}
CHANCES = {"base": 0.3, "grlo": 0.55, "random": 0.32, "released": 0.6}


def draw_tasks(label: str, k: int = 1, seed: int = 0) -> list[TaskVerdicts]:
    """Return verdicts on TASKS, whose examples are as hard for every label."""
    found = []
    for number, (name, (suite, n)) in enumerate(TASKS.items()):
        hardness = np.random.default_rng([seed, number]).normal(0, 0.2, (n, 1))
        rng = np.random.default_rng([seed, number, *label.encode()])
        chances = np.repeat(np.clip(CHANCES.get(label, 0.5) + hardness, 0, 1), k, axis=1)
        found.append(make_task(name, rng.binomial(1, chances).astype(float), suite))
    return found


def draw_labels(k: int = 1) -> dict[str, LabelVerdicts]:
    """Return a label of each role, all with TASKS."""
    return {label: make_label(label, *draw_tasks(label, k)) for label in ROLES}


def make_spec(
    roles: Mapping[str, Role] = ROLES,
    claims: tuple[str, ...] = (),
    checkpoints: Mapping[str, Mapping[str, object]] | None = None,
    **changes: object,
) -> StudySpec:
    """Return a study; `checkpoints` holds fields by label, `changes` go into the study's own."""
    found = tuple(
        StudyCheckpoint(
            **{"label": label, "role": role, "ckpt": f"scripted:{label}", **(checkpoints or {}).get(label, {})}
        )  # type: ignore[arg-type]
        for label, role in roles.items()
    )
    settings = {"num_resamples": 500, **changes}
    return StudySpec(name="toy", checkpoints=found, claims=tuple(map(Claim, claims)), **settings)  # type: ignore[arg-type]


def make_study(
    labels: Mapping[str, LabelVerdicts],
    *claims: str,
    checkpoints: Mapping[str, Mapping[str, object]] | None = None,
    **changes: object,
) -> StudyLabels:
    """Return a study of labels: the first is the base, elicited where its elicited label is there too.

    Labels that are not in ROLES are candidates.
    """
    base = next(iter(labels))
    roles: dict[str, Role] = {
        label: "base" if label == base else ROLES.get(label, "candidate")
        for label in labels
        if label != f"{base}-elicited"
    }
    given = {base: {"elicit": f"{base}-elicited" in labels}, **(checkpoints or {})}
    return gather_study(make_spec(roles, claims, given, **changes), labels)


def binary(num_right: int, n: int) -> np.ndarray:
    """Return n verdicts, the first ones right."""
    return (np.arange(n) < num_right).astype(float)
