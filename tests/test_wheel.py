"""The wheel: holds what the package needs and nothing else, and runs where the repository is not."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import __version__

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "tasks", "trainers", "reports")
DATA = {
    "recipes": "trainers/recipes/*.toml",
    "checkpoints": "trainers/lab/checkpoints/*/*",
    "study templates": "harness/study/templates/*.toml",
    "judging templates": "harness/judging/templates/*",
    "page templates": "reports/page/templates/*",
    "page scripts": "reports/page/vendor/*",
    "figure style": "reports/figures/*.mplstyle",
    "published figures": "reports/published/*.toml",
    "embedded rows": "tasks/data/*.jsonl",
    "lm-eval tasks": "tasks/lm_eval/*yaml",
    "type markers": "*/py.typed",
}
"""Files that are no modules, by what they are."""


class Installed(NamedTuple):
    """The wheel in an environment of its own, with this one's other packages."""

    wheel: Path
    python: Path
    folder: Path

    def run(self, *command: str | Path) -> str:
        """Run a command of the environment outside the repository; return what it prints."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment = kept | {"HARNESS_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def harness(self, *arguments: str) -> str:
        """Run the installed command."""
        return self.run(self.python.with_name("harness"), *arguments)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the wheel of this tree, built and installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []  # else pip fetches it
    subprocess.run([*pip, "wheel", ROOT, "--no-deps", *isolation, "-w", folder], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    (own,) = (folder / "env" / "lib").glob("python*/site-packages")
    (own / "other_packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    (folder / "elsewhere").mkdir()
    return Installed(wheel, python, folder / "elsewhere")


def tracked(pattern: str) -> set[str]:
    """Return the files of a pattern that belong to the package."""
    return {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.is_file() and path.suffix != ".pyc"}


@pytest.mark.parametrize("what", DATA)
def test_packaged_data_are_in_the_wheel(installed: Installed, what: str) -> None:
    """Everything that is read at run time comes along."""
    wanted = tracked(DATA[what])
    assert wanted
    assert wanted <= set(zipfile.ZipFile(installed.wheel).namelist())


def test_nothing_else_is_in_the_wheel(installed: Installed) -> None:
    """The four packages and their metadata: no tests, benchmarks, documentation or caches."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"grlo_harness-{__version__}.dist-info"}
    assert [
        name for name in names if re.search(r"__pycache__|/(tests|benchmarks|docs)/|\.(pyc|tmp|ipynb)$", name)
    ] == []
    modules = {name for name in names if name.endswith(".py")}
    assert modules == {name for package in PACKAGES for name in tracked(f"{package}/**/*.py")}


def test_the_wheel_is_mostly_the_checkpoints(installed: Installed) -> None:
    """Below 32 MB, and without the lab's weights below 2 MB."""
    sizes = {item.filename: item.compress_size for item in zipfile.ZipFile(installed.wheel).infolist()}
    assert installed.wheel.stat().st_size < 32e6
    assert sum(size for name, size in sizes.items() if "/checkpoints/" not in name) < 2e6


def test_modules_come_from_the_wheel(installed: Installed) -> None:
    """Not from the repository, which an editable install would lead to."""
    code = f"import {', '.join(PACKAGES)}; print(*[m.__file__ for m in ({', '.join(PACKAGES)})], sep='\\n')"
    places = [Path(line) for line in installed.run(installed.python, "-c", code).splitlines()]
    assert len(places) == len(PACKAGES)
    assert all(place.is_relative_to(installed.python.parents[1]) for place in places)


def test_the_installed_command_says_what_it_is_and_can(installed: Installed) -> None:
    """--version, doctor, the tasks."""
    assert installed.harness("--version") == f"harness, version {__version__}\n"
    assert "shipped checkpoints: lab/base" in " ".join(installed.harness("doctor").split())
    assert "olympiadbench" in installed.harness("tasks", "list")


def test_quickstart_runs_outside_the_repository(installed: Installed) -> None:
    """Train a step, evaluate, begin a study, compare and report, all by the wheel alone."""
    installed.harness("train", "lab_grlo", "--set", "steps=1", "--set", "name=live", "--set", "out=made")
    installed.harness("eval", "--ckpt", "lab/base", "--suite", "lab", "--limit", "5")
    installed.harness("eval", "--ckpt", "made/live", "--task", "lab_math", "--limit", "5")
    assert "live" in installed.harness("compare", "runs/lab-base", "runs/live")
    installed.harness("study", "init", "--template", "quickstart", "quickstart.toml")
    assert "lab/base" in (installed.folder / "quickstart.toml").read_text()
    installed.harness("report", "runs/lab-base", "runs/live", "-o", "report")
    assert any((installed.folder / "report").rglob("*.html"))
