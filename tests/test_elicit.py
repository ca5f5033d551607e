"""Choosing a prompt style without bias, and the run that is put together from the choice."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.elicit import StyleRun, assemble, choose_styles, plan_elicited, split_halves
from harness.errors import StoreError
from harness.plan import PlannedTask, pin_task
from harness.runner import finish
from harness.schema import Example, Generation, RequestKey, RunRecord, RunSpec, Sampling, Score, ScorerOptions, Style
from harness.stats.estimate import wilson_interval
from harness.store import RunStore, read_elicitation, read_lines
from tests.calibration.draws import cross_fitted_means
from tests.support import NumberScorer, toy_plan, toy_spec, toy_task, write_rows

STYLES: tuple[Style, ...] = ("chat", "completion", "standard")


def example(example_id: str, cluster: str | None = None) -> Example:
    return Example(task="toy", example_id=example_id, input="?", target="1", cluster=cluster)


def write_style(folder: Path, style: Style, values: list[float], k: int = 1) -> StyleRun:
    """Store a run of the toy task whose examples score as given; its texts name the style."""
    write_rows(folder, len(values))
    task = toy_task()
    sampling = msgspec.structs.replace(
        Sampling(temperature=1.0, num_generations=k), stop=task.sampling("greedy", style).stop
    )
    scorer = NumberScorer(ScorerOptions(num_workers=1))
    planned = pin_task(task, task.load(folder, None), scorer, sampling, style, None)
    spec = msgspec.structs.replace(toy_spec(planned), prompting=style)
    store = RunStore(folder / style, spec)
    for row, value in zip(planned.examples, values, strict=True):
        for index in range(k):
            key = RequestKey(task="toy", example_id=row.example_id, index=index)
            store.generations.append(
                Generation(
                    key=key,
                    text=style,
                    finish_reason="stop",
                    num_prompt_tokens=1,
                    num_completion_tokens=2,
                    seconds=0.5,
                )
            )
            store.scores.append(Score(key=key, value=value, outcome="scored", answer=style, scorer="number@1"))
    store.close()
    return StyleRun(style=style, path=folder / style, spec=spec, planned=(planned,))


def elicit(runs: list[StyleRun], path: Path) -> RunRecord:
    """Choose, put together and finish."""
    plan = plan_elicited(runs, "chat", "toy-model-elicited")
    store = RunStore(path, plan.spec)
    try:
        assemble(plan, runs, store)
        return finish(plan.planned, store, None, {})
    finally:
        store.close()


def test_each_half_takes_the_style_that_is_best_on_the_other() -> None:
    """By hand: style 0 wins on the first two examples, style 1 on the last two; ties go to the first style."""
    is_second = np.array([False, False, True, True])
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    assert choose_styles(scores, is_second).tolist() == [1, 0]
    assert choose_styles(np.ones((3, 4)), is_second).tolist() == [0, 0]


def test_nothing_to_choose_by_takes_the_first_style() -> None:
    """No example, or one: no half has another."""
    assert choose_styles(np.ones((2, 0)), np.zeros(0, dtype=np.bool_)).tolist() == [0, 0]
    assert choose_styles(np.array([[0.0], [1.0]]), np.array([False]))[0] == 0


def coverage(means: np.ndarray, n: int, truth: float) -> float:
    """Return how many of the 95 % Wilson intervals hold the truth."""
    bounds = {value: wilson_interval(float(value), n, 0.95) for value in np.unique(means)}
    return float(np.mean([bounds[value][0] <= truth <= bounds[value][1] for value in means]))


def test_cross_fitting_is_unbiased_where_the_best_in_sample_is_not() -> None:
    """Four styles of equal quality 0.5 on 60 examples: the maximum of their means expects 0.5 + 0.066."""
    scores = (np.random.default_rng(7).random((4000, 4, 60)) < 0.5).astype(np.float64)
    means = cross_fitted_means(scores)
    assert abs(means.mean() - 0.5) < 4 * means.std() / math.sqrt(len(means))
    best = scores.mean(axis=2).max(axis=1)
    assert best.mean() - 0.5 == pytest.approx(1.029 * 0.5 / math.sqrt(60), abs=0.004)  # E max of 4 normals is 1.029 SD


def test_a_style_that_is_better_is_found_and_its_interval_covers() -> None:
    """Quality 0.8 against 0.5 on 200 examples: the mean is 0.8, and 95 % intervals cover 93 to 97 %."""
    quality = np.array([0.5, 0.8, 0.5])[:, None]
    means = cross_fitted_means((np.random.default_rng(8).random((4000, 3, 200)) < quality).astype(np.float64))
    assert means.mean() == pytest.approx(0.8, abs=0.002)
    assert 0.93 <= coverage(means, 200, 0.8) <= 0.97


@pytest.mark.parametrize(("num_styles", "inflation"), [(2, 1.318), (3, 1.358), (4, 1.353)])
def test_what_choosing_adds_to_the_variance_is_bounded(num_styles: int, inflation: float) -> None:
    """Equal, independent styles are the worst case: variance 1 + M²/(S − 1), and 95 % intervals cover about 90 %."""
    scores = (np.random.default_rng(9).random((8000, num_styles, 200)) < 0.6).astype(np.float64)
    means = cross_fitted_means(scores)
    assert means.var() * 200 / 0.24 == pytest.approx(inflation, abs=0.07)
    assert 0.885 <= coverage(means, 200, 0.6) <= 0.935


def test_halves_are_even_and_the_same_in_any_order() -> None:
    """By the ids alone, whatever order the rows come in."""
    examples = [example(f"q{number}") for number in range(101)]
    first, backwards = split_halves(examples), split_halves(examples[::-1])
    assert int(first.sum()) == 50
    assert first.tolist() == backwards[::-1].tolist()


def test_clusters_are_not_cut() -> None:
    """All sub-problems of one preamble are in one half; an id that equals a cluster's name is another unit."""
    examples = [example(f"q{number}", f"c{number % 5}") for number in range(50)] + [example("c0")]
    is_second = split_halves(examples)
    halves = {(item.cluster, bool(half)) for item, half in zip(examples, is_second, strict=True) if item.cluster}
    assert len(halves) == 5
    assert {half for _, half in halves} == {True, False}


