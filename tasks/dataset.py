"""A task's rows, whatever place they are from: completed by rows of other files, normalised, hashed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import DataError
from harness.rows import Row
from harness.schema import Example, LoadedData
from harness.spec import content_hash
from tasks.places import Place, find_rows

ParseRow = Callable[[str, int, Row], Example]
"""(task name, row number, row) → Example; must give the same example for every place's row."""

_UNFIT = (KeyError, ValueError, TypeError, IndexError)
"""What reading a row of another shape raises."""

MAX_NAMED = 10
"""Rows named in an error; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class Join(Place):
    """Rows of another file that complete a task's own: answers to compare with, references."""

    field: str
    """Field of a task's row that its counterpart, a whole row of this file, is put in; None where it has none."""
    what: str
    """What a counterpart is, for people: `answer of gpt-4-0314`."""
    key: Callable[[int, Row], str]
    """(row number, row) → what a row and its counterpart share."""
    is_needed: Callable[[Row], bool] = lambda row: True
    """Which of the task's rows cannot be without one."""


@dataclass(frozen=True, kw_only=True)
class DataSource(Place):
    """Where a task's rows are, how they are read, and what they must hash to."""

    parse: ParseRow
    sha256: str
    """Canonical hash of the normalised rows. Empty where not all of them could be had when the task was written: who
    has them accepts their hash."""
    num_examples: int
    is_ours: Callable[[Row], bool] = lambda row: True
    """Which rows of the file are the task's."""
    joins: tuple[Join, ...] = ()
    unfold: Callable[[Row], Iterable[Row]] = lambda row: (row,)
    """A row, completed → the rows to be parsed: one per turn of a conversation."""

    @property
    def places(self) -> tuple[Place, ...]:
        """Every file that it takes."""
        return (self, *self.joins)


@dataclass(frozen=True)
class Shots:
    """Worked examples that a few-shot prompt begins with: rows of a training split, named one by one."""

    source: DataSource
    """Its `parse` gives the question as input and the worked answer as target; its hash is of the named rows alone."""
    ids: tuple[str, ...]
    """example_ids in the order shown."""


def load_shots(task: str, shots: Shots, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
    """Read a task's worked examples from the first place that has them, and normalise them.

    Raises:
        DataError: if no place has them, or a row does not have the expected fields.
    """
    data = load_rows(task, shots.source, data_dir, hub_dir)
    found = {example.example_id: example for example in data.examples if example.example_id in shots.ids}
    if missing := [name for name in shots.ids if name not in found]:
        raise DataError(f"{task}: {data.source} has no row {', '.join(missing)}, which few-shot prompts show")
    # tasks share worked examples, so the task that loads them is no part of what they are
    picked = [msgspec.structs.replace(found[name], task="shots") for name in shots.ids]
    return LoadedData(examples=tuple(picked), sha256=hash_examples(picked), source=data.source)


def load_rows(task: str, source: DataSource, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
    """Read a task's rows from the first place that has them, complete and normalise them.

    Raises:
        DataError: if no place has them, a row does not have the expected fields, or lacks its counterpart.
    """
    found, where = find_rows(task, source, data_dir, hub_dir)
    rows = [row for row in found if source.is_ours(row)]
    for join in source.joins:
        rows = _join(task, rows, join, data_dir, hub_dir)
    examples: list[Example] = []
    for number, row in enumerate(rows):
        try:
            examples.extend(source.parse(task, number, each) for each in source.unfold(row))
        except _UNFIT as error:
            raise DataError(f"{task}: row {number} of {where} does not fit: {type(error).__name__} {error}") from error
    return LoadedData(examples=tuple(examples), sha256=hash_examples(examples), source=where)


def _join(task: str, rows: Sequence[Row], join: Join, data_dir: Path | None, hub_dir: Path | None) -> list[Row]:
    """Return the rows, each with its counterpart."""
    try:
        others, where = find_rows(task, join, data_dir, hub_dir)
    except DataError as error:
        reason = str(error).removeprefix(f"{task}: ")
        raise DataError(f"{task}: {len(rows)} rows need the {join.what}: {reason}") from error
    try:
        counterparts = {join.key(number, other): other for number, other in enumerate(others)}
        keys = [join.key(number, row) for number, row in enumerate(rows)]
    except _UNFIT as error:
        raise DataError(f"{task}: rows of {where} do not fit: {type(error).__name__} {error}") from error
    missing = [key for key, row in zip(keys, rows, strict=True) if key not in counterparts and join.is_needed(row)]
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise DataError(
            f"{task}: {len(missing)} of {len(rows)} rows have no {join.what} in {where}: "
            f"{', '.join(missing[:MAX_NAMED])}{more}; a whole file is at {join.origin}"
        )
    return [{**row, join.field: counterparts.get(key)} for key, row in zip(keys, rows, strict=True)]


def hash_examples(examples: Sequence[Example]) -> str:
    """Return the canonical hash of normalised rows: order, ids, inputs, targets, clusters and metadata."""
    return content_hash([msgspec.structs.asdict(example) for example in examples])


def check_hash(task: str, expected: str, data: LoadedData, accepted: str | None) -> None:
    """Compare the rows with the registered hash, or with the one the user explicitly accepted.

    Raises:
        DataError: if they differ, or none is registered, saying what was expected and how to accept.
    """
    if data.sha256 == (accepted or expected):
        return
    told = f"{task}: the {len(data.examples)} rows of {data.source} hash to {data.sha256[:16]}"
    if not accepted and not expected:
        raise DataError(
            f"{told}, and no hash is registered to compare it with (docs/data.md); if you trust these rows, pass "
            f"--accept-data {task}={data.sha256}"
        )
    raise DataError(
        f"{told}, expected {(accepted or expected)[:16]}: these are other rows than the registered ones; if you mean "
        f"them, pass --accept-data {task}={data.sha256}"
    )
