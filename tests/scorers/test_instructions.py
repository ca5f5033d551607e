import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.schema import Example, Generation, RequestKey, Score, ScorerOptions
from harness.scorers.instructions import InstructionScorer

PROMPT = "Write without commas in at least 5 words."
INSTRUCTIONS = {
    "key": 1,
    "prompt": PROMPT,
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"relation": "at least", "num_words": 5}],
}


@pytest.fixture(scope="module")
def scorer(data_dir: Path) -> Iterator[InstructionScorer]:
    before = os.environ.get("NLTK_DATA")
    os.environ["NLTK_DATA"] = str(data_dir / "nltk_data")
    made = InstructionScorer(ScorerOptions(num_workers=2))
    yield made
    made.close()
    if before is None:
        del os.environ["NLTK_DATA"]
    else:
        os.environ["NLTK_DATA"] = before


def score(scorer: InstructionScorer, text: str, metadata: dict[str, Any] = INSTRUCTIONS) -> Score:
    key = RequestKey(task="ifeval", example_id="1", index=0)
    example = Example(task="ifeval", example_id="1", input=PROMPT, target=None, metadata=metadata)
    return scorer.score(
        example,
        Generation(
            key=key, text=text, finish_reason="stop", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
        ),
    )


@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        ("one two three four five", (1.0, 1.0), (1.0, 1.0)),
        ("one, two three four five", (0.0, 1.0), (0.0, 1.0)),
        ("one two three four", (1.0, 0.0), (1.0, 0.0)),
        ("Sure, here it is:\none two three four five", (0.0, 1.0), (1.0, 1.0)),
        ("nan", (1.0, 0.0), (1.0, 0.0)),
        ("数学 ∫ 🙂 ünï один два три", (1.0, 1.0), (1.0, 1.0)),
        ("\ud800 one two three four five", (1.0, 1.0), (1.0, 1.0)),
        ("word " * 2_000_000, (1.0, 1.0), (1.0, 1.0)),
    ],
    ids=["both", "comma", "short", "only loosely", "nan", "unicode", "surrogate", "10 MB"],
)
def test_verdict_per_instruction(
    scorer: InstructionScorer, text: str, strict: tuple[float, ...], loose: tuple[float, ...]
) -> None:
    """The value is prompt-level strict; the parts hold the rest."""
    result = score(scorer, text)
    assert result.outcome == "scored"
    assert result.value == float(all(strict))
    assert result.parts == {"prompt_loose": (float(all(loose)),), "inst_strict": strict, "inst_loose": loose}


def test_detail_names_what_was_violated(scorer: InstructionScorer) -> None:
    """A reader learns which instruction failed."""
    assert score(scorer, "a, b").detail == "violated: punctuation:no_comma, length_constraints:number_words"


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_empty_response_is_no_answer(scorer: InstructionScorer, text: str) -> None:
    """An empty response follows nothing, also where emptiness would pass a check."""
    result = score(scorer, text)
    assert (result.value, result.outcome) == (0.0, "no_answer")
    assert result.parts == {"prompt_loose": (0.0,), "inst_strict": (0.0, 0.0), "inst_loose": (0.0, 0.0)}


def test_language_detection_repeats(scorer: InstructionScorer) -> None:
    """langdetect draws random numbers; seeded, the same text always gets the same verdict."""
    metadata = INSTRUCTIONS | {"instruction_id_list": ["language:response_language"], "kwargs": [{"language": "en"}]}
    assert len({score(scorer, "Die the Katze cat in dem hat", metadata).value for _ in range(10)}) == 1


def test_missing_metadata_is_an_error(scorer: InstructionScorer) -> None:
    """An example without instructions is a mistake in the data."""
    with pytest.raises(DataError, match="lacks instruction_id_list, kwargs"):
        score(scorer, "text", {"key": 1, "prompt": ""})


def test_missing_tables_offline_say_what_to_set(tmp_path: Path) -> None:
    """Without NLTK's tables and without network the error is one line that names the remedy."""
    program = "import harness.scorers.instruction_checks"
    environment = {name: value for name, value in os.environ.items() if name not in ("NLTK_DATA", "HARNESS_DATA")}
    environment |= {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    last_line = result.stderr.strip().splitlines()[-1]
    assert "DataError" in last_line
    assert "set NLTK_DATA" in last_line


def test_verdicts_agree_with_published_labels(scorer: InstructionScorer, data_dir: Path) -> None:
    """At least 99.5 % of the instruction verdicts of a released run are the released ones."""
    rows = {row["key"]: row for row in map(json.loads, (data_dir / "ifeval/input_data.jsonl").read_text().splitlines())}
    path = data_dir / "outputs/ifeval/mistralai__Mistral-7B-Instruct-v0.3.jsonl"
    num_equal = num_all = 0
    for output in map(json.loads, path.read_text().splitlines()):
        parts = score(scorer, output["response"], rows[output["key"]]).parts
        for kind in ("strict", "loose"):
            labels = output[kind]["follow_instruction_list"]
            num_equal += sum(map(bool.__eq__, labels, map(bool, parts[f"inst_{kind}"])))
            num_all += len(labels)
    assert num_all == 2 * 834
    assert num_equal / num_all >= 0.995
