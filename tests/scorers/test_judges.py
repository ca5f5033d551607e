"""The functions that workers call say the same in a process of their own as through the scorers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAIRS: list[tuple[dict[str, Any], tuple[bool, bool, bool]]] = [
    ({"target": "\\frac{1}{2}", "answer": "\\frac{2}{4}"}, (True, True, True)),
    ({"target": "x^2-1", "answer": "(x-1)(x+1)"}, (True, True, True)),
    ({"target": "x^2-1", "answer": "x^2+1"}, (False, True, True)),
    ({"target": "5\\%", "answer": "\\frac{1}{20}"}, (True, True, True)),
    ({"target": "\\frac{1}{20}", "answer": "5 \\text{ percent}"}, (True, True, True)),
    ({"target": "N=n", "answer": "N=n"}, (True, True, True)),
    ({"target": "N=n+1", "answer": "n+1"}, (True, True, True)),
    ({"target": "\\sqrt{2}", "answer": "1.5", "tolerance": 0.1}, (True, True, True)),
    ({"target": "\\sqrt{2}", "answer": "1.5", "relative": 0.01}, (False, True, True)),
    ({"target": "\\frac{dx}{dt}=kx", "answer": "kx=\\frac{dx}{dt}"}, (True, True, True)),
    ({"target": "\\sin(\\pi)", "answer": "10^{-9}"}, (False, True, True)),
    ({"target": "3", "answer": "\\frac{1}{0}"}, (False, True, True)),
    ({"target": "3", "answer": "}3{"}, (False, True, False)),
    ({"target": "3", "answer": "{3"}, (False, True, False)),
]


def call(target: str, payloads: list[Any], **environment: str) -> list[Any]:
    """Call a worker's function on each payload in one process that ends as usual."""
    module, _, name = target.partition(":")
    code = (
        f"import json, sys; from {module} import {name} as f; print(json.dumps([f(x) for x in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        input=json.dumps(payloads),
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_mathematics_is_judged_as_documented() -> None:
    """Equal or not, and which side could be parsed (docs/scoring.md)."""
    replies = call("harness.scorers.math_judge:judge", [payload for payload, _ in PAIRS])
    found = [(reply["equal"], reply["target_parsed"], reply["answer_parsed"]) for reply in replies]
    assert dict(zip(map(str, PAIRS), found, strict=True)) == {str(pair): pair[1] for pair in PAIRS}


def test_instructions_are_checked_strictly_and_loosely(data_dir: Path) -> None:
    """A first line that breaks a rule is forgiven by the loose check alone."""
    example = {
        "key": 1,
        "prompt": "Write without commas in at least 5 words.",
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{}, {"relation": "at least", "num_words": 5}],
    }
    texts = ("one two three four five", "Sure, here:\none two three four five")
    replies = call(
        "harness.scorers.instruction_checks:check",
        [{**example, "response": text} for text in texts],
        NLTK_DATA=str(data_dir / "nltk_data"),
    )
    assert replies == [
        {"strict": [True, True], "loose": [True, True]},
        {"strict": [False, True], "loose": [True, True]},
    ]


def test_missing_tables_say_where_to_put_them(tmp_path: Path) -> None:
    """Offline and without NLTK's tables the import ends in the one line that the scorer repeats."""
    code = "import nltk; nltk.data.path.clear(); import harness.scorers.instruction_checks"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HARNESS_DATA": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "set NLTK_DATA to a folder that holds tokenizers/punkt_tab/english" in done.stderr
