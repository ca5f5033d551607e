"""`harness elicit` end to end on the shipped checkpoint."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.cli.elicit import elicitation_table
from harness.schema import STYLES, Elicitation, RunRecord, StyleChoice, TaskElicitation
from harness.store import read_elicitation, read_run
from tests.cli.test_eval import full_score
from tests.tiny_model import build_tiny_checkpoint

Run = Callable[..., tuple[int, str, str]]
COMMAND = ("elicit", "--ckpt", "lab/base", "--suite", "lab-math,lab-code", "--limit", "6")
FILES = ("spec.json", "examples.jsonl", "generations.jsonl", "scores.jsonl", "elicitation.json", "run.json")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that one elicitation wrote."""
    from harness.cli.main import main

    folder = tmp_path_factory.mktemp("elicit")
    assert main([*COMMAND, "--out", str(folder)]) == 0
    return folder


def elicited(folder: Path) -> Path:
    (path,) = (folder / "lab-base-elicited").iterdir()
    return path


def test_every_style_is_an_ordinary_run_and_so_is_the_result(runs: Path) -> None:
    """Four runs under the checkpoint's label, one under label-elicited; the sums agree."""
    records = [read_run(path) for path in runs.glob("lab-base*/*") if "elicited" not in path.parent.name]
    assert {record.spec.prompting for record in records} == {"chat", "completion", "few_shot", "standard"}
    record, found = read_run(elicited(runs)), read_elicitation(elicited(runs))
    assert record.spec.prompting == "elicited"
    assert {record.spec.prompting: record.spec_id for record in records} == found.runs
    for summary, task in zip(record.tasks, found.tasks, strict=True):
        assert summary.score == task.score
        assert (summary.num_planned, summary.num_error) == (6, 0)
        for style, spec_id in found.runs.items():
            (one,) = (item for item in records if item.spec_id == spec_id)
            assert {item.task: item.score for item in one.tasks}[task.task] == task.scores[style]


def test_the_plain_run_is_the_one_that_eval_makes(runs: Path, run_harness: Run) -> None:
    """`harness eval` finds it finished."""
    code, out, _ = run_harness("eval", *COMMAND[1:], "--out", str(runs), "--json")
    assert code == 0
    record = msgspec.json.decode(out, type=RunRecord)
    assert record.spec_id == read_elicitation(elicited(runs)).runs["chat"]
    assert len(record.sessions) == 1


def test_a_rerun_changes_nothing_and_prints_the_table(runs: Path, run_harness: Run) -> None:
    """Each style's score, the choices, the cross-fitted score, and how to use it."""
    before = {name: (elicited(runs) / name).read_bytes() for name in FILES}
    code, out, err = run_harness(*COMMAND, "--out", str(runs))
    assert (code, err) == (0, "")
    assert before == {name: (elicited(runs) / name).read_bytes() for name in FILES}
    for text in ("(plain)", "few_shot", "chosen", "* best in-sample", "biased upwards", "lab_code"):
        assert text in out
    assert f"--elicited {elicited(runs)}" in out


def test_a_killed_elicitation_ends_with_the_same_files(runs: Path, run_harness: Run) -> None:
    """Without run.json and with half of the lines, the same command writes the rest."""
    path = elicited(runs)
    before = {name: (path / name).read_bytes() for name in FILES[:-1]}
    (path / "run.json").unlink()
    (path / "scores.jsonl").write_bytes(before["scores.jsonl"][:700])
    (path / "elicitation.json").unlink()
    assert run_harness(*COMMAND, "--out", str(runs))[0] == 0
    assert before == {name: (path / name).read_bytes() for name in FILES[:-1]}
    assert read_run(path).status == "complete"


def test_json_is_the_record_on_disk(runs: Path, run_harness: Run) -> None:
    """For other programs."""
    code, out, _ = run_harness(*COMMAND, "--out", str(runs), "--json")
    assert code == 0
    assert json.loads(out) == json.loads((elicited(runs) / "elicitation.json").read_text())


def test_an_elicited_run_is_not_graded_again(runs: Path, run_harness: Run) -> None:
    """Its parts are; the message says so."""
    code, _, err = run_harness("score", str(elicited(runs)))
    assert code == 3
    assert "put together by `harness elicit`" in err


def test_few_shot_runs_can_be_graded_again(runs: Path, run_harness: Run) -> None:
    """With no verdict changed, programs judged as their style asks."""
    found = read_elicitation(elicited(runs))
    for style in ("completion", "few_shot"):
        code, _, err = run_harness("score", str(runs / f"lab-base-{style}" / found.runs[style]))
        assert code == 0
        assert "0 of 12 verdicts changed" in err


def test_some_styles_only(tmp_path: Path, run_harness: Run) -> None:
    """In their fixed order whatever the order named; one style is no choice, and that is said."""
    command = ["elicit", "--ckpt", "lab/base", "--task", "lab_math", "--limit", "2", "--out", str(tmp_path)]
    code, out, _ = run_harness(*command, "--styles", "standard, completion", "--json")
    assert code == 0
    assert list(json.loads(out)["runs"]) == ["completion", "standard"]
    code, out, _ = run_harness(*command, "--styles", "standard")
    assert code == 0
    assert "lab_math: only one style to choose from" in out


def test_one_example_is_not_cross_fitted(tmp_path: Path, run_harness: Run) -> None:
    """An empty half chooses nothing, and that is said."""
    command = ["elicit", "--ckpt", "lab/base", "--task", "lab_math", "--limit", "1", "--out", str(tmp_path)]
    code, out, _ = run_harness(*command, "--styles", "standard,completion")
    assert code == 0
    assert "lab_math: one half has no examples" in out
    assert "nothing was cross-fitted: the score is that of the first style, completion" in " ".join(out.split())


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits(width: int) -> None:
    """All styles, two choices and figures of full width; names are folded, no number is cut."""
    halves = tuple(StyleChoice(style=style, num_examples=9, scores={}) for style in ("completion", "few_shot"))
    scores = dict.fromkeys(STYLES, full_score())
    tasks = [
        TaskElicitation(task=task, scores=scores, halves=(halves[0], halves[1]), score=full_score())
        for task in ("humaneval_plus", "lab_math")
    ]
    record = Elicitation(spec_id="", plain="chat", runs=dict.fromkeys(STYLES, ""), tasks=tuple(tasks))
    console = Console(width=width, file=io.StringIO())
    console.print(elicitation_table(record))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert (text.count("100.0 – 100.0"), text.count("100.0*"), text.count("95 % interval")) == (2, 2, 1)
    for header in ("chat", "(plain)", "completion", "few_shot", "standard", "chosen", "elicited"):
        assert header in text


def test_without_a_template_chat_is_left_out(tmp_path: Path, run_harness: Run) -> None:
    """And refused where it is all that was asked for."""
    folder = tmp_path / "model"
    build_tiny_checkpoint(folder, chat_template=None)
    command = ["elicit", "--ckpt", str(folder), "--task", "lab_math", "--limit", "2", "--out", str(tmp_path / "runs")]
    code, out, _ = run_harness(*command, "--set", "sampling.max_tokens=4", "--json")
    assert code == 0
    found = json.loads(out)
    assert (list(found["runs"]), found["plain"]) == (["completion", "few_shot", "standard"], "completion")
    code, _, err = run_harness(*command, "--styles", "chat")
    assert code == 3
    assert "no chat template" in err
