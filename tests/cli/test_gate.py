"""`harness gate` end to end: scripted runs for the command, the lab's checkpoint for the claim."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import junitparser
import pytest

from harness.cli.gate import DEFAULT_POLICY, MAX_SUMMARY_BYTES
from harness.reading import parse_policy
from harness.schema import RunRecord
from harness.spec import GatePolicy
from harness.store import read_json
from tasks.registry import TASKS
from trainers.lab import SHIPPED

Run = Callable[..., tuple[int, str, str]]


def replay(folder: Path, wrong: set[int], wrong_text: str = "I do not know.") -> Path:
    """Write a script that answers lab_math's references, but for some examples."""
    task = TASKS["lab_math"]
    assert task.gold is not None
    lines = [
        {
            "task": "lab_math",
            "example_id": example.example_id,
            "text": wrong_text if number in wrong else task.gold(example),
        }
        for number, example in enumerate(task.load(None, None).examples)
    ]
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def make_run(tmp_path: Path, run_harness: Run) -> Callable[..., Path]:
    """Return a function that makes a run of lab_math with some wrong answers."""

    def make(label: str, wrong: set[int], *arguments: str, wrong_text: str = "I do not know.") -> Path:
        folder = tmp_path / label
        folder.mkdir()
        script = replay(folder, wrong, wrong_text)
        code, _, err = run_harness(
            "eval", "--ckpt", f"scripted:replay={script}", "--task", "lab_math", "--label", label,
            "--out", str(tmp_path / "runs"), *arguments,
        )  # fmt: skip
        assert code == 0, err
        return tmp_path / "runs" / label

    return make


@pytest.fixture
def sides(make_run: Callable[..., Path]) -> tuple[Path, Path]:
    """Return a run with one wrong answer and one with sixty."""
    return make_run("main", {0}), make_run("worse", set(range(60)))


def gate(run_harness: Run, baseline: Path, candidate: Path, *arguments: str) -> tuple[int, str, str]:
    return run_harness("gate", "--baseline", str(baseline), "--candidate", str(candidate), *arguments)


def test_exit_codes(make_run: Callable[..., Path], sides: tuple[Path, Path], run_harness: Run) -> None:
    """0 pass, 1 regression, 2 inconclusive."""
    main, worse = sides
    same, few = make_run("same", {1}), make_run("few", {0}, "--limit", "20")
    assert gate(run_harness, main, same)[0] == 0
    assert gate(run_harness, main, worse)[0] == 1
    assert gate(run_harness, main, few)[0] == 2


def test_three_files_beside_the_candidates_run(sides: tuple[Path, Path], run_harness: Run) -> None:
    """gate.json, gate.md and gate.xml lie in the run directory; the run itself is still what it was."""
    main, worse = sides
    (run,) = worse.iterdir()
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert gate(run_harness, main, worse)[0] == 1
    assert sorted(path.name for path in (run / "gate").iterdir()) == ["gate.json", "gate.md", "gate.xml"]
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert json.loads((run / "gate" / "gate.json").read_text())["verdict"] == "regression"


def test_the_reports_name_the_regressed_examples(
    make_run: Callable[..., Path], sides: tuple[Path, Path], tmp_path: Path, run_harness: Run
) -> None:
    """Ids, targets and both answers of the worst examples, as many as the policy lists."""
    policy = tmp_path / "gate.toml"
    policy.write_text("max_examples_listed = 5\n")
    odd = make_run("odd", set(range(60)), wrong_text="The answer is \\boxed{-987654}.")
    gate(run_harness, sides[0], odd, "--policy", str(policy), "--out", str(tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "gate.json").read_text())["regressed"]
    examples = TASKS["lab_math"].load(None, None).examples
    assert [item["example_id"] for item in found] == [example.example_id for example in examples[1:6]]
    assert {(item["baseline_score"], item["candidate_score"]) for item in found} == {(1.0, 0.0)}
    assert {item["candidate_answer"] for item in found} == {"-987654"}
    assert [item["target"] for item in found] == [example.target for example in examples[1:6]]
    for name in ("gate.md", "gate.xml"):
        assert all(item["example_id"] in (tmp_path / "out" / name).read_text() for item in found)


def test_a_regrading_is_judged_by_its_own_answers(
    make_run: Callable[..., Path], tmp_path: Path, run_harness: Run
) -> None:
    """run.<grading>.json stands for the scores written with it."""
    main, worse = make_run("main", {0}), make_run("worse", set(range(60)))
    for side in (main, worse):
        (run,) = side.iterdir()
        assert run_harness("score", str(run))[0] == 0
    graded = [next(side.glob("*/run.*.json")) for side in (main, worse)]
    (folder,) = worse.iterdir()
    (folder / "scores.jsonl").unlink()
    assert gate(run_harness, *graded)[0] == 1


