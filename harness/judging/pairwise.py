"""Two answers to one question → questions to the judge → one Score: what a judged task and `harness judge` share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from harness.judging.answers import Answer
from harness.judging.bench import Bench
from harness.judging.question import pair_question, text_digest
from harness.judging.records import Question, Template, Verdict
from harness.judging.reward import preference, reward_question
from harness.schema import RequestKey, Score

T = TypeVar("T")
MAX_QUOTED = 120
"""Characters of a judge's words in an error."""


@dataclass(frozen=True)
class Match:
    """A candidate's answer against a baseline's."""

    key: RequestKey
    """Of the candidate's answer."""
    question: str
    """What both answer; where they are answers of later turns, what both conversations began with."""
    candidate: Answer
    baseline: Answer
    where: str
    """Task, example and sides, for people."""
    difficulty: float | None = None


@dataclass(frozen=True)
class PairRules:
    """How matches are asked about, and what verdicts count."""

    scorer: str
    """name@version, for the scores."""
    template: Template | None
    """None for a reward model."""
    swap: bool = True
    strong_weight: int = 1


def judge_pairs(bench: Bench, matches: Iterable[Match], rules: PairRules) -> Iterator[Score]:
    """Yield one score per match, as soon as its verdicts are there: the candidate's share of a win."""
    asked = []
    for match in matches:
        questions = questions_of(match, rules)
        asked.append(((match, tuple(questions)), tuple(questions.values())))
    for (match, orders), verdicts in ask_all(bench, asked):
        found = dict(zip(orders, verdicts, strict=True))
        if (failed := first_unread(verdicts)) is not None:
            yield unread_score(match.key, rules.scorer, failed)
        elif rules.template is None:
            yield _reward_score(match, rules, found)
        else:
            yield _order_score(match, rules, found)


def questions_of(match: Match, rules: PairRules) -> dict[str, Question]:
    """Return what is asked about a match, by order or by side."""
    return _reward_questions(match) if rules.template is None else _order_questions(match, rules)


def ask_all(bench: Bench, items: Sequence[tuple[T, tuple[Question, ...]]]) -> Iterator[tuple[T, tuple[Verdict, ...]]]:
    """Ask all questions at once; yield each item with its verdicts, in its questions' order, once they are there."""
    waiting: dict[object, list[int]] = {}
    missing: list[int] = []
    for number, (_, questions) in enumerate(items):
        keys = {question.key for question in questions}
        missing.append(len(keys))
        for key in keys:
            waiting.setdefault(key, []).append(number)
    verdicts: dict[object, Verdict] = {}
    for verdict in bench.ask([question for _, questions in items for question in questions]):
        verdicts[verdict.key] = verdict
        for number in waiting.pop(verdict.key):
            missing[number] -= 1
            if not missing[number]:
                item, questions = items[number]
                yield item, tuple(verdicts[question.key] for question in questions)
    assert not waiting, "a bench answers every question"


def _order_questions(match: Match, rules: PairRules) -> dict[str, Question]:
    """Return what is asked, by where the candidate's answer stands.

    Both orders with `swap`; else one, drawn by the hash of question and answers, the same whoever is called the
    candidate. Answers that are the same make one question, which serves as both orders.
    """
    template = rules.template
    assert template is not None, "reward models are not shown pairs"
    fields = {"question": match.question}
    ours, theirs = match.candidate.shown, match.baseline.shown
    first = pair_question(template, fields, ours, theirs, f"{match.where}, shown first")
    second = pair_question(template, fields, theirs, ours, f"{match.where}, shown second")
    if rules.swap or ours == theirs:
        return {"first": first, "second": second}
    lower, upper = sorted((first, second), key=lambda question: question.key)
    drawn = lower if int(text_digest(f"{lower.key} {upper.key}")[:8], 16) % 2 else upper
    return {"first" if drawn is first else "second": drawn}


def _reward_questions(match: Match) -> dict[str, Question]:
    """Return what is asked of a reward model: the reward of each answer."""
    return {
        name: reward_question(
            (("user", match.question), *answer.before), answer.text, answer.is_finished, f"{match.where}, {name}"
        )
        for name, answer in (("candidate", match.candidate), ("baseline", match.baseline))
    }


def _order_score(match: Match, rules: PairRules, verdicts: Mapping[str, Verdict]) -> Score:
    shares, weights = {}, {}
    for order, verdict in verdicts.items():
        shares[order] = read_value(verdict) if order == "first" else 1 - read_value(verdict)
        weights[order] = rules.strong_weight if is_strong(verdict.label) else 1
    value = sum(shares[order] * weights[order] for order in shares) / sum(weights.values())
    labels = " ".join(verdict.label for verdict in verdicts.values())
    told = ", ".join(f"shown {order} {100 * share:.1f}" for order, share in shares.items())
    was_swapped = len(shares) == 2 and match.candidate.shown != match.baseline.shown
    agree = {"order_agreement": (float(_side(shares["first"]) == _side(shares["second"])),)} if was_swapped else {}
    score = _score(match, rules, value, labels, told)
    measures = shares | {f"{order}_weight": float(weight) for order, weight in weights.items()} | score.measures
    return msgspec.structs.replace(score, parts=score.parts | agree, measures=measures)


def _reward_score(match: Match, rules: PairRules, verdicts: Mapping[str, Verdict]) -> Score:
    ours, theirs = read_value(verdicts["candidate"]), read_value(verdicts["baseline"])
    told = f"reward {ours:+.4f} against {theirs:+.4f}"
    return _score(match, rules, preference(ours, theirs), told, told)


def _score(match: Match, rules: PairRules, value: float, answer: str, told: str) -> Score:
    """Return what every judged match has, however it was judged."""
    measures = match.candidate.measures() | match.baseline.measures("baseline_")
    if match.difficulty is not None:
        measures["difficulty"] = match.difficulty
    return Score(
        key=match.key,
        value=value,
        outcome="scored",
        answer=answer,
        scorer=rules.scorer,
        parts={"empty": (float(match.candidate.is_empty),)},
        detail="; ".join([told, *match.candidate.remarks]),
        measures=measures,
    )


def _side(share: float) -> int:
    """Return 1 for a win, −1 for a loss, 0 for a tie."""
    return (share > 0.5) - (share < 0.5)


def is_strong(label: str) -> bool:
    """Return whether a verdict says much better, as A>>B does."""
    return ">>" in label or "<<" in label


def read_value(verdict: Verdict) -> float:
    """Return the value of a verdict that could be read."""
    assert verdict.value is not None, "unread verdicts are errors"
    return verdict.value


def first_unread(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the first verdict that could not be read; None if all were."""
    return next((verdict for verdict in verdicts if verdict.value is None), None)


def unread_score(key: RequestKey, scorer: str, verdict: Verdict) -> Score:
    """Return the error of an answer that the judge gave no verdict on, with what it said instead."""
    said = " ".join(verdict.text.split())
    quoted = f"{said[:MAX_QUOTED]}…" if len(said) > MAX_QUOTED else said
    times = f" in {verdict.attempts} attempts" if verdict.attempts > 1 else ""
    reason = f"the judge gave no verdict{times}"
    detail = f"{reason}: {quoted}" if quoted else f"{reason}, and wrote nothing"
    return Score(key=key, value=0.0, outcome="error", answer=None, detail=detail, scorer=scorer)
