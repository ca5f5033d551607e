"""Why an answer in the lab world failed, and what it would have been worth had it stopped after its first answer.

Names one cause per failed answer, the first that applies; it reads the text only and grades nothing.
"""

import re
from typing import Any, Literal, get_args

from trainers.lab.problem import Domain

Cause = Literal["right", "no_end", "evasive", "taken_back", "off_topic", "format", "wrong"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

_LEAK = re.compile(r"\n\s*(?:User|Question|Assistant|Answer):")
_TAKEN_BACK = re.compile(r"\s*(?:Wait, no\.|Hmm, that is not right\.|Sorry, I changed my mind\.)")
_EVASIVE = re.compile(r"I am not sure|I do not know|It depends on|look that up|Come back later|ask someone else")
_BLOCK = re.compile(r"```python\n.*?\n```", re.DOTALL)
_FIRST_RESULT = (re.compile(r"answer is (-?\d+)"), re.compile(r"= (-?\d+)"), re.compile(r"(-?\d+)"))


def first_answer(domain: Domain, text: str) -> str:
    """Return the text up to where its first answer is complete: what it would have been, had it stopped there."""
    ends = [match.start() for pattern in (_LEAK, _TAKEN_BACK) if (match := pattern.search(text))]
    text = text[: min(ends, default=len(text))]
    if domain == "code":
        block = _BLOCK.search(text)
        return block[0] if block else text
    if domain == "math":
        match = next((found for pattern in _FIRST_RESULT if (found := pattern.search(text))), None)
        return f"The answer is {match[1]}." if match else text
    return text


def find_cause(domain: Domain, row: dict[str, Any], text: str, ended: bool, value: float, first_value: float) -> Cause:
    """Return the first cause that applies to an answer worth `value`, whose first answer is worth `first_value`."""
    if value == 1.0:
        return "right"
    if not ended or _LEAK.search(text):
        return "no_end"
    if _EVASIVE.search(text):
        return "evasive"
    if _TAKEN_BACK.search(text):
        return "taken_back"
    if _is_off_topic(domain, row, text):
        return "off_topic"
    return "format" if _is_misformatted(domain, row, text, first_value) else "wrong"


def _is_off_topic(domain: Domain, row: dict[str, Any], text: str) -> bool:
    if domain == "chat":
        return not re.search(rf"\b{row['checks']['subject']}\b", text, re.IGNORECASE)
    if domain == "code":
        return "def " in text and f"def {row['entry_point']}(" not in text
    expression = re.search(r"(\d+) [-+*] (\d+)", text)
    return expression is not None and not set(expression.groups()) <= set(re.findall(r"\d+", row["question"]))


def _is_misformatted(domain: Domain, row: dict[str, Any], text: str, first_value: float) -> bool:
    if domain == "chat":
        statements = [_bare(part, row) for part in re.split(r"(?<=[.!?])\s+|\n+", text)]
        asked = all(word in text.lower() for word in row["checks"]["asked"])
        return asked and all(item in row["checks"]["facts"] for item in statements)
    if domain == "code":
        return "def " not in text
    return first_value == 1.0 or re.search(r"\d", text) is None


def _bare(sentence: str, row: dict[str, Any]) -> str:
    """Return a sentence without bullet, opener, closer and full stop, as the row's facts are written."""
    text = re.sub(r"^(- )?((Sure|Well|Yes|Okay), )?", "", sentence)
    text = re.sub(r"(, (my friend|as you know|I think))?[.!?]*$", "", text)
    return text.lower().strip()
