"""Engine that hands out generations made elsewhere: reads a JSONL file of another tool, asks no model.

Field names of the common shapes (EvalPlus samples, lm-eval's logged samples, plain files) are known; others are given
by the user's map. Dotted names reach into objects and lists: `resps.0.*`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import DataError
from harness.rows import read_jsonl
from harness.schema import EngineSpec, Example, FinishReason, Generation, Record, Request, RequestKey

IMPORTED = EngineSpec(name="imported", dtype="none", device="none")


class FieldMap(Record, frozen=True):
    """Which field of a row holds what; dotted names reach into objects and lists."""

    text: str
    """The completion (or the whole program); ends in `.*` where a row lists several completions of one example."""
    example_id: str | None = None
    """None pairs rows with examples by `input`."""
    input: str | None = None
    """The example's input, for files without ids."""
    index: str | None = None
    """Which completion of the example; None counts rows of one example in file order."""
    finish_reason: str | None = None
    """`stop`, `length` or other words; None records `unknown`."""
    continuation: bool = False
    """The text continues the problem's prompt (HumanEval's `completion`)."""


KNOWN_SHAPES: dict[tuple[str, ...], FieldMap] = {
    ("example_id", "text"): FieldMap(text="text", example_id="example_id"),
    ("task_id", "solution"): FieldMap(text="solution", example_id="task_id"),
    ("task_id", "completion"): FieldMap(text="completion", example_id="task_id", continuation=True),
    ("doc_id", "resps"): FieldMap(text="resps.0.*", example_id="doc_id"),
    ("key", "response"): FieldMap(text="response", example_id="key"),
    ("id", "response"): FieldMap(text="response", example_id="id"),
}


class ImportedFile:
    """Generations of one task, read from a file and paired with its examples."""

    def __init__(self, path: Path, fields: FieldMap | None, id_prefix: str = "") -> None:
        self.path = path
        self._rows = list(read_jsonl(path))
        if not self._rows:
            raise DataError(f"{path} has no rows")
        self.fields = fields or _guess_fields(path, self._rows[0])
        self._id_prefix = id_prefix
        self._first_index = self._find_first_index()
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def _find_first_index(self) -> int:
        if self.fields.index is None:
            return 0
        given = [self._take(row, self.fields.index, number) for number, row in enumerate(self._rows, 1)]
        return 0 if 0 in given else 1

    def pair(
        self, task: str, examples: Iterable[Example], allow_missing: bool, allow_extra: bool
    ) -> tuple[dict[RequestKey, Generation], int, list[str]]:
        """Pair rows with examples.

        Returns:
            The generations by key, the number of generations per example, and the ids of examples without any.

        Raises:
            DataError: if ids are unknown, doubled, missing, or examples have different numbers of generations.
        """
        by_id = {example.example_id: example for example in examples}
        by_input = {example.input.strip(): example.example_id for example in by_id.values()}
        found: dict[RequestKey, Generation] = {}
        counts: dict[str, int] = {}
        for number, row in enumerate(self._rows, 1):
            example_id = self._example_id(row, number, by_input)
            if example_id not in by_id:
                if not allow_extra:
                    raise DataError(
                        f"{self.path} line {number}: {task} has no example {example_id}; "
                        "map the right field with --map example_id=…, or pass --allow-extra"
                    )
                continue
            for text in self._texts(row, number):
                index = self._index(row, number, counts.get(example_id, 0))
                key = RequestKey(task=task, example_id=example_id, index=index)
                if key in found:
                    raise DataError(f"{self.path} line {number}: a second generation {index} for example {example_id}")
                counts[example_id] = counts.get(example_id, 0) + 1
                found[key] = self._generation(key, text, row, number)
        missing = [example_id for example_id in by_id if example_id not in counts]
        if missing and not allow_missing:
            raise DataError(
                f"{self.path} lacks {len(missing)} of {len(by_id)} examples of {task}, first {missing[0]}; "
                "pass --allow-missing to score the others only"
            )
        k = self._num_generations(counts)
        for key in found:
            if key.index >= k:
                raise DataError(f"{self.path}: example {key.example_id} has generation {key.index} but only {k} in all")
        return found, k, missing

    def _num_generations(self, counts: Mapping[str, int]) -> int:
        if not counts:
            raise DataError(f"{self.path} has no generation for any example of the task")
        fewest, most = min(counts.values()), max(counts.values())
        if fewest != most:
            odd = min(counts, key=lambda example_id: counts[example_id])
            raise DataError(f"{self.path}: example {odd} has {fewest} generations, others have {most}")
        return most

    def _example_id(self, row: Mapping[str, Any], number: int, by_input: Mapping[str, str]) -> str:
        if self.fields.example_id is not None:
            return f"{self._id_prefix}{self._take(row, self.fields.example_id, number)}"
        assert self.fields.input is not None, "a map has example_id or input"
        text = str(self._take(row, self.fields.input, number)).strip()
        return by_input.get(text, f"with the input {text[:60]!r}")

    def _index(self, row: Mapping[str, Any], number: int, num_seen: int) -> int:
        """Return the row's index from 0; files may count from 1."""
        if self.fields.index is None:
            return num_seen
        value = self._take(row, self.fields.index, number)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise DataError(
                f"{self.path} line {number}: {self.fields.index} is {value!r}, expected a number from 0 or 1"
            )
        return value - self._first_index

    def _texts(self, row: Mapping[str, Any], number: int) -> list[str]:
        name = self.fields.text.removesuffix(".*")
        found = self._take(row, name, number)
        texts = found if name != self.fields.text and isinstance(found, list) else [found]
        for text in texts:
            if not isinstance(text, str):
                raise DataError(
                    f"{self.path} line {number}: {self.fields.text} is {type(text).__name__}, expected text"
                )
        # JSON can spell characters that no UTF-8 file can hold
        return [text.encode("utf-8", "replace").decode() for text in texts]

    def _generation(self, key: RequestKey, text: str, row: Mapping[str, Any], number: int) -> Generation:
        finish: FinishReason = "unknown"
        if self.fields.finish_reason is not None:
            word = self._take(row, self.fields.finish_reason, number)
            finish = word if word in ("stop", "length") else "unknown"
        return Generation(
            key=key, text=text, finish_reason=finish, num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
        )

    def _take(self, row: Mapping[str, Any], name: str, number: int) -> Any:
        value: Any = row
        for part in name.split("."):
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise DataError(
                    f"{self.path} line {number} has no field {name}; it has {', '.join(row)}: map fields with "
                    "--map example_id=…,text=…"
                ) from None
        return value


