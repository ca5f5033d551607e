"""The judges' prompts of the data sets, read from their authors' own files; none of their wording is kept here.

The files' names for what they show become ours: question; answer_a and answer_b, as shown, or answer, the one that is
judged. FastChat's second turns also show question_1 and answer_1, the turn before, and where there are references
ref_answer_1 and ref_answer_2, those of the first turn and of the second.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.download import download
from harness.errors import DataError
from harness.judging.protocol import TemplateFile
from harness.judging.records import Template
from harness.rows import parse_rows

ALPACA_WORDS = ("m", "M")
"""What alpaca_eval's prompt calls the first answer and the second."""

_ALPACA = {"instruction": "question", "output_1": "answer_a", "output_2": "answer_b"}
# of config/judge_config.yaml, and of config/arena-hard-v0.1.yaml and later ones
_ARENA = {"question_1": "question", "answer_1": "answer_a", "answer_2": "answer_b"}
_ARENA |= {"QUESTION": "question", "ANSWER_A": "answer_a", "ANSWER_B": "answer_b"}
_SECOND_TURN = {"question_2": "question", "answer_2": "answer"}


def load_templates(source: TemplateFile, data_dir: Path | None) -> dict[str, Template]:
    """Return a data set's templates by their use: pair; or general, general_2, reference, reference_2.

    Args:
        source: where they are: under the data folder, else at their authors' place.
        data_dir: the data folder, if there is one.

    Raises:
        DataError: if they cannot be had, or are not such templates.
    """
    path = data_dir / source.local if data_dir is not None else None
    if path is not None and path.is_file():
        try:
            return parse_templates(source, path.read_bytes(), str(path))
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
    looked = "no --data-dir was given, nor is HARNESS_DATA set" if path is None else f"{path} does not exist"
    told = f"the judge's prompts, {source.local}, are missing: {looked}"
    # ratings have no template but their own
    instead = "" if source.format == "fastchat" else '; or write template = "pair" in the judge\'s file'
    if is_by_hand(source):
        raise DataError(
            f"{told}, and their authors keep them in a program ({source.url}); write it as docs/data.md says{instead}"
        )
    try:
        content = download(source.url)
    except DataError as error:
        raise DataError(
            f"{told}, and {error}; where there is a network, `harness fetch --task NAME --data-dir DIR` writes the "
            f"file with the task's rows, then pass --data-dir DIR{instead}"
        ) from error
    return parse_templates(source, content, source.url)


def is_by_hand(source: TemplateFile) -> bool:
    """Return whether the authors' file is of another kind, so that somebody has to write the one that is read."""
    return PurePosixPath(source.local).suffix != PurePosixPath(source.url).suffix


def parse_templates(source: TemplateFile, content: bytes, name: str) -> dict[str, Template]:
    """Return the templates of a file's content; `name` is named in errors.

    Raises:
        DataError: if it is not such a file, or does not show what is to be judged.
    """
    read = {"chatml": _read_chatml, "fastchat": _read_fastchat, "arena": _read_arena}[source.format]
    try:
        templates = dict(read(source, content, name))
    except (UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{name} is no {source.format} prompt file: {type(error).__name__} {error}") from error
    for template in templates.values():
        needed = ("question", "answer") if template.reading == "rating" else ("question", "answer_a", "answer_b")
        if missing := [field for field in needed if f"{{{field}}}" not in template.user]:
            raise DataError(f"{name}: {template.name} does not show {', '.join(missing)}")
    return templates


def _read_chatml(source: TemplateFile, content: bytes, name: str) -> Iterator[tuple[str, Template]]:
    """Read alpaca_eval's .txt: messages between <|im_start|>ROLE and <|im_end|>, blanks at their ends left out."""
    found = re.findall(r"<\|im_start\|>(.*?)\n(.*?)<\|im_end\|>", content.decode("utf-8-sig"), re.DOTALL)
    texts = {role.strip(): text.strip() for role, text in found}
    if len(texts) != len(found) or not {"user"} <= set(texts) <= {"system", "user"}:
        raise DataError(f"{name}: expected one <|im_start|>user message, and one <|im_start|>system before it at most")
    yield (
        "pair",
        Template(
            name=Path(source.local).stem,
            system=_rename(texts.get("system", ""), _ALPACA),
            user=_rename(texts["user"], _ALPACA),
            reading="tokens",
            words=ALPACA_WORDS,
            max_tokens=source.max_tokens,
        ),
    )


def _read_fastchat(source: TemplateFile, content: bytes, name: str) -> Iterator[tuple[str, Template]]:
    """Read FastChat's judge_prompts.jsonl: one row a template, of which `names` picks some."""
    rows = {row["name"]: row for row in parse_rows(content, name)}
    for use, wanted in source.names.items():
        if wanted not in rows:
            raise DataError(f"{name} has no template {wanted}; it has {', '.join(rows)}")
        user = rows[wanted]["prompt_template"]
        yield (
            use,
            Template(
                name=wanted,
                system=rows[wanted]["system_prompt"],
                user=_rename(user, _SECOND_TURN) if use.endswith("_2") else user,
                reading="rating",
                max_tokens=source.max_tokens,
            ),
        )


def _read_arena(source: TemplateFile, content: bytes, name: str) -> Iterator[tuple[str, Template]]:
    """Read Arena-Hard's .yaml: system_prompt, prompt_template (a text, or a list of one), max_tokens."""
    import yaml

    try:
        table: Any = yaml.safe_load(content.decode("utf-8-sig"))
    except yaml.YAMLError as error:
        raise DataError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict):
        raise TypeError(f"a {type(table).__name__} at the top, expected a table")
    if missing := [key for key in ("system_prompt", "prompt_template") if not table.get(key)]:
        raise DataError(f"{name} has no {' and no '.join(missing)}")
    users = [table["prompt_template"]] if isinstance(table["prompt_template"], str) else table["prompt_template"]
    if len(users) != 1:
        raise DataError(f"{name}: prompt_template has {len(users)} messages, expected one")
    yield (
        "pair",
        Template(
            name=str(table.get("bench_name") or Path(source.local).stem),
            system=table["system_prompt"],
            user=_rename(users[0], _ARENA),
            reading="comparison",
            max_tokens=int(table.get("max_tokens") or source.max_tokens),
        ),
    )


def _rename(text: str, names: Mapping[str, str]) -> str:
    """Return a text with its names in braces replaced by ours, all at once."""
    return re.sub(r"\{(\w+)\}", lambda match: f"{{{names.get(match[1], match[1])}}}", text)
