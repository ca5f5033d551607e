"""Answers as a judge sees them, and scores by verdicts that are known: a scripted judge says what the test wants."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from harness.engines.scripted import ScriptLine
from harness.errors import UsageError
from harness.judge_wiring import prepare_judge
from harness.judging.answers import Answer, count_styles, read_answer, strip_reasoning
from harness.judging.judge import key_digest
from harness.judging.pairwise import Match, PairRules, judge_pairs, questions_of
from harness.judging.protocol import JudgeProtocol
from harness.judging.question import text_digest
from harness.judging.records import Question, Template, Verdict
from harness.judging.scorer import JudgeScorer
from harness.schema import Example, FinishReason, Generation, RequestKey, Score
from harness.spec import JudgeConfig

PAIRS = Template("ab", "", "{question}|{answer_a}|{answer_b}", "comparison")
RATING = Template("single", "", "{question}|{answer}", "rating")
SECOND = Template("second", "", "{question_1}|{ref_answer_1}|{answer_1}|{question}|{ref_answer_2}|{answer}", "rating")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a\nb</think>\n\nParis", "Paris"),
        ("thought on</think>\nParis", "Paris"),
        ("<think>one</think>Paris <think>two</think>it is", "Paris it is"),
        ("<think>never ends", ""),
        ("Well:\n<think>never ends", "Well:"),
        ("The tag <think> opens reasoning", "The tag <think> opens reasoning"),
        (" as it is \n", " as it is \n"),
        ("<plan>x</plan>Paris", "<plan>x</plan>Paris"),
        ("", ""),
    ],
)
def test_reasoning_is_stripped(text: str, expected: str) -> None:
    """Closed, without an opening tag, or never closed; what is no reasoning stays to the last blank."""
    assert strip_reasoning(text, ("think",)) == expected


def test_no_tags_strip_nothing() -> None:
    """Answers are judged whole where nothing is to be stripped; several tags are stripped one after another."""
    assert strip_reasoning("<think>a</think>b", ()) == "<think>a</think>b"
    assert strip_reasoning("<think>a</think><plan>b</plan>c", ("think", "plan")) == "c"


@pytest.mark.parametrize(
    ("text", "headers", "lists", "bold"),
    [
        ("# a\n####### b\n#c\n###### d", 2, 0, 0),
        ("1. a\n 2. b\n- c\n* d\n+ e\n1) f\n-g", 0, 5, 0),
        ("**a** __b__ **c\nd** ** **", 0, 0, 3),
        ("```\n# code\n- x\n```\n# text", 1, 0, 0),
        ("\n\n  \n- a", 0, 1, 0),
        ("", 0, 0, 0),
    ],
)
def test_styles_are_counted_as_arena_hard_counts_them(text: str, headers: int, lists: int, bold: int) -> None:
    """Headers, list items and bold phrases outside of code blocks."""
    assert count_styles(text) == {"headers": headers, "lists": lists, "bold": bold}


def example(example_id: str = "q1", **metadata: object) -> Example:
    return Example(task="t", example_id=example_id, input="Why?", target="Because.", metadata=metadata)


def answered(text: str, example_id: str = "q1", finish_reason: FinishReason = "stop") -> Generation:
    key = RequestKey(task="t", example_id=example_id, index=0)
    return Generation(key, text, finish_reason, num_prompt_tokens=1, num_completion_tokens=1, seconds=0.0)


def scripted(
    folder: Path, said: Mapping[Question, str] | Sequence[tuple[Question, str]], **settings: object
) -> JudgeConfig:
    """Return a judge that says these words to these questions, however often it is asked."""
    pairs = list(said.items()) if isinstance(said, Mapping) else said
    lines = [
        ScriptLine(f"judge/{question.template.name}", key_digest(question.key), text, index)
        for question, text in pairs
        if question.template is not None
        for index in range(3)
    ]
    path = folder / "judge.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    told = {"ckpt": f"scripted:replay={path}", "verdicts": str(folder / "verdicts"), **settings}
    return msgspec.convert(told, JudgeConfig)


def match(candidate: str, baseline: str, example_id: str = "q1") -> Match:
    key = RequestKey(task="t", example_id=example_id, index=0)
    return Match(key, "Why?", Answer(candidate, True), Answer(baseline, True), example_id)


def judge_match(folder: Path, first: str, second: str, strong_weight: int = 1) -> Score:
    """Return the score of a pair that the judge says this about when the candidate is shown first, and second."""
    rules = PairRules("judge@1", PAIRS, strong_weight=strong_weight)
    pair = match("ours", "theirs")
    questions = questions_of(pair, rules)
    config = scripted(folder, [(questions["first"], first), (questions["second"], second)])
    judge = prepare_judge(config)
    try:
        (score,) = judge_pairs(judge.bench, [pair], rules)
    finally:
        judge.bench.close()
    return score


@pytest.mark.parametrize(
    ("first", "second", "weight", "value", "agreement"),
    [
        ("[[A>B]]", "[[B>A]]", 1, 1.0, 1.0),
        ("[[A>B]]", "[[A>B]]", 1, 0.5, 0.0),
        ("[[A=B]]", "[[A=B]]", 1, 0.5, 1.0),
        ("[[A=B]]", "[[B>A]]", 1, 0.75, 0.0),
        ("[[A>>B]]", "[[A>B]]", 3, 0.75, 0.0),
        ("[[B>>A]]", "[[A>>B]]", 3, 0.0, 1.0),
    ],
)
def test_both_orders_make_one_score(
    tmp_path: Path, first: str, second: str, weight: int, value: float, agreement: float
) -> None:
    """The candidate's mean share of a win; strong verdicts count several times; orders agree or do not."""
    score = judge_match(tmp_path, first, second, weight)
    assert (score.value, score.outcome, score.parts["order_agreement"]) == (value, "scored", (agreement,))
    assert score.answer == f"{first} {second}".replace("[", "").replace("]", "")
    assert score.measures["first_weight"] == (weight if ">>" in first else 1)
    assert (score.measures["length"], score.measures["baseline_length"]) == (4, 6)


