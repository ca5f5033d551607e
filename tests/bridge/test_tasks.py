"""Tasks of lm-eval as tasks of ours: names, prompts, choices, sampling, refusals."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bridge.metric import _RULES, _try_reference, digest_rules
from harness.bridge.tasks import load_lm_eval_tasks
from harness.errors import DataError, UsageError
from harness.plan import pin_task, plan_requests
from harness.schema import Choice, Message, Sampling, ScorerOptions
from harness.spec import LmEvalConfig
from tests.bridge.task_files import ACC, EXACT, load, write_choice_task, write_task, write_text_task, write_yaml


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two tasks and a group of them."""
    folder = tmp_path_factory.mktemp("tasks")
    write_choice_task(folder)
    write_text_task(folder)
    write_yaml(folder, "both", {"group": "both", "task": ["sums", {"task": "capitals", "num_fewshot": 1}]})
    return folder


def test_first_filter_and_metric_are_the_default(folder):
    """The bare name has them; others are part of the name."""
    (plain,) = load(folder, "sums")
    (named,) = load(folder, "sums/none/acc")
    (other,) = load(folder, "sums/none/acc_norm")
    assert (plain.name, plain.metric) == (named.name, named.metric) == ("lm_eval:sums", "acc")
    assert (other.name, other.metric) == ("lm_eval:sums/none/acc_norm", "acc_norm")
    assert [task.name for task in load(folder, "capitals", "capitals/loose")] == [
        "lm_eval:capitals",
        "lm_eval:capitals/loose",
    ]


def test_group_stands_for_its_members(folder):
    """A group's members come in its order, asked as the group asks them, in the suite given to the group."""
    sums, capitals = load(folder, "both", domains={"both": "math", "capitals": "chat"})
    assert (sums.name, sums.suite, sums.given) == ("lm_eval:sums", "math", "lm_eval:both")
    assert (capitals.suite, capitals.given) == ("chat", "lm_eval:both")
    example = capitals.data.examples[0]
    assert capitals.plain_prompt(example, "completion").count("Capital number") == 2


def test_suite_is_other_where_none_is_given(folder):
    """A task without a domain is averaged with nothing of ours."""
    assert load(folder, "sums")[0].suite == "other"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("capitals/strikt", r"no filter strikt \(did you mean strict\?\); it has strict, loose"),
        ("sums/none/f1", r"f1 is none of its metrics.* lm_eval:sums/none/acc, lm_eval:sums/none/acc_norm"),
        ("sums/none/acc/more", "expected lm_eval:NAME, lm_eval:NAME/FILTER or"),
        ("", "expected lm_eval:NAME"),
    ],
)
def test_unknown_parts_of_a_name_are_refused(folder, name, message):
    """The error names what there is."""
    with pytest.raises(UsageError, match=message):
        load(folder, name)


def test_examples_keep_the_document(folder):
    """Id, question and reference are lm-eval's; the id begins with its number and ends with its hash."""
    data = load(folder, "sums")[0].data
    rows = [json.loads(line) for line in (folder / "sums.jsonl").read_text().splitlines()]
    assert [example.metadata["doc"] for example in data.examples] == rows
    assert data.examples[3].target == rows[3]["choices"][rows[3]["gold"]]
    assert data.examples[3].input == f"Question: {rows[3]['q']}\nAnswer:"
    assert [example.example_id.split("-")[0] for example in data.examples] == [str(i) for i in range(12)]


def test_plain_prompt_and_choices_are_those_of_lm_eval(folder):
    """In plain text a space stands before each choice."""
    (task,) = load(folder, "sums")
    example = task.data.examples[0]
    doc = example.metadata["doc"]
    assert task.plain_prompt(example, "completion") == f"Question: {doc['q']}\nAnswer:"
    assert task.choices(example, "completion") == tuple(Choice(f" {text}") for text in doc["choices"])


def test_conversation_reaches_the_engine_unrendered(folder):
    """In chat the messages are kept, with the system message, and a choice begins the model's turn."""
    (task,) = load(folder, "sums", system="Be brief.")
    example = task.data.examples[0]
    question = f"Question: {example.metadata['doc']['q']}\nAnswer:"
    assert task.messages(example) == (Message("system", "Be brief."), Message("user", question))
    assert task.choices(example, "chat") == tuple(Choice(text) for text in example.metadata["doc"]["choices"])


