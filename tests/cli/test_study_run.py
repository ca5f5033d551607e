"""`harness study init` and `run`, and finding a study's runs, end to end with the scripted engine and lab/base."""

import json
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import harness.study as study_package
from harness.cli.study import TEMPLATES, read_template
from harness.cli.study_runs import study_run_paths
from harness.errors import UsageError
from harness.store import read_run
from harness.study.claims import parse_claim
from harness.study.spec import StudySpec, parse_study, read_study
from tasks.registry import select_tasks

Run = Callable[..., tuple[int, str, str]]
STUDY = """
name = "toy"
tasks = ["lab_math", "lab_chat"]
preset = "avg@8"
limit = 3

[sampling]
num_generations = 2

[[checkpoints]]
label = "base"
role = "base"
ckpt = "scripted:mixed"
elicit = true

[[checkpoints]]
label = "grlo"
role = "candidate"
ckpt = "scripted:mixed,seconds=0"

[checkpoints.sampling]
max_tokens = 50
"""
MISSING = """
[[checkpoints]]
label = "lost"
role = "candidate"
ckpt = "./outputs/lost"

[[checkpoints]]
label = "elsewhere"
role = "reference"
runs = ["old/elsewhere"]
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the toy study into an empty folder and run there, without network and data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = Path("study.toml")
    path.write_text(STUDY)
    return path


def test_run_evaluates_what_is_missing_and_reads_back_the_rest(study: Path, run_harness: Run) -> None:
    """One line a run; the second time nothing is generated; the runs are those of `harness eval`."""
    code, out, _ = run_harness("study", "run", "study.toml")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["base", "base-elicited", "grlo"]
    assert out.count(" evaluated ") == 3
    assert out.splitlines()[-1] == "next: harness study report study.toml"
    code, out, _ = run_harness("study", "run", "study.toml")
    assert (code, out.count("complete already")) == (0, 3)
    settings = ["--task", "lab_math,lab_chat", "--preset", "avg@8", "--limit", "3", "--set", "sampling.max_tokens=50"]
    command = ["eval", "--ckpt", "scripted:mixed,seconds=0", "--label", "grlo", *settings]
    code, out, _ = run_harness(*command, "--set", "sampling.num_generations=2", "--json")
    assert len(list(Path("runs/grlo").glob("*/run.json"))) == 1
    assert json.loads(out)["spec"]["tasks"][0]["sampling"]["max_tokens"] == 50


def test_only_chosen_checkpoints_run(study: Path, run_harness: Run) -> None:
    """--only takes labels; a wrong one is corrected."""
    assert run_harness("study", "run", "study.toml", "--only", "grlo")[0] == 0
    assert [path.name for path in Path("runs").iterdir()] == ["grlo"]
    code, _, err = run_harness("study", "run", "study.toml", "--only", "grol")
    assert (code, err) == (3, "harness: --only: no checkpoint labelled grol (did you mean grlo?)\n")
    code, _, err = run_harness("study", "run", "study.toml", "--only", "base-elicited")
    assert (code, err) == (3, "harness: --only: base-elicited is made together with base; name base\n")


def test_a_missing_checkpoint_does_not_stop_the_others(study: Path, run_harness: Run) -> None:
    """It is one line with its reason, and exit code 3."""
    study.write_text(STUDY.replace("elicit = true\n", "") + MISSING)
    code, out, _ = run_harness("study", "run", "study.toml")
    assert code == 3
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "evaluated" in lines["base"]
    assert "evaluated" in lines["grlo"]
    assert "could not run     no checkpoint at ./outputs/lost" in lines["lost"]
    assert "could not run     old/elsewhere is neither a run directory" in lines["elsewhere"]
    assert "could not run: lost, elsewhere; mend that and run the same command again" in out
    assert "next: harness study report study.toml (of what is there)" in out


def test_requests_that_ended_in_error_make_a_run_incomplete(study: Path, run_harness: Run) -> None:
    """Prompts beyond the model's context: exit code 4, and what to do about it."""
    Path("long.jinja").write_text("{{ 'tea ' * 6000 }}{{ messages[0].content }}")
    script, model = 'ckpt = "scripted:mixed,seconds=0"', 'ckpt = "lab/base"\nchat_template = "long.jinja"'
    study.write_text(STUDY.replace("elicit = true\n", "").replace(script, model))
    code, out, _ = run_harness("study", "run", "study.toml")
    assert code == 4
    assert "incomplete        12 requests ended in error: runs/grlo/" in out
    assert "incomplete: grlo; run the same command again to retry what ended in error" in out


