"""The texts of a study's runs, packed for the page's example browser: a small index and compressed chunks.

It reads run directories and judges nothing. What the chunks hold is what templates/chunks.js unpacks.
"""

import base64
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness.schema import Example, Generation, Outcome, RequestKey, Score
from harness.store import read_lines
from harness.study.findings import StudyRun

MAX_CHARACTERS = 100_000
"""A longer text is cut, with a mark."""


@dataclass(frozen=True)
class TaskTexts:
    """One task's examples as the page carries them. Chunks are base64 of gzip of JSON."""

    name: str
    suite: str
    num_examples: int
    num_shown: int
    """Examples whose texts are in the page."""
    prompts: str
    """Chunk: [prompt, target] of each shown example."""
    generations: dict[str, str]
    """Chunk by label: for each shown example its generations, see `_as_row`."""


@dataclass(frozen=True)
class ExampleBook:
    """Everything the example browser needs."""

    labels: tuple[str, ...]
    tasks: tuple[TaskTexts, ...]
    index: str
    """Chunk: each task's ids and mean scores of all its examples, and which of them are shown."""
    num_generations: int
    num_shown: int
    """Generations whose texts are in the page."""


class _Verdict(msgspec.Struct):
    """What choosing needs of a Score."""

    key: RequestKey
    value: float
    outcome: Outcome


@dataclass
class _Task:
    """One task while it is read."""

    suite: str
    example_ids: dict[str, None] = field(default_factory=dict)
    """In the order of the first run that has them."""
    verdicts: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Label → example id → verdict of each generation; nan for one that ended in error."""

    def mean(self, label: str, example_id: str) -> float | None:
        """Return an example's mean verdict; None where it has none, or one of its requests ended in error."""
        values = self.verdicts.get(label, {}).get(example_id)
        mean = math.fsum(values) / len(values) if values else math.nan
        return None if math.isnan(mean) else round(mean, 6)

    def cost(self, example_id: str) -> int:
        """Return how many generations an example has, all labels together."""
        return sum(len(values.get(example_id, ())) for values in self.verdicts.values())

    def is_flipped(self, example_id: str) -> bool:
        """Say whether the labels' mean verdicts differ."""
        return len({self.mean(label, example_id) for label in self.verdicts} - {None}) > 1


def pack_examples(runs: Sequence[StudyRun], max_generations: int = 20_000) -> ExampleBook:
    """Read the texts of runs and pack them.

    Args:
        runs: all runs of a study; generations of several runs of a label stand side by side.
        max_generations: most generations whose texts are packed. If there are more, each task keeps its share, in whole
            examples: first those on which labels differ, then by their order. 0 packs none.

    Raises:
        StoreError: if a run directory's files cannot be read.
    """
    labels = tuple(dict.fromkeys(run.label for run in runs))
    tasks = _read_verdicts(runs) if max_generations else {}
    shown = _choose(tasks, max_generations)
    index = [
        {
            "name": name,
            "suite": task.suite,
            "ids": list(task.example_ids),
            "means": {label: [task.mean(label, each) for each in task.example_ids] for label in task.verdicts},
            "shown": [row for row, each in enumerate(task.example_ids) if each in shown[name]],
        }
        for name, task in tasks.items()
    ]
    prompts = _read_prompts(runs, shown)
    generations = {label: _read_generations([run for run in runs if run.label == label], shown) for label in labels}
    texts = [
        TaskTexts(
            name=name,
            suite=task.suite,
            num_examples=len(task.example_ids),
            num_shown=len(shown[name]),
            prompts=_pack([prompts.get((name, each)) for each in shown[name]]),
            generations={
                label: _pack([generations[label].get((name, each), []) for each in shown[name]])
                for label in task.verdicts
            },
        )
        for name, task in tasks.items()
    ]
    return ExampleBook(
        labels=labels,
        tasks=tuple(texts),
        index=_pack(index),
        num_generations=sum(task.cost(each) for task in tasks.values() for each in task.example_ids),
        num_shown=sum(tasks[name].cost(each) for name, chosen in shown.items() for each in chosen),
    )


