"""Training prompts: from files and from the lab, too long, too few, in order; and the base they are rendered for."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.engines.hf import HfRenderer
from harness.errors import CheckpointError, DataError
from harness.schema import Example, Generation, Message, Request, RequestKey, Sampling, ScorerOptions
from tasks.registry import TASKS
from tests.tiny_model import WITH_BOS, build_tiny_checkpoint
from trainers.base import open_base
from trainers.lab.problem import is_held_out
from trainers.lab.tasks import held_out_problems
from trainers.prompts import (
    PromptSet,
    TrainingPrompt,
    load_prompts,
    order_prompts,
    read_prompts,
    render_prompt,
    steps_per_epoch,
    tokenize_prompt,
)
from trainers.spec import PromptsSpec, Recipe, RewardSpec


def make_recipe(source: str, **changes: Any) -> Recipe:
    spec = {name: changes.pop(name) for name in tuple(changes) if name in PromptsSpec.__struct_fields__}
    fields: dict[str, Any] = {
        "name": "test",
        "base": "lab/base",
        "algorithm": "ppo",
        "prompts": PromptsSpec(source=source, **spec),
        "rewards": (RewardSpec(kind="random"),),
        "trained_on": ("chat",),
        "prompts_per_step": 2,
        "mini_batch": 2,
        "max_prompt_tokens": 100,
        "max_response_tokens": 50,
    }
    return Recipe(**(fields | changes))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Return the tokenizer of lab/base."""
    return open_base(make_recipe("lab:chat")).tokenizer


def write_rows(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def texts(prompts: PromptSet) -> list[str]:
    return [prompt.messages[-1].content for prompt in prompts.prompts]


@pytest.mark.parametrize("domain", ["chat", "math", "code"])
def test_lab_prompts(domain: str) -> None:
    """The lab's prompts differ from each other and from every held-out one, and follow from the seed."""
    spec = PromptsSpec(source=f"lab:{domain}", num_prompts=150, seed=3)
    prompts = read_prompts(spec)
    assert prompts == read_prompts(spec)
    assert prompts.sha256 != read_prompts(msgspec.structs.replace(spec, seed=4)).sha256
    assert len(set(texts(prompts))) == len({prompt.prompt_id for prompt in prompts.prompts}) == prompts.num_given == 150
    held_out = held_out_problems(domain)  # type: ignore[arg-type] # the parameters are domains
    assert all(is_held_out(problem) for problem in held_out)
    assert not {problem.prompt for problem in held_out} & set(texts(prompts))


@pytest.mark.parametrize("domain", ["chat", "math"])
def test_lab_examples_can_be_judged(domain: str) -> None:
    """The task's own scorer passes the reference answer of a training prompt and fails an empty one."""
    task = TASKS[f"lab_{domain}"]
    assert task.gold is not None
    scorer = task.scorer_factory(ScorerOptions(num_workers=1))
    for prompt in read_prompts(PromptsSpec(source=f"lab:{domain}", num_prompts=20)).prompts:
        assert prompt.example is not None
        values = [scorer.score(prompt.example, generation(text)).value for text in (task.gold(prompt.example), "")]
        assert values == [1.0, 0.0]
    scorer.close()


def generation(text: str) -> Generation:
    key = RequestKey(task="lab", example_id="0", index=0)
    return Generation(
        key=key, text=text, finish_reason="stop", num_prompt_tokens=None, num_completion_tokens=None, seconds=0
    )


def test_the_generator_runs_dry() -> None:
    """Asking for more prompts than the world has different ones is an error with both numbers."""
    with pytest.raises(DataError, match=r"num_prompts is 100,000, and lab:chat gave [\d,]+ different prompts"):
        read_prompts(PromptsSpec(source="lab:chat", num_prompts=100_000))


def test_file_of_questions_and_answers(tmp_path: Path) -> None:
    """A row's text goes into the template, its answer into an example; of GSM8K's answers, the part behind ####."""
    rows = [{"question": "1 + 1?", "answer": "1 and 1 is 2\n#### 2"}, {"question": "2 * 2?", "answer": 4}]
    path = write_rows(tmp_path / "qa.jsonl", *rows)
    prompts = read_prompts(PromptsSpec(source=path, target_field="answer", template="{input} Box it."))
    assert texts(prompts) == ["1 + 1? Box it.", "2 * 2? Box it."]
    assert [prompt.example for prompt in prompts.prompts] == [
        Example(task="prompts", example_id="1", input="1 + 1?", target="2"),
        Example(task="prompts", example_id="2", input="2 * 2?", target="4"),
    ]
    assert prompts.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_file_of_verl(tmp_path: Path) -> None:
    """verl's parquet files hold conversations and a nested reference answer; replies at the end are not prompts."""
    import pandas as pd

    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}
    reply = {"role": "assistant", "content": "Hi."}
    frame = pd.DataFrame({"prompt": [[system, user, reply]], "reward_model": [{"ground_truth": "7", "style": "rule"}]})
    frame.to_parquet(tmp_path / "p.parquet")
    spec = PromptsSpec(source=str(tmp_path / "p.parquet"), target_field="reward_model.ground_truth")
    (prompt,) = read_prompts(spec).prompts
    assert prompt.messages == (Message(role="system", content="Be brief."), Message(role="user", content="Hello?"))
    assert prompt.example is not None
    assert prompt.example.target == "7"


