"""`harness report`: tables, figures and the page of runs that are there, without a study file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from harness.cli.options import check_resamples, comparison_options, split_trained_on
from harness.cli.study_report import report_options, write_and_show
from harness.errors import EXIT_OK, UsageError
from harness.pairing import check_gradings
from harness.schema import RunRecord
from harness.store import read_json
from harness.study.spec import Role, StudyCheckpoint, StudySpec, TrainingPrompts
from harness.verdicts import find_runs


@dataclass(frozen=True)
class _Given:
    """The runs of one label, and the part it plays."""

    role: Role
    files: tuple[Path, ...]


@click.command("report")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("candidates", metavar="CANDIDATE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--control",
    "controls",
    metavar="RUN",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An arm that shows what any training would do, such as a random reward.",
)
@click.option(
    "--training-prompts",
    metavar="[LABEL=]FILE",
    multiple=True,
    help="Search this file for the tasks' examples; LABEL was trained on it.",
)
@click.option("--title", default="", help="Heading of the report.")
@comparison_options
@report_options
def command(base: Path, candidates: tuple[Path, ...], **flags: Any) -> int:
    """Write tables, figures and the page of finished runs: a candidate or several against a base.

    \b
    harness report runs/base runs/grlo runs/rlvr --reference runs/qwen3-4b -o report
    harness report runs/base runs/grlo --trained-on chat --elicited runs/base-elicited

    A run is given by its directory, its run.json (or run.<grading>.json), or the folder of its label. A study file can
    say more: see harness study init.
    """  # noqa: D301 - click reads \b as a backspace character
    check_resamples(flags["resamples"], flags["level"])
    given = _gather(base, candidates, flags)
    spec = _study(given, flags)
    paths = {label: found.files for label, found in given.items()}
    if flags["elicited"] is not None:
        assert spec.elicited_label is not None, "the base is marked as elicited"
        paths[spec.elicited_label] = find_runs(flags["elicited"])
    write_and_show(spec, paths, (), flags["out"] or Path("report") / spec.name, flags)
    return EXIT_OK


def _gather(base: Path, candidates: tuple[Path, ...], flags: dict[str, Any]) -> dict[str, _Given]:
    """Return the runs by their own labels, in the order given."""
    roles: tuple[tuple[Role, tuple[Path, ...]], ...] = (
        ("base", (base,)),
        ("candidate", candidates),
        ("control", flags["controls"]),
        ("reference", flags["references"]),
    )
    found: dict[str, _Given] = {}
    for role, paths in roles:
        for label, file in _labelled(paths):
            before = found.get(label, _Given(role, ()))
            if before.role != role:
                raise UsageError(
                    f"{file} is labelled {label}, as a run given as {before.role} is: evaluate one with another --label"
                )
            found[label] = _Given(role, tuple(dict.fromkeys((*before.files, file))))
    for label, given in found.items():
        check_gradings(label, given.files)
    if sum(given.role == "base" for given in found.values()) > 1:
        raise UsageError(f"{base} holds runs of several labels: name one run directory")
    return found


def _labelled(paths: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        for file in find_runs(path):
            yield read_json(file, RunRecord).spec.checkpoint.label, file


def _study(given: dict[str, _Given], flags: dict[str, Any]) -> StudySpec:
    trained_on = split_trained_on(flags["trained_on"])
    if unknown := sorted(set(trained_on) - {*given, "*"}):
        raise UsageError(
            f"--trained-on names {', '.join(unknown)}, which no run is labelled; expected {', '.join(given)}"
        )
    checkpoints = tuple(
        StudyCheckpoint(
            label=label,
            role=found.role,
            runs=tuple(str(file) for file in found.files),
            elicit=found.role == "base" and flags["elicited"] is not None,
            trained_on=trained_on.get(label, trained_on.get("*", ()) if found.role == "candidate" else ()),
        )
        for label, found in given.items()
    )
    return StudySpec(
        name="-".join(each.label for each in checkpoints if each.role in ("base", "candidate"))[:100],
        title=flags["title"],
        checkpoints=checkpoints,
        level=flags["level"],
        overall=flags["overall"],
        seed=flags["seed"],
        num_resamples=flags["resamples"],
        allow_drift=flags["allow_drift"],
        allow_incomplete=flags["allow_incomplete"],
        training_prompts=_training_prompts(flags["training_prompts"], given),
    )


def _training_prompts(given: tuple[str, ...], labels: dict[str, _Given]) -> tuple[TrainingPrompts, ...]:
    found = []
    for text in given:
        label, equals, file = text.partition("=")
        if equals and label in labels:
            found.append(TrainingPrompts(prompts=file, checkpoints=(label,)))
        elif equals and not Path(text).exists():
            raise UsageError(f"--training-prompts {text}: no run is labelled {label}; expected {', '.join(labels)}")
        else:
            found.append(TrainingPrompts(prompts=text))
    return tuple(found)
