"""The bench asks what the store lacks, once, and within the calls that it has."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BudgetError, EngineError, LockedError
from harness.judging.bench import Bench, Listener, open_bench
from harness.judging.judge import GenerativeJudge
from harness.judging.records import JudgeIdentity, Question, Verdict, VerdictKey
from harness.judging.template import PAIR
from harness.judging.verdict_store import export
from harness.schema import Request
from harness.spec import JudgeConfig
from tests.judging.judge_engine import REMOTE, JudgeEngine, ask_pairs, identity_of

LETTERS = replace(PAIR, reading="letters")


class Ears(Listener):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, int]] = []
        self.verdicts: list[Verdict] = []

    def start(self, num_questions: int, num_stored: int) -> None:
        """Note it."""
        self.starts.append((num_questions, num_stored))

    def verdict(self, verdict: Verdict) -> None:
        """Note it."""
        self.verdicts.append(verdict)


def bench_of(folder: Path, engine: JudgeEngine, listener: Listener | None = None, **settings: Any) -> Bench:
    config = JudgeConfig(ckpt="judge", verdicts=str(folder / "verdicts"), **settings)
    identity = identity_of(config, engine)
    return open_bench(config, lambda: GenerativeJudge(lambda: engine, config, identity), identity, None, listener)


def judge_all(folder: Path, engine: JudgeEngine, questions: list[Question], **settings: Any) -> dict[str, float | None]:
    bench = bench_of(folder, engine, **settings)
    try:
        return {verdict.where: verdict.value for verdict in bench.ask(questions)}
    finally:
        bench.close()


def say_longer(request: Request) -> str:
    """Prefer the longer answer."""
    text = str(request.messages)
    first, second = (text.split(f"<answer_{side}>\\n")[1].split("\\n")[0] for side in "AB")
    return "[[A]]" if len(first) > len(second) else "[[B]]"


def test_a_verdict_is_never_asked_for_twice(tmp_path: Path) -> None:
    """What is stored comes first and costs no call; what is there twice is asked once."""
    engine, ears = JudgeEngine(say_longer), Ears()
    bench = bench_of(tmp_path, engine, ears)
    asked = ask_pairs([1, 2, 1, 3], LETTERS)
    assert bench.count_missing(asked) == 3
    assert {v.where: v.value for v in bench.ask(asked)} == {"toy/1": 0.0, "toy/2": 1.0, "toy/3": 0.0}
    assert (bench.count_missing(asked), bench.num_calls, len(engine.requests)) == (0, 3, 3)
    assert [v.where for v in bench.ask(ask_pairs([4, 2, 1], LETTERS))] == ["toy/1", "toy/2", "toy/4"]
    bench.close()
    assert engine.is_closed
    assert ears.starts == [(3, 0), (3, 2)]
    assert [v.where for v in ears.verdicts] == ["toy/1", "toy/2", "toy/3", "toy/4"]
    assert len(engine.requests) == 4


def test_stored_verdicts_need_no_judge(tmp_path: Path) -> None:
    """A replay makes no engine, takes no lock, and allows no call."""
    questions = ask_pairs(range(5), LETTERS)
    first = judge_all(tmp_path, JudgeEngine(say_longer), questions)
    config = JudgeConfig(ckpt="judge", verdicts=str(tmp_path / "verdicts"), max_calls=0)
    writer = bench_of(tmp_path, JudgeEngine(say_longer))
    verdicts = writer.ask(ask_pairs([9], LETTERS))
    next(verdicts)  # holds the lock
    bench = open_bench(config, pytest.fail, identity_of(config, JudgeEngine(say_longer)))  # type: ignore[arg-type]
    assert {v.where: v.value for v in bench.ask(questions)} == first
    bench.close()
    writer.close()


def test_a_killed_run_asks_exactly_the_rest(tmp_path: Path) -> None:
    """A judge that dies on the way leaves its verdicts; the same command asks the others, and no line is doubled."""
    questions = ask_pairs(range(20), LETTERS)
    dying, second = JudgeEngine(say_longer, dies_after=7), JudgeEngine(say_longer)
    with pytest.raises(EngineError, match="died"):
        judge_all(tmp_path, dying, questions)
    assert dying.is_closed
    verdicts = judge_all(tmp_path, second, questions)
    assert len(verdicts) == 20
    assert (len(dying.requests), len(second.requests)) == (7, 13)
    asked = [request.key.example_id for request in (*dying.requests, *second.requests)]
    assert len(set(asked)) == 20
    (folder,) = (tmp_path / "verdicts").iterdir()
    assert (folder / "verdicts.jsonl").read_bytes().count(b"\n") == 20
    assert verdicts == judge_all(tmp_path / "fresh", JudgeEngine(say_longer), questions)


def test_a_reader_who_stops_halfway_loses_nothing(tmp_path: Path) -> None:
    """Each verdict is on disk before it is handed over."""
    questions, engine = ask_pairs(range(6), LETTERS), JudgeEngine(say_longer)
    bench = bench_of(tmp_path, engine)
    verdicts = bench.ask(questions)
    seen = [next(verdicts).where for _ in range(2)]
    assert [row["where"] for row in export(tmp_path / "verdicts")] == seen == ["toy/0", "toy/1"]
    bench.close()
    assert len(judge_all(tmp_path, engine, questions)) == 6
    assert len(engine.requests) == 6


def test_a_torn_line_is_asked_again(tmp_path: Path) -> None:
    """The half line of a killed process costs one call."""
    questions = ask_pairs(range(4), LETTERS)
    judge_all(tmp_path, JudgeEngine(say_longer), questions)
    (path,) = (tmp_path / "verdicts").glob("*/verdicts.jsonl")
    path.write_bytes(path.read_bytes()[:-10])
    engine = JudgeEngine(say_longer)
    assert len(judge_all(tmp_path, engine, questions)) == 4
    assert len(engine.requests) == 1


def test_no_verdict_is_asked_for_again_by_the_next_command_only(tmp_path: Path) -> None:
    """Within a command it is given as it is, to all who ask; the next command has new attempts."""
    questions = ask_pairs(range(3), LETTERS)
    bad = JudgeEngine(lambda request: "I decline." if "Say 1." in str(request.messages) else "[[A]]")
    bench = bench_of(tmp_path, bad, attempts=2)
    first = {v.where: v for v in bench.ask(questions)}
    again = {v.where: v for v in bench.ask(questions)}
    assert first == again
    assert [first[f"toy/{i}"].value for i in range(3)] == [1.0, None, 1.0]
    assert (len(bad.requests), bench.num_calls) == (4, 4)
    bench.close()
    assert [row["text"] for row in export(tmp_path / "verdicts") if row["value"] is None] == [
        "I decline.\n\nI decline."
    ]
    good = JudgeEngine(say_longer)
    assert judge_all(tmp_path, good, questions) == {"toy/0": 1.0, "toy/1": 0.0, "toy/2": 1.0}
    assert len(good.requests) == 1


def test_a_failure_of_the_engine_is_not_stored(tmp_path: Path) -> None:
    """The judge said nothing; who asks gets the reason, and the next command asks again."""
    questions = ask_pairs(range(3), LETTERS)
    bad = JudgeEngine(lambda request: EngineError("timed out") if "Say 1." in str(request.messages) else "[[A]]")
    bench = bench_of(tmp_path, bad)
    texts = {v.where: v.text for v in bench.ask(questions)}
    bench.close()
    assert texts["toy/1"] == "timed out"
    assert [row["where"] for row in export(tmp_path / "verdicts")] == ["toy/0", "toy/2"]
    good = JudgeEngine(say_longer)
    judge_all(tmp_path, good, questions)
    assert len(good.requests) == 1


def test_more_missing_than_allowed_is_refused_before_the_first_call(tmp_path: Path) -> None:
    """Stored verdicts do not count against the calls; nothing is asked, and nothing is written."""
    engine = JudgeEngine(say_longer)
    bench = bench_of(tmp_path, engine, max_calls=2)
    with pytest.raises(BudgetError, match=r"missing verdicts: 3; .*: 2 of the"):
        list(bench.ask(ask_pairs(range(3), LETTERS)))
    assert engine.requests == []
    assert not (tmp_path / "verdicts").exists()
    list(bench.ask(ask_pairs(range(2), LETTERS)))
    assert sum(1 for _ in bench.ask(ask_pairs(range(2), LETTERS))) == 2
    with pytest.raises(BudgetError, match=r"missing verdicts: 1; .*: 0 of the"):
        list(bench.ask(ask_pairs(range(3), LETTERS)))
    assert len(engine.requests) == 2
    bench.close()


@pytest.mark.parametrize(("max_calls", "num_read"), [(4, 2), (5, 3), (6, 3), (7, 4)])
def test_calls_that_run_out_on_the_way_are_not_exceeded(tmp_path: Path, max_calls: int, num_read: int) -> None:
    """Attempts are calls; what was said is kept, and a further allowance goes on from there."""
    questions = ask_pairs(range(4), LETTERS)

    def say(request: Request) -> str:
        # 1 + 2 + 1 + 3 calls in all
        needed = {"Say 1.": 1, "Say 3.": 2}
        late = next((n for text, n in needed.items() if text in str(request.messages)), 0)
        return "[[A]]" if request.key.index >= late else "Hm."

    engine = JudgeEngine(say)
    bench = bench_of(tmp_path, engine, max_calls=max_calls)
    verdicts: list[Verdict] = []
    if max_calls < 7:
        with pytest.raises(BudgetError, match=rf"^{max_calls} calls .* allowed, {max_calls} used, .* is kept: raise"):
            verdicts.extend(bench.ask(questions))
    else:
        verdicts.extend(bench.ask(questions))
    bench.close()
    assert len(engine.requests) == bench.num_calls == max_calls
    assert sum(row["value"] is not None for row in export(tmp_path / "verdicts")) == num_read
    engine = JudgeEngine(lambda request: "[[B]]")
    assert None not in judge_all(tmp_path, engine, questions, max_calls=4).values()
    assert len(engine.requests) == 4 - num_read


def test_a_server_elsewhere_is_not_asked_without_leave(tmp_path: Path) -> None:
    """Agreement to the questions of all tasks is sought once, by admit."""
    engine = JudgeEngine(lambda request: (0.0, -1.0), name="openai")
    config = JudgeConfig(ckpt="judge", engine=REMOTE, verdicts=str(tmp_path))
    identity, heard = identity_of(config, engine), []
    make = lambda: GenerativeJudge(lambda: engine, config, identity)  # noqa: E731
    with pytest.raises(BudgetError, match="no terminal"):
        list(open_bench(config, make, identity).ask(ask_pairs([1])))
    bench = open_bench(config, make, identity, confirm=lambda estimate: heard.append(str(estimate)) or True)
    bench.admit(ask_pairs(range(6)))
    assert bench.estimate(ask_pairs([1, 1, 2])).max_calls == 2
    assert sum(1 for part in (range(3), range(3, 6)) for _ in bench.ask(ask_pairs(part))) == 6
    bench.close()
    assert len(heard) == 1
    assert len(engine.requests) == 6


def test_two_benches_of_a_judge_do_not_ask_at_once(tmp_path: Path) -> None:
    """The second one is refused before its first call; once the first has closed, it finds the verdicts."""
    engine, other = JudgeEngine(say_longer), JudgeEngine(say_longer)
    first, second = bench_of(tmp_path, engine), bench_of(tmp_path, other)
    questions = ask_pairs(range(3), LETTERS)
    verdicts = first.ask(questions)
    next(verdicts)
    with pytest.raises(LockedError, match="is being written by process"):
        list(second.ask(questions))
    list(verdicts)
    assert len(list(second.ask(questions))) == 3  # all stored by now: no lock is needed
    first.close()
    assert other.requests == []
    second.close()


def test_answers_out_of_order_fill_the_store_alike(tmp_path: Path) -> None:
    """Which question ends first, and in which order they were put, changes no verdict."""
    expected = judge_all(tmp_path / "straight", JudgeEngine(say_longer), ask_pairs(range(12), LETTERS))
    for seed in range(4):
        questions = ask_pairs(sorted(range(12), key=lambda i, seed=seed: (i * 7 + seed * 5) % 12), LETTERS)
        folder = tmp_path / str(seed)
        assert judge_all(folder, JudgeEngine(say_longer, shuffle=seed), questions[:5]).items() <= expected.items()
        assert judge_all(folder, JudgeEngine(say_longer, shuffle=seed), questions) == expected


class RewardTable:
    """Implements harness.judging.judge.Judge: the reward of an answer is its length."""

    def __init__(self) -> None:
        self.num_asked = 0

    def ask(self, questions: Iterable[Question]) -> Iterator[Verdict]:
        """Answer in order."""
        for question in questions:
            self.num_asked += 1
            yield Verdict(key=question.key, value=float(len(question.answer)), where=question.where)

    def close(self) -> None:
        """Hold nothing."""


def test_a_reward_model_is_asked_about_each_answer_once(tmp_path: Path) -> None:
    """The bench keeps rewards as it keeps verdicts, and no number of calls binds them."""
    judge = RewardTable()
    identity = JudgeIdentity(name="rm", kind="reward", model="w", engine={"name": "hf"}, settings={})
    config = JudgeConfig(ckpt="rm", verdicts=str(tmp_path), max_calls=0)
    questions = [
        Question(
            key=VerdictKey(template="reward", prompt="p", a=answer, b=None),
            template=None,
            fields={},
            where=answer,
            answer=answer,
        )
        for answer in ("short", "a longer one", "short")
    ]
    make: Callable[[], RewardTable] = lambda: judge  # noqa: E731
    for _ in range(2):
        bench = open_bench(config, make, identity)
        assert {v.where: v.value for v in bench.ask(questions)} == {"short": 5.0, "a longer one": 12.0}
        bench.close()
    assert judge.num_asked == 2
