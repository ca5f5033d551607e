"""`harness score`: grade a run again with today's scorers, or grade generations made elsewhere."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from harness.checkpoint import ResolvedCheckpoint, check_label
from harness.cli.eval import print_kin, run_prepared
from harness.cli.options import data_options, judge_options, scoring_config, scoring_options
from harness.cli.progress import confirm_calls, show_progress
from harness.cli.table import print_note, print_run
from harness.engines.imported import IMPORTED, ImportedEngine, ImportedFile, parse_map
from harness.errors import EXIT_INCOMPLETE, EXIT_OK, DataError, UsageError
from harness.judge_wiring import JudgeMaker, checkpoint_folder
from harness.plan import PlannedTask
from harness.provenance import collect_provenance
from harness.runner import execute
from harness.schema import (
    CheckpointRef,
    Fingerprint,
    RequestKey,
    RunRecord,
    RunSpec,
    Sampling,
    Score,
    Style,
    TrainingCost,
)
from harness.spec import EvalConfig, content_hash
from harness.store import RunStore, encode_pretty, read_json, read_lines, read_run, run_path
from harness.wiring import PreparedRun, close_scorers, data_folders, plan_tasks, scorer_options
from tasks.registry import select_tasks
from tasks.task import BenchmarkTask


@click.command("score")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--task", metavar="NAME", help="The task that the generations answer.")
@click.option(
    "--generations", type=click.Path(path_type=Path), metavar="FILE", help="JSONL file (or .gz) of another tool."
)
@click.option(
    "--map",
    "fields",
    metavar="NAME=FIELD,…",
    help="Which field holds what: example_id (or input), text, index, finish_reason, continuation=true; dotted names "
    "reach inside. Without it EvalPlus, lm-eval and plain files are recognised.",
)
@click.option("--id-prefix", default="", metavar="TEXT", help="Put before the file's ids, e.g. Mbpp/.")
@click.option("--allow-missing", is_flag=True, help="Score only the examples the file has.")
@click.option("--allow-extra", is_flag=True, help="Ignore rows for examples the task does not have.")
@click.option("--label", metavar="NAME", help="Name in tables and of the run folder.  [default: the file's name]")
@click.option("--out", default="runs", metavar="DIR", help="Folder for run directories.  [default: runs]")
@data_options
@scoring_options
@judge_options
@click.option("--json", "as_json", is_flag=True, help="Print the run record as JSON instead of a table.")
def command(run: Path | None, **flags: Any) -> int:
    """Grade a run again, or grade generations made elsewhere.

    \b
    harness score runs/lab-base/0123456789abcdef
    harness score --task gsm8k --generations out.jsonl --map example_id=id,text=response
    harness score --task humaneval_plus --generations samples.jsonl
    harness score runs/grlo/0123456789abcdef --judge judge.toml

    The first form writes scores.<grading>.jsonl and run.<grading>.json beside the old files and says how many verdicts
    changed. The second writes an ordinary run directory, so that everything downstream works on it.
    """  # noqa: D301 - click reads \b as a backspace character
    if (run is None) == (flags["generations"] is None):
        raise UsageError("give either a run directory, or --task NAME --generations FILE")
    as_json = flags.pop("as_json")
    record, path, scores = _regrade(run, flags) if run is not None else _import(flags)
    if as_json:
        sys.stdout.write(encode_pretty(record).decode())
    else:
        print_run(record, path, scores)
    return EXIT_INCOMPLETE if record.status == "incomplete" else EXIT_OK


def _import(flags: dict[str, Any]) -> tuple[RunRecord, Path, str]:
    if not flags["task"]:
        raise UsageError("--generations needs --task NAME: which task do they answer?")
    if not flags["generations"].is_file():
        raise DataError(f"{flags['generations']} does not exist or is not a file")
    fields = parse_map(flags["fields"]) if flags["fields"] else None
    file = ImportedFile(flags["generations"], fields, flags["id_prefix"])
    label = check_label(flags["label"] or flags["generations"].name.removesuffix(".gz").removesuffix(".jsonl"))
    config = scoring_config(
        flags, ckpt=str(flags["generations"]), label=label, tasks=(flags["task"],), out=flags["out"]
    )
    options = scorer_options(config, continuation=file.fields.continuation)
    tasks = select_tasks(config.tasks)
    if len(tasks) != 1:
        raise UsageError(f"--task {flags['task']} is {len(tasks)} tasks; a file answers one")
    judges = JudgeMaker(config.judge, data_folders(config)[0], confirm=confirm_calls())
    (planned,), sources = plan_tasks(tasks, config, options, "chat", judges)
    generations, k, missing = file.pair(
        planned.ref.name, planned.examples, flags["allow_missing"], flags["allow_extra"]
    )
    if missing:
        print_note(f"{len(missing)} of {len(planned.examples)} examples have no generation and are left out")
    planned = _imported_plan(planned, k, set(missing))
    identity = [file.sha256, msgspec.to_builtins(file.fields), flags["id_prefix"], sorted(missing)]
    fingerprint = Fingerprint(weights=content_hash(identity), tokenizer="unknown", template=None)
    ref = CheckpointRef(label=label, path=str(file.path), revision=None, fingerprint=fingerprint)
    spec = RunSpec(
        checkpoint=ref,
        tasks=(planned.ref,),
        engine=IMPORTED,
        prompting="imported",
        enable_thinking=None,
        limit=None,
    )
    prepared = PreparedRun(
        config=config,
        spec=spec,
        planned=(planned,),
        checkpoint=ResolvedCheckpoint(ref=ref, folder=None, training=None),
        make_engine=lambda: ImportedEngine(generations, str(file.path)),
        render=lambda request: ("", None),
        num_workers=options.num_workers,
        sources=sources,
    )
    try:
        return run_prepared(prepared), run_path(Path(config.out), spec), "scores.jsonl"
    finally:
        close_scorers([planned])


def _imported_plan(planned: PlannedTask, k: int, missing: set[str]) -> PlannedTask:
    """Return the plan that a file of generations answers: how they were sampled and asked is not known."""
    examples = tuple(example for example in planned.examples if example.example_id not in missing)
    sampling = Sampling(temperature=-1, max_tokens=0, num_generations=k)
    ref = msgspec.structs.replace(planned.ref, prompt="imported", sampling=sampling, num_examples=len(examples))
    return replace(planned, ref=ref, examples=examples)


def _regrade(path: Path, flags: dict[str, Any]) -> tuple[RunRecord, Path, str]:
    spec = read_json(path / "spec.json", RunSpec)
    names = tuple(ref.name for ref in spec.tasks)
    config = scoring_config(flags, ckpt=spec.checkpoint.path, label=spec.checkpoint.label, tasks=names)
    if spec.prompting == "elicited":
        raise UsageError(
            f"{path} was put together by `harness elicit`: grade its styles' runs again, then elicit again"
        )
    # an imported file's map is not kept with the run; that its texts continue the prompt is in the scorer's version
    is_imported = spec.prompting == "imported"
    options = scorer_options(config, is_imported and any("continuation" in ref.scorer for ref in spec.tasks))
    style: Style = "chat" if spec.prompting == "imported" else spec.prompting
    folder = checkpoint_folder(spec.checkpoint)
    judges = JudgeMaker(config.judge, data_folders(config)[0], spec.checkpoint, folder, confirm_calls())
    planned, _ = plan_tasks(_check_judge(select_tasks(config.tasks), config, path), config, options, style, judges)
    print_kin(judges.kin)
    training = read_run(path).training  # an unfinished run is resumed first, not graded in part
    old_values = {score.key: score.value for score in read_lines(path / "scores.jsonl", Score)}
    planned = tuple(_as_run(item, spec, old_values) for item in planned)
    new_spec = msgspec.structs.replace(spec, tasks=tuple(item.ref for item in planned))
    grading = content_hash([item.ref.scorer for item in planned])[:8]
    store = RunStore(path, new_spec, grading)
    try:
        record = _execute(planned, store, training, options.num_workers)
        changed = sum(score.value != old_values.get(score.key) for score in store.scores)
    finally:
        store.close()
        close_scorers(planned)
    scores = f"scores.{grading}.jsonl"
    print_note(f"{changed} of {len(old_values)} verdicts changed; wrote {path / scores}")
    return record, path, scores


def _check_judge(tasks: tuple[BenchmarkTask, ...], config: EvalConfig, path: Path) -> tuple[BenchmarkTask, ...]:
    """Refuse a judge that would have nothing to do, or none where the answers are to be judged at last."""
    if config.judge == "later":
        raise UsageError(f"--judge later stores answers unjudged, and those of {path} are stored; pass --judge FILE")
    if config.judge is None and (judged := [task.name for task in tasks if task.judging]):
        raise UsageError(f"{path}: {', '.join(judged)} is judged; pass --judge FILE, who judges it (docs/chat.md)")
    if config.judge is not None and not any(task.judging for task in tasks):
        raise UsageError(f"{path} has no judged task (it has {', '.join(config.tasks)}); leave out --judge")
    return tasks


def _as_run(item: PlannedTask, spec: RunSpec, old_values: dict[RequestKey, float]) -> PlannedTask:
    """Return today's task with the run's examples, prompt and sampling; only the scorer may be new."""
    old = next(ref for ref in spec.tasks if ref.name == item.ref.name)
    if (old.data_sha256, old.version) != (item.ref.data_sha256, item.ref.version):
        raise DataError(
            f"{old.name}: the run was made on version {old.version}, data {old.data_sha256[:16]}; today's task is "
            f"version {item.ref.version}, data {item.ref.data_sha256[:16]}, and a re-grading may change the scorer only"
        )
    given = {key.example_id for key in old_values if key.task == old.name}
    examples = tuple(example for example in item.examples if example.example_id in given)
    assert len(examples) == old.num_examples, "a finished run has a score for every planned example"
    return replace(item, ref=msgspec.structs.replace(old, scorer=item.ref.scorer), examples=examples)


def _execute(
    planned: tuple[PlannedTask, ...], store: RunStore, training: TrainingCost | None, num_workers: int
) -> RunRecord:
    with show_progress() as progress:
        return execute(planned, store, _no_engine, collect_provenance, training, progress, num_workers)


def _no_engine() -> NoReturn:
    raise DataError("the run has not finished generating; resume it with its `harness eval` command first")
