"""Options that several commands share, and how flags, a TOML file and --set become one EvalConfig."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import msgspec

from harness.errors import UsageError
from harness.identity import MUST_AGREE_WITH_BASE
from harness.reading import merge_tables, parse_assignments, parse_record, read_toml
from harness.schema import STYLES
from harness.spec import EvalConfig, JudgeConfig, did_you_mean
from harness.stats.resample import fewest_resamples

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=msgspec.Struct)
JUDGE_PATHS = ("verdicts", "template")
"""Settings of a judge that are paths; `template` may also be `pair`, which expands to itself."""


def data_options(function: F) -> F:
    """Add the options that say where benchmark rows come from."""
    for option in (
        click.option(
            "--accept-data",
            metavar="TASK=HASH",
            multiple=True,
            help="Use rows that differ from the registered ones; the error of a mismatch prints the hash.",
        ),
        click.option("--hub-dir", metavar="DIR", help="Local mirror of hub data sets (DIR/org/name)."),
        click.option(
            "--data-dir", metavar="DIR", help="Folder of benchmark data.  [default: $HARNESS_DATA, else the hub]"
        ),
    ):
        function = option(function)
    return function


def task_options(function: F) -> F:
    """Add --suite and --task."""
    for option in (
        click.option(
            "--task", metavar="NAMES", multiple=True, help="Tasks, comma-separated (see `harness tasks list`)."
        ),
        click.option("--suite", metavar="NAMES", multiple=True, help="Suites, comma-separated: chat, math, code, lab."),
    ):
        function = option(function)
    return function


def scoring_options(function: F) -> F:
    """Add the options that say how this machine scores."""
    for option in (
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Processes that score.  [default: number of cores]",
        ),
        click.option(
            "--sandbox",
            type=click.Choice(["bubblewrap", "process"]),
            help="Where generated programs run; `process` is weaker and recorded in the run.  [default: bubblewrap]",
        ),
    ):
        function = option(function)
    return function


def judge_options(function: F) -> F:
    """Add the options that say who judges conversation."""
    text = "TOML file of who judges conversation (docs/chat.md); `later` stores the answers unjudged."
    return click.option("--judge", metavar="FILE|later", help=text)(call_limit_option(function))


def call_limit_option(function: F) -> F:
    """Add --max-judge-calls."""
    return click.option(
        "--max-judge-calls",
        type=click.IntRange(min=0),
        metavar="N",
        help="Most calls of the judge.  [default: no limit on this machine; before those of a server elsewhere a "
        "person is asked]",
    )(function)


def run_options(function: F) -> F:
    """Add the options that say what is measured and how: all settings of a run but the checkpoint and its label."""
    prompting = click.option(
        "--prompting",
        type=click.Choice(["auto", *STYLES]),
        help="Chat template, or a style of plain text.  [default: auto, chat if the tokenizer has a template]",
    )
    return settings_options(prompting(function))


def settings_options(function: F) -> F:
    """Add run_options, but for --prompting."""
    for option in (
        click.option(
            "--set",
            "assignments",
            metavar="NAME=VALUE",
            multiple=True,
            help="Any setting, e.g. sampling.temperature=0.7, sampling.max_tokens=512, engine.dtype=float32.",
        ),
        judge_options,
        scoring_options,
        data_options,
        click.option(
            "--engine",
            type=click.Choice(["auto", "hf", "vllm", "openai", "ray", "scripted"]),
            help="[default: auto, vllm where it is installed and sees a GPU, else hf]",
        ),
        click.option("--enable-thinking/--no-enable-thinking", default=None, help="Qwen3's thinking switch."),
        click.option("--chat-template", metavar="FILE", help="Use this chat template instead of the tokenizer's."),
        click.option("--out", metavar="DIR", help="Folder for run directories.  [default: runs]"),
        click.option(
            "--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N examples of each task."
        ),
        click.option("--preset", metavar="NAME", help="Sampling: greedy, or avg@8.  [default: greedy]"),
        click.option("--config", metavar="FILE", help="TOML file of the same settings; flags go over it."),
        click.option(
            "--include-path", metavar="DIR", help="Folder with task files of lm-eval's kind, for --task lm_eval:NAME."
        ),
        task_options,
    ):
        function = option(function)
    return function


def run_config(flags: dict[str, Any]) -> EvalConfig:
    """Return the settings that run_options, --ckpt and --label describe.

    Raises:
        HarnessError: if a setting is unknown or does not fit.
    """
    flags = dict(flags)
    flags["tasks"] = split_names(flags.pop("suite"), flags.pop("task"))
    flags["accept_data"] = split_accepted(flags.pop("accept_data"))
    include_path = flags.pop("include_path")
    flags["lm_eval"] = {"include_path": str(Path(include_path).expanduser())} if include_path else None
    flags["judge"] = _judge_settings(flags.pop("judge"), flags.pop("max_judge_calls"))
    engine = flags.pop("engine")
    flags["engine"] = {"name": engine} if engine else None
    return build_config(flags.pop("config"), flags, flags.pop("assignments"))


def _judge_settings(judge: str | None, max_calls: int | None) -> dict[str, Any] | str | None:
    """Return --judge and --max-judge-calls as settings; the latter alone adds to the judge of a config file."""
    limit = {} if max_calls is None else {"max_calls": max_calls}
    if judge is None:
        return limit or None
    if judge == "later":
        if limit:
            raise UsageError("--max-judge-calls is for a judge, and --judge later calls none; leave it out")
        return judge
    return {**msgspec.to_builtins(read_judge(Path(judge))), **limit}


def read_judge(path: Path) -> JudgeConfig:
    """Return who judges, as a TOML file says; folders may begin with ~.

    Raises:
        SpecError: if it cannot be read, or a setting is unknown or does not fit.
    """
    path = path.expanduser()
    if not path.exists() and (hint := did_you_mean(str(path), ["later"])):
        raise UsageError(f"--judge {path}: there is no such file{hint}")
    parsed = parse_record(read_toml(path), JudgeConfig, str(path))
    return _expand(parsed, JUDGE_PATHS)


def judge_config(judge: str | None, max_calls: int | None) -> JudgeConfig | Literal["later"] | None:
    """Return what --judge and --max-judge-calls say where no config file can.

    Raises:
        HarnessError: if the file cannot be read or does not fit, or the limit has no judge.
    """
    settings = _judge_settings(judge, max_calls)
    if isinstance(settings, dict):
        _check_has_judge(settings)
        return parse_record(settings, JudgeConfig, str(judge))
    return "later" if settings else None


def _check_has_judge(settings: Mapping[str, Any]) -> None:
    if settings.keys() == {"max_calls"}:
        raise UsageError("--max-judge-calls limits a judge, and none was given; pass --judge FILE")


def split_names(suite: tuple[str, ...], task: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of repeated, comma-separated --suite and --task options."""
    return tuple(name.strip() for given in (*suite, *task) for name in given.split(",") if name.strip())


