"""Published judgments read by our own code: AlpacaEval 2's from the judge's tokens, MT-Bench's from its texts."""

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from harness.engines.openai_wire import Speech, make_call
from harness.judging.answers import STYLES, count_styles
from harness.judging.judge import GenerativeJudge, judge_identity, key_digest
from harness.judging.metrics import task_metrics
from harness.judging.protocol import JudgeProtocol
from harness.judging.question import pair_question
from harness.judging.records import Question, Template
from harness.judging.template import read_verdict
from harness.rows import read_jsonl
from harness.schema import EngineSpec, Example, Generation, Request, RequestKey, Score
from harness.spec import EngineConfig, JudgeConfig
from harness.stats.bradley_terry import style_terms
from harness.stats.estimate import Floats

IDENTICAL = {
    "claude-2": [370],
    "Mixtral-8x7B-Instruct-v0.1_concise": [],
    "Qwen-14B-Chat": [199, 370, 638, 713],
    "falcon-7b-instruct": [199, 370],
}
"""Instructions that a model answers exactly as the baseline: nobody was asked, the stored verdict is a tie."""

WORDS = Template(
    name="alpaca", system="", user="{question}\n{answer_a}\n{answer_b}", reading="tokens", words=("m", "M")
)
GRADE = Template(name="single-v1", system="", user="{question}\n{answer}", reading="rating")
RATING = JudgeProtocol(kind="rating", templates=None)

Row = dict[str, Any]


