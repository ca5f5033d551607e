"""`harness judge` and judged runs, end to end: real checkpoints answer, a real reward model and a real model judge."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.judging.judgment import Judgment
from harness.judging.records import Verdict
from harness.schema import RunRecord, Score
from harness.store import read_json, read_lines

Run = Callable[..., tuple[int, str, str]]
REWARD = 'ckpt = "lab/reward"\n'
INSTRUCT = 'ckpt = "lab/instruct"\ntemplate = "pair"\nread = "logprobs"\n'
SERVED = 'ckpt = "gpt"\n[engine]\nname = "openai"\nbase_url = "http://judge.example/v1"\n'


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the answers of lab/base and lab/grlo to thirty prompts, and one run of another task."""
    out = tmp_path_factory.mktemp("runs")
    for ckpt, task in (("lab/base", "lab_chat"), ("lab/grlo", "lab_chat"), ("lab/rlvr", "lab_math")):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "harness.cli.main",
                "eval",
                "--ckpt",
                ckpt,
                "--task",
                task,
                "--limit",
                "30",
                "--out",
                out,
            ],
            check=True,
            capture_output=True,
        )
    return out


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge_arguments(folder: Path, runs: Path, judge: str, a: str = "lab-base", b: str = "lab-grlo") -> list[str]:
    (folder / "judge.toml").write_text(judge)
    return ["judge", "--a", str(runs / a), "--b", str(runs / b), "--judge", str(folder / "judge.toml")]


def judge(run: Run, folder: Path, runs: Path, settings: str, *more: str, **sides: str) -> dict[str, Any]:
    code, out, err = run(*judge_arguments(folder, runs, settings, **sides), "--json", *more)
    assert code == 0, err
    (found,) = json.loads(out)
    return found


def count_verdicts(folder: Path) -> Counter[object]:
    return Counter(line.key for path in folder.rglob("verdicts.jsonl") for line in read_lines(path, Verdict))


def test_a_reward_model_prefers_what_was_trained_against_it(runs: Path, workplace: Path, run_harness: Run) -> None:
    """lab/grlo wins before lab/reward, which is said to be its kin; each answer is weighed once, whatever its sides."""
    found = judge(run_harness, workplace, runs, REWARD)
    (task,) = found["tasks"]
    assert task["win_rate"]["value"] > 0.7
    assert task["win_rate"]["ci_low"] > 0.5
    assert (task["num_matches"], task["num_errors"], task["first_share"]["value"]) == (30, 0, None)
    assert (found["a"]["kin"], found["b"]["kin"]) == (None, "lab-grlo was trained against lab/reward itself")
    assert found["template"] is None
    lengths = {name: task["metrics"][name]["value"] for name in ("characters", "baseline_characters")}
    counts = count_verdicts(workplace)
    assert set(counts.values()) == {1}
    other = judge(run_harness, workplace, runs, REWARD, a="lab-grlo", b="lab-base")
    assert count_verdicts(workplace) == counts
    assert other["tasks"][0]["win_rate"]["value"] == pytest.approx(1 - task["win_rate"]["value"])
    assert other["tasks"][0]["metrics"]["characters"]["value"] == lengths["baseline_characters"]


def test_the_table_says_what_a_reader_needs(runs: Path, workplace: Path, run_harness: Run) -> None:
    """Win rates, lengths, kinship, cut answers, calls; a second candidate adds a ranking."""
    arguments = judge_arguments(workplace, runs, REWARD)
    code, out, err = run_harness(*arguments, "--b", str(runs / "lab-base"))
    assert code == 0
    assert "lab-grlo against lab-base, judged by lab/reward" in out
    assert "note kin: lab-grlo was trained against lab/reward itself" in out
    assert "answers of lab-base are cut off at max_tokens" in out
    assert "Bradley-Terry, against lab-base" in out
    assert err.strip().endswith("calls of lab/reward")
    assert run_harness(*arguments)[2].strip().endswith("0 calls of lab/reward")


