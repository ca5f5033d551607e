"""Records of what comparing runs found: differences, averages, decompositions, transfer, and a gate's verdict.

What a run is stands in harness.schema. Scores, shares and differences are fractions here (1.0 is 100 points); tables
turn them into points.
"""

from typing import Literal

from harness.schema import Estimate, Record, TrainingCost


class Ratio(Record, frozen=True):
    """A quotient of two estimates, or why there is none."""

    estimate: Estimate
    """nan where the ratio is not identifiable."""
    reason: str | None = None
    """Why it is not identifiable; None where it is."""


class Outcomes(Record, frozen=True):
    """How a task's generations ended, as shares of them; nan where the run does not say."""

    no_answer: float
    truncated: float
    timeout: float
    mean_tokens: float
    """Mean completion tokens of a generation."""


class Arm(Record, frozen=True):
    """One side of a comparison."""

    score: Estimate
    """Over the paired examples, so it may differ from the run's own where the runs share only some."""
    outcomes: Outcomes


class Cell(Record, frozen=True):
    """Generations that ended alike, on both sides, and what they add to the difference."""

    finished: bool | None
    """False: cut off at max_tokens; None: the runs do not say how generations ended."""
    answered: bool
    """Whether an answer could be extracted."""
    base_share: float
    candidate_share: float
    base_accuracy: float
    """Mean score within the cell; nan where the cell is empty."""
    candidate_accuracy: float
    elicitation: Estimate
    """Part of the difference that comes from generations moving into or out of the cell."""
    within: Estimate
    """Part that comes from another accuracy within the cell."""


class Decomposition(Record, frozen=True):
    """A difference as a sum: elicitation + within = difference, exactly (Kitagawa 1955)."""

    elicitation: Estimate
    within: Estimate
    cells: tuple[Cell, ...]
    """By (finished, answered), of a task; of an average: empty, since its tasks weigh differently."""


class Coverage(Record, frozen=True):
    """How many of the newly solved examples the base already solves when it may try k times."""

    num_newly_solved: int
    """Examples that the candidate solves at least half the time and the base less than half the time."""
    ks: tuple[int, ...]
    pass_at_k: tuple[Estimate, ...]
    """Base's pass@k averaged over the newly solved examples, one per k."""
    never_solved_pass: Estimate
    """Base's pass@K, with the largest k, over the other examples it solves less than half the time: the contrast."""
    reason: str | None = None
    """Why there is no coverage; None where there is."""


class TaskComparison(Record, frozen=True):
    """Candidate against base on one task, paired by example."""

    task: str
    version: str
    suite: str
    metric: str
    num_examples: int
    """Examples that both runs have."""
    base: Arm
    candidate: Arm
    difference: Estimate
    """Candidate minus base."""
    p_value: float
    """Two-sided, of no difference."""
    p_method: str
    p_adjusted: float
    """Holm's, over all candidates and tasks of the report."""
    detectable: float
    """Smallest true difference that would be seen with a power of 80 %."""
    num_gained: int
    """Examples whose mean score rose."""
    num_lost: int
    decomposition: Decomposition
    coverage: Coverage


class AverageComparison(Record, frozen=True):
    """Candidate against base on an unweighted average: of a domain's tasks, or overall."""

    name: str
    """Suite, or `overall`."""
    tasks: tuple[str, ...]
    base: Estimate
    candidate: Estimate
    difference: Estimate
    p_value: float
    p_adjusted: float
    """Holm's, over all candidates and domains of the report; of `overall`, over the candidates."""
    detectable: float
    decomposition: Decomposition
    is_trained: bool | None
    """Whether the candidate was trained on this domain; None if that is not known, or for `overall`."""


class Transfer(Record, frozen=True):
    """What training on some domains did to the others."""

    trained_on: tuple[str, ...]
    """Suites of the report the candidate was trained on; empty if not known."""
    ratio: Ratio
    """Mean difference on untrained domains / mean difference on trained ones."""
    normalised_gain: dict[str, Ratio]
    """(candidate − base)/(1 − base) by domain and `overall`."""
    gap_closed: dict[str, dict[str, Ratio]]
    """Reference label → domain or `overall` → (candidate − base)/(reference − base)."""
    transferability_index: dict[str, Ratio]
    """Percent, by untrained domain (arXiv 2507.00432v2, section 2.1)."""


class Comparison(Record, frozen=True):
    """One candidate against one base."""

    base: str
    """Label."""
    candidate: str
    base_kind: Literal["plain", "elicited"]
    tasks: tuple[TaskComparison, ...]
    domains: tuple[AverageComparison, ...]
    overall: AverageComparison
    transfer: Transfer
    training: TrainingCost | None
    """What the candidate cost; None if its run does not say."""
    notes: tuple[str, ...]
    """Allowed drift, examples or tasks that only one side has, missing requests: whatever limits the comparison."""


class Repeats(Record, frozen=True):
    """Several runs of one label."""

    label: str
    num_runs: int
    num_checkpoints: int
    """Different weights among them: training seeds, rather than repeated evaluation."""
    tasks: tuple[str, ...]
    """Those that all of the runs have."""
    interquartile_mean: Estimate
    mean: float
    run_scores: tuple[float, ...]
    """Each run's mean over the tasks, in the order given."""
    run_sd: float
    """Standard deviation of the run scores (n − 1)."""


class TransferReport(Record, frozen=True):
    """Everything `harness compare` found."""

    level: float
    overall: Literal["domains", "tasks"]
    """What the overall average weighs equally."""
    seed: int
    num_resamples: int
    comparisons: tuple[Comparison, ...]
    repeats: tuple[Repeats, ...]
    """Of each label with several runs."""
