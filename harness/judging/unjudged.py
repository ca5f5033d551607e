"""Stands where a judge is needed and none was named: refuses the run, or has answers stored to be judged later."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from harness.errors import UsageError
from harness.schema import Estimate, Example, Generation, Score


class UnjudgedScorer:
    """A BatchScorer that gives no verdicts. With `later` each answer gets outcome `error`, which says what to do."""

    name = "unjudged"
    version = "1"

    def __init__(self, task: str, later: bool = False) -> None:
        self._task = task
        self._later = later

    def check(self) -> None:
        """Refuse to begin, unless answers are to be judged later.

        Raises:
            UsageError: if no judge was named.
        """
        if not self._later:
            raise UsageError(
                f"{self._task} is judged: pass --judge FILE with the settings of a judge (docs/chat.md), or --judge "
                "later to store the answers and have them judged by `harness score RUN --judge FILE`"
            )

    def score(self, example: Example, generation: Generation) -> Score:
        """Return the error of an answer that nobody judged."""
        return Score(
            key=generation.key,
            value=0.0,
            outcome="error",
            answer=None,
            detail="not judged yet: harness score RUN --judge FILE",
            scorer=f"{self.name}@{self.version}",
        )

    def score_all(self, items: Iterable[tuple[Example, Generation]]) -> Iterator[Score]:
        """Yield one error per answer."""
        for example, generation in items:
            yield self.score(example, generation)

    def metrics(self, examples: Sequence[Example], scores: Sequence[Score]) -> dict[str, Estimate]:
        """Return nothing: there are no verdicts."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Return nothing: nobody was asked."""
        return {}

    def close(self) -> None:
        """Nothing to stop."""