def test_an_order_without_a_verdict_is_an_error(tmp_path: Path) -> None:
    """What the judge said instead is told, in one line."""
    score = judge_match(tmp_path, "[[A>B]]", "I cannot\nchoose.")
    assert (score.value, score.outcome, score.answer) == (0.0, "error", None)
    assert score.detail == "the judge gave no verdict in 3 attempts: I cannot choose. I cannot choose. I cannot choose."


def test_one_order_is_the_same_whoever_is_the_candidate(tmp_path: Path) -> None:
    """Without swap one order is drawn by the texts: roles exchanged, the same question; both orders are drawn."""
    rules = PairRules("judge@1", PAIRS, swap=False)
    drawn = []
    for number in range(40):
        ours, theirs = f"answer {number}", "the other"
        ((order, question),) = questions_of(match(ours, theirs), rules).items()
        ((mirrored, same),) = questions_of(match(theirs, ours), rules).items()
        assert question.key == same.key
        assert {order, mirrored} == {"first", "second"}
        drawn.append(order)
    assert 10 <= drawn.count("first") <= 30


def test_the_same_text_twice_is_a_tie(tmp_path: Path) -> None:
    """One question serves as both orders, whatever the judge says; with one order per pair too."""
    for swap in (True, False):
        rules = PairRules("judge@1", PAIRS, swap=swap)
        pair = match("same", "same")
        questions = questions_of(pair, rules)
        assert questions["first"].key == questions["second"].key
        judge = prepare_judge(scripted(tmp_path, [(questions["first"], "[[A>>B]]")]))
        assert [score.value for score in judge_pairs(judge.bench, [pair], rules)] == [0.5]
        judge.bench.close()


def test_the_same_pair_of_two_examples_is_asked_once(tmp_path: Path) -> None:
    """Duplicate instructions with the same answers share verdicts; each has its score."""
    rules = PairRules("judge@1", PAIRS)
    pairs = [match("ours", "theirs", "q1"), match("ours", "theirs", "q2")]
    questions = questions_of(pairs[0], rules)
    judge = prepare_judge(scripted(tmp_path, [(questions["first"], "[[A>B]]"), (questions["second"], "[[B>A]]")]))
    scores = list(judge_pairs(judge.bench, pairs, rules))
    judge.bench.close()
    assert sorted(score.key.example_id for score in scores) == ["q1", "q2"]
    assert {score.value for score in scores} == {1.0}
    assert judge.bench.num_calls == 2
    assert sum(path.read_bytes().count(b"\n") for path in tmp_path.rglob("verdicts.jsonl")) == 2


def scorer_of(config: JudgeConfig, protocol: JudgeProtocol, templates: Mapping[str, Template]) -> JudgeScorer:
    return JudgeScorer("t", protocol, templates, prepare_judge(config).bench, config)


def test_answers_are_judged_against_the_target(tmp_path: Path) -> None:
    """The reasoning is stripped; an empty or cut answer is judged as it is, and said to be so."""
    shown = questions_of(match("", "Because."), PairRules("judge@1", PAIRS))
    config = scripted(tmp_path, [(shown["first"], "[[B>A]]"), (shown["second"], "[[A>B]]")])
    scorer = scorer_of(config, JudgeProtocol("pair", None, baseline="gpt"), {"pair": PAIRS})
    score = scorer.score(example(difficulty=-1.5), answered("<think>hm", finish_reason="length"))
    scorer.close()
    assert (score.value, score.parts["empty"], score.measures["difficulty"]) == (0.0, (1.0,), -1.5)
    assert score.detail == "shown first 0.0, shown second 0.0; the answer is empty; the answer hit max_tokens"
    assert score.scorer == f"judge@{scorer.version}"


