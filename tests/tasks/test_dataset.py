"""Rows come from one of three places and are the registered ones, or it is an error."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from harness.errors import DataError
from harness.rows import read_jsonl
from tasks.dataset import DataSource, check_hash, find_rows, load_rows
from tasks.registry import TASKS
from tests.support import parse, toy_task, write_rows

SOURCE = DataSource(parse=parse, sha256="", num_examples=12, local="toy.jsonl", hub="org/toy")


def mirror(folder: Path, hub: str, config: str | None, split: str, rows: list[dict[str, Any]]) -> None:
    """Write a hub data set's folder as `hf download` leaves it: parquet, and a README that names configurations."""
    place = folder / hub
    place.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows).to_parquet(str(place / f"{split}.parquet"))
    files = [f"  - split: {path.stem}\n    path: {path.name}\n" for path in sorted(place.glob("*.parquet"))]
    (place / "README.md").write_text(
        f"---\nconfigs:\n- config_name: {config or 'default'}\n  data_files:\n{''.join(files)}---\n"
    )


def test_hash_is_of_the_normalised_rows(tmp_path: Path) -> None:
    """Field order and file format of the source do not count; one changed target does."""
    write_rows(tmp_path)
    first = load_rows("toy", SOURCE, tmp_path, None).sha256
    rows = [dict(reversed(row.items())) for row in read_jsonl(tmp_path / "toy.jsonl")]
    mirror(tmp_path, "org/toy", None, "test", rows)
    assert load_rows("toy", SOURCE, None, tmp_path).sha256 == first
    rows[3]["answer"] = "0"
    (tmp_path / "toy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_rows("toy", SOURCE, tmp_path, None).sha256 != first


def test_other_rows_than_registered_are_refused_until_accepted(tmp_path: Path) -> None:
    """The message says what was found and expected, and the flag it prints lets them through."""
    write_rows(tmp_path)
    data = toy_task().load(tmp_path, None)
    with pytest.raises(DataError, match=f"--accept-data toy={data.sha256}"):
        check_hash("toy", "0" * 64, data, None)
    check_hash("toy", "0" * 64, data, data.sha256)
    with pytest.raises(DataError, match="other rows"):
        check_hash("toy", "0" * 64, data, "1" * 64)


def test_missing_rows_say_where_was_looked_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no hub: one line with both places and the next step."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"toy.jsonl does not exist, and org/toy cannot be had.*harness fetch"):
        load_rows("toy", SOURCE, tmp_path, None)


def test_a_data_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A mistyped --data-dir never falls through to the network."""
    with pytest.raises(DataError, match="is not a folder"):
        load_rows("toy", SOURCE, tmp_path / "nope", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "q0"}\n', "row 0 of .* does not fit: KeyError 'question'"),
        ("not json\n", "line 1 is not JSON"),
        ("[1]\n", "line 1 is not a JSON object"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path: Path, text: str, message: str) -> None:
    """File and line, not a traceback."""
    (tmp_path / "toy.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        load_rows("toy", SOURCE, tmp_path, None)


def test_a_cut_gzip_file_is_an_error(tmp_path: Path) -> None:
    """Half a download is not half a data set."""
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    with pytest.raises(DataError, match="cannot read"):
        list(read_jsonl(path))


REAL = [name for name, task in TASKS.items() if not task.source.embedded and task.data_sha256]


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_the_registered_ones(data_dir: Path, name: str) -> None:
    """Number and hash of the local copy are those in the registry."""
    task = TASKS[name]
    data = task.load(data_dir, None)
    assert (len(data.examples), data.sha256) == (task.source.num_examples, task.data_sha256)


def as_hub_row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a local row in the schema of the hub's data set, where that is known to differ."""
    if name == "aime24":
        return {"id": row["id"], "problem": row["problem"], "answer": row["answer"].lstrip("0"), "year": "2024"}
    if name == "amc23":
        return {"id": row["id"], "question": row["question"], "answer": str(row["answer"])}
    if name == "aime25":
        return {"problem": row["problem"], "answer": str(row["answer"]), "id": row["id"]}
    if name == "minerva_math":
        from tasks.suite_math import last_boxed

        return {"question": row["problem"], "answer": last_boxed(row["solution"])}
    if name == "olympiadbench":
        return {**row, "image_1": None, "language": "English"}
    if name == "ifeval":
        names = sorted({key for kwargs in row["kwargs"] for key in kwargs} | {"num_words", "relation"})
        return {**row, "kwargs": [{key: kwargs.get(key) for key in names} for kwargs in row["kwargs"]]}
    return row


@pytest.mark.parametrize("name", [name for name in REAL if TASKS[name].source.hub])
def test_hub_schema_gives_the_same_rows(data_dir: Path, tmp_path: Path, name: str) -> None:
    """The hub's columns, read by `datasets`, normalise to the same hash as the local file."""
    task = TASKS[name]
    rows, _ = find_rows(name, task.source, data_dir, None)
    source = task.source
    assert source.hub is not None
    mirror(tmp_path, source.hub, source.hub_config, source.hub_split, [as_hub_row(name, dict(row)) for row in rows])
    assert task.load(None, tmp_path).sha256 == task.data_sha256
