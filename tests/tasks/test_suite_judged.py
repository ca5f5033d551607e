"""Judged tasks: prompts joined with the answers and references that a judge is shown; what lacks one is named."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, UsageError
from harness.rows import read_jsonl
from harness.schema import ScorerOptions
from tasks.dataset import check_hash
from tasks.registry import SUITES, TASKS
from tasks.suite_judged import ALPACA_EVAL2, ARENA_HARD_V01, ARENA_HARD_V2, ARENA_HARD_V2_CREATIVE, MT_BENCH
from tasks.task import BenchmarkTask

Run = Callable[..., tuple[int, str, str]]
JUDGED = [name for name, task in TASKS.items() if task.judging is not None]


def write(path: Path, rows: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def from_web(task: BenchmarkTask, folder: Path) -> BenchmarkTask:
    """Return the task with a folder in place of its authors' web sites."""

    def here(url: str | None) -> str:
        assert url is not None
        return (folder / url.rsplit("/", 1)[1]).as_uri()

    joins = tuple(replace(join, url=here(join.url)) for join in task.source.joins)
    source = replace(task.source, url=here(task.source.url), joins=joins)
    assert task.judging is not None
    assert task.judging.templates is not None
    templates = replace(task.judging.templates, url=here(task.judging.templates.url))
    return replace(task, source=source, judging=replace(task.judging, templates=templates))


def write_arena(folder: Path, uids: Iterable[str], answered: Iterable[str], model: str = "gpt-4-0314") -> None:
    """Write a small Arena-Hard v0.1."""
    place = folder / "arena_hard" / "v0.1"
    questions = [{"uid": uid, "category": "arena-hard-v0.1", "cluster": "Sums", "prompt": f"¿{uid}?"} for uid in uids]
    write(place / "question.jsonl", questions)
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": {"answer": "Sí."}}]
    answers = [{"uid": uid, "model": model, "messages": said} for uid in answered]
    write(place / "model_answer" / "gpt-4-0314.jsonl", answers)


def write_alpaca(folder: Path, instructions: list[str]) -> None:
    """Write a small AlpacaEval as its authors have it on the web: an array without numbers, and a table."""
    rows = [
        {"dataset": "koala", "instruction": text, "output": f"{text}!", "generator": "gpt4_1106_preview"}
        for text in instructions
    ]
    (folder / "alpaca_eval_gpt4_baseline.json").write_text(json.dumps(rows))
    table = "".join(f"{number},{number / 4 + 1e-8}\n" for number in range(len(rows)))
    (folder / "instruction_difficulty.csv").write_text(f",instruction_difficulty\n{table}")


def test_answers_are_joined_by_id(tmp_path: Path) -> None:
    """Whatever their order; rows of other questions are left alone; text of any language stays as it is."""
    write_arena(tmp_path, ["b", "a"], ["x", "a", "b"])
    data = ARENA_HARD_V01.load(tmp_path, None)
    assert [(example.example_id, example.input, example.target) for example in data.examples] == [
        ("b", "¿b?", "Sí."),
        ("a", "¿a?", "Sí."),
    ]
    assert data.examples[0].metadata == {"category": "arena-hard-v0.1", "topic": "Sums"}


def test_prompts_without_an_answer_are_named(tmp_path: Path) -> None:
    """How many, which, of whom, in which file, and where a whole one is."""
    write_arena(tmp_path, ["a", "b", "c"], ["b"])
    with pytest.raises(DataError, match=r"2 of 3 rows have no answer of gpt-4-0314 in .*: a, c; a whole .* https://"):
        ARENA_HARD_V01.load(tmp_path, None)
    write_arena(tmp_path, [f"q{number}" for number in range(20)], [])
    with pytest.raises(DataError, match=r"q8, q9 and 10 more;"):
        ARENA_HARD_V01.load(tmp_path, None)


def test_answers_of_another_model_are_refused(tmp_path: Path) -> None:
    """A win against another baseline is another number."""
    write_arena(tmp_path, ["a"], ["a"], model="gpt-4-0613")
    with pytest.raises(DataError, match="gpt-4-0613's, expected gpt-4-0314's"):
        ARENA_HARD_V01.load(tmp_path, None)


def test_duplicate_instructions_stay_apart(tmp_path: Path) -> None:
    """Each has its number, its answer and its difficulty; numbers that agree to 1e-8 are one number."""
    write_alpaca(tmp_path, ["Sing.", "Sing.", "Dance."])
    data = from_web(ALPACA_EVAL2, tmp_path).load(None, None)
    assert [(each.example_id, each.input, each.target) for each in data.examples] == [
        ("0", "Sing.", "Sing.!"),
        ("1", "Sing.", "Sing.!"),
        ("2", "Dance.", "Dance.!"),
    ]
    assert [each.metadata["difficulty"] for each in data.examples] == [0.0, 0.25, 0.5]


