"""Programs are found in texts as EvalPlus finds them, in time that a long answer does not make hopeless."""

import time
from collections.abc import Callable

import pytest

from harness.scorers.program_extract import longest_code

TEXTS = {
    "fenced": "Sure! Here's one:\n\n```python\nimport math\n\ndef f(x):\n    return math.sqrt(x)\n```\n\nIt's easy.",
    "two blocks": "def f(x):\n    return 1\n\nor, better,\n\ndef f(x):\n    y = 2\n    return y\n",
    "plain": "def f(x):\n    return 1\n\n\n",
    "prose": "I can't do that.\nReally (no way.\nWhat's 'that'?",
    "open string": "It's a 'test\ndef f(x):\n    return 'a\nb'\nx = 1\n",
    "open triple": "x = '''\ndef f(x):\n    return 1\n",
    "continued": "a = 'b\\\nc'\ndef f(x):\n    return a\nIt's \\\nover",
    "brackets": "(\n(\n[1,\n2]\n)\n)\ndef f(x):\n    return [\n        x,\n    ]\n)\n",
    "indented": "    def f(x):\n        return 1\n",
    "decorated": "@cache\n\ndef f(x):\n    return 1\nEnd.",
    "half function": "def f(x):\n    if x:\n        return 1\n    else:\nwell",
    "bad f-string": "y = f'{x!z}'\ndef f(x):\n    return f'{x'\nz = 2\nw = 3\n",
    "one line": "x = 1",
    "nothing": "",
    "blank": "\n\n\n",
}


@pytest.fixture(scope="module")
def peer() -> Callable[[str], str]:
    import evalplus.sanitize

    return evalplus.sanitize.code_extract


@pytest.mark.parametrize("name", TEXTS)
def test_finds_what_evalplus_finds(name: str, peer: Callable[[str], str]) -> None:
    """The longest run of lines that parses is the one EvalPlus's search over all pairs of lines returns."""
    assert longest_code(TEXTS[name]) == peer(TEXTS[name])


def test_any_part_of_a_text_gives_the_same(peer: Callable[[str], str]) -> None:
    """The same holds for texts cut off anywhere, as truncated generations are."""
    text = "\n".join(TEXTS.values())
    for start in range(0, len(text), 37):
        part = text[start : start + 160]
        assert longest_code(part) == peer(part)


def test_long_answer_is_searched_quickly() -> None:
    """A thousand lines of prose around a program take well under the limit."""
    prose = "Let's think about it: the function isn't hard (it just needs care).\nWe'll see.\n" * 500
    text = f"{prose}```python\ndef f(x):\n    return x\n```\n{prose}"
    started = time.process_time()
    assert longest_code(text) == "def f(x):\n    return x"
    assert time.process_time() - started < 5
