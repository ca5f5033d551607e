"""A study's runs become its findings: every section, from arrays and from run directories."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import UsageError
from harness.pairing import LabelVerdicts
from harness.schema import Estimate, TrainingCost
from harness.store import encode_pretty, read_json
from harness.study.assemble import assemble, assemble_runs, read_trajectory
from harness.study.findings import StudyFindings
from harness.study.spec import TrainingPrompts
from harness.verdicts import RunVerdicts
from harness.watch import TrajectoryPoint
from tests.labels import make_label, make_run, make_task
from tests.study.cases import ROLES, TASKS, binary, draw_labels, draw_tasks, make_spec


def runs_of(labels: dict[str, LabelVerdicts]) -> dict[str, tuple[RunVerdicts, ...]]:
    return {name: label.runs for name, label in labels.items()}


def point(step: int | None, settings: str = "s", score: float = 0.5) -> TrajectoryPoint:
    estimate = Estimate(score, 0.1, score - 0.2, score + 0.2, 0.95, "t", 10, 10)
    return TrajectoryPoint(
        checkpoint=f"step-{step}",
        step=step,
        path=f"out/step-{step}",
        weights="w",
        run="grlo/1",
        spec_id="1",
        settings=settings,
        finished_at="2026-01-01T00:00:00+00:00",
        tasks={"t": estimate},
        truncated={"t": 0.0},
        no_answer={"t": 0.0},
    )


def test_every_section_is_there() -> None:
    """Transfer of candidates and controls, standings of all, leads, curves, costs and claims."""
    spec = make_spec(claims=("overall grlo - base > 5", "overall random - base > 30"), level=0.9)
    labels = draw_labels(4)
    found = assemble_runs(spec, runs_of(labels), notes=("alpaca_eval2: needs a judge",))
    assert [(c.candidate, c.base_kind) for c in found.transfer.comparisons] == [("grlo", "plain"), ("random", "plain")]
    assert "released" in found.transfer.comparisons[0].transfer.gap_closed
    assert [standing.label for standing in found.standings] == list(ROLES)
    assert [lead.column for lead in found.leads] == [*TASKS, "chat", "math", "code", "overall"]
    assert {(curve.label, curve.task) for curve in found.curves} == {(x, task) for x in ROLES for task in TASKS}
    assert [row.label for row in found.costs] == ["grlo", "random"]
    assert [claim.verdict for claim in found.claims] == ["supported", "refuted"]
    assert found.standings[0].overall is not None
    assert found.standings[0].overall.level == found.transfer.level == 0.9
    assert found.not_run[0] == "alpaca_eval2: needs a judge"
    assert not any("pass@k" in line or "coverage" in line for line in found.not_run)


def test_findings_survive_the_disk(tmp_path: Path) -> None:
    """As JSON, nan included."""
    found = assemble_runs(make_spec(), runs_of(draw_labels()))
    path = tmp_path / "findings.json"
    path.write_bytes(encode_pretty(found))
    assert encode_pretty(read_json(path, StudyFindings)) == encode_pretty(found)


def test_runs_keep_the_label_they_were_made_with() -> None:
    """The study's label stands beside it."""
    runs = {name: [make_run(f"file-{name}", [make_task("t", binary(5, 10))])] for name in ("base", "grlo")}
    found = assemble_runs(make_spec({"base": "base", "grlo": "candidate"}), runs)
    assert [(run.label, run.record.spec.checkpoint.label) for run in found.runs] == [
        ("base", "file-base"),
        ("grlo", "file-grlo"),
    ]
    assert found.transfer.comparisons[0].candidate == "grlo"


def test_files_of_one_task_each_are_no_repeats() -> None:
    """Imported files have digests of their own as weights: no note speaks of several checkpoints, no table either."""
    runs = {
        name: [make_run(f"{name}-{task}", [make_task(task, binary(5, 10))]) for task in ("t", "u")]
        for name in ("base", "grlo")
    }
    found = assemble_runs(make_spec({"base": "base", "grlo": "candidate"}), runs)
    assert found.transfer.repeats == ()
    assert not any("checkpoints" in note for note in found.transfer.comparisons[0].notes)
    assert len(found.runs) == 4


def test_what_is_missing_is_said() -> None:
    """Checkpoints, tasks, curves, coverage, costs and the audit, one line each with the reason."""
    labels = draw_labels()
    del labels["random"]
    labels["released"] = make_label("released", *(task for task in draw_tasks("released") if task.ref.name != "sums"))
    labels["grlo"] = make_label("grlo", *draw_tasks("grlo"), make_task("extra", binary(5, 10)))
    found = assemble_runs(make_spec(), runs_of(labels))
    assert found.not_run == (
        "random: no finished run",
        "released: not measured on sums, so it has no average of math, overall",
        "base: not measured on extra, so these are in no average and no difference",
        "pass@k: one generation per example (base; grlo; released)",
        "coverage of the base on talk, sums, proofs, programs: it has one generation per example; sampled runs would "
        "tell",
        "cost of grlo: prompts, rollouts, gpu_hours not known from training.json or the study file",
        "contamination: the study names no training_prompts to search",
    )


def test_what_the_caller_said_is_not_said_again() -> None:
    """A checkpoint's own note stands in place of ours; training prompts are the caller's business."""
    labels = {name: label for name, label in draw_labels().items() if name != "random"}
    spec = make_spec(training_prompts=(TrainingPrompts("prompts.jsonl"),))
    found = assemble_runs(spec, runs_of(labels), notes=("random: weights are on another machine",))
    assert [line for line in found.not_run if "random" in line] == ["random: weights are on another machine"]
    assert not any("contamination" in line for line in found.not_run)


