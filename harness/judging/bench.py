"""The bench: one judge, the store of what it said, and the calls that it may be asked; shared by all of a command."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from harness.judging.budget import Budget, CallEstimate, Confirm
from harness.judging.judge import FAILED, GenerativeJudge, Judge
from harness.judging.records import JudgeIdentity, Question, Verdict, VerdictKey
from harness.judging.verdict_store import VerdictStore
from harness.spec import JudgeConfig


class Listener:
    """Hears how judging goes; this one says nothing."""

    def start(self, num_questions: int, num_stored: int) -> None:
        """Distinct questions are about to be answered; some have stored verdicts."""

    def verdict(self, verdict: Verdict) -> None:
        """The judge answered, readably or not; if it said anything, that is on disk."""


class Bench:
    """Answers questions, from the store where it can and by the judge where it must."""

    def __init__(
        self,
        identity: JudgeIdentity,
        make_judge: Callable[[], Judge],
        store: VerdictStore,
        budget: Budget,
        listener: Listener,
    ) -> None:
        """Keep the parts; the judge is made when the store lacks a verdict."""
        self.identity = identity
        self._make_judge = make_judge
        self._judge: Judge | None = None
        self._store = store
        self._budget = budget
        self._listener = listener
        self._unread: dict[VerdictKey, Verdict] = {}  # of this command, which does not ask them again

    @property
    def num_calls(self) -> int:
        """Calls made of the judge, each attempt counted."""
        return self._budget.num_calls

    @property
    def path(self) -> Path:
        """The judge's folder in the store."""
        return self._store.path

    def count_missing(self, questions: Sequence[Question]) -> int:
        """Return how many distinct questions have no verdict yet."""
        return len(self._missing(questions))

    def estimate(self, questions: Sequence[Question]) -> CallEstimate:
        """Return what it costs at most to ask what the store lacks of these questions."""
        return self._budget.estimate(self._missing(questions))

    def admit(self, questions: Sequence[Question]) -> None:
        """Settle the cost of questions before any is asked: those of several tasks at once, to ask a person once.

        Raises:
            BudgetError: if they are more than allowed, or a person does not agree.
        """
        self._budget.admit(self._missing(questions))

    def ask(self, questions: Sequence[Question]) -> Iterator[Verdict]:
        """Yield one verdict for each distinct question: the stored ones first, then new ones as they come.

        A verdict is on disk before it is yielded, except where the engine failed and nothing was said.

        Raises:
            BudgetError: before the first call, if more are missing than allowed; after the last one, if attempts took
                more calls than there were.
            LockedError: if another process asks this judge.
        """
        distinct = _distinct(questions)
        done = self._find(distinct)
        if len(done) < len(distinct):
            self._budget.admit([question for key, question in distinct.items() if key not in done])
            self._store.open()
            done = self._find(distinct)  # another process may have asked until just now
        self._listener.start(len(distinct), len(done))
        yield from done.values()
        if missing := [question for key, question in distinct.items() if key not in done]:
            yield from self._ask_judge(missing)

    def close(self) -> None:
        """Close judge and store."""
        judge, self._judge = self._judge, None
        try:
            if judge is not None:
                judge.close()
        finally:
            self._store.close()

    def _ask_judge(self, missing: Sequence[Question]) -> Iterator[Verdict]:
        judge = self._judge = self._judge or self._make_judge()
        counted: Iterable[Question] = missing
        if isinstance(judge, GenerativeJudge):
            judge.may_call = self._budget.may_call  # it may ask more than once, so it counts by itself
        else:
            counted = takewhile(lambda _: self._budget.may_call(), missing)
        num_read = 0
        for verdict in judge.ask(counted):
            if verdict.label != FAILED:
                self._store.append(verdict)
            if verdict.value is None:
                self._unread[verdict.key] = verdict
            else:
                num_read += 1
            self._listener.verdict(verdict)
            yield verdict
        if self._budget.is_exhausted:
            raise self._budget.exhausted(len(missing) - num_read)

    def _missing(self, questions: Sequence[Question]) -> list[Question]:
        distinct = _distinct(questions)
        done = self._find(distinct)
        return [question for key, question in distinct.items() if key not in done]

    def _find(self, distinct: dict[VerdictKey, Question]) -> dict[VerdictKey, Verdict]:
        unread = {key: self._unread[key] for key in distinct if key in self._unread}
        return unread | self._store.find(distinct.keys())


def open_bench(
    config: JudgeConfig,
    make_judge: Callable[[], Judge],
    identity: JudgeIdentity,
    confirm: Confirm | None = None,
    listener: Listener | None = None,
) -> Bench:
    """Return the bench of a judge; no file is made, and no judge, before it is asked.

    Args:
        config: of the judge.
        make_judge: called once, if the store lacks a verdict.
        identity: of the judge that it makes.
        confirm: asks a person about the cost; None where none is there.
        listener: hears of each verdict.
    """
    store = VerdictStore(Path(config.verdicts), identity)
    return Bench(identity, make_judge, store, Budget(config, identity, confirm), listener or Listener())


def _distinct(questions: Sequence[Question]) -> dict[VerdictKey, Question]:
    """Return the questions by key; of the same texts the first."""
    distinct: dict[VerdictKey, Question] = {}
    for question in questions:
        distinct.setdefault(question.key, question)
    return distinct
