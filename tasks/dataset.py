"""One loader for every task's rows: embedded in the package, a local folder, or the hub; hashed after normalisation."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from harness.errors import DataError
from harness.rows import Row, read_jsonl
from harness.schema import Example, LoadedData
from harness.spec import content_hash

ParseRow = Callable[[str, int, Row], Example]
"""(task name, row number, row) → Example; must give the same example for the local and the hub's row."""


@dataclass(frozen=True)
class DataSource:
    """Where a task's rows are, in the order they are looked for, and what they must hash to."""

    parse: ParseRow
    sha256: str
    """Canonical hash of the normalised rows."""
    num_examples: int
    embedded: str | None = None
    """File in tasks/data."""
    local: str | None = None
    """File under the data folder."""
    hub: str | None = None
    """Hub data set (org/name), parquet or jsonl."""
    hub_config: str | None = None
    hub_split: str = "test"
    evalplus: str | None = None
    """Release name@version, read through EvalPlus's own loader: the hub copies lack the test inputs."""


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
    """Read a task's rows from the first place that has them, and normalise them.

    Raises:
        DataError: if no place has them, or a row does not have the expected fields.
    """
    rows, where = find_rows(task, source, data_dir, hub_dir)
    examples = []
    for number, row in enumerate(rows):
        try:
            examples.append(source.parse(task, number, row))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DataError(f"{task}: row {number} of {where} does not fit: {type(error).__name__} {error}") from error
    return LoadedData(examples=tuple(examples), sha256=hash_examples(examples), source=where)


def hash_examples(examples: Sequence[Example]) -> str:
    """Return the canonical hash of normalised rows: order, ids, inputs, targets, clusters and metadata."""
    return content_hash([msgspec.structs.asdict(example) for example in examples])


def check_hash(task: str, expected: str, data: LoadedData, accepted: str | None) -> None:
    """Compare the rows with the registered hash, or with the one the user explicitly accepted.

    Raises:
        DataError: if they differ, saying what was expected and how to accept.
    """
    if data.sha256 == (accepted or expected):
        return
    raise DataError(
        f"{task}: the {len(data.examples)} rows of {data.source} hash to {data.sha256[:16]}, expected "
        f"{(accepted or expected)[:16]}: these are other rows than the registered ones; if you mean them, pass "
        f"--accept-data {task}={data.sha256}"
    )


def find_rows(task: str, source: DataSource, data_dir: Path | None, hub_dir: Path | None) -> tuple[Iterator[Row], str]:
    """Return the raw rows of the first place that has them, and the place.

    Raises:
        DataError: if no place has them.
    """
    if source.embedded:
        return read_jsonl(Path(str(files("tasks") / "data" / source.embedded))), "embedded"
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(f"the data folder {data_dir} (--data-dir or $HARNESS_DATA) is not a folder")
    if data_dir is not None and source.local and (data_dir / source.local).is_file():
        return read_jsonl(data_dir / source.local), str(data_dir / source.local)
    looked = f"{data_dir / source.local} does not exist" if data_dir and source.local else "no --data-dir was given"
    if source.evalplus:
        return _evalplus_rows(task, source.evalplus, looked)
    return _hub_rows(task, source, hub_dir, looked)


def _hub_rows(task: str, source: DataSource, hub_dir: Path | None, looked: str) -> tuple[Iterator[Row], str]:
    import datasets

    assert source.hub is not None, f"{task} has no source but local files"
    place = source.hub if hub_dir is None else str(hub_dir / source.hub)
    datasets.disable_progress_bars()
    try:
        if hub_dir is None:
            rows = iter(datasets.load_dataset(place, source.hub_config, split=source.hub_split))
        else:
            # `datasets` would take an edited mirror for the one it has in its cache
            with tempfile.TemporaryDirectory() as cache:
                found = datasets.load_dataset(place, source.hub_config, split=source.hub_split, cache_dir=cache)
                rows = iter(list(found))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "the hub" if hub_dir is None else "the mirror"
        raise DataError(
            f"{task}: {looked}, and {place} cannot be had from {where} ({reason}); fetch it where there is a network "
            f"with `harness fetch --task {task} --data-dir DIR`, then pass --data-dir DIR"
        ) from error
    return rows, f"{place} ({source.hub_split})"


def _evalplus_rows(task: str, release: str, looked: str) -> tuple[Iterator[Row], str]:
    from evalplus.data.utils import get_dataset_metadata, make_cache

    name, _, version = release.partition("@")
    url, path = get_dataset_metadata(name, version, mini=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it announces downloads on stdout, where our table goes
            make_cache(url, path)
    except OSError as error:
        raise DataError(
            f"{task}: {looked}, and EvalPlus cannot download its release {release} ({error}); fetch it where there is "
            f"a network with `harness fetch --task {task} --data-dir DIR`, then pass --data-dir DIR"
        ) from error
    return read_jsonl(Path(path)), f"EvalPlus release {release}"
