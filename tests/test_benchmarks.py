"""The speed scripts start and speak one language; the table, the markers and the chart hold what was found.

Nothing is timed here.
"""

import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
PARTS = ("figures.py", "clock.py", "speed_page.py", "run_all.py")
"""Not scripts of their own, or the one that runs them."""
SCRIPTS = sorted(
    path for path in FOLDER.glob("*.py") if path.name not in PARTS and not path.name.startswith("agreement_")
)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Import as the scripts do: from their own folder."""
    import importlib

    monkeypatch.syspath_prepend(FOLDER)
    return {name: importlib.import_module(name) for name in ("figures", "speed_page", "run_all", "growth")}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself_and_writes_figures(path: Path) -> None:
    """Each script has --help, which says what it does, and --json."""
    if path.name == "driver.py":
        pytest.importorskip("ray")
    done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "--json FILE" in done.stdout
    assert "python benchmarks/" in done.stdout


def test_every_script_is_run_or_named(modules: dict[str, ModuleType]) -> None:
    """run_all runs every speed script but driver, which asks about a cluster (docs/cluster.md)."""
    run = {script.name for script in modules["run_all"].SCRIPTS}
    assert {path.stem for path in SCRIPTS} - run == {"driver"}
    assert run <= {path.stem for path in SCRIPTS}


def test_ratio_is_a_share_of_the_peers_cost(modules: dict[str, ModuleType]) -> None:
    """Seconds are divided as they are, rates turned over: below 1 is better for both; no peer, no ratio."""
    figure = modules["figures"].Figure
    assert figure("a run", 2.0, "s", 8.0, "other").ratio == 0.25
    assert figure("speed", 200.0, "tokens/s", 100.0, "other").ratio == 0.5
    assert figure("memory", 60.0, "MB").ratio is None


def test_figures_survive_their_file(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    """What a script saves is what is read back."""
    figures = modules["figures"]
    found = figures.Results(
        (figures.Figure("a run", 2.0, "s", 8.0, "other, dummy", "run"),),
        (figures.Grid("Growth", ("stage", "s"), (("read", "1"),)),),
        ("PPO was not measured",),
    )
    figures.save(tmp_path / "found.json", found)
    assert figures.load(tmp_path / "found.json") == found
    assert json.loads((tmp_path / "found.json").read_text())["figures"][0]["unit"] == "s"


def test_page_holds_the_table_between_its_markers(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    """A second run replaces the block of the first; what stands around it stays; the chart is written twice."""
    figures, page = modules["figures"], modules["speed_page"]
    (tmp_path / "images").mkdir()
    file = tmp_path / "benchmarks.md"
    file.write_text(f"# Speed\n\n{page.BEGIN}\nold\n{page.END}\n\n## Conditions\n")
    found = {
        "fixed": figures.Results((figures.Figure("a run", 0.4, "s", 52.0, "lm-eval, dummy", "a run"),)),
        "growth": figures.Results(
            (figures.Figure("peak", 61.4, "MB"), figures.Figure("slow", 3.0, "s", 2.0, "peer", "slow")),
            (figures.Grid("Growth", ("stage", "s"), (("read", "0.10"),)),),
        ),
    }
    made = page.Made(120.0, 0.5, ("peers: no --inspect-python",))
    for _ in range(2):
        written = page.write(tmp_path, found, made)
    text = file.read_text()
    assert text.startswith("# Speed\n")
    assert text.endswith("## Conditions\n")
    assert "old" not in text
    assert text.count("| a run | 0.400 s | lm-eval, dummy: 52.0 s | 0.0077 | fixed |") == 1
    assert "| peak | 61.4 MB | – | – | growth |" in text
    assert "| slow | 3.00 s | peer: 2.00 s | 1.50 | growth |" in text
    assert "### Growth\n\n| stage | s |\n| --- | ---: |\n| read | 0.10 |" in text
    assert "- peers: no --inspect-python" in text
    assert "in 2 minutes" in text
    assert [path.name for path in written] == ["benchmarks.md", "speed.svg", "speed.png"]
    assert "a run · lm-eval: 0.0077" in written[1].read_text()


@pytest.mark.parametrize("text", ["no markers", "{end}{begin}", "{begin}{end}{begin}{end}"])
def test_page_without_one_pair_of_markers_is_refused(modules: dict[str, ModuleType], text: str) -> None:
    """Nothing is guessed about where the table belongs."""
    page = modules["speed_page"]
    with pytest.raises(ValueError, match="one pair"):
        page.put_between_markers(text.format(begin=page.BEGIN, end=page.END), "block")


def test_docs_have_the_markers(modules: dict[str, ModuleType]) -> None:
    """docs/benchmarks.md can take the table."""
    page = modules["speed_page"]
    text = (FOLDER.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "block" in page.put_between_markers(text, "block")


def test_what_is_missing_is_said(modules: dict[str, ModuleType]) -> None:
    """Without data and environments the scripts that need them are left out, each with the option it lacks."""
    import argparse

    run_all = modules["run_all"]
    nothing = argparse.Namespace(quick=False, data_dir=None, trl_python=None, vllm_python=None, inspect_python=None)
    reasons = {(each.name, each.arguments): run_all.missing(each, nothing) for each in run_all.SCRIPTS}
    assert reasons["fixed_cost", "--repeats 3"] == "no --data-dir"
    assert reasons["trainer_step", "--algorithm ppo"] == "no --trl-python"
    assert reasons["beside_peers", "--engine vllm"] == "no --vllm-python"
    assert reasons["peers", ""] == "no --inspect-python"
    assert reasons["growth", ""] == reasons["resampling", ""] == ""


def test_kept_results_are_not_measured_again(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    """--results takes what an earlier run left there, by the script's name and arguments, and runs nothing for it."""
    import argparse

    run_all, figures = modules["run_all"], modules["figures"]
    kept = figures.Results(figures=(figures.Figure("rows read", 2.0, "s", 4.0, "peer"),))
    figures.save(tmp_path / "compare_runs --generations 8.json", kept)
    script = run_all.Script("compare_runs", "--generations 8")
    options = argparse.Namespace(quick=False, full=False, results=tmp_path)
    assert run_all.run_scripts([script], options) == ({"compare_runs": kept}, [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["compare_runs --generations 8.json"]


def test_growth_leaves_the_fixed_part_out(modules: dict[str, ModuleType]) -> None:
    """1 s fixed and 1 ms a request is linear: ratio 1; twice the cost per request is 2; a hidden cost has no ratio."""
    growth = modules["growth"]

    def costs(*seconds: float) -> list[object]:
        return [growth.Cost(n, s, s, 50.0) for n, s in zip((24, 10_000, 100_000), seconds, strict=True)]

    assert math.isclose(growth.growth(costs(1.0, 11.0, 101.0)), 1.0)
    assert math.isclose(growth.growth(costs(1.0, 11.0, 201.0)), 2.0)
    assert growth.growth(costs(10.0, 10.1, 11.0)) is None
