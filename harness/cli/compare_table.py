"""What `harness compare` prints: differences by domain, what they are made of, coverage, transfer. 100 columns wide."""

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cli.table import points
from harness.findings import (
    Arm,
    AverageComparison,
    Comparison,
    Decomposition,
    Ratio,
    Repeats,
    TaskComparison,
    TransferReport,
)
from harness.schema import Estimate


def print_report(report: TransferReport, console: Console, show_cells: bool = False) -> None:
    """Print a whole report."""
    for comparison in report.comparisons:
        _print_comparison(comparison, report, console, show_cells)
    if len({comparison.candidate for comparison in report.comparisons}) > 1:
        _print(console, _matrix(report))
    if report.repeats:
        _print(console, _repeats_table(report.repeats))
    console.print(
        f"Intervals {100 * report.level:g}%. p: two-sided, Holm-adjusted over all tasks, or all domains. "
        f"Detectable, where p ≥ {1 - report.level:.2g}: the difference that one unadjusted test sees with 80 % power. "
        f"Overall: every "
        f"{report.overall.removesuffix('s')} weighs the same. Elicitation: more generations end and answer; within: "
        f"more of those that do are right. {report.num_resamples:,} resamples, seed {report.seed}.",
        style="dim",
        highlight=False,
    )


def _print_comparison(comparison: Comparison, report: TransferReport, console: Console, show_cells: bool) -> None:
    kind = " (elicited base)" if comparison.base_kind == "elicited" else ""
    trained = comparison.transfer.trained_on
    about = f"   trained on {', '.join(trained)}" if trained else ""
    console.rule(
        f"[bold]{escape(comparison.candidate)}[/] against {escape(comparison.base)}{kind}{about}", align="left"
    )
    for domain in comparison.domains:
        _print(console, _domain_table(comparison, domain))
    for task in comparison.tasks:
        if task.base.outcomes.timeout or task.candidate.outcomes.timeout:
            timeouts = _change(task.base.outcomes.timeout, task.candidate.outcomes.timeout)
            console.print(f"[yellow]{task.task}: timeouts {timeouts}, counted as wrong[/]", highlight=False)
    if len(comparison.domains) > 1:
        table = _table("all domains", ["average"], DIFFERENCE_COLUMNS)
        table.add_row(*_average_row(comparison.overall, "overall"))
        _print(console, table)
    _print(console, _decomposition_table(comparison))
    if show_cells:
        _print(console, _cells_table(comparison))
    if comparison.base_kind == "plain":
        _print_coverage(comparison, console)
    _print_transfer(comparison, console)
    for note in comparison.notes:
        console.print(f"[yellow]note[/] {escape(note)}", highlight=False)
    console.print()


def _print(console: Console, table: Table) -> None:
    console.print(table, highlight=False)
    console.print()


def _table(title: str, left: Iterable[str], right: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, header_style="dim", box=None)
    for name in left:
        table.add_column(name, overflow="fold", min_width=9)  # names may be folded where it is tight, numbers may not
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


DIFFERENCE_COLUMNS = ("n", "base", "candidate", "difference", "p", "detectable", "no answer", "truncated")


def _domain_table(comparison: Comparison, domain: AverageComparison) -> Table:
    mark = {True: "  (trained on)", False: "  (not trained on)", None: ""}[domain.is_trained]
    table = _table(f"{domain.name}{mark}", ["task"], DIFFERENCE_COLUMNS)
    for task in comparison.tasks:
        if task.suite == domain.name:
            table.add_row(*_task_row(task))
    if len(domain.tasks) > 1:
        table.add_row(*_average_row(domain, "average"))
    return table


def _task_row(task: TaskComparison) -> tuple[str, ...]:
    before, after = task.base.outcomes, task.candidate.outcomes
    return (
        f"{task.task}\n[dim]{task.metric}[/]",
        str(task.num_examples),
        _score(task.base),
        _score(task.candidate),
        *_difference(task.difference, task.p_adjusted, task.detectable),
        _change(before.no_answer, after.no_answer),
        _change(before.truncated, after.truncated),
    )


def _average_row(average: AverageComparison, name: str) -> tuple[str, ...]:
    return (
        name,
        str(average.difference.num_examples),
        _with_interval(average.base),
        _with_interval(average.candidate),
        *_difference(average.difference, average.p_adjusted, average.detectable),
        "",
        "",
    )


