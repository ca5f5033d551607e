"""`harness judge`: two runs' answers to the same prompts, side by side before a judge."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from harness import __version__
from harness.cli.judge_table import print_judgments, print_ranking
from harness.cli.options import call_limit_option, drift_option, judge_config, split_names
from harness.cli.progress import confirm_calls, show_verdicts
from harness.cli.table import print_note, stdout_console
from harness.errors import EXIT_INCOMPLETE, EXIT_OK, UsageError
from harness.judge_wiring import PreparedJudge, checkpoint_folder, prepare_judge
from harness.judging.judgment import JudgedSide, Judgment, TaskJudgment, judge_task
from harness.judging.pair import AnsweredRun, choose_tasks, match_answers, read_answered_run
from harness.judging.pairwise import Match, PairRules, judge_pairs, questions_of
from harness.schema import Score
from harness.spec import JudgeConfig, content_hash
from harness.store import disk_errors, encode_pretty, read_json, write_atomically


@click.command("judge")
@click.option(
    "--a", "a", metavar="RUN", required=True, type=click.Path(path_type=Path), help="The baseline's finished run."
)
@click.option(
    "--b",
    "others",
    metavar="RUN",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="The candidate's finished run; several are each held against the baseline, and ranked.",
)
@click.option("--judge", metavar="FILE", help="TOML file of who judges (docs/chat.md).  [required]")
@call_limit_option
@click.option("--task", metavar="NAMES", multiple=True, help="Tasks, comma-separated.  [default: all that both have]")
@click.option(
    "--template", metavar="FILE", help="TOML file of the judge's prompt, instead of the harness's own (docs/chat.md)."
)
@drift_option
@click.option(
    "--out",
    default="judged",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for judgments.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the judgments as JSON instead of a table.")
def command(a: Path, others: tuple[Path, ...], **flags: Any) -> int:
    """Ask a judge which of two runs' answers to the same prompts are better.

    \b
    harness judge --a runs/lab-base --b runs/lab-grlo --judge judge.toml --task lab_chat
    harness judge --a runs/base --b runs/grlo --b runs/rlvr --judge judge.toml --max-judge-calls 2000

    A run is given by its directory, or by its label's folder if that holds one run. Both orders of each pair are asked
    about. Verdicts are stored as they come, so that the same command again asks for nothing twice. Writes
    judged/A-vs-B/DIGEST/judgment.json and scores.jsonl. Exit code 4: some pairs have no readable verdict.
    """  # noqa: D301 - click reads \b as a backspace character
    config = _read_config(flags)
    baseline = read_answered_run(a)
    bouts = [_prepare_bout(baseline, run, config, flags) for run in _read_candidates(others)]
    with show_verdicts() as listener:
        judge = prepare_judge(config, confirm_calls(), listener)
        try:
            _admit(bouts, judge)
            judged = [_judge(bout, judge, flags["out"]) for bout in bouts]
        finally:
            judge.bench.close()
    judgments = [item.judgment for item in judged]
    if flags["as_json"]:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(judgments), indent=2).decode() + "\n")
    else:
        console = stdout_console()
        print_judgments(judgments, console, [_first_unread(item.scores) for item in judged])
        if len(judged) > 1:
            scores = dict(zip(_names(judgments), (item.scores for item in judged), strict=True))
            print_ranking(baseline.label, scores, console, baseline.clusters)
        for item in judged:
            console.print(f"written: {item.path}", markup=False, highlight=False, soft_wrap=True)
    tally = judge.tally
    print_note(
        f"{tally.num_questions:,} questions: {tally.num_stored:,} verdicts in the store, {judge.bench.num_calls:,} "
        f"calls of {judge.identity.name}"
    )
    return EXIT_INCOMPLETE if any(judgment.num_errors for judgment in judgments) else EXIT_OK


@dataclass(frozen=True)
class _Bout:
    """Two runs, lined up."""

    a: AnsweredRun
    b: AnsweredRun
    tasks: tuple[str, ...]
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class _Judged:
    """A bout and what became of it."""

    judgment: Judgment
    scores: tuple[Score, ...]
    path: Path


def _read_config(flags: dict[str, Any]) -> JudgeConfig:
    config = judge_config(flags["judge"], flags["max_judge_calls"])
    if config is None:
        raise UsageError("no judge was given; pass --judge FILE, a TOML file of who judges (docs/chat.md)")
    if config == "later":
        raise UsageError("--judge later stores answers unjudged, and these are stored already; pass --judge FILE")
    return msgspec.structs.replace(config, template=flags["template"]) if flags["template"] else config


def _read_candidates(paths: Sequence[Path]) -> list[AnsweredRun]:
    runs = [read_answered_run(path) for path in paths]
    given = [run.path.resolve() for run in runs]
    if twice := next((run for run in runs if given.count(run.path.resolve()) > 1), None):
        raise UsageError(f"--b {twice.path} is given twice; name each candidate once")
    return runs


def _first_unread(scores: Sequence[Score]) -> Score | None:
    return next((score for score in scores if score.outcome == "error"), None)


def _prepare_bout(a: AnsweredRun, b: AnsweredRun, config: JudgeConfig, flags: dict[str, Any]) -> _Bout:
    tasks = choose_tasks(a, b, split_names((), flags["task"]), flags["allow_drift"])
    return _Bout(a, b, tasks, match_answers(a, b, tasks, config.strip))


def _rules(judge: PreparedJudge) -> PairRules:
    template = judge.pair_template
    told = [judge.identity.digest, template.identity if template else None, judge.config.strip, judge.config.swap]
    name = f"judge@pair-{judge.identity.name.replace('/', '_')}-{content_hash(told)[:8]}"
    return PairRules(scorer=name, template=template, swap=judge.config.swap)


def _admit(bouts: Sequence[_Bout], judge: PreparedJudge) -> None:
    """Settle the cost of all bouts at once."""
    rules = _rules(judge)
    judge.bench.admit(
        [question for bout in bouts for match in bout.matches for question in questions_of(match, rules).values()]
    )


def _judge(bout: _Bout, judge: PreparedJudge, out: Path) -> _Judged:
    """Ask about a bout and write what came of it."""
    rules = _rules(judge)
    scores = tuple(sorted(judge_pairs(judge.bench, bout.matches, rules), key=lambda score: score.key))
    judgment = Judgment(
        a=_side(bout.a, judge),
        b=_side(bout.b, judge),
        judge=judge.identity,
        template=rules.template.identity if rules.template else None,
        swap=judge.config.swap,
        strip=judge.config.strip,
        tasks=tuple(_judge_task(name, bout, scores) for name in bout.tasks),
        harness_version=__version__,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return _Judged(judgment, scores, _write(judgment, scores, out))


def _judge_task(name: str, bout: _Bout, scores: Sequence[Score]) -> TaskJudgment:
    matches = [match for match in bout.matches if match.key.task == name]
    return judge_task(name, bout.a, matches, [score for score in scores if score.key.task == name])


def _names(judgments: Sequence[Judgment]) -> list[str]:
    """Return the candidates' labels, with the run's name where several have the same."""
    labels = [judgment.b.label for judgment in judgments]
    return [
        label if labels.count(label) == 1 else f"{label} {judgment.b.spec_id[:8]}"
        for label, judgment in zip(labels, judgments, strict=True)
    ]


def _side(run: AnsweredRun, judge: PreparedJudge) -> JudgedSide:
    checkpoint = run.record.spec.checkpoint
    return JudgedSide(
        label=run.label,
        spec_id=run.record.spec_id,
        weights=checkpoint.fingerprint.weights,
        kin=judge.find_kin(checkpoint, checkpoint_folder(checkpoint)),
    )


def _write(judgment: Judgment, scores: Sequence[Score], out: Path) -> Path:
    """Write judgment.json and scores.jsonl; a judgment that is there already and says the same keeps its time."""
    told = [judgment.a.spec_id, judgment.b.spec_id, judgment.judge.digest, judgment.template, judgment.swap]
    names = [list(judgment.strip), [task.task for task in judgment.tasks]]
    folder = out / f"{judgment.a.label}-vs-{judgment.b.label}" / content_hash([*told, *names])[:16]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "scores.jsonl", b"".join(msgspec.json.encode(score) + b"\n" for score in scores))
    path = folder / "judgment.json"
    if path.exists():
        old = read_json(path, Judgment)
        same = msgspec.structs.replace(judgment, finished_at=old.finished_at)
        judgment = same if encode_pretty(same) == encode_pretty(old) else judgment
    write_atomically(path, encode_pretty(judgment))
    return path