def test_the_next_command_carries_settings(study: Path, run_harness: Run) -> None:
    """A report without them would look for other runs; what is printed is what finds them."""
    accepted = f"lab_math={select_tasks(('lab_math',))[0].data_sha256}"
    settings = ("--set", "limit=2", "--set", 'tasks=["lab_math"]')
    code, out, err = run_harness("study", "run", "study.toml", *settings, "--accept-data", accepted)
    assert code == 0, err
    last = out.splitlines()[-1]
    words = ["--set", "limit=2", "--set", 'tasks=["lab_math"]', "--set", f"accept_data.{accepted}"]
    assert shlex.split(last) == ["next:", "harness", "study", "report", "study.toml", *words]
    report = ("study", "report", "study.toml", "--figures", "svg", "--examples", "0")
    code, _, err = run_harness(*report, *words)
    assert code == 3
    assert "or pass --allow-drift sampling" in err
    assert run_harness(*report, *words, "--allow-drift", "sampling")[0] == 0
    code, _, err = run_harness(*report)
    assert code == 3
    assert "base: runs/base/" in err
    assert "is left out: examples of lab_math was 2, not 3" in err
    assert err.splitlines()[-1] == (
        "harness: study.toml: base has no finished run that fits, and everything is compared with it: make it with "
        "`harness study run study.toml`, or pass the --set of the run that is there"
    )


def test_two_gradings_of_a_run_are_refused(study: Path, run_harness: Run) -> None:
    """Named together they would count as two runs of as many more generations."""
    assert run_harness("study", "run", "study.toml", "--only", "grlo")[0] == 0
    [record] = Path("runs/grlo").glob("*/run.json")
    other = record.with_name("run.0a1b2c3d.json")
    other.write_text(record.read_text())
    problem = f"grlo: {record} and {other} are two gradings of one run; name the one you mean"
    study.write_text(STUDY.replace('ckpt = "scripted:mixed,seconds=0"', f'runs = ["{record}", "{other}"]'))
    for command in ("run", "report", "claims"):
        claim = ("--set", 'claims=[{claim="overall grlo > 0"}]')
        code, _, err = run_harness("study", command, "study.toml", *claim, *(["--only=grlo"] * (command == "run")))
        assert (code, err) == (3, f"harness: {problem}\n")
    assert run_harness("eval", "--ckpt", "scripted:mixed", "--task", "lab_chat", "--limit", "1", "--label", "x")[0] == 0
    code, _, err = run_harness("report", "runs/x", str(record), str(other))
    assert (code, err) == (3, f"harness: {problem}\n")


def test_a_claim_about_no_task_stops_before_anything_runs(study: Path, run_harness: Run) -> None:
    """A misspelt domain would be undecided for ever."""
    claims = '\n[[claims]]\nclaim = "overall grlo - base > 0"\n[[claims]]\nclaim = "maths grlo > 0"\n'
    study.write_text(STUDY + claims)
    for command in ("run", "report", "claims"):
        code, out, err = run_harness("study", command, "study.toml")
        assert (code, out) == (3, "")
        assert err.startswith('harness: claim "maths grlo > 0": no task or suite named maths (did you mean math?)')


def test_what_concerns_all_checkpoints_ends_the_study(study: Path, run_harness: Run) -> None:
    """Missing rows are missing for every checkpoint: one message, not one each."""
    study.write_text(STUDY.replace('"lab_chat"', '"gsm8k"'))
    code, out, err = run_harness("study", "run", "study.toml", "--data-dir", "nowhere")
    assert (code, out) == (3, "")
    assert err == "harness: the data folder nowhere (--data-dir or $HARNESS_DATA) is not a folder\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"lab_math"', '"lab_maht"', "no task or suite named lab_maht (did you mean lab_math?)"),
        ('"avg@8"', '"avg@9"', "lab_math has no preset avg@9 (did you mean avg@8?)"),
        ("max_tokens = 50", "max_tokens = 0", "checkpoint grlo: sampling.max_tokens is 0"),
        ("max_tokens = 50", "max_tokenz = 50", "unknown setting checkpoints[1].sampling.max_tokenz"),
    ],
)
def test_a_bad_setting_stops_before_anything_runs(
    study: Path, run_harness: Run, old: str, new: str, message: str
) -> None:
    """Also one that only a later checkpoint has."""
    study.write_text(STUDY.replace(old, new))
    code, out, err = run_harness("study", "run", "study.toml")
    assert (code, out) == (3, "")
    assert message in err
    assert not Path("runs").exists()