@pytest.mark.parametrize(("as_turns", "roles"), [(True, "user assistant user assistant user"), (False, "user")])
def test_worked_examples_are_turns_or_one_message(tmp_path, as_turns, roles):
    """fewshot_as_turns decides."""
    write_choice_task(tmp_path, num_fewshot=2, fewshot_split="test")
    (task,) = load(tmp_path, "sums", fewshot_as_turns=as_turns)
    messages = task.messages(task.data.examples[0])
    assert " ".join(message.role for message in messages) == roles
    assert sum(message.content.count("Question:") for message in messages) == 3


def test_begun_answer_is_the_last_message(tmp_path):
    """A task that begins the model's turn (gen_prefix) leaves it open."""
    write_text_task(tmp_path, gen_prefix="It is")
    (task,) = load(tmp_path, "capitals")
    assert task.messages(task.data.examples[0])[-1] == Message("assistant", "It is")


def test_contexts_that_differ_go_with_their_choices(tmp_path):
    """Where each choice has a text of its own, and for mutual information none at all, the choice carries it."""
    rows = [{"options": ["The cat ", "The dog "], "gold": 1, "end": "sleeps"}] * 2
    config = {
        "doc_to_text": "gold",
        "doc_to_choice": "options",
        "doc_to_target": "end",
        "output_type": "multiple_choice",
    }
    write_task(tmp_path, "schema", rows, **config, target_delimiter="", metric_list=[ACC])
    (task,) = load(tmp_path, "schema")
    example = task.data.examples[0]
    assert task.plain_prompt(example, "completion") == "The cat "
    assert task.choices(example, "completion") == (Choice("sleeps"), Choice("sleeps", prompt="The dog "))
    write_choice_task(tmp_path / "more", metric_list=[ACC, ACC | {"metric": "acc_mutual_info"}])
    (task,) = load(tmp_path / "more", "sums")
    example = task.data.examples[0]
    texts = [f" {text}" for text in example.metadata["doc"]["choices"]]
    assert task.choices(example, "completion") == (*map(Choice, texts), *(Choice(text, prompt="") for text in texts))


def test_sampling_is_the_tasks_own(folder, tmp_path):
    """Stop strings, limit, temperature and repeats come from the task file; weighed choices draw nothing."""
    settings = {"until": "\n\n", "do_sample": True, "temperature": 0.5, "top_p": 0.9, "max_new_tokens": 7}
    write_text_task(tmp_path, generation_kwargs=settings, repeats=3)
    (drawn,) = load(tmp_path, "capitals")
    assert drawn.sampling("greedy", "chat") == Sampling(
        temperature=0.5, top_p=0.9, max_tokens=7, num_generations=3, stop=("\n\n",)
    )
    sums, capitals = load(folder, "sums", "capitals")
    assert capitals.sampling("greedy", "chat") == Sampling(max_tokens=16, stop=("\n",))
    assert sums.sampling("avg@8", "chat") == Sampling(max_tokens=1)
    with pytest.raises(UsageError, match=r"lm_eval:capitals brings its own sampling and has no preset avg@8"):
        capitals.sampling("avg@8", "chat")


def test_settings_of_generation_without_a_meaning_are_refused(tmp_path):
    """Beam search is not done in silence as something else."""
    write_text_task(tmp_path, generation_kwargs={"until": [], "num_beams": 4})
    with pytest.raises(UsageError, match="lm_eval:capitals: its generation_kwargs set num_beams"):
        load(tmp_path, "capitals")[0].sampling("greedy", "chat")


def test_number_of_worked_examples_can_be_given(tmp_path):
    """It goes over the task's own, except over an explicit 0, which lm-eval keeps: that is refused."""
    write_choice_task(tmp_path, num_fewshot=1, fewshot_split="test")
    (task,) = load(tmp_path, "sums", num_fewshot=3)
    assert task.plain_prompt(task.data.examples[0], "completion").count("Question:") == 4
    write_text_task(tmp_path)
    with pytest.raises(UsageError, match="sets num_fewshot to 0 itself"):
        load(tmp_path, "capitals", num_fewshot=3)


def test_prompt_id_follows_what_is_sent(folder, tmp_path):
    """Another style or system message is another prompt; loading again is not."""
    (task,) = load(folder, "sums")
    (again,) = load_lm_eval_tasks(["lm_eval:sums"], LmEvalConfig(include_path=f"{folder}/"))
    (other,) = load(folder, "sums", system="Be brief.")
    assert again is not task
    assert again.prompt_id("chat") == task.prompt_id("chat")
    assert len({task.prompt_id("chat"), task.prompt_id("completion"), other.prompt_id("chat")}) == 3
    assert again.data_sha256 == task.data_sha256
    write_choice_task(tmp_path, count=11)
    assert load(tmp_path, "sums")[0].data_sha256 != task.data_sha256