def _difference(difference: Estimate, p_adjusted: float, detectable: float) -> tuple[str, str, str]:
    is_significant = is_significant_at(difference.level, p_adjusted)
    value = _signed_with_interval(difference)
    return (
        f"[bold]{value}[/]" if is_significant else value,
        probability(p_adjusted),
        "" if is_significant or math.isnan(detectable) else points(detectable),
    )


def is_significant_at(level: float, p_adjusted: float) -> bool:
    """Say whether an adjusted p-value is below 1 − level; nan is not."""
    return p_adjusted < 1 - level


def _score(arm: Arm) -> str:
    return _with_interval(arm.score)


def _with_interval(estimate: Estimate) -> str:
    if math.isnan(estimate.ci_low):
        return f"{points(estimate.value)}\n[dim]no interval[/]"
    return f"{points(estimate.value)}\n[dim]{points(estimate.ci_low)}–{points(estimate.ci_high)}[/]"


def _change(before: float, after: float) -> str:
    """Return two shares in percent; `?` where a run does not say."""
    return " → ".join("?" if math.isnan(share) else f"{100 * share:.0f}" for share in (before, after)) + " %"


def signed(value: float) -> str:
    """Return a difference in points with its sign."""
    return "nan" if math.isnan(value) else f"{round(100 * value, 1) + 0.0:+.1f}"  # + 0.0 turns -0.0 into 0.0


def probability(p: float) -> str:
    """Return a p-value as papers print it."""
    if math.isnan(p):
        return "nan"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def _signed_with_interval(estimate: Estimate) -> str:
    interval = "no interval"
    if not math.isnan(estimate.ci_low):
        interval = f"{signed(estimate.ci_low)} to {signed(estimate.ci_high)}"
    return f"{signed(estimate.value)}\n[dim]{interval}[/]"


def _decomposition_table(comparison: Comparison) -> Table:
    table = _table(
        "what the difference is made of",
        [""],
        ["difference", "= elicitation", "+ within", "ends, answers", "accuracy then"],
    )
    for task in comparison.tasks:
        table.add_row(task.task, *_parts(task.difference, task.decomposition), *_main_cell(task.decomposition))
    for average in (*comparison.domains, comparison.overall):
        if len(average.tasks) > 1:
            table.add_row(average.name, *_parts(average.difference, average.decomposition), "", "")
    return table


def _parts(difference: Estimate, parts: Decomposition) -> tuple[str, str, str]:
    return signed(difference.value), _signed_interval(parts.elicitation), _signed_interval(parts.within)


def _signed_interval(part: Estimate) -> str:
    if math.isnan(part.ci_low):
        return f"{signed(part.value)} [dim](no interval)[/]"
    return f"{signed(part.value)} [dim]({signed(part.ci_low)} to {signed(part.ci_high)})[/]"


def _main_cell(parts: Decomposition) -> tuple[str, str]:
    for cell in parts.cells:
        if cell.answered and cell.finished is not False:
            share = _change(cell.base_share, cell.candidate_share)
            # where it is not known how generations ended, the cell is all that answered
            share = f"?, {share}" if cell.finished is None else share
            return share, _change(cell.base_accuracy, cell.candidate_accuracy)
    return "none", ""


def _cells_table(comparison: Comparison) -> Table:
    table = _table("cells: how generations ended", ["task", "cell"], ["share", "accuracy", "elicitation", "within"])
    for task in comparison.tasks:
        for cell in task.decomposition.cells:
            finished = {True: "finished, ", False: "truncated, ", None: ""}[cell.finished]
            table.add_row(
                task.task,
                f"{finished}{'answered' if cell.answered else 'no answer'}",
                _change(cell.base_share, cell.candidate_share),
                _change(cell.base_accuracy, cell.candidate_accuracy),
                _signed_interval(cell.elicitation),
                _signed_interval(cell.within),
            )
    return table


