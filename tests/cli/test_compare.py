"""`harness compare` on runs made from real generations, and on what it must refuse."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from harness.cli import compare
from harness.findings import TransferReport
from harness.store import read_json
from harness.verdicts import find_runs, load_run

Run = Callable[..., tuple[int, str, str]]
GSM8K = {
    "6b": ("openai-6b_finetuning.jsonl", "input=question,text=solution"),
    "175b": ("openai-175b_verification.jsonl", "input=question,text=solution"),
    "abel": ("abel-7b-001.jsonl", "example_id=id,text=response"),
}
IFEVAL = ("gpt-4o-mini-2024-07-18.jsonl", "mistralai__Mistral-7B-Instruct-v0.3.jsonl")


@pytest.fixture
def gsm8k(data_dir: Path, tmp_path: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Score three models' GSM8K answers in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for label, (name, fields) in GSM8K.items():
        file = str(data_dir / "outputs" / "gsm8k" / name)
        code, _, err = run_harness("score", "--task", "gsm8k", "--generations", file, "--map", fields, "--label", label)
        assert code == 0, err


@pytest.mark.usefixtures("gsm8k")
def test_the_p_value_is_mcnemars(run_harness: Run) -> None:
    """Two GSM8K models: the paired p-value equals that of statsmodels' exact McNemar test."""
    from statsmodels.stats.contingency_tables import mcnemar

    code, out, err = run_harness("compare", "runs/175b", "runs/abel", "--json")
    assert code == 0, err
    (task,) = json.loads(out)["comparisons"][0]["tasks"]
    values = [load_run(find_runs(Path("runs") / label)[0]).tasks["gsm8k"].values[:, 0] for label in ("175b", "abel")]
    table = [[np.sum((values[0] == a) & (values[1] == b)) for b in (1, 0)] for a in (1, 0)]
    assert task["p_value"] == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
    assert task["difference"]["value"] == pytest.approx(values[1].mean() - values[0].mean())
    assert task["num_gained"] - task["num_lost"] == values[1].sum() - values[0].sum()


@pytest.mark.usefixtures("gsm8k")
def test_the_printout_fits_a_hundred_columns(run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No number is cut, folded or pushed out at 100 columns."""
    monkeypatch.setattr(compare, "stdout_console", lambda: Console(width=100))
    code, out, err = run_harness("compare", "runs/6b", "runs/abel", "runs/175b", "--trained-on", "math", "--cells")
    assert code == 0, err
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100
    assert "…" not in out
    for expected in ("+38.1", "+35.1 to +41.0", "<.001", "Transfer matrix"):
        assert expected in out


@pytest.mark.usefixtures("gsm8k")
def test_the_gap_to_a_reference_is_printed(run_harness: Run) -> None:
    """6B fine-tuned to Abel against OpenAI's 175B: more than the whole gap."""
    code, out, _ = run_harness("compare", "runs/6b", "runs/abel", "--reference", "runs/175b")
    assert code == 0
    assert "gap closed to" in out
    assert "1.10 (1.01 to 1.20)" in out


def test_two_ifeval_models(data_dir: Path, tmp_path: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """541 prompts, one verdict each: the difference is that of the two accuracies."""
    monkeypatch.chdir(tmp_path)
    for label, name in zip("ab", IFEVAL, strict=True):
        file = str(data_dir / "outputs" / "ifeval" / name)
        code, _, err = run_harness(
            "score", "--task", "ifeval", "--generations", file, "--map", "example_id=key,text=response",
            "--label", label, "--data-dir", str(data_dir),
        )  # fmt: skip
        assert code == 0, err
    code, out, err = run_harness("compare", "runs/b", "runs/a", "--json")
    assert code == 0, err
    Path("report.json").write_text(out)
    report = read_json(Path("report.json"), TransferReport)
    (task,) = report.comparisons[0].tasks
    assert task.num_examples == 541
    assert task.difference.value == pytest.approx(task.candidate.score.value - task.base.score.value)
    assert task.p_method == "exact McNemar"


def test_what_cannot_be_compared_is_one_line(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other sampling, other tasks, no runs, unfinished ones: what, and what to do."""
    monkeypatch.chdir(tmp_path)
    evaluate = ("eval", "--ckpt", "scripted:mixed", "--limit", "4", "--out", "runs")
    assert run_harness(*evaluate, "--task", "lab_math", "--label", "greedy")[0] == 0
    assert run_harness(*evaluate, "--task", "lab_math", "--label", "sampled", "--preset", "avg@8")[0] == 0
    assert run_harness(*evaluate, "--task", "lab_chat", "--label", "chat")[0] == 0
    cases = {
        ("runs/greedy", "runs/sampled"): "differ in sampling: sampling of lab_math is greedy, k=1, max_tokens 96",
        ("runs/greedy", "runs/chat"): "no task in common: greedy has lab_math; chat has lab_chat",
        ("runs/greedy", "runs"): "neither a run directory nor a label's folder",
        ("runs/greedy", "runs/greedy"): "two sides of the comparison are labelled greedy",
        ("runs/greedy", "runs/sampled", "--allow-drift", "colour"): "no field named colour; known: version",
        ("runs/greedy", "runs/sampled", "--trained-on", "="): "expected DOMAINS or LABEL=DOMAINS",
        ("runs/greedy", "runs/sampled", "--level", "nan"): "nan is not",
        ("runs/greedy", "runs/sampled", "--level", "0.999"): "pass --resamples 20000 or more",
    }
    for arguments, message in cases.items():
        code, out, err = run_harness("compare", *arguments)
        assert (code, out) == (3, ""), arguments
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("width", [80, 100])
def test_names_fold_and_numbers_stay(
    run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """At 100 columns nothing is cut; at 80 names are folded and the difference is still whole."""
    monkeypatch.chdir(tmp_path)
    evaluate = ("eval", "--ckpt", "scripted:mixed", "--limit", "30", "--suite", "lab")
    run_harness(*evaluate, "--label", "greedy")
    run_harness(*evaluate, "--label", "other", "--set", "sampling.seed=3")
    monkeypatch.setattr(compare, "stdout_console", lambda: Console(width=width))
    code, out, _ = run_harness("compare", "runs/greedy", "runs/other", "--cells")
    assert code == 0
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    assert "lab_math" in out
    assert "…" not in out or width < 100


def test_a_reader_that_leaves_is_no_failure(run_harness: Run, tmp_path: Path) -> None:
    """`harness … | head` ends with 0: a closed pipe is not a negative verdict."""
    command = f"set -o pipefail; {sys.executable} -m harness.cli.main tasks list | true; echo $?"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0", done.stdout + done.stderr


def test_allowed_drift_is_printed(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """k = 1 against k = 8 is compared when asked for, and said."""
    monkeypatch.chdir(tmp_path)
    evaluate = ("eval", "--ckpt", "scripted:mixed", "--limit", "20", "--task", "lab_math")
    run_harness(*evaluate, "--label", "greedy")
    run_harness(*evaluate, "--label", "sampled", "--preset", "avg@8")
    code, out, _ = run_harness("compare", "runs/greedy", "runs/sampled", "--allow-drift", "sampling")
    assert code == 0
    assert "note allowed drift: sampling of lab_math is greedy, k=1, max_tokens 96 against" in " ".join(out.split())