def test_the_elicited_run_holds_the_chosen_lines(tmp_path: Path) -> None:
    """Texts, scores and summary of each half are those of its style; both styles' tokens and seconds are kept."""
    halves = split_halves(toy_plan(tmp_path, 12).examples)
    good, poor = halves.astype(float).tolist(), (~halves).astype(float).tolist()
    runs = [write_style(tmp_path, "chat", good, k=2), write_style(tmp_path, "standard", poor, k=2)]
    record = elicit(runs, tmp_path / "elicited")
    # chat is perfect on the second half, so the first half takes it, where it scores 0; and the other way round
    assert record.tasks[0].score.value == 0.0
    assert record.tasks[0].num_completion_tokens == 48
    texts = {item.key.example_id: item.text for item in read_lines(tmp_path / "elicited/generations.jsonl", Generation)}
    assert texts == {f"q{row}": ("standard" if is_second else "chat") for row, is_second in enumerate(halves.tolist())}
    (task,) = read_elicitation(tmp_path / "elicited").tasks
    assert [half.style for half in task.halves] == ["chat", "standard"]
    assert [half.scores["chat"].value for half in task.halves] == [1.0, 0.0]
    assert (task.scores["chat"].value, task.scores["standard"].value) == (0.5, 0.5)
    assert task.score == record.tasks[0].score


def test_the_elicited_spec_is_the_base_under_another_name(tmp_path: Path) -> None:
    """Same weights, data and sampling; prompts of all styles in one digest, no stop strings, all scorers named."""
    runs = [write_style(tmp_path, style, [1.0] * 6) for style in STYLES]
    spec = plan_elicited(runs, "chat", "toy-model-elicited").spec
    assert (spec.prompting, spec.checkpoint.label) == ("elicited", "toy-model-elicited")
    assert spec.checkpoint.fingerprint == runs[0].spec.checkpoint.fingerprint
    ref, base = spec.tasks[0], runs[0].spec.tasks[0]
    assert ref.prompt.startswith("elicited@")
    assert ref.prompt != plan_elicited(runs[:2], "chat", "toy-model-elicited").spec.tasks[0].prompt
    assert msgspec.structs.replace(ref, prompt=base.prompt) == base
    changed = [with_scorer(run, f"number@{number}") for number, run in enumerate(runs)]
    assert plan_elicited(changed, "chat", "toy-model-elicited").spec.tasks[0].scorer == "number@0 | number@1 | number@2"