def test_prompt_id_holds_the_stop_strings(folder, tmp_path):
    """Completions that end elsewhere are not paired."""
    (task,) = load(folder, "capitals")
    write_text_task(tmp_path, generation_kwargs={"until": ["\n\n"], "max_gen_toks": 16})
    (other,) = load(tmp_path, "capitals")
    assert other.data_sha256 == task.data_sha256
    assert other.prompt_id("completion") != task.prompt_id("completion")


def test_worked_examples_do_not_depend_on_the_limit(tmp_path):
    """They are drawn document after document, as lm-eval draws them for all."""
    write_choice_task(tmp_path, num_fewshot=2, fewshot_split="test")
    (task,) = load(tmp_path, "sums")
    scorer = task.scorer_factory(ScorerOptions(num_workers=1))
    sampling = task.sampling("greedy", "completion")
    few, many = (pin_task(task, task.data, scorer, sampling, "completion", limit) for limit in (2, None))
    first = [request for request, _ in zip(plan_requests([many], "completion"), range(2), strict=False)]
    assert list(plan_requests([few], "completion")) == first
    assert all(len(request.choices) == 4 for request in first)


@pytest.mark.parametrize("rule", _RULES)
def test_every_rule_is_in_the_digest(rule: str) -> None:
    """A task whose file says something else about how answers are judged has another digest."""
    empty = SimpleNamespace(config=SimpleNamespace(**dict.fromkeys(_RULES)))
    other = SimpleNamespace(config=SimpleNamespace(**dict.fromkeys(_RULES) | {rule: "otherwise"}))
    assert digest_rules(empty) != digest_rules(other)
    assert rule in ("output_type", "filter_list", "metric_list", "process_results", "doc_to_target", "doc_to_choice")
    assert len(_RULES) == 6, "what decides a verdict is never dropped"


def test_rules_are_part_of_the_scorers_version(folder, tmp_path):
    """Another filter, metric or pattern is another scorer."""
    strict, loose = load(folder, "capitals", "capitals/loose")
    write_text_task(tmp_path, metric_list=[EXACT | {"ignore_case": True}])
    (changed,) = load(tmp_path, "capitals")
    versions = {task.scorer_factory(ScorerOptions(num_workers=1)).version for task in (strict, loose, changed)}
    assert len(versions) == 3
    assert all("lm-eval-0.4" in version for version in versions)


def test_perplexity_is_refused(tmp_path):
    """It is no verdict on an example."""
    write_task(
        tmp_path,
        "flow",
        [{"text": "the sea"}],
        output_type="loglikelihood_rolling",
        doc_to_text="",
        doc_to_target="text",
    )
    with pytest.raises(UsageError, match=r"lm_eval:flow measures perplexity \(loglikelihood_rolling\)"):
        load(tmp_path, "flow")


def test_task_that_runs_programs_is_refused_unread(tmp_path):
    """Not even its code is imported."""
    write_text_task(tmp_path, unsafe_code=True, process_results="!function gone.process_end")
    with pytest.raises(UsageError, match=r"runs generated programs.* --task humaneval_plus,mbpp_plus"):
        load(tmp_path, "capitals")


def test_vote_over_generations_is_refused(tmp_path):
    """A score is of one generation; the other filters are named."""
    vote = [{"function": "majority_vote"}, {"function": "take_first"}]
    filters = [{"name": "maj", "filter": vote}, {"name": "first", "filter": [{"function": "take_first"}]}]
    write_text_task(tmp_path, filter_list=filters)
    with pytest.raises(UsageError, match=r"the filter maj of lm_eval:capitals puts several.*: first"):
        load(tmp_path, "capitals")
    assert load(tmp_path, "capitals/first")[0].name == "lm_eval:capitals/first"


def test_best_of_two_generations_is_refused(tmp_path):
    """A filter that keeps two responses judges more than one, whether they vote or not."""
    two = [{"function": "take_first_k", "k": 2}]
    write_text_task(tmp_path, filter_list=[{"name": "two", "filter": two}])
    with pytest.raises(UsageError, match=r"the filter two of lm_eval:capitals puts several.*: it has none"):
        load(tmp_path, "capitals")