def test_an_answer_that_is_no_text_is_named(tmp_path: Path) -> None:
    """An empty answer is an answer, null is none."""
    write_alpaca(tmp_path, ["", "Sing."])
    path = tmp_path / "alpaca_eval_gpt4_baseline.json"
    path.write_text(path.read_text().replace('"Sing.!"', "null"))
    with pytest.raises(DataError, match=r"row 1 of .* does not fit: TypeError an answer is NoneType"):
        from_web(ALPACA_EVAL2, tmp_path).load(None, None)


def test_real_rows_from_the_web_are_the_registered_ones(data_dir: Path, tmp_path: Path) -> None:
    """AlpacaEval's array and table normalise to the hash of the local files."""
    rows = [dict(row) for row in read_jsonl(data_dir / "alpacaeval2" / "reference_gpt4_1106_preview.jsonl")]
    for row in rows:
        del row["index"]
    (tmp_path / "alpaca_eval_gpt4_baseline.json").write_text(json.dumps(rows))
    difficulties = read_jsonl(data_dir / "alpacaeval2" / "instruction_difficulty.jsonl")
    lines = [f"{row['index']},{row['instruction_difficulty'] + 3e-8}\n" for row in difficulties]
    (tmp_path / "instruction_difficulty.csv").write_text("index,instruction_difficulty\n" + "".join(lines))
    assert from_web(ALPACA_EVAL2, tmp_path).load(None, None).sha256 == ALPACA_EVAL2.data_sha256


def test_mt_bench_has_two_turns_a_question(data_dir: Path) -> None:
    """160 examples in 80 clusters; references where FastChat has them; the second turn knows the first."""
    examples = MT_BENCH.load(data_dir, None).examples
    assert [example.example_id for example in examples[:3]] == ["81-1", "81-2", "82-1"]
    assert len({example.cluster for example in examples}) == 80
    with_reference = {example.metadata["category"] for example in examples if example.target is not None}
    assert with_reference == {"math", "reasoning", "coding"}
    found = {example.example_id: example for example in examples}
    first, second = found["101-1"], found["101-2"]
    assert (MT_BENCH.follows(first), MT_BENCH.follows(second)) == (None, "101-1")
    assert second.metadata["earlier_questions"] == [first.input]
    assert second.metadata["earlier_references"] == [first.target]
    assert (first.metadata["turn"], second.metadata["turn"]) == (1, 2)
    assert first.metadata["needs_reference"] is True


def test_references_that_are_needed_are_missed(data_dir: Path, tmp_path: Path) -> None:
    """A mathematical question without its reference is named; a question of writing needs none."""
    questions = [dict(row) for row in read_jsonl(data_dir / "mt_bench" / "question.jsonl")]
    write(tmp_path / "mt_bench" / "question.jsonl", [row for row in questions if row["question_id"] in (81, 112, 113)])
    references = [dict(row) for row in read_jsonl(data_dir / "mt_bench" / "reference_answer_gpt-4.jsonl")]
    kept = [row for row in references if row["question_id"] == 112]
    write(tmp_path / "mt_bench" / "reference_answer_gpt-4.jsonl", kept)
    with pytest.raises(DataError, match=r"1 of 3 rows have no reference answer in .*: 113;"):
        MT_BENCH.load(tmp_path, None)


def test_arena_hard_v2_is_two_tasks(data_dir: Path, tmp_path: Path) -> None:
    """500 hard prompts with o3-mini's answers; the 250 creative ones say whose answers are missing, and from where."""
    hard = ARENA_HARD_V2.load(data_dir, None).examples
    assert {example.metadata["category"] for example in hard} == {"coding", "math"}
    creative = from_web(ARENA_HARD_V2_CREATIVE, tmp_path)
    with pytest.raises(DataError, match=r"250 rows need the answer of gemini-2.0-flash-001: .* cannot be had"):
        creative.load(data_dir, None)
    uids = {example.example_id for example in hard}
    rows = read_jsonl(data_dir / "arena_hard" / "v2.0" / "question.jsonl")
    said = [{"role": "assistant", "content": {"answer": "Once."}}]
    answers = [{"uid": row["uid"], "model": "gemini-2.0-flash-001", "messages": said} for row in rows]
    write(tmp_path / "gemini-2.0-flash-001.jsonl", answers)
    data = creative.load(data_dir, None)
    assert len(data.examples) == creative.source.num_examples == 250
    assert not uids & {example.example_id for example in data.examples}


