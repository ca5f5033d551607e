"""Two finished runs' answers to the same prompts, lined up for a judge: `harness judge`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.identity import conflicting_fields
from harness.judging.answers import Answer, read_answer, strip_reasoning
from harness.judging.pairwise import Match
from harness.pairing import describe_difference
from harness.plan import describe_key
from harness.schema import Example, Generation, RequestKey, RunRecord
from harness.spec import did_you_mean
from harness.store import read_json, read_lines
from harness.verdicts import find_runs

MUST_AGREE = ("version", "data", "prompt", "sampling", "template", "thinking")
"""What two runs' answers have to have in common; scorers may differ, since it is the judge who judges."""
MAX_NAMED = 3
"""Examples that an error names."""


@dataclass(frozen=True)
class AnsweredRun:
    """A finished run, as a judge needs it."""

    path: Path
    record: RunRecord

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.record.spec.checkpoint.label

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of its tasks."""
        return tuple(ref.name for ref in self.record.spec.tasks)

    @cached_property
    def examples(self) -> dict[tuple[str, str], Example]:
        """What was asked, by task and id."""
        found = read_lines(self.path / "examples.jsonl", Example)
        return {(example.task, example.example_id): example for example in found}

    @property
    def clusters(self) -> dict[tuple[str, str], str]:
        """Clusters of the examples that do not stand alone, such as the turns of a conversation."""
        return {place: example.cluster for place, example in self.examples.items() if example.cluster}

    @cached_property
    def answers(self) -> dict[RequestKey, Generation]:
        """What the model said; requests that ended in error have no answer."""
        found = read_lines(self.path / "generations.jsonl", Generation)
        return {generation.key: generation for generation in found if generation.error is None}


def read_answered_run(path: Path) -> AnsweredRun:
    """Return the one run that a path stands for.

    Raises:
        HarnessError: if there is no finished run, or several.
    """
    files = find_runs(path)
    if len(files) > 1:
        raise UsageError(f"{path} holds {len(files)} runs; name one: {', '.join(str(file.parent) for file in files)}")
    return AnsweredRun(path=files[0].parent, record=read_json(files[0], RunRecord))


def choose_tasks(
    a: AnsweredRun, b: AnsweredRun, wanted: Sequence[str], allow_drift: Collection[str]
) -> tuple[str, ...]:
    """Return the tasks on which two runs' answers may be held against each other.

    Raises:
        UsageError: if a wanted task is not in both, none is, or the two were not asked alike.
    """
    shared = [name for name in a.tasks if name in b.tasks]
    for name in wanted:
        if name not in shared:
            has = f"{a.label} has {', '.join(a.tasks)}; {b.label} has {', '.join(b.tasks)}"
            raise UsageError(f"--task {name} is not in both runs{did_you_mean(name, shared)}: {has}")
    if not shared:
        raise UsageError(
            f"{a.label} and {b.label} have no task in common: {a.label} has {', '.join(a.tasks)}; {b.label} has "
            f"{', '.join(b.tasks)}"
        )
    tasks = tuple(name for name in shared if name in wanted or not wanted)
    for item in conflicting_fields(a.record.spec, b.record.spec, MUST_AGREE):
        if item.task in (None, *tasks) and item.field not in allow_drift:
            raise UsageError(
                f"{a.label} and {b.label} were not asked alike: {describe_difference(item)}; measure both alike, or "
                f"pass --allow-drift {item.field}"
            )
    return tasks


def match_answers(a: AnsweredRun, b: AnsweredRun, tasks: Sequence[str], strip: Sequence[str]) -> tuple[Match, ...]:
    """Return b's answers against a's, request by request in the order of a's examples.

    Raises:
        UsageError: if one of them has an answer that the other has not, or both lack one, naming it.
    """
    ours = {key for key in b.answers if key.task in tasks}
    theirs = {key for key in a.answers if key.task in tasks}
    for side, missing in ((a, ours - theirs), (b, theirs - ours)):
        if missing:
            named = ", ".join(describe_key(key) for key in sorted(missing)[:MAX_NAMED])
            more = f" and {len(missing) - MAX_NAMED:,} more" if len(missing) > MAX_NAMED else ""
            other = b if side is a else a
            raise UsageError(
                f"{side.path} has no answer to {named}{more}, of which {other.path} has one; run its `harness eval` "
                "command again if requests ended in error, or evaluate both on the same examples"
            )
    _check_answered(a, ours, tasks)
    order = {place: number for number, place in enumerate(a.examples)}
    return tuple(
        _match(a, b, key, strip) for key in sorted(ours, key=lambda key: (order[key.task, key.example_id], key.index))
    )


def _check_answered(run: AnsweredRun, answered: Collection[RequestKey], tasks: Sequence[str]) -> None:
    """Refuse what neither run answered: it would be left out of the win rate in silence."""
    generations = {ref.name: ref.sampling.num_generations for ref in run.record.spec.tasks}
    planned = [
        RequestKey(task=task, example_id=example_id, index=index)
        for task, example_id in run.examples
        if task in tasks
        for index in range(generations[task])
    ]
    if missing := [key for key in planned if key not in answered]:
        more = f" and {len(missing) - MAX_NAMED:,} more" if len(missing) > MAX_NAMED else ""
        raise UsageError(
            f"neither run has an answer to {', '.join(describe_key(key) for key in missing[:MAX_NAMED])}{more}; run "
            "their `harness eval` commands again, or evaluate both on the examples that they can answer"
        )


def _match(a: AnsweredRun, b: AnsweredRun, key: RequestKey, strip: Sequence[str]) -> Match:
    turns = _turns(a.examples[key.task, key.example_id], a.examples)
    return Match(
        key=key,
        question=turns[0].input,
        candidate=_answer(b, key, turns, strip),
        baseline=_answer(a, key, turns, strip),
        where=f"{describe_key(key)}, {b.label} against {a.label}",
    )


def _turns(example: Example, examples: Mapping[tuple[str, str], Example]) -> list[Example]:
    """Return the turns of an example's conversation, first turn first, its own last."""
    turns = [example]
    while (before := turns[0].metadata.get("follows")) is not None:
        if (example.task, before) not in examples:  # of imported text, which may hold a later turn alone
            raise UsageError(
                f"{example.task}/{example.example_id} goes on from {before}, which the runs do not have: import both "
                "turns, or name other tasks with --task"
            )
        turns.insert(0, examples[example.task, before])
    return turns


def _answer(run: AnsweredRun, key: RequestKey, turns: Sequence[Example], strip: Sequence[str]) -> Answer:
    """Return a run's answer of the last turn, with what was said after the first question."""
    before: list[tuple[str, str]] = []
    for turn, following in pairwise(turns):
        earlier = run.answers[msgspec.structs.replace(key, example_id=turn.example_id)]
        before += [("assistant", strip_reasoning(earlier.text, strip)), ("user", following.input)]
    return read_answer(run.answers[key], strip, before)
