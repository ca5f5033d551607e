"""Published beside measured: figures that papers print, each with its source, never mixed with ours."""

import math
from collections.abc import Sequence

from harness.schema import Estimate
from harness.study.findings import Standing, StudyFindings
from reports.published import Published, find_published
from reports.table import UNKNOWN, Cell, Column, Row, Table, percent, points_cell, signed, text_cell, with_interval

OVERALL = "overall"
"""Name of a publication's own average among its figures, and of this study's."""


def published_table(findings: StudyFindings) -> Table | None:
    """Return measured scores beside the figures that the study names; None where nothing of these was measured.

    Figures on tasks that the checkpoint was not measured on are in the notes.

    Raises:
        UsageError: if the study names figures that do not exist.
    """
    named = {item.label: [find_published(name) for name in item.published] for item in findings.spec.checkpoints}
    standings = {standing.label: standing for standing in findings.standings}
    rows, unmeasured = [], []
    for label, items in named.items():
        for published in items:
            left = []
            for task, value in published.model.figures.items():
                measured = _measured(standings.get(label), task)
                if measured is None:
                    left.append(f"{task} {value:.1f}")
                else:
                    rows.append(_row(label, published, task, measured))
            if left:
                unmeasured.append(f"Published for {label} ({published.name}), not measured here: {', '.join(left)}.")
    if not rows:
        return None
    columns = (
        Column("task", align="left", unit="text"),
        Column("measured"),
        Column("published"),
        Column("measured − published"),
        Column("inside the interval", align="left", unit="text"),
        Column("measured by", align="left", unit="text"),
        Column("published by", align="left", unit="text"),
        Column("source", align="left", unit="text"),
    )
    notes = (*_notes(findings, [item for items in named.values() for item in items], rows), *unmeasured)
    return Table("published", "Published beside measured", columns, tuple(rows), notes)


def _measured(standing: Standing | None, task: str) -> tuple[Estimate, str] | None:
    """Return a checkpoint's score on a task, or overall, and how it was measured."""
    if standing is None:
        return None
    if task == OVERALL:
        return (standing.overall, "average over this study") if standing.overall is not None else None
    found = [it for it in standing.tasks if it.task == task]
    if not found:
        return None
    return found[0].score, f"{found[0].metric}, {standing.prompting}, {found[0].score.num_examples:,} examples"


def _row(label: str, published: Published, task: str, measured: tuple[Estimate, str]) -> Row:
    score, how = measured
    value = published.model.figures[task] / 100
    if task == OVERALL:
        compared = [Cell(UNKNOWN), Cell(UNKNOWN)]
    else:
        difference = score.value - value
        compared = [Cell(signed(difference), number=difference), text_cell(_is_inside(score, value))]
    cells = (
        text_cell(task),
        with_interval(score),
        points_cell(value),
        *compared,
        text_cell(how),
        text_cell(published.protocol(task)),
        text_cell(published.name),
    )
    return Row(cells, label)


def _is_inside(score: Estimate, value: float) -> str:
    if math.isnan(score.ci_low):
        return UNKNOWN
    return "yes" if score.ci_low <= value <= score.ci_high else "no"


def _notes(findings: StudyFindings, items: Sequence[Published], rows: Sequence[Row]) -> list[str]:
    notes = [
        f"Points. The {percent(findings.spec.level)} intervals are of the measured scores; published figures come "
        "without one, and were made with other prompts, samplers and scorers than ours. Inside the interval: whether "
        "the published figure is; no test, since it has an error of its own."
    ]
    if findings.spec.limit is not None:
        notes.append(f"Measured on the first {findings.spec.limit:,} examples of each task at most; published on all.")
    if any(row.cells[0].text == OVERALL for row in rows):
        notes.append("Overall: the averages are over different tasks, so that no difference is taken.")
    publications = {item.name.split("/")[0]: item.publication for item in items}
    for stem, publication in publications.items():
        notes.append(f"{stem}: {publication.citation}. {publication.note}".rstrip())
    for item in {item.name: item for item in items}.values():
        note = f"; {item.model.note}" if item.model.note else ""
        notes.append(f"{item.name}: {item.model.title}, {item.model.where}{note}.")
    return notes
