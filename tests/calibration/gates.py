"""The gate at its margin: regressions called falsely, passes given falsely."""

from collections.abc import Callable

from harness.gate.judge import judge_runs
from harness.pairing import LabelVerdicts
from harness.spec import GatePolicy
from tests.calibration.draws import Rng, losing_sides, noisy_sides
from tests.calibration.experiment import Claim, Experiment

QUIET = GatePolicy(max_examples_listed=0)
DOMAINS = GatePolicy(margin=3, gate_on=("domains",), max_examples_listed=0)
Draw = Callable[[Rng], tuple[LabelVerdicts, LabelVerdicts]]


def gate(design: str, draw: Draw, verdict: str, policy: GatePolicy = QUIET, *, is_nasty: bool = False) -> Experiment:
    """A gate whose verdict would be false."""
    what = {"regression": "gate: false regression", "pass": "gate: false pass"}[verdict]

    def trial(rng: Rng) -> tuple[bool]:
        return (judge_runs(*draw(rng), policy).verdict == verdict,)

    return Experiment(design, (Claim(what, "alarms", 0.05),), trial, 0.2, is_nasty)


def sides(n: int, k: int, *losses: float) -> Draw:
    """Tasks of examples of different difficulty."""
    return lambda rng: noisy_sides(rng, n, k, losses)


EXPERIMENTS = [
    gate("two tasks of 60, k = 4, nothing changed", sides(60, 4, 0.0, 0.0), "regression"),
    gate("three tasks of 60, k = 4, each exactly at the margin", sides(60, 4, 0.03, 0.03, 0.03), "regression"),
    gate("two tasks of 500, k = 1, each exactly at the margin", sides(500, 1, 0.03, 0.03), "regression"),
    gate("six tasks of 20, k = 1, each exactly at the margin", sides(20, 1, *[0.03] * 6), "regression", is_nasty=True),
    gate("one task of 60 at the margin, two 20 points better", sides(60, 4, 0.03, -0.2, -0.2), "pass"),
    gate("one task of 1,319, k = 1, exactly at the margin", sides(1319, 1, 0.03), "pass"),
    gate("a task of 300 loses 3 % of its examples wholly, k = 8", lambda r: losing_sides(r, (300,), 0.03, 8), "pass",
         is_nasty=True),
    gate("a domain of 164 and 378 that only loses, at the margin", lambda r: losing_sides(r, (164, 378), 0.03), "pass",
         DOMAINS, is_nasty=True),
]  # fmt: skip
