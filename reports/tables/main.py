"""The main table: checkpoints by role, tasks by domain, averages; what leads and what differs from the base is marked.

Decides nothing: leads and adjusted p-values are the findings'.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.findings import Comparison
from harness.schema import Estimate
from harness.spec import LM_EVAL_PREFIX
from harness.study.findings import ControlContrast, Standing, StudyFindings, TaskStanding
from harness.study.spec import Role
from reports.table import (
    DAGGER,
    UNKNOWN,
    Cell,
    Column,
    Row,
    Table,
    is_significant,
    percent,
    share_cell,
    signed,
    signed_interval,
    text_cell,
    with_interval,
)
from reports.tables.judged import rating_notes
from tasks.registry import SUITES

GROUPS: dict[Role, str] = {
    "base": "base",
    "candidate": "candidates",
    "control": "controls",
    "reference": "references",
}
"""Headings of the rows, in their order."""
MAX_COLUMNS = 8
"""Numbers side by side that a page of a paper holds."""


@dataclass(frozen=True)
class _Score:
    """One column of scores."""

    name: str
    """Task, domain, or `overall`."""
    title: str
    kind: Literal["task", "domain", "overall"]
    group: str = ""

    def estimate(self, standing: Standing) -> Estimate | None:
        if self.kind == "task":
            found = self.task(standing)
            return found.score if found else None
        return standing.domains.get(self.name) if self.kind == "domain" else standing.overall

    def task(self, standing: Standing) -> TaskStanding | None:
        return next((task for task in standing.tasks if self.kind == "task" and task.task == self.name), None)


def main_table(findings: StudyFindings, show_outcomes: bool = False) -> Table:
    """Return the scores of every checkpoint on every task, with averages.

    Args:
        findings: of the study.
        show_outcomes: after each task, the shares of generations that hit the token limit and that held no answer.
    """
    tasks = _tasks(findings)
    scores = [_Score(task, task, "task", domain) for domain, names in tasks.items() for task in names]
    averages = [
        _Score(domain, "average", "domain", domain)
        for domain, names in tasks.items()
        if len(names) > 1 and len(tasks) > 1  # of a single domain, it is the overall average
    ]
    by_domain = [score for domain in tasks for score in (*scores, *averages) if score.group == domain]
    overall = [_Score("overall", "overall", "overall")] if len(scores) > 1 else []
    table = _table(findings, "main", "Scores by task", [*by_domain, *overall], show_outcomes)
    return replace(table, notes=(*table.notes, *_missing(findings, [score.name for score in scores])))


def main_tables_by_domain(findings: StudyFindings) -> tuple[Table, ...]:
    """Return the averages, then one table a domain; none where the whole main table is narrow enough for a page."""
    if len(main_table(findings).columns) - 1 <= MAX_COLUMNS:
        return ()
    tasks = _tasks(findings)
    tables = []
    if len(tasks) > 1:
        averages = [*(_Score(domain, domain, "domain") for domain in tasks), _Score("overall", "overall", "overall")]
        tables.append(_table(findings, "main-domains", "Scores by domain", averages))
    for domain, names in tasks.items():
        scores = [_Score(task, task, "task") for task in names]
        average = [_Score(domain, "average", "domain")] if len(names) > 1 else []
        tables.append(_table(findings, f"main-{domain}", f"Scores on {domain}", [*scores, *average]))
    return tuple(tables)


def _tasks(findings: StudyFindings) -> dict[str, list[str]]:
    """Return the tasks that any checkpoint has, by domain, in the study's order."""
    found: dict[str, dict[str, None]] = {}
    for standing in findings.standings:
        for task in standing.tasks:
            found.setdefault(task.suite, {})[task.task] = None
    return {domain: list(names) for domain, names in found.items()}


def _table(
    findings: StudyFindings, name: str, title: str, scores: Sequence[_Score], show_outcomes: bool = False
) -> Table:
    columns = [Column("checkpoint", align="left", unit="text")]
    for score in scores:
        columns.append(Column(score.title, score.group))
        if show_outcomes and score.kind == "task":
            columns += [
                Column("cap hit", score.group, unit="percent"),
                Column("no answer", score.group, unit="percent"),
            ]
    standings = sorted(findings.standings, key=lambda standing: list(GROUPS).index(standing.role))
    rows = []
    for standing in standings:
        cells = [text_cell(standing.label)]
        for score in scores:
            cells.append(_score_cell(findings, standing, score))
            if show_outcomes and score.kind == "task":
                cells += _outcome_cells(score.task(standing))
        rows.append(Row(tuple(cells), GROUPS[standing.role]))
    return Table(name, title, tuple(columns), tuple(rows), _notes(findings, scores, show_outcomes))


def _score_cell(findings: StudyFindings, standing: Standing, score: _Score) -> Cell:
    estimate = score.estimate(standing)
    if estimate is None:
        return Cell(UNKNOWN)
    level = findings.spec.level
    is_best = any(
        lead.column == score.name and lead.best == standing.label and is_significant(level, lead.p_adjusted)
        for lead in findings.leads
    )
    differs = is_significant(level, _p_adjusted(findings.transfer.comparisons, standing.label, score))
    return with_interval(estimate, strong=is_best, mark=DAGGER if differs else "")


