"""Whatever stands in a file or a flag, the result is a record, or one line that names what does not fit."""

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from harness.errors import SpecError
from harness.reading import merge_tables, parse_assignments, parse_policy, parse_record, read_toml, resolve_sampling
from harness.schema import Sampling
from harness.spec import EvalConfig, GatePolicy, JudgeConfig, SamplingConfig
from harness.study.spec import StudySpec
from tests.properties.refusals import attempt
from trainers.spec import Recipe

KINDS = (EvalConfig, GatePolicy, JudgeConfig, SamplingConfig, StudySpec, Recipe)
NAMES = sorted({field.name for kind in KINDS for field in msgspec.structs.fields(kind)})

KEYS = st.one_of(st.sampled_from(NAMES), st.text(max_size=6))
LEAVES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text(max_size=8), st.datetimes(), st.dates(),
    st.times(),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)), max_leaves=8
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)
PIECES = (
    "[judge]", "[[rows]]", "ckpt = ", '"lab/base"', "tasks = ", "[", "]", "{", "}", "=", '"', "'''", "\n", "#", "1e999",
    "nan", "1979-05-27", "\\u0000", ".", ",", "[engine]\n", "name = 'hf'\n", "seed = -1\n", "\r", "\ufeff",
)  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=15).map("".join).map(str.encode)


@given(st.one_of(TEXTS, st.binary(max_size=60)), st.sampled_from(KINDS))
@example(b"x = " + b"[" * 5000, EvalConfig)
@example(b"x = " + b"{a=" * 5000, EvalConfig)
@example(b"x = " + b"1" * 5000, EvalConfig)
@example(b'"a\\nb" = 1', EvalConfig)
@example(b"x = '\xff'", EvalConfig)
@example(b"\xff\xfe\x00", EvalConfig)
@example(b'ckpt = "x\x00"', EvalConfig)
def test_any_file_is_settings_or_one_line(content: bytes, kind: type[msgspec.Struct]) -> None:
    """Read from disk, then as any record: a SpecError at most, which names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.toml"
        path.write_bytes(content)
        record, refusal = attempt(SpecError, lambda: parse_record(read_toml(path), kind, str(path)))
        assert isinstance(record, kind) or str(path) in refusal


@given(TABLES, st.sampled_from(KINDS))
@example({"engine": {"args": {"a\nb": [[[{}]]]}}}, EvalConfig)
@example({"judge": {"engine": {"\x1b[31m": 1}}}, EvalConfig)
@example({"judge": "now"}, EvalConfig)
def test_any_tables_are_a_record_or_one_line(data: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """And a record comes out only if no name is unknown."""
    record, refusal = attempt(SpecError, lambda: parse_record(data, kind, "settings"))
    if record is None:
        assert refusal.startswith("settings: ")
    else:
        assert data.keys() <= {field.name for field in msgspec.structs.fields(kind)}
        assert parse_record(msgspec.to_builtins(record), kind, "settings") == record


@given(st.text(min_size=1, max_size=10), st.sampled_from(KINDS))
@example("temprature", SamplingConfig)
def test_an_unknown_name_is_always_told(name: str, kind: type[msgspec.Struct]) -> None:
    """Beside settings that fit, and within a table."""
    if name in {field.name for field in msgspec.structs.fields(kind)}:
        return
    _, refusal = attempt(SpecError, lambda: parse_record({name: 1}, kind, "settings"))
    shown = name if name.isprintable() else json.dumps(name)
    assert refusal.startswith(f"settings: unknown setting {shown}")


ASSIGNED = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda value: (str(value), value)),
    st.booleans().map(lambda value: (str(value).lower(), value)),
    st.floats(allow_nan=False).map(lambda value: (repr(value), value)),
    st.lists(st.integers(0, 9), max_size=3).map(lambda value: (str(value), value)),
    st.sampled_from(("greedy", "lab/base", "a=b", "", "1\ny = 2", "[", "x = 1", "{", "1" * 5000, "[" * 5000)).map(
        lambda value: (value, value)
    ),
)


@given(st.lists(st.from_regex(r"[a-c](\.[a-c]){0,2}", fullmatch=True), unique=True, max_size=5), st.data())
def test_assignments_make_the_tables_they_spell(names: list[str], data: st.DataObject) -> None:
    """Every value stands where its name says; a name that is a table and a value is refused, in either order."""
    drawn = {name: data.draw(ASSIGNED) for name in names}
    clash = any(other.startswith(f"{name}.") for name in names for other in names)
    tables, refusal = attempt(
        SpecError, lambda: parse_assignments([f"{name}={text}" for name, (text, _) in drawn.items()])
    )
    assert (tables is None) == clash
    if tables is None:
        assert "already ha" in refusal
        return
    for name, (_, value) in drawn.items():
        place: Any = tables
        for part in name.split("."):
            place = place[part]
        assert place == value


@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_flag_is_tables_or_a_refusal(assignments: list[str]) -> None:
    """No text breaks --set."""
    tables, refusal = attempt(SpecError, lambda: parse_assignments(assignments))
    assert isinstance(tables, dict) or refusal.startswith("--set ")


@given(TABLES, TABLES)
def test_what_is_laid_over_wins_and_the_rest_stays(base: dict[str, Any], update: dict[str, Any]) -> None:
    """Neither side is changed; laying the same over again changes nothing."""
    merged = merge_tables(base, update)
    assert merged.keys() == base.keys() | update.keys()
    assert repr(merge_tables(merged, update)) == repr(merged)
    assert all(repr(merged[key]) == repr(base[key]) for key in base.keys() - update.keys())


@given(st.builds(SamplingConfig, *(st.one_of(st.none(), st.floats(), st.integers()) for _ in range(7))))
def test_sampling_is_in_range_or_named(overrides: SamplingConfig) -> None:
    """nan and infinity included."""
    sampling, refusal = attempt(SpecError, lambda: resolve_sampling(Sampling(), overrides))
    if sampling is None:
        assert any(field in refusal for field in SamplingConfig.__struct_fields__)
    else:
        assert 0 <= sampling.temperature <= 100
        assert 0 < sampling.top_p <= 1
        assert sampling.num_generations == 1 or sampling.temperature > 0


@given(st.dictionaries(st.sampled_from(GatePolicy.__struct_fields__), st.one_of(st.floats(), st.integers(-9, 999))))
def test_a_policy_is_in_range_or_named(data: dict[str, Any]) -> None:
    """A margin, a level and a share that cannot be meant are refused by name."""
    policy, refusal = attempt(SpecError, lambda: parse_policy(data, "gate.toml"))
    if policy is None:
        assert refusal.startswith("gate.toml: ")
    else:
        assert 0 < policy.level < 0.5
        assert 0 < policy.margin < 100