def _read_verdicts(runs: Iterable[StudyRun]) -> dict[str, _Task]:
    tasks: dict[str, _Task] = {}
    for run in runs:
        for ref in run.record.spec.tasks:
            tasks.setdefault(ref.name, _Task(ref.suite))
        for example in read_lines(Path(run.path) / "examples.jsonl", Example):
            tasks[example.task].example_ids.setdefault(example.example_id)
        for score in read_lines(_scores_path(run), _Verdict):
            values = tasks[score.key.task].verdicts.setdefault(run.label, {}).setdefault(score.key.example_id, [])
            values.append(math.nan if score.outcome == "error" else score.value)
    return tasks


def _scores_path(run: StudyRun) -> Path:
    return Path(run.path) / f"scores{run.grading}.jsonl"


def _choose(tasks: dict[str, _Task], max_generations: int) -> dict[str, dict[str, None]]:
    """Return each task's ids to be shown, in their order. What a small task does not need goes to the larger ones."""
    costs = {name: sum(task.cost(each) for each in task.example_ids) for name, task in tasks.items()}
    shown = {}
    left = max_generations
    for position, name in enumerate(sorted(tasks, key=costs.__getitem__)):
        task = tasks[name]
        quota = left // (len(tasks) - position)
        chosen = set()
        for example_id in sorted(task.example_ids, key=lambda each: not task.is_flipped(each)):
            quota -= task.cost(example_id)
            if quota < 0:
                break
            left -= task.cost(example_id)
            chosen.add(example_id)
        shown[name] = {each: None for each in task.example_ids if each in chosen}
    return shown


def _read_prompts(
    runs: Iterable[StudyRun], shown: dict[str, dict[str, None]]
) -> dict[tuple[str, str], tuple[str, str | None]]:
    found: dict[tuple[str, str], tuple[str, str | None]] = {}
    for run in runs if shown else ():
        for example in read_lines(Path(run.path) / "examples.jsonl", Example):
            if example.example_id in shown[example.task]:
                target = None if example.target is None else _cut(example.target)
                found.setdefault((example.task, example.example_id), (_cut(example.input), target))
    return found


def _read_generations(
    runs: Sequence[StudyRun], shown: dict[str, dict[str, None]]
) -> dict[tuple[str, str], list[list[Any]]]:
    """Return the rows of one label's generations by task and example, run after run, each by index."""
    found: dict[tuple[str, str], list[list[Any]]] = {}
    for number, run in enumerate(runs if shown else ()):
        scores = {score.key: score for score in _wanted(read_lines(_scores_path(run), Score), shown)}
        generations = _wanted(read_lines(Path(run.path) / "generations.jsonl", Generation), shown)
        for generation in sorted(generations, key=lambda each: each.key):
            key = generation.key
            found.setdefault((key.task, key.example_id), []).append(_as_row(generation, scores.get(key), number))
    return found


def _wanted(records: Iterable[Generation] | Iterable[Score], shown: dict[str, dict[str, None]]) -> Iterator[Any]:
    return (record for record in records if record.key.example_id in shown[record.key.task])


def _as_row(generation: Generation, score: Score | None, run: int) -> list[Any]:
    """Return what templates/chunks.js names in GENERATION_FIELDS, in that order."""
    return [
        _cut(generation.text),
        score and score.outcome,
        score and round(score.value, 6),
        score and score.answer and _cut(score.answer),
        score and score.detail and _cut(score.detail),
        generation.finish_reason,
        generation.num_completion_tokens,
        generation.error,
        run,
        generation.key.index,
    ]


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}\n\n[… cut here: {len(text) - MAX_CHARACTERS:,} more characters are in the run …]"


def _pack(value: object) -> str:
    # escaped to ASCII, so that half a surrogate pair survives; no time stamp, so that equal texts give equal pages
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")
