"""`harness plan` end to end: with no pilot, one and two; the figures are readable and their assumptions stand below."""

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.cli import plan
from harness.cli.main import main
from tests.cli.test_eval import replay_file

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def pilots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make pilots: lab/base sampled, again at another temperature, greedy, and one that is always wrong."""
    folder = tmp_path_factory.mktemp("pilots")
    lab = ["eval", "--ckpt", "lab/base", "--task", "lab_chat,lab_math", "--limit", "12", "--out", str(folder)]
    assert main([*lab, "--preset", "avg@8", "--label", "base"]) == 0
    assert main([*lab, "--preset", "avg@8", "--label", "warmer", "--set", "sampling.temperature=1.2"]) == 0
    assert main([*lab, "--label", "greedy"]) == 0
    script = replay_file(folder, "lab_math", wrong_every=1)
    wrong = ["--ckpt", f"scripted:replay={script}", "--task", "lab_math", "--limit", "5", "--label", "wrong"]
    assert main(["eval", *wrong, "--out", str(folder)]) == 0
    return folder


def test_one_pilot_plans_its_tasks_under_an_assumption(pilots: Path, run_harness: Run) -> None:
    """Task sizes are the registry's, not the pilot's; the correlation is stated as assumed."""
    code, out, _ = run_harness("plan", "--mde", "3", "--pilot", str(pilots / "base"))
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 132
    for text in ("lab_chat", "200 examples", "k = 64", "overall", "correlate by 0.5", "one pilot, 12 examples, k = 8"):
        assert text in out


def test_two_pilots_assume_no_correlation(pilots: Path, run_harness: Run) -> None:
    """They show it; two runs of the same weights are called too hopeful."""
    arguments = ["--mde", "3", "--pilot", str(pilots / "base"), "--pilot", str(pilots / "warmer")]
    code, out, _ = run_harness("plan", *arguments)
    assert code == 0
    assert "two pilots, 12 examples, k = 8 and 8" in out
    assert "assumed" not in out
    assert "the pilots differ in sampling of lab_chat, lab_math" in out
    assert "too hopeful" in out


def test_a_greedy_pilot_plans_one_generation_only(pilots: Path, run_harness: Run) -> None:
    """No figures for k > 1, and the advice to sample."""
    code, out, _ = run_harness("plan", "--mde", "3", "--pilot", str(pilots / "greedy"))
    assert code == 0
    assert "k = 1" in out
    assert "k = 4" not in out
    assert "--preset avg@8" in out


def test_without_a_pilot_the_worst_case_is_assumed(run_harness: Run) -> None:
    """GSM8K's 1,319 examples show 3.9 points, AIME's 30 show 26.5, at a correlation of a half."""
    code, out, _ = run_harness("plan", "--mde", "5", "--task", "gsm8k,aime24")
    assert code == 0
    assert "gsm8k: enough at k = 1 (worst case, no pilot)" in out
    assert "aime24: not with its 30 examples at k = 1: at best 26.5 points" in out
    assert "assumed of gsm8k, aime24" in out


def test_tasks_without_a_pilot_stand_beside_those_with_one(pilots: Path, run_harness: Run) -> None:
    """Each says where its variance comes from."""
    code, out, _ = run_harness("plan", "--mde", "5", "--task", "lab_math,gsm8k", "--pilot", str(pilots / "base"))
    assert code == 0
    assert "(one pilot, 12 examples, k = 8)" in out
    assert "(worst case, no pilot)" in out


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_pilot_without_variance_plans_nothing(pilots: Path, run_harness: Run, extra: list[str]) -> None:
    """All wrong: one line that says so, no figure, and the exit code of what could not run."""
    code, out, err = run_harness("plan", "--mde", "3", "--pilot", str(pilots / "wrong"), *extra)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "nothing can be planned: lab_math: no variance was seen in it (all right, all wrong" in err


def test_what_can_be_planned_stands_beside_what_cannot(pilots: Path, run_harness: Run) -> None:
    """A line says so of the one task, and the exit code is 0."""
    arguments = ["--mde", "3", "--pilot", str(pilots / "wrong"), "--task", "lab_math,gsm8k"]
    code, out, _ = run_harness("plan", *arguments)
    assert code == 0
    assert "lab_math: nothing can be planned: no variance was seen in it" in out
    assert "gsm8k: enough at k = 1" in out or "gsm8k: not with its 1,319 examples" in out


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits(pilots: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Five counts of generations with large figures: words are folded, no number is cut."""
    console = Console(width=width, file=io.StringIO())
    monkeypatch.setattr(plan, "stdout_console", lambda: console)
    arguments = ["--mde", "0.5", "--pilot", str(pilots / "base"), "--power", "0.9999"]
    assert run_harness("plan", *arguments)[0] == 0
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "k = 64" in text


def test_the_plan_is_given_as_json(pilots: Path, run_harness: Run) -> None:
    """Fractions, not points; every task and average."""
    code, out, _ = run_harness("plan", "--mde", "3", "--pilot", str(pilots / "base"), "--json")
    assert code == 0
    report = msgspec.json.decode(out)
    assert report["difference"] == 0.03
    assert [task["task"] for task in report["tasks"]] == ["lab_chat", "lab_math"]
    assert [point["num_generations"] for point in report["tasks"][0]["points"]] == [1, 4, 8, 16, 64]
    assert report["averages"][0]["name"] == "overall"


def test_clustered_examples_are_planned_with_a_warning(data_dir: Path, tmp_path: Path, run_harness: Run) -> None:
    """Minerva's sub-problems share preambles; the plan says that it takes them as independent."""
    evaluate = ["eval", "--ckpt", "lab/base", "--task", "minerva_math", "--limit", "6", "--out", str(tmp_path)]
    assert run_harness(*evaluate, "--set", "sampling.max_tokens=4")[0] == 0
    arguments = ["--mde", "3", "--pilot", str(tmp_path / "lab-base"), "--task", "minerva_math,gsm8k"]
    code, out, _ = run_harness("plan", *arguments)
    assert code == 0
    assert "minerva_math: examples share sources but are planned as if independent" in out


BAD = [
    (["--mde", "0"], "--mde 0: expected a difference above 0"),
    (["--mde", "-3"], "--mde -3: expected"),
    (["--mde", "101"], "--mde 101: expected"),
    (["--mde", "nan"], "--mde nan: expected"),
    (["--mde", "3", "--power", "1"], "--power 1: expected"),
    (["--mde", "3", "--level", "nan"], "--level nan: expected"),
    (["--mde", "3", "--level", "95"], "from 0.5 to 0.9999, e.g. 0.95"),
    (["--mde", "3", "--power", "80"], "from 0.5 to 0.9999, e.g. 0.8"),
    (["--mde", "3", "--correlation", "1"], "--correlation 1: expected"),
    (["--mde", "3"], "no task was named"),
    ([], "Missing option '--mde'"),
    (["--mde", "3", "--pilot", "nowhere"], "nowhere is neither a run directory"),
    (["--mde", "3", "--task", "gsm8k", "--pilot", "base"], "no pilot has gsm8k"),
    (["--mde", "3", "--pilot", "base", "--pilot", "base"], "give runs of two checkpoints"),
    (["--mde", "3", *["--pilot", "base"] * 3], "3 pilots were given"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_line(
    pilots: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """What was given, what was expected."""
    monkeypatch.chdir(pilots)
    code, out, err = run_harness("plan", *arguments)
    assert code == 3
    assert message in err
    assert (err.count("\n"), out) == (1, "")
