"""The elicited run: each half of a task's examples in the prompt style that is best on the other half.

Chooses from the finished runs of single styles and puts an ordinary run together from their lines; it runs no model.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.plan import Marks, PlannedTask
from harness.schema import (
    Elicitation,
    Estimate,
    Example,
    Generation,
    RequestKey,
    RunSpec,
    Score,
    Style,
    StyleChoice,
    TaskElicitation,
    TaskRef,
)
from harness.spec import content_hash, spec_id
from harness.stats.estimate import Floats, cluster_numbers, estimate_mean
from harness.store import RunStore, read_lines

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class StyleRun:
    """A finished run of the checkpoint in one style."""

    style: Style
    path: Path
    spec: RunSpec
    planned: tuple[PlannedTask, ...]
    """The tasks that have this style."""


@dataclass(frozen=True)
class ElicitedPlan:
    """What the elicited run will hold."""

    spec: RunSpec
    planned: tuple[PlannedTask, ...]
    elicitation: Elicitation
    styles: Mapping[tuple[str, str], Style]
    """The style of each (task, example_id)."""


def choose_styles(scores: Floats, is_second: Bools) -> NDArray[np.int64]:
    """Choose for each half of the examples the style that is best on the other half (two-fold cross-fitting).

    Estimator: c_h = argmax_s mean of scores[s, i] over the examples i outside half h; the cross-fitted score is the
    mean over all examples i of scores[c_h(i), i]. The examples of a half had no part in its choice, so each half's mean
    is unbiased for the style it was given, and the whole never exceeds the truly best style's score in expectation.
    The maximum over styles of the full means, taken on the examples that chose it, does: by about σ·sqrt(2 ln S / n)
    for S equal, independent styles. Source: sample splitting with swapped roles, "cross-fitting" in Chernozhukov et al.
    2018 (doi 10.1111/ectj.12097, definition 3.1).

    Assumptions: examples of different halves are independent, so clusters must not be cut (split_halves).

    Precision: an interval put around the cross-fitted mean takes the choices as given. That is right where one style is
    clearly best. Where styles are equal, each half's mean pulls the other's choice towards it, which adds covariance:
    with M the expected maximum of S standard normals, the variance is 1 + (1 − ρ) M²/(S − 1) times the nominal one, ρ
    being the correlation between styles over examples. At worst (ρ = 0, S = 3) that is 1.36, and a 95 % interval then
    covers about 90 % (simulated in tests/test_elicit.py).

    Args:
        scores: shape (..., S, n), score of each example in each style, summed over the same number of generations.
        is_second: shape (n,), which half an example is in.

    Returns:
        Shape (..., 2): the index of the style for the first and the second half. Ties go to the earlier style. A half
        without examples on the other side (n = 0 or 1) takes the first style: there is nothing to choose by.
    """
    choices = [_best(scores[..., is_second]), _best(scores[..., ~is_second])]
    return np.stack(choices, axis=-1)


def _best(scores: Floats) -> NDArray[np.int64]:
    # all styles have the same examples, so their sums serve for their means
    return np.asarray(np.argmax(scores.sum(axis=-1), axis=-1), dtype=np.int64)


def split_halves(examples: Sequence[Example]) -> Bools:
    """Return which examples are in the second half, clusters kept whole.

    The units (clusters, or examples that stand alone) are ordered by the sha256 of their name and cut in the middle:
    the same for every run of these examples, without a seed.
    """
    names = [f"c{item.cluster}" if item.cluster is not None else f"#{item.example_id}" for item in examples]
    units = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    second = set(units[(len(units) + 1) // 2 :])
    return np.array([name in second for name in names], dtype=np.bool_)


def plan_elicited(runs: Sequence[StyleRun], plain: Style, label: str) -> ElicitedPlan:
    """Choose styles from finished runs, in the order in which ties are broken, and plan the run they make up.

    Args:
        runs: one for each style.
        plain: the style in which the checkpoint is asked without eliciting.
        label: of the elicited run.
    """
    sums = {run.style: _sum_scores(run) for run in runs}
    names = list(dict.fromkeys(item.ref.name for run in runs for item in run.planned))
    planned, found, styles = [], [], {}
    for name in names:
        items = {run.style: item for run in runs for item in run.planned if item.ref.name == name}
        item = _plan_task(items)
        task, chosen = _elicit_task(item, {style: sums[style][name] for style in items})
        planned.append(item)
        found.append(task)
        styles.update({(name, item.examples[row].example_id): style for row, style in enumerate(chosen)})
    spec = _elicited_spec(runs, tuple(item.ref for item in planned), label)
    elicitation = Elicitation(
        spec_id=spec_id(spec),
        plain=plain,
        runs={run.style: spec_id(run.spec) for run in runs},
        tasks=tuple(found),
    )
    return ElicitedPlan(spec=spec, planned=tuple(planned), elicitation=elicitation, styles=styles)


def assemble(plan: ElicitedPlan, runs: Sequence[StyleRun], store: RunStore) -> None:
    """Write the elicited run but for run.json; lines that an earlier, killed attempt wrote stay.

    Raises:
        StoreError: if what is there was put together from other scores.
    """
    store.keep_elicitation(plan.elicitation)
    if store.is_complete():
        return
    store.keep_examples(example for item in plan.planned for example in item.examples)
    generated, scored = Marks(plan.planned), Marks(plan.planned)
    for generation in store.generations:
        generated.add(generation.key)
    for score in store.scores:
        scored.add(score.key)

    def is_chosen(run: StyleRun, key: RequestKey) -> bool:
        return plan.styles[key.task, key.example_id] == run.style

    for run in runs:
        for generation in read_lines(run.path / "generations.jsonl", Generation):
            if is_chosen(run, generation.key) and generation.key not in generated:
                store.generations.append(generation)
    for run in runs:
        for score in read_lines(run.path / "scores.jsonl", Score):
            if is_chosen(run, score.key) and score.key not in scored:
                store.scores.append(score)


def _sum_scores(run: StyleRun) -> dict[str, Floats]:
    """Return each example's scores summed over its generations, by task, in plan order.

    Sums, because ties between styles must not be broken by how a division rounds.
    """
    rows = {item.ref.name: item.rows for item in run.planned}
    sums = {name: np.zeros(len(found)) for name, found in rows.items()}
    for score in read_lines(run.path / "scores.jsonl", Score):
        assert score.outcome != "error", "only complete runs are elicited from"
        sums[score.key.task][rows[score.key.task][score.key.example_id]] += score.value
    return sums


def _plan_task(items: Mapping[Style, PlannedTask]) -> PlannedTask:
    """Return the task as the elicited run has it: same rows and sampling, prompts and scorers of all its styles."""
    refs = [item.ref for item in items.values()]
    assert len({_shared(ref) for ref in refs}) == 1, "styles differ in prompt, stop strings and scorer only"
    ref = msgspec.structs.replace(
        refs[0],
        prompt=f"elicited@{content_hash([ref.prompt for ref in refs])[:8]}",
        scorer=" | ".join(dict.fromkeys(ref.scorer for ref in refs)),
        sampling=_without_stop(refs[0]).sampling,
    )
    return replace(next(iter(items.values())), ref=ref)


def _shared(ref: TaskRef) -> TaskRef:
    return msgspec.structs.replace(_without_stop(ref), prompt="", scorer="")


def _without_stop(ref: TaskRef) -> TaskRef:
    return msgspec.structs.replace(ref, sampling=msgspec.structs.replace(ref.sampling, stop=()))


def _elicited_spec(runs: Sequence[StyleRun], refs: tuple[TaskRef, ...], label: str) -> RunSpec:
    first = runs[0].spec
    thinking = next((run.spec.enable_thinking for run in runs if run.style == "chat"), None)
    return msgspec.structs.replace(
        first,
        checkpoint=msgspec.structs.replace(first.checkpoint, label=label),
        tasks=refs,
        prompting="elicited",
        enable_thinking=thinking,
    )


def _elicit_task(item: PlannedTask, sums: Mapping[Style, Floats]) -> tuple[TaskElicitation, list[Style]]:
    """Choose a task's styles; returns the record, and the style of each example."""
    names, table = list(sums), np.array(list(sums.values()))
    is_second = split_halves(item.examples)
    first, second = (int(index) for index in choose_styles(table, is_second))
    rows = np.where(is_second, second, first)
    everything = np.ones(len(item.examples), dtype=np.bool_)

    def estimates(where: Bools) -> dict[str, Estimate]:
        return {name: _estimate(item, values, where) for name, values in sums.items()}

    record = TaskElicitation(
        task=item.ref.name,
        scores=estimates(everything),
        halves=(
            StyleChoice(style=names[first], num_examples=int((~is_second).sum()), scores=estimates(is_second)),
            StyleChoice(style=names[second], num_examples=int(is_second.sum()), scores=estimates(~is_second)),
        ),
        score=_estimate(item, table[rows, np.arange(len(item.examples))], everything),
    )
    return record, [names[row] for row in rows]


def _estimate(item: PlannedTask, sums: Floats, where: Bools) -> Estimate:
    clusters = cluster_numbers([example.cluster for example in item.examples])
    counts = np.full(int(where.sum()), float(item.ref.sampling.num_generations))
    return estimate_mean(sums[where], counts, None if clusters is None else clusters[where])
