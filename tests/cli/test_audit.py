"""`harness audit` end to end, on the lab's own rows and on runs of the scripted engine."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from harness.audit.findings import Audit
from tasks.registry import TASKS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a training file that holds 50 of the 200 lab_math examples, in verl's shape; work in its folder."""
    monkeypatch.chdir(tmp_path)
    texts = [example.input for example in TASKS["lab_math"].load(None, None).examples[:50]]
    rows = [
        {"prompt": [{"role": "user", "content": text}], "data_source": "gsm8k", "reward_model": {"ground_truth": "1"}}
        for text in [*texts, "Tell me about the sea."]
    ]
    Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "train.jsonl"


def test_the_overlap_is_printed(leak: str, run_harness: Run) -> None:
    """Counts and shares by task, the labels, and with --show where each match is."""
    code, out, _ = run_harness("audit", "--prompts", leak, "--suite", "lab", "--show", "2")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    found = {row[0]: row for row in rows if len(row) > 5 and row[0].startswith(("lab_", "data_"))}
    lab_math = next(row for row in rows if row[:2] == ["lab_math", "200"])
    assert lab_math[2] == "50"
    assert "25.0" in lab_math
    assert ["lab_chat", "200", "0"] in [row[:3] for row in rows]
    assert found["data_source"][1] == "gsm8k"
    assert ": exact, row 1" in out
    assert "48 more" in out


def test_json_holds_every_match(leak: str, run_harness: Run) -> None:
    """The record, with one match for each contaminated example."""
    _, out, _ = run_harness("audit", "--prompts", leak, "--task", "lab_math", "--json")
    audit = msgspec.json.decode(out, type=Audit)
    assert (audit.num_prompts, len(audit.tasks[0].contaminated), len(audit.tasks[0].matches)) == (51, 50, 50)


@pytest.mark.parametrize(("share", "expected"), [("0.25", 0), ("0.2", 1)])
def test_too_much_contamination_fails_a_ci_job(share: str, expected: int, leak: str, run_harness: Run) -> None:
    """--max-contaminated: the exit code, and on stderr which task it is."""
    code, _, err = run_harness("audit", "--prompts", leak, "--suite", "lab", "--max-contaminated", share)
    assert code == expected
    assert ("lab_math: 50 of 200 examples are contaminated" in err) == bool(expected)


def test_differences_are_split(leak: str, run_harness: Run) -> None:
    """With runs of base and candidate, the examples are those of the base's run and need not be named."""
    task = TASKS["lab_math"]
    assert task.gold is not None
    for label, num_right in (("base", 2), ("grlo", 3)):  # of every four examples
        rows = [
            {"id": example.example_id, "text": task.gold(example) if number % 4 < num_right else "no"}
            for number, example in enumerate(task.load(None, None).examples)
        ]
        Path("out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        given = ("--task", "lab_math", "--generations", "out.jsonl", "--map", "example_id=id,text=text")
        assert run_harness("score", *given, "--label", label)[0] == 0
    runs = ("--base", "runs/base", "--candidate", "runs/grlo")
    code, out, err = run_harness("audit", "--prompts", leak, *runs, "--json")
    assert code == 0, err
    (found,) = msgspec.json.decode(out, type=Audit).differences
    assert (found.label, found.num_contaminated, found.num_clean) == ("grlo", 50, 150)
    assert (found.all_examples.value, found.base_clean.value) == (0.25, pytest.approx(74 / 150))
    assert found.clean.value == pytest.approx(38 / 150)
    assert found.contaminated.value == pytest.approx(12 / 50)
    assert found.difference_in_difference.method == "Welch"
    code, out, _ = run_harness("audit", "--prompts", leak, *runs)
    assert code == 0
    assert "contaminated − clean" in out


def test_rows_of_a_file_are_searched_for(leak: str, run_harness: Run) -> None:
    """--examples NAME=FILE makes a task of rows that are no registered one."""
    Path("own.jsonl").write_text('{"q": {"text": "Tell me about the sea"}}\n{"q": {"text": "About the moon"}}\n')
    code, out, _ = run_harness(
        "audit", "--prompts", leak, "--examples", "own=own.jsonl", "--examples-field", "q.text", "--json"
    )
    assert code == 0
    (task,) = msgspec.json.decode(out, type=Audit).tasks
    assert (task.task, task.suite, task.contaminated, task.matches[0].row) == ("own", "files", ("1",), 51)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "lab", "--base", "runs/base"), "need both sides"),
        ((), "nothing to search for"),
        (("--task", "lab_math", "--field", "question"), "no text at field question; its fields are prompt"),
        (("--task", "lab_maths"), "no task or suite named lab_maths"),
        (("--examples", "missing.jsonl"), "does not exist"),
        (("--examples", "train.jsonl", "--examples", "train.jsonl"), "two files are named train"),
        (("--task", "lab_math", "--examples", "lab_math=train.jsonl"), "lab_math is searched for as a task already"),
        (("--task", "lab_math", "--threshold", "0"), "--threshold"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], message: str, leak: str, run_harness: Run) -> None:
    """Each names what was expected, with exit code 3."""
    code, _, err = run_harness("audit", "--prompts", leak, *arguments)
    assert code == 3
    assert message in err
    assert len(err.strip().splitlines()) == 1
