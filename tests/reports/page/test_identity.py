"""Runs in words."""

from pathlib import Path

import msgspec

from harness.schema import Sampling
from harness.study.findings import StudyRun
from reports.page.identity import RunIdentity, describe_sampling, identify_runs
from tests.reports.page.runs import toy_tasks, write_run


def identify(run: StudyRun, grading: str = "", **changes: object) -> RunIdentity:
    """Return the identity of a run whose specification is changed."""
    spec = msgspec.structs.replace(run.record.spec, **changes)
    record = msgspec.structs.replace(run.record, spec=spec)
    (found,) = identify_runs([msgspec.structs.replace(run, record=record, grading=grading)])
    return found


def test_greedy_sampling_names_no_temperature() -> None:
    """What has no effect is left out."""
    assert describe_sampling(Sampling(seed=7)) == "greedy, k = 1, at most 2,048 tokens"


def test_drawn_sampling_names_everything_that_decides() -> None:
    """Temperature, seed, cuts, count, limit, penalty and stops."""
    sampling = Sampling(0.6, 0.95, 20, 3072, 8, ("\n\n",), 5, 1.1)
    assert describe_sampling(sampling) == (
        "temperature 0.6, seed 5, top-p 0.95, top-k 20, k = 8, at most 3,072 tokens, repetition penalty 1.1, "
        "stop '\\n\\n'"
    )
    assert (
        describe_sampling(Sampling(temperature=1.0, max_tokens=8)) == "temperature 1, seed 0, k = 1, at most 8 tokens"
    )


def test_imported_sampling_is_not_known() -> None:
    """-1 and 0 mean not known."""
    assert describe_sampling(Sampling(temperature=-1.0, max_tokens=0)) == "sampling not known, k = 1"


def test_tasks_that_are_sampled_alike_share_a_line(tmp_path: Path) -> None:
    """Each sampling once, with its tasks."""
    asked = toy_tasks("base", 4)["gsm8k"]
    run = write_run(tmp_path, "base", {"gsm8k": asked, "math500": asked, "aime24": asked})
    first, second, third = run.record.spec.tasks
    drawn = msgspec.structs.replace(third, sampling=Sampling(temperature=1.0, num_generations=8, max_tokens=0))
    assert identify(run, tasks=(first, second, drawn)).sampling == (
        ("greedy, k = 1, at most 2,048 tokens", "gsm8k, math500"),
        ("temperature 1, seed 0, k = 8", "aime24"),
    )


def test_a_run_says_how_it_was_asked(tmp_path: Path) -> None:
    """Prompting with thinking and limit, the checkpoint with its revision, a regrading by its name."""
    run = write_run(tmp_path, "base", toy_tasks("base", 4))
    assert identify(run, enable_thinking=None, limit=None).prompting == run.record.spec.prompting
    assert identify(run, enable_thinking=True, limit=2000).prompting.endswith(
        ", thinking, first 2,000 examples of each task"
    )
    assert identify(run, enable_thinking=False).prompting.endswith(", not thinking")
    checkpoint = msgspec.structs.replace(run.record.spec.checkpoint, path="org/model", revision="abc")
    assert identify(run, checkpoint=checkpoint).checkpoint == "org/model@abc"
    assert identify(run, grading=".ab12").grading == "ab12"
    assert identify(run).grading == ""


def test_the_last_session_counts(tmp_path: Path) -> None:
    """A resumed run is of the commit that finished it; a changed tree is told; a run without sessions is unknown."""
    run = write_run(tmp_path, "base", toy_tasks("base", 4))
    (first,) = run.record.sessions
    last = msgspec.structs.replace(first, git_commit="beef", git_dirty=True)
    resumed = msgspec.structs.replace(run, record=msgspec.structs.replace(run.record, sessions=(first, last)))
    bare = msgspec.structs.replace(run, record=msgspec.structs.replace(run.record, sessions=()))
    assert [(found.git_commit, found.is_changed) for found in identify_runs([resumed, run, bare])] == [
        ("beef", True),
        (first.git_commit, False),
        ("–", False),
    ]
