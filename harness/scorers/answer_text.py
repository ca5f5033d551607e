r"""Finds the answer in the text of a solution: the last \boxed{…}, else the last "answer is …", else perhaps a number.

Says nothing about whether the answer is right.
"""

import re
from typing import Literal

Fallback = Literal["none", "last_number"]
"""What counts as an answer where the text neither boxes nor states one."""

TEXT_LIMIT = 1 << 18
"""Only this many characters at the end of a text are searched."""

_STATEMENT_LIMIT = 600
"""An answer statement is looked at this far."""

_BOX_TOKEN = re.compile(
    r"(?P<open>\\(?:boxed|fbox|framebox)\s{0,8}\{)"
    r"|\\boxed\s{0,8}(?P<bare>[+\-]?\.?\d[\w.,/+\-]{0,38}|[A-Z](?!\w))"
    r"|(?P<brace>(?<!\\)[{}])"
)

_STATEMENT = re.compile(
    r"####"
    r"|\banswer\b(?:\s+(?:to|for|of)\b[^.\n]{1,80}?)?[\s*_]{0,4}(?:\s+(?:is|was|will\s+be|would\s+be)\b|:|=)",
    re.IGNORECASE,
)

_LIST_LINK = re.compile(r"[\s,;.]*(?:,|;|\band\b|\bor\b)[\s,;]*", re.IGNORECASE)
"""What stands between the members of one answer written in several pieces: `\boxed{1}` and `\boxed{3}`."""

_LINK_NOISE = re.compile(r"\\(?:quad|qquad|[,;!:()\[\] ])|[$~&]|\\text\s?\{|\}")

_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)

_SENTENCE_END = re.compile(r"\.(?=\s|\*|$)|\n|\bI hope\b")

NUMBER = re.compile(
    r"(?:(?<![\w)\]}])-)?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?|(?:(?<![\w)\]}])-)?(?<!\d)\.\d+"
)
"""A number as people write it in prose; a minus after a digit or a bracket is an operation, not a sign."""


def extract_answer(text: str, fallback: Fallback) -> str | None:
    """Return the text of the final answer, or None if the solution does not give one.

    A box that is never closed was cut off: it and what follows are ignored.
    """
    text = text[-TEXT_LIMIT:]
    boxes, end = _closed_boxes(text)
    if boxes:
        return _joined_boxes(text, boxes)
    text = text[:end]
    statement = _last_statement(text)
    if fallback == "none":
        return None if statement is None else _stated_answer(statement) or None
    return (statement and _stated_number(statement)) or last_number(text)


def last_number(text: str) -> str | None:
    """Return the last number of a text, without separators and currency."""
    for line in reversed(text.split("\n")):  # no number goes over a line's end, so the lines before are left unread
        if numbers := NUMBER.findall(line):
            return _plain(numbers[-1])
    return None


def _closed_boxes(text: str) -> tuple[list[tuple[int, int, str]], int]:
    """Return (start, end, content) of each closed box that holds no other, and where the first unclosed one starts."""
    boxes: list[tuple[int, int, str]] = []
    if "box" not in text:
        return boxes, len(text)
    open_braces: list[tuple[int, int] | None] = []  # (start, content start) for a box, None for another brace
    for token in _BOX_TOKEN.finditer(text):
        if token["bare"]:
            boxes.append((token.start(), token.end(), token["bare"].rstrip(".,")))
        elif token["open"]:
            open_braces.append((token.start(), token.end()))
        elif token["brace"] == "{":
            open_braces.append(None)
        elif open_braces:
            box = open_braces.pop()
            if box is not None and not (boxes and boxes[-1][0] > box[0]):
                boxes.append((box[0], token.end(), text[box[1] : token.start()].strip()))
    unclosed = next((box[0] for box in open_braces if box is not None), len(text))
    return [box for box in boxes if box[2]], unclosed


def _joined_boxes(text: str, boxes: list[tuple[int, int, str]]) -> str:
    """Return the last box, with those before it that are members of the same list."""
    members = [boxes[-1][2]]
    start = boxes[-1][0]
    for box_start, box_end, content in reversed(boxes[:-1]):
        if start - box_end > 60 or not _LIST_LINK.fullmatch(_LINK_NOISE.sub(" ", text[box_end:start])):
            break
        start = box_start
        if content not in members:
            members.append(content)
    return ", ".join(reversed(members))


def _last_statement(text: str) -> str | None:
    """Return what follows the last announcement of an answer."""
    end = max((match.end() for match in _STATEMENT.finditer(text)), default=None)
    return None if end is None else text[end : end + _STATEMENT_LIMIT].lstrip(" \t\r\n:*_")


def _stated_answer(statement: str) -> str:
    """Return the formula (or the list of formulas) that a statement opens with, else its first sentence."""
    first = _FORMULA.search(statement)
    sentence = _SENTENCE_END.split(statement, maxsplit=1)[0]
    if first is None or first.start() > len(sentence):
        return sentence.strip(" *_`")
    members, end = [_formula(first)], first.end()
    for match in _FORMULA.finditer(statement, end):
        if not _LIST_LINK.fullmatch(statement, end, match.start()):
            break
        members.append(_formula(match))
        end = match.end()
    return ", ".join(members)


def _formula(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()


def _stated_number(statement: str) -> str | None:
    """Return the number that a statement gives: of its first line, the first one after the last equals sign."""
    line = statement.split("\n", 1)[0].rsplit("=", 1)[-1]
    match = NUMBER.search(line)
    return _plain(match[0]) if match else None


def _plain(number: str) -> str:
    return number.replace("$", "").replace(",", "")
