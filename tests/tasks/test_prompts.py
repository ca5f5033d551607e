"""Prompt styles: what is sent, what names it, and which worked examples it shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.plan import plan_requests
from harness.schema import STYLES, Example, Generation, RequestKey, ScorerOptions
from harness.scorers.answer_text import extract_answer
from harness.scorers.program import ProgramScorer
from tasks.registry import TASKS
from tasks.suite_math import last_boxed
from tests.support import toy_plan

PINNED = {
    "gsm8k": ("math/chat@11078e91", "math/completion@4d10d645"),
    "humaneval_plus": ("code/chat@8f6d6cbb", "code/completion@4f8085ed"),
    "mbpp_plus": ("code_from_docstring/chat@8f6d6cbb", "code_from_docstring/completion@b483949a"),
    "ifeval": ("verbatim/chat@d2515751", "verbatim/completion@ba45c134"),
    "lab_chat": ("lab/chat@d2515751", "lab/completion@419ca31c"),
}
WITH_SHOTS = [name for name, task in TASKS.items() if task.shots]


@pytest.mark.parametrize("name", PINNED)
def test_prompt_ids_of_old_runs_stand(name: str) -> None:
    """Stored runs stay comparable only as long as these digests do."""
    assert tuple(TASKS[name].prompt_id(style) for style in ("chat", "completion")) == PINNED[name]


def test_tasks_say_which_styles_they_have() -> None:
    """All four, but for the zero-shot protocols of HumanEval and of chat."""
    lacking = {name for name, task in TASKS.items() if task.styles != STYLES}
    assert lacking == {"humaneval_plus", *(name for name, task in TASKS.items() if task.suite == "chat")}
    assert TASKS["ifeval"].styles == ("chat", "completion", "standard")


@pytest.mark.parametrize("name", TASKS)
def test_styles_differ_and_each_asks_the_question(name: str) -> None:
    """No two styles share an id or a prompt, and none loses the input."""
    task = TASKS[name]
    assert len({task.prompt_id(style) for style in task.styles}) == len(task.styles)
    example = Example(task=name, example_id="0", input="the {input} itself", target=None)
    texts = [task.plain_prompt(example, style) for style in ("completion", "standard")]
    assert len(set(texts)) == 2
    assert all("the {input} itself" in text for text in texts)


def test_worked_examples_come_in_the_frame_of_the_question() -> None:
    """Question and answer of each, then the question, and the completion's stop strings."""
    task = TASKS["lab_math"].with_exemplars(None, None, {})
    example = task.load(None, None).examples[0]
    blocks = task.plain_prompt(example, "few_shot").split("\nQuestion: ")
    assert blocks[0] == "Question: Calculate 1 + 4 for me.\nAnswer: The answer is 5."
    assert len(blocks) == 5
    assert "Question: " + blocks[-1] == task.plain_prompt(example, "completion")
    assert task.sampling("greedy", "few_shot").stop == task.sampling("greedy", "completion").stop


def test_the_id_of_few_shot_is_of_the_examples_shown() -> None:
    """Other worked examples are another prompt; loading the registered ones changes nothing."""
    bare = TASKS["lab_math"]
    task = bare.with_exemplars(None, None, {})
    assert task.prompt_id("few_shot") == bare.prompt_id("few_shot")
    assert task.exemplars is not None
    assert replace(task, exemplars=TASKS["lab_code"].with_exemplars(None, None, {}).exemplars).prompt_id(
        "few_shot"
    ) != task.prompt_id("few_shot")


def test_other_worked_examples_are_refused_until_accepted() -> None:
    """As other rows are, under a name of their own."""
    task = TASKS["lab_math"]
    assert task.shots is not None
    changed = replace(task, shots=replace(task.shots, ids=task.shots.ids[1:]))
    with pytest.raises(DataError, match="--accept-data lab_math/shots=") as caught:
        changed.with_exemplars(None, None, {})
    sha256 = str(caught.value).rsplit("=", 1)[1]
    assert changed.with_exemplars(None, None, {"lab_math/shots": sha256}).exemplars is not None


