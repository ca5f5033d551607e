"""Fixtures that several test modules share."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cli.main import main

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models are an order of magnitude slower on many threads
# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache out of the tests; one folder per worker, so that expensive entries are made once."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path_factory.getbasetemp().parent / "harness-cache"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real benchmark rows, named by $HARNESS_DATA."""
    folder = os.environ.get("HARNESS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real benchmark rows are needed: set HARNESS_DATA (docs/data.md)")
    return Path(folder)


@pytest.fixture
def run_harness(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command line in this process; returns exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
