"""Hooks of the documentation site (mkdocs.yml): for pages that must read on GitHub too."""

import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from harness.cli.main import COMMANDS, EPILOG, cli

ROOT = Path(__file__).parent.parent
MADE_BY_COMMANDS = ("hostile.md", "chaos.md", "calibration.md")
"""Pages that a command of the Makefile writes; without one its line in the navigation is left out."""
LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)(#[^)\s]*)?(\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave pages out of the navigation that no command has written yet."""
    missing = {name for name in MADE_BY_COMMANDS if not Path(config.docs_dir, name).exists()}
    config.nav = _without(config.nav or [], missing)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of the repository that a page links to, so that such links work without a repository host."""
    for file in [file for file in files if file.is_documentation_page()]:
        for found in LINK.finditer(file.content_string):
            path = _outside(file.src_uri, found[2])
            if path is None or files.get_file_from_path(_copy(path)):
                continue
            if not (ROOT / path).is_file():
                raise PluginError(f"{file.src_uri} links to {found[2]}, which is no file of the repository")
            files.append(File.generated(config, _copy(path), content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Drop the kinds of fences, lead links out of docs/ to the copies, and fill in the help texts."""
    markdown = re.sub(r"^```(\w+) [a-z]+$", r"```\1", markdown, flags=re.M)  # `sh script` is for tests/test_docs.py
    markdown = LINK.sub(lambda found: _lead(page.file.src_uri, found), markdown)
    return markdown.replace("<!-- help of every command -->", _help_texts())


def _without(entries: list[object], missing: set[str]) -> list[object]:
    kept: list[object] = []
    for entry in entries:
        if isinstance(entry, dict):
            ((title, value),) = entry.items()
            if isinstance(value, list):
                kept.append({title: _without(value, missing)})
            elif value not in missing:
                kept.append(entry)
        elif entry not in missing:
            kept.append(entry)
    return kept


def _outside(page: str, target: str) -> str | None:
    """Return the path from the repository's root that a link leads to; None if it stays in docs/."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") else path


def _copy(path: str) -> str:
    return f"source/{path.lstrip('.')}.txt"  # MkDocs leaves out what begins with a dot


def _lead(page: str, found: re.Match[str]) -> str:
    path = _outside(page, found[2])
    if path is None:
        return found[0]
    return f"{found[1]}{posixpath.relpath(_copy(path), posixpath.dirname(page) or '.')}{found[4]}"


def _help_texts() -> str:
    """Return what --help prints of every command, under a heading each."""
    parts = [_help("harness", cli, None, 2)]
    with click.Context(cli, info_name="harness", max_content_width=100) as parent:
        for name in COMMANDS:
            command = cli.get_command(parent, name)
            assert command is not None
            parts.append(_help(f"harness {name}", command, parent, 2))
            if isinstance(command, click.Group):
                with click.Context(command, info_name=name, parent=parent) as group:
                    for sub, member in command.commands.items():
                        parts.append(_help(f"harness {name} {sub}", member, group, 3))
    return "\n\n".join([*parts, "## Exit codes", EPILOG.removeprefix("Exit codes: ")])


def _help(title: str, command: click.Command, parent: click.Context | None, level: int) -> str:
    with click.Context(command, info_name=title.split()[-1], parent=parent, max_content_width=100) as context:
        text = command.get_help(context)
    return f"{'#' * level} {title}\n\n```text\n{text}\n```"
