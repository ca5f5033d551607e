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


class LengthEffect(Record, frozen=True):
    """The difference of two win rates against one baseline as a sum: controlled + length_effect = raw, exactly."""

    raw: Estimate
    """Candidate's win rate minus the base's."""
    controlled: Estimate
    """The same of length-controlled win rates (harness.stats.length_control)."""
    length_effect: Estimate
    """What the lengths of the answers add to the difference."""
    base_length: float
    """Mean characters of an answer, as it was judged."""
    candidate_length: float
    baseline_length: float
    """Of the answers that both sides are compared with."""


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
    length_effect: LengthEffect | None = None
    """Of judged win rates; None for every other task."""


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
    """Whether the candidate was trained on this domain; None if it is not known what it was trained on, or for
    `overall`."""


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
    """Those that all of the runs have, and the base's too."""
    interquartile_mean: Estimate
    """Its interval is about runs: what another training seed, or another repetition, would give."""
    difference: Estimate
    """Interquartile mean minus that of the base, with runs resampled on both sides; nan for the base itself."""
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


class TaskNoise(Record, frozen=True):
    """How far one task's score moves when a run is repeated and nothing but the sampling seed changes."""

    task: str
    version: str
    suite: str
    metric: str
    num_examples: int
    num_generations: int
    """Per example and run (k)."""
    scores: tuple[float, ...]
    """One per run, in the report's order."""
    mean: float
    sd: float
    """Standard deviation of the scores (n − 1)."""
    expected_sd: float
    """What independent draws of the generations explain of it."""
    p_value: float
    """Of a spread of the scores as large as seen, if draws were independent; nan where nothing varied."""
    flip_rate: float
    """Share of pairs of generations of one example that disagree; nan where verdicts are not 0 or 1."""
    limit: float
    """Half width of the interval of the difference of two such runs: smaller differences mean nothing."""


class AverageNoise(Record, frozen=True):
    """The same of an unweighted average: of a domain's tasks, or overall, of domains."""

    name: str
    """Suite, or `overall`."""
    tasks: tuple[str, ...]
    scores: tuple[float, ...]
    mean: float
    sd: float
    expected_sd: float
    p_value: float
    limit: float


class NoiseReport(Record, frozen=True):
    """Everything `harness noise` found."""

    label: str
    level: float
    runs: tuple[str, ...]
    """Run directories."""
    seeds: tuple[int, ...]
    tasks: tuple[TaskNoise, ...]
    averages: tuple[AverageNoise, ...]
    """Domains of several tasks, then `overall` where there are several domains."""
    notes: tuple[str, ...]
    """Whatever limits the figures: greedy decoding, shared seeds, examples left out, spread beyond sampling."""


class DesignPoint(Record, frozen=True):
    """What a comparison with k generations per example can see."""

    num_generations: int
    difference_sd: float
    """Over examples, of the paired difference; of an average: its standard error."""
    detectable: float
    """Smallest true difference seen with the power asked for, with all examples there are."""
    required_examples: float
    """To see the difference asked for; inf where no number is enough; nan of an average."""


class TaskPlan(Record, frozen=True):
    """What a comparison on one task can see, or what it takes."""

    task: str
    suite: str
    num_examples: int
    """That the task has."""
    basis: str
    """What the variance is known from."""
    points: tuple[DesignPoint, ...]
    """Empty where nothing can be planned; k = 1 alone where the pilot cannot say what further generations bring."""
    enough_at: int | None
    """Smallest k with which all examples show the difference asked for; None where none is known to."""
    best: float
    """Smallest difference that all examples show at the largest k considered; nan where unknown."""
    reason: str | None = None
    """Why nothing, or nothing beyond k = 1, can be planned; None where it can."""


class AveragePlan(Record, frozen=True):
    """The same of an unweighted average: of a domain's tasks, or overall, of domains."""

    name: str
    """Suite, or `overall`."""
    tasks: tuple[str, ...]
    points: tuple[DesignPoint, ...]
    enough_at: int | None
    best: float
    reason: str | None = None


class SizingReport(Record, frozen=True):
    """Everything `harness plan` found."""

    difference: float
    """Asked for."""
    level: float
    power: float
    tasks: tuple[TaskPlan, ...]
    averages: tuple[AveragePlan, ...]
    notes: tuple[str, ...]
    """What the figures rest on that no pilot shows, and whatever else makes them doubtful."""
