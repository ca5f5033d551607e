"""`harness score`: other tools' generations become ordinary runs; a run is graded again beside its old grades."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.schema import RunRecord, Score
from harness.store import read_lines
from tasks.registry import TASKS

Run = Callable[..., tuple[int, str, str]]
EXAMPLES = TASKS["lab_math"].load(None, None).examples


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def answer(number: int) -> str:
    """Return a right answer for even examples, a wrong one for odd ones."""
    target = int(EXAMPLES[number].target or 0)
    return f"The answer is {target if number % 2 == 0 else target + 1}."


ROWS = [{"example_id": example.example_id, "text": answer(number)} for number, example in enumerate(EXAMPLES)]
SHAPES = {
    "plain": (ROWS, []),
    "lm-eval": (
        [
            {"doc_id": row["example_id"], "doc": {"q": "?"}, "resps": [[row["text"]]], "filtered_resps": ["x"]}
            for row in ROWS
        ],
        [],
    ),
    "evalplus": ([{"task_id": row["example_id"], "solution": row["text"]} for row in ROWS], []),
    "mapped": (
        [{"n": {"id": row["example_id"]}, "out": [row["text"]]} for row in ROWS],
        ["--map", "example_id=n.id,text=out.0"],
    ),
    "by input": (
        [{"q": f" {example.input} ", "a": answer(number)} for number, example in enumerate(EXAMPLES)],
        ["--map", "input=q,text=a"],
    ),
    "prefixed": (
        [{"id": row["example_id"].removeprefix("math-"), "response": row["text"]} for row in ROWS],
        ["--id-prefix", "math-"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_known_shapes_are_graded(tmp_path: Path, run_harness: Run, shape: str, suffix: str) -> None:
    """Half of the answers are right, whoever wrote the file."""
    rows, extra = SHAPES[shape]
    path = write(tmp_path / f"model-a{suffix}", rows)
    code, out, err = run_harness(
        "score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"), "--json", *extra
    )
    assert (code, err) == (0, "")
    record = msgspec.json.decode(out, type=RunRecord)
    assert record.spec.checkpoint.label == "model-a"
    assert (record.spec.prompting, record.spec.engine.name) == ("imported", "imported")
    assert record.tasks[0].score.value == 0.5
    assert record.tasks[0].num_finish_unknown == 200


def test_several_generations_of_an_example_are_averaged(tmp_path: Path, run_harness: Run) -> None:
    """Rows of one example count up from 0; k is found from the file."""
    rows = [{"example_id": row["example_id"], "text": text} for row in ROWS for text in (row["text"], "no idea")]
    path = write(tmp_path / "m.jsonl", rows)
    _, out, _ = run_harness(
        "score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"), "--json"
    )
    (summary,) = msgspec.json.decode(out, type=RunRecord).tasks
    assert (summary.metric, summary.num_planned, summary.score.value) == ("avg@2 accuracy", 400, 0.25)


BAD = [
    ([*ROWS[:-1]], [], "lacks 1 of 200 examples of lab_math, first math-0199"),
    ([*ROWS, {"example_id": "math-9999", "text": ""}], [], "line 201: lab_math has no example math-9999"),
    ([*ROWS, ROWS[0]], [], "example math-0001 has 1 generations, others have 2"),
    ([*ROWS[:3], {"example_id": "math-0003", "text": None}], [], "line 4: text is NoneType, expected text"),
    ([*ROWS[:3], {"example_id": "math-0003"}], [], "line 4 has no field text"),
    (ROWS, ["--map", "example_id=id,text=text"], "line 1 has no field id"),
    ([{**row, "i": 5} for row in ROWS], ["--map", "example_id=example_id,text=text,index=i"], "only 1 in all"),
    ([{**row, "i": True} for row in ROWS], ["--map", "example_id=example_id,text=text,index=i"], "from 0 or 1"),
    (ROWS, ["--map", "example_id=example_id,text=text,continuation=yes"], "expected true or false"),
    (ROWS, ["--label", "../up"], "cannot name a folder"),
    (ROWS, ["--map", "text=text"], "needs text=FIELD, and example_id=FIELD or input=FIELD"),
    (ROWS, ["--map", "example_id=example_id,txt=text"], "expected NAME=FIELD"),
    ([{"a": 1, "b": 2}], [], "has fields a, b; say which is which"),
    ([], [], "has no rows"),
]


@pytest.mark.parametrize(("rows", "extra", "message"), BAD, ids=[message for *_, message in BAD])
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, run_harness: Run, rows: list[dict[str, Any]], extra: list[str], message: str
) -> None:
    """Missing, doubled and unknown ids, missing fields: one line that names the place, and no run directory."""
    path = write(tmp_path / "m.jsonl", rows)
    code, out, err = run_harness(
        "score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"), *extra
    )
    assert code == 3
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert not (tmp_path / "runs").exists()


def test_repeats_logged_in_one_row_are_all_graded(tmp_path: Path, run_harness: Run) -> None:
    """lm-eval with `repeats: 2` lists both completions in one row."""
    rows = [{"doc_id": row["example_id"], "resps": [[row["text"], "no idea"]]} for row in ROWS]
    path = write(tmp_path / "m.jsonl", rows)
    _, out, _ = run_harness(
        "score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"), "--json"
    )
    (summary,) = msgspec.json.decode(out, type=RunRecord).tasks
    assert (summary.num_generations, summary.score.value) == (2, 0.25)


def test_files_may_count_generations_from_1(tmp_path: Path, run_harness: Run) -> None:
    """Runs 1 and 2 are generations 0 and 1."""
    rows = [{**row, "run": run} for row in ROWS for run in (2, 1)]
    path = write(tmp_path / "m.jsonl", rows)
    command = ["score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"), "--json"]
    code, out, err = run_harness(*command, "--map", "example_id=example_id,text=text,index=run")
    assert code == 0, err
    assert msgspec.json.decode(out, type=RunRecord).tasks[0].num_generations == 2


def test_text_that_no_file_can_hold_is_graded(tmp_path: Path, run_harness: Run) -> None:
    """A lone surrogate, which JSON can spell, is replaced."""
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({**row, "text": row["text"] + "\ud800"}) + "\n" for row in ROWS))
    code, _, err = run_harness("score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "r"))
    assert (code, err) == (0, "")


def test_pairing_is_part_of_the_identity(tmp_path: Path, run_harness: Run) -> None:
    """The same file paired with other examples is another run."""
    rows = [{"id": f"{number:03d}", "text": "The answer is 1."} for number in range(5)]
    path = write(tmp_path / "m.jsonl", rows)
    command = [
        "score",
        "--task",
        "lab_math",
        "--generations",
        str(path),
        "--out",
        str(tmp_path / "runs"),
        "--allow-missing",
    ]
    for prefix in ("math-0", "math-0"):
        assert run_harness(*command, "--map", "example_id=id,text=text", "--id-prefix", prefix)[0] == 0
    path = write(tmp_path / "m.jsonl", [{**row, "id": row["id"][1:]} for row in rows])
    assert run_harness(*command, "--map", "example_id=id,text=text", "--id-prefix", "math-01")[0] == 0
    assert len(list((tmp_path / "runs" / "m").iterdir())) == 2


def test_an_unfinished_run_is_not_graded_in_part(tmp_path: Path, run_harness: Run) -> None:
    """It is resumed first; no stray files are left."""
    path = write(tmp_path / "m.jsonl", ROWS)
    run_harness("score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"))
    (folder,) = (tmp_path / "runs" / "m").iterdir()
    (folder / "run.json").unlink()
    before = sorted(folder.iterdir())
    code, _, err = run_harness("score", str(folder))
    assert code == 3
    assert "has not finished" in err
    assert sorted(folder.iterdir()) == before


def test_a_suite_is_not_a_task(tmp_path: Path, run_harness: Run) -> None:
    """One file answers one task."""
    path = write(tmp_path / "m.jsonl", ROWS)
    code, _, err = run_harness("score", "--task", "lab", "--generations", str(path), "--out", str(tmp_path / "runs"))
    assert code == 3
    assert "--task lab is 3 tasks" in err


def test_missing_and_extra_rows_can_be_allowed(tmp_path: Path, run_harness: Run) -> None:
    """Explicitly, with the number left out on stderr; n says how many were scored."""
    path = write(tmp_path / "m.jsonl", [*ROWS[:150], {"example_id": "other", "text": ""}])
    code, out, err = run_harness(
        "score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"),
        "--allow-missing", "--allow-extra",
    )  # fmt: skip
    assert code == 0
    assert "50 of 200 examples have no generation and are left out" in err
    assert "150" in out


def test_a_run_is_graded_again_beside_its_old_grades(tmp_path: Path, run_harness: Run) -> None:
    """The generations and the old scores stay as they are; changed verdicts are counted."""
    path = write(tmp_path / "m.jsonl", ROWS)
    run_harness("score", "--task", "lab_math", "--generations", str(path), "--out", str(tmp_path / "runs"))
    (folder,) = (tmp_path / "runs" / "m").iterdir()
    scores = folder / "scores.jsonl"
    lines = list(read_lines(scores, Score))
    wrong = [msgspec.structs.replace(score, value=1.0 - score.value) for score in lines[:7]] + lines[7:]
    scores.write_bytes(b"".join(msgspec.json.encode(score) + b"\n" for score in wrong))
    before = scores.read_bytes()
    code, _, err = run_harness("score", str(folder))
    assert code == 0
    assert "7 of 200 verdicts changed" in err
    assert scores.read_bytes() == before
    (again,) = folder.glob("scores.*.jsonl")
    assert sorted(read_lines(again, Score), key=lambda s: s.key) == sorted(lines, key=lambda s: s.key)
