"""Reads rows of JSON-lines files that others wrote, plain or gzipped."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
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
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{path} line {number} is not JSON: {error}") from error
                if not isinstance(row, dict):
                    raise DataError(f"{path} line {number} is not a JSON object")
                yield row
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _open(path: Path) -> TextIO:
    # some editors begin a file with a byte order mark, which no row has
    return gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")
