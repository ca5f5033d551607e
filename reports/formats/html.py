"""A Table as an HTML fragment: `<table>` and its notes, with classes and no style, for any page."""

from collections.abc import Iterator
from html import escape
from itertools import groupby

from reports.table import Cell, Column, Row, Table, true_minus


def render(table: Table) -> str:
    """Return a table as a fragment of HTML."""
    lines = [f'<table class="report" id="table-{escape(table.name)}">']
    if table.title:
        lines.append(f"<caption>{escape(table.title)}</caption>")
    lines += ["<thead>", *_head(table.columns), "</thead>", "<tbody>", *_body(table), "</tbody>", "</table>"]
    lines += [f'<p class="notes">{escape(note)}</p>' for note in table.notes]
    return "\n".join(lines) + "\n"


def _head(columns: tuple[Column, ...]) -> Iterator[str]:
    if any(column.group for column in columns):
        cells = []
        for group, members in groupby(columns, key=lambda column: column.group):
            span = len(list(members))
            cells.append(
                f'<th class="group" scope="colgroup" colspan="{span}">{escape(group)}</th>'
                if group
                else f'<td colspan="{span}"></td>'
            )
        yield f"<tr>{''.join(cells)}</tr>"
    yield f"<tr>{''.join(_column_heading(column) for column in columns)}</tr>"


def _column_heading(column: Column) -> str:
    kind = ' class="num"' if column.align == "right" else ""
    return f'<th scope="col"{kind}>{escape(column.title)}</th>' if column.title else f"<td{kind}></td>"


def _body(table: Table) -> Iterator[str]:
    before: Row | None = None
    for row in table.rows:
        if row.group and (before is None or row.group != before.group):
            yield (
                f'<tr class="group"><th scope="rowgroup" colspan="{len(table.columns)}">{escape(row.group)}</th></tr>'
            )
        starts = row.is_total and before is not None and not before.is_total
        kind = f' class="total{" rule" if starts else ""}"' if row.is_total else ""
        cells = zip(row.cells, table.columns, strict=True)
        yield f"<tr{kind}>{''.join(_cell(cell, column, i == 0) for i, (cell, column) in enumerate(cells))}</tr>"
        before = row


def _cell(cell: Cell, column: Column, is_first: bool) -> str:
    is_number = column.align == "right"
    text, interval = (escape(true_minus(x) if is_number else x) for x in (cell.text, cell.interval))
    if cell.mark:
        text += f"<sup>{escape(cell.mark)}</sup>"
    if interval:
        text += f' <span class="ci">{interval}</span>'
    classes = [name for name, holds in (("num", is_number), ("strong", cell.strong)) if holds]
    kind = f' class="{" ".join(classes)}"' if classes else ""
    if is_first:
        return f'<th scope="row"{kind}>{text}</th>'
    return f"<td{kind}>{text}</td>"
