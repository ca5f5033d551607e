"""What a checkpoint cost, in a sentence, and how sentences name and list things."""

from collections.abc import Iterator, Sequence

from harness.study.findings import CostRow, StudyFindings
from reports.table import count, plain


def title_of(findings: StudyFindings, label: str) -> str:
    """Return what a checkpoint is called in sentences."""
    return findings.spec.checkpoint(label).title or label


def listed(items: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def tell_cost(findings: StudyFindings, label: str) -> Iterator[str]:
    """Yield the sentence on what a checkpoint cost, and which part of the others' cost that is."""
    rows = {row.label: row for row in findings.costs}
    row = rows.get(label)
    if row is None or (row.prompts is None and row.gpu_hours is None):
        yield "What it cost is not known."
        return
    spent = []
    if row.prompts is not None:
        spent.append(f"{count(row.prompts)} prompts")
    if row.gpu_hours is not None:
        digits = 1 if row.gpu_hours == 0 or row.gpu_hours >= 0.1 else 4
        spent.append(f"{plain(row.gpu_hours, digits)} GPU-hours")
    stages = f", all of {listed([title_of(findings, each) for each in row.stages])}" if len(row.stages) > 1 else ""
    typed = f", as {row.source}" if row.source.startswith("typed") else _source(row)
    ratios = [
        ratio
        for checkpoint in findings.spec.checkpoints
        if checkpoint.role in ("candidate", "reference") and checkpoint.label != label
        if (other := rows.get(checkpoint.label)) and (ratio := _cost_ratio(row, other, title_of(findings, other.label)))
    ]
    against = f": {'; '.join(ratios)}" if ratios else ""
    yield f"It cost {listed(spent)}{stages}{typed}{against}."


def _cost_ratio(row: CostRow, other: CostRow, title: str) -> str:
    """Return such as `1/46 of the prompts and 1/68 of the GPU-hours of RLVR`; empty where nothing can be compared."""
    parts = [
        _fraction(mine / theirs, unit)
        for mine, theirs, unit in (
            (row.prompts, other.prompts, "prompts"),
            (row.gpu_hours, other.gpu_hours, "GPU-hours"),
        )
        if mine and theirs
    ]
    return f"{listed(parts)} of {title}{_source(other)}" if parts else ""


def _source(row: CostRow) -> str:
    return "" if row.source in ("training.json", "not known") else f" ({row.source})"


def _fraction(ratio: float, unit: str) -> str:
    if ratio > 0.5:
        return f"{_times(ratio)} times the {unit}"
    return f"1/{_times(1 / ratio)} of the {unit}"


def _times(ratio: float) -> str:
    return plain(ratio, 0 if ratio >= 9.95 else 1)
