"""The grammar of claims: each form as a record, and one clear line for what is none."""

import pytest

from harness.errors import SpecError
from harness.study.claims import (
    CostClaim,
    DifferenceClaim,
    GapClaim,
    NoDropClaim,
    ParsedClaim,
    ScoreClaim,
    TransferClaim,
    is_satisfied,
    parse_claim,
)
from harness.study.spec import parse_study

LABELS = ("base", "grlo", "rlvr-4b", "released")


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("overall grlo - base > 5", DifferenceClaim("overall", "grlo", "base", ">", 5)),
        ("  math   rlvr-4b - grlo  <= -1.5 ", DifferenceClaim("math", "rlvr-4b", "grlo", "<=", -1.5)),
        ("gsm8k grlo - base >0", DifferenceClaim("gsm8k", "grlo", "base", ">", 0)),
        ("overall grlo >= 63.1", ScoreClaim("overall", "grlo", ">=", 63.1)),
        ("no domain of grlo drops more than 2", NoDropClaim("domain", "grlo", 2)),
        ("no task of rlvr-4b drops more than 0.5", NoDropClaim("task", "rlvr-4b", 0.5)),
        ("transfer ratio of grlo > 0.5", TransferClaim("grlo", ">", 0.5)),
        ("gap to released closed by grlo > 0.5", GapClaim("released", "grlo", "overall", ">", 0.5)),
        ("gap to released closed by grlo on math < 1", GapClaim("released", "grlo", "math", "<", 1)),
        ("prompts rlvr-4b / grlo >= 46", CostClaim("prompts", "rlvr-4b", "grlo", ">=", 46)),
        ("gpu_hours rlvr-4b / grlo > 67.5", CostClaim("gpu_hours", "rlvr-4b", "grlo", ">", 67.5)),
    ],
)
def test_forms(text: str, claim: ParsedClaim) -> None:
    """Each form of the module's first page."""
    assert parse_claim(text, LABELS, ("math", "gsm8k")) == claim
    assert parse_claim(text) == claim


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("overall grlo - base = 5", "WHERE A - B OP NUMBER"),
        ("grlo is better than base", "WHERE A - B OP NUMBER"),
        ("no domain of grlo drops by 2", "no domain|task of A drops more than NUMBER"),
        ("no task of grlo drops more than -2", "no domain|task of A drops more than NUMBER"),
        ("transfer ratio grlo > 1", "transfer ratio of A OP NUMBER"),
        ("gap closed by grlo > 0.5", "gap to R closed by A [on WHERE] OP NUMBER"),
        ("prompts rlvr-4b/grlo > 46x", "prompts|gpu_hours A / B OP NUMBER"),
        ("", "WHERE A - B OP NUMBER"),
    ],
)
def test_what_is_no_claim_gets_the_nearest_form(text: str, form: str) -> None:
    """In one line, with an example, the labels and the columns."""
    with pytest.raises(SpecError) as caught:
        parse_claim(text, LABELS, ("math",))
    message = str(caught.value)
    assert f"nearest form is {form}" in message
    assert "labels: base, grlo, rlvr-4b, released; WHERE: overall, math" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("overall grol - base > 5", r"names grol, which is no checkpoint of the study \(did you mean grlo\?\)"),
        ("overall grlo - xyz > 5", "names xyz, .*labels: base, grlo, rlvr-4b, released"),
        (
            "mathe grlo - base > 5",
            r"names mathe, which is neither overall nor a domain or task \(did you mean math\?\)",
        ),
        ("overall rlvr-4b-grlo > 5", "write rlvr-4b - grlo, with spaces around the sign"),
        ("prompts grlo/base > 5", "write grlo / base, with spaces around the sign"),
        ("overall grlo - grlo > 5", "names grlo on both sides"),
    ],
)
def test_names_must_be_of_the_study(text: str, message: str) -> None:
    """A misspelt label or column is an error, with the nearest one."""
    with pytest.raises(SpecError, match=message):
        parse_claim(text, LABELS, ("math",))


def test_a_study_file_is_refused_for_a_claim_that_is_none() -> None:
    """Before anything is run; the elicited base may be named where the study has one."""
    checkpoints = [
        {"label": "base", "role": "base", "ckpt": "lab/base"},
        {"label": "grlo", "role": "candidate", "ckpt": "g"},
    ]
    data = {
        "name": "s",
        "tasks": ["lab"],
        "checkpoints": checkpoints,
        "claims": [{"claim": "overall grlo - base-elicited > 5"}],
    }
    with pytest.raises(SpecError, match=r"study.toml: claim .* names base-elicited, which is no checkpoint"):
        parse_study(data, "study.toml")
    checkpoints[0] |= {"elicit": True}  # type: ignore[dict-item]
    assert len(parse_study(data, "study.toml").claims) == 1


@pytest.mark.parametrize(
    ("value", "sign", "satisfied"),
    [(5, ">", False), (5, ">=", True), (5, "<", False), (5, "<=", True), (5.1, ">", True), (float("nan"), "<", False)],
)
def test_sides(value: float, sign: str, satisfied: bool) -> None:
    """The number itself is on the claimed side of >= and <=; nan is on none."""
    assert is_satisfied(value, sign, 5) is satisfied  # type: ignore[arg-type]
