"""Labels of a training file that its text contradicts: a data set's name on prompts that are something else.

What a prompt looks like is decided by a few declared patterns, never by a model; their rates on data sets known to be
mathematics, code or chat stand in docs/audit.md. A finding is counts; it contradicts where fewer than half fit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.audit.findings import LabelFinding
from harness.audit.prompts import Prompt, look_up

Domain = Literal["mathematics", "code", "chat"]

KNOWN_LABELS: dict[str, tuple[Domain, bool]] = {
    "lighteval/math": ("mathematics", True),
    "digitallearninggmbh/math-lighteval": ("mathematics", True),
    "hendrycks/competition_math": ("mathematics", True),
    "hendrycks_math": ("mathematics", True),
    "eleutherai/hendrycks_math": ("mathematics", True),
    "huggingfaceh4/math-500": ("mathematics", True),
    "math500": ("mathematics", True),
    "math-500": ("mathematics", True),
    "math_dapo": ("mathematics", True),
    "openai/gsm8k": ("mathematics", True),
    "gsm8k": ("mathematics", True),
    "aime": ("mathematics", True),
    "aime24": ("mathematics", True),
    "aime25": ("mathematics", True),
    "aime2024": ("mathematics", True),
    "aime2025": ("mathematics", True),
    "amc": ("mathematics", True),
    "amc23": ("mathematics", True),
    "olympiadbench": ("mathematics", True),
    "minerva_math": ("mathematics", True),
    "numina": ("mathematics", True),
    "numina_math": ("mathematics", True),
    "ai-mo/numinamath-cot": ("mathematics", True),
    "ai-mo/numinamath-tir": ("mathematics", True),
    "orca_math": ("mathematics", True),
    "deepscaler": ("mathematics", True),
    "simplelr_math": ("mathematics", True),
    "math": ("mathematics", True),
    "maths": ("mathematics", True),
    "mathematics": ("mathematics", True),
    "algebra": ("mathematics", True),
    "intermediate algebra": ("mathematics", True),
    "prealgebra": ("mathematics", True),
    "precalculus": ("mathematics", True),
    "geometry": ("mathematics", True),
    "number theory": ("mathematics", True),
    "counting & probability": ("mathematics", True),
    "humaneval": ("code", False),
    "openai_humaneval": ("code", False),
    "openai/openai_humaneval": ("code", False),
    "mbpp": ("code", False),
    "google-research-datasets/mbpp": ("code", False),
    "livecodebench": ("code", False),
    "apps": ("code", False),
    "taco": ("code", False),
    "codecontests": ("code", False),
    "code_contests": ("code", False),
    "codeforces": ("code", False),
    "leetcode": ("code", False),
    "code": ("code", False),
    "coding": ("code", False),
    "programming": ("code", False),
    "alpaca": ("chat", False),
    "alpaca_eval": ("chat", False),
    "sharegpt": ("chat", False),
    "wildchat": ("chat", False),
    "allenai/wildchat": ("chat", False),
    "ultrafeedback": ("chat", False),
    "ultrachat": ("chat", False),
    "lmsys-chat-1m": ("chat", False),
    "chat": ("chat", False),
    "general": ("chat", False),
    "general_chat": ("chat", False),
}
"""Label in lower case → its domain, and whether its prompts come with a reference answer."""

ANSWER_FIELDS = ("reward_model.ground_truth", "ground_truth", "answer", "final_answer", "solution", "target")

_MOST_VALUES = 50
"""Different values of a field that is a label."""
_LONGEST_VALUE = 60
_DEEPEST = 3
_NUMBER = re.compile(
    r"\d+(?:[.,]\d+)*|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|half|third"
    r"|quarter|twice|double|dozen|hundred|thousand|once)s?\b",
    re.I,
)
_QUESTION = re.compile(
    r"\bhow (?:many|much|long|far|old|fast|tall|high|often|big|large)\b"
    r"|\bwhat(?:'s| is| was| are| were| will| would| percent\w*| fraction| number| time| price| amount| does| must)\b"
    r"|\b(?:find|calculate|compute|determine|evaluate|simplify|solve|prove|expand|factor|express|convert)\b"
    r"|\bwhich of the following\b",
    re.I,
)
_FORMULA = re.compile(
    # $…$ of numbers, operators, commands and names of one or two letters, so that "$5 a day, or $20" is none
    r"\$(?=[^$]*[\d\\=^_+<>()])(?:\\[a-zA-Z]+|[^$a-zA-Z\\]|\\[^a-zA-Z]|(?<![a-zA-Z])[a-zA-Z]{1,2}(?![a-zA-Z]))+\$"
    r"|\$[a-zA-Z]\$|\[asy\]"
    r"|\\(?:[dt]?frac|sqrt|cdot|times|sum|int|leq?|geq?|boxed|begin\{|pi|angle|triangle|pmod|overline)(?![a-zA-Z])"
)
_EQUATION = re.compile(
    r"\d *[-+*/^=<>×÷] *\d|\b[a-zA-Z] *[=<>≤≥] *-?\d|\b[a-z]\^\d|\b[a-z]\([a-z]\) *="
    r"|\b(?:integers?|digits?|divisible|primes?|polynomial|perimeter|radius|probability|square (?:root|feet)|cubic)\b"
)
_CODE = re.compile(
    r"```|^[ \t]*(?:def \w+\(|class \w+ *[:({]|import \w|from [\w.]+ import|#include|public (?:static|class))"
    r"|^[ \t]*function \w*\("
    r"|\b(?:write|create|implement|develop|build|complete|fix|debug|optimi[sz]e|code)\b[^.?!\n]{0,40}"
    r"\b(?:python|java|javascript|typescript|c\+\+|c#|sql|rust|golang|bash|php|ruby|matlab|code|function|script|program"
    r"|algorithm|query|class|regex)\b"
    r"|\b(?:in|using) (?:python|java|javascript|typescript|c\+\+|c#|sql|rust|php|ruby|matlab)\b",
    re.I | re.M,
)


def looks_like_mathematics(text: str) -> bool:
    """Return whether a text has a formula, or asks something (how many, find, prove, …) of numbers or mathematics."""
    if _FORMULA.search(text):
        return True
    if not _QUESTION.search(text):
        return False
    return bool(_EQUATION.search(text)) or len(_NUMBER.findall(text)) >= 2


def looks_like_code(text: str) -> bool:
    """Return whether a text has a code fence or a definition, or asks for a program."""
    return bool(_CODE.search(text))


@dataclass
class _Counts:
    """What the prompts with one label show."""

    prompts: int = 0
    mathematics: int = 0
    code: int = 0
    answer_fields: int = 0
    """Prompts whose row has a field for a reference answer."""
    answers: int = 0
    """Prompts whose reference answer is not empty."""


@dataclass
class LabelTally:
    """Counts, prompt by prompt, what stands under each value of each field that may be a label."""

    _fields: dict[str, dict[str, _Counts] | None] = field(default_factory=dict)
    """None for a field with too many values, or too long ones, to be a label."""

    def add(self, prompt: Prompt) -> None:
        """Count one prompt."""
        labels = [(name, value) for name, value in _short_fields(prompt.fields) if self._is_label(name, value)]
        if not labels:
            return
        answers = [look_up(prompt.fields, name) for name in ANSWER_FIELDS]
        shown = _Counts(
            prompts=1,
            mathematics=looks_like_mathematics(prompt.text),
            code=looks_like_code(prompt.text),
            answer_fields=any(answer is not None for answer in answers),
            answers=any(answer is not None and answer not in ("", [], {}) for answer in answers),
        )
        for name, value in labels:
            counts = self._fields[name]
            assert counts is not None, "a field that is no label was left out above"
            _add(counts.setdefault(value, _Counts()), shown)

    def _is_label(self, name: str, value: str) -> bool:
        counts = self._fields.setdefault(name, {})
        if counts is None:
            return False
        if len(value) <= _LONGEST_VALUE and (value in counts or len(counts) < _MOST_VALUES):
            return True
        self._fields[name] = None
        return False

    def findings(self) -> tuple[LabelFinding, ...]:
        """Return what was found under each label that names a known data set or domain."""
        return tuple(
            _judge(name, value, counts)
            for name, values in self._fields.items()
            for value, counts in (values or {}).items()
            if value.lower() in KNOWN_LABELS
        )


def _add(counts: _Counts, shown: _Counts) -> None:
    counts.prompts += shown.prompts
    counts.mathematics += shown.mathematics
    counts.code += shown.code
    counts.answer_fields += shown.answer_fields
    counts.answers += shown.answers


def _short_fields(row: Mapping[str, Any], prefix: str = "", depth: int = 1) -> list[tuple[str, str]]:
    """Return a row's string fields, nested ones under dotted names."""
    found = []
    for name, value in row.items():
        if isinstance(value, str) and value:
            found.append((prefix + name, value))
        elif isinstance(value, Mapping) and depth < _DEEPEST:
            found += _short_fields(value, f"{prefix}{name}.", depth + 1)
    return found


def _judge(name: str, value: str, counts: _Counts) -> LabelFinding:
    domain, has_answer = KNOWN_LABELS[value.lower()]
    says: str = domain
    half = counts.prompts / 2
    if domain == "chat":
        found = f"{counts.mathematics:,} of {counts.prompts:,} look like mathematics, {counts.code:,} like code"
        contradicts = max(counts.mathematics, counts.code) > half
    else:
        fitting = counts.mathematics if domain == "mathematics" else counts.code
        found = f"{fitting:,} of {counts.prompts:,} look like {domain}"
        contradicts = fitting < half
    if has_answer:
        says += " with a reference answer"
        if counts.answer_fields:
            found += f"; {counts.answers:,} have a reference answer"
            contradicts = contradicts or counts.answers < half
        else:
            found += "; the file has no field for reference answers"
    return LabelFinding(name, value, counts.prompts, says, found, contradicts)
