"""Run directories with texts, small enough to read, for tests of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.schema import Example, Generation, Outcome, Provenance, RequestKey, Score
from harness.store import RunStore, run_path
from harness.study.findings import StudyFindings, StudyRun
from tests.labels import make_run, make_task
from tests.studies import make_findings


class Answered(NamedTuple):
    """One generation and its score."""

    text: str
    value: float
    answer: str | None = None
    detail: str | None = None
    outcome: Outcome = "scored"


class Asked(NamedTuple):
    """One example and what a checkpoint made of it."""

    example_id: str
    prompt: str
    target: str | None
    generations: Sequence[Answered]


def write_run(
    root: Path, label: str, tasks: Mapping[str, Sequence[Asked]], suites: Mapping[str, str] | None = None
) -> StudyRun:
    """Write a finished run directory below `root` and return what a study keeps of it."""
    verdicts = [
        make_task(name, np.zeros((len(asked), len(asked[0].generations))), (suites or {}).get(name, "math"))
        for name, asked in tasks.items()
    ]
    record = make_run(label, verdicts).record
    session = Provenance("0.1", "c0ffee" * 6, False, {}, "cpu", "3.11", "linux", "harness eval", "", {}, 0)
    record = msgspec.structs.replace(record, sessions=(session,))
    store = RunStore(run_path(root, record.spec), record.spec)
    store.keep_examples(
        Example(name, each.example_id, each.prompt, each.target) for name, asked in tasks.items() for each in asked
    )
    for name, asked in tasks.items():
        for each in asked:
            for index, given in enumerate(each.generations):
                key = RequestKey(name, each.example_id, index)
                store.generations.append(Generation(key, given.text, "stop", 10, 20, 0.1))
                store.scores.append(
                    Score(key, given.value, given.outcome, given.answer, "number@1", detail=given.detail)
                )
    store.finish(record)
    store.close()
    return StudyRun(label, str(store.path), "", record)


def toy_tasks(label: str, num_examples: int = 40) -> dict[str, list[Asked]]:
    """Return what `base` and `grlo` make of sums: of each four, one is gained, lost, right twice, wrong twice."""
    right = {"base": (False, True, True, False), "grlo": (True, False, True, False)}[label]
    asked = []
    for number in range(num_examples):
        is_right = right[number % 4]
        answer = str(2 * number if is_right else 7 * number + 1)
        steps = f"We add: $\\frac{{{number}}}{{1}} + {number}$. It costs $5, or $6."
        text = f"{steps}\n\\[ \\boxed{{{answer}}} \\]\n{label} says so."
        given = Answered(
            text, float(is_right), answer, "equal to the target" if is_right else "differs from the target"
        )
        asked.append(Asked(f"q{number}", f"What is {number} + {number}?", str(2 * number), [given]))
    return {"gsm8k": asked}


def with_runs(runs: Sequence[StudyRun], findings: StudyFindings | None = None) -> StudyFindings:
    """Return a study's findings with other runs behind them."""
    return msgspec.structs.replace(findings or make_findings(), runs=tuple(runs))
