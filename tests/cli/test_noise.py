"""`harness noise` end to end: repeats are ordinary runs, resumable; existing runs are taken as well."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from harness.findings import NoiseReport
from harness.schema import RunSpec

Run = Callable[..., tuple[int, str, str]]
LAB = ["--ckpt", "lab/base", "--task", "lab_chat,lab_math", "--limit", "6"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder; return where runs will be."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def read_specs(runs: Path) -> list[RunSpec]:
    """Return the specs of all runs."""
    return [msgspec.json.decode(path.read_bytes(), type=RunSpec) for path in sorted(runs.glob("*/*/spec.json"))]


def test_repeats_are_runs_under_other_seeds(runs: Path, run_harness: Run) -> None:
    """Three runs of one label, seeds 7 to 9, sampled (avg@8) by default; the same command measures nothing again."""
    command = ["noise", *LAB, "--repeats", "3", "--set", "sampling.seed=7"]
    code, out, _ = run_harness(*command)
    assert code == 0
    specs = read_specs(runs)
    assert sorted(spec.tasks[0].sampling.seed for spec in specs) == [7, 8, 9]
    assert {(spec.checkpoint.label, spec.tasks[0].sampling.num_generations) for spec in specs} == {("lab-base", 8)}
    times = {path: path.stat().st_mtime_ns for path in runs.glob("*/*/run.json")}
    assert run_harness(*command)[1] == out
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*/*/run.json")} == times


def test_the_report_is_printed_and_given_as_json(runs: Path, run_harness: Run) -> None:
    """--runs of the label's folder says the same as making them; the table fits 100 columns."""
    _, made, _ = run_harness("noise", *LAB, "--repeats", "2", "--json")
    _, taken, _ = run_harness("noise", "--runs", "runs/lab-base", "--json")
    report = msgspec.json.decode(made, type=NoiseReport)
    assert set(report.runs) == set(msgspec.json.decode(taken, type=NoiseReport).runs)
    assert [task.task for task in report.tasks] == ["lab_chat", "lab_math"]
    assert [average.name for average in report.averages] == ["overall"]
    assert report.tasks[0].expected_sd > 0
    code, out, _ = run_harness("noise", "--runs", "runs/lab-base")
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 100
    for word in ("SD by sampling", "flips", "limit", "overall", "lab_math"):
        assert word in out


def test_greedy_repeats_agree_and_say_so(runs: Path, run_harness: Run) -> None:
    """A preset given is kept; runs under other seeds are made, agree, and bound nothing."""
    code, out, _ = run_harness("noise", *LAB, "--repeats", "2", "--preset", "greedy")
    assert code == 0
    assert "decoding is greedy" in out
    assert "no noise was seen" in out
    assert {spec.tasks[0].sampling.temperature for spec in read_specs(runs)} == {0.0}


def test_a_preset_of_a_settings_file_is_kept(runs: Path, run_harness: Run) -> None:
    """avg@8 is a default, not an order."""
    Path("run.toml").write_text('ckpt = "scripted:mixed"\ntasks = ["lab_math"]\nlimit = 3\npreset = "greedy"\n')
    assert run_harness("noise", "--config", "run.toml", "--repeats", "2")[0] == 0
    assert {spec.tasks[0].sampling.num_generations for spec in read_specs(runs)} == {1}


def test_requests_that_fail_give_exit_code_4(runs: Path, run_harness: Run) -> None:
    """Prompts beyond the model's context: what to do is said, nothing is reported; without them no example is left."""
    Path("long.jinja").write_text("{{ 'tea ' * 6000 }}{{ messages[0].content }}")
    command = ["noise", *LAB, "--repeats", "2", "--chat-template", "long.jinja"]
    code, out, err = run_harness(*command)
    assert (code, out) == (4, "")
    assert "192 requests ended in error; run the same command again" in err
    code, _, err = run_harness(*command, "--allow-incomplete")
    assert code == 3
    assert "share no example of lab_chat" in err


def test_runs_with_errors_are_refused_or_measured_without_them(runs: Path, run_harness: Run) -> None:
    """--runs: exit code 3 and what to do; --allow-incomplete measures the other examples."""
    command = ["noise", "--ckpt", "scripted:mixed", "--task", "lab_math", "--limit", "5", "--repeats", "2"]
    assert run_harness(*command)[0] == 0
    path = next(runs.glob("*/*/run.json"))
    record = json.loads(path.read_text())
    record["tasks"][0]["num_error"] = 1
    path.write_text(json.dumps(record))
    scores = path.with_name("scores.jsonl").read_text().splitlines()
    failed = json.loads(scores[0]) | {"outcome": "error", "value": 0.0}
    path.with_name("scores.jsonl").write_text("\n".join([json.dumps(failed), *scores[1:]]) + "\n")
    code, _, err = run_harness("noise", "--runs", "runs/scripted-mixed")
    assert code == 3
    assert "--allow-incomplete" in err
    code, out, _ = run_harness("noise", "--runs", "runs/scripted-mixed", "--allow-incomplete")
    assert code == 0
    assert "lab_math: examples left out of all runs, since they ended in error in one: 1" in out


BAD = [
    (["noise"], "give either --ckpt X"),
    (["noise", "--ckpt", "lab/base", "--runs", "runs/x"], "give either --ckpt X"),
    (["noise", "--ckpt", "lab/base"], "no task was named"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--repeats", "1"], "x>=2"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--level", "1"], "--level 1"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--level", "nan"], "--level nan"),
    (["noise", "--runs", "nowhere"], "nowhere is neither a run directory nor"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_line(runs: Path, run_harness: Run, arguments: list[str], message: str) -> None:
    """What was given, what was expected; nothing is measured."""
    code, out, err = run_harness(*arguments)
    assert code == 3
    assert message in err
    assert (err.count("\n"), out) == (1, "")
    assert not runs.exists()


def test_runs_of_two_checkpoints_are_refused(runs: Path, run_harness: Run) -> None:
    """The line names the field that differs."""
    for name in ("mixed", "mixed,seconds=0"):
        run_harness("eval", "--ckpt", f"scripted:{name}", "--task", "lab_math", "--limit", "2", "--label", name[-1])
    code, _, err = run_harness("noise", "--runs", "runs/d", "--runs", "runs/0")
    assert code == 3
    assert "are not repeats of one run: weights is" in err