def test_plain_text_and_shares_of_a_file(tmp_path: Path) -> None:
    """A line of a text file is a prompt; num_prompts takes the first ones, and not more than there are."""
    path = tmp_path / "p.txt"
    path.write_text("One?\n\nTwo?\nThree?\n")
    assert texts(read_prompts(PromptsSpec(source=str(path), num_prompts=2))) == ["One?", "Two?"]
    with pytest.raises(DataError, match=r"has 3 prompts, fewer than prompts\.num_prompts, 4"):
        read_prompts(PromptsSpec(source=str(path), num_prompts=4))


@pytest.mark.parametrize(
    ("row", "settings", "said"),
    [
        ({"prompt": "  "}, {}, "row 2: no text at field prompt"),
        ({"other": "x"}, {}, "row 2: no text at field prompt"),
        ({"prompt": "x"}, {"target_field": "answer"}, "row 2: field answer holds no reference answer but None"),
        ({"prompt": "x", "answer": "so ####"}, {"target_field": "answer"}, "holds no reference answer but 'so ####'"),
        ({"prompt": "x", "answer": True}, {"target_field": "answer"}, "holds no reference answer but True"),
        (
            {"prompt": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]},
            {},
            "row 2: a turn of role 'tool'",
        ),
        (
            {"prompt": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]},
            {},
            "row 2: the conversation does not end with something that the user says",
        ),
    ],
)
def test_bad_rows(tmp_path: Path, row: object, settings: dict[str, str], said: str) -> None:
    """A row without a prompt or a needed answer is named."""
    path = write_rows(tmp_path / "p.jsonl", {"prompt": "fine", "answer": "1"}, row)
    with pytest.raises(DataError) as caught:
        read_prompts(PromptsSpec(source=path, **settings))  # type: ignore[arg-type] # strings of the table
    assert said in str(caught.value)


def test_missing_field_speaks_of_the_recipe(tmp_path: Path) -> None:
    """The reader shared with `harness audit` names its flag; here the recipe's setting is named."""
    path = write_rows(tmp_path / "p.jsonl", {"text_of_the_task": "x"})
    with pytest.raises(DataError, match=r"name one with prompts\.field"):
        read_prompts(PromptsSpec(source=path))
    with pytest.raises(DataError, match="row 1 has no text at field ask"):
        read_prompts(PromptsSpec(source=path, field="ask"))


def test_too_long(tmp_path: Path, tokenizer: Any) -> None:
    """Prompts above the limit are left out and counted, or stop the run, as the recipe says; at the limit they stay."""
    path = write_rows(tmp_path / "p.jsonl", *({"prompt": text} for text in ("Hi.", "Why? " * 40, "Tea?")))
    longest = max(len(tokenize_prompt((Message(role="user", content=text),), tokenizer)) for text in ("Hi.", "Tea?"))
    prompts = load_prompts(make_recipe(path, max_prompt_tokens=longest), tokenizer)
    assert texts(prompts) == ["Hi.", "Tea?"]
    assert (prompts.num_given, prompts.num_too_long) == (3, 1)
    with pytest.raises(DataError, match=r"prompt row 2 has \d+ tokens, more than max_prompt_tokens"):
        load_prompts(make_recipe(path, max_prompt_tokens=longest, too_long="error"), tokenizer)
    with pytest.raises(DataError, match=r"all 3 prompts have more than max_prompt_tokens, 2, tokens \(the shortest"):
        load_prompts(make_recipe(path, max_prompt_tokens=2), tokenizer)


def test_fewer_prompts_than_a_batch(tmp_path: Path, tokenizer: Any) -> None:
    """A batch larger than the data set is refused with both numbers: 1,000 released prompts, a batch of 1,024."""
    path = write_rows(tmp_path / "p.jsonl", *({"prompt": f"Question {number}?"} for number in range(1000)))
    with pytest.raises(DataError, match=r"has 1,000 prompts, fewer than prompts_per_step, 1,024"):
        load_prompts(make_recipe(path, prompts_per_step=1024, mini_batch=256), tokenizer)


