"""The hash that names a run."""

import msgspec
import pytest

from harness.schema import CheckpointRef, EngineSpec, Fingerprint, RunSpec, Sampling, TaskRef
from harness.spec import canonical_json, spec_id


def make_spec(**changes: object) -> RunSpec:
    fingerprint = Fingerprint(weights="w", tokenizer="t", template=None)
    spec = RunSpec(
        checkpoint=CheckpointRef(label="a", path="/somewhere", revision=None, fingerprint=fingerprint),
        tasks=(),
        engine=EngineSpec(name="hf", dtype="float32", device="cpu"),
        prompting="chat",
        enable_thinking=None,
        limit=None,
    )
    return msgspec.structs.replace(spec, **changes)


def test_canonical_json_does_not_depend_on_key_order() -> None:
    """The same content has the same bytes."""
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == b'{"a":[true,null,"\xc3\xa9"],"b":1}'


def test_spec_id_is_stable_across_versions() -> None:
    """A refactor must not rename runs: this value is pinned."""
    assert spec_id(make_spec()) == spec_id(msgspec.json.decode(msgspec.json.encode(make_spec()), type=RunSpec))
    assert len(spec_id(make_spec())) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 1},
        {"enable_thinking": True},
        {"prompting": "completion"},
        {"engine": EngineSpec(name="hf", dtype="bfloat16", device="cpu")},
        {
            "checkpoint": CheckpointRef(
                label="a",
                path="x",
                revision=None,
                fingerprint=Fingerprint(weights="other", tokenizer="t", template=None),
            )
        },
    ],
)
def test_spec_id_changes_with_what_decides_the_result(changes: dict[str, object]) -> None:
    """Each identity field moves the run to another directory."""
    assert spec_id(make_spec(**changes)) != spec_id(make_spec())


def test_spec_id_does_not_tell_1_from_1_0() -> None:
    """A whole number where a float belongs is the same run, also after it was written and read."""
    ids = set()
    for temperature in (1, 1.0):
        sampling = Sampling(temperature=temperature)
        ref = TaskRef("t", "1", "math", "h", "p", "s", sampling, 3)
        spec = make_spec(tasks=(ref,))
        ids |= {spec_id(spec), spec_id(msgspec.json.decode(msgspec.json.encode(spec), type=RunSpec))}
    assert len(ids) == 1


def test_spec_id_ignores_names_and_order() -> None:
    """A moved or relabelled folder, another order of tasks, and a limit that cuts nothing are the same run."""
    refs = [TaskRef(name, "1", "math", "h", "p", "s", Sampling(), 3) for name in ("a", "b")]
    spec = make_spec(tasks=tuple(refs))
    renamed = msgspec.structs.replace(spec.checkpoint, path="/elsewhere", label="other")
    for same in (make_spec(tasks=(refs[1], refs[0]), checkpoint=renamed), make_spec(tasks=tuple(refs), limit=99)):
        assert spec_id(same) == spec_id(spec)
    fewer = msgspec.structs.replace(refs[0], num_examples=2)
    assert spec_id(make_spec(tasks=(fewer, refs[1]))) != spec_id(spec)
