"""Records of a gate's verdict: its tests, the examples that got worse, and what was compared under which policy.

Scores, shares, differences and margins are fractions here (1.0 is 100 points), as in harness.findings.
"""

from typing import Literal

from harness.schema import Estimate, Record
from harness.spec import GatePolicy

GateVerdict = Literal["pass", "regression", "inconclusive"]
TestVerdict = Literal["pass", "regression", "inconclusive", "warning"]
"""Guard rails are never inconclusive: `warning` is an excess that chance may explain."""
CheckKind = Literal["task", "domain", "truncated", "no_answer", "length"]
"""The last three are guard rails."""


class GateTest(Record, frozen=True):
    """One question of the gate: is the candidate worse than the baseline by more than the policy allows?"""

    name: str
    """Task or domain; a guard rail goes by its task."""
    kind: CheckKind
    tasks: tuple[str, ...]
    """Tasks it is about: several for a domain."""
    margin: float
    """Accepted loss; of a guard rail the accepted increase, of `length` in tokens over the baseline's mean."""
    baseline: float
    """Score; of a guard rail the share of generations, of `length` mean completion tokens."""
    candidate: float
    difference: Estimate
    """Candidate minus baseline. Its interval has the coverage at which it excludes −margin if and only if the
    unadjusted test is significant (for `length` approximately: the baseline's mean has an error too)."""
    num_worse: int
    """Examples that got worse in what is tested."""
    num_better: int
    p_noninferior: float
    """One-sided, of being worse by the margin or more; nan where a test is not possible."""
    p_regression: float
    """One-sided, of not being worse than the margin; nan where a test is not possible."""
    p_regression_adjusted: float
    """Holm's, over all tests of the report."""
    verdict: TestVerdict
    more_examples: int | None
    """About how many more would decide an inconclusive test if the present difference held (a domain's: over all its
    tasks); None where none are needed, no number is known to do, or the test is a guard rail."""
    note: str | None
    """What a reader must know beside the numbers; None if nothing."""


class RegressedExample(Record, frozen=True):
    """An example whose mean score fell, with what both sides answered. Texts are cut to a length."""

    task: str
    example_id: str
    baseline_score: float
    """Mean over its generations."""
    candidate_score: float
    baseline_answer: str | None
    """Of the baseline's best generation; None if nothing could be extracted."""
    candidate_answer: str | None
    """Of the candidate's worst generation."""
    target: str | None
    input: str


class GateSide(Record, frozen=True):
    """What stood on one side of the gate."""

    label: str
    paths: tuple[str, ...]
    """Run directories; several if a label's folder was given."""
    spec_ids: tuple[str, ...]
    weights: tuple[str, ...]
    """Digests of the checkpoints' weights, without repetition."""


class GateReport(Record, frozen=True):
    """Everything `harness gate` found."""

    verdict: GateVerdict
    policy: GatePolicy
    baseline: GateSide
    candidate: GateSide
    tests: tuple[GateTest, ...]
    """Tasks, then domains, then guard rails."""
    regressed: tuple[RegressedExample, ...]
    """Of the tasks that did not pass, or whose domain did not: task by task, the largest loss first."""
    notes: tuple[str, ...]
    """Whatever limits the verdict: allowed drift, examples left out, tests that could not be made."""
    level: float
    """Coverage of the intervals: 1 − 2 × the policy's level."""
    harness_version: str
    created_at: str
    """UTC, ISO 8601."""
