"""`harness tasks`, `fetch` and `doctor`."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from harness.rows import read_jsonl
from harness.schema import ScorerOptions
from tasks.check import check_task
from tasks.registry import SUITES, TASKS
from tests.support import NumberScorer, toy_task, write_rows
from tests.tasks.test_dataset import mirror

Run = Callable[..., tuple[int, str, str]]


def test_list_names_every_task_and_suite(run_harness: Run) -> None:
    """Nothing is hidden."""
    code, out, _ = run_harness("tasks", "list")
    assert code == 0
    assert all(name in out for name in (*TASKS, *SUITES))


def test_show_tells_source_licence_and_first_prompt(run_harness: Run) -> None:
    """What a methods section needs, all prompt styles included."""
    code, out, _ = run_harness("tasks", "show", "lab_math")
    assert code == 0
    for text in (
        "licence",
        "sha256",
        "preset avg@8",
        "lab/standard@",
        "math-shot-0",
        TASKS["lab_math"].load(None, None).examples[0].input,
    ):
        assert text in out


def test_lab_tasks_pass_their_check(run_harness: Run) -> None:
    """References score 1, empty and near-miss answers 0, by the command users run."""
    code, out, err = run_harness("tasks", "check", "lab")
    assert (code, err) == (0, ""), out
    assert out.count("200/200") == 9


@pytest.mark.parametrize("flags", [("math",), ("code", "--limit=164"), ("chat",)], ids=lambda flags: flags[0])
def test_real_tasks_pass_their_check(run_harness: Run, data_dir: Path, flags: tuple[str, ...]) -> None:
    """The same on every real row, but for MBPP+, of whose 378 the first 164 are enough for the time they take."""
    code, out, _ = run_harness("tasks", "check", *flags, "--data-dir", str(data_dir))
    assert code == 0, out


def test_a_careless_scorer_fails_the_check(tmp_path: Path) -> None:
    """The check finds a near miss that scores 1 and a reference that scores 0."""
    write_rows(tmp_path, 4)
    from dataclasses import replace

    task = replace(toy_task(), near_miss=lambda e: f"not {e.target}", gold=lambda e: "nothing")
    scorer = NumberScorer(ScorerOptions(num_workers=1))
    found = check_task(task, task.load(tmp_path, None).examples, scorer, 1)
    assert (found.num_gold, found.num_empty, found.num_near_miss) == (0, 4, 0)
    assert len(found.failures) == 8


def test_fetched_rows_are_used_offline(tmp_path: Path, run_harness: Run, data_dir: Path) -> None:
    """From a hub mirror into a data folder; the second fetch does nothing; the rows are the registered ones."""
    rows = [dict(row) for row in read_jsonl(data_dir / "gsm8k" / "test.jsonl")]
    mirror(tmp_path / "hub", "openai/gsm8k", "main", "test", rows)
    training_rows = [dict(row) for row in islice(read_jsonl(data_dir / "gsm8k" / "train.jsonl.gz"), 9)]
    mirror(tmp_path / "hub", "openai/gsm8k", "main", "train", training_rows)
    command = ["fetch", "--task", "gsm8k,lab_math", "--data-dir", str(tmp_path / "data"), "--hub-dir"]
    code, out, _ = run_harness(*command, str(tmp_path / "hub"))
    assert code == 0
    assert "gsm8k: 1319 rows" in out
    assert "lab_math: comes with the package" in out
    assert "gsm8k/shots: 4 rows" in out
    assert TASKS["gsm8k"].load(tmp_path / "data", None).sha256 == TASKS["gsm8k"].data_sha256
    assert TASKS["gsm8k"].with_exemplars(tmp_path / "data", None, {}).exemplars is not None
    assert run_harness(*command, str(tmp_path / "hub"))[1].count("already there") == 2


def test_other_rows_are_not_fetched(tmp_path: Path, run_harness: Run, data_dir: Path) -> None:
    """A mirror with changed rows is refused where there still is a network to do something about it."""
    rows = [dict(row) for row in read_jsonl(data_dir / "gsm8k" / "test.jsonl")][:-1]
    mirror(tmp_path / "hub", "openai/gsm8k", "main", "test", rows)
    command = ["fetch", "--task", "gsm8k", "--data-dir", str(tmp_path / "data"), "--hub-dir", str(tmp_path / "hub")]
    code, _, err = run_harness(*command)
    assert code == 3
    assert "other rows than the registered ones" in err
    assert not (tmp_path / "data").exists()


def test_doctor_names_what_a_run_needs(run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Device, sandbox, shipped checkpoints, data, hub, disk; offline is a finding, not a failure."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, _ = run_harness("doctor")
    assert code == 0, out
    for name in ("packages", "device", "engines", "sandbox", "lab", "data", "nltk", "hub", "disk"):
        assert name in out


def test_doctor_says_how_to_get_a_sandbox(run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap on PATH: what is missing, the install line, exit code 1."""
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, _ = run_harness("doctor")
    assert code == 1
    assert "apt-get install bubblewrap" in out


def test_code_tasks_refuse_to_run_without_a_sandbox(
    tmp_path: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is generated; the explicit weaker choice goes on and is part of the run's identity."""
    monkeypatch.setenv("PATH", "/nowhere")
    command = ["eval", "--ckpt", "scripted:mixed", "--task", "lab_code", "--limit", "3", "--out", str(tmp_path)]
    code, _, err = run_harness(*command)
    assert code == 3
    assert "bubblewrap" in err
    assert list(tmp_path.iterdir()) == []
    code, out, err = run_harness(*command, "--sandbox", "process", "--json")
    if "must be readable by other users" in err:
        pytest.skip("run as root with a Python that other users cannot read: the weaker mode refuses, as documented")
    assert code == 0, err
    assert "process" in out