def test_a_style_that_a_task_lacks_stops_before_anything_runs(study: Path, run_harness: Run) -> None:
    """IFEval has no worked examples; the message speaks of the study's key."""
    script = 'ckpt = "scripted:mixed,seconds=0"'
    text = STUDY.replace('"lab_chat"', '"ifeval"').replace(script, f'{script}\nprompting = "few_shot"')
    study.write_text(text)
    code, _, err = run_harness("study", "run", "study.toml")
    assert code == 3
    assert "checkpoint grlo: ifeval has no few_shot prompt; set prompting to chat or completion or standard" in err


def test_dry_run_reckons_and_writes_nothing(study: Path, run_harness: Run) -> None:
    """3 examples × 2 generations × 50 tokens; a mean replaces max_tokens; hours are tokens over throughput."""
    code, out, _ = run_harness("study", "run", "study.toml", "--dry-run", "--only", "grlo")
    assert code == 0
    assert "grlo        lab_math         3  2" in out
    assert "12 generations; completion tokens: max_tokens each" in out
    assert "600" in out.splitlines()[5]
    settings = ["--set", "throughput.mean_completion_tokens=20", "--set", "throughput.num_gpus=4"]
    settings += ["--set", "throughput.tokens_per_second=0.01"]
    out = run_harness("study", "run", "study.toml", "--dry-run", "--only", "grlo", *settings)[1]
    assert "a mean of 20 (at most max_tokens)" in out
    assert "6.7 GPU-hours are 1.7 hours on 4 GPUs" in out
    assert "no finished runs in runs yet" in out
    assert not Path("runs").exists()


def test_dry_run_counts_the_further_prompt_styles(study: Path, run_harness: Run) -> None:
    """Of the elicited base: lab tasks have three styles beyond chat, two generations each."""
    out = run_harness("study", "run", "study.toml", "--dry-run")[1]
    (line,) = [line for line in out.splitlines() if line.startswith("base-elicited") and "lab_math" in line]
    assert line.split()[2:4] == ["3", "6"]
    assert "?" not in out.split("\n\n")[0], "lab rows are in the package"
    run_harness("study", "run", "study.toml", "--only", "base")
    out = run_harness("study", "run", "study.toml", "--dry-run")[1]
    assert "are there for base, base-elicited; if they are of the same weights" in out
    assert "600 completion tokens (<0.1 GPU-hours) are left" in out


def test_the_papers_study_plans_offline(study: Path, run_harness: Run) -> None:
    """No weights, no rows, no hub: examples and limits are the registry's, thinking has its own limit."""
    assert run_harness("study", "init", "--template", "grlo-qwen3-4b", "grlo.toml")[0] == 0
    code, out, _ = run_harness("study", "run", "grlo.toml", "--dry-run")
    assert code == 0
    thinking = out[out.index("qwen3-4b-thinking") : out.index("qwen3-4b-2507")]
    (line,) = [line for line in thinking.splitlines() if "gsm8k" in line]
    assert line.split() == ["gsm8k", "1,319", "8", "?", "345.8M", "38.4"]  # 1319 · 8 · 32768; / 2500 / 3600
    assert "415,760 generations" in out
    (line,) = [line for line in out.splitlines() if line.startswith("all ")]
    assert line.split()[-1] == "199.4k"  # verdicts: 72 answers to each of 160 turns, and two orders of 1,305 pairs
    assert max(map(len, out.split("\n\n")[0].splitlines())) <= 80


