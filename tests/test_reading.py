"""What a user writes becomes a record, or one line that names the setting."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import SpecError
from harness.reading import merge_tables, parse_assignments, parse_record, read_toml, resolve_sampling
from harness.schema import Record, Sampling
from harness.spec import EvalConfig, GatePolicy, SamplingConfig


def test_assignments_nest_and_read_toml_values() -> None:
    """--set a.b=1 makes tables; numbers, booleans and bare words are told apart."""
    found = parse_assignments(["sampling.temperature=0.7", "limit=3", "label=grlo-200", "sampling.top_k=20"])
    assert found == {"sampling": {"temperature": 0.7, "top_k": 20}, "limit": 3, "label": "grlo-200"}


@pytest.mark.parametrize("text", ["temperature", "=3", "a.b=1"])
def test_assignments_that_do_not_fit_are_refused(text: str) -> None:
    """A missing `=`, a missing name, and a value where a table is, are errors."""
    with pytest.raises(SpecError):
        parse_assignments(["a=1", text])


def test_update_keeps_what_it_does_not_name() -> None:
    """Flags go over a file table by table."""
    assert merge_tables({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"x": 9}}) == {"a": {"x": 9, "y": 2}, "b": 1}


def test_unknown_setting_is_refused_with_a_suggestion() -> None:
    """A typing mistake in a nested table names the field that was meant."""
    with pytest.raises(SpecError, match=r"unknown setting sampling.temprature \(did you mean temperature\?\)"):
        parse_record({"ckpt": "x", "tasks": (), "sampling": {"temprature": 1}}, EvalConfig, "study.toml")


class Inner(Record, frozen=True):
    """A table of a test's settings."""

    depth: int = 0


class Outer(Record, frozen=True):
    """Settings with tables where they may stand: in an array, and where there may be none."""

    rows: tuple[Inner, ...] = ()
    maybe: Inner | None = None
    names: dict[str, str] = msgspec.field(default_factory=dict)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"rows": [{}, {"deptth": 1}]}, r"unknown setting rows\[1\]\.deptth \(did you mean depth\?\)"),
        ({"maybe": {"deptth": 1}}, r"unknown setting maybe\.deptth \(did you mean depth\?\)"),
        ({"rowz": []}, r"unknown setting rowz \(did you mean rows\?\)"),
    ],
)
def test_unknown_settings_are_found_in_every_table(data: dict[str, object], message: str) -> None:
    """Arrays of tables and optional tables are looked into; free tables take any key."""
    with pytest.raises(SpecError, match=message):
        parse_record(data, Outer, "study.toml")
    fine = parse_record({"rows": [{"depth": 2}], "maybe": {"depth": 1}, "names": {"any": "x"}}, Outer, "study.toml")
    assert (fine.rows[0].depth, fine.maybe, fine.names) == (2, Inner(depth=1), {"any": "x"})


def test_wrong_type_is_refused_with_its_place() -> None:
    """The message names file and field."""
    with pytest.raises(SpecError, match=r"study.toml: Expected `int \| null`, got `str` - at `\$.limit`"):
        parse_record({"ckpt": "x", "tasks": (), "limit": "all"}, EvalConfig, "study.toml")


def test_sampling_overrides_only_what_is_given() -> None:
    """None keeps the preset's value, 0 does not."""
    preset = Sampling(temperature=0.6, top_k=20, num_generations=8)
    assert resolve_sampling(preset, SamplingConfig(top_k=0)) == Sampling(temperature=0.6, top_k=0, num_generations=8)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1.0),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("top_k", -1),
        ("max_tokens", 0),
        ("num_generations", 0),
        ("repetition_penalty", 0.0),
        ("temperature", float("inf")),
        ("temperature", float("nan")),
        ("num_generations", 10**12),
        ("top_k", 10**20),
        ("num_generations", 4),
    ],
)
def test_sampling_out_of_range_is_refused(field: str, value: float) -> None:
    """Impossible values, and several identical greedy completions, are errors that name the field."""
    with pytest.raises(SpecError, match=field):
        resolve_sampling(Sampling(), SamplingConfig(**{field: value}))


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    """Some editors begin a file with one."""
    (tmp_path / "run.toml").write_bytes(b'\xef\xbb\xbfname = "x"\r\n')
    assert read_toml(tmp_path / "run.toml") == {"name": "x"}


@pytest.mark.parametrize(
    ("data", "kind", "known"),
    [
        ({"ckpt": "x", "tasks": [], "prompting": "chatt"}, EvalConfig, "`$.prompting`; expected one of auto, chat,"),
        ({"ckpt": "x", "tasks": [], "engine": {"inner": "foo"}}, EvalConfig, "expected one of hf, vllm, openai"),
        ({"gate_on": ["task"]}, GatePolicy, "expected one of tasks, domains"),
    ],
)
def test_a_word_that_is_not_known_comes_with_those_that_are(data: dict[str, Any], kind: type, known: str) -> None:
    """Wherever it stands: in a record, in a record's record, in a list."""
    with pytest.raises(SpecError, match=re.escape(known)):
        parse_record(data, kind, "settings")