@pytest.mark.parametrize("settings", [REWARD, INSTRUCT])
def test_a_run_against_itself_is_even(runs: Path, workplace: Path, run_harness: Run, settings: str) -> None:
    """Exactly one half, whatever the judge thinks of positions; each pair is asked about once."""
    found = judge(run_harness, workplace, runs, settings, a="lab-grlo", b="lab-grlo")
    (task,) = found["tasks"]
    assert task["win_rate"]["value"] == 0.5
    assert task["num_ties"] == task["num_identical"] == 30
    assert task["metrics"]["lc_win_rate"]["value"] == 0.5


def test_orders_are_asked_and_their_agreement_told(runs: Path, workplace: Path, run_harness: Run) -> None:
    """A model too small to judge prefers by position: the summary says so, from both orders of each pair."""
    found = judge(run_harness, workplace, runs, INSTRUCT)
    (task,) = found["tasks"]
    (path,) = workplace.glob("judged/lab-base-vs-lab-grlo/*/scores.jsonl")
    scores = list(read_lines(path, Score))
    assert len(scores) == 30
    assert all({"first", "second"} <= score.measures.keys() for score in scores)
    for score in scores:
        assert score.value == pytest.approx((score.measures["first"] + score.measures["second"]) / 2)
    agreed = [score.parts["order_agreement"][0] for score in scores]
    assert task["order_agreement"]["value"] == pytest.approx(sum(agreed) / 30)
    assert (task["win_rate"]["value"], found["swap"]) == (pytest.approx(sum(s.value for s in scores) / 30), True)


def test_one_order_halves_the_questions(runs: Path, workplace: Path, run_harness: Run) -> None:
    """Without swap each pair is asked about once."""
    judge(run_harness, workplace, runs, f"swap = false\n{INSTRUCT}")
    num_once = sum(count_verdicts(workplace).values())
    judge(run_harness, workplace, runs, INSTRUCT)
    assert sum(count_verdicts(workplace).values()) == 2 * num_once