def test_init_writes_a_study_and_never_over_one(study: Path, run_harness: Run) -> None:
    """The file that is there stays as it was."""
    code, _, err = run_harness("study", "init")
    assert (code, study.read_text()) == (3, STUDY)
    assert err == "harness: study.toml exists already, and nothing is overwritten; give another name\n"
    code, out, _ = run_harness("study", "init", "mine.toml")
    assert (code, out) == (0, "wrote mine.toml; next: harness study run mine.toml --dry-run\n")
    assert Path("mine.toml").read_text() == read_template("lab")
    assert "did you mean lab?" in run_harness("study", "init", "--template", "labs", "x.toml")[2]
    assert "cannot write no/x.toml: No such file or directory" in run_harness("study", "init", "no/x.toml")[2]


def test_templates_are_listed_and_are_studies(run_harness: Run) -> None:
    """Each file of the folder is listed, and is a study whose claims can be read."""
    assert set(TEMPLATES) == {file.stem for file in Path(study_package.__file__).parent.glob("templates/*.toml")}
    out = run_harness("study", "init", "--list")[1]
    assert [line.split()[0] for line in out.splitlines()] == list(TEMPLATES)
    for name in TEMPLATES:
        spec = parse_study(tomllib.loads(read_template(name)), name)
        labels = [checkpoint.label for checkpoint in spec.checkpoints]
        assert spec.claims
        for claim in spec.claims:
            parse_claim(claim.claim, labels)


@pytest.mark.parametrize("template", ["lab", "quickstart"])
def test_the_lab_templates_run_and_may_be_compared(template: str, study: Path, run_harness: Run) -> None:
    """Offline, from shipped checkpoints and one trained a moment ago; nothing differs but the weights."""
    if template == "quickstart":
        small = [f"{key}={value}" for key, value in (("steps", 1), ("prompts_per_step", 8), ("mini_batch", 8))]
        flags = [word for setting in ("name=grlo-live", *small) for word in ("--set", setting)]
        assert run_harness("train", "lab_grlo", *flags)[0] == 0
    assert run_harness("study", "init", "--template", template, "lab.toml")[0] == 0
    assert run_harness("study", "run", "lab.toml", "--set", "limit=2")[0] == 0
    spec = read_study(Path("lab.toml"), ["limit=2"])
    found = study_run_paths(spec)
    live = ["grlo-live"] if template == "quickstart" else []
    assert list(found.paths) == ["base", "base-elicited", *live, "grlo", "rlvr", "grlo-rlvr", "instruct"]
    assert (found.missing, found.notes, spec.allow_drift) == ({}, (), ())
    compare = ["compare", "runs/base", *(f"runs/{label}" for label in (*live, "grlo", "rlvr", "grlo-rlvr"))]
    assert run_harness(*compare, "--reference", "runs/instruct", "--elicited", "runs/base-elicited")[0] == 0


def found_study(*assignments: str) -> StudySpec:
    """Read the toy study."""
    return read_study(Path("study.toml"), assignments)


def test_runs_are_found_by_what_they_measured(study: Path, run_harness: Run) -> None:
    """A run with another limit, sampling or task is left out, with its reason."""
    assert run_harness("study", "run", "study.toml")[0] == 0
    found = study_run_paths(found_study())
    assert [len(paths) for paths in found.paths.values()] == [1, 1, 1]
    assert read_run(found.paths["base-elicited"][0].parent).spec.prompting == "elicited"
    assert found.notes == ()
    for assignment, reason in (
        ("limit=4", "examples of lab_math was 3, not 4"),
        ("sampling.top_p=0.5", "sampling of lab_math was temperature 1, k=2, max_tokens 50, not temperature 1, k=2"),
        ('tasks=["lab_chat"]', "it has lab_math, which is not of the study"),
        ("sampling.seed=4", "seed of lab_math was 0, not 4"),
        ("engine.name=hf", "engine was scripted, not hf"),
    ):
        found = study_run_paths(found_study(assignment))
        assert list(found.missing) == ["base", "base-elicited", "grlo"]
        assert reason in found.notes[-1]
        assert found.missing["grlo"] == "no finished run in runs/grlo is what the study asks for"


