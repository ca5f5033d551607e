"""The gate's reports: valid JUnit XML and Markdown whatever the models wrote."""

import re
import string
from pathlib import Path
from xml.etree import ElementTree

import junitparser
import msgspec
import numpy as np
import pytest

from harness.gate.findings import GateReport, RegressedExample
from harness.gate.judge import judge_runs
from harness.gate.report import junit_xml, markdown_summary
from harness.spec import GatePolicy
from tests.labels import make_label, make_task

HOSTILE = (
    "plain",
    "".join(map(chr, range(32))) + "\x7f\x85\u2028\ufffe\uffff",
    "]]></failure><failure>",
    "</details><script>alert(1)</script>",
    "```\n# heading\n````````\n<b>",
    "| a | b |\n|---|---|",
    "candidate: 42\n  target:    42",
    string.punctuation,
    "\U0001f600 ünïcode \u202eright to left",
)


def report(text: str = "text") -> GateReport:
    """Return a report of a regression, an inconclusive task, a warning and a pass; `text` stands wherever it may."""
    ones = {"bad": np.ones(200), "small": np.ones(5), "long": np.ones(200), "good": np.ones(200)}
    cut = np.arange(200) < 14
    sides = [
        make_label("base", *(make_task(name, values) for name, values in ones.items())),
        make_label(
            "new",
            make_task("bad", np.arange(200) > 60),
            make_task("small", ones["small"]),
            make_task("long", ones["long"], truncated=cut),
            make_task("good", ones["good"]),
        ),
    ]
    found = judge_runs(*sides, GatePolicy(max_examples_listed=0, gate_on=("tasks",)))
    item = RegressedExample(
        task="bad",
        example_id="q7",
        baseline_score=1.0,
        candidate_score=0.0,
        baseline_answer=text,
        candidate_answer=None,
        target=text,
        input=text,
    )
    return msgspec.structs.replace(found, regressed=(item,), notes=(text,))


def test_junit_is_read_by_a_parser_of_its_own(tmp_path: Path) -> None:
    """One case per task and guard rail; failures, skips and counts as an independent reader sees them."""
    path = tmp_path / "gate.xml"
    path.write_bytes(junit_xml(report()))
    (suite,) = junitparser.JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (16, 1, 1, 0)
    results = {(case.classname, case.name): case.result for case in suite}
    assert len(results) == 16
    (failure,) = results["gate.task", "bad"]
    assert isinstance(failure, junitparser.Failure)
    assert "bad/q7: score 1.00 → 0.00" in failure.text
    (skipped,) = results["gate.task", "small"]
    assert isinstance(skipped, junitparser.Skipped)
    assert "more examples would decide" in skipped.message
    assert results["gate.task", "good"] == []
    properties = {entry.name: entry.value for entry in suite.properties()}
    assert properties["verdict"] == "regression"
    assert properties["candidate.label"] == "new"
    assert re.fullmatch("[0-9a-f]{16}", properties["baseline.spec_id"])


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_junit_is_valid_whatever_a_model_wrote(text: str) -> None:
    """The parsed file has the same cases, and the failure holds the text but for what XML forbids."""
    root = ElementTree.fromstring(junit_xml(report(text)))
    assert len(root.findall("testsuite/testcase")) == 16
    (failure,) = root.findall("testsuite/testcase/failure")
    shown = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", "⏎".join(text.splitlines()))
    assert f"target:    {shown}" in (failure.text or "")


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_markdown_shows_model_text_as_text(text: str) -> None:
    """Outside code fences no HTML but the folding is left, and no fence is closed by what it holds."""
    summary = markdown_summary(report(text))
    outside = re.sub(r"^(`{3,})text\n.*?\n\1$", "", summary, flags=re.M | re.S)
    tags = re.findall(r"(?<!\\)<[^>]*>", outside)
    assert tags == ["<details>", "<summary>", "</summary>", "</details>"]
    assert "q7" not in outside
    assert len(re.findall(r"^\|", outside, re.M)) == 2 + 16


def test_markdown_begins_with_the_verdict() -> None:
    """Verdict first, then the table, then what to know, then the folded examples."""
    summary = markdown_summary(report())
    assert summary.startswith("## Gate: regression\n")
    order = [summary.index(words) for words in ("| bad | 100.0 | 69.5 |", "- small: ", "<details>", "bad/q7")]
    assert order == sorted(order)
    assert "long truncated | 0.0 | 7.0 |" in summary


def test_rows_of_an_example_cannot_be_forged() -> None:
    """Line breaks in model text are shown as a sign, so that an answer cannot pass for another row."""
    assert "  candidate: (none)" in markdown_summary(report(HOSTILE[6]))
    assert not re.search(r"^ *candidate: 42", markdown_summary(report(HOSTILE[6])), re.M)
