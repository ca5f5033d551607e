"""The A/A noise floor: hand-worked, by simulation, and on runs that are no repeats."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import UsageError
from harness.findings import NoiseReport, TaskNoise
from harness.noise import measure_noise
from harness.schema import CheckpointRef, EngineSpec, Fingerprint, RunRecord, RunSpec, Sampling, TaskRef
from harness.spec import spec_id
from harness.verdicts import RunVerdicts, TaskVerdicts

NAN = math.nan


def make_task(name: str, values: np.ndarray, seed: int, suite: str, temperature: float = 1.0) -> TaskVerdicts:
    """Return verdicts of a task whose arrays beside the values say nothing."""
    n, k = values.shape
    sampling = Sampling(temperature=temperature, num_generations=k, seed=seed)
    ref = TaskRef(
        name=name, version="1", suite=suite, data_sha256="d", prompt="p", scorer="s", sampling=sampling, num_examples=n
    )
    falses = np.zeros((n, k), dtype=bool)
    return TaskVerdicts(
        ref=ref,
        metric=f"avg@{k} accuracy",
        example_ids=tuple(f"e{row}" for row in range(n)),
        clusters=(None,) * n,
        values=values.astype(float),
        answered=~falses,
        timeout=falses,
        truncated=falses,
        finish_known=~falses,
        num_tokens=np.ones((n, k)),
    )


def make_run(*tasks: TaskVerdicts, weights: str = "w") -> RunVerdicts:
    """Return a finished run of tasks."""
    fingerprint = Fingerprint(weights=weights, tokenizer="t", template=None)
    spec = RunSpec(
        checkpoint=CheckpointRef(label="toy", path="toy", revision=None, fingerprint=fingerprint),
        tasks=tuple(task.ref for task in tasks),
        engine=EngineSpec(name="scripted", dtype="none", device="none"),
        prompting="chat",
        enable_thinking=None,
        limit=None,
    )
    name = spec_id(spec)
    record = RunRecord(
        spec_id=name, spec=spec, status="complete", tasks=(), training=None, sessions=(), finished_at="2026-01-01"
    )
    return RunVerdicts(path=Path("runs/toy") / name, record=record, tasks={task.ref.name: task for task in tasks})


def repeats(values: np.ndarray, temperature: float = 1.0) -> list[RunVerdicts]:
    """Return runs of one task from an array of shape (R, n, k)."""
    return [make_run(make_task("toy", run, seed, "math", temperature)) for seed, run in enumerate(values)]


def task_noise(values: np.ndarray) -> TaskNoise:
    """Return the noise of one task."""
    return measure_noise(repeats(values)).tasks[0]


def draw(rng: np.random.Generator, chances: np.ndarray, num_runs: int, k: int) -> np.ndarray:
    """Draw verdicts of shape (R, n, k)."""
    return (rng.random((num_runs, len(chances), k)) < chances[:, None]).astype(float)


def test_two_runs_of_two_examples_are_hand_worked() -> None:
    """Scores ½ and 1; only example 2 varies, s² = ½, so the expected variance is ½/2² with one degree of freedom."""
    found = task_noise(np.array([[[1], [0]], [[1], [1]]]))
    assert found.scores == (0.5, 1.0)
    assert found.mean == 0.75
    assert found.sd == pytest.approx(math.sqrt(0.125))
    assert found.expected_sd == pytest.approx(math.sqrt(0.125))
    assert found.p_value == pytest.approx(0.31731, abs=1e-5), "chi-squared of 1 with one degree of freedom"
    assert found.flip_rate == 0.5
    assert found.limit == pytest.approx(12.7062 * math.sqrt(2 * 0.125), rel=1e-5)


def test_averages_are_hand_worked() -> None:
    """Two tasks of one domain weigh ½ each: expected variance ¼ of the sum; with a third domain there is an overall."""
    first, second = np.array([[[1], [0]], [[1], [1]]]), np.array([[[0], [0]], [[0], [1]]])
    runs = [
        make_run(
            make_task("a", first[seed], seed, "math"),
            make_task("b", second[seed], seed, "math"),
            make_task("c", first[seed], seed, "code"),
        )
        for seed in (0, 1)
    ]
    report = measure_noise(runs)
    math_mean, overall = report.averages
    assert (math_mean.name, math_mean.tasks, overall.name) == ("math", ("a", "b"), "overall")
    assert math_mean.scores == (0.25, 0.75)
    assert math_mean.expected_sd == pytest.approx(math.sqrt((0.125 + 0.125) / 4))
    assert overall.scores == (0.375, 0.875)
    assert overall.expected_sd == pytest.approx(math.sqrt(2 * 0.125 / 16 + 0.125 / 4))


@pytest.mark.parametrize("k", [1, 8])
def test_the_limit_holds_new_differences_at_its_level(k: int) -> None:
    """Differences of two further runs stay within the limit in 93 to 97 % of 2,000 simulated reports."""
    rng = np.random.default_rng(3)
    chances = rng.beta(0.7, 0.7, 60)
    within = 0
    for _ in range(2000):
        values = draw(rng, chances, 6, k)
        difference = values[0].mean() - values[1].mean()
        within += abs(difference) <= task_noise(values[2:]).limit
    assert 0.93 <= within / 2000 <= 0.97


@pytest.mark.parametrize(("share_that_varies", "k"), [(1.0, 8), (1.0, 1), (0.1, 1)])
def test_independent_draws_raise_no_alarm(share_that_varies: float, k: int) -> None:
    """Spread beyond sampling is reported in at most 6 % of 1,500 reports, also where few examples flip (greedy)."""
    rng = np.random.default_rng(5)
    chances = np.where(np.arange(80) < 80 * share_that_varies, 0.5, 1.0)
    alarms = sum(
        any("further than sampling" in note for note in measure_noise(repeats(draw(rng, chances, 5, k))).notes)
        for _ in range(1500)
    )
    assert alarms / 1500 <= 0.06


def test_something_that_moves_whole_runs_is_reported() -> None:
    """Runs whose chances shift together by ±15 points spread further than sampling explains."""
    rng = np.random.default_rng(7)
    chances = np.full(200, 0.5)
    values = np.stack([draw(rng, chances + shift, 1, 8)[0] for shift in (-0.15, 0.15, -0.15, 0.15)])
    (note,) = measure_noise(repeats(values)).notes
    assert "toy: the scores spread further than sampling explains (p = " in note
    assert "something may move whole runs" in note


@pytest.mark.parametrize(("num_gained", "num_lost", "is_alarm"), [(39, 21, True), (35, 25, False)])
@pytest.mark.parametrize("level", [0.5, 0.9999])
def test_the_alarm_does_not_depend_on_the_level(num_gained: int, num_lost: int, is_alarm: bool, level: float) -> None:
    """Of 60 examples that flip between two runs, 18 more one way is p = 0.020 and said, 10 more is p = 0.20 and not."""
    gained = np.arange(num_gained + num_lost) < num_gained
    report = measure_noise(repeats(np.stack([~gained, gained])[:, :, None]), level)
    assert report.tasks[0].p_value == pytest.approx(math.erfc(abs(num_gained - num_lost) / math.sqrt(2 * 60)))
    assert any("further than sampling explains" in note for note in report.notes) is is_alarm


def test_verdicts_that_never_vary_bound_nothing() -> None:
    """All right in all runs: spread 0, and no limit instead of a confident 0."""
    report = measure_noise(repeats(np.ones((3, 5, 2))))
    task = report.tasks[0]
    assert (task.sd, task.expected_sd, task.flip_rate) == (0.0, 0.0, 0.0)
    assert math.isnan(task.limit)
    assert math.isnan(task.p_value)
    assert "no noise was seen" in report.notes[0]


def test_one_example_is_enough_for_noise() -> None:
    """Examples are fixed, so one that flips has a limit; degrees of freedom are its generations less one."""
    found = task_noise(np.array([[[1, 0]], [[0, 0]]]))
    assert found.expected_sd == pytest.approx(math.sqrt(0.25 / 2))
    assert found.limit == pytest.approx(3.18245 * 0.5, rel=1e-5)


def test_fractional_verdicts_have_no_flip_rate() -> None:
    """Halves neither agree nor disagree; the rest is defined."""
    found = task_noise(np.array([[[0.5], [0.0]], [[1.0], [0.25]]]))
    assert math.isnan(found.flip_rate)
    assert found.limit > 0


def test_examples_that_ended_in_error_are_left_out_of_all_runs() -> None:
    """Example 2 failed in run 1; both runs are measured without it, and a note says so."""
    report = measure_noise(repeats(np.array([[[1], [NAN], [0]], [[1], [0], [1]]])))
    assert report.tasks[0].num_examples == 2
    assert report.notes == ("toy: examples left out of all runs, since they ended in error in one: 1",)


def test_greedy_decoding_is_called_what_it_is() -> None:
    """At temperature 0 the seed does nothing, so that the report says what its noise is."""
    assert "greedy" in measure_noise(repeats(np.array([[[1], [0]], [[1], [1]]]), temperature=0.0)).notes[0]


def test_runs_of_one_seed_are_called_out() -> None:
    """Another attempt under the same seed repeats the draws."""
    first, second = (make_run(make_task("toy", np.array([[1], [value]]), 0, "math")) for value in (0, 1))
    spec = msgspec.structs.replace(second.record.spec, attempt=1)
    record = msgspec.structs.replace(second.record, spec=spec, spec_id=spec_id(spec))
    report: NoiseReport = measure_noise([first, RunVerdicts(path=second.path, record=record, tasks=second.tasks)])
    assert "share their seed" in report.notes[0]


ONE = make_task("toy", np.array([[1], [0]]), 0, "math")
OTHER_SEED = make_task("toy", np.array([[1], [0]]), 1, "math")
LONGER = make_task("toy", np.array([[1], [0], [1]]), 1, "math")
OTHER = make_task("other", np.array([[1], [0]]), 1, "math")
FAILED = make_task("toy", np.array([[NAN], [NAN]]), 1, "math")
BAD = [
    ([], "expected two or more, got none"),
    ([make_run(ONE)], "expected two or more, got runs/toy/"),
    ([make_run(ONE), make_run(ONE)], "given twice"),
    ([make_run(ONE), make_run(OTHER_SEED, weights="v")], "weights is w against v"),
    ([make_run(ONE), make_run(OTHER)], "tasks is toy against other"),
    ([make_run(ONE), make_run(LONGER)], "limit of toy is 2 examples against 3 examples"),
    ([make_run(ONE), make_run(FAILED)], "share no example of toy that ended without error"),
]


@pytest.mark.parametrize(("runs", "message"), BAD, ids=[message for _, message in BAD])
def test_runs_that_are_no_repeats_are_refused(runs: list[RunVerdicts], message: str) -> None:
    """One line that names what differs."""
    with pytest.raises(UsageError, match=message):
        measure_noise(runs)
