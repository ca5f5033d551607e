"""Which estimators a report names."""

import msgspec

from reports.page.methods import METHODS, used_methods
from tests.studies import make_findings


def names(**changes: object) -> set[str]:
    return {method.name for method in used_methods(msgspec.structs.replace(make_findings(), **changes))}


def test_only_what_was_used_is_named() -> None:
    """A study with four generations per example has no McNemar test, and names no repeats without them."""
    assert {"t interval, corrected for skewness", "Transfer ratio", "Contamination", "Claims", "pass@k"} <= names()
    assert not {"Exact McNemar test", "Several runs of one checkpoint", "Elicited base"} & names()


def test_single_verdicts_have_their_own_tests() -> None:
    """One generation per example: Wilson, Tango, McNemar."""
    found = {method.name for method in used_methods(make_findings(1))}
    assert {"Wilson interval", "Tango's score interval", "Exact McNemar test"} <= found
    assert "t interval, corrected for skewness" not in found


def test_absent_sections_have_no_methods() -> None:
    """Without audits, claims, costs and leads theirs are not named."""
    found = names(audits=(), claims=(), costs=(), leads=(), curves=())
    assert not {"Contamination", "Claims", "Cost", "Best in bold"} & found


def test_a_report_without_comparisons_still_says_how_scores_are_made() -> None:
    """Scores need no candidate."""
    report = msgspec.structs.replace(make_findings().transfer, comparisons=())
    found = names(transfer=report)
    assert "Score of a task" in found
    assert not {"Paired difference", "Holm's adjustment", "Elicitation and accuracy"} & found


def test_every_method_is_written_out_once() -> None:
    """Names are unique and each says something."""
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert all(method.says.endswith(".") for method in METHODS)
