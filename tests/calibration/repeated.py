"""Several runs of one label: the interquartile mean and its difference, and the noise floor of repeated measurement."""

from functools import cache

import numpy as np
from scipy.stats import trim_mean

from harness.noise import measure_noise
from harness.schema import Sampling
from harness.stats.repeats import estimate_iqm, estimate_iqm_difference
from harness.verdicts import RunVerdicts
from tests.calibration.draws import Rng, draw_runs
from tests.calibration.experiment import Claim, Experiment, holds, rejects
from tests.labels import make_run, make_task


@cache
def true_iqm(num_runs: int, run_sd: float, num_tasks: int) -> float:
    """Return the expected interquartile mean of so many runs."""
    runs = draw_runs(np.random.default_rng(1), 20_000, num_runs, run_sd, num_tasks)
    return float(trim_mean(runs.reshape(len(runs), -1), 0.25, axis=1).mean())


def iqm(num_runs: int, run_sd: float, num_tasks: int = 12, *, is_nasty: bool = False) -> Experiment:
    """Training seeds that move all their tasks together, or repeated sampling that does not."""
    whole = run_sd > 0

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        base, new = draw_runs(rng, 2, num_runs, run_sd, num_tasks)
        found = estimate_iqm(new, 0.95, 400, rng, whole)
        difference = estimate_iqm_difference(base, new, 0.95, 400, rng, whole)
        return holds(found, true_iqm(num_runs, run_sd, num_tasks)), holds(difference, 0.0)

    kind = "training seeds" if whole else "sampling seeds"
    claims = (Claim("interquartile mean over runs"), Claim("difference of interquartile means"))
    return Experiment(f"{num_runs} {kind}, {num_tasks} tasks", claims, trial, 0.4, is_nasty)


def repeats(values: np.ndarray) -> list[RunVerdicts]:
    """Return runs of one task from an array of shape (R, n, k)."""
    found = []
    for seed, run in enumerate(values):
        sampling = Sampling(temperature=1.0, num_generations=run.shape[1], seed=seed)
        found.append(make_run("toy", [make_task("toy", run, sampling=sampling)], weights="w"))
    return found


def noise(num_runs: int, n: int, k: int, share_that_varies: float, *, is_nasty: bool = False) -> Experiment:
    """Independent draws: the limit holds the difference of two further runs, and no alarm says that runs move."""

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        chances = np.where(rng.random(n) < share_that_varies, rng.beta(0.7, 0.7, n), 1.0)
        values = (rng.random((num_runs + 2, n, k)) < chances[:, None]).astype(float)
        found = measure_noise(repeats(values[2:])).tasks[0]
        difference = abs(values[0].mean() - values[1].mean())
        within = None if np.isnan(found.limit) else bool(difference <= found.limit)
        return within, rejects(found.p_value)

    claims = (
        Claim("noise floor: limit of a difference of two runs"),
        Claim("noise floor: runs spread as sampling explains", "alarms", 0.05),
    )
    return Experiment(
        f"{num_runs} runs of {n} examples, k = {k}, {100 * share_that_varies:g} % vary", claims, trial, 0.4, is_nasty
    )


EXPERIMENTS = [
    iqm(3, 0.03),
    iqm(5, 0.03),
    iqm(5, 0.0),
    iqm(2, 0.03, 4, is_nasty=True),
    noise(4, 60, 8, 1.0),
    noise(4, 164, 1, 1.0),
    noise(5, 80, 1, 0.1, is_nasty=True),
]