def test_runs_of_part_of_the_tasks_count_together(study: Path, run_harness: Run) -> None:
    """A checkpoint may be evaluated suite by suite; what is not finished is said."""
    for task in ("lab_math", "lab_chat"):
        run_harness("study", "run", "study.toml", "--only", "grlo", "--set", f'tasks=["{task}"]')
    found = study_run_paths(found_study())
    assert len(found.paths["grlo"]) == 2
    found.paths["grlo"][0].unlink()
    found = study_run_paths(found_study())
    assert len(found.paths["grlo"]) == 1
    assert "has not finished" in found.notes[0]


def test_repeats_count_but_one_measurement_counts_once(study: Path, run_harness: Run) -> None:
    """Another seed is a repeat where the study sets none; an overlapping run of the same seed is an error."""
    only = ["study", "run", "study.toml", "--only", "grlo"]
    for seed in (0, 1):
        run_harness(*only, "--set", f"sampling.seed={seed}")
    assert len(study_run_paths(found_study()).paths["grlo"]) == 2
    assert len(study_run_paths(found_study("sampling.seed=1")).paths["grlo"]) == 1
    run_harness(*only, "--set", 'tasks=["lab_chat"]')
    with pytest.raises(UsageError, match=r"grlo: runs/grlo/\w+ and runs/grlo/\w+ both measured lab_chat alike"):
        study_run_paths(found_study())


def test_overwritten_weights_are_no_repeat(study: Path, run_harness: Run) -> None:
    """The same path with other content is refused; other weights from elsewhere are repeats of training, and noted."""
    lines = [
        {"task": task.name, "example_id": example.example_id, "index": index, "text": "4"}
        for task in select_tasks(["lab_math", "lab_chat"])
        for example in task.load(None, None).examples[:3]
        for index in range(2)
    ]
    script = "\n".join(json.dumps(line) for line in lines)
    text = STUDY.replace("elicit = true\n", "").replace("scripted:mixed,seconds=0", "scripted:replay=script.jsonl")
    study.write_text(text)
    Path("script.jsonl").write_text(script)
    assert run_harness("study", "run", "study.toml", "--only", "grlo")[0] == 0
    Path("script.jsonl").write_text(script + "\n")
    assert run_harness("study", "run", "study.toml", "--only", "grlo")[0] == 0
    with pytest.raises(UsageError, match=r"scripted:replay=script.jsonl, which was overwritten between them; move"):
        study_run_paths(found_study())
    study.write_text(text.replace("scripted:replay=script.jsonl", "scripted:mixed"))
    for extra in sorted(Path("runs/grlo").iterdir())[1:]:
        extra.rename(extra.name)
    assert run_harness("study", "run", "study.toml", "--only", "grlo")[0] == 0
    found = study_run_paths(found_study())
    assert len(found.paths["grlo"]) == 2
    assert found.notes == ("grlo: its 2 runs are of 2 different weights: repeats of training",)


def test_named_runs_are_taken_as_they_are(study: Path, run_harness: Run) -> None:
    """Whatever they measured; a folder that is not there is missing, and stops nothing."""
    run_harness(
        "eval", "--ckpt", "scripted:mixed", "--task", "lab_code", "--limit", "1", "--label", "x", "--out", "old"
    )
    study.write_text(STUDY.replace("elicit = true\n", "") + MISSING.replace("old/elsewhere", "old/x"))
    found = study_run_paths(found_study())
    assert [path.parent.parent.name for path in found.paths["elsewhere"]] == ["x"]
    assert list(found.missing) == ["base", "grlo", "lost"]
    Path("old/x").rename("old/y")
    assert "old/x is neither a run directory" in study_run_paths(found_study()).missing["elsewhere"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('published = ["grlo/nobody"]\n[checkpoints.sampling]', "nobody"),
        ("[[training_prompts]]\nprompts = 'missing.jsonl'\n[throughput]", "missing.jsonl does not exist"),
    ],
)
def test_what_only_the_report_reads_is_checked_first(extra: str, message: str, study: Path, run_harness: Run) -> None:
    """Hours of runs are not spent before a misspelt name is found."""
    study.write_text(STUDY.partition("[checkpoints.sampling]")[0] + extra + "\n")
    code, _, err = run_harness("study", "run", "study.toml")
    assert code == 3
    assert message in err
    assert not Path("runs").exists()