def test_a_killed_judgment_goes_on(runs: Path, workplace: Path, run_harness: Run) -> None:
    """SIGKILL in the middle: no verdict is asked twice, and the judgment is the uninterrupted one's."""
    whole = judge(run_harness, workplace, runs, INSTRUCT, "--out", "whole")
    total = sum(count_verdicts(workplace).values())
    cut = f'verdicts = "cut-verdicts"\n{INSTRUCT}[engine]\nname = "hf"\nmax_batch_size = 1\n'
    command = [sys.executable, "-m", "harness.cli.main", *judge_arguments(workplace, runs, cut)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and sum(count_verdicts(workplace / "cut-verdicts").values()) < total // 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    num_before = sum(count_verdicts(workplace / "cut-verdicts").values())
    assert total // 4 <= num_before < total, "the kill came too late to prove anything"
    found = judge(run_harness, workplace, runs, cut)
    counts = count_verdicts(workplace / "cut-verdicts")
    assert (len(counts), set(counts.values())) == (total, {1})
    times = {"finished_at": None}
    assert found | times == whole | times
    (path,) = workplace.glob("judged/*/*/judgment.json")
    before = path.read_bytes()
    judge(run_harness, workplace, runs, cut)
    assert path.read_bytes() == before
    assert read_json(path, Judgment).judge.name == "lab/instruct"


@pytest.mark.parametrize(
    ("settings", "more", "expected"),
    [
        (None, [], "no judge was given; pass --judge FILE, a TOML file of who judges (docs/chat.md)"),
        (None, ["--judge", "nowhere.toml"], "cannot read nowhere.toml: No such file or directory"),
        (None, ["--judge", "later"], "--judge later stores answers unjudged"),
        ('ckpt = "lab/reward"\nswapp = true\n', [], "judge.toml: unknown setting swapp (did you mean swap?)"),
        ("swap = true\n", [], "judge.toml: Object missing required field `ckpt`"),
        ('ckpt = "lab/rewrd"\n', [], "(did you mean lab/reward?)"),
        (REWARD, ["--task", "lab_math"], "--task lab_math is not in both runs"),
        (f'read = "text"\n{REWARD}', [], "judge lab/reward is a reward model, which has no use for read"),
        (INSTRUCT, ["--max-judge-calls", "3"], "raise --max-judge-calls"),
        (SERVED, [], "allow them with --max-judge-calls N"),
        (INSTRUCT, ["--template", "nowhere.toml"], "cannot read nowhere.toml"),
    ],
)
def test_bad_input_ends_in_one_line(
    runs: Path, workplace: Path, run_harness: Run, settings: str | None, more: list[str], expected: str
) -> None:
    """What was given, what was expected; nothing is asked, and nothing written."""
    arguments = judge_arguments(workplace, runs, settings or "")
    code, out, err = run_harness(*(arguments if settings else arguments[:-2]), *more)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("harness: ")
    assert expected in err
    assert not (workplace / "judged").exists()
    assert not count_verdicts(workplace)


def test_runs_of_different_tasks_are_refused(runs: Path, workplace: Path, run_harness: Run) -> None:
    """The error names the tasks of both."""
    code, _, err = run_harness(*judge_arguments(workplace, runs, REWARD, b="lab-rlvr"))
    assert code == 3
    assert "have no task in common: lab-base has lab_chat; lab-rlvr has lab_math" in err


def test_verdicts_are_exported(runs: Path, workplace: Path, run_harness: Run) -> None:
    """One row a verdict, with judge and question; other endings are refused."""
    judge(run_harness, workplace, runs, REWARD)
    assert run_harness("export", "verdicts", "verdicts", "out.csv")[0] == 0
    assert run_harness("export", "verdicts", "verdicts", "out.jsonl")[0] == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert len(rows) == len(count_verdicts(workplace)) == Path("out.csv").read_text().count("\n") - 1
    assert {row["judge"] for row in rows} == {"lab/reward"}
    assert run_harness("export", "verdicts", "verdicts", "out.xls")[0] == 3


def test_a_judged_task_is_judged_now_or_later(workplace: Path, run_harness: Run, data_dir: Path) -> None:
    """The scores are the same, and no verdict is asked twice; the record says who judged, and that it is kin."""
    (workplace / "judge.toml").write_text(REWARD)
    asked = ["--ckpt", "lab/grlo", "--task", "alpaca_eval2", "--limit", "5", "--data-dir", str(data_dir), "--json"]
    code, _, err = run_harness("eval", *asked)
    assert (code, err.count("\n")) == (3, 1)
    assert "alpaca_eval2 is judged: pass --judge FILE" in err
    code, out, _ = run_harness("eval", *asked, "--judge", "later")
    later = json.loads(out)
    assert (code, later["status"], later["tasks"][0]["num_error"]) == (4, "incomplete", 5)
    code, out, err = run_harness("eval", *asked, "--judge", "judge.toml")
    now = json.loads(out)
    assert (code, now["status"]) == (0, "complete")
    assert err.startswith("kin: lab-grlo was trained against lab/reward itself")
    told = now["sessions"][-1]["engine"]["judge"]
    assert (told["name"], told["num_calls"]) == ("lab/reward", 10)
    assert told["kin"] == "lab-grlo was trained against lab/reward itself"
    assert now["spec"]["tasks"][0]["scorer"].startswith("judge@alpaca_eval2-lab_reward-")
    run = workplace / "runs" / "lab-grlo" / later["spec_id"]
    code, out, _ = run_harness("score", str(run), "--judge", "judge.toml", "--data-dir", str(data_dir), "--json")
    graded = json.loads(out)
    assert code == 0
    assert graded["tasks"][0] | {"seconds": 0} == now["tasks"][0] | {"seconds": 0}
    assert graded["sessions"][-1]["engine"]["judge"]["num_calls"] == 0
    assert set(count_verdicts(workplace).values()) == {1}
    assert read_json(run / "run.json", RunRecord).status == "incomplete"


def test_a_reward_model_cannot_rate(workplace: Path, run_harness: Run, data_dir: Path) -> None:
    """mt_bench asks for numbers from 1 to 10: refused before anything is generated."""
    (workplace / "judge.toml").write_text(REWARD)
    arguments = ["--ckpt", "lab/grlo", "--task", "mt_bench", "--data-dir", str(data_dir), "--judge", "judge.toml"]
    code, _, err = run_harness("eval", *arguments)
    assert code == 3
    assert "mt_bench asks for ratings from 1 to 10, which a reward model such as lab/reward cannot give" in err
    assert not (workplace / "runs").exists()


def test_styles_are_judged_one_after_another(workplace: Path, run_harness: Run, data_dir: Path) -> None:
    """They share the judge, its store and the calls that the command may make; the elicited run has all metrics."""
    (workplace / "judge.toml").write_text(REWARD)
    asked = ["--ckpt", "lab/base", "--task", "alpaca_eval2", "--limit", "3", "--set", "sampling.max_tokens=8"]
    where = ["--data-dir", str(data_dir), "--judge", "judge.toml", "--styles", "chat,completion"]
    code, _, err = run_harness("elicit", *asked, *where, "--json")
    assert (code, err) == (0, "")
    (path,) = (workplace / "runs" / "lab-base-elicited").glob("*/run.json")
    (task,) = read_json(path, RunRecord).tasks
    assert {"lc_win_rate", "characters", "baseline_characters"} <= set(task.other_metrics)
    assert set(count_verdicts(workplace).values()) == {1}


def test_a_candidate_given_twice_is_refused(runs: Path, workplace: Path, run_harness: Run) -> None:
    """By its folder and by its run directory alike: a ranking would show it once, and the table twice."""
    (again,) = (runs / "lab-grlo").iterdir()
    code, out, err = run_harness(*judge_arguments(workplace, runs, REWARD), "--b", str(again))
    assert (code, out) == (3, "")
    assert "is given twice; name each candidate once" in err


def test_a_judge_without_verdicts_is_quoted(runs: Path, workplace: Path, run_harness: Run) -> None:
    """One pair and what the judge said of it stand beside the number of pairs that are left out."""
    code, out, _ = run_harness(*judge_arguments(workplace, runs, 'ckpt = "scripted:mixed"\nattempts = 1\n'))
    assert code == 4
    said = " ".join(out.split())
    assert "30 of 30 pairs have no readable verdict" in said
    assert re.search(r"note such as lab_chat/[\w-]+#0: the judge gave no verdict", said)


def test_a_judges_engine_is_told_from_the_runs(runs: Path, workplace: Path, run_harness: Run) -> None:
    """The error names the judge and the table of its file, since runs have an engine too."""
    code, _, err = run_harness(*judge_arguments(workplace, runs, 'ckpt = "gpt"\n[engine]\nname = "openai"\n'))
    assert code == 3
    assert err.startswith("harness: judge gpt, table [engine] of its file: engine openai needs a server's address")


def test_a_judge_with_nothing_to_judge_is_said(workplace: Path, run_harness: Run) -> None:
    """lab_chat has a scorer of its own: the run goes on, and says that nobody was asked."""
    (workplace / "judge.toml").write_text(REWARD)
    code, _, err = run_harness(
        "eval", "--ckpt", "lab/grlo", "--task", "lab_chat", "--limit", "2", "--judge", "judge.toml"
    )
    assert code == 0
    assert "the judge has nothing to do: lab_chat is scored without one" in err
    assert not (workplace / "verdicts").exists()


def test_unreadable_ratings_are_quoted(workplace: Path, run_harness: Run, data_dir: Path) -> None:
    """`harness score` shows why requests ended in error; without a judge it asks for one, and not for `later`."""
    (workplace / "judge.toml").write_text('ckpt = "lab/instruct"\nmax_tokens = 4\nattempts = 1\n')
    where = ["--data-dir", str(data_dir)]
    run_harness("eval", "--ckpt", "lab/base", "--task", "mt_bench", "--limit", "1", "--judge", "later", *where)
    (path,) = (workplace / "runs" / "lab-base").iterdir()
    code, _, err = run_harness("score", str(path), *where)
    assert (code, err) == (
        3,
        f"harness: {path}: mt_bench is judged; pass --judge FILE, who judges it (docs/chat.md)\n",
    )
    code, out, _ = run_harness("score", str(path), "--judge", "judge.toml", *where)
    assert code == 4
    assert "such as mt_bench/81-1#0: the judge gave no verdict" in " ".join(out.split())


def test_a_mistyped_later_is_recognised(workplace: Path, run_harness: Run) -> None:
    """It would be read as the name of a file."""
    code, _, err = run_harness("eval", "--ckpt", "lab/base", "--task", "mt_bench", "--judge", "latr")
    assert (code, err) == (3, "harness: --judge latr: there is no such file (did you mean later?)\n")
