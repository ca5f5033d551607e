"""The study file: what is accepted, and each thing that does not fit in one line."""

import copy
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SpecError
from harness.study.spec import StudySpec, parse_study, read_study

BASE = {"label": "base", "role": "base", "ckpt": "lab/base"}
GRLO = {"label": "grlo", "role": "candidate", "ckpt": "./outputs/grlo"}
STUDY: dict[str, Any] = {"name": "toy", "tasks": ["lab"], "checkpoints": [BASE, GRLO]}


def study(*checkpoints: dict[str, Any], **settings: Any) -> StudySpec:
    """Parse STUDY with other settings."""
    data = {**copy.deepcopy(STUDY), **settings}
    return parse_study({**data, "checkpoints": list(checkpoints) or data["checkpoints"]}, "study.toml")


def test_defaults_are_those_of_the_commands() -> None:
    """A short file is a whole study."""
    spec = study()
    assert (spec.base.label, spec.checkpoint("grlo").ckpt) == ("base", "./outputs/grlo")
    assert (spec.preset, spec.level, spec.num_resamples, spec.overall, spec.out) == (
        "greedy",
        0.95,
        10_000,
        "domains",
        "runs",
    )
    assert spec.elicited_label is None
    assert study({**BASE, "elicit": True}, GRLO).elicited_label == "base-elicited"


def test_every_checkpoint_given_by_runs_needs_no_tasks() -> None:
    """There is nothing to evaluate."""
    spec = study({"label": "base", "role": "base", "runs": ["runs/base"]}, tasks=[])
    assert spec.base.runs == ("runs/base",)


