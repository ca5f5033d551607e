"""A whole audit of a file: counts, identity, labels; and the known overlaps of real training files."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.audit.findings import Audit
from harness.audit.prompts import open_prompts
from harness.audit.report import audit_prompts
from harness.schema import Example
from tasks.registry import select_tasks


def test_an_audit_says_what_it_searched(tmp_path: Path) -> None:
    """File, hash, prompts, different ones after normalisation, and the limits that were used."""
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": text, "source": "chat"}) + "\n" for text in ("Hi!", "hi", "Ho")))
    examples = [Example("toy", "a", "HI", None), Example("toy", "b", "He", None)]
    audit = audit_prompts(open_prompts(path), {"toy": ("chat", examples)}, 0.7, 0.4)
    assert (audit.prompts, audit.num_prompts, audit.num_unique) == (str(path), 3, 2)
    assert audit.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (audit.near_threshold, audit.min_cover, audit.differences) == (0.7, 0.4, ())
    assert audit.tasks[0].contaminated == ("a",)
    assert audit.labels[0].value == "chat"


def real_audit(data_dir: Path, train: str) -> Audit:
    """Audit a training file against the registered tasks and the whole MATH test set."""
    tasks = {
        task.name: (task.suite, task.load(data_dir, None).examples) for task in select_tasks(["chat", "math", "code"])
    }
    rows = open_prompts(data_dir / "math" / "test.jsonl.gz")
    tasks["math_test"] = "files", tuple(Example("math_test", str(row.row), row.text, None) for row in rows)
    return audit_prompts(open_prompts(data_dir / train), tasks)


def test_the_known_overlap_of_simplerl_zoo(data_dir: Path) -> None:
    """None of MATH-500 is exact; of MATH's test set 2,939 are, 4 more than the 2,935 that agree byte for byte."""
    audit = real_audit(data_dir, "train_simplerl_zoo_8k/train.jsonl.gz")
    tasks = {task.task: task for task in audit.tasks}
    assert tasks["math500"].num_exact == 0
    assert tasks["math_test"].num_exact == 2939
    prompts = {prompt.text for prompt in open_prompts(data_dir / "train_simplerl_zoo_8k" / "train.jsonl.gz")}
    tests = [row.text for row in open_prompts(data_dir / "math" / "test.jsonl.gz")]
    assert sum(text in prompts for text in tests) == 2935
    assert [len(tasks[name].contaminated) for name in ("gsm8k", "aime24", "aime25", "amc23", "humaneval_plus")] == [
        0
    ] * 5
    assert tasks["olympiadbench"].num_exact == 3
    assert not any(label.contradicts for label in audit.labels)


def test_the_grlo_prompts_are_clean_and_mislabelled(data_dir: Path) -> None:
    """None of 9,000 evaluation examples shares a run of 8 words; data_source names MATH on general prompts."""
    audit = real_audit(data_dir, "train_grlo/train.jsonl")
    assert all((task.num_exact, task.num_near, task.num_ngram_8) == (0, 0, 0) for task in audit.tasks)
    found = {label.field: label for label in audit.labels}
    assert found["data_source"].contradicts
    assert found["data_source"].found == "9 of 1,000 look like mathematics; 0 have a reference answer"
    assert not found["ability"].contradicts


@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus", "ifeval"])
def test_every_example_finds_itself(name: str, data_dir: Path, tmp_path: Path) -> None:
    """A training file made of a task's own examples contaminates all of it, code included."""
    (task,) = select_tasks([name])
    examples = task.load(data_dir, None).examples
    path = tmp_path / "leak.jsonl"
    path.write_text(
        "".join(json.dumps({"messages": [{"role": "user", "content": item.input}]}) + "\n" for item in examples)
    )
    found = audit_prompts(open_prompts(path), {name: (task.suite, examples)}).tasks[0]
    assert found.num_exact == found.num_near == len(found.contaminated) == len(examples)