def test_rows_without_a_registered_hash_want_consent(tmp_path: Path) -> None:
    """Nobody compared them: the message says so, and the flag it prints lets them through."""
    write_arena(tmp_path, ["a"], ["a"])
    data = ARENA_HARD_V01.load(tmp_path, None)
    assert ARENA_HARD_V2_CREATIVE.data_sha256 == ""
    with pytest.raises(DataError, match=f"no hash is registered .* --accept-data some={data.sha256}"):
        check_hash("some", "", data, None)
    check_hash("some", "", data, data.sha256)
    with pytest.raises(DataError, match="expected 1111"):
        check_hash("some", "", data, "1" * 64)


@pytest.mark.parametrize("name", JUDGED)
def test_judged_tasks_want_a_judge(name: str) -> None:
    """Each names itself, so that the message says which task of a suite it is."""
    task = TASKS[name]
    with pytest.raises(UsageError, match=rf"^{name} is judged: pass --judge FILE .* --judge later"):
        task.scorer_factory(ScorerOptions(num_workers=1)).check()
    assert (task.gold, task.near_miss) == (None, None)
    assert task.judging is not None
    assert task.metric == ("rating/10" if task.judging.kind == "rating" else "win_rate")


def test_the_chat_suite_is_ifeval_and_judged_tasks() -> None:
    """Those whose rows and baselines are all registered."""
    assert SUITES["chat"] == ("ifeval", "alpaca_eval2", "arena_hard_v2", "mt_bench")
    assert all(TASKS[name].data_sha256 for name in SUITES["chat"])


def test_rows_joins_and_prompts_are_fetched(tmp_path: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three files land under the data folder; the second fetch finds them there."""
    web, data = tmp_path / "web", tmp_path / "data"
    web.mkdir()
    write_alpaca(web, ["Sing.", "Dance."])
    prompt = "<|im_start|>user\n{instruction}: {output_1} or {output_2}?\n<|im_end|>\n"
    (web / "alpaca_eval_clf.txt").write_text(prompt)
    task = from_web(ALPACA_EVAL2, web)
    digest = task.load(None, None).sha256
    monkeypatch.setitem(TASKS, "alpaca_eval2", task)
    command = ["fetch", "--task", "alpaca_eval2", "--data-dir", str(data), "--accept-data", f"alpaca_eval2={digest}"]
    code, out, err = run_harness(*command)
    assert code == 0, err
    assert "alpaca_eval2: 2 rows, of file://" in out
    assert "alpaca_eval2: difficulty of the instruction, of file://" in out
    assert (data / "alpacaeval2" / "alpaca_eval_clf.txt").read_text() == prompt
    (web / "alpaca_eval_gpt4_baseline.json").unlink()
    assert task.load(data, None).sha256 == digest
    assert run_harness(*command)[1].count("already there") == 3


def test_a_prompt_file_that_is_none_is_not_fetched(
    tmp_path: Path, run_harness: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web site's page of errors never becomes a judge's prompt."""
    web, data = tmp_path / "web", tmp_path / "data"
    web.mkdir()
    write_alpaca(web, ["Sing."])
    (web / "alpaca_eval_clf.txt").write_text("<html>Not here</html>")
    task = from_web(ALPACA_EVAL2, web)
    monkeypatch.setitem(TASKS, "alpaca_eval2", task)
    accepted = f"alpaca_eval2={task.load(None, None).sha256}"
    code, _, err = run_harness("fetch", "--task", "alpaca_eval2", "--data-dir", str(data), "--accept-data", accepted)
    assert code == 3
    assert "expected one <|im_start|>user message" in err
    assert not (data / "alpacaeval2" / "alpaca_eval_clf.txt").exists()


def test_tasks_show_says_what_a_judge_is_asked(run_harness: Run, data_dir: Path) -> None:
    """Joined files, the other side, the prompt file; and what a check of such a task is."""
    code, out, _ = run_harness("tasks", "show", "alpaca_eval2", "--data-dir", str(data_dir))
    assert code == 0
    assert "difficulty of the instruction, from DATA/alpacaeval2/instruction_difficulty.jsonl or https://" in out
    assert "the other is gpt4_1106_preview's, by the prompts of DATA/alpacaeval2/alpaca_eval_clf.txt" in out
    code, out, err = run_harness("tasks", "check", "alpaca_eval2,mt_bench", "--data-dir", str(data_dir))
    assert code == 0, err
    assert out.count("a judge decides") == 6
