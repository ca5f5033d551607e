"""A gate's report for machines and job pages: JUnit XML and a Markdown summary. Judges nothing.

Models wrote the answers in it, so whatever they hold must neither break the XML nor be read as Markdown or HTML.
"""

import math
import re
from typing import NamedTuple
from xml.etree import ElementTree

from harness.gate.findings import CheckKind, GateReport, GateSide, GateTest, RegressedExample

GUARD_RAILS: dict[CheckKind, str] = {"truncated": "truncated", "no_answer": "no answer", "length": "tokens"}
"""What a guard rail measures, in words."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside XML 1.0's production 2, Char."""
_MARKDOWN = re.compile(r"(^[-+]|[\\`*_{}\[\]()#!|~<>&])")
"""Characters that Markdown may read as more than themselves."""


class Cells(NamedTuple):
    """A test as the cells of a table's row: points, or tokens for length."""

    name: str
    baseline: str
    candidate: str
    difference: str
    interval: str
    margin: str
    """The difference at which the limit lies."""
    verdict: str


def junit_xml(report: GateReport) -> bytes:
    """Return the report as JUnit XML: one case per task, domain and guard rail.

    A regression is a failure with the regressed examples in its text, an inconclusive test is skipped with its reason,
    a warning passes with its reason as output.
    """
    counts = {
        "tests": str(len(report.tests)),
        "failures": str(sum(test.verdict == "regression" for test in report.tests)),
        "errors": "0",
        "skipped": str(sum(test.verdict == "inconclusive" for test in report.tests)),
        "time": "0",
    }
    root = ElementTree.Element("testsuites", {"name": "harness gate", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "gate", **counts, "timestamp": report.created_at[:19]})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    for test in report.tests:
        case = {"classname": f"gate.{test.kind}", "name": _clean(test.name), "time": "0"}
        _add_outcome(ElementTree.SubElement(suite, "testcase", case), test, report)
    ElementTree.indent(root)
    encoded: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return encoded + b"\n"


def _properties(report: GateReport) -> dict[str, str]:
    found = {"verdict": report.verdict, "harness_version": report.harness_version}
    for name, side in (("baseline", report.baseline), ("candidate", report.candidate)):
        found[f"{name}.label"] = side.label
        found[f"{name}.spec_id"] = ",".join(side.spec_ids)
        found[f"{name}.weights"] = ",".join(side.weights)
        found[f"{name}.path"] = ",".join(side.paths)
    return found | {f"note.{number}": note for number, note in enumerate(report.notes, 1)}


def _add_outcome(case: ElementTree.Element, test: GateTest, report: GateReport) -> None:
    message = _clean(describe_test(test))
    if test.verdict == "regression":
        failure = ElementTree.SubElement(case, "failure", {"message": message, "type": "regression"})
        failure.text = "\n\n".join([message, *(_plain_text(item) for item in regressed_examples(report, test))])
    elif test.verdict == "inconclusive":
        ElementTree.SubElement(case, "skipped", {"message": message})
    elif test.verdict == "warning":
        ElementTree.SubElement(case, "system-out").text = message


def regressed_examples(report: GateReport, test: GateTest) -> list[RegressedExample]:
    """Return the listed examples of a test's tasks; none for a guard rail, which is not about scores."""
    return [] if test.kind in GUARD_RAILS else [item for item in report.regressed if item.task in test.tasks]


def format_cells(test: GateTest) -> Cells:
    """Return a test as the cells of a table's row."""
    scale = 1 if test.kind == "length" else 100
    what = GUARD_RAILS.get(test.kind)
    estimate = test.difference
    limit = test.margin if what else -test.margin
    return Cells(
        name=f"{test.name} {what}" if what else test.name,
        baseline=_number(scale * test.baseline),
        candidate=_number(scale * test.candidate),
        difference=_number(scale * estimate.value, "+"),
        interval=f"{_number(scale * estimate.ci_low, '+')} … {_number(scale * estimate.ci_high, '+')}",
        margin=_number(scale * limit, "+"),
        verdict=test.verdict,
    )


def describe_test(test: GateTest) -> str:
    """Return a test in one line of plain text."""
    cells = format_cells(test)
    unit = "tokens" if test.kind == "length" else "points"
    line = (
        f"{cells.name}: {cells.verdict}; {cells.baseline} → {cells.candidate}, difference {cells.difference} {unit} "
        f"({100 * test.difference.level:g} % interval {cells.interval}), limit {cells.margin}"
    )
    return f"{line}; {test.note}" if test.note else line


def markdown_summary(report: GateReport) -> str:
    """Return the report for a CI job page: the verdict first, then the tests, then what got worse, folded."""
    lines = [
        f"## Gate: {report.verdict}",
        "",
        f"Candidate {_describe_side(report.candidate)} against baseline {_describe_side(report.baseline)}. "
        f"Chance of a false alarm: at most {100 * report.policy.level:g} %. Points from 0 to 100.",
        "",
        f"| test | baseline | candidate | difference | {100 * report.level:g} % interval | limit | verdict |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for test in report.tests:
        name, *numbers = format_cells(test)
        lines.append(f"| {' | '.join([_escape(name), *numbers])} |")
    remarks = [f"{format_cells(test).name}: {test.note}" for test in report.tests if test.note]
    lines += ["", *(f"- {_escape(remark)}" for remark in (*remarks, *report.notes))]
    for task in dict.fromkeys(item.task for item in report.regressed):
        lines += _folded_examples(report, task)
    return "\n".join(lines).rstrip() + "\n"


def _describe_side(side: GateSide) -> str:
    runs = ", ".join(f"`{spec_id}`" for spec_id in side.spec_ids)
    return f"**{_escape(side.label)}** ({runs})"


def _folded_examples(report: GateReport, task: str) -> list[str]:
    items = [item for item in report.regressed if item.task == task]
    lines = ["", f"<details><summary>{_escape(task)}: the {len(items)} examples that lost most</summary>", ""]
    for item in items:
        text = _plain_text(item)
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        lines += [f"{fence}text", text, fence, ""]
    return [*lines, "</details>"]


def _plain_text(item: RegressedExample) -> str:
    """Return an example as lines of plain text, without characters that no XML may hold."""
    rows = {
        "input": item.input,
        "target": item.target,
        "baseline": item.baseline_answer,
        "candidate": item.candidate_answer,
    }
    lines = [f"{item.task}/{item.example_id}: score {item.baseline_score:.2f} → {item.candidate_score:.2f}"]
    lines += [f"  {name + ':':<11}{'(none)' if text is None else _one_line(text)}" for name, text in rows.items()]
    return _clean("\n".join(lines))


def _one_line(text: str) -> str:
    """Show line breaks as such, so that no text can pass for another row."""
    return "⏎".join(text.splitlines())


def _number(value: float, sign: str = "") -> str:
    return "nan" if math.isnan(value) else f"{round(value, 1) + 0.0:{sign}.1f}"  # + 0.0: no -0.0


def _clean(text: str) -> str:
    """Replace the characters that XML 1.0 forbids."""
    return _NOT_XML.sub("\ufffd", text)


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", _clean(_one_line(text)))