class ImportedEngine:
    """Implements harness.interfaces.Engine over generations that exist already."""

    spec = IMPORTED

    def __init__(self, generations: Mapping[RequestKey, Generation], source: str) -> None:
        self._generations = generations
        self._source = source

    def describe(self) -> dict[str, Any]:
        """Return where the generations came from."""
        return {"source": self._source}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield the stored generation of each request."""
        for request in requests:
            yield self._generations[request.key]

    def close(self) -> None:
        """Nothing to release."""


def parse_map(text: str) -> FieldMap:
    """Turn `example_id=task_id,text=solution` into a FieldMap.

    Raises:
        DataError: if a name is unknown, or text or the pairing field is missing.
    """
    pairs = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    unknown = [name for name in pairs if name not in FieldMap.__struct_fields__]
    if unknown or len(pairs) != len(text.split(",")):
        raise DataError(f"--map {text}: expected NAME=FIELD,… with the names {', '.join(FieldMap.__struct_fields__)}")
    if "text" not in pairs or not ({"example_id", "input"} & set(pairs)):
        raise DataError(f"--map {text}: needs text=FIELD, and example_id=FIELD or input=FIELD")
    settings: dict[str, Any] = dict(pairs)
    if pairs.get("continuation", "true") not in ("true", "false"):
        raise DataError(f"--map {text}: continuation is {pairs['continuation']}, expected true or false")
    if "continuation" in pairs:
        settings["continuation"] = pairs["continuation"] == "true"
    return msgspec.convert(settings, FieldMap)


def _guess_fields(path: Path, row: Mapping[str, Any]) -> FieldMap:
    for names, fields in KNOWN_SHAPES.items():
        if all(name in row for name in names):
            return fields
    raise DataError(f"{path} has fields {', '.join(row)}; say which is which: --map example_id=…,text=…")
