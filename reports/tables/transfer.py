"""What training on some domains did to the others, as tables; and several runs of one label."""

from collections.abc import Iterator

from harness.findings import AverageComparison, Comparison, Ratio, Repeats, TransferReport
from reports.table import (
    UNKNOWN,
    Cell,
    Column,
    Row,
    Table,
    count_cell,
    is_significant,
    points,
    points_cell,
    ratio_cell,
    signed_cell,
    text_cell,
    with_interval,
)
from reports.tables.parts import group_reasons
from reports.tables.sides import describe_training, table_name, table_title

SHOWN_RUNS = 4
"""Runs of one label whose means are shown one by one."""


def transfer_table(comparison: Comparison) -> Table:
    """Return normalised gain, closed gaps, transferability index and transfer ratio; notes say what has none."""
    transfer = comparison.transfer
    references = list(transfer.gap_closed)
    rows = []
    for name, gain in transfer.normalised_gain.items():
        index = transfer.transferability_index.get(name)
        cells = (
            text_cell(name),
            ratio_cell(gain),
            *(ratio_cell(transfer.gap_closed[label][name]) for label in references),
            text_cell("") if index is None else ratio_cell(index, digits=0),
            ratio_cell(transfer.ratio) if name == "overall" else text_cell(""),
        )
        rows.append(Row(cells, is_total=name == "overall"))
    return Table(
        name=table_name("transfer", comparison),
        title=table_title(comparison, "transfer"),
        columns=(
            Column("", align="left", unit="text"),
            Column("normalised gain", unit="plain"),
            *(Column(label, group="gap closed to", unit="plain") for label in references),
            Column("transferability index", unit="plain"),
            Column("transfer ratio", unit="plain"),
        ),
        rows=tuple(rows),
        notes=(
            "Transfer ratio: mean difference on untrained domains / on trained ones. Transferability index in percent.",
            *group_reasons("not identifiable", _reasons(comparison)),
        ),
    )


def _reasons(comparison: Comparison) -> Iterator[tuple[str, str]]:
    transfer = comparison.transfer
    for name, gain in transfer.normalised_gain.items():
        yield from _reason(f"normalised gain, {name}", gain)
        for gaps in transfer.gap_closed.values():
            yield from _reason(f"gap closed, {name}", gaps[name])
        if name in transfer.transferability_index:
            yield from _reason(f"transferability index, {name}", transfer.transferability_index[name])
    yield from _reason("transfer ratio", transfer.ratio)


def _reason(name: str, ratio: Ratio) -> Iterator[tuple[str, str]]:
    if ratio.reason is not None:
        yield name, ratio.reason


def matrix_table(report: TransferReport) -> Table:
    """Return each candidate's difference to the plain base on every domain, beside what it was trained on."""
    plain = [comparison for comparison in report.comparisons if comparison.base_kind == "plain"]
    suites = list(dict.fromkeys(domain.name for comparison in plain for domain in comparison.domains))
    rows = []
    for comparison in plain:
        domains = {domain.name: domain for domain in comparison.domains}
        training = text_cell(describe_training(comparison))
        cells = (text_cell(comparison.candidate), training, *(_domain(domains.get(x)) for x in suites))
        rows.append(Row(cells))
    return Table(
        name="matrix",
        title="Transfer matrix: difference to the base (* trained on)",
        columns=(
            Column("candidate", align="left", unit="text"),
            Column("trained on", align="left", unit="text"),
            *(Column(suite) for suite in suites),
        ),
        rows=tuple(rows),
        notes=(f"Bold: p < {1 - report.level:.2g}, Holm-adjusted over all domains of all candidates.",),
    )


def _domain(domain: AverageComparison | None) -> Cell:
    if domain is None:
        return text_cell(UNKNOWN)
    strong = is_significant(domain.difference.level, domain.p_adjusted)
    return signed_cell(domain.difference, strong=strong, mark="*" if domain.is_trained else "")


def repeats_table(report: TransferReport) -> Table | None:
    """Return the spread of each label that has several runs; None where none has."""
    if not report.repeats:
        return None
    return Table(
        name="repeats",
        title="Several runs of one label (intervals over runs: another seed, or another repetition)",
        columns=(
            Column("label", align="left", unit="text"),
            Column("runs", unit="plain"),
            Column("checkpoints", unit="plain"),
            Column("tasks", unit="plain"),
            Column("interquartile mean"),
            Column("difference to base"),
            Column("SD of runs"),
            Column("runs' means", unit="text"),
        ),
        rows=tuple(Row(tuple(_repeats(item))) for item in report.repeats),
    )


def _repeats(item: Repeats) -> Iterator[Cell]:
    yield text_cell(item.label)
    yield count_cell(item.num_runs)
    yield count_cell(item.num_checkpoints)
    yield count_cell(len(item.tasks))
    yield with_interval(item.interquartile_mean)
    yield signed_cell(item.difference)  # undefined for the base itself
    yield points_cell(item.run_sd)
    shown = [points(score) for score in item.run_scores[:SHOWN_RUNS]]
    yield text_cell(" ".join([*shown, *(["…"] if len(item.run_scores) > SHOWN_RUNS else [])]))