def split_accepted(accept_data: tuple[str, ...]) -> dict[str, str]:
    """Return --accept-data as task name → hash.

    Raises:
        UsageError: if one has no `=`.
    """
    for given in accept_data:
        if "=" not in given:
            raise UsageError(f"--accept-data {given}: expected TASK=HASH")
    return dict(given.split("=", 1) for given in accept_data)


def build_config(config: str | None, flags: Mapping[str, Any], assignments: tuple[str, ...]) -> EvalConfig:
    """Lay flags over the TOML file, and --set over both.

    Raises:
        SpecError: if a setting is unknown or does not fit.
    """
    data = read_toml(Path(config)) if config else {}
    given = {name: value for name, value in flags.items() if value not in (None, (), {})}
    if given.get("judge") and "ckpt" in given["judge"]:
        data.pop("judge", None)  # another judge altogether, not the file's with some settings changed
    data = merge_tables(merge_tables(data, given), parse_assignments(assignments))
    if isinstance(data.get("judge"), dict):
        _check_has_judge(data["judge"])
    if "ckpt" not in data:
        raise UsageError("no checkpoint was given; pass --ckpt lab/base, a folder, or a hub id")
    parsed = parse_record({"tasks": (), **data}, EvalConfig, config or "settings")
    if isinstance(parsed.judge, JudgeConfig):
        parsed = msgspec.structs.replace(parsed, judge=_expand(parsed.judge, JUDGE_PATHS))
    return _expand(parsed, ("out", "data_dir", "hub_dir", "chat_template"))