def test_mutual_information_is_a_metric(tmp_path):
    """The reference is tried with as many likelihoods as lm-eval asks for: those of the choices alone, too."""
    write_choice_task(tmp_path, metric_list=[ACC | {"metric": "acc_mutual_info"}])
    (task,) = load(tmp_path, "sums")
    assert task.metric == "acc_mutual_info"
    tried = _try_reference("sums", task.task, task.rules.filter, task.docs[0])
    assert tried is not None
    assert tried["acc_mutual_info"] in (0.0, 1.0)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ({"metric": "f1", "aggregation": "f1"}, "f1 is no mean over examples"),
        (ACC | {"higher_is_better": False}, "acc is better when it is lower"),
    ],
)
def test_metric_that_is_no_verdict_is_refused(tmp_path, metric, message):
    """Those that are verdicts are named."""
    write_choice_task(tmp_path, metric_list=[metric, ACC | {"metric": "acc_norm"}])
    with pytest.raises(UsageError, match=rf"lm_eval:sums: {message}.*: lm_eval:sums/none/acc_norm"):
        load(tmp_path, "sums")
    assert load(tmp_path, "sums//acc_norm")[0].metric == "acc_norm"


def test_metric_beyond_one_is_refused(tmp_path):
    """A metric in percent is noticed by what it says of a reference answer."""
    (tmp_path / "rules.py").write_text("def process_end(doc, results):\n    return {'percent': 100.0, 'half': 0.5}\n")
    percent = {"metric": "percent", "aggregation": "mean", "higher_is_better": True}
    write_text_task(tmp_path, process_results="!function rules.process_end", metric_list=[percent])
    with pytest.raises(UsageError, match=r"percent came out as 100.0 for a reference answer.*/strict/half"):
        load(tmp_path, "capitals")


def test_missing_package_of_the_rules_is_named(tmp_path):
    """It is said before anything is generated."""
    (tmp_path / "rules.py").write_text("def process_end(doc, results):\n    import not_there\n")
    write_text_task(tmp_path, process_results="!function rules.process_end")
    with pytest.raises(DataError, match=r"needs a package to judge answers: ModuleNotFoundError: .*'not_there'"):
        load(tmp_path, "capitals")


def test_rows_that_cannot_be_had_are_one_line(tmp_path):
    """The error says where lm-eval reads rows, and what to do."""
    write_text_task(tmp_path, dataset_kwargs={"data_files": {"test": str(tmp_path / "gone.jsonl")}})
    with pytest.raises(DataError, match=r"lm_eval:capitals cannot be loaded \(.*gone.jsonl.*--include-path DIR"):
        load(tmp_path, "capitals")


def test_task_file_that_is_no_yaml_is_named_instead_of_called_unknown(tmp_path):
    """lm-eval skips such a file without a word, and its task would be unknown."""
    (tmp_path / "sums.yaml").write_text("task: sums\ndoc_to_text: 'open\n")
    with pytest.raises(DataError, match=r"no task named sums was found, and .*sums\.yaml is no YAML: .*line 2"):
        load_lm_eval_tasks(["lm_eval:sums"], LmEvalConfig(include_path=str(tmp_path)))


def test_include_path_must_be_a_folder(tmp_path):
    """A misspelt folder is not taken for an empty one."""
    with pytest.raises(UsageError, match="gone is not a folder"):
        load(tmp_path / "gone", "sums")


def test_documents_that_change_are_refused(tmp_path):
    """A task that shuffles without a seed could not be resumed or scored again."""
    code = "def process_end(docs):\n    return docs.add_column('n', [os.urandom(4).hex() for _ in docs])\n"
    (tmp_path / "rules.py").write_text(f"import os\n{code}")
    write_choice_task(tmp_path, process_docs="!function rules.process_end")
    (task,) = load(tmp_path, "sums")
    with pytest.raises(DataError, match="come out otherwise each time they are read"):
        task.prompt_id("chat")


def test_own_tasks_of_lm_eval_are_found_and_kept(tmp_path, monkeypatch):
    """A misspelt name is compared with all of them; the second look does not read their files again."""
    from harness.bridge import library

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    library._own_index.cache_clear()
    with pytest.raises(UsageError, match=r"no task named gsm9k among lm-eval's and .* \(did you mean gsm8k\?\)"):
        load(tmp_path, "gsm9k")
    (kept,) = (tmp_path / "cache").iterdir()
    library._own_index.cache_clear()
    with pytest.raises(UsageError, match=r"lm_eval:wikitext measures perplexity"):
        load(tmp_path, "wikitext")
    assert json.loads(kept.read_text())["gsm8k"][:2] == ["TASK", "gsm8k/gsm8k.yaml"]
    library._own_index.cache_clear()
