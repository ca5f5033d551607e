"""The data sets' own prompt files become templates with one set of names; what is no such file says so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.judging.protocol import TemplateFile
from harness.judging.template import shown_names
from harness.judging.template_files import is_by_hand, load_templates, parse_templates
from tasks.suite_judged import ALPACA_EVAL2, ARENA_HARD_V2, ARENA_HARD_V2_CREATIVE, MT_BENCH
from tasks.task import BenchmarkTask

CHATML = """<|im_start|>system
  You choose.
<|im_end|>
<|im_start|>user
Asked: {instruction}
{ { "one": "{output_1}" } or "{output_2}", {instructions} }
<|im_end|>"""
ARENA = """
max_tokens: 77
system_prompt: "Choose well.\\nThink."
prompt_template: ["{question_1} <{answer_1}> <{answer_2}>"]
"""
FASTCHAT = (
    {"name": "one", "system_prompt": "Rate.", "prompt_template": "{question}? {answer}!"},
    {"name": "one-math", "system_prompt": "Rate.", "prompt_template": "{question}? {ref_answer_1}. {answer}!"},
    {
        "name": "two",
        "system_prompt": "Rate the last.\n\n",
        "prompt_template": "{question_1}? {answer_1}! {question_2}? {answer_2}!",
    },
    {
        "name": "two-math",
        "system_prompt": "",
        "prompt_template": "{ref_answer_1} {ref_answer_2} {question_1}? {answer_1}! {question_2}? {answer_2}!",
    },
)
NAMES = {"general": "one", "general_2": "two", "reference": "one-math", "reference_2": "two-math"}


def source_of(task: BenchmarkTask) -> TemplateFile:
    assert task.judging is not None
    assert task.judging.templates is not None
    return task.judging.templates


def local(tmp_path: Path, form: str, text: str) -> TemplateFile:
    """Write a file of a format, and return where it is."""
    suffix = {"chatml": "txt", "arena": "yaml", "fastchat": "jsonl"}[form]
    (tmp_path / f"prompt.{suffix}").write_text(text, encoding="utf-8")
    return TemplateFile(form, f"prompt.{suffix}", f"file:///nowhere/prompt.{suffix}", NAMES, max_tokens=16)


def test_alpaca_eval_prompts_are_read(tmp_path: Path) -> None:
    """Messages without the blanks at their ends; names that are not replaced stay; the verdict is m or M."""
    (template,) = load_templates(local(tmp_path, "chatml", CHATML), tmp_path).values()
    assert template.system == "You choose."
    assert template.user == 'Asked: {question}\n{ { "one": "{answer_a}" } or "{answer_b}", {instructions} }'
    assert (template.reading, template.words, template.max_tokens) == ("tokens", ("m", "M"), 16)


@pytest.mark.parametrize(
    "text",
    [
        ARENA,
        "bench_name: hard\n" + ARENA,
        'system_prompt: "Choose well.\\nThink."\nprompt_template: "{QUESTION} <{ANSWER_A}> <{ANSWER_B}>"\n',
    ],
)
def test_arena_hard_prompts_are_read(tmp_path: Path, text: str) -> None:
    """A list of one or a text, old names or new; the file's own limit counts."""
    templates = load_templates(local(tmp_path, "arena", text), tmp_path)
    assert list(templates) == ["pair"]
    template = templates["pair"]
    assert (template.system, template.user) == ("Choose well.\nThink.", "{question} <{answer_a}> <{answer_b}>")
    assert template.reading == "comparison"
    assert template.max_tokens == (77 if "max_tokens" in text else 16)
    assert template.name == ("hard" if "bench_name" in text else "prompt")


