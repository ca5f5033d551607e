"""A study with judged conversation: planned, judged by the lab's reward model, resumed for nothing, and reported."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store import read_json
from harness.study.findings import StudyFindings
from tasks.registry import TASKS

Run = Callable[..., tuple[int, str, str]]
STUDY = """
name = "talk"
tasks = ["alpaca_eval2"]
data_dir = "data"
limit = 4
workers = 1
num_resamples = 400
{judge}
[sampling]
max_tokens = 12

[accept_data]
alpaca_eval2 = "{sha256}"

[[checkpoints]]
label = "base"
role = "base"
ckpt = "lab/base"

[[checkpoints]]
label = "grlo"
role = "candidate"
ckpt = "lab/grlo"
"""
JUDGE = """
[judge]
ckpt = "lab/reward"
max_calls = 100
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the study and five instructions of AlpacaEval's form into an empty folder, and go there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    folder = tmp_path / "data" / "alpacaeval2"
    folder.mkdir(parents=True)
    rows = [
        {
            "index": number,
            "dataset": "made_up",
            "instruction": f"Name {number + 2} colours.",
            "output": "Red, green and blue." * (number + 1),
            "generator": "gpt4_1106_preview",
        }
        for number in range(5)
    ]
    hard = [{"index": number, "instruction_difficulty": number / 10} for number in range(5)]
    for name, lines in (("reference_gpt4_1106_preview", rows), ("instruction_difficulty", hard)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = tmp_path / "study.toml"
    write(path, JUDGE)
    return path


def write(path: Path, judge: str) -> None:
    sha256 = TASKS["alpaca_eval2"].load(path.parent / "data", None).sha256
    path.write_text(STUDY.format(judge=judge, sha256=sha256))


def test_it_is_planned_judged_and_reported(study: Path, run_harness: Run) -> None:
    """Verdicts are foretold, made once, and come to win rates in the report; the judge of grlo is its kin."""
    code, out, err = run_harness("study", "run", "study.toml", "--dry-run")
    assert code == 0, err
    assert [line.split()[-1] for line in out.splitlines() if "alpaca_eval2" in line] == ["8", "8"]
    assert "verdicts: of lab/reward, both orders of each pair; those in verdicts are not asked for again" in out
    code, out, err = run_harness("study", "run", "study.toml")
    assert (code, out.count(" evaluated ")) == (0, 2), err
    stored = {path: path.read_bytes() for path in Path("verdicts").rglob("*.jsonl")}
    code, out, err = run_harness("study", "run", "study.toml")
    assert (code, out.count("complete already")) == (0, 2), err
    assert {path: path.read_bytes() for path in Path("verdicts").rglob("*.jsonl")} == stored
    code, out, err = run_harness("study", "report", "study.toml", "--figures", "svg", "--examples", "0")
    assert code == 0, err
    findings = read_json(Path("report/talk/findings.json"), StudyFindings)
    assert [(item.label, item.kind, item.judge.name) for item in findings.judged] == [
        ("base", "pair", "lab/reward"),
        ("grlo", "pair", "lab/reward"),
    ]
    assert findings.judged[0].judge.kinship is None
    assert "grlo was trained against lab/reward" in str(findings.judged[1].judge.kinship)
    assert {"lc_win_rate", "characters", "baseline_characters"} <= findings.judged[0].metrics.keys()
    effect = findings.transfer.comparisons[0].tasks[0].length_effect
    assert effect is not None
    assert effect.baseline_length == 50
    text = Path("report/talk/summary.md").read_text()
    assert "## Judged conversation" in text
    assert "| lab/reward‡ |" in text
    code, _, err = run_harness("study", "report", "study.toml", "--set", "judge.label=stern")
    assert code == 3
    assert "is left out: alpaca_eval2 was judged by alpaca_eval2-lab_reward-" in err
    assert ", not alpaca_eval2-stern-…" in err


def test_a_study_that_needs_a_judge_and_names_none_is_refused(study: Path, run_harness: Run) -> None:
    """In one line, before anything runs."""
    write(study, "")
    for flags in ((), ("--dry-run",)):
        code, _, err = run_harness("study", "run", "study.toml", *flags)
        assert code == 3
        assert err == (
            'harness: alpaca_eval2 needs a judge, and the study names none: add a [judge] table, or judge = "FILE" '
            "(docs/chat.md)\n"
        )
    assert not Path("runs").exists()


def test_the_judge_may_stand_in_its_own_file(study: Path, run_harness: Run) -> None:
    """The same file that `harness eval --judge` takes; one order of each pair is half the verdicts."""
    Path("judge.toml").write_text('ckpt = "lab/reward"\nswap = false\n')
    write(study, 'judge = "judge.toml"\n')
    code, out, err = run_harness("study", "run", "study.toml", "--dry-run")
    assert code == 0, err
    assert [line.split()[-1] for line in out.splitlines() if "alpaca_eval2" in line] == ["4", "4"]
    assert "one order of each pair" in out
    assert "before calls of a server on another machine a person is asked (judge.max_calls)" in out
