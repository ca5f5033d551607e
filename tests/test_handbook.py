"""The statistics handbook says what the code does: hand calculations, printed numbers, edge cases."""

import contextlib
import io
import math
import re
from pathlib import Path
from typing import NamedTuple

import pytest

HANDBOOK = Path(__file__).parent.parent / "docs" / "handbook"
PAGES = [page for page in sorted(HANDBOOK.glob("*.md")) if page.name != "index.md"]
PARTS = ("Definition", "Formula", "Source", "Worked example", "n = 0", "n = 1")
MEASURES = {
    "score.md": ("The score and its interval", "Clusters", "pass@k"),
    "difference.md": (
        "The paired difference",
        "McNemar's test",
        "The sign-flip permutation test",
        "The detectable difference",
        "The test against a margin",
    ),
    "several.md": ("Holm's adjustment", "Domain averages", "Several seeds", "Noise of repeated runs"),
    "transfer.md": (
        "The transfer ratio",
        "The transfer matrix",
        "The gap closed",
        "The normalised gain",
        "The Transferability Index",
    ),
    "parts.md": ("The decomposition", "The elicited base", "Coverage of the base"),
    "cost_and_chat.md": ("Cost and the Pareto front", "The length-controlled win rate", "Bradley-Terry strengths"),
}
FENCE = re.compile(r"^```.*?^```\n", re.M | re.S)
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)")
ARITHMETIC = re.compile(r"[\d.+\-*/() ]|\*\*|sqrt")


class Section(NamedTuple):
    """One measure of the handbook."""

    page: str
    title: str
    text: str

    @property
    def prose(self) -> str:
        """The text without its fences."""
        return FENCE.sub("", self.text)


def read_sections() -> list[Section]:
    """Return every second-level section of every page."""
    found = []
    for page in PAGES:
        parts = re.split(r"^## (.+)\n", page.read_text(encoding="utf-8"), flags=re.M)[1:]
        found += [Section(page.name, *pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    return found


def read_calculations() -> list[tuple[str, str]]:
    """Return (section, calculation) of each inline code that has an equals sign."""
    spans = [(section.title, span) for section in read_sections() for span in re.findall(r"`([^`]+)`", section.prose)]
    return [(title, " ".join(span.split())) for title, span in spans if "=" in span]


def evaluate(expression: str) -> float:
    """Work out arithmetic as it is written for people."""
    plain = expression.replace("−", "-").replace("×", "*").replace("²", "**2").replace("√", "sqrt").strip()
    assert ARITHMETIC.sub("", plain) == "", f"no arithmetic: {expression}"
    return float(eval(plain, {"sqrt": math.sqrt}))


def tolerance(literal: str) -> float:
    """Return half a unit of the last decimal; a whole number is exact."""
    decimals = len(literal.strip().partition(".")[2])
    return 0.5 * 10**-decimals + 1e-12 if decimals else 1e-9


SECTIONS = read_sections()


def test_every_measure_has_a_section() -> None:
    """The pages hold the measures that are listed here, in order, and the overview names every page."""
    assert {page.name: tuple(s.title for s in SECTIONS if s.page == page.name) for page in PAGES} == MEASURES
    overview = (HANDBOOK / "index.md").read_text(encoding="utf-8")
    assert [name for name in MEASURES if f"({name})" not in overview] == []


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_a_section_has_all_parts(section: Section) -> None:
    """Definition, formula, source, worked example, n = 0 and n = 1, in this order, and one program."""
    assert tuple(re.findall(r"^\*\*(.+?)\.\*\*", section.text, re.M)) == PARTS
    assert section.text.count("```python\n") == section.text.count("```text output\n") == 1


@pytest.mark.parametrize(("title", "calculation"), read_calculations(), ids=lambda text: text)
def test_hand_calculations_are_right(title: str, calculation: str) -> None:
    """What stands left of an equals sign is what stands right of it, to the last decimal shown."""
    expression, *results = calculation.split("=")
    assert results
    for result in results:
        assert evaluate(expression) == pytest.approx(evaluate(result), abs=tolerance(result), rel=0)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_programs_print_what_the_page_shows(section: Section) -> None:
    """The block after each program is its output, to the letter."""
    (program,) = re.findall(r"^```python\n(.*?)^```", section.text, re.M | re.S)
    (shown,) = re.findall(r"^```text output\n(.*?)^```", section.text, re.M | re.S)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, section.page, "exec"), {"__name__": "handbook"})
    assert printed.getvalue() == shown


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_printed_numbers_are_worked_in_the_text(section: Section) -> None:
    """Each number that a program prints stands in the section's text, so none comes out of nowhere."""
    (shown,) = re.findall(r"^```text output\n(.*?)^```", section.text, re.M | re.S)
    worked = {float(number) for number in NUMBER.findall(section.prose)}
    scaled = worked | {number / 100 for number in worked}  # text may say points where the program prints a fraction
    assert [number for number in NUMBER.findall(shown) if float(number) not in scaled] == []
