"""Where rows are: in the package, in a local folder, on the hub or elsewhere on the web. They come as written."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from harness.download import download
from harness.errors import DataError
from harness.rows import Row, parse_rows, read_jsonl


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where rows are, in the order they are looked for."""

    embedded: str | None = None
    """File in tasks/data."""
    local: str | None = None
    """File under the data folder."""
    url: str | None = None
    """Its authors' own file, .jsonl, .json or .csv: at a fixed commit where they have one."""
    hub: str | None = None
    """Hub data set (org/name), parquet or jsonl."""
    hub_config: str | None = None
    hub_split: str = "test"
    evalplus: str | None = None
    """Release name@version, read through EvalPlus's own loader: the hub copies lack the test inputs."""

    @property
    def origin(self) -> str | None:
        """Where rows are fetched from, for people."""
        return self.url or self.hub or self.evalplus


def find_rows(task: str, place: Place, data_dir: Path | None, hub_dir: Path | None) -> tuple[Iterator[Row], str]:
    """Return the raw rows of the first place that has them, and the place.

    Raises:
        DataError: if no place has them.
    """
    if place.embedded:
        return read_jsonl(Path(str(files("tasks") / "data" / place.embedded))), "embedded"
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(f"the data folder {data_dir} (--data-dir or $HARNESS_DATA) is not a folder")
    if data_dir is not None and place.local and (data_dir / place.local).is_file():
        return read_jsonl(data_dir / place.local), str(data_dir / place.local)
    looked = f"{data_dir / place.local} does not exist" if data_dir and place.local else "no --data-dir was given"
    if place.url:
        return _web_rows(task, place.url, looked)
    if place.evalplus:
        return _evalplus_rows(task, place.evalplus, looked)
    return _hub_rows(task, place, hub_dir, looked)


def _advise(task: str) -> str:
    return (
        f"fetch it where there is a network with `harness fetch --task {task} --data-dir DIR`, then pass --data-dir DIR"
    )


def _web_rows(task: str, url: str, looked: str) -> tuple[Iterator[Row], str]:
    try:
        return parse_rows(download(url), url), url
    except DataError as error:
        raise DataError(f"{task}: {looked}, and {error}; {_advise(task)}") from error


def _hub_rows(task: str, place: Place, hub_dir: Path | None, looked: str) -> tuple[Iterator[Row], str]:
    import datasets

    assert place.hub is not None, f"{task} has no source but local files"
    name = place.hub if hub_dir is None else str(hub_dir / place.hub)
    datasets.disable_progress_bars()
    try:
        if hub_dir is None:
            rows = iter(datasets.load_dataset(name, place.hub_config, split=place.hub_split))
        else:
            # `datasets` would take an edited mirror for the one it has in its cache
            with tempfile.TemporaryDirectory() as cache:
                found = datasets.load_dataset(name, place.hub_config, split=place.hub_split, cache_dir=cache)
                rows = iter(list(found))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "the hub" if hub_dir is None else "the mirror"
        raise DataError(
            f"{task}: {looked}, and {name} cannot be had from {where} ({reason}); {_advise(task)}"
        ) from error
    return rows, f"{name} ({place.hub_split})"


def _evalplus_rows(task: str, release: str, looked: str) -> tuple[Iterator[Row], str]:
    from evalplus.data.utils import get_dataset_metadata, make_cache

    name, _, version = release.partition("@")
    url, path = get_dataset_metadata(name, version, mini=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it announces downloads on stdout, where our table goes
            make_cache(url, path)
    except OSError as error:
        raise DataError(
            f"{task}: {looked}, and EvalPlus cannot download its release {release} ({error}); {_advise(task)}"
        ) from error
    return read_jsonl(Path(path)), f"EvalPlus release {release}"
