"""`harness noise` end to end: repeats are ordinary runs, resumable; existing runs are taken as well."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.cli import noise
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
    """--runs of the label's folder says the same as making them."""
    _, made, _ = run_harness("noise", *LAB, "--repeats", "2", "--json")
    _, taken, _ = run_harness("noise", "--runs", "runs/lab-base", "--json")
    report = msgspec.json.decode(made, type=NoiseReport)
    assert set(report.runs) == set(msgspec.json.decode(taken, type=NoiseReport).runs)
    assert [task.task for task in report.tasks] == ["lab_chat", "lab_math"]
    assert [average.name for average in report.averages] == ["overall"]
    assert report.tasks[0].expected_sd > 0
    code, out, _ = run_harness("noise", "--runs", "runs/lab-base")
    assert code == 0
    for word in ("SD by", "flips", "limit", "overall", "lab_math"):
        assert word in out


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits(runs: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Figures of their full width; the legend is wrapped by the terminal alone, and the level keeps its digits."""
    _, out, _ = run_harness("noise", *LAB, "--repeats", "2", "--json", "--level", "0.9999")
    report = msgspec.json.decode(out, type=NoiseReport)
    wide = {"scores": (1.0, 1.0), "mean": 1.0, "sd": 0.1234, "expected_sd": 0.1234, "limit": 0.1234, "flip_rate": 1.0}
    task = msgspec.structs.replace(
        report.tasks[0], task="humaneval_plus", num_examples=1319, num_generations=64, **wide
    )
    console = Console(width=width, file=io.StringIO())
    monkeypatch.setattr(noise, "stdout_console", lambda: console)
    noise.print_noise(msgspec.structs.replace(report, tasks=(task, report.tasks[1])))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "100.0–100.0 12.34" in " ".join(text.split())
    assert "99.99 % interval" in " ".join(text.split())
    legend = text[text.index("limit: half width") :].splitlines()
    assert all(len(line) > width - 20 for line in legend[:2]), "no line of the legend ends early"


def test_runs_are_taken_for_some_tasks(runs: Path, run_harness: Run) -> None:
    """--task and --suite select from --runs; runs that differ in other tasks are repeats then."""
    run_harness("noise", *LAB, "--repeats", "2")
    _, out, _ = run_harness("noise", "--runs", "runs/lab-base", "--task", "lab_math", "--json")
    report = msgspec.json.decode(out, type=NoiseReport)
    assert ([task.task for task in report.tasks], report.averages) == (["lab_math"], ())
    alone = ["--ckpt", "lab/base", "--task", "lab_math", "--limit", "6", "--preset", "avg@8"]
    run_harness("eval", *alone, "--set", "sampling.seed=2")
    assert run_harness("noise", "--runs", "runs/lab-base")[0] == 3
    _, out, _ = run_harness("noise", "--runs", "runs/lab-base", "--suite", "lab-math", "--json")
    assert len(msgspec.json.decode(out, type=NoiseReport).runs) == 3
    code, _, err = run_harness("noise", "--runs", "runs/lab-base", "--task", "lab_math,gsm8k")
    assert code == 3
    assert "has no gsm8k; it has lab_" in err


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
    (["noise"], "or --runs RUN: two runs or more, or the folder of a label that has them"),
    (["noise", "--ckpt", "lab/base", "--runs", "runs/x"], "give either --ckpt X"),
    (["noise", "--ckpt", "lab/base"], "no task was named"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--repeats", "1"], "x>=2"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--level", "1"], "--level 1"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--level", "nan"], "--level nan"),
    (["noise", "--ckpt", "lab/base", "--task", "lab_math", "--level", "0.99999999"], "from 0.5 to 0.9999"),
    (["noise", "--runs", "x", "--repeats", "5", "--limit", "3", "--set", "limit=3"], "--repeats, --limit, --set would"),
    (["noise", "--runs", "x", "--no-enable-thinking"], "--enable-thinking would change nothing"),
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
