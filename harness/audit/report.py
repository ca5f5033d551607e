"""From a file of training prompts and a set of tasks to an Audit: one pass over the file."""

from harness.audit.findings import Audit
from harness.audit.labels import LabelTally
from harness.audit.overlap import MIN_COVER, OverlapSearch, Tasks, batches
from harness.audit.prompts import PromptFile

NEAR_THRESHOLD = 0.8


def audit_prompts(
    prompts: PromptFile, tasks: Tasks, threshold: float = NEAR_THRESHOLD, min_cover: float = MIN_COVER
) -> Audit:
    """Search training prompts for evaluation examples, and check what the file's labels say of its text.

    Args:
        prompts: the file.
        tasks: task name → suite and examples; `Example.input` is what is searched for.
        threshold: smallest Jaccard similarity of 5-word shingles that counts as near.
        min_cover: share of an example's words that 13-grams of one prompt must cover for it to count as contaminated;
            0 counts a single one.

    Raises:
        DataError: if a row has no prompt.
        UsageError: if the threshold is not in (0, 1].
    """
    search, labels = OverlapSearch(tasks, threshold, min_cover), LabelTally()
    num_prompts, unique = 0, set[int]()
    for batch in batches(prompts):
        num_prompts += len(batch)
        unique.update(hash(words) for words in search.add(batch))
        for prompt in batch:
            labels.add(prompt)
    return Audit(
        prompts=str(prompts.path),
        sha256=prompts.sha256,
        num_prompts=num_prompts,
        num_unique=len(unique),
        near_threshold=threshold,
        tasks=search.finish(),
        differences=(),
        labels=labels.findings(),
        notes=search.notes(),
        min_cover=min_cover,
    )
