"""A reward model as judge: what it is asked, the numbers it gives, and what it refuses."""

import json
import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from harness.checkpoint import fingerprint_folder
from harness.engines.hf_reward import HfReward
from harness.errors import CheckpointError, EngineError, SpecError
from harness.judging.records import Question, Verdict
from harness.judging.reward import (
    RewardJudge,
    is_reward_model,
    load_reward_judge,
    preference,
    reward_identity,
    reward_question,
)
from harness.schema import Message
from harness.spec import EngineConfig, JudgeConfig
from tests.tiny_model import build_tiny_checkpoint
from tests.trainers.small import build_reward_model
from trainers.lab import REWARDS, SHIPPED
from trainers.prompts import TrainingPrompt
from trainers.reward_model import load_reward_model
from trainers.rewards import Completion
from trainers.spec import RewardSpec

FOLDER = REWARDS["lab/reward"]
ASKED = (("user", "What is tea? Use two sentences."),)
GOOD = "Tea is a hot drink. Tea needs fresh leaves."
ANSWERS = [GOOD, "I am not sure. That is a good question.", "", "Tea is a hot drink.", "Coffee is strong. " * 12]


def config(**engine: Any) -> JudgeConfig:
    return JudgeConfig(ckpt="lab/reward", engine=EngineConfig(device="cpu", **engine))


def ask(folder: Path, questions: list[Question], **engine: Any) -> list[Verdict]:
    judge = load_reward_judge(folder, "lab/reward", config(**engine))
    try:
        return list(judge.ask(questions))
    finally:
        judge.close()


def question(answer: str, is_finished: bool = True, where: str = "here") -> Question:
    return reward_question(ASKED, answer, is_finished, where)


