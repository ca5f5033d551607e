"""Reading run directories and packing their texts."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StoreError
from reports.page.examples import MAX_CHARACTERS, pack_examples
from tests.reports.page.runs import Answered, Asked, toy_tasks, write_run


def unpack(chunk: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(chunk)))


def test_texts_come_back_as_they_were(tmp_path: Path) -> None:
    """Prompt, target and every field of a generation survive packing."""
    runs = [write_run(tmp_path, label, toy_tasks(label, 4)) for label in ("base", "grlo")]
    book = pack_examples(runs)
    (task,) = book.tasks
    assert (book.labels, book.num_generations, book.num_shown) == (("base", "grlo"), 8, 8)
    assert unpack(task.prompts)[1] == ["What is 1 + 1?", "2"]
    (generation,) = unpack(task.generations["grlo"])[1]
    asked = toy_tasks("grlo", 4)["gsm8k"][1]
    assert generation == [
        asked.generations[0].text, "scored", 0.0, "8", "differs from the target", "stop", 20, None, 0, 0
    ]  # fmt: skip


def test_the_index_has_the_mean_of_every_example(tmp_path: Path) -> None:
    """Means are over generations; an example with an error has none."""
    asked = [
        Asked("a", "?", "1", [Answered("x", 1.0), Answered("y", 0.0)]),
        Asked("b", "?", "1", [Answered("x", 1.0), Answered("", 0.0, outcome="error")]),
        Asked("c", "?", "1", [Answered("", 0.0, outcome="no_answer")] * 2),
    ]
    (index,) = unpack(pack_examples([write_run(tmp_path, "base", {"gsm8k": asked})]).index)
    assert index == {
        "name": "gsm8k",
        "suite": "math",
        "ids": ["a", "b", "c"],
        "means": {"base": [0.5, None, 0.0]},
        "shown": [0, 1, 2],
    }


def test_several_runs_of_a_label_stand_side_by_side(tmp_path: Path) -> None:
    """Generations of the second run follow those of the first, and say which run they are from."""
    first = {"gsm8k": [Asked("a", "?", "1", [Answered("one", 1.0), Answered("two", 0.0)])]}
    second = {"gsm8k": [Asked("a", "?", "1", [Answered("three", 0.0), Answered("four", 0.0)])]}
    book = pack_examples([write_run(tmp_path / "1", "base", first), write_run(tmp_path / "2", "base", second)])
    (rows,) = unpack(book.tasks[0].generations["base"])
    assert [(row[0], row[8], row[9]) for row in rows] == [("one", 0, 0), ("two", 0, 1), ("three", 1, 0), ("four", 1, 1)]
    assert unpack(book.index)[0]["means"] == {"base": [0.25]}


def test_a_regrading_is_read_by_its_own_scores(tmp_path: Path) -> None:
    """StudyRun.grading names the file of scores."""
    run = write_run(tmp_path, "base", {"gsm8k": [Asked("a", "?", "1", [Answered("x", 0.0)])]})
    scores = Path(run.path) / "scores.jsonl"
    (Path(run.path) / "scores.ab12.jsonl").write_text(scores.read_text().replace('"value":0.0', '"value":1.0'))
    again = type(run)(run.label, run.path, ".ab12", run.record)
    assert unpack(pack_examples([again]).index)[0]["means"] == {"base": [1.0]}


def test_too_many_generations_keep_whole_flipped_examples_first(tmp_path: Path) -> None:
    """Of each four toy examples two flip; the limit keeps flipped ones in order, with all labels' generations."""
    runs = [write_run(tmp_path, label, toy_tasks(label, 40)) for label in ("base", "grlo")]
    book = pack_examples(runs, max_generations=11)
    (index,) = unpack(book.index)
    assert len(index["ids"]) == 40
    assert index["shown"] == [0, 1, 4, 5, 8]
    assert (book.num_generations, book.num_shown, book.tasks[0].num_shown) == (80, 10, 5)
    assert len(unpack(book.tasks[0].generations["base"])) == 5


