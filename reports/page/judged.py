"""What judges add to the answer of a study, in sentences: what lengths made of a win rate, and who is whose kin."""

import math
from collections.abc import Iterator

from harness.findings import Comparison
from harness.schema import Estimate
from harness.study.findings import StudyFindings
from reports.page.price import listed
from reports.table import signed, signed_interval, true_minus


def tell_lengths(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence on each task that was judged against a baseline."""
    for task in comparison.tasks:
        effect = task.length_effect
        if effect is None:
            continue
        if math.isnan(effect.controlled.value):
            yield f"On {task.task} its win rate moved by {_part(effect.raw)}; what lengths add cannot be told."
            continue
        yield (
            f"On {task.task} its win rate moved by {_part(effect.raw)}, of which {_part(effect.length_effect)} are "
            f"length effect (how long its answers are) and {_part(effect.controlled)} stand at equal lengths."
        )


def tell_kin(findings: StudyFindings, label: str) -> Iterator[str]:
    """Yield a sentence on each reason why a judge's verdicts on a checkpoint are no independent evidence."""
    tasks: dict[str, dict[str, None]] = {}
    for found in findings.judged:
        if found.label == label and found.judge.kinship:
            tasks.setdefault(found.judge.kinship, {})[found.task] = None
    for kinship, names in tasks.items():
        yield f"Verdicts on {listed(list(names))} are no independent evidence: {kinship}."


def _part(part: Estimate) -> str:
    return true_minus(f"{signed(part.value)} points ({signed_interval(part)})")
