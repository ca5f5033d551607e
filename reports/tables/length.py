"""How generations ended: their length, and the shares that were cut off, held no answer or timed out."""

from harness.study.findings import StudyFindings
from reports.table import UNKNOWN, Column, Row, Table, number_cell, share_cell, text_cell


def length_table(findings: StudyFindings) -> Table:
    """Return a row for each task and checkpoint; the column of timeouts only where there are any."""
    tasks = dict.fromkeys(task.task for standing in findings.standings for task in standing.tasks)
    found = [
        (standing.label, next(task for task in standing.tasks if task.task == name))
        for name in tasks
        for standing in findings.standings
        if any(task.task == name for task in standing.tasks)
    ]
    shows_timeouts = any(task.outcomes.timeout > 0 for _, task in found)
    columns = (
        Column("checkpoint", align="left", unit="text"),
        Column("generations", unit="plain"),
        Column("mean tokens", unit="plain"),
        Column("cap hit", unit="percent"),
        Column("no answer", unit="percent"),
        *([Column("timed out", unit="percent")] if shows_timeouts else []),
    )
    rows = []
    for label, task in found:
        shares = [task.outcomes.truncated, task.outcomes.no_answer]
        shares += [task.outcomes.timeout] if shows_timeouts else []
        cells = (
            text_cell(label),
            number_cell(task.score.num_examples * task.num_generations, 0),
            number_cell(task.outcomes.mean_tokens, 0),
            *(share_cell(share, 1) for share in shares),
        )
        rows.append(Row(cells, task.task))
    notes = (
        "Cap hit: generations cut off at the token limit. No answer: generations in which none was found, scored 0.",
        *(["Timed out: generations whose judging hit its time limit, scored 0."] if shows_timeouts else []),
        *(
            [f"{UNKNOWN} the runs do not say."]
            if any(cell.text == UNKNOWN for row in rows for cell in row.cells)
            else []
        ),
    )
    return Table("length", "How generations ended", columns, tuple(rows), notes)
