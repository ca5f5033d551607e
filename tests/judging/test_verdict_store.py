"""Verdicts survive whatever happens to the process, and are found by content."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.errors import LockedError, StoreError
from harness.judging.records import JudgeIdentity, Verdict, VerdictKey
from harness.judging.verdict_store import VerdictStore, export, judge_folder
from harness.store import read_json

IDENTITY = JudgeIdentity(name="lab/reward", kind="reward", model="w", engine={"name": "hf"}, settings={})


def key(number: int) -> VerdictKey:
    return VerdictKey(template="pair@1", prompt="p", a=f"a{number}", b="b")


def verdict(number: int, value: float | None = 1.0, text: str = "") -> Verdict:
    return Verdict(key=key(number), value=value, where=f"toy/{number}", text=text, at="2026-01-01T00:00:00+00:00")


def filled(root: Path, *verdicts: Verdict) -> VerdictStore:
    store = VerdictStore(root, IDENTITY)
    store.open()
    for item in verdicts:
        store.append(item)
    store.close()
    return store


def test_a_folder_names_its_judge(tmp_path: Path) -> None:
    """A readable name and the digest; inside, all that the digest is made of."""
    filled(tmp_path, verdict(1))
    folder = tmp_path / f"lab_reward-{IDENTITY.digest}"
    assert sorted(path.name for path in folder.iterdir()) == ["judge.json", "lock", "verdicts.jsonl"]
    assert read_json(folder / "judge.json", JudgeIdentity) == IDENTITY


@pytest.mark.parametrize("name", ["", "../..", "/", "ü/日本", "x" * 300, "a b\nc"])
def test_any_name_makes_a_folder_within_the_store(tmp_path: Path, name: str) -> None:
    """Names come from users and servers."""
    folder = judge_folder(tmp_path, msgspec.structs.replace(IDENTITY, name=name))
    assert folder.parent == tmp_path
    assert len(folder.name) < 100
    folder.mkdir()


def test_a_renamed_judge_keeps_its_verdicts(tmp_path: Path) -> None:
    """The digest finds the folder; another judge of the same name has its own."""
    filled(tmp_path, verdict(1))
    renamed = VerdictStore(tmp_path, msgspec.structs.replace(IDENTITY, name="the judge"))
    assert renamed.find([key(1)]) == {key(1): verdict(1)}
    other = VerdictStore(tmp_path, msgspec.structs.replace(IDENTITY, model="v"))
    assert other.find([key(1)]) == {}


def test_reading_makes_no_files_and_needs_no_lock(tmp_path: Path) -> None:
    """A store that is not there is empty; one that is being written can be read."""
    reader = VerdictStore(tmp_path / "none", IDENTITY)
    assert reader.find([key(1)]) == {}
    assert list(tmp_path.iterdir()) == []
    writer = VerdictStore(tmp_path / "none", IDENTITY)
    writer.open()
    writer.append(verdict(1))
    assert VerdictStore(tmp_path / "none", IDENTITY).find([key(1), key(2)]) == {key(1): verdict(1)}
    assert [row["a"] for row in export(tmp_path / "none")] == ["a1"]
    writer.close()


def test_the_last_line_of_a_key_counts(tmp_path: Path) -> None:
    """A question that had no readable verdict and was asked again has the new one."""
    store = filled(tmp_path, verdict(1, None, "hm"), verdict(2), verdict(1, 0.0, "[[B]]"), verdict(3, None))
    assert store.find([key(1), key(2), key(3)]) == {key(1): verdict(1, 0.0, "[[B]]"), key(2): verdict(2)}


@pytest.mark.parametrize("kept_bytes", [1, 40, -1])
def test_a_torn_last_line_is_dropped(tmp_path: Path, kept_bytes: int) -> None:
    """A process killed in the middle of a write loses that verdict alone, and the next one starts a line of its own."""
    store = filled(tmp_path, verdict(1))
    with (store.path / "verdicts.jsonl").open("ab") as file:
        file.write((msgspec.json.encode(verdict(2)) + b"\n")[:kept_bytes])
    assert set(store.find([key(1), key(2)])) == {key(1)}
    store = filled(tmp_path, verdict(3))
    assert set(store.find([key(1), key(2), key(3)])) == {key(1), key(3)}


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    """It is not guessed at; the message says what can be done."""
    store = filled(tmp_path, verdict(1))
    with (store.path / "verdicts.jsonl").open("ab") as file:
        file.write(b"{broken}\n")
    with pytest.raises(StoreError, match=r"verdicts.jsonl line 2 cannot be read .* cut the line out"):
        store.find([key(1)])


def test_only_one_process_writes_verdicts_of_a_judge(tmp_path: Path) -> None:
    """The second one is told who does, and what it can do; another judge's verdicts are written at the same time."""
    writer = VerdictStore(tmp_path, IDENTITY)
    writer.open()
    writer.open()  # once is enough
    code = (
        "import sys; from pathlib import Path; from harness.judging.records import JudgeIdentity\n"
        "from harness.judging.verdict_store import VerdictStore\n"
        "identity = JudgeIdentity(name='x', kind='reward', model=sys.argv[2], engine={'name': 'hf'}, settings={})\n"
        "VerdictStore(Path(sys.argv[1]), identity).open()"
    )

    def open_elsewhere(model: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, str(tmp_path), model], capture_output=True, text=True)

    assert open_elsewhere("v").returncode == 0
    refused = open_elsewhere("w").stderr
    assert (
        f"LockedError: {writer.path} is being written by process {os.getpid()}; wait for it, or name"
        in refused.replace("harness.errors.", "")
    )
    writer.close()
    writer.close()
    assert open_elsewhere("w").returncode == 0


