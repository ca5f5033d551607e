"""A report of what real models answered: published GSM8K and IFEval outputs, graded here and studied as any run."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
OUTPUTS = {
    "openai-6b": ("gsm8k", "openai-6b_finetuning.jsonl", "input=question,text=solution"),
    "abel": ("gsm8k", "abel-7b-001.jsonl", "example_id=id,text=response"),
    "mistral": ("ifeval", "mistralai__Mistral-7B-Instruct-v0.3.jsonl", "example_id=key,text=response"),
    "aya": ("ifeval", "CohereForAI__aya-23-8B.jsonl", "example_id=key,text=response"),
    "mini": ("ifeval", "gpt-4o-mini-2024-07-18.jsonl", "example_id=key,text=response"),
}
STUDY = """
name = "tiers"
title = "Tiers of published outputs: no row is one model"
num_resamples = 1000

[[checkpoints]]
label = "lower"
role = "base"
runs = ["runs/openai-6b", "runs/aya"]

[[checkpoints]]
label = "upper"
role = "candidate"
runs = ["runs/abel", "runs/mistral"]
trained_on = ["math"]

[[checkpoints]]
label = "mini"
role = "reference"
runs = ["runs/mini"]

[[claims]]
claim = "math upper - lower > 30"

[[training_prompts]]
prompts = "{prompts}"
checkpoints = ["upper"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """Return a folder with the graded runs and the study."""
    from harness.cli.main import main

    folder = tmp_path_factory.mktemp("real")
    for label, (task, file, fields) in OUTPUTS.items():
        source = data_dir / "outputs" / task / file
        flags = ["--task", task, "--generations", str(source), "--map", fields, "--label", label]
        assert main(["score", *flags, "--data-dir", str(data_dir), "--out", str(folder / "runs")]) == 0
    prompts = data_dir / "train_simplerl_zoo_8k" / "train.jsonl.gz"
    (folder / "study.toml").write_text(STUDY.replace("{prompts}", str(prompts)))
    return folder


def test_published_outputs_give_a_full_report(folder: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores are the published ones, the differences paired, the claim decided, and the texts are in the page."""
    monkeypatch.chdir(folder)
    code, out, err = run_harness("study", "report", "study.toml", "-o", "report", "--figures", "svg")
    assert code == 0, err
    rows = list(csv.DictReader((folder / "report" / "numbers.csv").read_text().splitlines()))
    main = {(row["row"], row["column"]): row for row in rows if row["table"] == "main"}
    # Abel's own figure is 59.74 of 1,319 (outputs/gsm8k/published_scores.jsonl); 59.7 here
    assert round(float(main["upper", "gsm8k"]["value"]), 1) == 59.7
    assert int(main["upper", "gsm8k"]["num_examples"]) == 1319
    findings = json.loads((folder / "report" / "findings.json").read_text())
    gsm8k = findings["transfer"]["comparisons"][0]["tasks"][0]
    assert gsm8k["num_gained"] - gsm8k["num_lost"] == round(1319 * gsm8k["difference"]["value"])
    assert [claim["verdict"] for claim in findings["claims"]] == ["supported"]
    assert {task["task"]: task["num_exact"] for task in findings["audits"][0]["tasks"]} == {"gsm8k": 0, "ifeval": 0}
    assert "mini: not measured on gsm8k" in " ".join(out.split())
    assert (folder / "report" / "report.html").stat().st_size > 1_000_000
