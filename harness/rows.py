"""Reads rows of files that others wrote: JSON lines, plain or gzipped; whole JSON arrays and CSV."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from harness.errors import DataError

Row = Mapping[str, Any]


def read_jsonl(path: Path) -> Iterator[Row]:
    """Yield the rows of a .jsonl or .jsonl.gz file.

    Raises:
        DataError: if the file or one of its lines cannot be read.
    """
    try:
        with _open(path) as file:
            yield from _parse_lines(file, str(path))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def parse_rows(content: bytes, name: str) -> Iterator[Row]:
    """Yield the rows of a whole file; the end of its name says what it is: .jsonl, .json (one array) or .csv.

    Raises:
        DataError: if it is not such a file.
    """
    try:
        text = content.decode("utf-8-sig")
        if name.endswith(".csv"):
            yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)
        elif name.endswith(".json"):
            rows = json.loads(text)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise DataError(f"{name} is not an array of JSON objects")
            yield from rows
        else:
            yield from _parse_lines(io.StringIO(text), name)
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"cannot read {name}: {error}") from error


def _parse_lines(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name} line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{name} line {number} is not a JSON object")
        yield row


def _open(path: Path) -> TextIO:
    # some editors begin a file with a byte order mark, which no row has
    return gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")
