"""A Table in every format that results leave in."""

from collections.abc import Callable

from reports.formats import comma, html, latex, markdown, terminal
from reports.table import Table

FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": terminal.render,
    "markdown": markdown.render,
    "latex": latex.render,
    "csv": comma.render,
    "html": html.render,
}
SUFFIXES = {"terminal": ".txt", "markdown": ".md", "latex": ".tex", "csv": ".csv", "html": ".html"}
"""Of the files that hold a table in each format."""