@pytest.fixture(scope="module")
def reward_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny reward model with a context of 512 tokens."""
    return build_reward_model(tmp_path_factory.mktemp("reward"))


# --- numbers


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0.0, 0.0, 0.5),
        (7.5, 7.5, 0.5),
        (math.log(3), 0.0, 0.75),
        (0.0, math.log(3), 0.25),
        (1e6, -1e6, 1.0),
        (-1e6, 1e6, 0.0),
    ],
)
def test_preference(one: float, other: float, expected: float) -> None:
    """Rewards apart by ln 3 are odds of 3 to 1; no difference overflows; both orders add up to exactly 1."""
    assert preference(one, other) == pytest.approx(expected)
    assert preference(one, other) + preference(other, one) == 1.0
    assert math.isnan(preference(math.nan, 0.0))


def test_the_judge_gives_the_rewards_of_training() -> None:
    """lab/reward gives a finished and a cut-off answer what they were worth when lab/grlo was trained against it."""
    texts = [(text, done) for text in ANSWERS for done in (True, False)]
    verdicts = ask(FOLDER, [question(*item) for item in texts])
    prompt = TrainingPrompt("1", tuple(Message(role="user", content=text) for _, text in ASKED), None)
    spec = RewardSpec(kind="reward_model", ckpt="lab/reward", unfinished="open", batch_size=1)
    trained = load_reward_model(spec, "cpu", "auto").score(
        [Completion(prompt, *item[:1], 1, item[1]) for item in texts], 0
    )
    by_key = {verdict.key: verdict for verdict in verdicts}
    assert [by_key[question(*item).key].value for item in texts] == trained
    assert max(trained) == by_key[question(GOOD).key].value
    first = by_key[question(GOOD).key]
    assert (first.where, first.label, first.text, first.attempts) == ("here", "", "", 1)
    assert first.num_prompt_tokens is not None
    assert first.at.endswith("+00:00")


def test_a_conversation_of_several_turns_is_read_whole() -> None:
    """What was said before changes the reward, and the key."""
    later = reward_question((*ASKED, ("assistant", GOOD), ("user", "And coffee?")), GOOD, True, "2")
    first, second = ask(FOLDER, [question(GOOD), later])
    assert first.key.prompt != second.key.prompt
    assert first.key.a == second.key.a
    assert first.value != second.value


def test_each_key_is_asked_once() -> None:
    """Content is the key, not the place; how the answer ended is part of it, the note for people is not."""
    questions = [question(text, done, str(i)) for i in range(3) for text in ANSWERS for done in (True, False)]
    verdicts = ask(FOLDER, questions)
    assert len(verdicts) == len({verdict.key for verdict in verdicts}) == 2 * len(ANSWERS)
    assert {verdict.where for verdict in verdicts} == {"0"}
    key = question(GOOD, False).key
    assert (key.template, key.b) == ("reward", None)
    assert key.a == question(GOOD).key.a + " open"


def test_a_reward_does_not_depend_on_its_neighbours() -> None:
    """Alone in a batch, as by default on a CPU, to the last bit; with others, up to rounding."""
    questions = [question(text) for text in ANSWERS]
    values = {verdict.key: verdict.value for verdict in ask(FOLDER, questions)}
    assert {verdict.key: verdict.value for verdict in ask(FOLDER, questions[::-2])}.items() <= values.items()
    for verdict in ask(FOLDER, questions, max_batch_size=3, max_batch_tokens=200):
        assert verdict.value == pytest.approx(values[verdict.key], abs=1e-4)


def test_batches_keep_to_both_limits(reward_folder: Path) -> None:
    """At most 3 answers, at most 40 tokens with padding, and at least one answer."""
    judge = RewardJudge(load_reward_judge(reward_folder, "x", config())._reward, 3, 40)
    items = [([0] * length, question("")) for length in (1, 2, 3, 4, 20, 20, 30, 90)]
    batches = [[len(ids) for ids, _ in batch] for batch in judge._batches(items)]
    assert batches == [[1, 2, 3], [4, 20], [20], [30], [90]]
    assert all(one[-1] <= other[0] for one, other in pairwise(batches))


# --- what cannot be judged


def test_an_answer_beyond_the_context_has_no_reward(reward_folder: Path) -> None:
    """Nothing is cut off; the others are judged."""
    verdicts = {item.key: item for item in ask(reward_folder, [question("the sea " * 300), question("the sea")])}
    long = verdicts[question("the sea " * 300).key]
    assert long.value is None
    assert long.text.startswith("reward model lab/reward has a context of 512 tokens, and a conversation has ")
    assert isinstance(verdicts[question("the sea").key].value, float)


def test_a_reward_that_is_no_number_is_no_verdict(tmp_path: Path) -> None:
    """A damaged score head gives nan, which no store can hold."""
    from safetensors.torch import load_file, save_file

    folder = build_reward_model(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] *= math.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (verdict,) = ask(folder, [question(GOOD)])
    assert verdict.value is None
    assert verdict.text == "the reward is nan: weights are damaged, or the dtype overflows"


def test_memory_that_runs_out_is_one_line(reward_folder: Path) -> None:
    """It names the setting that helps, or says that there is none."""
    tokenizer = load_reward_judge(reward_folder, "x", config())._reward.tokenizer

    class Full:
        """A model that no memory suffices for."""

        config = SimpleNamespace(pad_token_id=0, max_position_embeddings=512)

        def __call__(self, **inputs: Any) -> None:
            raise MemoryError

    reward = HfReward("big", Full(), tokenizer, "cpu")
    with pytest.raises(
        EngineError, match=r"^reward model big ran out of memory over 2 .*engine\.max_batch_size below 2"
    ):
        list(RewardJudge(reward, 2).ask([question("a"), question("b")]))
    with pytest.raises(EngineError, match=r"over 1 .*; it was alone, or give the judge other hardware"):
        list(RewardJudge(reward, 1).ask([question("a")]))


def test_checkpoints_that_are_no_reward_models(tmp_path: Path) -> None:
    """Two labels, no score head, no chat template: one line each."""
    for folder, said in (
        (build_reward_model(tmp_path / "two", num_labels=2), "reward model it gives 2 numbers a conversation"),
        (build_tiny_checkpoint(tmp_path / "language"), r"it lacks score\.weight of a sequence classifier"),
        (build_reward_model(tmp_path / "bare", template=None), "has no chat template to read conversations in"),
    ):
        with pytest.raises(CheckpointError, match=said) as caught:
            load_reward_judge(folder, "it", config())
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": 0.5}, "judge lab/reward is a reward model, which has no use for temperature; leave it out"),
        ({"template": "pair"}, "no use for template"),
        ({"engine": EngineConfig(name="openai")}, "which engine hf runs, not openai"),
        ({"engine": EngineConfig(base_url="http://x/v1")}, r"engine\.base_url is read by openai"),
    ],
)
def test_settings_without_use_are_refused(settings: dict[str, Any], said: str) -> None:
    """What would be ignored is not taken."""
    fingerprint = fingerprint_folder(FOLDER)
    with pytest.raises(SpecError, match=said):
        reward_identity("lab/reward", fingerprint, JudgeConfig(ckpt="lab/reward", **settings))


# --- who judges


def test_identity() -> None:
    """Weights, tokenizer, template, engine and how cut-off answers are shown; not the name, not the batches."""
    fingerprint = fingerprint_folder(FOLDER)
    identity = reward_identity("lab/reward", fingerprint, config())
    assert (identity.kind, identity.model) == ("reward", fingerprint.weights)
    assert identity.engine == {"name": "hf", "dtype": "float32", "device": "cpu"}
    assert identity.settings["unfinished"] == "open"
    assert reward_identity("other", fingerprint, config(max_batch_size=9)).digest == identity.digest
    for changed in ({"weights": "x"}, {"tokenizer": "x"}, {"template": None}):
        other = reward_identity("lab/reward", msgspec.structs.replace(fingerprint, **changed), config())
        assert other.digest != identity.digest
    assert reward_identity("lab/reward", fingerprint, config(dtype="bfloat16")).digest != identity.digest


def test_reward_models_are_told_from_language_models(tmp_path: Path) -> None:
    """By the architecture that config.json names; a folder without one is none."""
    assert is_reward_model(FOLDER)
    assert not any(is_reward_model(folder) for folder in SHIPPED.values())
    assert not is_reward_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": None}))
    assert not is_reward_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json"):
        is_reward_model(tmp_path)