def test_fastchat_prompts_are_read(tmp_path: Path) -> None:
    """Four uses; in second turns, question and answer are the ones that are judged."""
    text = "".join(json.dumps(row) + "\n" for row in FASTCHAT)
    templates = load_templates(local(tmp_path, "fastchat", text), tmp_path)
    assert {use: template.name for use, template in templates.items()} == NAMES
    assert templates["general"].user == "{question}? {answer}!"
    assert templates["general_2"].user == "{question_1}? {answer_1}! {question}? {answer}!"
    assert templates["reference"].user == "{question}? {ref_answer_1}. {answer}!"
    assert templates["general_2"].system == "Rate the last.\n\n"
    assert {template.reading for template in templates.values()} == {"rating"}


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("chatml", "hello", "expected one <|im_start|>user message"),
        ("chatml", CHATML + CHATML, "expected one"),
        ("chatml", CHATML.replace("{output_2}", ""), "does not show answer_b"),
        ("arena", "- 1", "is no arena prompt file"),
        ("arena", "{", "is not YAML"),
        ("arena", "system_prompt: x", "has no prompt_template"),
        ("arena", "system_prompt: x\nprompt_template: [a, b]", "has 2 messages, expected one"),
        ("arena", "system_prompt: x\nprompt_template: '{question_1}'", "does not show answer_a, answer_b"),
        ("fastchat", '{"name": "one"}\n', "is no fastchat prompt file: KeyError"),
        ("fastchat", "not json\n", "line 1 is not JSON"),
        ("fastchat", json.dumps(FASTCHAT[0]), "has no template two; it has one"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, form: str, text: str, message: str) -> None:
    """In one line that names the file and what is wrong with it."""
    with pytest.raises(DataError) as caught:
        load_templates(local(tmp_path, form, text), tmp_path)
    assert message in str(caught.value)
    assert "prompt." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_prompts_say_where_they_are(tmp_path: Path) -> None:
    """Not under the data folder, not on the web: both places and what to do."""
    source = replace(source_of(ALPACA_EVAL2), url="file:///nowhere/alpaca_eval_clf.txt")
    with pytest.raises(
        DataError,
        match=r"no --data-dir was given, nor is HARNESS_DATA set, and file:///nowhere.* cannot be had.*harness fetch",
    ):
        load_templates(source, None)
    with pytest.raises(DataError, match=r"alpaca_eval_clf.txt does not exist.* write template = \"pair\" in"):
        load_templates(source, tmp_path)
    with pytest.raises(DataError, match=r"then pass --data-dir DIR$"):  # ratings have no other template
        load_templates(replace(source_of(MT_BENCH), url="file:///nowhere/judge_prompts.jsonl"), tmp_path)


def test_a_prompt_that_its_authors_keep_in_a_program_is_written_by_hand(tmp_path: Path) -> None:
    """The message says where it stands; once the file is there, it is read like the others."""
    source = source_of(ARENA_HARD_V2_CREATIVE)
    assert is_by_hand(source)
    assert not any(is_by_hand(source_of(task)) for task in (ALPACA_EVAL2, ARENA_HARD_V2, MT_BENCH))
    with pytest.raises(
        DataError, match=r"keep them in a program \(https://github.com/.*judge_utils.py\).*docs/data.md"
    ):
        load_templates(source, tmp_path)
    path = tmp_path / source.local
    path.parent.mkdir(parents=True)
    path.write_text(ARENA)
    assert load_templates(source, tmp_path)["pair"].system.startswith("Choose")


def test_the_file_on_the_web_is_read_where_there_is_no_local_one(tmp_path: Path) -> None:
    """The same template, and so the same identity."""
    source = local(tmp_path, "arena", ARENA)
    remote = replace(source, url=(tmp_path / "prompt.yaml").as_uri())
    assert load_templates(remote, None) == load_templates(source, tmp_path)
    assert (
        load_templates(remote, None)["pair"].identity == parse_templates(source, ARENA.encode(), "x")["pair"].identity
    )


def test_real_mt_bench_prompts_show_what_they_must(data_dir: Path) -> None:
    """FastChat's file has all four uses, and no name that nobody fills."""
    shown = {use: set(shown_names(each)) for use, each in load_templates(source_of(MT_BENCH), data_dir).items()}
    assert shown == {
        "general": {"question", "answer"},
        "general_2": {"question_1", "answer_1", "question", "answer"},
        "reference": {"question", "ref_answer_1", "answer"},
        "reference_2": {"question_1", "answer_1", "ref_answer_1", "ref_answer_2", "question", "answer"},
    }
