"""What figures show, taken from the findings and put in order: rows of differences, checkpoints and their looks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.findings import Comparison, Decomposition
from harness.schema import Estimate
from harness.study.findings import Standing, StudyFindings
from reports.figures.style import Theme
from reports.tables.sides import knows_training

MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
LINE_STYLES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Look:
    """How a checkpoint is drawn in every figure: no two agree in colour and marker."""

    color: str
    marker: str
    line: str | tuple[int, tuple[float, ...]]
    fill: str
    """The marker's own colour: the background for the base and references, whose markers are open."""


@dataclass(frozen=True)
class Difference:
    """One row of a comparison: a task, the average of a domain's tasks, or the overall average."""

    name: str
    domain: str
    """Empty for the overall average."""
    is_average: bool
    base: Estimate
    candidate: Estimate
    difference: Estimate
    p_adjusted: float
    decomposition: Decomposition


@dataclass(frozen=True)
class RowName:
    """A row that a figure has room for, whether every candidate has it or not."""

    name: str
    domain: str
    is_average: bool


def comparisons(findings: StudyFindings) -> list[Comparison]:
    """Return every candidate's and control's comparison with the plain base."""
    return [found for found in findings.transfer.comparisons if found.base_kind == "plain"]


def elicited(findings: StudyFindings) -> dict[str, Comparison]:
    """Return the comparisons with the elicited base, by candidate; empty where the study has none."""
    return {found.candidate: found for found in findings.transfer.comparisons if found.base_kind == "elicited"}


def differences(found: Comparison) -> dict[tuple[str, bool], Difference]:
    """Return a comparison's tasks and averages by name and whether it is an average."""
    rows = [
        Difference(t.task, t.suite, False, t.base.score, t.candidate.score, t.difference, t.p_adjusted, t.decomposition)
        for t in found.tasks
    ]
    rows += [
        Difference(
            a.name, a.name if a is not found.overall else "", True, a.base, a.candidate, a.difference, a.p_adjusted,
            a.decomposition,
        )
        for a in (*found.domains, found.overall)
    ]  # fmt: skip
    return {(row.name, row.is_average): row for row in rows}


def row_names(found: Sequence[Comparison]) -> list[RowName]:
    """Return the rows that all comparisons together have: each domain's average, then its tasks; overall at the end.

    An average of one thing has no row of its own: a domain of one task, or the overall average of one domain.
    """
    tasks = {task.task: task.suite for comparison in found for task in comparison.tasks}
    rows = []
    for domain in dict.fromkeys(tasks.values()):
        members = [name for name, suite in tasks.items() if suite == domain]
        if len(members) > 1:
            rows.append(RowName(domain, domain, True))
        rows += [RowName(name, domain, False) for name in members]
    if len(set(tasks.values())) > 1:
        rows.append(RowName("overall", "", True))
    return rows


def domain_names(findings: StudyFindings) -> list[str]:
    """Return the study's domains in the order of its tasks."""
    return list(dict.fromkeys(task.suite for standing in findings.standings for task in standing.tasks))


def titles(findings: StudyFindings) -> dict[str, str]:
    """Return each checkpoint's name in figures, by label: its title, unless two share it."""
    found = {standing.label: standing.title or standing.label for standing in findings.standings}
    shared = [title for title in found.values() if list(found.values()).count(title) > 1]
    return {label: label if title in shared else title for label, title in found.items()}


def title_of(findings: StudyFindings, label: str) -> str:
    """Return a checkpoint's name in figures; its label where it has no row of its own."""
    return titles(findings).get(label, label)


def looks(findings: StudyFindings, theme: Theme) -> dict[str, Look]:
    """Return how each checkpoint is drawn: base and references open, in ink and grey; the others filled, in colour."""
    bases = [row.label for row in findings.standings if row.role == "base"]
    references = [row.label for row in findings.standings if row.role == "reference"]
    arms = [row.label for row in findings.standings if row.role in ("candidate", "control")]
    arms += [label for label in findings.trajectories if label not in (*bases, *references, *arms)]
    found = {label: Look(theme.ink, "o" if i == 0 else "8", LINE_STYLES[2 - i % 2], theme.background)
             for i, label in enumerate(bases)}  # fmt: skip
    found |= {label: Look(theme.muted, MARKERS[i % len(MARKERS)], LINE_STYLES[3], theme.background)
              for i, label in enumerate(references)}  # fmt: skip
    return found | {label: _series_look(i, theme) for i, label in enumerate(arms)}


def _series_look(number: int, theme: Theme) -> Look:
    color = theme.series[number % len(theme.series)]
    return Look(color, MARKERS[number % len(MARKERS)], LINE_STYLES[number % len(LINE_STYLES)], color)


def trained_on(found: Comparison) -> str:
    """Return in words what the candidate was trained on."""
    domains = found.transfer.trained_on
    if domains:
        return f"trained on {' and '.join(domains)}"
    return "trained on none of these" if knows_training(found) else "training not stated"


def finite(values: Sequence[float]) -> list[float]:
    """Return the values that are numbers."""
    return [value for value in values if math.isfinite(value)]


def domain_means(standing: Standing, values: Mapping[str, float]) -> dict[str, float]:
    """Return the unweighted means of a task-wise quantity by domain, of the domains that the standing has whole.

    nan where a task of the domain has none: a mean over fewer tasks would be another mean.
    """
    suites = {task.task: task.suite for task in standing.tasks}
    members = {domain: [name for name, suite in suites.items() if suite == domain] for domain in standing.domains}
    return {domain: sum(values[name] for name in names) / len(names) for domain, names in members.items() if names}
