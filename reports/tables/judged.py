"""Judged conversation: win rates with and without length, ratings, and what lengths add to a difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.findings import Comparison
from harness.schema import Estimate
from harness.study.findings import JudgedFinding, StudyFindings
from reports.table import (
    UNKNOWN,
    Cell,
    Column,
    Row,
    Table,
    number_cell,
    percent,
    plain,
    plain_interval,
    share_cell,
    signed_cell,
    text_cell,
    with_interval,
)
from reports.tables.sides import table_name, table_title

KIN = "‡"
"""Mark of a judge that is kin of the checkpoint it judged."""


@dataclass(frozen=True)
class _Metric:
    """A column of one of the findings' further metrics."""

    name: str
    title: str
    says: str = ""
    """Of the notes."""
    unit: Literal["points", "percent", "plain"] = "plain"
    digits: int = 0

    def cell(self, found: JudgedFinding) -> Cell:
        estimate = found.metrics.get(self.name)
        if estimate is None:
            return Cell(UNKNOWN)
        if self.unit == "points":
            return with_interval(estimate)
        if self.unit == "percent":
            return share_cell(estimate.value, 1)
        return own_unit_cell(estimate, self.digits) if self.digits else number_cell(estimate.value, 0)


_RATES = (
    _Metric(
        "lc_win_rate",
        "length-controlled",
        "Length-controlled: what the win rate would be if both answers were equally long.",
        "points",
    ),
    _Metric(
        "style_win_rate",
        "style-controlled",
        "Style-controlled: if they were equally long and had as many headers, list items and bold phrases.",
        "points",
    ),
    _Metric(
        "bradley_terry",
        "Bradley-Terry",
        "Bradley-Terry: the win rate of a Bradley-Terry fit to verdicts in which a strong one counts several times.",
        "points",
    ),
)
_LENGTHS = (
    _Metric("characters", "characters", "Characters: mean length of an answer, reasoning stripped."),
    _Metric("baseline_characters", "baseline's characters"),
)
_AGREEMENT = _Metric(
    "order_agreement",
    "orders agree",
    "Orders agree: pairs on which the judge prefers the same answer whichever it sees first.",
    "percent",
)
_RATINGS = (
    _Metric("rating", "rating", digits=2),
    _Metric("rating_1", "first turn", digits=2),
    _Metric("rating_2", "second turn", digits=2),
)
_EMPTY = _Metric(
    "empty", "empty", "Empty answers, and those cut off at the token limit, are judged as they are.", "percent"
)


def own_unit_cell(estimate: Estimate, digits: int = 2) -> Cell:
    """Return a number that is no share, with its interval, for a `plain` column."""
    return Cell(plain(estimate.value, digits), plain_interval(estimate, digits), number=estimate)


def win_rates_table(findings: StudyFindings) -> Table | None:
    """Return a row for each judged run and task with a baseline; None where there is none."""
    found = [item for item in findings.judged if item.kind == "pair"]
    if not found:
        return None
    rates = [each for each in _RATES if any(each.name in item.metrics for item in found)]
    agreement = [_AGREEMENT] if any(_AGREEMENT.name in item.metrics for item in found) else []
    shown = (*rates, *_LENGTHS, *agreement, _EMPTY)
    columns = (Column("checkpoint", align="left", unit="text"), Column("win rate"), *_columns(shown), *_LAST)
    rows = [
        Row((_label(found, item), with_interval(item.score), *_cells(shown, item), *_last_cells(item)), item.task)
        for item in found
    ]
    notes = (
        f"Win rate: share of the prompts on which the judge prefers the checkpoint's answer to the baseline's, ties "
        f"half, in points with {percent(findings.spec.level)} intervals.",
        *_notes(shown, found),
    )
    return Table("judged", "Judged conversation: win rates", columns, tuple(rows), notes)


