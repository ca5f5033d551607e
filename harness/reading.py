"""From what a user writes (TOML, flags, `--set`) to the records of harness.spec and others, checked.

Every fault is a SpecError that names the setting; nothing is read from anywhere but the text that was given.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from harness.errors import SpecError
from harness.schema import Sampling
from harness.spec import GatePolicy, SamplingConfig, did_you_mean

T = TypeVar("T")


def parse_record(data: Mapping[str, Any], kind: type[T], source: str) -> T:
    """Build a record from plain data, naming the first field that does not fit.

    Raises:
        SpecError: if a key is unknown (with a suggestion), missing, or of the wrong type.
    """
    _reject_unknown_keys(data, kind, source)
    try:
        return msgspec.convert(dict(data), kind)
    except msgspec.ValidationError as error:
        raise SpecError(f"{source}: {error}{_list_words(str(error), kind)}") from error


def _list_words(message: str, kind: Any) -> str:
    """Return `; expected one of …` where a message of msgspec complains of a word and does not say which are known."""
    found = re.fullmatch(r"Invalid enum value .* - at `\$\.(.+)`", message)
    for name in re.findall(r"\[|[^.\[\]\d][^.\[\]]*", found[1]) if found else ():
        if name == "[":  # into the elements of a list
            kind = get_args(kind)[0]
            continue
        records = [option for option in (kind, *get_args(kind)) if hasattr(option, "__struct_fields__")]
        kind = {field.name: field.type for field in msgspec.structs.fields(records[0])}[name]
    words = [word for option in (kind, *get_args(kind)) if get_origin(option) is Literal for word in get_args(option)]
    return f"; expected one of {', '.join(map(str, words))}" if words else ""


def _reject_unknown_keys(value: Any, kind: Any, source: str, place: str = "") -> None:
    """Look through tables, optional tables and arrays of tables."""
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        for key, item in value.items():
            name = f"{place}.{_in_one_line(key)}".removeprefix(".")
            if key not in fields:
                hint = did_you_mean(key, fields) or f"; known: {', '.join(fields)}"
                raise SpecError(f"{source}: unknown setting {name}{hint}")
            _reject_unknown_keys(item, fields[key], source, name)
    elif isinstance(value, list | tuple) and get_origin(kind) is tuple:
        for number, item in enumerate(value):
            _reject_unknown_keys(item, get_args(kind)[0], source, f"{place}[{number}]")
    elif get_origin(kind) in (Union, UnionType):
        for option in get_args(kind):
            _reject_unknown_keys(value, option, source, place)


def _in_one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        SpecError: if the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of what is no TOML or no UTF-8, numbers and nesting without end
        raise SpecError(f"{path} is not TOML: {error}") from error


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn `--set a.b=value` flags into nested tables; the value is read as TOML, or as a string if it is not TOML.

    Raises:
        SpecError: if an assignment has no `=` or assigns to both a table and a value.
    """
    tables: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        given = f"--set {_in_one_line(assignment)}"
        if not equals or not path.strip():
            raise SpecError(f"{given}: expected NAME=VALUE, for example --set sampling.temperature=0.7")
        *parents, leaf = path.strip().split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise SpecError(f"{given}: {_in_one_line(parent)} already has a value of its own")
        if isinstance(table.get(leaf), dict):
            raise SpecError(f"{given}: parts of it already have values of their own")
        table[leaf] = _toml_value(text.strip())
    return tables


def _toml_value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # as in read_toml
        return text
    return read["value"] if len(read) == 1 else text  # several lines are no value


def merge_tables(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return base with update laid over it, table by table."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        merged[key] = merge_tables(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def resolve_sampling(preset: Sampling, overrides: SamplingConfig) -> Sampling:
    """Return the preset with the overrides applied, checked for range.

    Raises:
        SpecError: if a value is out of range, or several greedy generations are asked for.
    """
    changes = {name: value for name, value in msgspec.structs.asdict(overrides).items() if value is not None}
    sampling = msgspec.structs.replace(preset, **changes)
    checks = (
        (0 <= sampling.temperature <= 100, "temperature", "from 0 (greedy) to 100"),
        (0 < sampling.top_p <= 1, "top_p", "above 0 and at most 1"),
        (0 <= sampling.top_k <= 10**7, "top_k", "from 0 (all tokens) to ten million"),
        (1 <= sampling.max_tokens <= 10**7, "max_tokens", "from 1 to ten million"),
        (1 <= sampling.num_generations <= 10**5, "num_generations", "from 1 to 100,000"),
        (0.01 <= sampling.repetition_penalty <= 100, "repetition_penalty", "from 0.01 to 100"),
    )
    for fits, name, expected in checks:
        if not fits:
            raise SpecError(f"sampling.{name} is {getattr(sampling, name)}, expected {expected}")
    if sampling.temperature == 0 and sampling.num_generations > 1:
        raise SpecError(
            f"num_generations is {sampling.num_generations} at temperature 0: greedy completions are all the same; "
            "set sampling.temperature, or num_generations to 1"
        )
    return sampling


def parse_policy(data: Mapping[str, Any], source: str) -> GatePolicy:
    """Build a gate policy from plain data, checked for range; `source` is named in errors.

    Raises:
        SpecError: if a key is unknown, of the wrong type, or out of range.
    """
    policy = parse_record(data, GatePolicy, source)
    margins = {"margin": policy.margin, **{f"margins.{name}": margin for name, margin in policy.margins.items()}}
    for name, margin in margins.items():
        if not 0 < margin < 100:
            raise SpecError(
                f"{source}: {name} is {margin:g}, expected points above 0 and below 100; at 0 no number of examples "
                "lets an unchanged checkpoint pass"
            )
    checks = (
        (0 < policy.level < 0.5, "level", "the chance of a false alarm, above 0 and below 0.5, such as 0.05"),
        (len(policy.gate_on) > 0, "gate_on", 'at least one of "tasks" and "domains"'),
        (0 <= policy.max_truncated_increase <= 100, "max_truncated_increase", "points from 0 to 100"),
        (0 <= policy.max_no_answer_increase <= 100, "max_no_answer_increase", "points from 0 to 100"),
        (1 <= policy.max_length_ratio <= 10**6, "max_length_ratio", "from 1 to a million"),
        (0 <= policy.max_error_share < 1, "max_error_share", "a share from 0 to below 1"),
        (0 <= policy.max_examples_listed <= 10**5, "max_examples_listed", "from 0 to 100,000"),
    )
    for fits, name, expected in checks:
        if not fits:
            raise SpecError(f"{source}: {name} is {getattr(policy, name)}, expected {expected}")
    return policy