def test_the_table_is_readable_at_100_columns(
    sides: tuple[Path, Path], run_harness: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row of the tables fits, with difference, interval, limit and verdict."""
    monkeypatch.setattr("harness.cli.table.WIDTH_WHEN_PIPED", 100)
    _, out, _ = gate(run_harness, *sides)
    assert max(map(len, out.splitlines()[:-1])) <= 100
    row = next(line for line in out.splitlines() if line.startswith("lab_math "))
    assert [cell.strip() for cell in row.split("│")][:4] == ["lab_math", "99.5", "70.0", "-29.5"]
    assert row.split("│")[-1].strip() == "regression"


def test_json_is_the_report(sides: tuple[Path, Path], run_harness: Run, tmp_path: Path) -> None:
    """--json prints what gate.json holds, and nothing else."""
    _, out, _ = gate(run_harness, *sides, "--json", "--out", str(tmp_path / "out"))
    assert out == (tmp_path / "out" / "gate.json").read_text()


def test_the_job_page_gets_the_summary(
    sides: tuple[Path, Path], run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Markdown is appended to the file $GITHUB_STEP_SUMMARY names; examples go where it would be refused."""
    page = tmp_path / "page.md"
    page.write_text("# earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    gate(run_harness, *sides, "--out", str(tmp_path / "out"))
    assert page.read_text() == "# earlier step\n" + (tmp_path / "out" / "gate.md").read_text()
    monkeypatch.setattr("harness.cli.gate.MAX_SUMMARY_BYTES", 2000)
    page.unlink()
    gate(run_harness, *sides, "--out", str(tmp_path / "out"))
    assert "<details>" not in page.read_text()
    assert MAX_SUMMARY_BYTES < 2**20


def test_an_unfinished_run_is_refused(sides: tuple[Path, Path], run_harness: Run) -> None:
    """No run.json: one line and exit 3."""
    (run,) = sides[1].iterdir()
    (run / "run.json").unlink()
    code, out, err = gate(run_harness, sides[0], run)
    assert (code, out) == (3, "")
    assert "has not finished" in err


def test_a_run_with_errors_is_refused(sides: tuple[Path, Path], run_harness: Run) -> None:
    """Requests that ended in error: exit 3 by default, whatever the others say."""
    (run,) = sides[1].iterdir()
    record = read_json(run / "run.json", RunRecord)
    data = json.loads((run / "run.json").read_text())
    assert record.tasks[0].num_error == 0
    data["tasks"][0]["num_error"] = 3
    (run / "run.json").write_text(json.dumps(data))
    lines = (run / "scores.jsonl").read_text().splitlines()
    failed = [number for number, line in enumerate(lines) if '"task":"lab_math"' in line][:3]
    for number in failed:
        lines[number] = re.sub('"outcome":"[a-z_]+"', '"outcome":"error"', lines[number])
    (run / "scores.jsonl").write_text("\n".join(lines) + "\n")
    code, _, err = gate(run_harness, *sides)
    assert code == 3
    assert "3 of 200 requests of lab_math ended in error" in err
    assert "max_error_share" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("margn = 3\n", "did you mean margin?"),
        ("margin = 0\n", "above 0 and below 100"),
        ("margin = nan\n", "above 0 and below 100"),
        ("level = 0.95\n", "the chance of a false alarm"),
        ("[margins]\nlab_math = 150\n", "margins.lab_math is 150"),
        ("[margins]\nlab_maht = 2\n", "did you mean lab_math?"),
        ('gate_on = ["suites"]\n', "gate_on"),
        ("gate_on = []\n", "at least one of"),
        ("max_length_ratio = 0.5\n", "from 1"),
        ("max_error_share = 1\n", "a share"),
        ("margin = \n", "not TOML"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(
    text: str, words: str, tmp_path: Path, run_harness: Run, make_run: Callable[..., Path]
) -> None:
    """Exit 3 and one line that names the setting."""
    policy = tmp_path / "gate.toml"
    policy.write_text(text)
    run = make_run("main", {0}, "--limit", "3") if "maht" in text else tmp_path
    code, _, err = gate(run_harness, run, run, "--policy", str(policy))
    assert code == 3
    assert words in err
    assert err.count("\n") == 1


def test_init_writes_the_defaults_once(tmp_path: Path, run_harness: Run) -> None:
    """The written policy is the default one, line by line; a second time refuses."""
    path = tmp_path / "gate.toml"
    assert run_harness("gate", "--init", str(path))[0] == 0
    assert parse_policy(tomllib.loads(path.read_text()), "gate.toml") == GatePolicy()
    assert set(GatePolicy.__struct_fields__) == set(tomllib.loads(DEFAULT_POLICY))
    code, _, err = run_harness("gate", "--init", str(path))
    assert code == 3
    assert "not overwritten" in err


def damage(source: Path, folder: Path, noise: float) -> Path:
    """Copy a checkpoint and add to each weight tensor Gaussian noise of a share of its own spread."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder)
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: tensor + noise * tensor.std() * torch.randn(tensor.shape, generator=generator)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_lab_base_passes_against_itself_and_a_damaged_copy_does_not(tmp_path: Path, run_harness: Run) -> None:
    """Another seed passes at 5 points; weights with noise are a regression, with valid JUnit that names examples."""
    policy = tmp_path / "gate.toml"
    policy.write_text("margin = 5\n")
    damaged = damage(Path(SHIPPED["lab/base"]), tmp_path / "damaged", noise=0.4)
    for label, ckpt, seed in (("main", "lab/base", 0), ("other", "lab/base", 1), ("damaged", str(damaged), 0)):
        command = [
            "--suite",
            "lab-chat,lab-math",
            "--preset",
            "avg@8",
            "--limit",
            "100",
            "--out",
            str(tmp_path / "runs"),
        ]
        assert run_harness("eval", "--ckpt", ckpt, "--label", label, *command, "--set", f"sampling.seed={seed}")[0] == 0
    codes = {}
    for label in ("other", "damaged"):
        out = tmp_path / label / "gate"
        out.parent.mkdir(exist_ok=True)
        codes[label], _, _ = gate(
            run_harness, tmp_path / "runs" / "main", tmp_path / "runs" / label,
            "--policy", str(policy), "--out", str(out),
        )  # fmt: skip
    assert codes == {"other": 0, "damaged": 1}
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "damaged" / "gate" / "gate.xml"))
    assert suite.failures >= 1
    found = json.loads((tmp_path / "damaged" / "gate" / "gate.json").read_text())["regressed"]
    summary = (tmp_path / "damaged" / "gate" / "gate.md").read_text()
    assert found
    assert all(f"{item['task']}/{item['example_id']}:" in summary for item in found)
