"""Settles cheaply whether an answer equals its target: equal text, or two plain numbers. No computer algebra here.

Three verdicts: True, False, or None where it takes mathematics to tell.
"""

import re
from fractions import Fraction
from typing import NamedTuple

ABSOLUTE_TOLERANCE = Fraction(1, 2_000_000)
"""Decimals that agree when rounded to six places are equal, as in math-verify …"""
RELATIVE_TOLERANCE = Fraction(1, 100_000)
"""… but only if they also agree in relative terms: 3e-10 and 0 round alike."""

_MAX_EXPONENT = 400
_MAX_CHARACTERS = 4000
"""Of a plain number. Answers are shorter anyway; Python converts no text of more than 4,300 digits."""

_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\!|\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\displaystyle(?![a-zA-Z])|\\limits(?![a-zA-Z])", ""),
        (r"\\[,;:> ]|\\q?quad(?![a-zA-Z])|~", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox)\s?\{([^{}]*)\}", r"\1"),
        (r"(\\[a-zA-Z]+)\s+(?![a-zA-Z])", r"\1"),
        (r"\s*([^\w\s.])\s*", r"\1"),
        (r"\s+", " "),
    )
)

_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"))

_BRACKETED = re.compile(r"\([^()\[\],;]+\)")
"""Brackets around one thing, as in (C) and (073): no pair, no interval."""

_INTEGER = r"(?:\d{1,3}(?:(?:,|\{,\})\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)\\?\$?(?P<sign2>[+-]?)(?:\\frac\{{(?P<top>-?\d+)\}}\{{(?P<bottom>\d+)\}}"
    rf"|(?P<value>{_INTEGER}?(?:\.\d*)?)(?:/(?P<divisor>\d+)|(?:[eE]|(?:\\times|\\cdot|[*×])10\^)(?P<exponent>\{{?[+-]?\d+\}}?))?)"
    r"(?P<percent>\\?%| ?percent| ?pct)?(?:\^\{?\\circ\}?|°)?\.?",
    re.ASCII,
)

_BASED_NUMBER = re.compile(r"(?P<digits>\d[0-9A-Za-z]{0,80})_\{?(?P<base>\d{1,3})\}?")
"""A number with its base, 4210_5 or 2C_{16}: math-verify would leave the base out."""

_QUANTITY = re.compile(
    r"(?:[a-z]{3,20} ){0,3}(?P<number>\\?\$?-?\d[\d,]*(?:\.\d+)?)(?: [a-z]{2,20}|[ /](?:per|a|an|of|in|the)\b){1,6}",
    re.IGNORECASE | re.ASCII,
)

_NOT_UNITS = re.compile(
    r"\b(?:pi|sqrt|sin|cos|tan|sec|csc|cot|log|ln|exp|mod|div|inf|infinity|nan|and|or|not|to|plus|minus|negative|times|over"
    r"|by|divided|squared|cubed|factorial|choose|half|third|quarter|hundred|thousand|million|billion|trillion|dozen|score"
    r"|percent|pct|less|more|than|between|except|point|root|power)\b",
    re.IGNORECASE,
)
"""Words that would change the number they stand beside."""


class PlainNumber(NamedTuple):
    """A number written without arithmetic."""

    value: Fraction
    is_decimal: bool
    """Written with a decimal point, so perhaps rounded."""
    is_percent: bool


def normalise(answer: str) -> str:
    """Return the answer without what cannot change its meaning: spacing, delimiters, font and size commands."""
    answer = answer.strip()
    if answer.isascii() and answer.isdigit():
        return answer
    for opening, closing in _DELIMITERS:
        inner = answer[len(opening) : -len(closing)]
        if answer.startswith(opening) and answer.endswith(closing) and inner and closing not in inner:
            answer = inner
    for pattern, replacement in _REWRITES:
        answer = pattern.sub(replacement, answer)
    answer = answer.strip().removesuffix(".")
    return answer[1:-1] if _BRACKETED.fullmatch(answer) else answer


def parse_number(text: str) -> PlainNumber | None:
    """Return the number that a normalised text consists of, or None if it is anything else."""
    match = _NUMBER.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None or (match["sign"] and match["sign2"]):
        return None
    value = _value(match)
    if value is None:
        return None
    negative = "-" in (match["sign"], match["sign2"])
    is_decimal = "." in (match["value"] or "") and match["divisor"] is None
    return PlainNumber(-value if negative else value, is_decimal, match["percent"] is not None)


def _value(match: re.Match[str]) -> Fraction | None:
    if match["top"] is not None:
        return Fraction(int(match["top"]), int(match["bottom"])) if int(match["bottom"]) else None
    digits = re.sub(r"[{,} ]", "", match["value"])
    if not any(character.isdigit() for character in digits):
        return None
    value = Fraction(int(digits)) if digits.isdigit() else Fraction(digits.removesuffix("."))
    if match["divisor"] is not None:
        return value / int(match["divisor"]) if int(match["divisor"]) else None
    if match["exponent"] is None:
        return value
    exponent = int(match["exponent"].strip("{}"))
    return value * Fraction(10) ** exponent if abs(exponent) <= _MAX_EXPONENT else None


def parse_quantity(text: str) -> PlainNumber | None:
    """Return the number of a phrase such as `18 dollars per day`, or None if any other reading is possible."""
    match = _QUANTITY.fullmatch(text)
    if match is None or _NOT_UNITS.search(text):
        return None
    return parse_number(match["number"])


def same_number(target: PlainNumber, answer: PlainNumber, tolerance: float | None, relative: float | None) -> bool:
    """Compare two numbers; a percent sign on one side only may mean a share or be left out."""
    pairs = [(target.value, answer.value)]
    if target.is_percent and not answer.is_percent:
        pairs.append((target.value / 100, answer.value))
    if answer.is_percent and not target.is_percent:
        pairs.append((target.value, answer.value / 100))
    rounded = target.is_decimal or answer.is_decimal
    return any(_close(wanted, given, rounded, tolerance, relative) for wanted, given in pairs)


def _close(wanted: Fraction, given: Fraction, rounded: bool, tolerance: float | None, relative: float | None) -> bool:
    distance = abs(wanted - given)
    if distance == 0:
        return True
    if tolerance is not None and distance <= Fraction(tolerance):
        return True
    if relative is not None and distance <= Fraction(relative) * abs(wanted):
        return True
    return rounded and distance <= min(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * max(abs(wanted), abs(given)))


def _same_based_number(target: re.Match[str], answer: str) -> bool | None:
    """The digits must agree, and the base where it is given."""
    if match := _BASED_NUMBER.fullmatch(answer):
        return match.groups() == target.groups()
    return True if answer == target["digits"] else None


def match_quickly(
    target: str, answer: str, *, tolerance: float | None = None, relative: float | None = None
) -> bool | None:
    """Return the verdict where text or plain numbers decide it, else None.

    Args:
        target: The reference answer.
        answer: What was extracted.
        tolerance: Largest absolute difference of numbers that still counts as equal.
        relative: Largest difference as a share of the target.
    """
    wanted, given = normalise(target), normalise(answer)
    if wanted and wanted == given:
        return True
    if (based := _BASED_NUMBER.fullmatch(wanted)) is not None:
        return _same_based_number(based, given)
    target_number = parse_number(wanted)
    answer_number = target_number and (parse_number(given) or parse_quantity(given))
    if target_number is None or answer_number is None:
        return None
    return same_number(target_number, answer_number, tolerance, relative)