def with_scorer(run: StyleRun, scorer: str) -> StyleRun:
    """Return a run whose task was scored by another version."""
    (item,) = run.planned
    ref = msgspec.structs.replace(item.ref, scorer=scorer)
    planned = PlannedTask(task=item.task, ref=ref, examples=item.examples, scorer=item.scorer)
    return StyleRun(style=run.style, path=run.path, spec=run.spec, planned=(planned,))


def test_a_killed_assembly_ends_with_the_same_files(tmp_path: Path) -> None:
    """Cut after any line, even within one, it writes what is missing and nothing twice."""
    runs = [write_style(tmp_path, style, [float(row % 2) for row in range(12)]) for style in STYLES]
    elicit(runs, tmp_path / "whole")
    names = ("generations.jsonl", "scores.jsonl", "elicitation.json", "examples.jsonl")
    whole = {name: (tmp_path / "whole" / name).read_bytes() for name in names}
    for kept in (0, 100, len(whole["generations.jsonl"]) - 1):
        path = tmp_path / f"cut{kept}"
        path.mkdir()
        (path / "generations.jsonl").write_bytes(whole["generations.jsonl"][:kept])
        elicit(runs, path)
        assert {name: (path / name).read_bytes() for name in names} == whole


def test_lines_of_other_scores_are_not_mixed_in(tmp_path: Path) -> None:
    """Where a style was measured again and scored otherwise, the old elicited run is left as it is."""
    runs = [write_style(tmp_path, "chat", [1.0] * 6)]
    elicit(runs, tmp_path / "elicited")
    again = tmp_path / "again"
    again.mkdir()
    with pytest.raises(StoreError, match=r"measured again since; move .*elicited away"):
        elicit([write_style(again, "chat", [0.0] * 6)], tmp_path / "elicited")


def test_one_style_and_one_example_are_no_choice(tmp_path: Path) -> None:
    """The only style is taken; the scores of an empty half are nan, in memory and read back."""
    record = elicit([write_style(tmp_path, "completion", [1.0])], tmp_path / "elicited")
    assert record.tasks[0].score.value == 1.0
    (task,) = read_elicitation(tmp_path / "elicited").tasks
    assert [half.num_examples for half in task.halves] == [1, 0]
    assert math.isnan(task.halves[0].scores["completion"].value)


def test_tasks_may_have_different_styles(tmp_path: Path) -> None:
    """A task that lacks a style is chosen for among those it has."""
    first = write_style(tmp_path, "completion", [1.0] * 4)
    (item,) = first.planned
    other = PlannedTask(
        task=item.task, ref=msgspec.structs.replace(item.ref, name="other"), examples=item.examples, scorer=item.scorer
    )
    both = StyleRun(style="completion", path=first.path, spec=_with(first.spec, item, other), planned=(item, other))
    scores = list(read_lines(first.path / "scores.jsonl", Score))
    with (first.path / "scores.jsonl").open("ab") as file:
        for score in scores:
            key = msgspec.structs.replace(score.key, task="other")
            file.write(msgspec.json.encode(msgspec.structs.replace(score, key=key)) + b"\n")
    plan = plan_elicited([write_style(tmp_path, "chat", [0.0] * 4), both], "chat", "toy-model-elicited")
    found = {task.task: sorted(task.scores) for task in plan.elicitation.tasks}
    assert found == {"toy": ["chat", "completion"], "other": ["completion"]}


def _with(spec: RunSpec, *items: PlannedTask) -> RunSpec:
    return msgspec.structs.replace(spec, tasks=tuple(item.ref for item in items))
