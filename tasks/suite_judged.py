"""Chat whose answers a judge weighs: AlpacaEval 2, Arena-Hard and MT-Bench. What the verdicts come to: docs/chat.md.

Here are the prompts, the answers to compare with or references, and what a judge is asked. Not followed: FastChat's
sampling temperature by category of question; the presets are those of every task.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from harness.interfaces import Scorer
from harness.judging.protocol import JudgeProtocol, TemplateFile
from harness.rows import Row
from harness.schema import Example, ScorerOptions
from tasks.dataset import DataSource, Join
from tasks.prompts import DIALOGUE, VERBATIM
from tasks.task import BenchmarkTask, presets

_GITHUB = "https://raw.githubusercontent.com"
_ALPACA_EVAL = f"{_GITHUB}/tatsu-lab/alpaca_eval/19f9bf34e92401edab469ebdccb7ab851d3dffc6"
_ALPACA_HUB = "https://huggingface.co/datasets/tatsu-lab/alpaca_eval/resolve/main"
_ARENA = f"{_GITHUB}/lmarena/arena-hard-auto/196f6b826783b3da7310e361a805fa36f0be83f3/data"
_ARENA_CONFIG = f"{_GITHUB}/lmarena/arena-hard-auto/7f1b7f5dd6ce53e1f8530220ceb452b7019a8056/config"
_ARENA_PROGRAM = (
    "https://github.com/lmarena/arena-hard-auto/blob/bed160442a7ee41ebc7581774ed5a8fcec2b894a/src/arenahard"
)
_FASTCHAT = f"{_GITHUB}/lm-sys/FastChat"
_MT_BENCH = "fastchat/llm_judge/data"

REFERENCE_CATEGORIES = ("math", "reasoning", "coding")
"""Of MT-Bench's questions, those that are judged beside a reference (FastChat's NEED_REF_CATS)."""


def judged_scorer(task: str, options: ScorerOptions) -> Scorer:
    """Return what stands for a judge until one is named."""
    from harness.judging.unjudged import UnjudgedScorer

    return UnjudgedScorer(task)


# --- AlpacaEval 2 ---


def _alpaca_key(number: int, row: Row) -> str:
    """Return an instruction's number in the data set; its authors' difficulties have it in a column without a name."""
    return str(row.get("index", row.get("", number)))


def _alpaca(task: str, number: int, row: Row) -> Example:
    # copies of this file are solved from published predictions, exact to 3e-8: rounded, they are the same rows
    difficulty = round(float(row["difficulty"]["instruction_difficulty"]), 3)
    if row["generator"] != "gpt4_1106_preview":
        raise ValueError(f"its answer is {row['generator']}'s, expected gpt4_1106_preview's")
    return Example(
        task=task,
        example_id=_alpaca_key(number, row),
        input=row["instruction"],
        target=_text(row["output"]),
        metadata={"dataset": row["dataset"], "difficulty": difficulty},
    )


def _text(answer: Any) -> str:
    if not isinstance(answer, str):
        raise TypeError(f"an answer is {type(answer).__name__}, expected text")
    return answer


ALPACA_EVAL2 = BenchmarkTask(
    name="alpaca_eval2",
    version="1",
    suite="chat",
    title="AlpacaEval 2: 805 instructions, judged against GPT-4 Turbo (1106)",
    paper="Dubois et al. 2024, arXiv 2404.04475",
    licence="CC-BY-NC-4.0",
    protocol="alpaca_eval's weighted_alpaca_eval_gpt4_turbo, asked in both orders",
    metric="win_rate",
    source=DataSource(
        parse=_alpaca,
        sha256="447f3efb7f9b5c8761dc49e9b37f07ea801882b4cbcbb9e6133ea54ce87da270",
        num_examples=805,
        local="alpacaeval2/reference_gpt4_1106_preview.jsonl",
        url=f"{_ALPACA_HUB}/alpaca_eval_gpt4_baseline.json",
        joins=(
            Join(
                field="difficulty",
                what="difficulty of the instruction",
                key=_alpaca_key,
                local="alpacaeval2/instruction_difficulty.jsonl",
                url=f"{_ALPACA_HUB}/instruction_difficulty.csv",
            ),
        ),
    ),
    prompt=VERBATIM,
    scorer_factory=partial(judged_scorer, "alpaca_eval2"),
    presets=presets(2048),
    near_miss=None,
    gold=None,
    judging=JudgeProtocol(
        kind="pair",
        templates=TemplateFile(
            format="chatml",
            local="alpacaeval2/alpaca_eval_clf.txt",
            url=f"{_ALPACA_EVAL}/src/alpaca_eval/evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
            max_tokens=16,  # of judges that write: those that are weighed, as the protocol has it, write one token
        ),
        baseline="gpt4_1106_preview",
        controls=("length",),
    ),
)


# --- Arena-Hard ---


def _arena(baseline: str, task: str, number: int, row: Row) -> Example:
    answer = row["answer"]
    if answer["model"] != baseline:
        raise ValueError(f"its answer is {answer['model']}'s, expected {baseline}'s")
    (*_, last) = answer["messages"]
    metadata = {"category": row.get("subcategory") or row["category"], "topic": row.get("cluster")}
    return Example(
        task=task,
        example_id=str(row["uid"]),
        input=row["prompt"],
        target=_text(last["content"]["answer"]),
        metadata={name: value for name, value in metadata.items() if value is not None},
    )


def _arena_source(
    version: str, category: str, baseline: str, packed: str, num_examples: int, sha256: str
) -> DataSource:
    """Return the rows of one category, each with the baseline's answer; `packed` ends the local file's name."""
    return DataSource(
        parse=partial(_arena, baseline),
        sha256=sha256,
        num_examples=num_examples,
        local=f"arena_hard/{version}/question.jsonl",
        url=f"{_ARENA}/arena-hard-{version}/question.jsonl",
        is_ours=lambda row: row["category"] == category,
        joins=(
            Join(
                field="answer",
                what=f"answer of {baseline}",
                key=lambda number, row: str(row["uid"]),
                local=f"arena_hard/{version}/model_answer/{baseline}.jsonl{packed}",
                url=f"{_ARENA}/arena-hard-{version}/model_answer/{baseline}.jsonl",
            ),
        ),
    )


_ARENA_PROMPT = TemplateFile(
    format="arena",
    local="arena_hard/judge_config.yaml",
    url=f"{_ARENA_CONFIG}/judge_config.yaml",
)
_CREATIVE_PROMPT = TemplateFile(
    format="arena",
    local="arena_hard/v2.0/creative_writing.yaml",
    url=f"{_ARENA_PROGRAM}/utils/judge_utils.py",
)


def _arena_task(name: str, title: str, source: DataSource, baseline: str, templates: TemplateFile) -> BenchmarkTask:
    return BenchmarkTask(
        name=name,
        version="1",
        suite="chat",
        title=title,
        paper="Li et al. 2024, arXiv 2406.11939",
        licence="Apache-2.0",
        protocol="arena-hard-auto's: both orders, a strong verdict counts three times",
        metric="win_rate",
        source=source,
        prompt=VERBATIM,
        scorer_factory=partial(judged_scorer, name),
        presets=presets(4096),
        near_miss=None,
        gold=None,
        judging=JudgeProtocol(
            kind="pair", templates=templates, baseline=baseline, strong_weight=3, controls=("style",)
        ),
    )


_ARENA_V01_SHA256 = "790ee3d63f72abf297430bc22a06e0d3a038bfcc675f9cb34c57bc88156b84c6"
_ARENA_V2_SHA256 = "9352fb9c4b852885edcb0ad21466c56e7083254261092d9ce3fdb55fcbf00fa3"
_NO_SHA256 = ""
"""Gemini's answers could not be had when this was written."""

