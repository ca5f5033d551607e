"""What differs between two runs is named, field by field."""

import msgspec
import numpy as np
import pytest

from harness.identity import FIELDS, conflicting_fields, differing_fields
from harness.schema import EngineSpec, Fingerprint, RunSpec, Sampling
from tests.labels import make_run, make_task

SPEC = make_run("m", [make_task("gsm8k", np.ones(3)), make_task("math500", np.ones(2))]).record.spec
replace = msgspec.structs.replace


def with_task(**changes: object) -> RunSpec:
    return replace(SPEC, tasks=(replace(SPEC.tasks[0], **changes), SPEC.tasks[1]))


def with_mark(**changes: str) -> RunSpec:
    mark = replace(SPEC.checkpoint.fingerprint, **changes)
    return replace(SPEC, checkpoint=replace(SPEC.checkpoint, fingerprint=mark))


CASES = {
    "weights": with_mark(weights="other"),
    "tokenizer": with_mark(tokenizer="other"),
    "template": with_mark(template="other"),
    "engine": replace(SPEC, engine=EngineSpec(name="hf", dtype="bfloat16", device="cuda")),
    "prompting": replace(SPEC, prompting="completion"),
    "thinking": replace(SPEC, enable_thinking=False),
    "attempt": replace(SPEC, attempt=1),
    "version": with_task(version="2"),
    "data": with_task(data_sha256="e" * 64),
    "prompt": with_task(prompt="prompt/chat@2"),
    "scorer": with_task(scorer="scorer@2"),
    "sampling": with_task(sampling=Sampling(max_tokens=17)),
    "seed": with_task(sampling=Sampling(seed=5)),
    "limit": with_task(num_examples=2),
}


@pytest.mark.parametrize(("field", "other"), CASES.items())
def test_a_changed_field_is_named_alone(field: str, other: RunSpec) -> None:
    """Each field that decides a result is found, and nothing else with it."""
    (found,) = differing_fields(SPEC, other)
    assert found.field == field
    assert found.task == (None if field in ("weights", "tokenizer", "template", "engine", "prompting", "thinking",
                                            "attempt") else "gsm8k")  # fmt: skip


def test_every_field_has_a_case() -> None:
    """The list of fields is the list of what can be found."""
    assert set(CASES) == set(FIELDS)


def test_names_do_not_count() -> None:
    """A moved, relabelled checkpoint and another order of tasks are the same run."""
    other = replace(SPEC, checkpoint=replace(SPEC.checkpoint, label="x", path="y"), tasks=SPEC.tasks[::-1])
    assert differing_fields(SPEC, other) == ()


def test_missing_tasks_are_named() -> None:
    """Runs of other tasks differ in their tasks."""
    (found,) = differing_fields(SPEC, replace(SPEC, tasks=SPEC.tasks[:1]))
    assert (found.field, found.left, found.right) == ("tasks", "gsm8k, math500", "gsm8k")


def test_stop_strings_belong_to_the_prompt() -> None:
    """They follow from the prompt style, which is a field of its own."""
    assert differing_fields(SPEC, with_task(sampling=Sampling(stop=("\n",)))) == ()


def test_a_missing_template_is_called_none() -> None:
    """A checkpoint without a chat template differs from one that has one."""
    bare = replace(SPEC.checkpoint, fingerprint=Fingerprint(weights="m", tokenizer="k", template=None))
    (found,) = differing_fields(SPEC, replace(SPEC, checkpoint=bare))
    assert (found.field, found.right) == ("template", "none")


def test_a_template_conflicts_only_where_both_were_chat() -> None:
    """In plain text it plays no part; against chat the prompt is what differs."""
    other = with_mark(template="other")
    assert [item.field for item in conflicting_fields(SPEC, other)] == ["template"]
    assert conflicting_fields(SPEC, replace(other, prompting="completion")) == ()
    assert [item.field for item in conflicting_fields(SPEC, with_task(scorer="x"))] == ["scorer"]
    assert conflicting_fields(SPEC, with_mark(weights="other")) == ()
