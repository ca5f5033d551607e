"""`harness diff` end to end: what differs, what it means, and exit codes as of diff(1)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
BASE = ["eval", "--ckpt", "scripted:mixed", "--task", "lab_math,lab_chat", "--limit", "3"]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_harness: Run) -> Callable[..., Path]:
    """Return a function that makes a run of a label and returns its directory."""
    monkeypatch.chdir(tmp_path)

    def make(label: str, *arguments: str) -> Path:
        code, _, err = run_harness(*BASE, "--label", label, *arguments)
        assert code == 0, err
        (spec,) = Path("runs", label).glob("*/spec.json")
        return spec.parent

    return make


def test_a_relabelled_run_is_the_same_run(make_run: Callable[..., Path], run_harness: Run) -> None:
    """Names do not count: exit code 0."""
    make_run("one")
    make_run("two")
    code, out, _ = run_harness("diff", "runs/one", "runs/two")
    assert code == 0
    assert "Nothing that decides a result differs" in out


def test_fields_that_compare_refuses_are_named(make_run: Callable[..., Path], run_harness: Run) -> None:
    """Sampling must agree; tasks that differ alike share a row; exit code 1."""
    left, right = make_run("one"), make_run("two", "--set", "sampling.temperature=0.7")
    code, out, _ = run_harness("diff", str(left), str(right))
    assert code == 1
    assert "lab_chat, lab_math" in out
    assert "temperature 0.7" in out
    assert "refuses to compare these: sampling must agree" in out
    assert "--allow-drift sampling" in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_fields_that_compare_takes_are_told_apart(make_run: Callable[..., Path], run_harness: Run) -> None:
    """Another seed and another limit decide results, but may be compared."""
    left, right = make_run("one"), make_run("two", "--set", "sampling.seed=5", "--set", "limit=2")
    code, out, _ = run_harness("diff", str(left), str(right), "--json")
    report = json.loads(out)
    assert code == 1
    assert {item["field"] for item in report["differing"]} == {"seed", "limit"}
    assert (report["refused"], report["unfinished"]) == ([], [])
    assert "takes these as base and candidate" in run_harness("diff", str(left), str(right))[1]


def test_digests_are_cut_in_the_table_and_whole_in_json(make_run: Callable[..., Path], run_harness: Run) -> None:
    """Twelve digits tell checkpoints apart; --json has all of them."""
    make_run("one")
    make_run("two", "--ckpt", "scripted:mixed,seconds=0")
    _, out, _ = run_harness("diff", "runs/one", "runs/two", "--json")
    (item,) = json.loads(out)["differing"]
    assert (item["field"], item["task"], len(item["left"])) == ("weights", None, 64)
    _, out, _ = run_harness("diff", "runs/one", "runs/two")
    assert item["left"][:12] in out
    assert item["left"][:13] not in out


def test_runs_without_a_common_task_are_said_to_be(make_run: Callable[..., Path], run_harness: Run) -> None:
    """There is nothing to compare."""
    make_run("one")
    run_harness("eval", "--ckpt", "scripted:mixed", "--task", "lab_code", "--limit", "2", "--label", "two")
    code, out, _ = run_harness("diff", "runs/one", "runs/two")
    assert code == 1
    assert "no task in common" in out


def test_an_unfinished_run_is_described(make_run: Callable[..., Path], run_harness: Run) -> None:
    """spec.json is enough; comparing has to wait."""
    make_run("one")
    right = make_run("two", "--set", "sampling.seed=5")
    (right / "run.json").unlink()
    code, out, _ = run_harness("diff", "runs/one", "runs/two")
    assert code == 1
    assert f"once two/{right.name} has finished" in " ".join(out.split())


def test_a_regraded_run_has_its_own_scorers(make_run: Callable[..., Path], run_harness: Run) -> None:
    """run.<grading>.json holds the spec of the re-grading; the plain run keeps the old one."""
    left = make_run("one")
    record = json.loads((left / "run.json").read_text())
    for ref in record["spec"]["tasks"]:
        ref["scorer"] = "other@9"
    (left / "run.0a1b2c3d.json").write_text(json.dumps(record))
    code, out, _ = run_harness("diff", str(left), str(left / "run.0a1b2c3d.json"))
    assert code == 1
    assert "other@9" in out
    assert "refuses to compare these: scorer must agree" in out


def test_circumstances_differ_without_counting(make_run: Callable[..., Path], run_harness: Run) -> None:
    """Another version of a package is shown, dimly, and leaves the exit code at 0."""
    make_run("one")
    path = make_run("two") / "sessions.jsonl"
    session = json.loads(path.read_text())
    session["packages"]["numpy"] = "0.0.1"
    path.write_text(json.dumps(session) + "\n")
    code, out, _ = run_harness("diff", "runs/one", "runs/two")
    assert code == 0
    assert "Differs, does not count" in out
    assert "numpy" in out
    assert "0.0.1" in out


def test_what_is_no_run_is_one_line(make_run: Callable[..., Path], run_harness: Run) -> None:
    """A missing folder, and a label with several runs, each with what to do."""
    make_run("one")
    run_harness(*BASE, "--label", "one", "--set", "sampling.seed=5")
    for path, message in (("nowhere", "nowhere is neither a run directory"), ("runs/one", "holds 2 runs; name one:")):
        code, out, err = run_harness("diff", path, path)
        assert code == 3
        assert message in err
        assert (err.count("\n"), out) == (1, "")
