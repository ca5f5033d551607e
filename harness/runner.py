"""Plan → generate → score → store, streaming, resumable; the one boundary where a failure becomes an outcome."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec

from harness.interfaces import Engine, Scorer
from harness.plan import Marks, PlannedTask, check_same_plan, plan_requests
from harness.schema import (
    Example,
    Generation,
    Provenance,
    Request,
    RequestKey,
    RunRecord,
    Score,
    TrainingCost,
)
from harness.store import RunStore
from harness.summary import summarise_run

MAX_UNSCORED = 512
"""Generations that may wait for their score; then the engine waits, so that memory stays bounded."""


class Progress:
    """Hears how a run goes; this one says nothing. All calls come with the run's lock held, one at a time."""

    def start(self, task: str, num_planned: int, num_generated: int, num_scored: int, score_sum: float) -> None:
        """A task is about to run; some of it may be done already."""

    def generated(self, generation: Generation) -> None:
        """A generation is on disk."""

    def scored(self, score: Score) -> None:
        """A score is on disk."""


def execute(
    planned: Sequence[PlannedTask],
    store: RunStore,
    make_engine: Callable[[], Engine],
    make_provenance: Callable[[Engine | None, int, datetime], Provenance],
    training: TrainingCost | None,
    progress: Progress,
    num_workers: int,
) -> RunRecord:
    """Do whatever of a run is not done yet, and write run.json.

    Args:
        planned: the tasks, in the order of the store's spec.
        store: the open run directory.
        make_engine: called once, only if something is left to generate.
        make_provenance: describes this session from its engine (None if none was needed), the number of requests that
            were done before, and when it started.
        training: what the checkpoint cost, for the record.
        progress: hears of each step.
        num_workers: scores judged at the same time.

    Raises:
        HarnessError: if the engine dies, the disk refuses, or a scorer cannot work at all. What is done stays done.
    """
    check_same_plan(store.spec, planned)
    store.keep_examples(example for item in planned for example in item.examples)
    session = _Session(planned, store, progress, num_workers)
    session.load()
    num_done, started_at = session.generated.total, datetime.now(UTC)
    engine = make_engine() if session.num_missing else None
    described: dict[str, Any] = {}
    try:
        with session.scoring():
            session.score_stored()
            if engine is None:
                store.sessions.append(make_provenance(None, num_done, started_at))
            else:
                for number, generation in enumerate(engine.generate(session.missing_requests())):
                    if number == 0:  # only now has the engine loaded what it describes
                        store.sessions.append(make_provenance(engine, num_done, started_at))
                    session.accept(generation)
        if engine is not None:
            session.check_all_generated()
            described = engine.describe()
    finally:
        if engine is not None:
            engine.close()
    return finish(planned, store, training, described)


def finish(
    planned: Sequence[PlannedTask], store: RunStore, training: TrainingCost | None, described: dict[str, Any]
) -> RunRecord:
    """Summarise a store in which every planned request has ended, and write run.json.

    `described` is what the engine says of itself at the end; it replaces what the last session said at its start.
    """
    summaries = summarise_run(planned, store.generations, store.scores)
    sessions = list(store.sessions)
    if described:
        sessions[-1] = msgspec.structs.replace(sessions[-1], engine=described)
    record = RunRecord(
        spec_id=store.spec_id,
        spec=store.spec,
        status="incomplete" if any(summary.num_error for summary in summaries) else "complete",
        tasks=summaries,
        training=training,
        sessions=tuple(sessions),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    store.finish(record)
    return record


def judge(scorer: Scorer, example: Example, generation: Generation) -> Score:
    """Score one generation; a failure of the engine or of the scorer's machinery becomes outcome `error`."""
    identity = f"{scorer.name}@{scorer.version}"
    if generation.error is not None:
        return failed_score(generation.key, identity, generation.error)
    try:
        score = scorer.score(example, generation)
    except Exception as error:  # noqa: BLE001 - the single boundary: one broken item must not lose the others
        return failed_score(generation.key, identity, f"{type(error).__name__}: {error}")
    assert 0.0 <= score.value <= 1.0, f"{identity} gave {score.value} for {generation.key}"
    return score


def failed_score(key: RequestKey, scorer: str, reason: str) -> Score:
    """Return the score of a request that could not be judged."""
    return Score(key=key, value=0.0, outcome="error", answer=None, detail=reason, scorer=scorer)


class _Session:
    """One process's work on a run: what is done, what is missing, and the scoring threads."""

    def __init__(self, planned: Sequence[PlannedTask], store: RunStore, progress: Progress, num_workers: int) -> None:
        self._planned = planned
        self._store = store
        self._progress = progress
        self._num_workers = num_workers
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(MAX_UNSCORED)
        self._failure: BaseException | None = None
        self._is_abandoned = False
        self._scorers = {item.ref.name: item.scorer for item in planned}
        self._examples = {(item.ref.name, example.example_id): example for item in planned for example in item.examples}
        self.generated = Marks(planned)
        self._scored = Marks(planned)

    @property
    def num_missing(self) -> int:
        return sum(item.num_requests for item in self._planned) - self.generated.total

    def load(self) -> None:
        """Read back what earlier sessions finished."""
        self._store.drop_failed()
        for generation in self._store.generations:
            self.generated.add(generation.key)
        sums: dict[str, float] = {}
        for score in self._store.scores:
            self._scored.add(score.key)
            sums[score.key.task] = sums.get(score.key.task, 0.0) + score.value
        for item in self._planned:
            name = item.ref.name
            done, judged = self.generated.count(name), self._scored.count(name)
            self._progress.start(name, item.num_requests, done, judged, sums.get(name, 0.0))

    def missing_requests(self) -> Iterator[Request]:
        for request in plan_requests(self._planned, self._store.spec.prompting):
            if request.key not in self.generated:
                yield request

    def scoring(self) -> "_ScoringPool":
        return _ScoringPool(self)

    def score_stored(self) -> None:
        """Score generations whose score a killed session did not write."""
        if self._scored.total < self.generated.total:
            for generation in self._store.generations:
                if generation.key not in self._scored:
                    self._submit(generation)

    def accept(self, generation: Generation) -> None:
        with self._lock:
            self._store.generations.append(generation)
            self.generated.add(generation.key)
            self._progress.generated(generation)
        self._submit(generation)

    def check_all_generated(self) -> None:
        assert self.num_missing == 0, f"the engine returned {self.num_missing} generations too few"

    def _submit(self, generation: Generation) -> None:
        self._slots.acquire()
        if self._failure is not None:
            raise self._failure
        self._pool.submit(self._score, generation)

    def _score(self, generation: Generation) -> None:
        try:
            key = generation.key
            score = judge(self._scorers[key.task], self._examples[key.task, key.example_id], generation)
            with self._lock:
                if self._failure is None and not self._is_abandoned:
                    self._store.scores.append(score)
                    self._progress.scored(score)
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it
            self._failure = error
        finally:
            self._slots.release()

    def open_pool(self) -> None:
        self._pool = ThreadPoolExecutor(self._num_workers, thread_name_prefix="score")

    def close_pool(self, abandon: bool) -> None:
        """Wait for the last score; or, to abandon, let running ones end unheard: they are made again on resume."""
        if abandon:
            with self._lock:
                self._is_abandoned = True
        self._pool.shutdown(wait=not abandon, cancel_futures=abandon)
        if self._failure is not None and not abandon:
            raise self._failure


class _ScoringPool:
    """Waits for the last score on the way out; on an error drops what is queued, to be scored on resume."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.open_pool()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._session.close_pool(abandon=kind is not None)
