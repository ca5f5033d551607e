"""A study with tasks of lm-eval: planned, run and reported like any other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bridge.task_files import write_choice_task, write_text_task, write_yaml

Run = Callable[..., tuple[int, str, str]]
STUDY = """
name = "theirs"
tasks = ["lm_eval:both", "lab_math"]
limit = 4
workers = 1
num_resamples = 400

[sampling]
max_tokens = 8

[lm_eval]
include_path = "tasks"
domains = { both = "math" }

[[checkpoints]]
label = "base"
role = "base"
ckpt = "lab/base"

[[checkpoints]]
label = "plain"
role = "candidate"
ckpt = "lab/base"
prompting = "completion"

[[claims]]
claim = "lm_eval:sums plain - base > 50"
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the study and its task files into an empty folder, and go there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    folder = tmp_path / "tasks"
    write_choice_task(folder)
    write_text_task(folder)
    write_yaml(folder, "both", {"group": "both", "task": ["sums", "capitals"]})
    path = Path("study.toml")
    path.write_text(STUDY)
    return path


def test_it_is_planned_run_and_reported(study: Path, run_harness: Run) -> None:
    """A group stands for its members; what weighs answers generates nothing; the report finds the runs again."""
    code, out, err = run_harness("study", "run", "study.toml", "--dry-run")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines() if "lm_eval:sums" in line]
    assert rows[0][-6:] == ["lm_eval:sums", "4", "1", rows[0][-3], "0", "0.0"]
    assert "lm_eval:capitals" in out
    code, out, err = run_harness("study", "run", "study.toml")
    assert (code, out.count(" evaluated ")) == (0, 2), err
    report = ("study", "report", "study.toml", "--figures", "svg", "--examples", "0", "--allow-drift", "prompt")
    code, out, err = run_harness(*report)
    assert code == 0, err
    text = Path("report/theirs/summary.md").read_text()
    assert "math: lm_eval:sums" in text
    assert "Not measured on any checkpoint" not in text
    assert "lm_eval:sums plain - base > 50" in text


def test_a_claim_about_a_task_of_lm_eval_that_is_not_there_is_refused(study: Path, run_harness: Run) -> None:
    """Before anything runs, with what is known."""
    study.write_text(STUDY.replace("lm_eval:sums plain", "lm_eval:sumz plain"))
    code, _, err = run_harness("study", "run", "study.toml", "--dry-run")
    assert code == 3
    assert err == (
        'harness: claim "lm_eval:sumz plain - base > 50": lm_eval:sumz is no task of the study (did you mean '
        "lm_eval:sums?)\n"
    )


def test_settings_for_tasks_of_lm_eval_need_one(study: Path, run_harness: Run) -> None:
    """As `harness eval` has it."""
    study.write_text(STUDY.replace('"lm_eval:both", ', "").partition("[[claims]]")[0])
    code, _, err = run_harness("study", "run", "study.toml", "--dry-run")
    assert code == 3
    assert "lm_eval settings and --include-path are for tasks named lm_eval:" in err