def _expand(record: R, names: tuple[str, ...]) -> R:
    """Return settings with ~ replaced in paths: a shell expands it in a flag, nobody does in a TOML file."""
    paths = {name: getattr(record, name) for name in names}
    return msgspec.structs.replace(
        record, **{name: str(Path(path).expanduser()) for name, path in paths.items() if path}
    )


def scoring_config(flags: Mapping[str, Any], **settings: Any) -> EvalConfig:
    """Return the config of a command that scores and generates nothing, from data_options and scoring_options,
    and from judge_options where it has them.

    Raises:
        HarnessError: if --accept-data has no `=`, or the judge's file does not fit.
    """
    return EvalConfig(
        data_dir=flags["data_dir"],
        hub_dir=flags["hub_dir"],
        accept_data=split_accepted(flags["accept_data"]),
        sandbox=flags["sandbox"] or "bubblewrap",
        workers=flags["workers"],
        judge=judge_config(flags.get("judge"), flags.get("max_judge_calls")),
        **settings,
    )


class Fraction(click.FloatRange):
    """A number in a range; nan, which no comparison catches, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


LEVEL = Fraction(0.5, 0.9999)
"""Coverage of intervals."""


def drift_option(function: F) -> F:
    """Add --allow-drift."""
    known = ", ".join(MUST_AGREE_WITH_BASE)
    text = f"Compare although these fields differ; it is printed. Comma-separated, of {known}."
    return click.option("--allow-drift", metavar="FIELDS", multiple=True, callback=_split_drift, help=text)(function)


def _split_drift(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    fields = split_names(given, ())
    for field in fields:
        if field not in MUST_AGREE_WITH_BASE:
            hint = did_you_mean(field, MUST_AGREE_WITH_BASE) or f"; known: {', '.join(MUST_AGREE_WITH_BASE)}"
            raise UsageError(f"--allow-drift: no field named {field}{hint}")
    return fields


def split_trained_on(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return --trained-on as label → domains; `*` stands for every candidate.

    Raises:
        UsageError: if one names no domain.
    """
    found = {}
    for text in given:
        label, equals, domains = text.rpartition("=")
        names = tuple(name.strip() for name in domains.split(",") if name.strip())
        if not names or (equals and not label):
            raise UsageError(f"--trained-on {text}: expected DOMAINS or LABEL=DOMAINS, e.g. chat or grlo=chat")
        found[label or "*"] = names
    return found


def comparison_options(function: F) -> F:
    """Add the options of commands that hold candidates against a base."""
    for option in (
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap."),
        click.option(
            "--resamples",
            type=click.IntRange(100, 1_000_000),
            default=10_000,
            show_default=True,
            metavar="N",
            help="Bootstrap draws, from 100 to a million.",
        ),
        click.option("--allow-incomplete", is_flag=True, help="Leave out examples whose request ended in error."),
        drift_option,
        click.option(
            "--overall",
            type=click.Choice(["domains", "tasks"]),
            default="domains",
            show_default=True,
            help="What the overall average weighs equally.",
        ),
        click.option(
            "--level", type=LEVEL, default=0.95, show_default=True, metavar="X", help="Coverage of the intervals."
        ),
        click.option(
            "--trained-on",
            metavar="[LABEL=]DOMAINS",
            multiple=True,
            help="What a candidate was trained on, e.g. chat, or grlo=chat, or rlvr=math,code.  [default: its "
            "training.json]",
        ),
        click.option(
            "--elicited",
            metavar="RUN",
            type=click.Path(path_type=Path),
            help="The base under its best prompt style, from `harness elicit`: compare against it too.",
        ),
        click.option(
            "--reference",
            "references",
            metavar="RUN",
            multiple=True,
            type=click.Path(path_type=Path),
            help="A released checkpoint to measure the closed gap to.",
        ),
    ):
        function = option(function)
    return function


def check_resamples(resamples: int, level: float) -> None:
    """Check that the tails of an interval have enough draws.

    Raises:
        UsageError: if they have not.
    """
    needed = fewest_resamples(level)
    if resamples < needed:
        raise UsageError(
            f"{resamples:,} resamples leave too few in the tails of a {100 * level:g} % interval; "
            f"pass --resamples {needed} or more"
        )
