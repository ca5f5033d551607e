"""Training prompts are found in every usual shape of file, and errors say what was found instead."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.audit.prompts import open_prompts, prompt_text
from harness.errors import DataError

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
SHAPES: list[tuple[dict[str, Any], str, str]] = [
    ({"id": 1, "prompt": " Hi "}, "prompt", "Hi"),
    ({"question": "Hi", "answer": "Ho"}, "question", "Hi"),
    ({"prompt": CHAT, "data_source": "x"}, "prompt", "Hi"),
    ({"prompt": None, "problem": "Hi"}, "problem", "Hi"),
    ({"messages": [*CHAT, {"role": "assistant", "content": "Ho"}, CHAT[1]]}, "messages", "Hi\nHi"),
    ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}, "conversations", "Hi"),
]


def write(folder: Path, name: str, rows: list[Any]) -> Path:
    """Write rows in the form that the file's ending says."""
    path = folder / name
    if name.endswith(".parquet"):
        import pandas

        pandas.DataFrame(rows).to_parquet(path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows))
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    return path


@pytest.mark.parametrize(("row", "field", "text"), SHAPES)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_the_prompt_is_found(name: str, row: dict[str, Any], field: str, text: str, tmp_path: Path) -> None:
    """Strings and conversations, in every kind of file; of a conversation, what the user says."""
    found = open_prompts(write(tmp_path, name, [row, row]))
    assert found.field == field
    assert [(prompt.row, prompt.text) for prompt in found] == [(1, text), (2, text)]


def test_plain_text_is_a_prompt_a_line(tmp_path: Path) -> None:
    """Blank lines do not count."""
    path = tmp_path / "a.txt"
    path.write_text("one\n\n two \n")
    assert [(prompt.row, prompt.text) for prompt in open_prompts(path)] == [(1, "one"), (2, "two")]


def test_a_json_list_of_strings_is_read(tmp_path: Path) -> None:
    """Each string is a prompt."""
    assert [prompt.text for prompt in open_prompts(write(tmp_path, "a.json", ["one", "two"]))] == ["one", "two"]


def test_a_dotted_field_is_followed(tmp_path: Path) -> None:
    """--field extra_info.question reaches into nested objects, before any default."""
    path = write(tmp_path, "a.jsonl", [{"prompt": "framed", "extra_info": {"question": "bare"}}])
    assert [prompt.text for prompt in open_prompts(path, "extra_info.question")] == ["bare"]


def test_parquet_rows_are_plain_values(tmp_path: Path) -> None:
    """Arrays become lists, missing values None, and an image's bytes do no harm."""
    rows = [
        {"prompt": CHAT, "answer": "1", "image": b"\xff\xd8", "tags": ["a", "b"]},
        {"prompt": CHAT, "answer": None, "image": None, "tags": None},
    ]
    first, second = open_prompts(write(tmp_path, "a.parquet", rows))
    assert (first.text, first.fields["tags"], first.fields["image"]) == ("Hi", ["a", "b"], b"\xff\xd8")
    assert (second.fields["answer"], second.fields["tags"]) == (None, None)


def test_plain_text_has_no_fields(tmp_path: Path) -> None:
    """--field beside a .txt file is refused."""
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    with pytest.raises(DataError, match="leave --field out"):
        open_prompts(path, "prompt")


def test_parts_of_a_message_are_joined() -> None:
    """Content given as a list of typed parts is its texts."""
    parts = [{"type": "text", "text": "Look"}, {"type": "image"}, {"type": "text", "text": "here"}]
    assert prompt_text([{"role": "user", "content": parts}]) == "Look\nhere"


@pytest.mark.parametrize(
    ("name", "rows", "field", "message"),
    [
        ("a.jsonl", [{"text": "Hi", "id": 1}], None, "its fields are text, id: name one with --field"),
        ("a.jsonl", [{"prompt": "Hi"}], "extra.question", "no text at field extra.question; its fields are prompt"),
        ("a.jsonl", [], None, "is empty"),
        ("a.json", {"prompt": "Hi"}, None, "expected a JSON list"),
        ("a.csv", [{"prompt": "Hi"}], None, "expected a file ending"),
    ],
)
def test_a_file_without_prompts_is_refused(
    name: str, rows: Any, field: str | None, message: str, tmp_path: Path
) -> None:
    """The message names what the file has instead."""
    with pytest.raises(DataError, match=message):
        open_prompts(write(tmp_path, name, rows), field)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(DataError, match=r"a\.jsonl does not exist"):
        open_prompts(tmp_path / "a.jsonl")


def test_a_row_without_a_prompt_is_named(tmp_path: Path) -> None:
    """A later row that lacks the field stops the audit: its prompt would go unsearched."""
    prompts = open_prompts(write(tmp_path, "a.jsonl", [{"prompt": "Hi"}, {"prompt": ""}]))
    with pytest.raises(DataError, match="row 2: no text at field prompt"):
        list(prompts)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    """Damaged JSON and parquet files give one line."""
    for name in ("a.json", "a.parquet"):
        path = tmp_path / name
        path.write_text("{")
        with pytest.raises(DataError, match="cannot read"):
            open_prompts(path)
