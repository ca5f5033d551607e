"""What `harness judge` prints: win rates with and without length, how far the judge can be trusted, a ranking."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.text import Text

from harness.judging.judgment import Judgment, TaskJudgment, join_games
from harness.plan import describe_key
from harness.schema import Score
from harness.stats.bradley_terry import estimate_strengths
from reports.formats.terminal import print_table
from reports.table import Cell, Column, Row, Table, count_cell, number_cell, share_cell, text_cell, with_interval

COLUMNS = (
    Column("task", align="left", unit="text"),
    Column("pairs", unit="plain"),
    Column("win rate"),
    Column("LC win rate"),
    Column("ties", unit="percent"),
    Column("b", group="characters", unit="plain"),
    Column("a", group="characters", unit="plain"),
    Column("orders agree", unit="percent"),
    Column("first preferred", unit="percent"),
)


def print_judgments(judgments: Sequence[Judgment], console: Console, unread: Sequence[Score | None]) -> None:
    """Print judgments of one judge, each with one pair that has no verdict, if there is any: it shows why."""
    for judgment, score in zip(judgments, unread, strict=True):
        print_table(judgment_table(judgment), console, inline=True)
        notes = _warnings(judgment)
        if score is not None:
            notes.append(f"such as {describe_key(score.key)}: {score.detail}")
        for note in notes:
            console.print(Text.assemble(("note ", "yellow"), note), highlight=False)
        console.print()


def judgment_table(judgment: Judgment) -> Table:
    """Return a judgment, a row a task."""
    a, b = judgment.a.label, judgment.b.label
    notes = [
        f"Win rate: share of pairs in which the answer of {b} (b) is the better one than that of {a} (a), ties half. "
        "LC: if both answers were equally long.",
        "Orders agree: pairs on which the judge prefers the same answer whichever it sees first. First preferred: how "
        "often it prefers what it sees first; 50 % without a position bias.",
    ]
    return Table(
        name="judgment",
        title=f"{b} against {a}, judged by {judgment.judge.name}",
        columns=COLUMNS,
        rows=tuple(Row(_cells(task)) for task in judgment.tasks),
        notes=tuple(notes[:1] if judgment.judge.kind == "reward" else notes),
    )


def _cells(task: TaskJudgment) -> tuple[Cell, ...]:
    num_read = task.num_matches - task.num_errors
    return (
        text_cell(task.task),
        count_cell(num_read),
        with_interval(task.win_rate),
        with_interval(task.metrics["lc_win_rate"]),
        share_cell(task.num_ties / num_read if num_read else None),
        number_cell(task.metrics["characters"].value, 0),
        number_cell(task.metrics["baseline_characters"].value, 0),
        share_cell(task.order_agreement.value),
        share_cell(task.first_share.value),
    )


def _warnings(judgment: Judgment) -> list[str]:
    """Return what a reader has to know beside the numbers."""
    found = [f"kin: {side.kin}" for side in (judgment.a, judgment.b) if side.kin]
    for task in judgment.tasks:
        for label, counts in ((judgment.a.label, task.a), (judgment.b.label, task.b)):
            for number, what in ((counts.num_empty, "empty"), (counts.num_truncated, "cut off at max_tokens")):
                if number:
                    found.append(f"{task.task}: {number} of {task.num_matches} answers of {label} are {what}")
        if task.num_identical:
            found.append(f"{task.task}: {task.num_identical} of {task.num_matches} pairs are the same text twice")
        if task.num_errors:
            found.append(
                f"{task.task}: {task.num_errors} of {task.num_matches} pairs have no readable verdict and are left "
                "out; run the same command again to ask once more"
            )
    return list(dict.fromkeys(found))  # of a run against itself both sides say the same


def print_ranking(
    baseline: str,
    scores: Mapping[str, Sequence[Score]],
    console: Console,
    clusters: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Print the strengths of several candidates, each held against the baseline.

    Args:
        baseline: its label, whose strength is 0.
        scores: those of each candidate, by label.
        console: where to.
        clusters: of examples that do not stand alone, by task and id.
    """
    standings = estimate_strengths(join_games(baseline, scores, clusters), np.random.default_rng(0))
    order = sorted(scores, key=lambda label: -standings.win_rates[label].value)
    table = Table(
        name="ranking",
        title=f"Bradley-Terry, against {baseline}",
        columns=(Column("model", align="left", unit="text"), Column("win rate"), Column("strength", unit="plain")),
        rows=tuple(
            Row(
                (
                    text_cell(label),
                    with_interval(standings.win_rates[label]),
                    number_cell(standings.strengths[label].value),
                )
            )
            for label in order
        ),
        notes=(f"Strength: log-odds of a win over {baseline}. Intervals: prompts drawn anew, of all tasks together.",),
    )
    print_table(table, console, inline=True)
