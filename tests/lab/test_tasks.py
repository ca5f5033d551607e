"""The held-out rows: good answers count, every way of failing does not."""

import json
from random import Random
from typing import Any

import pytest

from harness.schema import Example, Generation, RequestKey, ScorerOptions
from harness.scorers.answer_text import extract_answer
from harness.scorers.text import TextChecksScorer
from trainers.lab import arithmetic, chat, noise, programs
from trainers.lab.causes import find_cause, first_answer
from trainers.lab.problem import DOMAINS, Domain, is_held_out
from trainers.lab.tasks import DATA_FOLDER, gist, held_out_problems, render_files, shot_problems

BUILTINS = {"max": max, "min": min, "len": len, "sum": sum, "abs": abs}


def read_rows(domain: Domain) -> list[dict[str, Any]]:
    """Return a task's embedded rows."""
    return [json.loads(line) for line in (DATA_FOLDER / f"lab_{domain}.jsonl").read_text().splitlines()]


def judge_chat(row: dict[str, Any], text: str, finish: str = "stop") -> float:
    """Return the scorer's value of a chat answer."""
    example = Example(task="lab_chat", example_id=row["id"], input="", target=None, metadata={"checks": row["checks"]})
    generation = Generation(
        key=RequestKey(task="lab_chat", example_id=row["id"], index=0),
        text=text,
        finish_reason=finish,  # type: ignore[arg-type]
        num_prompt_tokens=None,
        num_completion_tokens=None,
        seconds=0.0,
    )
    return TextChecksScorer(ScorerOptions(num_workers=1)).score(example, generation).value


def outputs(row: dict[str, Any], source: str) -> list[Any]:
    """Run one of our own generated expressions on a row's inputs."""
    scope: dict[str, Any] = {"__builtins__": BUILTINS}
    exec(source, scope)
    return [scope[row["entry_point"]](*arguments) for arguments in row["base_input"] + row["plus_input"]]


@pytest.mark.parametrize("domain", DOMAINS)
def test_rows_are_complete(domain: Domain) -> None:
    """200 rows, distinct ids and prompts, every level present."""
    rows = read_rows(domain)
    assert len({row["id"] for row in rows}) == len({row.get("question", row.get("prompt")) for row in rows}) == 200
    assert {row["level"] for row in rows} == ({1, 2, 3, 4} if domain == "math" else {1, 2, 3})


def test_chat_targets_score_one() -> None:
    """Every reference chat answer passes every check."""
    assert [row["id"] for row in read_rows("chat") if judge_chat(row, row["target"]) != 1.0] == []


@pytest.mark.parametrize("mode", [mode for mode in noise.MODES if mode != "clean"])
def test_spoiled_chat_answers_score_zero(mode: noise.Mode) -> None:
    """Each way of failing fails, on every row, and clean answers pass."""
    rng = Random(11)
    rows, problems = read_rows("chat"), held_out_problems("chat")
    for row, problem in zip(rows, problems, strict=True):
        text, ended = noise.respond(problem, mode, rng)
        assert judge_chat(row, text, "stop" if ended else "length") == 0.0, text
        assert judge_chat(row, chat.answer(problem, rng)) == 1.0


def test_math_answers_count_only_where_the_result_is_last() -> None:
    """Clean answers give the result; buried, taken back and wrong ones give another number."""
    rng = Random(12)
    for row, problem in zip(read_rows("math"), held_out_problems("math"), strict=True):
        assert extract_answer(arithmetic.answer(problem, rng), "last_number") == row["answer"]
        for mode in ("contradict", "wrong"):
            text, _ = noise.respond(problem, mode, rng)  # type: ignore[arg-type]
            assert extract_answer(text, "last_number") != row["answer"], text


def test_first_answers_show_what_is_known() -> None:
    """Cut after its first answer, a rambling, buried or retracted solution is right."""
    rng = Random(13)
    for row, problem in zip(read_rows("math"), held_out_problems("math"), strict=True):
        for mode in ("ramble", "contradict", "misformat"):
            text, _ = noise.respond(problem, mode, rng)  # type: ignore[arg-type]
            assert extract_answer(first_answer("math", text), "last_number") == row["answer"], text


def test_code_targets_run_and_their_opposites_differ() -> None:
    """The reference and the target agree on all inputs; the look-alike differs on at least one."""
    for row, problem in zip(read_rows("code"), held_out_problems("code"), strict=True):
        expected = outputs(row, row["prompt"] + row["canonical_solution"])
        assert outputs(row, row["target"].removeprefix("```python\n").removesuffix("```")) == expected
        assert outputs(row, programs.function(problem.data, problem.data.opposite)) != expected, row["question"]


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("ramble", "no_end"),
        ("evasive", "evasive"),
        ("contradict", "taken_back"),
        ("misformat", "format"),
        ("off_topic", "off_topic"),
        ("wrong", "wrong"),
    ],
)
@pytest.mark.parametrize("domain", DOMAINS)
def test_causes_are_told_apart(domain: Domain, mode: noise.Mode, cause: str) -> None:
    """For at least nine answers in ten the cause found is the one the generator put in.

    Off-topic arithmetic that shows a bare result cannot be told from a wrong result: six in ten.
    """
    rng = Random(14)
    rows, problems = read_rows(domain)[:100], held_out_problems(domain)[:100]
    found = []
    for row, problem in zip(rows, problems, strict=True):
        text, ended = noise.respond(problem, mode, rng)
        knows = float(mode in ("ramble", "contradict", "misformat"))
        found.append(find_cause(domain, row, text, ended, 0.0, knows))
    assert found.count(cause) >= (60 if (domain, mode) == ("math", "off_topic") else 90), found  # type: ignore[arg-type]


def test_files_are_made_again_byte_for_byte() -> None:
    """The repository's rows are the generator's."""
    assert {name: (DATA_FOLDER / name).read_text() for name in render_files()} == render_files()


@pytest.mark.parametrize("domain", DOMAINS)
def test_worked_examples_are_the_webs_and_near_no_row(domain: Domain) -> None:
    """None is held out, none asks what a row asks in other words, each has a wording of its own."""
    shots = shot_problems(domain)
    assert not any(is_held_out(problem) for problem in shots)
    assert not {gist(problem) for problem in shots} & {gist(problem) for problem in held_out_problems(domain)}
    assert len({problem.phrasing for problem in shots}) == len(shots) == 4
