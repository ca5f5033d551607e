"""Records of what a study found: everything that tables, figures and the page are made of.

Scores, shares and differences are fractions (1.0 is 100 points). nan where a number is undefined.
"""

from typing import Literal

from harness.audit.findings import Audit
from harness.findings import Outcomes, TransferReport
from harness.schema import Estimate, Record, RunRecord
from harness.study.spec import Role, StudySpec
from harness.watch import TrajectoryPoint


class TaskStanding(Record, frozen=True):
    """What one checkpoint scores on one task, by itself."""

    task: str
    suite: str
    metric: str
    num_generations: int
    """Per example (k), all runs together."""
    score: Estimate
    outcomes: Outcomes


class Standing(Record, frozen=True):
    """One row of the main table."""

    label: str
    title: str
    role: Role
    trained_on: tuple[str, ...]
    """Empty if not known."""
    prompting: str
    """Styles its runs were asked in, such as `chat`."""
    tasks: tuple[TaskStanding, ...]
    """In the study's order; only tasks it has."""
    domains: dict[str, Estimate]
    """By domain; only those of which it has every task that the base has, since fewer would be another average."""
    overall: Estimate | None
    """None unless it has every task that the base has."""


class Lead(Record, frozen=True):
    """In one column of the main table: the best checkpoint against the next, and whether it is ahead of all."""

    column: str
    """Task, domain, or `overall`."""
    best: str
    next_best: str
    difference: Estimate
    """Best minus next, paired by example."""
    p_adjusted: float
    """Of being ahead of every other one; Holm's, over the columns of its kind (tasks, domains, overall)."""


class ControlContrast(Record, frozen=True):
    """A candidate's overall average against a control's."""

    candidate: str
    control: str
    difference: Estimate
    """Candidate minus control, paired by example."""
    p_adjusted: float
    """Holm's, over all pairs of a candidate and a control."""


class PassCurve(Record, frozen=True):
    """pass@k of one checkpoint on one task, for k = 1, 2, 4, … up to its generations."""

    label: str
    task: str
    ks: tuple[int, ...]
    pass_at_k: tuple[Estimate, ...]


class CostRow(Record, frozen=True):
    """What one checkpoint cost, all stages from the base on, and what it bought."""

    label: str
    stages: tuple[str, ...]
    """Labels whose training is counted, earliest first; its own is the last."""
    prompts: int | None
    """None where a stage does not say."""
    rollouts: int | None
    gpu_hours: float | None
    source: str
    """`training.json`, or `typed` with what the study file says of it; and where the two contradict each other."""
    gain: Estimate
    """Overall difference to the base; nan unless it has every task that the base has."""
    gain_per_gpu_hour: Estimate | None
    """None where the cost is not known, or is 0."""
    gain_per_1k_prompts: Estimate | None
    on_front: bool
    """Neither another row nor the base, at no cost, is at least as good and as cheap, and better in one of the two;
    False where hours are not known."""


class ClaimVerdict(Record, frozen=True):
    """What the data say to one claim."""

    claim: str
    source: str
    verdict: Literal["supported", "refuted", "undecided"]
    evidence: str
    """One line: the numbers that decide."""


class StudyRun(Record, frozen=True):
    """One run that the study read."""

    label: str
    """The study's, which may differ from the run's own."""
    path: str
    """As found."""
    grading: str
    record: RunRecord


class JudgeNote(Record, frozen=True):
    """Who judged."""

    name: str
    kinship: str | None
    """One sentence that says why the judge is kin of the checkpoint; None if nothing is known that makes it so."""


class JudgedFinding(Record, frozen=True):
    """What a judge found of one run on one task; differences are in the comparisons."""

    label: str
    spec_id: str
    """Of the run."""
    task: str
    kind: Literal["pair", "rating"]
    """Preferred to a baseline's answers, or rated by itself."""
    score: Estimate
    """Win rate, or mean rating as a share of the highest."""
    metrics: dict[str, Estimate]
    """Further ones by name; harness.schema.OWN_UNIT has those that are no shares."""
    truncated: float
    """Share of the answers that hit max_tokens; nan where the run does not say."""
    judge: JudgeNote


class StudyFindings(Record, frozen=True):
    """Everything a report of a study is made of, but the texts of generations."""

    spec: StudySpec
    transfer: TransferReport
    """Candidates and controls against the base, and against the elicited base where there is one."""
    standings: tuple[Standing, ...]
    """In the study's order; an elicited base stands after the base, with its own label."""
    leads: tuple[Lead, ...]
    curves: tuple[PassCurve, ...]
    costs: tuple[CostRow, ...]
    """Of candidates and controls; references where a cost was given."""
    claims: tuple[ClaimVerdict, ...]
    audits: tuple[Audit, ...]
    trajectories: dict[str, tuple[TrajectoryPoint, ...]]
    """By label, oldest step first."""
    runs: tuple[StudyRun, ...]
    not_run: tuple[str, ...]
    """Checkpoints, tasks or sections that are missing, one line each with the reason."""
    against_controls: tuple[ControlContrast, ...] = ()
    """Of candidates and controls that have every task of the base."""
    judged: tuple[JudgedFinding, ...] = ()
    """By task, in the study's order."""
