"""What passes between host and sandbox, and what happens when one side is lost."""

import hashlib
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.scorers.expected import Expected, ExpectedRun, read_expected, write_expected
from harness.scorers.sandbox import ProgramRequest, SandboxProcess, Zygote
from harness.scorers.sandbox_frames import FRAME, pack_frame, read_exactly, read_frame, write_frame
from harness.scorers.station import Station, StationFailedError

TWICE = ProgramRequest("def f(x):\n    return 2 * x\n", "f", pickle.dumps([[21]]), False, 1 << 18, 4.0, 60.0)
EXPECTED = Expected(base=ExpectedRun(b"a", 0.1, 0.2), plus=ExpectedRun(b"b", 0.3, 0.4))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def station() -> Iterator[Station]:
    """Return a station, stopped at the end."""
    made = Station("bubblewrap")
    yield made
    made.close()


def kill(side: SandboxProcess | Zygote | None) -> None:
    """End a sandboxed process as the kernel would."""
    process = side._process if isinstance(side, Zygote) else side
    assert isinstance(process, SandboxProcess)
    os.killpg(process._process.pid, signal.SIGKILL)
    process._process.wait()


def test_a_request_is_read_as_it_was_packed(pipe: tuple[int, int]) -> None:
    """Header and blobs, empty ones too."""
    blobs = [b"", b"\x00\xff", b"x" * 1000]
    for piece in pack_frame({"job": "é", "blobs": [len(blob) for blob in blobs]}, blobs):
        os.write(pipe[1], piece)
    assert read_frame(pipe[0]) == ({"job": "é", "blobs": [0, 2, 1000]}, blobs)


def test_a_reply_is_a_header_and_a_body(pipe: tuple[int, int]) -> None:
    """Sizes first; a chunk of output has no header."""
    write_frame(pipe[1], {"ready": True}, b"out")
    write_frame(pipe[1], None, b"more")
    assert FRAME.unpack(read_exactly(pipe[0], FRAME.size)) == (len(b'{"ready": true}'), 3)
    assert read_exactly(pipe[0], 18) == b'{"ready": true}out'
    assert FRAME.unpack(read_exactly(pipe[0], FRAME.size)) == (0, 4)


def test_half_a_message_is_an_end(pipe: tuple[int, int]) -> None:
    """A side that dies while it writes is told apart from a short message."""
    os.write(pipe[1], b"abc")
    os.close(pipe[1])
    with pytest.raises(EOFError):
        read_exactly(pipe[0], 4)
    os.dup2(pipe[0], pipe[1])  # so that the fixture has two ends to close


def test_a_sandbox_that_was_killed_fails_one_request(station: Station) -> None:
    """The next one gets a new sandbox, and runs."""
    assert station.run(TWICE).reason == "ended"
    kill(station._zygote)
    with pytest.raises(StationFailedError, match="the sandbox failed"):
        station.run(TWICE)
    assert station.run(TWICE).reason == "ended"


def test_a_judge_that_was_killed_fails_one_request(station: Station) -> None:
    """The next one gets a new judge, and is answered."""
    question = {"job": "extract", "entry_point": "f", "cpu": 5}
    text = b"def f(x):\n    return x\n"
    assert station.ask(question, [text]) == ({"program": text.decode()}, [])
    kill(station._judge)
    with pytest.raises(StationFailedError, match="the judge failed"):
        station.ask(question, [text])
    assert station.ask(question, [text])[0]["program"] == text.decode()


def test_a_question_the_judge_cannot_take_is_no_verdict(station: Station) -> None:
    """It ends the judge, and the station says so."""
    with pytest.raises(StationFailedError, match="the judge failed"):
        station.ask({"job": "juggle"}, [])


def test_expected_outputs_are_read_back_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any damage means that they are made again."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert read_expected("key") is None
    write_expected("key", EXPECTED)
    assert read_expected("key") == EXPECTED
    file = tmp_path / "expected" / "key.bin"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:40] + b"?" + whole[41:], b""):
        file.write_bytes(damaged)
        assert read_expected("key") is None


def test_outputs_of_another_version_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, but not such a record."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    body = msgspec.msgpack.encode({"base": 1})
    (tmp_path / "expected").mkdir()
    (tmp_path / "expected" / "key.bin").write_bytes(hashlib.sha256(body).digest() + body)
    assert read_expected("key") is None


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error, and no half file is left."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    (tmp_path / "expected" / "key.bin").mkdir(parents=True)
    write_expected("key", EXPECTED)
    assert read_expected("key") is None
    assert [path.name for path in (tmp_path / "expected").iterdir()] == ["key.bin"]