def _p_adjusted(comparisons: Iterable[Comparison], label: str, score: _Score) -> float:
    """Return the adjusted p-value of a checkpoint's difference to the plain base; nan where there is none."""
    for found in comparisons:
        if found.candidate == label and found.base_kind == "plain":
            tasks = {task.task: task.p_adjusted for task in found.tasks}
            domains = {domain.name: domain.p_adjusted for domain in found.domains}
            by_kind = {"task": tasks, "domain": domains, "overall": {"overall": found.overall.p_adjusted}}
            return by_kind[score.kind].get(score.name, float("nan"))
    return float("nan")


def _outcome_cells(task: TaskStanding | None) -> list[Cell]:
    if task is None:
        return [Cell(UNKNOWN), Cell(UNKNOWN)]
    return [share_cell(task.outcomes.truncated), share_cell(task.outcomes.no_answer)]


def _notes(findings: StudyFindings, scores: Sequence[_Score], show_outcomes: bool) -> tuple[str, ...]:
    level = percent(findings.spec.level)
    notes = [f"Scores in points from 0 to 100, with {level} intervals."]
    tasks = [score.name for score in scores if score.kind == "task"]
    notes += [*_measure_notes(findings, tasks), *rating_notes(findings, tasks)]
    if any(score.kind == "domain" for score in scores):
        notes.append("The average of a domain weighs its tasks equally.")
    if any(score.kind == "overall" for score in scores):
        notes.append(
            f"Overall weighs {findings.spec.overall} equally, and is of checkpoints that have every task of the base."
        )
    notes.append(
        f"{DAGGER} differs from the base, up or down, at the {level} level (paired by example, Holm-adjusted; only "
        "candidates and controls are tested). Bold: best of its column, and ahead of every other at that level."
    )
    if findings.spec.elicited_label in {standing.label for standing in findings.standings}:
        notes.append(f"{findings.spec.elicited_label}: the base in its best prompt style; it takes no part in bold.")
    if show_outcomes:
        notes.append("Cap hit: generations cut off at the token limit. No answer: generations in which none was found.")
    notes += _average_notes(findings, scores)
    if any(score.estimate(standing) is None for standing in findings.standings for score in scores):
        notes.append(f"{UNKNOWN} not measured, or an average that lacks a task.")
    return tuple(notes)


def _average_notes(findings: StudyFindings, scores: Sequence[_Score]) -> list[str]:
    """Say which tasks are in no average, and what candidates are ahead of controls by, overall."""
    notes = []
    of_base = {task.task for it in findings.standings if it.label == findings.spec.base.label for task in it.tasks}
    lacking = [score.name for score in scores if score.kind == "task" and score.name not in of_base]
    if lacking:
        notes.append(f"In no average, since the base lacks it: {', '.join(lacking)}.")
    pairs = findings.against_controls if any(score.kind == "overall" for score in scores) else ()
    if pairs:
        notes.append(f"Overall, candidate − control: {'; '.join(_against_control(pair) for pair in pairs)}.")
    return notes


def _against_control(pair: ControlContrast) -> str:
    mark = DAGGER if is_significant(pair.difference.level, pair.p_adjusted) else ""
    between = f"{pair.candidate} − {pair.control}"
    return f"{between} {signed(pair.difference.value)}{mark} ({signed_interval(pair.difference)})"


def _measure_notes(findings: StudyFindings, names: Sequence[str]) -> list[str]:
    """Say what was measured on which tasks, and on how many examples."""
    tasks = [task for standing in findings.standings for task in standing.tasks if task.task in names]
    metrics: dict[str, dict[str, None]] = {}
    sizes: dict[str, set[int]] = {name: set() for name in names}
    for task in tasks:
        metrics.setdefault(task.metric, {})[task.task] = None
        sizes[task.task].add(task.score.num_examples)
    if not tasks:
        return []
    said = [metric if len(metrics) == 1 else f"{metric} ({', '.join(of)})" for metric, of in metrics.items()]
    counted = [f"{name} {_range(of)}" for name, of in sizes.items()]
    return [f"Metric: {'; '.join(said)}.", f"Examples: {', '.join(counted)}."]


def _missing(findings: StudyFindings, measured: Sequence[str]) -> list[str]:
    """Say which rows and columns the study asked for and has not."""
    spec = findings.spec
    rows = {standing.label for standing in findings.standings}
    labels = [checkpoint.label for checkpoint in spec.checkpoints if checkpoint.label not in rows]
    asked = dict.fromkeys(task for name in spec.tasks for task in SUITES.get(name, (name,)))
    # a name of lm-eval may be that of a group, whose members only lm-eval knows
    tasks = [task for task in asked if task not in measured and not task.startswith(LM_EVAL_PREFIX)]
    notes = [f"Without a finished run: {', '.join(labels)}."] if labels else []
    return [*notes, *([f"Not measured on any checkpoint: {', '.join(tasks)}."] if tasks else [])]


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