def test_a_missing_worked_example_is_named() -> None:
    """A copy of the training split without the row is the wrong copy."""
    task = TASKS["lab_math"]
    assert task.shots is not None
    changed = replace(task, shots=replace(task.shots, ids=("math-shot-9",)))
    with pytest.raises(DataError, match="embedded has no row math-shot-9"):
        changed.with_exemplars(None, None, {})


@pytest.mark.parametrize("name", WITH_SHOTS)
def test_worked_examples_are_registered_and_not_asked(name: str, data_dir: Path) -> None:
    """Their hash is the registered one, and no question of the task is among them."""
    task = TASKS[name].with_exemplars(data_dir, None, {})
    assert task.shots is not None
    assert task.exemplars is not None
    assert len(task.exemplars.examples) == len(task.shots.ids) == task.shots.source.num_examples
    questions = {" ".join(example.input.lower().split()) for example in task.load(data_dir, None).examples}
    assert not questions & {" ".join(shot.input.lower().split()) for shot in task.exemplars.examples}


def test_mbpp_examples_are_not_questions_of_mbpp_plus(data_dir: Path) -> None:
    """MBPP+ reworded its problems, so the ids must differ, not the texts alone."""
    task = TASKS["mbpp_plus"]
    assert task.shots is not None
    asked = {example.example_id for example in task.load(data_dir, None).examples}
    assert "Mbpp/2" in asked, "the paper's own examples are questions here"
    assert not asked & {f"Mbpp/{number}" for number in task.shots.ids}


@pytest.mark.parametrize(
    ("name", "answers"), [("gsm8k", ["72", "10", "5", "42"]), ("math500", ["4", "220", "2", "670"])]
)
def test_the_scorer_reads_the_answers_of_worked_examples(name: str, answers: list[str], data_dir: Path) -> None:
    """A model that answers in their form is understood; GSM8K's calculator marks are gone."""
    task = TASKS[name].with_exemplars(data_dir, None, {})
    assert task.exemplars is not None
    texts = [str(shot.target) for shot in task.exemplars.examples]
    found = [last_boxed(text) if "boxed" in text else extract_answer(text, "last_number") for text in texts]
    assert found == answers
    assert not any("<<" in text or "####" in text for text in texts)


def test_plain_styles_send_text_and_chat_sends_messages(tmp_path: Path) -> None:
    """Imported text is not sent at all."""
    planned = toy_plan(tmp_path, num_rows=1, k=1)
    sent = {style: next(plan_requests([planned], style)) for style in ("chat", "completion", "standard", "imported")}
    assert {style: request.prompt for style, request in sent.items()} == {
        "chat": None,
        "completion": "What is 0 + 0?\n",
        "standard": "User: What is 0 + 0?\n\nAssistant:",
        "imported": None,
    }
    assert [style for style, request in sent.items() if request.messages] == ["chat"]


@pytest.mark.parametrize(
    ("name", "style", "answer"),
    [
        ("lab_code", "completion", "target"),
        ("lab_code", "standard", "target"),
        ("humaneval_plus", "completion", "canonical_solution"),
        ("humaneval_plus", "standard", "target"),
        ("mbpp_plus", "completion", "canonical_solution"),
        ("mbpp_plus", "few_shot", "canonical_solution"),
        ("mbpp_plus", "standard", "target"),
    ],
)
def test_programs_are_joined_as_their_style_asks(name: str, style: str, answer: str, data_dir: Path) -> None:
    """A right answer in the style's form scores 1: the rest of the problem's text, or a whole program."""
    task = TASKS[name]
    scorer = ProgramScorer(ScorerOptions(num_workers=1, continuation=task.continues(style)))
    try:
        for example in task.load(data_dir, None).examples[:3]:
            text = str(example.target) if answer == "target" else example.metadata["canonical_solution"]
            assert scorer.score(example, _generation(name, example.example_id, text)).value == 1.0
    finally:
        scorer.close()


def _generation(task: str, example_id: str, text: str) -> Generation:
    key = RequestKey(task=task, example_id=example_id, index=0)
    return Generation(
        key=key, text=text, finish_reason="stop", num_prompt_tokens=None, num_completion_tokens=None, seconds=0.0
    )
