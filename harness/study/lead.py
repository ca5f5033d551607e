"""Is the best checkpoint of a column better than the others, or only ahead by chance? Bold type rests on this."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from harness.findings import AverageComparison, TaskComparison
from harness.schema import Estimate
from harness.stats.multiple import holm
from harness.study.findings import Lead, Standing
from harness.study.gather import StudyLabels


def find_leads(study: StudyLabels, standings: Sequence[Standing]) -> tuple[Lead, ...]:
    """Return the lead in every column that two labels have: tasks, domains, overall.

    Best and next best are the two highest scores; of equal ones, the earlier in the study is the best. All rows take
    part but the elicited base, which is the base's own weights asked otherwise. Their difference is paired by example
    and tested as `harness compare` does; p-values are Holm's over the columns of a kind. That the scores which are
    tested also picked the two needs no correction: the two-sided test of winner against runner-up keeps its level for
    "the winner is best" (Hung & Fithian 2019, Ann. Statist. 47:758), for equal variances. Paired differences have not:
    two runs of one recipe are told apart sooner than either from a stranger. So a best that is significantly ahead of
    the next is tested against all others too, and the largest p counts: it is best only if it is ahead of each
    (intersection-union, Berger 1982, Technometrics 24:295). Examples that one side alone has lead nobody: where it is
    behind on those that both have, p is 1.
    """
    scores = {standing.label: column_scores(standing) for standing in standings}
    scores.pop(study.spec.elicited_label or "", None)
    found = [lead for column in study.columns if (lead := _lead(study, scores, column)) is not None]
    adjusted: dict[str, float] = {}
    for kind in (study.suites, study.domains, ("overall",)):
        leads = [lead for lead in found if lead.column in kind]
        adjusted |= zip((lead.column for lead in leads), holm([lead.p_adjusted for lead in leads]), strict=True)
    return tuple(msgspec.structs.replace(lead, p_adjusted=adjusted[lead.column]) for lead in found)


def column_scores(standing: Standing) -> dict[str, Estimate]:
    """Return a standing's score in every column that it has."""
    overall = {} if standing.overall is None else {"overall": standing.overall}
    return {**{task.task: task.score for task in standing.tasks}, **standing.domains, **overall}


def _lead(study: StudyLabels, scores: Mapping[str, Mapping[str, Estimate]], column: str) -> Lead | None:
    """Return a column's lead, its p-value not yet adjusted."""
    ranked = sorted((label for label in scores if column in scores[label]), key=lambda x: -scores[x][column].value)
    if len(ranked) < 2:
        return None
    best, *others = ranked
    found = _ahead(study, best, others[0], column)
    p_value = _p_value(found)
    if p_value < 1 - study.spec.level:  # else it is not ahead anyway
        rest = [_p_value(_ahead(study, best, other, column)) for other in others[1:]]
        p_value = max([p_value, *(1.0 if math.isnan(p) else p for p in rest)])
    return Lead(column, best, others[0], found.difference, p_value)


def _ahead(study: StudyLabels, best: str, other: str, column: str) -> TaskComparison | AverageComparison:
    return study.read_column(study.compare(other, best, study.comparable_tasks(column)), column)


def _p_value(found: TaskComparison | AverageComparison) -> float:
    """Return the p-value of being ahead: 1 for who is behind; nan where nothing could be tested."""
    return 1.0 if found.difference.value < 0 else found.p_value
