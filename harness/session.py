"""One process's work on a run: what is done, what is missing, the scoring threads, and what judges do in the end."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from harness.engines.failed import failed
from harness.interfaces import BatchScorer, Earlier, Scorer
from harness.plan import Marks, PlannedTask, find_earlier, plan_requests
from harness.schema import Example, Generation, Request, RequestKey, Score
from harness.store import RunStore

NO_EARLIER = "an earlier turn of the conversation has no answer"
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


def score_one(scorer: Scorer, example: Example, generation: Generation) -> Score:
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


class Session:
    """What this process does; `load` first, then generations are accepted while `scoring`, then `judge`."""

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
        self._judged = {item.ref.name for item in planned if isinstance(item.scorer, BatchScorer)}
        self.generated = Marks(planned)
        self._scored = Marks(planned)

    @property
    def num_missing(self) -> int:
        """Requests without a generation."""
        return sum(item.num_requests for item in self._planned) - self.generated.total

    @property
    def num_waves(self) -> int:
        """Turns of the longest conversation: each is asked when all before it are answered."""
        return 1 + max((len(turns) for item in self._planned for turns in item.earlier.values()), default=0)

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
        """Yield what is not generated yet and can be asked now."""
        for request in plan_requests(self._planned, self._store.spec.prompting, self._read_answers()):
            if request.key not in self.generated:
                yield request

    def fail_unasked(self) -> None:
        """End the turns that could not be asked because an earlier one has no answer."""
        answers = self._read_answers()
        for item in self._planned:
            for request in plan_requests([item], self._store.spec.prompting) if item.earlier else ():
                if request.key not in self.generated and find_earlier(item, request.key, answers) is None:
                    self.accept(failed(request, NO_EARLIER))

    def scoring(self) -> "_ScoringPool":
        """Return the context in which generations are accepted; it waits for their scores on the way out."""
        return _ScoringPool(self)

    def score_stored(self) -> None:
        """Score generations whose score a killed session did not write."""
        if self._scored.total < self.generated.total:
            for generation in self._store.generations:
                if generation.key not in self._scored:
                    self._submit(generation)

    def accept(self, generation: Generation) -> None:
        """Store a generation, and have it scored; a judge's scores come later, by `judge`."""
        with self._lock:
            self._store.generations.append(generation)
            self.generated.add(generation.key)
            self._progress.generated(generation)
        self._submit(generation)

    def check_all_generated(self) -> None:
        """Assert that the engine kept its promise."""
        assert self.num_missing == 0, f"the engine returned {self.num_missing} generations too few"

    def judge(self) -> None:
        """Have the tasks' judges score what has no score yet, now that the engine has given its memory back."""
        for item in self._planned:
            if isinstance(item.scorer, BatchScorer):
                self._judge_task(item, item.scorer)

    def _judge_task(self, item: PlannedTask, scorer: BatchScorer) -> None:
        identity = f"{scorer.name}@{scorer.version}"
        answers = self._read_answers()
        waiting: dict[RequestKey, tuple[Example, Generation]] = {}
        for generation in self._store.generations:
            key = generation.key
            if key.task != item.ref.name or key in self._scored or generation.error is not None:
                continue
            earlier = find_earlier(item, key, answers)
            if earlier is None:  # of imported text, which may hold a second turn alone
                self._keep(failed_score(key, identity, NO_EARLIER))
            else:
                waiting[key] = (_with_earlier(self._examples[key.task, key.example_id], earlier), generation)
        for score in scorer.score_all(list(waiting.values())) if waiting else ():
            del waiting[score.key]
            self._keep(score)
        assert not waiting, f"{identity} left out {next(iter(waiting))}"

    def _read_answers(self) -> dict[RequestKey, str]:
        """Return what is answered of turns that others go on from; they are few."""
        followed = {
            (item.ref.name, turn) for item in self._planned for turns in item.earlier.values() for turn in turns
        }
        if not followed:
            return {}
        return {
            generation.key: generation.text
            for generation in self._store.generations
            if (generation.key.task, generation.key.example_id) in followed and generation.error is None
        }

    def _submit(self, generation: Generation) -> None:
        if generation.key.task in self._judged and generation.error is None:
            return
        self._slots.acquire()
        if self._failure is not None:
            raise self._failure
        self._pool.submit(self._score, generation)

    def _score(self, generation: Generation) -> None:
        try:
            key = generation.key
            score = score_one(self._scorers[key.task], self._examples[key.task, key.example_id], generation)
            self._keep(score)
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it
            self._failure = error
        finally:
            self._slots.release()

    def _keep(self, score: Score) -> None:
        with self._lock:
            if self._failure is None and not self._is_abandoned:
                self._store.scores.append(score)
                self._progress.scored(score)

    def open_pool(self) -> None:
        """Start the scoring threads."""
        self._pool = ThreadPoolExecutor(self._num_workers, thread_name_prefix="score")

    def close_pool(self, abandon: bool) -> None:
        """Wait for the last score; or, to abandon, let running ones end unheard: they are made again on resume."""
        if abandon:
            with self._lock:
                self._is_abandoned = True
        self._pool.shutdown(wait=not abandon, cancel_futures=abandon)
        if self._failure is not None and not abandon:
            raise self._failure


def _with_earlier(example: Example, earlier: Earlier) -> Example:
    """Return an example with what earlier turns of its conversation were answered."""
    if not earlier:
        return example
    metadata = example.metadata | {"earlier_answers": [answer for _, answer in earlier]}
    return msgspec.structs.replace(example, metadata=metadata)


class _ScoringPool:
    """Waits for the last score on the way out; on an error drops what is queued, to be scored on resume."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.open_pool()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._session.close_pool(abandon=kind is not None)
