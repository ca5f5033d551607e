"""A language model as judge: asked, asked again, and read by likelihoods or by its words."""

import math
from dataclasses import replace

import msgspec
import pytest

from harness.errors import EngineError, SpecError, UsageError
from harness.judging.judge import FAILED, choose_reading, judge_identity
from harness.judging.template import PAIR
from harness.schema import CheckpointRef, Choice, EngineSpec, Fingerprint, Message, Request
from harness.spec import EngineConfig, JudgeConfig
from tests.judging.judge_engine import JudgeEngine, ask_pairs, judge_of, last_words

LETTERS = replace(PAIR, reading="letters", max_tokens=99)


def test_a_written_verdict_is_read() -> None:
    """The verdict holds value, label, text, tokens, time and the name that the server gave."""
    engine = JudgeEngine(lambda request: "B is sound.\n[[A]]")
    (question,) = ask_pairs([1], LETTERS)
    (verdict,) = judge_of(engine, temperature=0.3, seed=7).ask([question])
    assert (verdict.key, verdict.value, verdict.label) == (question.key, 1.0, "A")
    assert (verdict.text, verdict.attempts, verdict.where) == ("B is sound.\n[[A]]", 1, "toy/1")
    assert (verdict.model, verdict.num_prompt_tokens, verdict.num_completion_tokens) == ("judge-2026-01-01", 10, 2)
    assert verdict.seconds == 0.5
    assert verdict.at.endswith("+00:00")
    (request,) = engine.requests
    assert (request.key.task, request.key.index, request.choices) == ("judge/pair", 0, ())
    assert (request.sampling.temperature, request.sampling.max_tokens, request.sampling.seed) == (0.3, 99, 7)
    assert last_words(request).endswith("A or B.")


def test_max_tokens_of_the_judge_goes_before_the_templates() -> None:
    """A user may give a judge more or less room."""
    engine = JudgeEngine(lambda request: "[[A]]")
    list(judge_of(engine, max_tokens=5).ask(ask_pairs([1], LETTERS)))
    assert engine.requests[0].sampling.max_tokens == 5


def test_each_request_has_a_seed_of_its_own() -> None:
    """Seeds come from the judge's seed, the question and the attempt, so that order does not matter."""

    def seeds(numbers: list[int], seed: int) -> dict[str, int]:
        engine = JudgeEngine(lambda request: "[[A]]")
        list(judge_of(engine, seed=seed).ask(ask_pairs(numbers, LETTERS)))
        return {request.key.example_id: request.seed for request in engine.requests}

    assert seeds([1, 2, 3], 0) == seeds([3, 1, 2], 0)
    assert len(set(seeds([1, 2, 3], 0).values())) == 3
    assert set(seeds([1, 2, 3], 0).values()).isdisjoint(seeds([1, 2, 3], 1).values())


@pytest.mark.parametrize(
    ("first", "second", "value", "label"),
    [
        (math.log(0.6), math.log(0.2), 0.75, "A"),
        (math.log(0.01), math.log(0.03), 0.25, "B"),
        (-1.5, -1.5, 0.5, "A=B"),
        (-0.0001, -2000.0, 1.0, "A"),
        (-math.inf, -3.0, 0.0, "B"),
        (-3.0, -math.inf, 1.0, "A"),
    ],
)
def test_a_weighed_verdict_is_the_share_of_the_first_word(
    first: float, second: float, value: float, label: str
) -> None:
    """The likelihoods of the two words alone count, however small their sum; the likelier one is the label."""
    engine = JudgeEngine(lambda request: (first, second), name="hf")
    (verdict,) = judge_of(engine).ask(ask_pairs([1]))
    assert verdict.value == pytest.approx(value, abs=1e-12)
    assert (verdict.label, verdict.text, verdict.attempts) == (label, "", 1)
    assert engine.requests[0].choices == (Choice(text="A"), Choice(text="B"))


def test_words_that_are_both_impossible_are_no_verdict() -> None:
    """That is said, rather than a tie."""
    engine = JudgeEngine(lambda request: (-math.inf, -math.inf), name="hf")
    (verdict,) = judge_of(engine).ask(ask_pairs([1]))
    assert (verdict.value, verdict.label) == (None, FAILED)
    assert verdict.text == "the judge finds neither A nor B possible"


