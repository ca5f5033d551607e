"""`harness watch` end to end on a tiny model: nothing is missed, measured twice, or measured half-written."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.cli.watch_table import trajectory_tables
from harness.store import read_lines
from harness.watch import TrajectoryPoint
from tests.cli.test_eval import full_score
from tests.tiny_model import build_tiny_checkpoint

Run = Callable[..., tuple[int, str, str]]
QUICK = ["--task", "lab_math", "--limit", "4", "--set", "sampling.max_tokens=4", "--settle", "0"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build one checkpoint; tests copy it."""
    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def training(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that saves a checkpoint into ./training, each with a content of its own."""
    monkeypatch.chdir(tmp_path)

    def save(name: str, content: str | None = None) -> Path:
        folder = tmp_path / "training" / name
        shutil.copytree(tiny, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "remark": content or name}))
        return folder

    return save


def points(name: str = "training") -> list[TrajectoryPoint]:
    return list(read_lines(Path("runs") / f"{name}.trajectory.jsonl", TrajectoryPoint))


def test_checkpoints_are_measured_once_and_in_order(training: Callable[..., Path], run_harness: Run) -> None:
    """9 before 10; a second start measures what is new and nothing else; the runs are those of `harness eval`."""
    training("checkpoint-10")
    training("checkpoint-9")
    code, out, err = run_harness("watch", "training", *QUICK, "--once")
    assert (code, err) == (0, "")
    assert [point.step for point in points()] == [9, 10]
    assert out.index("checkpoint-9: lab_math") < out.index("checkpoint-10: lab_math")
    assert "trajectory: runs/training.trajectory.jsonl" in out
    training("checkpoint-100")
    code, out, err = run_harness("watch", "training", *QUICK, "--once")
    assert (code, err) == (0, "")
    assert out.count("lab_math 0.0 (0.0–49.0)") == 1
    assert [point.step for point in points()] == [9, 10, 100]
    for point in points():
        (session,) = (Path("runs") / point.run / "sessions.jsonl").read_text().splitlines()
        assert (Path("runs") / point.run / "run.json").is_file(), session
        assert point.tasks["lab_math"].num_examples == 4
        assert point.truncated == {"lab_math": 1.0}


def test_a_restart_writes_a_point_that_a_crash_left_out(training: Callable[..., Path], run_harness: Run) -> None:
    """Killed after run.json and before its line, or in the middle of it: the finished run is read back."""
    training("step_1")
    training("step_2")
    run_harness("watch", "training", *QUICK, "--once")
    path = Path("runs/training.trajectory.jsonl")
    whole = path.read_bytes()
    for kept_bytes in (whole.index(b"\n") + 1, len(whole) - 7):
        path.write_bytes(whole[:kept_bytes])
        assert run_harness("watch", "training", *QUICK, "--once")[0] == 0
        assert path.read_bytes() == whole, "the time stamps too are those of the finished run"


def test_a_kill_in_the_middle_changes_nothing(training: Callable[..., Path], run_harness: Run) -> None:
    """SIGKILL at work on the second of three, then a restart: an uninterrupted watch's points but for their time."""
    for step in (1, 2, 3):
        training(f"step_{step}")
    command = ["watch", "training", "--task", "lab_math", "--limit", "100", "--set", "sampling.max_tokens=16",
               "--set", "engine.max_batch_size=4", "--settle", "0", "--once", "--out"]  # fmt: skip
    assert run_harness(*command, "whole")[0] == 0
    process = subprocess.Popen([sys.executable, "-m", "harness.cli.main", *command, "cut"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while num_generated("cut/training-step_2") < 8 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    assert num_generated("cut/training-step_2") < 100, "the kill came too late to prove anything"
    assert run_harness(*command, "cut")[0] == 0
    whole, cut = (
        [
            msgspec.structs.replace(point, finished_at="")
            for point in read_lines(Path(out) / "training.trajectory.jsonl", TrajectoryPoint)
        ]
        for out in ("whole", "cut")
    )
    assert cut == whole
    assert len(whole) == 3


def num_generated(folder: str) -> int:
    """Count the generations stored so far."""
    return sum(path.read_bytes().count(b"\n") for path in Path(folder).glob("*/generations.jsonl"))


def test_a_watch_sees_what_appears_and_leaves_a_half_written_file_alone(training: Callable[..., Path]) -> None:
    """The second checkpoint arrives in two halves; it is measured after the second, and the watch ends at its step."""
    training("checkpoint-10")
    command = [sys.executable, "-m", "harness.cli.main", "watch", "training", *QUICK, "--poll", "1", "--until", "20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("checkpoint-10: lab_math")
    whole = training("tmp-checkpoint-20")
    weights = (whole / "model.safetensors").read_bytes()
    os.truncate(whole / "model.safetensors", len(weights) // 2)
    whole = whole.rename(whole.with_name("checkpoint-20"))
    assert process.stderr is not None
    assert process.stderr.readline().startswith("checkpoint-20 is left until it is whole: ")
    assert [point.step for point in points()] == [10]
    assert process.poll() is None
    (whole / "model.safetensors").write_bytes(weights)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("checkpoint-20: lab_math")
    assert err == "", "between looks nothing is printed"
    assert [point.step for point in points()] == [10, 20]


def test_one_look_leaves_half_written_weights_for_the_next(training: Callable[..., Path], run_harness: Run) -> None:
    """They are named, others are measured, and the exit code is 0: the trainer may still be at work."""
    cut = training("step_1")
    training("step_2")
    weights = (cut / "model.safetensors").read_bytes()
    os.truncate(cut / "model.safetensors", len(weights) // 2)
    code, _, err = run_harness("watch", "training", *QUICK, "--once")
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("step_1 is left until it is whole: ")
    assert [point.step for point in points()] == [2]
    (cut / "model.safetensors").write_bytes(weights)
    assert run_harness("watch", "training", *QUICK, "--once")[0] == 0
    assert [point.step for point in points()] == [2, 1]


def test_new_files_wait_until_they_have_settled(training: Callable[..., Path], run_harness: Run) -> None:
    """With --once: a second look when they can have settled; the wait is announced."""
    started = time.monotonic()
    training("step_1")
    code, _, err = run_harness("watch", "training", *QUICK[:-1], "2", "--once")
    assert (code, err) == (0, "waiting 2 s for the files of 1 checkpoint to settle\n")
    assert time.monotonic() - started > 2
    assert len(points()) == 1


def test_a_watch_looks_again_as_soon_as_files_can_have_settled(training: Callable[..., Path], run_harness: Run) -> None:
    """Not after the whole of --poll; a checkpoint that settled long ago is measured at the first look."""
    training("step_1")
    time.sleep(1)
    started = time.monotonic()
    training("step_2")
    assert run_harness("watch", "training", *QUICK[:-1], "1", "--poll", "600", "--until", "2")[0] == 0
    assert 1 < time.monotonic() - started < 60
    assert [point.step for point in points()] == [1, 2]


def test_a_broken_checkpoint_does_not_stop_the_others(training: Callable[..., Path], run_harness: Run) -> None:
    """It is reported in one line, its exit code is the watch's, and it is measured once it is repaired."""
    broken = training("step_1")
    training("step_2")
    (broken / "tokenizer.json").rename("tokenizer.json")
    code, _, err = run_harness("watch", "training", *QUICK, "--once")
    assert code == 3
    assert err.count("\n") == 1
    assert err.startswith("step_1 could not be evaluated: ")
    assert [point.step for point in points()] == [2]
    Path("tokenizer.json").rename(broken / "tokenizer.json")
    assert run_harness("watch", "training", *QUICK, "--once")[0] == 0
    assert [point.step for point in points()] == [2, 1]


def test_the_same_weights_under_another_name_are_not_run_again(training: Callable[..., Path], run_harness: Run) -> None:
    """The second name gets a point of its own that points at the first one's run."""
    training("checkpoint-300")
    training("final", content="checkpoint-300")
    _, _, err = run_harness("watch", "training", *QUICK, "--once")
    assert err == "final has the weights of checkpoint-300; its scores are taken over\n"
    first, second = points()
    assert (second.checkpoint, second.step, second.run) == ("final", None, first.run)
    assert second.tasks == first.tasks
    assert not Path("runs/training-final").exists()
    run_harness("watch", "training", *QUICK, "--once")
    assert len(points()) == 2


def test_a_checkpoint_written_again_is_measured_again(training: Callable[..., Path], run_harness: Run) -> None:
    """A training run started anew in the same folder: the table shows the new point, the file keeps both."""
    folder = training("step_1")
    run_harness("watch", "training", *QUICK, "--once")
    shutil.rmtree(folder)
    training("step_1", content="another run")
    _, out, _ = run_harness("watch", "training", *QUICK, "--once")
    assert len({point.weights for point in points()}) == 2
    assert sum(line.strip().startswith("1 ") for line in out.splitlines()) == 1


def test_other_settings_are_not_mixed_into_the_table(training: Callable[..., Path], run_harness: Run) -> None:
    """Points of --limit 4 and --limit 5 share the file, and a note says so."""
    training("step_1")
    run_harness("watch", "training", *QUICK, "--once")
    code, out, err = run_harness("watch", "training", *QUICK, "--limit", "5", "--once")
    assert code == 0
    assert "other settings" in err
    assert sum(line.strip().startswith("1 ") for line in out.splitlines()) == 1
    assert [point.tasks["lab_math"].num_examples for point in points()] == [4, 5]


def test_json_is_one_line_a_new_point(training: Callable[..., Path], run_harness: Run) -> None:
    """And nothing else on stdout."""
    training("step_1")
    training("step_2")
    _, out, _ = run_harness("watch", "training", *QUICK, "--once", "--json", "--label", "mine")
    decoded = [msgspec.json.decode(line, type=TrajectoryPoint) for line in out.splitlines()]
    assert decoded == points("mine")
    assert decoded[0].run.startswith("mine-step_1/")


def test_the_watch_ends_at_a_step(training: Callable[..., Path], run_harness: Run) -> None:
    """Later checkpoints are left; a step that is skipped is reached by the next one."""
    for step in (100, 200, 300):
        training(f"step_{step}")
    assert run_harness("watch", "training", *QUICK, "--until", "150", "--poll", "1")[0] == 0
    assert [point.step for point in points()] == [100, 200]


@pytest.mark.parametrize(("width", "num_tables"), [(80, 5), (100, 3), (300, 1)])
def test_the_tables_fit(width: int, num_tables: int) -> None:
    """Five tasks with wide figures and a gate: as many side by side as fit, names folded, no number cut."""
    tasks = ["gsm8k", "lab_math", "minerva_math", "humaneval_plus", "ifeval"]
    point = TrajectoryPoint(
        checkpoint="final-model-averaged-over-5",
        step=None,
        path="",
        weights="",
        run="",
        spec_id="",
        settings="",
        finished_at="",
        tasks=dict.fromkeys(tasks, full_score()),
        truncated=dict.fromkeys(tasks, 1.0),
        no_answer=dict.fromkeys(tasks, 1.0),
        gate="inconclusive",
    )
    console = Console(width=width, file=io.StringIO())
    tables = list(trajectory_tables([point], tasks, console))
    for table in tables:
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(tables) == num_tables
    assert text.count("100.0 (100.0–100.0)") == 5
    assert text.count("inconclusive") == num_tables
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_a_gate_judges_each_checkpoint(training: Callable[..., Path], run_harness: Run) -> None:
    """A verdict in line, table, file and exit code; the same command again ends alike and measures nothing."""
    training("step_1")
    training("step_2")
    run_harness("watch", "training", *QUICK, "--once")
    baseline = ["--baseline", str(Path("runs") / points()[0].run)]
    code, out, err = run_harness("watch", "training", *QUICK, "--once", *baseline)
    assert code == 2, "four examples are too few for a pass"
    assert "step_2: inconclusive in lab_math" in err
    assert "step_2: lab_math 0.0 (0.0–49.0); gate: inconclusive" in out
    judged = points()
    assert [(point.step, point.gate) for point in judged[2:]] == [(1, "inconclusive"), (2, "inconclusive")]
    assert len({point.run for point in judged}) == 2, "nothing was measured again"
    code, out, err = run_harness("watch", "training", *QUICK, "--once", *baseline)
    assert (code, err) == (2, "")
    assert "gate" in out
    assert len(points()) == 4
    Path("gate.toml").write_text("margin = 99.0\n")
    run_harness("watch", "training", *QUICK, "--once", *baseline, "--policy", "gate.toml")
    assert len({point.gate_id for point in points()}) == 3, "another policy is another verdict"


def test_a_regression_is_the_exit_code(training: Callable[..., Path], run_harness: Run) -> None:
    """A model that knows nothing against lab/base, beside a broken one: the regression is the worst."""
    training("step_1")
    (training("step_2") / "tokenizer.json").unlink()
    settings = ["--task", "lab_math", "--limit", "40", "--set", "sampling.max_tokens=16", "--out", "runs"]
    run_harness("eval", "--ckpt", "lab/base", *settings)
    (baseline,) = Path("runs").glob("lab-base/*")
    watch = ["watch", "training", *settings, "--settle", "0", "--once", "--baseline", str(baseline)]
    code, _, err = run_harness(*watch)
    assert code == 3
    assert "--allow-drift template" in err
    code, out, err = run_harness(*watch, "--allow-drift", "template")
    assert code == 1, err
    assert "step_1: regression in lab_math" in err
    assert "gate: regression" in out
    assert (Path("runs") / points()[0].run / "gate" / "gate.xml").is_file()
    code, _, err = run_harness(
        "watch", "training", "--task", "lab_code", "--once", "--baseline", str(baseline), "--out", "runs"
    )
    assert code == 3
    assert "has lab_math, which this watch does not evaluate" in err


BAD = [
    (["nope"], "no folder"),
    (["training"], "no task was named"),
    (["training", "--task", "lab_maths"], "did you mean lab_math"),
    (["training", "--task", "lab_math", "--engine", "scripted"], "the scripted engine runs no checkpoints"),
    (["training", "--task", "lab_math", "--preset", "avg@9"], "did you mean avg@8"),
    (["training", "--task", "lab_math", "--label", "../up"], "cannot name a folder"),
    (["training", "--task", "lab_math", "--chat-template", "nope.jinja"], "cannot read nope.jinja"),
    (["training", "--task", "lab_math", "--poll", "0"], "1<=x"),
    (["training", "--task", "lab_math", "--policy", "gate.toml"], "need --baseline"),
    (["training", "--task", "lab_math", "--baseline", "nope"], "neither a run directory"),
    (["training", "--task", "gsm8k", "--data-dir", "nope"], "is not a folder"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_settings_end_before_the_watch_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_harness: Run, arguments: list[str], message: str
) -> None:
    """One line, exit code 3, nothing written: not after hours, when the first checkpoint appears."""
    monkeypatch.chdir(tmp_path)
    Path("training").mkdir()
    code, out, err = run_harness("watch", *arguments)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert message in err
    assert os.listdir() == ["training"]


def test_an_empty_folder_says_what_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_harness: Run
) -> None:
    """Nothing to evaluate is no failure: the trainer has not saved yet."""
    monkeypatch.chdir(tmp_path)
    Path("training").mkdir()
    code, _, err = run_harness("watch", "training", *QUICK, "--once")
    assert code == 0
    assert "none of its folders has config.json and *.safetensors" in err


def test_an_interrupt_ends_in_one_line(tmp_path: Path) -> None:
    """Ctrl-C between two looks: exit code 130."""
    (tmp_path / "training").mkdir()
    command = [sys.executable, "-m", "harness.cli.main", "watch", "training", *QUICK]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "runs" / "training.trajectory.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "harness: interrupted; run the same command again to resume")


def test_help_teaches_by_example(run_harness: Run) -> None:
    """Each example stands on a line of its own and can be copied."""
    code, out, _ = run_harness("watch", "--help")
    assert code == 0
    examples = [line.strip() for line in out.splitlines() if line.strip().startswith("harness watch ")]
    assert len(examples) >= 2
