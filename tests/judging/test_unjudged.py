"""Without a judge nothing is graded in silence: the run is refused, or every answer says that it waits for one."""

import pytest

from harness.errors import UsageError
from harness.interfaces import BatchScorer
from harness.judging.unjudged import UnjudgedScorer
from harness.schema import Example, Generation, RequestKey


def test_a_run_without_a_judge_is_refused() -> None:
    """In one line that names the task and both ways on."""
    with pytest.raises(UsageError, match=r"^chat_task is judged: pass --judge FILE .*--judge later.*harness score RUN"):
        UnjudgedScorer("chat_task").check()


def test_answers_to_be_judged_later_are_errors_until_then() -> None:
    """The run is incomplete and says what to do; the file of scores has one line per answer."""
    scorer = UnjudgedScorer("chat_task", later=True)
    scorer.check()
    assert isinstance(scorer, BatchScorer)
    example = Example(task="chat_task", example_id="1", input="Sing.", target="La.")
    key = RequestKey(task="chat_task", example_id="1", index=0)
    generation = Generation(
        key=key, text="La!", finish_reason="stop", num_prompt_tokens=1, num_completion_tokens=1, seconds=0.0
    )
    (score,) = scorer.score_all([(example, generation)])
    assert (score.outcome, score.detail) == ("error", "not judged yet: harness score RUN --judge FILE")
    assert score.scorer == "unjudged@1"
    assert scorer.metrics([example], []) == {}
