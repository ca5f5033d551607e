"""Whatever a model writes, a program is found in it or the reason why not; a good one comes out as it went in."""

import ast
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.scorers.program_extract import extract, longest_code

Extract = Callable[[str], dict[str, Any]]

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=80)
LINES = (
    "```python", "```", "def f(x):", "    return x", "    yield x", "import math", "class A:", "    def f(self): pass",
    "f = lambda x: x", "'''", '"""', "x = '", "(", ")", "if x:", "else:", "\tpass", "It's easy.", "# note", "@cache",
    "async def f(x):", "    return f'{x!r}'", "x = [1,", "2]", "\\", "\x0c", "\x00", "print(f(1))", "assert f(1) == 1",
)  # fmt: skip
CODE_LIKE = st.lists(st.one_of(st.sampled_from(LINES), ANYTHING), max_size=14).map("\n".join)
PROSE = st.sampled_from(
    ("", "Sure! Here's one:", "Let me think: isn't it hard (is it?", "# Title", "1. First\n2. Then", "def is a word.")
)
BODIES = st.sampled_from(("return x", "return [\n        x,\n    ]", "y = '''\na'''\n    return y + str(x)"))
"""With `return`: EvalPlus's sanitizer takes no function without one out of prose."""


def _extract(text: str) -> dict[str, Any]:
    return extract({"entry_point": "f", "cpu": 20}, [text.encode("utf-8", "surrogatepass")])


@pytest.fixture(scope="module")
def found() -> Iterator[Extract]:
    """Return `extract` in a process of its own, as the judge has it: it replaces parts of EvalPlus."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda text: pool.submit(_extract, text).result(60)


@given(CODE_LIKE)
@example("x = '''\n" * 3)
def test_the_longest_code_of_the_longest_code_is_itself(text: str) -> None:
    """Searching again in what was found changes nothing; and it is a run of the text's lines."""
    code = longest_code(text)
    assert longest_code(code) == code
    assert f"\n{code}\n" in f"\n{text}\n"


@settings(max_examples=60)
@given(text=CODE_LIKE)
def test_extraction_ends_in_a_program_or_a_reason(text: str, found: Extract) -> None:
    """Any text gives a program that parses, or says why there is none; and the same again."""
    reply = found(text)
    assert (reply["program"] is None) == ("reason" in reply)
    if reply["program"] is not None:
        ast.parse(reply["program"])
    assert found(text) == reply


@settings(max_examples=60)
@given(text=CODE_LIKE)
def test_extraction_of_what_was_extracted_changes_nothing(text: str, found: Extract) -> None:
    """A program that was found is found again, as it is."""
    program = found(text)["program"]
    if program is not None:
        assert found(program)["program"] == program


@settings(max_examples=60)
@given(before=PROSE, body=BODIES, after=PROSE, fence=st.sampled_from(("```python", "```py", "```")))
def test_a_fenced_program_is_found_in_any_prose(before: str, body: str, after: str, fence: str, found: Extract) -> None:
    """A function with its imports in a block of code comes out whole."""
    program = f"import math\n\n\ndef f(x):\n    {body}\n"
    reply = found(f"{before}\n\n{fence}\n{program}```\n\n{after}")
    assert ast.dump(ast.parse(reply["program"])) == ast.dump(ast.parse(program))


@settings(max_examples=20)
@given(body=BODIES)
def test_a_bare_program_is_left_as_it_is(body: str, found: Extract) -> None:
    """Where a text is a module of definitions there is nothing to strip."""
    program = f"import math\n\n\ndef helper(x):\n    yield x\n\n\ndef f(x):\n    {body}\n"
    assert found(program) == {"program": program}
