r"""Decides with math-verify whether two mathematical answers are equal. Runs in a worker process, never in the parent.

math-verify's own time limits are off: they are alarms whose exceptions sympy may swallow, and a worker that hangs is
killed anyway. One limit, the pool's, decides.
"""

import re
from typing import Any

from harness.scorers.answer_match import RELATIVE_TOLERANCE

ROUNDING_PLACES = 6
NUMERIC_PRECISION = 15
EVALUATION_NOISE = 1e-20
"""An exact zero comes out this small when it is evaluated to 30 digits."""

_DERIVATIVE = re.compile(
    r"\\frac\s?\{\s*d\s*(?:\^\{?(?P<order>\d)\}?\s*)?(?P<function>\\?[A-Za-z]+(?:_\{?[A-Za-z0-9]+\}?)?)\s*\}"
    r"\s*\{\s*d\s*(?P<variable>[A-Za-z])\s*(?:\^\{?\d\}?)?\s*\}"
)
_NAMED = re.compile(r"\s*(?P<name>[A-Za-z])\s*=(?P<value>[^=,<>]+)")
_PERCENT = re.compile(r"\s*(?:\\?%|\\text\s?\{\s*percent\s*\}|\bpercent\b|\bpct\b)\s*$")

_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<!\\)\$", ""),
        (r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\w.])", r"\1\\times 10^{\2}"),
        (r"\bnp\.(?=[a-z])", r"\\"),  # Minerva writes np.arcsin(…)
        (r"(?<=\d)\.(?=/)", ""),  # … and -1./3
        (r"(?<![A-Za-z\\])E(?=_)", r"\\mathcal{E}"),  # E is Euler's number to the parser, and takes no index
        (r"_\{?\\(odot|max|min)(?![A-Za-z])\s*\}?", r"_{\1}"),
        (r"(?<=[A-Za-z])'(?!')", r"^{\\prime}"),
        (r"\.\s*$", ""),
    )
)
"""Notation of the benchmarks that math-verify's parser does not know, applied to both sides alike."""


def judge(payload: dict[str, Any]) -> dict[str, Any]:
    """Return whether `answer` equals `target`, and whether each could be parsed.

    Args:
        payload: `target` and `answer`, and if wanted `tolerance` (absolute) and `relative` (a share of the target).
    """
    target, target_percent = _without_percent(payload["target"])
    answer, answer_percent = _without_percent(payload["answer"])
    target, answer = _without_name(target, answer)
    targets, answers = _parse(target), _parse(answer)
    equal = _equal(targets, answers, payload)
    if not equal and target_percent and not answer_percent:
        equal = _equal(_hundredths(targets), answers, payload)
    elif not equal and answer_percent and not target_percent:
        equal = _equal(targets, _hundredths(answers), payload)
    return {"equal": equal, "target_parsed": _is_parsed(targets), "answer_parsed": _is_parsed(answers)}


def _without_percent(text: str) -> tuple[str, bool]:
    text = text.strip().strip("$")
    stripped = _PERCENT.sub("", text)
    return stripped, stripped != text


def _without_name(target: str, answer: str) -> tuple[str, str]:
    """Drop a name such as N from N = n and from an answer that repeats it.

    math-verify folds case, so N = n would say nothing, and any answer about N would satisfy it.
    """
    named = _NAMED.fullmatch(target)
    if named is None or named["name"].lower() not in named["value"].lower():
        return target, answer
    repeated = _NAMED.fullmatch(answer)
    if repeated is not None and repeated["name"] == named["name"]:
        return named["value"], repeated["value"]
    return named["value"], answer


def _parse(text: str) -> list[Any]:
    """Return [expression, text], or [text] if the text is not mathematics that math-verify knows.

    The text is given as a box, and only that box is read: no number is picked out of a text that cannot be parsed.
    """
    from math_verify import LatexExtractionConfig, parse

    if not _is_balanced(text):
        return [text]
    text = _DERIVATIVE.sub(_name_derivative, text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    config = LatexExtractionConfig(try_extract_without_anchor=False, boxed_match_priority=0)
    parsed: list[Any] = parse(
        f"\\boxed{{{text}}}", extraction_config=[config], extraction_mode="first_match", parsing_timeout=None
    )
    return parsed


def _is_balanced(text: str) -> bool:
    """An unmatched brace would end the box early, and half an answer would be judged."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _name_derivative(match: re.Match[str]) -> str:
    """Make a derivative one symbol: sympy takes dv/dt of a bare symbol v as 0, and drops the term."""
    name = re.sub("[^A-Za-z0-9]", "", match["function"]) + match["variable"] + (match["order"] or "")
    return f"\\mathcal{{D}}_{{{name}}}"


def _is_parsed(candidates: list[Any]) -> bool:
    return any(not isinstance(candidate, str) for candidate in candidates)


def _equal(targets: list[Any], answers: list[Any], payload: dict[str, Any]) -> bool:
    from math_verify import verify

    numbers = _as_number(targets), _as_number(answers)
    if None not in numbers and _within(*numbers, payload):
        return True
    if not verify(targets, answers, ROUNDING_PLACES, NUMERIC_PRECISION, strict=True, timeout_seconds=None):
        return False
    return None in numbers or _close(*numbers)


def _hundredths(candidates: list[Any]) -> list[Any]:
    from sympy import Expr

    return [candidate / 100 for candidate in candidates if isinstance(candidate, Expr) and candidate.is_number]


def _as_number(candidates: list[Any]) -> Any:
    """Return the real number that a side stands for, at 30 digits, or None."""
    from sympy import Expr

    for candidate in candidates:
        if isinstance(candidate, Expr) and candidate.is_number:
            try:
                number = candidate.evalf(30)
            except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
                return None  # no number: 1/0, and what sympy cannot evaluate
            return number if number.is_Float or number.is_Rational else None
    return None


def _within(target: Any, answer: Any, payload: dict[str, Any]) -> bool:
    distance = abs(target - answer)
    tolerance, relative = payload.get("tolerance"), payload.get("relative")
    return bool(
        (tolerance is not None and distance <= tolerance)
        or (relative is not None and distance <= relative * abs(target))
    )


def _close(target: Any, answer: Any) -> bool:
    """Veto what math-verify calls equal only because both numbers round to the same six places."""
    if target == 0:
        return bool(abs(answer) < EVALUATION_NOISE)
    return bool(abs(target - answer) <= float(RELATIVE_TOLERANCE) * max(abs(target), abs(answer)))
