"""An audit's tables: how far prompts and examples overlap, what is left on clean examples, labels that are wrong."""

import re
from pathlib import Path

from harness.audit.findings import Audit
from reports.table import (
    Column,
    Row,
    Table,
    count_cell,
    percent,
    share_cell,
    signed_cell,
    text_cell,
    with_interval,
)


def contamination_table(audit: Audit) -> Table:
    """Return how many examples of each task the training prompts hold, by each way of searching."""
    columns = (
        Column("task", align="left", unit="text"),
        Column("examples", unit="plain"),
        *(
            Column(title, "examples found", unit="plain")
            for title in ("exact", "near", "covered", "any 13-gram", "any 8-gram")
        ),
        Column("contaminated", unit="plain"),
        Column("share", unit="percent"),
        Column("too short", unit="plain"),
    )
    rows = []
    for task in audit.tasks:
        found = (task.num_exact, task.num_near, task.num_covered, task.num_ngram_13, task.num_ngram_8)
        share = len(task.contaminated) / task.num_examples if task.num_examples else float("nan")
        counts = (task.num_examples, *found, len(task.contaminated))
        cells = (text_cell(task.task), *map(count_cell, counts), share_cell(share, 1), count_cell(task.num_short))
        rows.append(Row(cells, task.suite))
    notes = (
        f"{audit.prompts}: {audit.num_prompts:,} prompts, {audit.num_unique:,} of them different after normalisation "
        f"(sha256 {audit.sha256[:12]}).",
        "Contaminated: exact, near or covered. Exact: same text after normalisation. Near: "
        f"Jaccard similarity of word shingles from {audit.near_threshold:g}. Covered: runs of 13 words "
        f"shared with one prompt make up {percent(audit.min_cover)} of the example or more.",
        "Any n-gram: one run of n words or more is shared. Too short: below 8 words, which no n-gram search sees.",
        "A count of 0 is evidence about copies and near copies alone: paraphrases and translations are not found.",
        *audit.notes,
    )
    return Table(_name("contamination", audit), f"Evaluation examples in {audit.prompts}", columns, tuple(rows), notes)


def clean_table(audit: Audit) -> Table | None:
    """Return the differences to the base on all, clean and contaminated examples; None where none were computed."""
    if not audit.differences:
        return None
    columns = (
        Column("task", align="left", unit="text"),
        Column("clean", "examples", unit="plain"),
        Column("contaminated", "examples", unit="plain"),
        Column("base", "score on clean"),
        Column("checkpoint", "score on clean"),
        Column("all", "difference to the base"),
        Column("clean", "difference to the base"),
        Column("contaminated", "difference to the base"),
        Column("contaminated − clean", "difference to the base"),
    )
    rows = []
    for found in audit.differences:
        cells = (
            text_cell(found.task),
            count_cell(found.num_clean),
            count_cell(found.num_contaminated),
            with_interval(found.base_clean),
            with_interval(found.candidate_clean),
            signed_cell(found.all_examples),
            signed_cell(found.clean),
            signed_cell(found.contaminated),
            signed_cell(found.difference_in_difference),
        )
        rows.append(Row(cells, found.label))
    level = percent(audit.differences[0].all_examples.level)
    notes = (
        f"Points, with {level} intervals. Contaminated − clean is what contamination may have added to a difference; "
        "contaminated examples may also be easier or harder to learn than clean ones.",
    )
    return Table(
        _name("clean", audit), f"Differences without the examples in {audit.prompts}", columns, tuple(rows), notes
    )


def labels_table(audit: Audit) -> Table | None:
    """Return the labels of the training file that were checked against its text; None where it has none."""
    if not audit.labels:
        return None
    columns = (
        Column("field", align="left", unit="text"),
        Column("value", align="left", unit="text"),
        Column("prompts", unit="plain"),
        Column("says", align="left", unit="text"),
        Column("the text shows", align="left", unit="text"),
        Column("verdict", align="left", unit="text"),
    )
    rows = tuple(
        Row(
            (
                text_cell(label.field),
                text_cell(label.value),
                count_cell(label.num_prompts),
                text_cell(label.says),
                text_cell(label.found),
                text_cell("contradicted" if label.contradicts else "borne out", strong=label.contradicts),
            )
        )
        for label in audit.labels
    )
    return Table(_name("labels", audit), f"Labels of {audit.prompts} against its text", columns, rows)


def _name(kind: str, audit: Audit) -> str:
    """Return a file stem that no other audit of the study has."""
    stem = re.sub(r"\W+", "_", Path(audit.prompts).name.split(".")[0]).strip("_")
    return f"{kind}-{stem}-{audit.sha256[:6]}"
