"""pass@k of every checkpoint: what it can solve when it may try k times."""

import numpy as np

from harness.pairing import LabelVerdicts, PairedTask, pair_tasks
from harness.stats.estimate import estimate_mean, pass_at_k
from harness.study.findings import PassCurve
from harness.study.gather import StudyLabels


def draw_curves(study: StudyLabels) -> tuple[tuple[PassCurve, ...], tuple[str, ...]]:
    """Return pass@k for k = 1, 2, 4, … up to the generations per example, and why some labels have none.

    The estimator is the unbiased one (Chen et al. 2021, arXiv 2107.03374) per example, averaged with the interval of a
    mean (`estimate_mean`, clusters where there are any); a generation passes if its verdict is 1. It assumes that an
    example's generations are independent draws from one checkpoint: greedy repeats and pooled training seeds are not.
    One curve is about one k after another on the same draws, so its points are not independent of each other.
    """
    curves: list[PassCurve] = []
    reasons: dict[str, list[str]] = {}
    for name, label in study.by_label.items():
        without: dict[str, list[str]] = {}
        for pair in pair_tasks(label, label):  # paired with itself: all examples but those with errors
            reason = _obstacle(label, pair)
            if reason is None:
                curves.append(_curve(name, pair, study.spec.level))
            else:
                without.setdefault(reason, []).append(pair.name)
        for reason, tasks in without.items():
            whose = name if len(tasks) == len(label.tasks) else f"{name} on {', '.join(tasks)}"
            reasons.setdefault(reason, []).append(whose)
    return tuple(curves), tuple(f"pass@k: {reason} ({'; '.join(whose)})" for reason, whose in reasons.items())


def _obstacle(label: LabelVerdicts, pair: PairedTask) -> str | None:
    runs = [run.record.spec for run in label.runs if pair.name in run.tasks]
    if pair.base.values.shape[1] < 2:
        return "one generation per example"
    if len({spec.checkpoint.fingerprint.weights for spec in runs}) > 1:
        return "runs of several checkpoints, whose draws are not one checkpoint's"
    if pair.base.ref.sampling.temperature == 0:
        return "greedy runs repeated, which are no independent draws"
    return None if bool(np.isin(pair.base.values, (0.0, 1.0)).all()) else "verdicts between 0 and 1"


def _curve(label: str, pair: PairedTask, level: float) -> PassCurve:
    num_generations = pair.base.values.shape[1]
    num_correct = (pair.base.values == 1).sum(axis=1)
    counts = np.full(pair.num_examples, num_generations)
    ks = tuple(2**power for power in range(num_generations.bit_length()))
    ones = np.ones(pair.num_examples)
    passes = (estimate_mean(pass_at_k(num_correct, counts, k), ones, pair.clusters, level) for k in ks)
    return PassCurve(label=label, task=pair.name, ks=ks, pass_at_k=tuple(passes))
