"""Verdicts on disk, one folder a judge: what was said once is never asked, or paid for, again.

The lock is held from the first question to the end rather than line by line: two processes that judge the same answers
at once would both pay for them. Reading needs no lock.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import StoreError
from harness.judging.records import JudgeIdentity, Verdict, VerdictKey
from harness.store import JsonLines, disk_errors, encode_pretty, read_json, read_lines, take_lock, write_atomically

_ADVICE = "restore the file, or cut the line out: its question is asked again"


class VerdictStore:
    """The folder of one judge: judge.json, verdicts.jsonl, lock. Nothing is made before there is something to write."""

    def __init__(self, root: Path, identity: JudgeIdentity) -> None:
        self.path = judge_folder(root, identity)
        self._identity = identity
        self._lines: JsonLines[Verdict] | None = None
        self._lock: int | None = None

    def find(self, keys: Collection[VerdictKey]) -> dict[VerdictKey, Verdict]:
        """Return the stored verdicts among these keys; those that could not be read are not among them."""
        found: dict[VerdictKey, Verdict] = {}
        for verdict in _read_verdicts(self.path):
            if verdict.key in keys:
                found[verdict.key] = verdict
        return {key: verdict for key, verdict in found.items() if verdict.value is not None}

    def open(self) -> None:
        """Take the lock, to write; does nothing if it is held already.

        Raises:
            LockedError: if another process writes verdicts of this judge.
            StoreError: if the folder is another judge's, or the disk refuses.
        """
        if self._lines is not None:
            return
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            advice = "wait for it, or name another folder for the verdicts (verdicts, in the judge's file)"
            self._lock = take_lock(self.path / "lock", self.path, advice)
        try:
            self._write_judge()
            self._lines = JsonLines(self.path / "verdicts.jsonl", Verdict)
        except BaseException:
            self.close()
            raise

    def append(self, verdict: Verdict) -> None:
        """Write a verdict; it survives the death of this process as soon as this returns."""
        assert self._lines is not None, "the store is opened before a judge is asked"
        self._lines.append(verdict)

    def close(self) -> None:
        """Flush to disk and let other processes in."""
        lines, lock = self._lines, self._lock
        self._lines = self._lock = None
        try:
            if lines is not None:
                lines.close()
        finally:
            if lock is not None:
                os.close(lock)

    def _write_judge(self) -> None:
        path = self.path / "judge.json"
        if not path.exists():
            write_atomically(path, encode_pretty(self._identity))
        elif (found := read_json(path, JudgeIdentity).digest) != self._identity.digest:
            raise StoreError(f"{path} describes judge {found}, not {self._identity.digest}: move the folder away")


def judge_folder(root: Path, identity: JudgeIdentity) -> Path:
    """Return where a judge's verdicts are: a folder of any name that ends in its digest, else one of its own name."""
    if root.is_dir():
        for folder in sorted(root.glob(f"*-{identity.digest}")):
            return folder  # a judge that goes by another name now
    slug = re.sub(r"[^\w.-]+", "_", identity.name).strip("._-")[:60] or "judge"
    return root / f"{slug}-{identity.digest}"


def export(store: Path) -> Iterator[dict[str, Any]]:
    """Yield every verdict of a store as a flat row, judge by judge; the last line of a key counts.

    Args:
        store: the store, or the folder of one judge.

    Raises:
        StoreError: if there are no verdicts, or a line cannot be read.
    """
    folders = sorted(path.parent for path in (*store.glob("judge.json"), *store.glob("*/judge.json")))
    if not folders:
        raise StoreError(f"{store} holds no verdicts: expected a folder with judge.json, or one with such folders")
    for folder in folders:
        judge = read_json(folder / "judge.json", JudgeIdentity)
        last = {verdict.key: number for number, verdict in enumerate(_read_verdicts(folder))}
        for number, verdict in enumerate(_read_verdicts(folder)):
            if last.get(verdict.key) == number:
                yield _flat_row(judge, verdict)


def _flat_row(judge: JudgeIdentity, verdict: Verdict) -> dict[str, Any]:
    told = msgspec.structs.asdict(verdict)
    key = msgspec.structs.asdict(told.pop("key"))
    told["served_model"] = told.pop("model")  # beside the judge's own
    return {"judge": judge.name, "judge_digest": judge.digest, "kind": judge.kind, "model": judge.model} | key | told


def _read_verdicts(folder: Path) -> Iterator[Verdict]:
    path = folder / "verdicts.jsonl"
    return read_lines(path, Verdict, _ADVICE) if path.exists() else iter(())
