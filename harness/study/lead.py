"""Is the best checkpoint of a column better than the next one, or only ahead by chance? Bold type rests on this."""

from collections.abc import Mapping, Sequence

import msgspec

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
    "the winner is best" (Hung & Fithian 2019, Ann. Statist. 47:758, for equal variances).
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
    best, next_best = ranked[:2]
    found = study.read_column(study.compare(next_best, best, study.comparable_tasks(column)), column)
    return Lead(column, best, next_best, found.difference, found.p_value)