def test_within_a_process_too(tmp_path: Path) -> None:
    """Two benches of one judge do not both write."""
    first, second = VerdictStore(tmp_path, IDENTITY), VerdictStore(tmp_path, IDENTITY)
    first.open()
    with pytest.raises(LockedError):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_folder_that_is_another_judges_is_refused(tmp_path: Path) -> None:
    """A folder renamed by hand would mix two judges."""
    other = VerdictStore(tmp_path, msgspec.structs.replace(IDENTITY, model="v"))
    other.open()
    other.close()
    other.path.rename(tmp_path / f"lab_reward-{IDENTITY.digest}")
    with pytest.raises(StoreError, match="move the folder away"):
        VerdictStore(tmp_path, IDENTITY).open()


def test_a_store_is_exported_as_rows(tmp_path: Path) -> None:
    """Every judge's verdicts, one flat row a question, the unread ones too; a judge's own folder gives its alone."""
    filled(tmp_path, verdict(1, None, "hm"), verdict(2, 0.25), verdict(1, 1.0, "[[A]] é"), verdict(3, None, "no"))
    other = VerdictStore(tmp_path, msgspec.structs.replace(IDENTITY, name="z", model="v"))
    other.open()
    other.append(verdict(9))
    other.close()
    rows = list(export(tmp_path))
    assert [(row["judge"], row["a"], row["value"], row["text"]) for row in rows] == [
        ("lab/reward", "a2", 0.25, ""),
        ("lab/reward", "a1", 1.0, "[[A]] é"),
        ("lab/reward", "a3", None, "no"),
        ("z", "a9", 1.0, ""),
    ]
    assert list(rows[0]) == [
        "judge", "judge_digest", "kind", "model", "template", "prompt", "a", "b", "value", "where", "label", "text",
        "attempts", "num_prompt_tokens", "num_completion_tokens", "seconds", "at", "served_model",
    ]  # fmt: skip
    assert list(export(other.path)) == rows[3:]


def test_there_is_nothing_to_export_where_there_is_no_store(tmp_path: Path) -> None:
    """One line says what was expected."""
    with pytest.raises(StoreError, match="holds no verdicts: expected a folder with"):
        list(export(tmp_path))
