"""HumanEval+ and MBPP+ rows as examples, for tests that need the real problems."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from harness.schema import Example

FILES = {
    "humaneval": "humanevalplus/HumanEvalPlus-v0.1.10.jsonl.gz",
    "mbpp": "mbppplus/MbppPlus-v0.2.0.jsonl.gz",
}
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")


def read_problems(data_dir: Path) -> Iterator[Example]:
    for dataset, name in FILES.items():
        with gzip.open(data_dir / name, "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                metadata = {field: row[field] for field in FIELDS} | {"dataset": dataset}
                yield Example(
                    task=dataset, example_id=row["task_id"], input=row["prompt"], target=None, metadata=metadata
                )
