"""The grammar of claims: one sentence → one record. What the data say to it is harness.study.judge's business.

    WHERE A - B OP NUMBER                       difference in points, paired: overall grlo - base > 5
    WHERE A OP NUMBER                           score in points: math grlo >= 60
    no domain of A drops more than NUMBER       points lost to the base, in every domain
    no task of A drops more than NUMBER         the same, in every task
    transfer ratio of A OP NUMBER               untrained over trained difference
    gap to R closed by A OP NUMBER              a ratio; `on WHERE` after A, default overall
    prompts A / B OP NUMBER                     how many times as many, all stages of training
    gpu_hours A / B OP NUMBER

WHERE is `overall`, a domain or a task; A, B and R are labels of the study; OP is >, >=, < or <=. Labels may hold a
minus or a slash of their own, so the signs between them need spaces around them.
"""

import re
from collections.abc import Callable, Collection
from typing import Literal

from harness.errors import SpecError
from harness.schema import Record
from harness.spec import did_you_mean

Sign = Literal[">", ">=", "<", "<="]


class DifferenceClaim(Record, frozen=True):
    """`WHERE A - B OP NUMBER`, in points."""

    column: str
    first: str
    second: str
    sign: Sign
    number: float


class ScoreClaim(Record, frozen=True):
    """`WHERE A OP NUMBER`, in points."""

    column: str
    label: str
    sign: Sign
    number: float


class NoDropClaim(Record, frozen=True):
    """`no domain of A drops more than NUMBER`, in points, against the base."""

    kind: Literal["domain", "task"]
    label: str
    number: float
    """At least 0."""


class TransferClaim(Record, frozen=True):
    """`transfer ratio of A OP NUMBER`."""

    label: str
    sign: Sign
    number: float


class GapClaim(Record, frozen=True):
    """`gap to R closed by A [on WHERE] OP NUMBER`."""

    reference: str
    label: str
    column: str
    sign: Sign
    number: float


class CostClaim(Record, frozen=True):
    """`prompts A / B OP NUMBER`, or gpu_hours."""

    figure: Literal["prompts", "gpu_hours"]
    first: str
    second: str
    sign: Sign
    number: float


ParsedClaim = DifferenceClaim | ScoreClaim | NoDropClaim | TransferClaim | GapClaim | CostClaim

_NAME = r"(\S+)"
_END = r"(>=|<=|>|<) ?([+-]?\d+(?:\.\d+)?)"
_FORMS: dict[str, tuple[str, str, Callable[..., ParsedClaim]]] = {
    "no domain|task of A drops more than NUMBER": (
        "no domain of grlo drops more than 2",
        rf"no (domain|task) of {_NAME} drops more than (\d+(?:\.\d+)?)",
        lambda kind, a, number: NoDropClaim(kind, a, float(number)),
    ),
    "transfer ratio of A OP NUMBER": (
        "transfer ratio of grlo > 0.5",
        rf"transfer ratio of {_NAME} {_END}",
        lambda a, sign, number: TransferClaim(a, sign, float(number)),
    ),
    "gap to R closed by A [on WHERE] OP NUMBER": (
        "gap to released closed by grlo on math > 0.5",
        rf"gap to {_NAME} closed by {_NAME}(?: on {_NAME})? {_END}",
        lambda r, a, column, sign, number: GapClaim(r, a, column or "overall", sign, float(number)),
    ),
    "prompts|gpu_hours A / B OP NUMBER": (
        "gpu_hours rlvr / grlo > 10",
        rf"(prompts|gpu_hours) {_NAME} / {_NAME} {_END}",
        lambda figure, a, b, sign, number: CostClaim(figure, a, b, sign, float(number)),
    ),
    "WHERE A - B OP NUMBER": (
        "overall grlo - base > 5",
        rf"{_NAME} {_NAME} - {_NAME} {_END}",
        lambda column, a, b, sign, number: DifferenceClaim(column, a, b, sign, float(number)),
    ),
    "WHERE A OP NUMBER": (
        "overall grlo > 50",
        rf"{_NAME} {_NAME} {_END}",
        lambda column, a, sign, number: ScoreClaim(column, a, sign, float(number)),
    ),
}
"""Form → an example, its pattern, and what makes the record of the pattern's groups. The first that fits counts."""


