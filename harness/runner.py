"""Plan → generate → score → judge → store, streaming and resumable; a Session does the steps."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec

from harness.interfaces import BatchScorer, Engine
from harness.plan import PlannedTask, check_same_plan
from harness.schema import Generation, Provenance, RunRecord, TrainingCost
from harness.session import Progress, Session, failed_score
from harness.store import RunStore
from harness.summary import summarise_run

__all__ = ["Progress", "execute", "failed_score", "finish"]  # whoever runs something needs this module alone


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
    session = Session(planned, store, progress, num_workers)
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
                for number, generation in enumerate(_generate(engine, session)):
                    if number == 0:  # only now has the engine loaded what it describes
                        store.sessions.append(make_provenance(engine, num_done, started_at))
                    session.accept(generation)
                session.fail_unasked()
        if engine is not None:
            session.check_all_generated()
            described = engine.describe()
    finally:
        if engine is not None:
            engine.close()
    session.judge()
    return finish(planned, store, training, described)


def _generate(engine: Engine, session: Session) -> Iterator[Generation]:
    """Yield what the engine makes of all that is missing, turn after turn: a turn quotes the answers before it."""
    for _ in range(session.num_waves):
        requests = session.missing_requests()
        if (first := next(requests, None)) is not None:
            yield from engine.generate(chain([first], requests))


def _describe_judge(planned: Sequence[PlannedTask]) -> dict[str, Any]:
    """Return what the judge says of itself, if there is one: all judged tasks of a run have the same."""
    judges = (item.scorer for item in planned if isinstance(item.scorer, BatchScorer))
    return next(({"judge": told} for judge in judges if (told := judge.describe())), {})


def finish(
    planned: Sequence[PlannedTask], store: RunStore, training: TrainingCost | None, described: dict[str, Any]
) -> RunRecord:
    """Summarise a store in which every planned request has ended, and write run.json.

    `described` is what the engine says of itself at the end; it replaces what the last session said at its start.
    """
    summaries = summarise_run(planned, store.generations, store.scores)
    sessions = list(store.sessions)
    judge = _describe_judge(planned)
    if described or judge:
        sessions[-1] = msgspec.structs.replace(sessions[-1], engine=(described or sessions[-1].engine) | judge)
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
