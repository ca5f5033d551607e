"""`harness export model-card` end to end."""

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import metadata_load

Run = Callable[..., tuple[int, str, str]]
EVAL = ("eval", "--task", "lab_math,lab_chat", "--limit", "4", "--label", "toy")

LONG_SOMETIMES = "{{ 'tea ' * (6000 if messages[0].content|length > 22 else 1) }}{{ messages[0].content }}"
"""A chat template that takes long questions beyond the model's context."""


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_finished_run_becomes_a_block(in_folder: Path, run_harness: Run) -> None:
    """Printed, or written to a new file; one result a task, under the run's label."""
    assert run_harness(*EVAL, "--ckpt", "scripted:mixed")[0] == 0
    code, out, err = run_harness("export", "model-card", "runs/toy")
    assert (code, err) == (0, "")
    code, nothing, err = run_harness("export", "model-card", "runs/toy", "-o", "part.md")
    assert (code, nothing, err) == (0, "", "written: part.md\n")
    assert (in_folder / "part.md").read_text(encoding="utf-8") == out
    (model,) = (metadata_load("part.md") or {})["model-index"]
    assert model["name"] == "toy"
    assert [result["dataset"]["type"] for result in model["results"]] == ["lab_math", "lab_chat"]
    assert "first 4 of 200 examples" in model["results"][0]["metrics"][0]["name"]


def test_an_existing_file_is_never_overwritten(in_folder: Path, run_harness: Run) -> None:
    """It may hold a whole card."""
    assert run_harness(*EVAL, "--ckpt", "scripted:mixed")[0] == 0
    (in_folder / "README.md").write_text("my card")
    code, _, err = run_harness("export", "model-card", "runs/toy", "-o", "README.md")
    assert code == 3
    assert "README.md exists" in err
    assert (in_folder / "README.md").read_text() == "my card"


def test_an_incomplete_run_is_refused_unless_allowed(in_folder: Path, run_harness: Run) -> None:
    """Its score is over the requests that did not end in error, and the block says so."""
    Path("long.jinja").write_text(LONG_SOMETIMES)
    assert run_harness(*EVAL, "--ckpt", "lab/base", "--chat-template", "long.jinja")[0] == 4
    code, out, err = run_harness("export", "model-card", "runs/toy")
    assert (code, out) == (3, "")
    assert "ended in error" in err
    code, out, _ = run_harness("export", "model-card", "runs/toy", "--allow-incomplete", "--model-name", "my/toy")
    assert code == 0
    assert "- name: my/toy" in out
    assert "ended in error" in out
