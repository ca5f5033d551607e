"""A study's training prompts against the examples that its runs hold."""

import json
from pathlib import Path

import msgspec
import pytest

from harness.errors import DataError
from harness.study.contamination import audit_study, read_examples
from harness.study.gather import load_runs
from harness.study.spec import StudyCheckpoint, StudySpec, TrainingPrompts, TypedCost
from harness.verdicts import find_runs

RUNS = Path(__file__).parent.parent / "golden" / "runs"
PATHS = {"base": find_runs(RUNS / "lab-chat"), "plain": find_runs(RUNS / "lab-completion")}


def study(*prompts: TrainingPrompts) -> StudySpec:
    """Return a study of the stored runs."""
    checkpoints = (StudyCheckpoint("base", "base"), StudyCheckpoint("plain", "candidate"))
    return StudySpec(name="toy", checkpoints=checkpoints, training_prompts=prompts)


def test_examples_come_from_the_runs() -> None:
    """Every task's examples are read, with the suite, and no benchmark file."""
    found = read_examples(load_runs(study(), PATHS)["base"])
    assert {name: (suite, len(examples)) for name, (suite, examples) in found.items()} == {
        "lab_chat": ("lab-chat", 12),
        "lab_math": ("lab-math", 12),
        "lab_code": ("lab-code", 12),
    }


def test_overlap_and_its_effect_are_found(tmp_path: Path) -> None:
    """Three leaked examples split the paired differences of the checkpoint that was trained on them."""
    runs = load_runs(study(), PATHS)
    examples = read_examples(runs["base"])["lab_math"][1]
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"q": example.input.upper()}) + "\n" for example in examples[:3]))
    [audit] = audit_study(study(TrainingPrompts(str(file), field="q", checkpoints=("plain",))), runs)
    overlap = next(task for task in audit.tasks if task.task == "lab_math")
    assert (overlap.num_exact, overlap.contaminated) == (3, tuple(example.example_id for example in examples[:3]))
    [difference] = [found for found in audit.differences if found.task == "lab_math"]
    base, plain = (runs[label][0].tasks["lab_math"].means for label in ("base", "plain"))
    assert difference.contaminated.value == pytest.approx((plain - base)[:3].mean())
    assert difference.clean.value == pytest.approx((plain - base)[3:].mean())
    assert difference.difference_in_difference.value == pytest.approx(
        difference.contaminated.value - difference.clean.value
    )


def test_without_prompts_there_is_no_audit() -> None:
    """A study that names none has none, and one whose base has no run cannot search."""
    runs = load_runs(study(), PATHS)
    assert audit_study(study(), runs) == ()
    assert audit_study(study(TrainingPrompts("missing.jsonl")), {"plain": runs["plain"]}) == ()


def test_a_missing_file_is_named() -> None:
    """The path is in the message."""
    with pytest.raises(DataError, match=r"missing\.jsonl"):
        audit_study(study(TrainingPrompts("missing.jsonl")), load_runs(study(), PATHS))


def test_a_file_that_holds_part_of_the_training_prompts_is_called_so(tmp_path: Path) -> None:
    """Finding nothing in 3 of 5,000 prompts says nothing of the other 4,997."""
    runs = load_runs(study(), PATHS)
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"q": f"prompt number {row} of the public part"}) + "\n" for row in range(3)))
    spec = study(TrainingPrompts(str(file), field="q", checkpoints=("plain",)))
    assert not any("trained on" in note for note in audit_study(spec, runs)[0].notes)
    checkpoints = (spec.checkpoints[0], StudyCheckpoint("plain", "candidate", cost=TypedCost(prompts=5000)))
    partial = msgspec.structs.replace(spec, checkpoints=checkpoints)
    assert audit_study(partial, runs)[0].notes[-1] == (
        "plain was trained on 5,000 prompts, of which this file holds 3: the others were not searched."
    )