def test_home_is_expanded_as_a_shell_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every path of the file, but not in hub ids."""
    monkeypatch.setenv("HOME", "/elsewhere")
    given = {**BASE, "chat_template": "~/chat.jinja", "trajectory": "~/t.jsonl"}
    spec = study(given, {**GRLO, "ckpt": None, "runs": ["~/runs/grlo"]}, out="~/out", data_dir="~/data")
    assert (spec.base.chat_template, spec.base.trajectory) == ("/elsewhere/chat.jinja", "/elsewhere/t.jsonl")
    assert (spec.checkpoint("grlo").runs, spec.out) == (("/elsewhere/runs/grlo",), "/elsewhere/out")
    assert (spec.data_dir, spec.hub_dir) == ("/elsewhere/data", None)


RLVR = {"label": "rlvr", "role": "candidate", "ckpt": "./outputs/rlvr"}
BAD_CHECKPOINTS = [
    ([GRLO], 'expected exactly one checkpoint with role = "base", found none'),
    ([BASE, {**BASE, "label": "b"}], 'exactly one checkpoint with role = "base", found 2 (base, b)'),
    ([BASE, GRLO, GRLO], "two checkpoints are labelled grlo; give each a label of its own"),
    ([BASE, {**GRLO, "label": "a/b"}], "label 'a/b' cannot name a folder: use letters, digits, and"),
    ([BASE, {**GRLO, "label": ".."}], "label '..' cannot name a folder"),
    ([BASE, {**GRLO, "ckpt": None}], "checkpoint grlo: give exactly one of ckpt (to be evaluated) and runs"),
    ([BASE, {**GRLO, "runs": ["r"]}], "checkpoint grlo: give exactly one of ckpt"),
    ([BASE, {**GRLO, "trained_on": [" "]}], "checkpoint grlo: trained_on holds an empty name"),
    ([BASE, {**GRLO, "after": "rlrv"}, RLVR], "grlo: after: nothing is called 'rlrv' (did you mean rlvr?)"),
    ([BASE, {**GRLO, "after": "base"}], "checkpoint grlo: after names the base base, which training starts from"),
    ([BASE, {**GRLO, "after": "grlo"}], "after goes round in a circle: grlo after grlo"),
    (
        [BASE, {**GRLO, "after": "rlvr"}, {**RLVR, "after": "grlo"}],
        "checkpoint grlo: after goes round in a circle: grlo after rlvr after grlo",
    ),
    ([{**BASE, "after": "grlo"}, GRLO], "checkpoint base: it is the base, where training began, so it has no after"),
    ([BASE, {**GRLO, "elicit": True}], "checkpoint grlo: elicit = true is for the base alone"),
    ([{**BASE, "ckpt": None, "runs": ["r"], "elicit": True}], "checkpoint base: elicit = true needs ckpt"),
    ([{**BASE, "prompting": "chat", "elicit": True}], 'varies the prompt style itself, but prompting is "chat"'),
    (
        [{**BASE, "elicit": True}, {**GRLO, "label": "base-few_shot"}],
        "checkpoint base: elicit = true makes runs labelled base-few_shot, as another checkpoint is; rename that one",
    ),
    ([BASE, {**GRLO, "trained_onn": ["chat"]}], "checkpoints[1].trained_onn (did you mean trained_on?)"),
    ([BASE, {**GRLO, "cost": {"promts": 1}}], "unknown setting checkpoints[1].cost.promts (did you mean prompts?)"),
    ([BASE, {**GRLO, "cost": {"gpu_hours": 0.0}}], "gpu_hours"),
    ([BASE, {**GRLO, "role": "canditate"}], "Invalid enum value 'canditate'"),
]


@pytest.mark.parametrize(("checkpoints", "message"), BAD_CHECKPOINTS)
def test_checkpoints_that_do_not_fit_are_refused(checkpoints: list[dict[str, Any]], message: str) -> None:
    """One line with the file, the place and what was expected."""
    with pytest.raises(SpecError) as caught:
        study(*checkpoints)
    assert str(caught.value).startswith("study.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "a b"}, "name 'a b' cannot name a folder"),
        ({"tasks": []}, "checkpoint base: it has a ckpt to evaluate, but the study names no tasks"),
        ({"level": 1.0}, "level is 1, expected a coverage from 0.5 to 0.9999"),
        ({"level": float("nan")}, "level is nan"),
        ({"num_resamples": 50}, "num_resamples is 50, expected from 100 to a million"),
        ({"num_resamples": 100}, "leaves too few in the tails of a 95 % interval; expected 400 or more"),
        ({"level": 0.999}, "num_resamples is 10,000, which leaves too few in the tails of a 99.9 % interval"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"allow_drift": ["templat"]}, "allow_drift: nothing is called 'templat' (did you mean template?)"),
        (
            {"training_prompts": [{"prompts": "p.jsonl", "checkpoints": ["grl"]}]},
            "training_prompts p.jsonl: nothing is called 'grl' (did you mean grlo?)",
        ),
        ({"chekpoints": []}, "unknown setting chekpoints (did you mean checkpoints?)"),
        ({"claims": [{"claims": "x"}]}, "unknown setting claims[0].claims (did you mean claim?)"),
        ({"throughput": {"num_gpu": 2}}, "unknown setting throughput.num_gpu (did you mean num_gpus?)"),
        ({"resamples": 1000}, "unknown setting resamples"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    """The same for everything that is not a checkpoint."""
    with pytest.raises(SpecError) as caught:
        study(**settings)
    assert str(caught.value).startswith("study.toml: ")
    assert message in str(caught.value)


def test_a_file_is_read_with_flags_over_it_and_set_over_both(tmp_path: Path) -> None:
    """--set a.b reaches inside tables; what it does not name stays."""
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "toy"\ntasks = ["lab"]\nlimit = 3\n[sampling]\ntop_k = 5\n[[checkpoints]]\n'
        'label = "base"\nrole = "base"\nckpt = "lab/base"\n'
    )
    spec = read_study(path, ["limit=7", "sampling.max_tokens=9"], {"limit": 5, "data_dir": "rows"})
    assert (spec.limit, spec.data_dir) == (7, "rows")
    assert (spec.sampling.top_k, spec.sampling.max_tokens) == (5, 9)
    path.write_text("# nothing yet\n")
    with pytest.raises(SpecError, match=r"study\.toml is empty; `harness study init` writes a study to begin from"):
        read_study(path)
    with pytest.raises(SpecError, match=r"cannot read .*gone\.toml"):
        read_study(tmp_path / "gone.toml")


def test_the_judge_is_a_table_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both say the same; --set reaches into it; folders may begin with ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    judge = tmp_path / "judge.toml"
    judge.write_text('ckpt = "lab/reward"\nverdicts = "~/verdicts"\n[engine]\ndtype = "float32"\n')
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "toy"\ntasks = ["chat"]\njudge = "~/judge.toml"\n[[checkpoints]]\n'
        'label = "base"\nrole = "base"\nckpt = "lab/base"\n'
    )
    told = read_study(path, ["judge.max_calls=7"]).judge
    assert told is not None
    assert (told.ckpt, told.max_calls, told.engine.dtype) == ("lab/reward", 7, "float32")
    assert told.verdicts == str(tmp_path / "verdicts")
    table = study(
        judge={"ckpt": "lab/reward", "max_calls": 7, "verdicts": "~/verdicts", "engine": {"dtype": "float32"}}
    )
    assert table.judge == told
    assert read_study(path, [f"judge={judge}"]).judge == study(judge=str(judge)).judge


def test_a_mistake_in_the_judges_file_is_that_files(tmp_path: Path) -> None:
    """The message names it, not the study."""
    judge = tmp_path / "judge.toml"
    judge.write_text('ckpt = "lab/reward"\nswapped = true\n')
    with pytest.raises(SpecError, match=r"judge\.toml: unknown setting swapped \(did you mean swap\?\)"):
        study(judge=str(judge))
    with pytest.raises(SpecError, match=r"cannot read .*gone\.toml"):
        study(judge=str(tmp_path / "gone.toml"))
    with pytest.raises(SpecError, match=r"study\.toml: unknown setting judge\.swapped"):
        study(judge={"ckpt": "lab/reward", "swapped": True})