def test_what_a_small_task_does_not_need_goes_to_the_large(tmp_path: Path) -> None:
    """20 generations over tasks of 4 and 40 examples: 4 and 16."""
    asked = toy_tasks("base", 40)["gsm8k"]
    book = pack_examples([write_run(tmp_path, "base", {"large": asked, "small": asked[:4]})], max_generations=20)
    assert {task.name: task.num_shown for task in book.tasks} == {"large": 16, "small": 4}


def test_no_generations_asked_for_is_an_empty_book(tmp_path: Path) -> None:
    """0 leaves the example browser out and reads nothing."""
    book = pack_examples([write_run(tmp_path, "base", toy_tasks("base", 4))], max_generations=0)
    assert (book.tasks, book.num_generations, unpack(book.index)) == ((), 0, [])


def test_only_huge_texts_are_cut_and_say_so(tmp_path: Path) -> None:
    """A text at the limit is whole; one above ends in a mark with the number of characters that are missing."""
    given = [Answered("x" * MAX_CHARACTERS, 1.0), Answered("y" * (MAX_CHARACTERS + 2345), 1.0)]
    asked = Asked("a", "p" * (MAX_CHARACTERS + 1), "t" * (MAX_CHARACTERS + 1), given)
    book = pack_examples([write_run(tmp_path, "base", {"gsm8k": [asked]})])
    assert all("cut here: 1 more" in text for text in unpack(book.tasks[0].prompts)[0])
    ((whole, cut),) = unpack(book.tasks[0].generations["base"])
    assert whole[0] == "x" * MAX_CHARACTERS
    assert cut[0] == "y" * MAX_CHARACTERS + "\n\n[… cut here: 2,345 more characters are in the run …]"


def test_equal_texts_give_equal_bytes(tmp_path: Path) -> None:
    """Nothing of the clock is in a chunk, nor in the four bytes that gzip has for it."""
    run = write_run(tmp_path, "base", toy_tasks("base", 8))
    assert pack_examples([run]) == pack_examples([run])
    assert base64.b64decode(pack_examples([run]).index)[4:8] == bytes(4)


def test_generations_stand_by_index(tmp_path: Path) -> None:
    """However an interrupted run wrote them."""
    run = write_run(tmp_path, "base", {"gsm8k": [Asked("a", "?", "1", [Answered("x", 1.0), Answered("y", 0.0)])]})
    file = Path(run.path) / "generations.jsonl"
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    (rows,) = unpack(pack_examples([run]).tasks[0].generations["base"])
    assert [(row[0], row[2]) for row in rows] == [("x", 1.0), ("y", 0.0)]


def test_labels_of_which_one_has_no_verdict_do_not_differ(tmp_path: Path) -> None:
    """An example with an error on one side is no flip, and is shown after those that are one."""
    right, wrong, failed = Answered("x", 1.0), Answered("x", 0.0), Answered("", 0.0, outcome="error")
    both = {"base": [right, right, wrong], "grlo": [failed, wrong, wrong]}
    runs = [
        write_run(
            tmp_path, label, {"gsm8k": [Asked(name, "?", "1", [one]) for name, one in zip("abc", given, strict=True)]}
        )
        for label, given in both.items()
    ]
    assert unpack(pack_examples(runs, max_generations=2).index)[0]["shown"] == [1]


def test_a_label_without_a_task_is_not_in_it(tmp_path: Path) -> None:
    """Each task lists only the labels that were asked it."""
    asked = toy_tasks("base", 4)["gsm8k"]
    runs = [
        write_run(tmp_path, "base", {"gsm8k": asked, "aime24": asked}),
        write_run(tmp_path, "grlo", {"gsm8k": asked}),
    ]
    book = pack_examples(runs)
    assert {task.name: list(task.generations) for task in book.tasks} == {"gsm8k": ["base", "grlo"], "aime24": ["base"]}


def test_a_run_that_lost_its_texts_is_an_error(tmp_path: Path) -> None:
    """A missing file is named."""
    run = write_run(tmp_path, "base", toy_tasks("base", 4))
    (Path(run.path) / "generations.jsonl").unlink()
    with pytest.raises(StoreError, match=r"generations\.jsonl"):
        pack_examples([run])