def test_a_judge_without_a_verdict_is_asked_for_it_alone() -> None:
    """Its own words are the last turn that it sees, and then what is wanted; attempts and tokens are counted."""
    engine = JudgeEngine(lambda request: "[[B]]" if request.key.index == 1 else "Hard to say: the reader decides.")
    (verdict,) = judge_of(engine).ask(ask_pairs([1], LETTERS))
    assert (verdict.value, verdict.label, verdict.attempts) == (0.0, "B", 2)
    assert verdict.text == "Hard to say: the reader decides.\n\n[[B]]"
    assert (verdict.num_prompt_tokens, verdict.num_completion_tokens, verdict.seconds) == (20, 4, 1.0)
    first, second = engine.requests
    assert first.messages is not None
    assert second.messages == (
        *first.messages,
        Message(role="assistant", content="Hard to say: the reader decides."),
        Message(role="user", content="Reply with your verdict alone: [[A]], [[B]], or [[C]] for a tie."),
    )
    assert first.key.example_id == second.key.example_id
    assert first.seed != second.seed


def test_a_silent_judge_is_asked_in_one_turn() -> None:
    """No empty turn is sent, and no two turns of one side."""
    engine = JudgeEngine(lambda request: "[[A]]" if request.key.index else " \n")
    (verdict,) = judge_of(engine).ask(ask_pairs([1], LETTERS))
    assert (verdict.value, verdict.attempts) == (1.0, 2)
    first, second = engine.requests
    assert first.messages is not None
    assert [message.role for message in second.messages or ()] == ["system", "user"]
    assert last_words(second).startswith(f"{last_words(first)}\n\nReply with your verdict alone")


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_judge_that_gives_no_verdict_is_asked_so_often(attempts: int) -> None:
    """After that the verdict has no value, and all that the judge wrote."""
    engine = JudgeEngine(lambda request: f"I'd rather not ({request.key.index}).")
    (verdict,) = judge_of(engine, attempts=attempts).ask(ask_pairs([1], LETTERS))
    assert (verdict.value, verdict.label, verdict.attempts) == (None, "", attempts)
    assert verdict.text == "\n\n".join(f"I'd rather not ({i})." for i in range(attempts))
    assert len(engine.requests) == attempts


def test_the_judges_own_reasoning_is_not_read() -> None:
    """A label that a reasoning model weighs before it speaks is no verdict; one that never speaks gives none."""
    texts = {"toy/1": "<think>[[A]]? No.</think>[[B]]", "toy/2": "<think>[[A]]? Perhaps"}
    questions = ask_pairs([1, 2], LETTERS)
    named = {question.fields["question"]: texts[question.where] for question in questions}
    engine = JudgeEngine(lambda request: next(t for q, t in named.items() if q in str(request.messages)))
    verdicts = {verdict.where: verdict for verdict in judge_of(engine, attempts=1).ask(questions)}
    assert verdicts["toy/1"].value == 0.0
    assert verdicts["toy/1"].text == texts["toy/1"]
    assert verdicts["toy/2"].value is None


def test_a_question_that_the_engine_cannot_serve_is_no_verdict() -> None:
    """Its text is the engine's error; it is not asked again at once, since engines retry by themselves."""
    engine = JudgeEngine(lambda request: EngineError("timed out after 600 s"))
    (verdict,) = judge_of(engine).ask(ask_pairs([1]))
    assert (verdict.value, verdict.label, verdict.text) == (None, FAILED, "timed out after 600 s")
    assert len(engine.requests) == 1


def test_verdicts_come_as_they_end() -> None:
    """The first verdict is there before the second question is read, and a dead engine raises after it."""
    engine = JudgeEngine(lambda request: "[[A]]", dies_after=1)
    read = []
    questions = (read.append(question.where) or question for question in ask_pairs([1, 2, 3], LETTERS))
    verdicts = judge_of(engine).ask(questions)
    assert next(verdicts).where == "toy/1"
    assert read == ["toy/1"]
    with pytest.raises(EngineError, match="died"):
        next(verdicts)


def test_order_does_not_matter() -> None:
    """An engine that answers out of order gives every question the same verdict and the same seeds."""

    def say(request: Request) -> str:
        draw = request.seed % 4
        return ["[[A]]", "[[B]]", "[[C]]", "Well."][draw]

    def ask(shuffle: int | None) -> dict[object, object]:
        engine = JudgeEngine(say, shuffle=shuffle)
        verdicts = judge_of(engine, temperature=1.0).ask(ask_pairs(range(20), LETTERS))
        return {verdict.key: (verdict.value, verdict.text, verdict.attempts) for verdict in verdicts}

    straight = ask(None)
    assert len(straight) == 20
    assert {attempts for _, _, attempts in straight.values()} > {1}  # type: ignore[misc]
    for shuffle in range(5):
        assert ask(shuffle) == straight