_MARKS = {
    "no domain|task of A drops more than NUMBER": {"no", "drop", "drops"},
    "transfer ratio of A OP NUMBER": {"transfer", "ratio"},
    "gap to R closed by A [on WHERE] OP NUMBER": {"gap", "closed"},
    "prompts|gpu_hours A / B OP NUMBER": {"prompts", "gpu_hours", "/"},
}
"""Form → words that only it has."""


def parse_claim(text: str, labels: Collection[str] = (), columns: Collection[str] = ()) -> ParsedClaim:
    """Read a claim.

    Args:
        text: the sentence; runs of spaces count as one.
        labels: those of the study, elicited base included; empty does not check them.
        columns: tasks and domains of the study; empty does not check them.

    Raises:
        SpecError: if it has none of the forms, or names a label or column that is not there.
    """
    words = " ".join(text.split())
    for _, pattern, make in _FORMS.values():
        if match := re.fullmatch(pattern, words):
            claim = make(*match.groups())
            _check_names(text, claim, labels, columns)
            return claim
    form, example = _nearest_form(words)
    known = f"; labels: {', '.join(labels)}" if labels else ""
    known += f"; WHERE: {', '.join(('overall', *columns))}" if columns else ""
    raise SpecError(
        f'claim "{text}" is not understood; the nearest form is {form}, such as "{example}", with spaces around every '
        f"sign{known}"
    )


def claim_labels(claim: ParsedClaim) -> tuple[str, ...]:
    """Return the labels that a claim names."""
    match claim:
        case DifferenceClaim() | CostClaim():
            return claim.first, claim.second
        case GapClaim():
            return claim.reference, claim.label
    return (claim.label,)


def claim_column(claim: ParsedClaim) -> str | None:
    """Return the column that a claim is about; None if it names none."""
    return claim.column if isinstance(claim, DifferenceClaim | ScoreClaim | GapClaim) else None


def is_satisfied(value: float, sign: Sign, number: float) -> bool:
    """Say whether a number is on the claimed side; nan is on no side."""
    match sign:
        case ">":
            return value > number
        case ">=":
            return value >= number
        case "<":
            return value < number
    return value <= number


def _nearest_form(words: str) -> tuple[str, str]:
    """Return the form whose marking word the text has, else that of a difference, with its example."""
    found = (form for form, marks in _MARKS.items() if marks & set(words.split()))
    form = next(found, "WHERE A - B OP NUMBER")
    return form, _FORMS[form][0]


def _check_names(text: str, claim: ParsedClaim, labels: Collection[str], columns: Collection[str]) -> None:
    names = claim_labels(claim)
    if len(set(names)) < len(names):
        raise SpecError(f'claim "{text}" names {names[0]} on both sides; expected two checkpoints')
    for label in names:
        if labels and label not in labels:
            pairs = (f"{a} {sign} {b}" for a in labels for b in labels for sign in "-/" if f"{a}{sign}{b}" == label)
            if spaced := next(pairs, None):
                raise SpecError(f'claim "{text}": write {spaced}, with spaces around the sign')
            hint = did_you_mean(label, labels) or f"; labels: {', '.join(labels)}"
            raise SpecError(f'claim "{text}" names {label}, which is no checkpoint of the study{hint}')
    column = claim_column(claim)
    if column is not None and columns and column not in ("overall", *columns):
        hint = did_you_mean(column, columns) or f"; known: {', '.join(('overall', *columns))}"
        raise SpecError(f'claim "{text}" names {column}, which is neither overall nor a domain or task{hint}')
