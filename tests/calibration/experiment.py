"""One simulated claim: what is promised, how it is simulated, how often it held, and by which rule that is judged."""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.schema import Estimate

Promise = Literal["covers", "alarms", "finds"]
NUM_CHUNKS = 8
"""An experiment is drawn in this many parts, each with a seed of its own, so that any number of workers agrees."""
FEWEST_SAMPLES = 16
UNCLEAR = 0.08
"""Three simulation errors beyond which a share that does not fail says nothing."""


@dataclass(frozen=True)
class Claim:
    """What a number that we print promises, and whether its design is meant to be hard."""

    what: str
    promise: Promise = "covers"
    """An interval holds the truth; a test errs; a difference that is called detectable is found."""
    nominal: float = 0.95
    limit: str = ""
    """A failing that is known and documented: why, and where it says so. It does not change the verdict."""


@dataclass(frozen=True)
class Experiment:
    """A design from which samples are drawn; each says of every claim whether it held in it."""

    design: str
    claims: tuple[Claim, ...]
    trial: Callable[[np.random.Generator], Sequence[bool | None]]
    """One answer a claim: the interval held, the test alarmed, the difference was found; None where undefined."""
    share: float = 1.0
    """Of the samples asked for: below 1 where one sample takes long."""
    is_nasty: bool = False

    def num_samples(self, asked: int) -> int:
        """Return how many samples are drawn where `asked` are asked for."""
        return max(FEWEST_SAMPLES, round(asked * self.share))


@dataclass(frozen=True)
class Row:
    """What was measured of one claim."""

    claim: Claim
    design: str
    is_nasty: bool
    num_samples: int
    num_undefined: int
    num_true: int

    @property
    def measured(self) -> float:
        """Share of the defined samples."""
        defined = self.num_samples - self.num_undefined
        return self.num_true / defined if defined else math.nan

    @property
    def error(self) -> float:
        """Monte-Carlo standard error, from a share pulled to ½ by two successes and failures: never 0."""
        defined = self.num_samples - self.num_undefined
        share = (self.num_true + 2) / (defined + 4)
        return math.sqrt(share * (1 - share) / (defined + 4))

    @property
    def is_broken(self) -> bool:
        """Whether the promise fails by more than the verdict's tolerance and three errors."""
        excess, slack = self.measured - self.claim.nominal, 3 * self.error
        if self.claim.promise == "covers":
            return -excess > 0.02 + slack
        if self.claim.promise == "alarms":
            return excess > 0.01 + slack
        return abs(excess) > 0.03 + slack

    @property
    def verdict(self) -> str:
        """`holds`, by how many points it does not, or that the samples are too few to say.

        Coverage fails below its level by more than 2 points and 3 errors, a test above its level by more than 1 point
        and 3 errors; power on either side by more than 3 points and 3 errors. More careful than promised holds. Nothing
        holds for want of samples: where 3 errors are more than UNCLEAR, what does not fail is undecided.
        """
        if self.is_broken:
            excess = self.measured - self.claim.nominal
            return f"too {'high' if excess > 0 else 'low'} by {100 * abs(excess):.1f}"
        return "undecided" if 3 * self.error > UNCLEAR or math.isnan(self.measured) else "holds"


def holds(estimate: Estimate, truth: float) -> bool | None:
    """Say whether an interval holds the truth; None where there is no interval."""
    if math.isnan(estimate.ci_low) or math.isnan(estimate.ci_high):
        return None
    return estimate.ci_low - 1e-12 <= truth <= estimate.ci_high + 1e-12


def rejects(p_value: float, alpha: float = 0.05) -> bool | None:
    """Say whether a test finds something; None where it could not be made."""
    return None if math.isnan(p_value) else p_value <= alpha


def draw_chunk(experiment: Experiment, chunk: int, asked: int, seed: int) -> list[Sequence[bool | None]]:
    """Return the answers of one part of an experiment's samples."""
    total = experiment.num_samples(asked)
    size = (total + NUM_CHUNKS - 1 - chunk) // NUM_CHUNKS
    rng = np.random.default_rng([seed, zlib.crc32(experiment.design.encode()), chunk])
    return [experiment.trial(rng) for _ in range(size)]


def count(experiment: Experiment, answers: Sequence[Sequence[bool | None]]) -> list[Row]:
    """Return one row a claim."""
    rows = []
    for number, claim in enumerate(experiment.claims):
        given = [answer[number] for answer in answers]
        undefined, true = sum(x is None for x in given), sum(bool(x) for x in given)
        rows.append(Row(claim, experiment.design, experiment.is_nasty, len(given), undefined, true))
    return rows


def measure(experiment: Experiment, asked: int, seed: int) -> list[Row]:
    """Return the rows of an experiment, drawn in this process."""
    chunks = [draw_chunk(experiment, chunk, asked, seed) for chunk in range(NUM_CHUNKS)]
    return count(experiment, [answer for chunk in chunks for answer in chunk])