def _print_coverage(comparison: Comparison, console: Console) -> None:
    covered = [task for task in comparison.tasks if task.coverage.reason is None]
    if covered:
        largest = max(task.coverage.ks[-1] for task in covered)
        table = _table(
            "coverage: of the examples newly solved, how many the base solves in k tries",
            ["task"],
            ["newly solved", "pass@1", f"pass@k, k ≤ {largest}", "other unsolved ones, same k"],
        )
        for task in covered:
            coverage = task.coverage
            table.add_row(
                task.task,
                str(coverage.num_newly_solved),
                points(coverage.pass_at_k[0].value),
                _inline(coverage.pass_at_k[-1]),
                _inline(coverage.never_solved_pass),
            )
        _print(console, table)
    _print_reasons(
        console, "no coverage", [(task.task, task.coverage.reason) for task in comparison.tasks if task.coverage.reason]
    )


def _inline(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "–"
    return f"{points(estimate.value)} [dim]({points(estimate.ci_low)}–{points(estimate.ci_high)})[/]"


def _print_transfer(comparison: Comparison, console: Console) -> None:
    transfer = comparison.transfer
    reasons: list[tuple[str, str | None]] = []

    def show(name: str, ratio: Ratio, scale: float = 1.0, digits: int = 2) -> str:
        if ratio.reason is not None:
            reasons.append((name, ratio.reason))
            return "–"
        e = ratio.estimate
        value, low, high = (f"{scale * x:.{digits}f}" for x in (e.value, e.ci_low, e.ci_high))
        return f"{value} [dim]({low} to {high})[/]"

    references = list(transfer.gap_closed)
    table = _table(
        "transfer",
        [""],
        ["normalised gain", *(f"gap to {escape(name)} closed" for name in references), "transferability index"],
    )
    for name, gain in transfer.normalised_gain.items():
        index = transfer.transferability_index.get(name)
        table.add_row(
            name,
            show(f"normalised gain, {name}", gain),
            *(show(f"gap closed, {name}", transfer.gap_closed[label][name]) for label in references),
            "" if index is None else show(f"transferability index, {name}", index, digits=0),
        )
    _print(console, table)
    ratio = show("transfer ratio", transfer.ratio)
    console.print(f"transfer ratio, untrained / trained difference: {ratio}", highlight=False)
    _print_reasons(console, "not identifiable", reasons)


def _print_reasons(console: Console, what: str, reasons: Sequence[tuple[str, str | None]]) -> None:
    """Print each reason once, with everything it holds for."""
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons:
        grouped.setdefault(reason or "", []).append(name)
    for reason, names in grouped.items():
        console.print(f"[dim]{what}: {escape('; '.join(dict.fromkeys(names)))}: {escape(reason)}[/]", highlight=False)


def _matrix(report: TransferReport) -> Table:
    plain = [comparison for comparison in report.comparisons if comparison.base_kind == "plain"]
    suites = list(dict.fromkeys(domain.name for comparison in plain for domain in comparison.domains))
    table = _table("transfer matrix: difference to the base (* trained on)", ["candidate", "trained on"], suites)
    for comparison in plain:
        cells = {domain.name: domain for domain in comparison.domains}
        trained = ", ".join(comparison.transfer.trained_on) or "?"
        table.add_row(escape(comparison.candidate), trained, *(_matrix_cell(cells.get(suite)) for suite in suites))
    return table


def _matrix_cell(domain: AverageComparison | None) -> str:
    if domain is None:
        return "–"
    cell = _signed_with_interval(domain.difference).replace("\n", "*\n" if domain.is_trained else "\n", 1)
    return f"[bold]{cell}[/]" if is_significant_at(domain.difference.level, domain.p_adjusted) else cell


def _repeats_table(repeats: Sequence[Repeats]) -> Table:
    table = _table(
        "several runs of one label (intervals over runs: another seed, or another repetition)",
        ["label"],
        ["runs", "checkpoints", "tasks", "interquartile mean", "difference to base", "SD of runs", "runs' means"],
    )
    for item in repeats:
        table.add_row(
            escape(item.label),
            str(item.num_runs),
            str(item.num_checkpoints),
            str(len(item.tasks)),
            _with_interval(item.interquartile_mean),
            "" if math.isnan(item.difference.value) else _signed_with_interval(item.difference),
            points(item.run_sd),
            " ".join(points(score) for score in item.run_scores[:4]) + (" …" if len(item.run_scores) > 4 else ""),
        )
    return table
