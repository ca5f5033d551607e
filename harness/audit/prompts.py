"""Reads the training prompts of a file that others wrote: JSON lines, JSON, parquet or plain text."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.rows import Row, read_jsonl

FIELDS = ("prompt", "question", "problem", "instruction", "input", "messages", "conversations", "conversation")
"""Where a prompt is looked for, in this order, in the first row."""
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".txt")
_USERS = ("user", "human")


@dataclass(frozen=True)
class Prompt:
    """One training prompt."""

    row: int
    """Of the file, from 1; blank lines do not count."""
    text: str
    """What the user says; several turns are joined by line breaks."""
    fields: Row
    """The whole row."""


@dataclass(frozen=True)
class PromptFile:
    """A file of training prompts. Iterating reads it again; JSON lines and text are never held in memory whole."""

    path: Path
    field: str
    """Where the prompt is, dotted; empty for plain text."""
    sha256: str
    """Of the file's bytes."""

    def __iter__(self) -> Iterator[Prompt]:
        """Yield every prompt.

        Raises:
            DataError: if a row has no prompt.
        """
        for number, row in enumerate(_read_rows(self.path), 1):
            text = prompt_text(look_up(row, self.field)) if self.field else str(row["text"])
            if not text:
                raise DataError(
                    f"{self.path} row {number}: no text at field {self.field}; fill it in, or remove the row"
                )
            yield Prompt(number, text, row if self.field else {})


def open_prompts(path: Path, field: str | None = None) -> PromptFile:
    """Find where a file keeps its prompts.

    Args:
        path: a .jsonl, .jsonl.gz, .json, .parquet or .txt file.
        field: where the prompt is, dotted, such as `extra_info.question`; None takes the first of FIELDS.

    Raises:
        DataError: if the file cannot be read, is empty, or has no such field.
    """
    if not path.name.endswith(ENDINGS):
        raise DataError(
            f"{path}: cannot read training prompts of this kind; expected a file ending {', '.join(ENDINGS)}"
        )
    if not path.is_file():
        raise DataError(f"{path} does not exist, or is no file; expected a file of training prompts")
    first = next(_read_rows(path), None)
    if first is None:
        raise DataError(f"{path} is empty; expected one training prompt a row")
    if path.suffix == ".txt" and field is not None:
        raise DataError(f"{path}: a line of plain text has no field {field}; leave --field out")
    chosen = "" if path.suffix == ".txt" else _choose_field(path, first, field)
    with path.open("rb") as file:
        return PromptFile(path, chosen, hashlib.file_digest(file, "sha256").hexdigest())


def look_up(row: Row, field: str) -> Any:
    """Return what a row has at a dotted field; None if there is no such field."""
    if field in row:
        return row[field]
    found: Any = row
    for name in field.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def prompt_text(value: Any) -> str:
    """Return the text of a string, or what the user says in a conversation; empty where there is neither."""
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, Sequence):
        return ""
    return "\n".join(filter(None, (_user_text(turn) for turn in value))).strip()


def _user_text(turn: Any) -> str:
    """Return a user's turn as text, in the shapes {role, content} and {from, value}; empty for other turns."""
    if not isinstance(turn, Mapping) or turn.get("role", turn.get("from")) not in _USERS:
        return ""
    content = turn.get("content", turn.get("value"))
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, Mapping) and part.get("text"))


def _choose_field(path: Path, row: Row, field: str | None) -> str:
    names = ", ".join(row) or "none"
    if field is not None:
        if not prompt_text(look_up(row, field)):
            raise DataError(f"{path}: row 1 has no text at field {field}; its fields are {names}")
        return field
    for name in FIELDS:
        if prompt_text(row.get(name)):
            return name
    raise DataError(
        f"{path}: row 1 has no prompt at any of {', '.join(FIELDS)}; its fields are {names}: name one with --field"
    )


def _read_rows(path: Path) -> Iterator[Row]:
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return read_jsonl(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    return _read_json(path) if path.suffix == ".json" else _read_lines(path)


def _read_lines(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                if line.strip():
                    yield {"text": line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _read_json(path: Path) -> Iterator[Row]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, str | dict) for row in rows):
        raise DataError(f"{path}: expected a JSON list of objects or of strings")
    yield from ({"prompt": row} if isinstance(row, str) else row for row in rows)


def _read_parquet(path: Path) -> Iterator[Row]:
    import pandas

    try:
        frame = pandas.read_parquet(path)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    for start in range(0, len(frame), 1000):
        for row in frame[start : start + 1000].to_dict("records"):
            yield _plain(row)


def _plain(value: Any) -> Any:
    """Return a parquet value as JSON would give it: lists instead of arrays, None where there is nothing."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
