"""Candidates against controls: did the reward matter, or would any training have moved the average as much?"""

import msgspec

from harness.stats.multiple import holm
from harness.study.findings import ControlContrast
from harness.study.gather import StudyLabels


def contrast_controls(study: StudyLabels) -> tuple[ControlContrast, ...]:
    """Return every candidate's overall difference to every control, paired by example and tested as compare does.

    p-values are Holm's over all of these pairs. A pair in which a side lacks one of the base's tasks is left out: it
    would be another average.
    """
    everything = set(study.base_tasks)
    complete = {label for label, found in study.by_label.items() if everything <= set(found.tasks)}
    found = []
    for candidate in study.of_role("candidate"):
        for control in study.of_role("control"):
            if {candidate.label, control.label} <= complete:
                overall = study.compare(control.label, candidate.label, study.base_tasks).overall
                found.append(ControlContrast(candidate.label, control.label, overall.difference, overall.p_value))
    adjusted = holm([item.p_adjusted for item in found])
    return tuple(msgspec.structs.replace(item, p_adjusted=p) for item, p in zip(found, adjusted, strict=True))
