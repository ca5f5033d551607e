"""Records of what an audit found: how far training prompts and evaluation examples overlap."""

from typing import Literal

from harness.schema import Estimate, Record


class OverlapMatch(Record, frozen=True):
    """The strongest evidence against one example."""

    example_id: str
    kind: Literal["exact", "near", "13-gram"]
    row: int
    """Of the training file, from 1; blank lines do not count."""
    evidence: str
    """The similarity, or the first shared run of words; empty if exact."""


class TaskOverlap(Record, frozen=True):
    """One task's examples searched for in one file of training prompts."""

    task: str
    suite: str
    num_examples: int
    num_exact: int
    """Examples whose normalised text is a training prompt's."""
    num_ngram_13: int
    """Examples that share at least one run of 13 words with a training prompt."""
    num_ngram_8: int
    """Examples that share at least one run of 8 words with a training prompt."""
    num_near: int
    """Examples whose word shingles agree with those of a training prompt, by Jaccard similarity."""
    num_short: int
    """Examples with fewer than 8 words, which only the exact and near searches see."""
    contaminated: tuple[str, ...]
    """Ids of the examples that count as contaminated: exact, near, or covered by 13-grams."""
    matches: tuple[OverlapMatch, ...] = ()
    """One for each contaminated example, in their order."""
    num_covered: int = 0
    """Examples of which 13-grams of one training prompt cover at least the share `Audit.min_cover`."""


class CleanDifference(Record, frozen=True):
    """A candidate's difference to the base on the contaminated and on the clean examples of a task."""

    label: str
    task: str
    suite: str
    num_contaminated: int
    num_clean: int
    all_examples: Estimate
    clean: Estimate
    contaminated: Estimate
    """nan estimate where there are no such examples."""
    difference_in_difference: Estimate
    """Contaminated minus clean: what contamination may have added."""
    base_clean: Estimate
    candidate_clean: Estimate


class LabelFinding(Record, frozen=True):
    """A label of the training file that its text contradicts, or bears out."""

    field: str
    """Such as `data_source`."""
    value: str
    num_prompts: int
    says: str
    """What the label says, in words."""
    found: str
    """What the text shows, with the counts."""
    contradicts: bool


class Audit(Record, frozen=True):
    """One file of training prompts against a set of tasks."""

    prompts: str
    """File, as given."""
    sha256: str
    """Of its bytes."""
    num_prompts: int
    num_unique: int
    """After normalisation."""
    near_threshold: float
    """Smallest Jaccard similarity that counts as near."""
    tasks: tuple[TaskOverlap, ...]
    differences: tuple[CleanDifference, ...]
    """Of the checkpoints that were trained on the file; empty for a bare audit."""
    labels: tuple[LabelFinding, ...]
    notes: tuple[str, ...]
    min_cover: float = 0.5
    """Share of an example's words from which on shared 13-grams count as contamination; 0 counts a single one."""
