"""What several tests of faults share."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.command import adopting, run

EVAL = ("eval", "--ckpt", "scripted:mixed", "--task", "lab_math", "--limit", "8", "--label", "toy")
"""A run of a third of a second, without a model."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty folder that commands run in, with an empty place for a cache beside it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which EVAL has run, to be copied."""
    folder = tmp_path_factory.mktemp("evaluated")
    assert run(EVAL, folder)[0] == 0
    return folder


@pytest.fixture
def undisturbed(tmp_path: Path, evaluated: Path) -> Path:
    """Return a folder of one's own in which EVAL has run."""
    return Path(shutil.copytree(evaluated, tmp_path / "undisturbed"))


@pytest.fixture
def adopted() -> Iterator[None]:
    """See every process that outlives the command that started it."""
    with adopting():
        yield


@pytest.fixture
def namespace() -> list[str]:
    """Return the words that start a shell which may mount file systems, for itself alone."""
    words = ["unshare", "-Urm", "sh", "-c"]
    try:
        subprocess.run([*words, "mount -t tmpfs -o size=64k none /mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"file systems cannot be mounted without rights here ({error})")
    return words