def ratings_table(findings: StudyFindings) -> Table | None:
    """Return a row for each run and task with ratings, in their own unit; None where there is none."""
    found = [item for item in findings.judged if item.kind == "rating"]
    if not found:
        return None
    shown = (*_RATINGS, _LENGTHS[0], _EMPTY)
    columns = (Column("checkpoint", align="left", unit="text"), *_columns(shown), *_LAST)
    rows = [Row((_label(found, item), *_cells(shown, item), *_last_cells(item)), item.task) for item in found]
    notes = (
        f"Mean ratings, from 1 to 10, with {percent(findings.spec.level)} intervals. {_rating_note(found)}",
        *_notes(shown, found),
    )
    return Table("ratings", "Judged conversation: ratings", columns, tuple(rows), notes)


def rating_notes(findings: StudyFindings, tasks: Sequence[str]) -> list[str]:
    """Say which of some tasks' scores are ratings: among shares, they stand as shares of the highest."""
    found = [item for item in findings.judged if item.kind == "rating" and item.task in tasks]
    return [_rating_note(found)] if found else []


def _rating_note(found: Sequence[JudgedFinding]) -> str:
    tasks = ", ".join(dict.fromkeys(item.task for item in found))
    return f"Wherever scores are in points, that of {tasks} is the mean rating / 10."


def length_effect_table(comparison: Comparison) -> Table | None:
    """Return what lengths add to each difference of win rates; None where nothing was judged against a baseline."""
    found = [(task.task, task.length_effect) for task in comparison.tasks if task.length_effect is not None]
    if not found:
        return None
    rows = [
        Row(
            (
                text_cell(task),
                signed_cell(effect.raw),
                signed_cell(effect.controlled),
                signed_cell(effect.length_effect),
                _change_of_length(effect.base_length, effect.candidate_length),
                number_cell(effect.baseline_length, 0),
            )
        )
        for task, effect in found
    ]
    return Table(
        name=table_name("length-effect", comparison),
        title=table_title(comparison, "what the lengths of answers add to win rates"),
        columns=(
            Column("task", align="left", unit="text"),
            Column("win rate"),
            Column("= length-controlled"),
            Column("+ length effect"),
            Column("characters", unit="plain"),
            Column("baseline's", unit="plain"),
        ),
        rows=tuple(rows),
        notes=(
            "Differences in points. Length-controlled: between what both win rates would be if all answers were as "
            "long as the baseline's. The intervals are of one bootstrap of the prompts, both fits made anew each time.",
        ),
    )


def _change_of_length(before: float, after: float) -> Cell:
    return Cell(f"{plain(before, 0)} → {plain(after, 0)}", number=after, before=before)


_LAST = (Column("truncated", unit="percent"), Column("judge", align="left", unit="text"))


def _last_cells(found: JudgedFinding) -> tuple[Cell, Cell]:
    mark = KIN if found.judge.kinship else ""
    return share_cell(found.truncated, 1), Cell(found.judge.name, mark=mark)


def _columns(shown: Sequence[_Metric]) -> list[Column]:
    return [Column(each.title, unit=each.unit) for each in shown]


def _cells(shown: Sequence[_Metric], found: JudgedFinding) -> list[Cell]:
    return [each.cell(found) for each in shown]


def _label(found: Sequence[JudgedFinding], item: JudgedFinding) -> Cell:
    """Return the checkpoint, with its run where it has several."""
    is_alone = sum((other.label, other.task) == (item.label, item.task) for other in found) == 1
    return text_cell(item.label if is_alone else f"{item.label} {item.spec_id[:8]}")


def _notes(shown: Sequence[_Metric], found: Sequence[JudgedFinding]) -> list[str]:
    notes = [each.says for each in shown if each.says]
    kinships = dict.fromkeys(item.judge.kinship for item in found if item.judge.kinship)
    notes += [f"{KIN} kin: {sentence}, so these verdicts are no independent evidence." for sentence in kinships]
    if any(each.cell(item).text == UNKNOWN for each in shown for item in found):
        notes.append(f"{UNKNOWN} not asked, or not known.")
    return notes