def test_the_engine_is_made_when_it_is_needed_and_closed() -> None:
    """No question, no engine; closing twice does no harm."""
    engine = JudgeEngine(lambda request: "[[A]]")
    judge = judge_of(engine)
    judge.close()
    assert not engine.is_closed
    list(judge.ask(ask_pairs([1], LETTERS)))
    judge.close()
    judge.close()
    assert engine.is_closed


def test_the_reading_is_chosen_by_engine_and_template() -> None:
    """auto weighs words where engine and template have them; what was asked for and cannot be had is refused."""

    def spec(name: str) -> EngineSpec:
        return msgspec.convert({"name": name, "dtype": "none", "device": "none"}, EngineSpec)

    auto = JudgeConfig(ckpt="judge")
    assert [choose_reading(auto, spec(name)) for name in ("hf", "vllm", "openai")] == ["logprobs"] * 3
    assert choose_reading(auto, spec("scripted")) == "text"
    assert choose_reading(msgspec.structs.replace(auto, read="text"), spec("hf")) == "text"
    forced = msgspec.structs.replace(auto, read="logprobs")
    with pytest.raises(SpecError, match="engine scripted cannot weigh words"):
        choose_reading(forced, spec("scripted"))
    with pytest.raises(UsageError, match="template pair has no two words to weigh"):
        list(judge_of(JudgeEngine(lambda request: "", name="hf"), read="logprobs").ask(ask_pairs([1], LETTERS)))


def test_a_template_without_words_is_read_by_text_beside_one_with_words() -> None:
    """One judge serves both on auto."""
    engine = JudgeEngine(lambda request: (0.0, -9.0) if request.choices else "[[A]]", name="hf")
    verdicts = list(judge_of(engine).ask([*ask_pairs([1]), *ask_pairs([1], LETTERS)]))
    assert [verdict.text for verdict in verdicts] == ["", "[[A]]"]


def test_identity_is_what_decides_verdicts() -> None:
    """Weights, engine, template of the checkpoint, temperature and thinking count; names, attempts and paths do not."""
    fingerprint = Fingerprint(weights="w", tokenizer="t", template="c")
    ref = CheckpointRef(label="judge", path="/a", revision=None, fingerprint=fingerprint)
    engine = EngineSpec(name="hf", dtype="float32", device="cpu")
    config = JudgeConfig(ckpt="judge")

    def digest(ref: CheckpointRef | str = ref, engine: EngineSpec = engine, **settings: object) -> str:
        return judge_identity(msgspec.structs.replace(config, **settings), ref, engine).digest

    same = digest()
    moved = msgspec.structs.replace(ref, path="/b", label="other")
    assert same == digest(moved)
    assert same == digest(label="x", attempts=9, verdicts="y", max_calls=3, price_in=1.0, swap=False, seed=5)
    others = [
        digest(msgspec.structs.replace(ref, fingerprint=msgspec.structs.replace(fingerprint, weights="v"))),
        digest(msgspec.structs.replace(ref, fingerprint=msgspec.structs.replace(fingerprint, template="d"))),
        digest("judge"),
        digest(engine=msgspec.structs.replace(engine, dtype="bfloat16")),
        digest(temperature=0.5),
        digest(temperature=0.5, seed=5),
        digest(read="text"),
        digest(enable_thinking=False),
        digest(max_tokens=10),
    ]
    assert len({same, *others}) == 10
    assert judge_identity(config, ref, engine).name == "judge"
    assert judge_identity(msgspec.structs.replace(config, label="L"), "gpt", engine).name == "L"
    assert judge_identity(config, "gpt", engine).model == "gpt"


def test_how_many_likely_tokens_a_server_lists_names_a_judge() -> None:
    """A word beyond them has no chance: another number gives other verdicts. It decides nothing that is written."""
    few, many = (
        JudgeConfig(
            ckpt="judge", engine=EngineConfig(name="openai", base_url="http://localhost/v1", top_logprobs=number)
        )
        for number in (5, 20)
    )
    spec = EngineSpec("openai", "served", "served")
    assert judge_identity(few, "judge", spec).digest != judge_identity(many, "judge", spec).digest
    written = [
        judge_identity(msgspec.structs.replace(config, read="text"), "judge", spec).digest for config in (few, many)
    ]
    assert written[0] == written[1]