def test_no_chat_template(tmp_path: Path) -> None:
    """A base without a chat template cannot be asked; a file with one makes it a base."""
    folder = build_tiny_checkpoint(tmp_path / "bare", chat_template=None)
    with pytest.raises(CheckpointError, match="has no chat template"):
        open_base(make_recipe("lab:chat", base=str(folder)))
    template = tmp_path / "t.jinja"
    template.write_text(WITH_BOS)
    base = open_base(make_recipe("lab:chat", base=str(folder), chat_template=str(template)))
    assert render_prompt((Message(role="user", content="Hi"),), base.tokenizer) == "<|bos|>[user] Hi\n[assistant] "
    bare = base.tokenizer
    bare.chat_template = None
    with pytest.raises(CheckpointError, match="has no chat template"):
        render_prompt((Message(role="user", content="Hi"),), bare)


def test_template_that_fails(tokenizer: Any) -> None:
    """A template's own complaint becomes one line."""
    import copy

    broken = copy.copy(tokenizer)
    broken.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(CheckpointError, match=r"fails on a training prompt: roles must alternate"):
        render_prompt((Message(role="user", content="Hi"),), broken)


def test_base_and_tokenizer_that_do_not_match(tmp_path: Path) -> None:
    """A tokenizer with more tokens than the base has embeddings is refused with both numbers."""
    folder = build_tiny_checkpoint(tmp_path / "small", vocab_size=200)
    with pytest.raises(CheckpointError, match=r"the tokenizer has \d{3} tokens, config\.json has embeddings for 200"):
        open_base(make_recipe("lab:chat", base=str(folder)))


def test_base_with_a_short_context(tmp_path: Path) -> None:
    """Prompt and response must fit the base's context."""
    folder = build_tiny_checkpoint(tmp_path / "short")
    with pytest.raises(CheckpointError, match="has a context of 512 tokens; prompts of up to 500"):
        open_base(make_recipe("lab:chat", base=str(folder), max_prompt_tokens=500))


def test_base_without_weights() -> None:
    """A script is no base."""
    with pytest.raises(CheckpointError, match="has no weights to train"):
        open_base(make_recipe("lab:chat", base="scripted:mixed"))


def test_prompts_are_what_the_evaluation_sends(tokenizer: Any) -> None:
    """Training and `harness eval` give the model the same token ids."""
    from trainers.lab import SHIPPED

    messages = (Message(role="user", content="What is 12 + 30?"),)
    request = Request(RequestKey("t", "0", 0), Sampling(), 0, messages=messages)
    text, ids = HfRenderer(SHIPPED["lab/base"]).render(request)
    assert render_prompt(messages, tokenizer) == text
    assert tokenize_prompt(messages, tokenizer) == ids


def make_set(count: int) -> PromptSet:
    prompts = tuple(TrainingPrompt(str(number), (), None) for number in range(count))
    return PromptSet(prompts, "", count, 0, "test")


def test_order_of_prompts() -> None:
    """A pass visits no prompt twice, leaves out what fills no batch, and is shuffled anew; seed and step decide."""
    recipe, prompts = make_recipe("x", prompts_per_step=4), make_set(10)
    assert steps_per_epoch(10, recipe) == 2
    steps = [order_prompts(prompts, recipe, step) for step in range(8)]
    assert all(len(step) == 4 for step in steps)
    passes = [{prompt.prompt_id for prompt in (*steps[i], *steps[i + 1])} for i in range(0, 8, 2)]
    assert [len(seen) for seen in passes] == [8, 8, 8, 8]
    assert len({frozenset(seen) for seen in passes}) > 1
    assert steps[5] == order_prompts(prompts, recipe, 5)
    assert steps != [order_prompts(prompts, msgspec.structs.replace(recipe, seed=1), step) for step in range(8)]


def test_every_prompt_has_its_turn() -> None:
    """Over many passes each prompt is drawn about equally often: 600 passes × 8 of 10."""
    recipe, prompts = make_recipe("x", prompts_per_step=4), make_set(10)
    counts = dict.fromkeys(range(10), 0)
    for step in range(1200):
        for prompt in order_prompts(prompts, recipe, step):
            counts[int(prompt.prompt_id)] += 1
    # binomial: 600 × 0.8 = 480, standard deviation 9.8
    assert all(abs(count - 480) < 45 for count in counts.values())