def test_second_turns_are_rated_with_the_first(tmp_path: Path) -> None:
    """Earlier question, answer and reference fill FastChat's numbered fields; a rating is a share of the highest."""
    config = scripted(tmp_path, [])
    told = {"turn": 2, "needs_reference": True, "earlier_questions": ["Who?"], "earlier_references": ["Ann."]}
    item = example(**told, earlier_answers=["<think>x</think>Bob."])
    scorer = scorer_of(config, JudgeProtocol("rating", None), {"general": RATING, "reference_2": SECOND})
    asked = scorer.question(item, answered("So."))
    assert asked.template == SECOND
    names = ("question_1", "ref_answer_1", "answer_1", "question", "ref_answer_2", "answer")
    assert [asked.fields[name] for name in names] == ["Who?", "Ann.", "Bob.", "Why?", "Because.", "So."]
    scripted(tmp_path, [(asked, "Fine. Rating: [[7]]")])
    score = scorer.score(item, answered("So."))
    scorer.close()
    assert (score.value, score.answer, score.detail) == (0.7, "7", "rated 7 of 10")
    assert score.measures == {"rating": 7.0, "turn": 2.0, "length": 3.0}


def test_the_version_says_who_judged_and_how(tmp_path: Path) -> None:
    """Judge, template, stripped tags and orders are part of it; the label is for people."""
    protocol, config = JudgeProtocol("pair", None), JudgeConfig(ckpt="scripted:mixed", label="org/big")
    version = scorer_of(config, protocol, {"pair": PAIRS}).version
    assert version.startswith("t-org_big-")
    others = [
        scorer_of(msgspec.structs.replace(config, **change), protocol, {"pair": PAIRS}).version
        for change in ({"temperature": 0.5}, {"strip": ()}, {"swap": False})
    ]
    others.append(scorer_of(config, protocol, {"pair": Template("ab", "Be fair.", PAIRS.user, "comparison")}).version)
    assert len({version, *others}) == 5
    assert scorer_of(msgspec.structs.replace(config, max_calls=3), protocol, {"pair": PAIRS}).version == version


def test_a_reward_model_compares_and_does_not_rate(tmp_path: Path) -> None:
    """Ratings are refused; a pair takes one number each, and no order."""
    config = JudgeConfig(ckpt="lab/reward", verdicts=str(tmp_path))
    with pytest.raises(UsageError, match=r"t asks for ratings from 1 to 10, which a reward model such as lab/reward"):
        scorer_of(config, JudgeProtocol("rating", None), {}).check()
    scorer = scorer_of(config, JudgeProtocol("pair", None), {})
    scorer.check()
    score = scorer.score(example(), answered("Because it is."))
    scorer.close()
    assert 0 < score.value < 1
    assert not {"first", "second"} & score.measures.keys()
    assert "order_agreement" not in score.parts
    assert scorer.describe()["num_calls"] == 2


def test_the_higher_reward_wins() -> None:
    """A reward of ln 3 against 0 is a win in three of four, for whichever side has it."""
    rewards = {text_digest("good"): math.log(3), text_digest("poor"): 0.0}

    class Rewards:
        """Answers as a bench does."""

        def ask(self, questions: Sequence[Question]) -> Iterator[Verdict]:
            """Yield the reward of each distinct answer."""
            for key in {question.key: None for question in questions}:
                yield Verdict(key=key, value=rewards[key.a], where="")

    key = RequestKey("t", "x", 0)
    for ours, theirs, share in (("good", "poor", 0.75), ("poor", "good", 0.25), ("poor", "poor", 0.5)):
        match = Match(key, "?", Answer(ours, True), Answer(theirs, True), "")
        (found,) = judge_pairs(Rewards(), [match], PairRules("judge@1", None))  # type: ignore[arg-type]
        assert found.value == pytest.approx(share)
        assert "first" not in found.measures


@pytest.mark.parametrize(("reason", "expected"), [("stop", True), ("length", False), ("unknown", True)])
def test_only_a_text_that_hit_its_limit_is_cut(reason: FinishReason, expected: bool) -> None:
    """Imported text that does not say why it ended counts as finished: a reward model is shown the end of its turn."""
    found = read_answer(Generation(RequestKey("t", "x", 0), "Yes.", reason, 1, 1, 0.0), ())
    assert found.is_finished is expected
