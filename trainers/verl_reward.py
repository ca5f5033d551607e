"""Scores one response for verl by the very scorers of tasks/; the reward.py that launch_verl writes calls it.

verl hands over decoded text without special tokens, so whether a turn ended cannot be known here.
"""

import atexit
import functools
import os
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from harness.interfaces import Scorer
from harness.schema import Example, Generation, RequestKey, ScorerOptions

NUM_WORKERS = 2
"""Of each of verl's reward workers (reward.num_workers, 8 by default)."""
_LOCK = threading.Lock()


def score_response(terms: Mapping[str, float], response: str, extra_info: Mapping[str, Any]) -> dict[str, float]:
    """Return the weighted sum of verdicts as `score`, and each verdict under its task's name.

    Args:
        terms: weight of each task's scorer.
        response: what the model wrote.
        extra_info: of the row in train.parquet; `example` holds what the scorers need.

    Raises:
        ScorerError: if a scorer's own machinery fails.
    """
    example = msgspec.json.decode(extra_info["example"], type=Example)
    key = RequestKey(task=example.task, example_id=example.example_id, index=0)
    generation = Generation(
        key=key, text=response, finish_reason="unknown", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
    )
    verdicts = {task: float(_scorer(task).score(example, generation).value) for task in terms}
    return {"score": sum(weight * verdicts[task] for task, weight in terms.items()), **verdicts}


def _scorer(task: str) -> Scorer:
    with _LOCK:  # verl calls from several threads, and each scorer may start processes
        return _make_scorer(task)


@functools.cache
def _make_scorer(task: str) -> Scorer:
    from tasks.registry import TASKS

    scorer = TASKS[task].scorer_factory(ScorerOptions(num_workers=NUM_WORKERS, data_dir=os.environ.get("HARNESS_DATA")))
    scorer.check()
    atexit.register(scorer.close)
    return scorer