def test_a_missing_elicited_base_is_said() -> None:
    """The study asked for it; the stricter comparison is not there."""
    spec = make_spec(checkpoints={"base": {"elicit": True}})
    found = assemble_runs(spec, runs_of(draw_labels()))
    assert "base-elicited: no finished run" in found.not_run
    assert {comparison.base_kind for comparison in found.transfer.comparisons} == {"plain"}


def test_a_study_of_references_has_no_comparisons() -> None:
    """Scores stand, differences do not, and the report says so."""
    labels = {name: label for name, label in draw_labels().items() if name in ("base", "released")}
    found = assemble_runs(make_spec({"base": "base", "released": "reference"}), runs_of(labels))
    assert found.transfer.comparisons == ()
    assert [standing.label for standing in found.standings] == ["base", "released"]
    assert found.leads[-1].best == "released"
    assert "differences, transfer and decomposition: the study has no candidate and no control" in found.not_run


def test_what_it_was_trained_on_is_the_study_s_word_or_training_json_s() -> None:
    """A typed domain stands in place of the file's."""
    training = TrainingCost(trained_on=("math",))
    labels = {"base": make_label("base", *draw_tasks("base"))}
    labels |= {name: make_label(name, *draw_tasks(name), training=training) for name in ("grlo", "random")}
    spec = make_spec(
        {"base": "base", "grlo": "candidate", "random": "control"}, checkpoints={"grlo": {"trained_on": ("chat",)}}
    )
    found = assemble_runs(spec, runs_of(labels))
    assert [c.transfer.trained_on for c in found.transfer.comparisons] == [("chat",), ("math",)]
    assert [standing.trained_on for standing in found.standings] == [(), ("chat",), ("math",)]


def test_errors_are_left_out_where_that_is_allowed() -> None:
    """Scores stand on the others."""
    labels = {
        "base": make_label("base", make_task("t", np.array([1.0, np.nan, 0.0, 1.0]))),
        "grlo": make_label("grlo", make_task("t", np.array([1.0, 1.0, np.nan, 1.0]))),
    }
    found = assemble_runs(make_spec({"base": "base", "grlo": "candidate"}), runs_of(labels))
    assert found.standings[0].tasks[0].score.num_examples == 3
    assert found.transfer.comparisons[0].tasks[0].num_examples == 2


def test_a_trajectory_is_read_oldest_step_first(tmp_path: Path) -> None:
    """The last point of each checkpoint, under the settings of the file's last point."""
    path = tmp_path / "grlo.trajectory.jsonl"
    lines = [point(100, "old"), point(300), point(None), point(100, score=0.1), point(100, score=0.6), point(50, "old")]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in [*lines, point(200)]))
    points, num_left_out = read_trajectory(path)
    assert [each.step for each in points] == [100, 200, 300, None]
    assert points[0].tasks["t"].value == 0.6
    assert num_left_out == 1
    spec = make_spec({"base": "base", "grlo": "candidate"}, checkpoints={"grlo": {"trajectory": str(path)}})
    labels = {name: make_label(name, make_task("t", binary(5, 10))) for name in ("base", "grlo")}
    found = assemble_runs(spec, runs_of(labels))
    assert found.trajectories == {"grlo": points}
    assert any("1 measured under other settings" in line for line in found.not_run)


def test_an_empty_trajectory_is_said_to_be_one(tmp_path: Path) -> None:
    """No section without points."""
    path = tmp_path / "t.jsonl"
    path.touch()
    spec = make_spec({"base": "base", "grlo": "candidate"}, checkpoints={"grlo": {"trajectory": str(path)}})
    labels = {name: make_label(name, make_task("t", binary(5, 10))) for name in ("base", "grlo")}
    found = assemble_runs(spec, runs_of(labels))
    assert found.trajectories == {}
    assert f"trajectory of grlo: {path} has no points" in found.not_run


def test_from_run_directories(tmp_path: Path, run_harness: Callable[..., tuple[int, str, str]]) -> None:
    """The numbers are those of run.json; a base without run is one line that says what makes it."""
    for label, seed in (("base", "1"), ("grlo", "2")):
        options = ("--ckpt", "scripted:mixed", "--task", "lab_math", "--limit", "20", "--preset", "avg@8")
        code, _, err = run_harness(
            "eval", *options, "--label", label, "--set", f"sampling.seed={seed}", "--out", str(tmp_path)
        )
        assert code == 0, err
    runs = {label: tuple((tmp_path / label).glob("*/run.json")) for label in ("base", "grlo")}
    spec = make_spec({"base": "base", "grlo": "candidate"})
    found = assemble(spec, runs)
    for standing, run in zip(found.standings, found.runs, strict=True):
        assert [task.score for task in standing.tasks] == [task.score for task in run.record.tasks]
        assert standing.tasks[0].num_generations == 8
    assert [curve.ks for curve in found.curves] == [(1, 2, 4, 8)] * 2
    assert found.curves[0].pass_at_k[0].value == pytest.approx(found.standings[0].tasks[0].score.value)
    with pytest.raises(UsageError, match="the base base has no finished run"):
        assemble(spec, {"grlo": runs["grlo"]})