class RecordedEngine:
    """Answers requests with what a server of OpenAI's once answered, as `openai` would read it."""

    spec = EngineSpec(name="openai", dtype="served", device="served")

    def __init__(self, replies: dict[str, Row]) -> None:
        self._replies = replies

    def describe(self) -> dict[str, Any]:
        """Nothing is worth recording."""
        return {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield what the recorded reply to each request is read as."""
        for request in requests:
            reply = {"model": "gpt-4-1106-preview", "choices": [self._replies[request.key.example_id]]}
            yield make_call(request, Speech(model="gpt-4-1106-preview")).read(msgspec.json.encode(reply)).generation

    def close(self) -> None:
        """Nothing is held."""


def read_alpaca(data_dir: Path, model: str) -> list[tuple[Row, str]]:
    """Return a model's judged pairs, each with the baseline's answer."""
    rows = read_jsonl(next((data_dir / "outputs/alpacaeval2").glob(f"{model}.annotations.jsonl*")))
    baseline = read_jsonl(data_dir / "alpacaeval2/reference_gpt4_1106_preview.jsonl")
    return [(row, str(reference["output"])) for row, reference in zip(rows, baseline, strict=True)]


def is_switched(instruction: str) -> bool:
    """Return whether alpaca_eval showed the model's answer first (processors.py, RandomSwitchTwoColumnsProcessor).

    Its generator is seeded by the name of the column, the instruction and the seed 0.
    """
    return random.Random(f"is_switched_outputs{instruction}0").choices([False, True], k=1)[0]


def ask_again(pairs: list[tuple[Row, str]]) -> dict[int, float]:
    """Return the model's share of a win by our reading of the recorded tokens, by index."""
    replies: dict[str, Row] = {}
    questions: list[Question] = []
    rows: dict[str, Row] = {}
    for row, reference in pairs:
        if row.get("raw_completion") is None:
            continue
        answers = (reference, row["output_2"])
        first, second = answers[::-1] if is_switched(row["instruction"]) else answers
        questions.append(pair_question(WORDS, {"question": row["instruction"]}, first, second, f"{row['index']}"))
        name = key_digest(questions[-1].key)
        replies[name], rows[name] = row["raw_completion"], row
    engine = RecordedEngine(replies)
    config = JudgeConfig(ckpt="gpt-4-1106-preview", engine=EngineConfig(name="openai"), read="logprobs")
    judge = GenerativeJudge(lambda: engine, config, judge_identity(config, "gpt-4-1106-preview", engine.spec))
    shares = {}
    for verdict in judge.ask(questions):
        assert verdict.value is not None
        row = rows[key_digest(verdict.key)]
        shares[row["index"]] = verdict.value if is_switched(row["instruction"]) else 1 - verdict.value
    return shares


@pytest.mark.parametrize("model", IDENTICAL)
def test_every_recorded_preference_is_read_from_its_tokens(data_dir: Path, model: str) -> None:
    """All 805 rows: 10 digits are stored, and no row is further off than their rounding."""
    pairs = read_alpaca(data_dir, model)
    shares = ask_again(pairs)
    asked = [row for row, _ in pairs if row["index"] in shares]
    assert len(asked) + len(IDENTICAL[model]) == 805
    deviations = [abs(shares[row["index"]] - (row["preference"] - 1)) for row in asked]
    assert max(deviations) < 5.1e-11


@pytest.mark.parametrize("model", IDENTICAL)
def test_rows_without_tokens_are_identical_answers(data_dir: Path, model: str) -> None:
    """The judge was not asked about them; they are stored as ties."""
    silent = [(row, reference) for row, reference in read_alpaca(data_dir, model) if row.get("raw_completion") is None]
    assert [row["index"] for row, _ in silent] == IDENTICAL[model]
    assert all(row["output_2"] == reference and row["preference"] == 1.5 for row, reference in silent)


@pytest.mark.parametrize("model", IDENTICAL)
def test_win_rate_of_our_reading_is_the_published_one(data_dir: Path, model: str) -> None:
    """From tokens to the leaderboard's raw win rate, to nine digits."""
    pairs = read_alpaca(data_dir, model)
    shares = dict.fromkeys(IDENTICAL[model], 0.5) | ask_again(pairs)
    published = {row["model"]: row for row in read_jsonl(data_dir / "outputs/alpacaeval2/published_scores.jsonl")}
    assert 100 * np.mean(list(shares.values())) == pytest.approx(published[model]["win_rate"], abs=1e-8)


def read_judgments(data_dir: Path, model: str) -> list[Row]:
    return list(read_jsonl(data_dir / f"outputs/mt_bench/{model}.gpt4_single_judgments.jsonl"))


MT_BENCH = ("mistral-orpo-capybara", "mistral-orpo-trl")


@pytest.mark.parametrize("model", MT_BENCH)
def test_every_rating_is_read_from_its_text(data_dir: Path, model: str) -> None:
    """160 judgments: our reading of the text is the stored score, row by row."""
    rows = read_judgments(data_dir, model)
    assert len(rows) == 160
    read = [read_verdict(GRADE, row["judgment"]) for row in rows]
    assert [verdict and verdict[0] for verdict in read] == [row["score"] for row in rows]


@pytest.mark.parametrize("model", MT_BENCH)
def test_mean_ratings_are_the_derived_ones(data_dir: Path, model: str) -> None:
    """First turns, second turns and both, through the metrics of the task; turns of a question are one unit."""
    derived = {row["model"]: row for row in read_jsonl(data_dir / "outputs/mt_bench/derived_scores.jsonl")}[model]
    examples, scores = [], []
    for row in read_judgments(data_dir, model):
        verdict = read_verdict(GRADE, row["judgment"])
        assert verdict is not None
        name = f"{row['question_id']}-{row['turn']}"
        examples.append(
            Example(task="mt_bench", example_id=name, input="", target=None, cluster=str(row["question_id"]))
        )
        scores.append(
            Score(
                key=RequestKey(task="mt_bench", example_id=name, index=0),
                value=verdict[0] / 10,
                outcome="scored",
                answer=verdict[1],
                scorer="judge@replay",
                measures={"rating": verdict[0], "turn": float(row["turn"]), "length": 1.0},
            )
        )
    found = task_metrics(RATING, examples, scores)
    means = [found[name].value for name in ("rating_1", "rating_2", "rating")]
    assert means == pytest.approx([derived[name] for name in ("turn1", "turn2", "average")], abs=1e-12)
    assert (found["rating"].num_examples, found["rating"].num_clusters) == (160, 80)


def read_answers(path: Path) -> dict[str, Row]:
    return {str(row["uid"]): row for row in read_jsonl(path)}


def told_style(row: Row) -> tuple[int, list[int]]:
    """Return tokens and counts of headers, list items and bold phrases, as Arena-Hard stored them."""
    told = row["metadata"]
    return told["token_len"], [sum(told[name].values()) for name in ("header_count", "list_count", "bold_count")]


def own_style(row: Row) -> tuple[int, list[int]]:
    """Return characters and our counts."""
    text = row["messages"][-1]["content"]["answer"]
    counts = count_styles(text)
    return len(text), [counts[name] for name in STYLES]


def test_counts_of_style_are_arena_hards(data_dir: Path) -> None:
    """750 answers of the baseline with the counts that Arena-Hard stored beside them: all the same."""
    rows = read_answers(data_dir / "arena_hard/v2.0/model_answer/o3-mini-2025-01-31.jsonl.gz")
    assert len(rows) == 750
    assert [own_style(row)[1] for row in rows.values()] == [told_style(row)[1] for row in rows.values()]


def test_characters_serve_nearly_as_well_as_tokens(data_dir: Path) -> None:
    """Terms of style between random pairs of 304 answers in Latin script correlate by 0.97 and more with Arena-Hard's.

    Characters per token differ between scripts, but the answers of a pair are to the same question.
    """
    found = read_answers(data_dir / "arena_hard/v2.0/model_answer/o3-mini-2025-01-31.jsonl.gz").values()
    rows = [row for row in found if is_latin(row["messages"][-1]["content"]["answer"])]
    assert len(rows) == 304
    others = np.random.default_rng(0).permutation(len(rows))

    def terms(read: Callable[[Row], tuple[int, list[int]]]) -> Floats:
        lengths = np.array([read(row)[0] for row in rows], dtype=np.float64)
        counts = np.array([read(row)[1] for row in rows], dtype=np.float64)
        return style_terms(lengths, counts, lengths[others], counts[others])

    own, told = terms(own_style), terms(told_style)
    assert min(np.corrcoef(own[:, term], told[:, term])[0, 1] for term in range(4)) > 0.97


def is_latin(text: str) -> bool:
    return sum(map(str.isascii, text)) >= 0.98 * len(text)