ARENA_HARD_V01 = _arena_task(
    "arena_hard_v0.1",
    "Arena-Hard v0.1: 500 hard prompts, judged against GPT-4 (0314)",
    _arena_source("v0.1", "arena-hard-v0.1", "gpt-4-0314", "", 500, _ARENA_V01_SHA256),
    "gpt-4-0314",
    _ARENA_PROMPT,
)
ARENA_HARD_V2 = _arena_task(
    "arena_hard_v2",
    "Arena-Hard v2.0: its 500 hard prompts, judged against o3-mini",
    _arena_source("v2.0", "hard_prompt", "o3-mini-2025-01-31", ".gz", 500, _ARENA_V2_SHA256),
    "o3-mini-2025-01-31",
    _ARENA_PROMPT,  # version 2 keeps its prompt in a program, word for word the one of this file
)
ARENA_HARD_V2_CREATIVE = _arena_task(
    "arena_hard_v2_creative",
    "Arena-Hard v2.0: its 250 creative prompts, judged against Gemini 2.0 Flash",
    _arena_source("v2.0", "creative_writing", "gemini-2.0-flash-001", "", 250, _NO_SHA256),
    "gemini-2.0-flash-001",
    _CREATIVE_PROMPT,
)


# --- MT-Bench ---


def _mt_bench_turns(row: Row) -> Iterator[Row]:
    for turn in range(1, len(row["turns"]) + 1):
        yield {**row, "turn": turn}


