"""Reads rows of JSON-lines files that others wrote, plain or gzipped."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError

Row = Mapping[str, Any]


def read_jsonl(path: Path) -> Iterator[Row]:
    """Yield the rows of a .jsonl or .jsonl.gz file.

    Raises:
        DataError: if the file or one of its lines cannot be read.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
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