def _mt_bench(task: str, number: int, row: Row) -> Example:
    turn, question_id, questions = row["turn"], str(row["question_id"]), row["turns"]
    needs_reference = row["category"] in REFERENCE_CATEGORIES
    references = row["reference_answer"]["choices"][0]["turns"] if needs_reference else [None] * len(questions)
    metadata: dict[str, Any] = {"category": row["category"], "turn": turn, "needs_reference": needs_reference}
    if turn > 1:
        metadata |= {
            "follows": f"{question_id}-{turn - 1}",
            "earlier_questions": questions[: turn - 1],
            "earlier_references": references[: turn - 1],
        }
    return Example(
        task=task,
        example_id=f"{question_id}-{turn}",
        input=questions[turn - 1],
        target=references[turn - 1],
        cluster=question_id,
        metadata=metadata,
    )


MT_BENCH = BenchmarkTask(
    name="mt_bench",
    version="1",
    suite="chat",
    title="MT-Bench: 80 questions of two turns, rated from 1 to 10",
    paper="Zheng et al. 2023, arXiv 2306.05685",
    licence="Apache-2.0",
    protocol="FastChat's single-answer grading; math, reasoning and coding beside references",
    metric="rating/10",
    source=DataSource(
        parse=_mt_bench,
        sha256="9f4e077aa5776e98696fb8860130881f264995885380d336670e1bb7a1aef163",
        num_examples=160,
        local="mt_bench/question.jsonl",
        url=f"{_FASTCHAT}/589532dcfa83700f950b9aa3983416c543afabc0/{_MT_BENCH}/mt_bench/question.jsonl",
        unfold=_mt_bench_turns,
        joins=(
            Join(
                field="reference_answer",
                what="reference answer",
                key=lambda number, row: str(row["question_id"]),
                is_needed=lambda row: row["category"] in REFERENCE_CATEGORIES,
                local="mt_bench/reference_answer_gpt-4.jsonl",
                url=(
                    f"{_FASTCHAT}/ae7cdfd1b823f0a7ed50b843963887a8b460c451/{_MT_BENCH}/mt_bench/"
                    "reference_answer/gpt-4.jsonl"
                ),
            ),
        ),
    ),
    prompt=DIALOGUE,
    scorer_factory=partial(judged_scorer, "mt_bench"),
    presets=presets(1024),
    near_miss=None,
    gold=None,
    judging=JudgeProtocol(
        kind="rating",
        templates=TemplateFile(
            format="fastchat",
            local="mt_bench/judge_prompts.jsonl",
            url=f"{_FASTCHAT}/0e6e7fdc78bf64aceea1508694ce4e6472810b8b/{_MT_BENCH}/judge_prompts.jsonl",
            names={
                "general": "single-v1",
                "general_2": "single-v1-multi-turn",
                "reference": "single-math-v1",
                "reference_2": "single-math-v1-multi-turn",
            },
        ),
    ),
)
TASKS = (ALPACA_EVAL2, ARENA_HARD_V01, ARENA_HARD_V2, ARENA_HARD_V2_CREATIVE, MT_BENCH)
