"""lm-eval's logs become runs, and runs become lm-eval's logs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from harness.exchange.lm_eval import _digest, _parts, _sampling
from harness.schema import Example, Generation, RunRecord, Score
from harness.store import read_json, read_lines
from tests.exchange.lm_eval_logs import ROWS, write_logs

Run = Callable[..., tuple[int, str, str]]
GOLDEN = Path(__file__).parents[1] / "golden" / "runs"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what stock lm-eval wrote for lab/base on two tiny tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TQDM_DISABLE", "1")
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        return write_logs(tmp_path_factory.mktemp("lm-eval"))


@pytest.fixture
def logs(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the model's folder that a test may damage, and run beside it."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(model_folder, tmp_path / "logs"))


def samples(folder: Path, task: str) -> tuple[Path, list[dict[str, Any]]]:
    """Return a task's samples file and its rows."""
    (file,) = folder.glob(f"samples_{task}_*.jsonl")
    return file, [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def rewrite(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write samples back."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(folder: Path) -> tuple[RunRecord, dict[Any, Example], dict[Any, Generation], dict[Any, Score]]:
    """Return the only run under a folder."""
    (path,) = folder.rglob("run.json")
    return (
        read_json(path, RunRecord),
        {(item.task, item.example_id): item for item in read_lines(path.parent / "examples.jsonl", Example)},
        {item.key: item for item in read_lines(path.parent / "generations.jsonl", Generation)},
        {item.key: item for item in read_lines(path.parent / "scores.jsonl", Score)},
    )


def test_verdicts_texts_and_ids_are_kept(logs: Path, run_harness: Run) -> None:
    """Every example has lm-eval's own verdict, under an id of its number and hash; the first filter is taken."""
    code, _, err = run_harness("import", "lm-eval", str(logs))
    assert code == 0
    assert "sums: filter strict, of strict, flexible" in err
    assert "choices: metric acc, of acc, acc_norm" in err
    record, examples, generations, scores = read(Path("runs"))
    _, rows = samples(logs, "sums")
    wanted = {f"{row['doc_id']}-{row['doc_hash'][:8]}": row for row in rows if row["filter"] == "strict"}
    found = {key.example_id: (generations[key], score) for key, score in scores.items() if key.task == "sums"}
    assert found.keys() == wanted.keys()
    for example_id, row in wanted.items():
        generation, score = found[example_id]
        example = examples["sums", example_id]
        assert [[generation.text]] == row["resps"]
        assert score.value == row["exact_match"]
        assert (score.outcome == "no_answer") == (row["filtered_resps"] == ["[invalid]"])
        assert (example.input, example.target) == (row["doc"]["question"], row["doc"]["answer"])
        assert generation.finish_reason == "unknown"
    assert [item.input for item in examples.values() if item.task == "sums"] == [row["question"] for row in ROWS]
    (results,) = (json.loads(path.read_text()) for path in logs.glob("results_*.json"))
    means = {task.task: task.score.value for task in record.tasks}
    assert means == {
        "sums": results["results"]["sums"]["exact_match,strict"],
        "choices": results["results"]["choices"]["acc,none"],
    }


def test_the_run_says_what_it_is(logs: Path, run_harness: Run) -> None:
    """Imported engine and prompts; a checkpoint of which only the name is known; settings that the log states."""
    assert run_harness("import", "lm-eval", str(logs), "--domain", "sums=math")[0] == 0
    spec = read(Path("runs"))[0].spec
    assert (spec.engine.name, spec.prompting) == ("imported", "imported")
    assert (spec.checkpoint.label, spec.checkpoint.fingerprint.tokenizer) == ("base", "named")
    choices, sums = spec.tasks
    assert (sums.suite, choices.suite) == ("math", "other")
    assert (sums.sampling.temperature, sums.sampling.max_tokens, sums.sampling.stop) == (0.0, 24, ("\n",))
    assert sums.version == "2.0+lm-eval-0.4.13"
    assert sums.scorer.startswith("lm-eval/strict/exact_match@")


def test_another_filter_and_metric(logs: Path, run_harness: Run) -> None:
    """--filter and --metric choose; what is not the score stands beside it."""
    chosen = ("--task", "sums", "--filter", "flexible")
    assert run_harness("import", "lm-eval", str(logs), *chosen, "--out", "flexible")[0] == 0
    chosen = ("--task", "choices", "--metric", "acc_norm")
    assert run_harness("import", "lm-eval", str(logs), *chosen, "--out", "norm")[0] == 0
    (results,) = (json.loads(path.read_text())["results"] for path in logs.glob("results_*.json"))
    (sums,) = read(Path("flexible"))[0].tasks
    assert (sums.metric, sums.score.value) == ("exact_match", results["sums"]["exact_match,flexible"])
    record, _, generations, _ = read(Path("norm"))
    (choices,) = record.tasks
    assert choices.score.value == results["choices"]["acc_norm,none"]
    assert choices.other_metrics["acc"].value == results["choices"]["acc,none"]
    _, rows = samples(logs, "choices")
    first = next(iter(generations.values())).text.splitlines()
    assert first == [
        f"{logprob}\t {text}" for ((logprob, _),), text in zip(rows[0]["resps"], ROWS[0]["choices"], strict=True)
    ]


def test_a_checkpoint_pins_the_run(logs: Path, run_harness: Run) -> None:
    """--ckpt names the weights, so that the run is one of that checkpoint."""
    from harness.checkpoint import fingerprint_folder
    from trainers.lab import SHIPPED

    assert run_harness("import", "lm-eval", str(logs), "--ckpt", "lab/base")[0] == 0
    checkpoint = read(Path("runs"))[0].spec.checkpoint
    assert checkpoint.fingerprint == fingerprint_folder(SHIPPED["lab/base"])
    assert checkpoint.label == "lab-base"


def test_imports_are_compared_gated_and_reported(logs: Path, run_harness: Run) -> None:
    """An imported run is an ordinary run downstream."""
    file, rows = samples(logs, "sums")
    assert run_harness("import", "lm-eval", str(logs), "--label", "base")[0] == 0
    rewrite(file, [{**row, "exact_match": 1.0} for row in rows])
    assert run_harness("import", "lm-eval", str(logs), "--label", "better")[0] == 0
    code, out, err = run_harness("compare", "runs/base", "runs/better")
    assert code == 0, err
    assert "better against base" in out
    assert run_harness("gate", "--baseline", "runs/base", "--candidate", "runs/better")[0] in (0, 2)
    code, _, err = run_harness("report", "runs/base", "runs/better", "-o", "report")
    assert code == 0, err
    assert Path("report/report.html").is_file()
    assert run_harness("diff", *(str(next(Path("runs", name).iterdir())) for name in ("base", "better")))[0] == 0


def test_the_same_log_is_one_run_and_another_log_another(logs: Path, run_harness: Run) -> None:
    """Importing twice changes nothing; other verdicts of the same model stand beside the first."""
    for _ in range(2):
        assert run_harness("import", "lm-eval", str(logs))[0] == 0
        assert len(list(Path("runs/base").iterdir())) == 1
    file, rows = samples(logs, "sums")
    rewrite(file, [{**row, "exact_match": 1.0} for row in rows])
    assert run_harness("import", "lm-eval", str(logs))[0] == 0
    assert len(list(Path("runs/base").iterdir())) == 2


def refused(run_harness: Run, *arguments: str) -> str:
    """Return the one line with which a command refuses."""
    code, out, err = run_harness("import", "lm-eval", *arguments)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert not Path("runs").exists()
    return err


def test_unknown_choices_are_listed(logs: Path, run_harness: Run) -> None:
    """A filter, metric, task or domain that is not there is refused with those that are."""
    assert "pass --filter with one of: strict, flexible" in refused(
        run_harness, str(logs), "--task", "sums", "--filter", "x"
    )
    one_task = (str(logs), "--task", "choices")
    assert "pass --metric with one of: acc, acc_norm" in refused(run_harness, *one_task, "--metric", "f1")
    assert "pass --task with one of: choices, sums" in refused(run_harness, str(logs), "--task", "sum")
    assert "no task sum (did you mean sums?)" in refused(run_harness, str(logs), "--domain", "sum=math")
    assert "expected TASK=SUITE" in refused(run_harness, str(logs), "--domain", "sums")


def test_missing_files_are_named(logs: Path, run_harness: Run) -> None:
    """No folder, no results, no samples, none of lm-eval's files."""
    assert "does not exist" in refused(run_harness, "nowhere")
    Path("empty").mkdir()
    assert "has no results_*.json" in refused(run_harness, "empty")
    file, _ = samples(logs, "sums")
    file.unlink()
    assert "--log_samples" in refused(run_harness, str(logs))
    Path("other.json").write_text("[]")
    assert "expected the results of lm_eval" in refused(run_harness, "other.json")


def test_one_model_and_one_result_at_a_time(logs: Path, run_harness: Run) -> None:
    """A folder of two models, or of two results of one, is refused; naming a file helps."""
    (results,) = logs.glob("results_*.json")
    again = logs / "results_2027-01-01T00-00-00.json"
    again.write_text(results.read_text())
    assert f"holds 2 results of {json.loads(results.read_text())['model_name']}" in refused(run_harness, str(logs))
    again.write_text(json.dumps({**json.loads(results.read_text()), "model_name": "other"}))
    assert "holds several models" in refused(run_harness, str(logs))
    assert run_harness("import", "lm-eval", str(results))[0] == 0


def test_damaged_samples_are_refused(logs: Path, run_harness: Run) -> None:
    """A document twice, a verdict outside [0, 1], one that is no number."""
    file, rows = samples(logs, "sums")
    rewrite(file, [rows[0], *rows])
    assert "twice" in refused(run_harness, str(logs))
    rewrite(file, [{**row, "exact_match": 1.5} for row in rows])
    assert "has exact_match 1.5, expected a verdict from 0 to 1" in refused(run_harness, str(logs))
    rewrite(file, [{**row, "exact_match": [1, 0]} for row in rows])
    assert "exact_match of document 0 is list, expected one number an example" in refused(run_harness, str(logs))
    rewrite(file, [])
    assert "has no rows" in refused(run_harness, str(logs))


def test_lists_of_verdicts_stand_beside_the_score(logs: Path, run_harness: Run) -> None:
    """As in IFEval, a list of verdicts an example is a further metric of as many units; other numbers are left out."""
    file, rows = samples(logs, "sums")
    names = {"metrics": ["exact_match", "by_instruction", "perplexity"]}
    rewrite(file, [{**row, **names, "by_instruction": [True, False, True], "perplexity": 7.5} for row in rows])
    assert run_harness("import", "lm-eval", str(logs), "--task", "sums")[0] == 0
    record, _, _, scores = read(Path("runs"))
    assert {name: estimate.value for name, estimate in record.tasks[0].other_metrics.items()} == {
        "by_instruction": pytest.approx(2 / 3)
    }
    assert all(score.parts == {"by_instruction": (1.0, 0.0, 1.0)} for score in scores.values())


def test_a_right_answer_that_no_filter_found_is_scored(logs: Path, run_harness: Run) -> None:
    """[invalid] is no answer only where lm-eval counts it as wrong."""
    file, rows = samples(logs, "sums")
    rewrite(file, [{**row, "filtered_resps": ["[invalid]"], "exact_match": i % 2} for i, row in enumerate(rows)])
    assert run_harness("import", "lm-eval", str(logs), "--task", "sums")[0] == 0
    found = {(score.value, score.outcome, score.answer) for score in read(Path("runs"))[3].values()}
    assert found == {(0.0, "no_answer", None), (1.0, "scored", "[invalid]")}


def test_settings_of_sampling_are_lm_evals() -> None:
    """A temperature alone samples, do_sample alone does at 1; one stop string may stand without a list."""
    found = _sampling({"generation_kwargs": {"temperature": 0.6, "top_p": 0.9, "until": "\n", "max_tokens": 7}})
    assert (found.temperature, found.top_p, found.stop, found.max_tokens) == (0.6, 0.9, ("\n",), 7)
    assert _sampling({"generation_kwargs": {"do_sample": True}}).temperature == 1.0
    assert _sampling({}).temperature == 0.0


def test_a_metric_is_a_part_only_if_all_its_units_are_verdicts() -> None:
    """Half a list of verdicts would be another metric."""
    row = {"both": [True, 0.5], "half": [True, 2.0], "text": "yes"}
    assert _parts(row, ["both", "half", "text"]) == {"both": (1.0, 0.5)}


def test_the_rules_hash_has_no_address_in_memory() -> None:
    """A function that lm-eval printed is the same at another address, another function is not."""
    first, again, other = (
        _digest({"process_results": f"<function {name} at 0x{place}>"})
        for name, place in (("judge", "7f01"), ("judge", "7f02"), ("grade", "7f01"))
    )
    assert first == again != other


def test_several_responses_share_a_verdict(logs: Path, run_harness: Run) -> None:
    """Where lm-eval repeats a request, its one verdict is on all responses together."""
    file, rows = samples(logs, "sums")
    rewrite(file, [{**row, "resps": [["It is 3.", "It is 4."]]} for row in rows])
    assert run_harness("import", "lm-eval", str(logs), "--task", "sums")[0] == 0
    texts = {item.text for item in read(Path("runs"))[2].values()}
    assert texts == {"--- response 1 of 2 ---\nIt is 3.\n--- response 2 of 2 ---\nIt is 4."}


def in_12_digits(value: Any) -> Any:
    """Return a record as plain values, without the digits in which processors differ: the stored runs come from one."""
    match to_builtins(value):
        case dict() as fields:
            return {name: in_12_digits(field) for name, field in fields.items()}
        case list() as items:
            return [in_12_digits(item) for item in items]
        case float() as number:
            return f"{number:.12g}"
        case other:
            return other


@pytest.mark.parametrize("label", ["lab-chat", "lab-completion", "lab-standard"])
def test_exported_runs_return_as_they_were(
    label: str, run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """import(export(run)) keeps every example, text, score, count and identity; only the engine says imported."""
    monkeypatch.chdir(tmp_path)
    (path,) = (GOLDEN / label).iterdir()
    assert run_harness("export", "lm-eval", str(path), "-o", "theirs")[0] == 0
    code, _, err = run_harness("import", "lm-eval", "theirs")
    assert code == 0, err
    before, after = read(path), read(Path("runs"))
    assert after[1:] == before[1:]
    # seconds are summed in another order
    assert [in_12_digits(replace(task, seconds=0.0)) for task in after[0].tasks] == [
        in_12_digits(replace(task, seconds=0.0)) for task in before[0].tasks
    ]
    assert after[0].training == before[0].training
    assert after[0].spec.tasks == before[0].spec.tasks
    assert after[0].spec.checkpoint == before[0].spec.checkpoint
    assert (after[0].spec.prompting, after[0].spec.engine.name) == (before[0].spec.prompting, "imported")


def test_a_training_ledger_travels(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a checkpoint cost is part of its export, so that transfer can be told from imports too."""
    monkeypatch.chdir(tmp_path)
    (path,) = (GOLDEN / "lab-chat").iterdir()
    copy = Path(shutil.copytree(path, "runs/one/0"))
    record = json.loads((copy / "run.json").read_text())
    record["training"] = {"trained_on": ["chat"], "tokens": 7}
    (copy / "run.json").write_text(json.dumps(record))
    assert run_harness("export", "lm-eval", str(copy), "-o", "theirs")[0] == 0
    assert run_harness("import", "lm-eval", "theirs", "--out", "again")[0] == 0
    training = read(Path("again"))[0].training
    assert training is not None
    assert (training.trained_on, training.tokens) == (("chat",), 7)


def test_the_export_is_in_lm_evals_layout(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, keys and hashes are those of lm-eval 0.4.13; k generations are its repeats, their mean its verdict."""
    from lm_eval.utils import get_file_task_name, hash_string

    monkeypatch.chdir(tmp_path)
    (path,) = (GOLDEN / "lab-chat").iterdir()
    assert run_harness("export", "lm-eval", str(path), "-o", "theirs")[0] == 0
    folder = Path("theirs/lab__base")
    (results,) = (json.loads(file.read_text()) for file in folder.glob("results_*.json"))
    files = {
        get_file_task_name(file.name): samples(folder, get_file_task_name(file.name))[1]
        for file in folder.glob("samples_*.jsonl")
    }
    assert files.keys() == results["configs"].keys() == {"lab_chat", "lab_math", "lab_code"}
    for name, rows in files.items():
        metric = rows[0]["metrics"][0]
        hashes = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
        assert results["task_hashes"][name] == hash_string(hashes)
        assert results["results"][name][f"{metric},none"] == pytest.approx(sum(row[metric] for row in rows) / len(rows))
        assert [row["doc_id"] for row in rows] == list(range(len(rows)))
        assert {len(row["resps"][0]) for row in rows} == {results["configs"][name]["repeats"]}


def test_the_export_has_the_keys_of_stock_lm_eval(logs: Path, run_harness: Run) -> None:
    """Every key that stock lm-eval gives a sample of generated text is there."""
    (path,) = (GOLDEN / "lab-chat").iterdir()
    assert run_harness("export", "lm-eval", str(path), "-o", "theirs")[0] == 0
    (ours, theirs) = (
        samples(folder, task)[1][0] for folder, task in ((Path("theirs/lab__base"), "lab_math"), (logs, "sums"))
    )
    assert theirs.keys() - {"exact_match"} <= ours.keys()
    (results, stock) = (
        json.loads(next(folder.glob("results_*.json")).read_text()) for folder in (Path("theirs/lab__base"), logs)
    )
    environment = {"pretty_env_info", "transformers_version", "upper_git_hash", "start_time", "end_time"}
    tokenizer = {key for key in stock if key.startswith(("tokenizer_", "eot_", "max_length"))}
    assert stock.keys() - environment - tokenizer <= results.keys()


def test_exports_are_never_overwritten(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second export into the same folder is refused; so is a folder of several runs, and an incomplete run."""
    monkeypatch.chdir(tmp_path)
    (path,) = (GOLDEN / "lab-chat").iterdir()
    assert run_harness("export", "lm-eval", str(path), "-o", "theirs")[0] == 0
    code, _, err = run_harness("export", "lm-eval", str(path), "-o", "theirs")
    assert (code, "exists" in err) == (3, True)
    for name in ("one", "two"):
        shutil.copytree(path, Path("runs/label") / name)
    code, _, err = run_harness("export", "lm-eval", "runs/label", "-o", "other")
    assert (code, "holds 2 runs" in err) == (3, True)
    record = json.loads(Path("runs/label/one/run.json").read_text())
    Path("runs/label/one/run.json").write_text(json.dumps({**record, "status": "incomplete"}))
    code, _, err = run_harness("export", "lm-eval", "runs/label/one", "-o", "other")
    assert (code, "ended in error" in err) == (3, True)
    assert not Path("other").exists()


def test_edited_exports_are_refused(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's verdict and ours stand side by side, and must agree; no document may be missing."""
    monkeypatch.chdir(tmp_path)
    (path,) = (GOLDEN / "lab-chat").iterdir()
    assert run_harness("export", "lm-eval", str(path), "-o", "theirs")[0] == 0
    file, rows = samples(Path("theirs/lab__base"), "lab_math")
    metric = rows[0]["metrics"][0]
    rewrite(file, [{**rows[0], metric: 1 - rows[0][metric] / 2}, *rows[1:]])
    assert f"document 0 was edited: {metric} is" in refused(run_harness, "theirs")
    rewrite(file, rows[1:])
    assert "has 11 documents, the run had 12" in refused(run_harness, "theirs")
    rewrite(file, [{**rows[0], "harness": {"answers": []}}, *rows[1:]])
    assert "document 0 was edited" in refused(run_harness, "theirs")


def test_a_run_is_not_imported_beside_itself(run_harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its own label, in its own folder, it would count as a second run of the checkpoint."""
    monkeypatch.chdir(tmp_path)
    assert run_harness("eval", "--ckpt", "scripted:mixed", "--task", "lab_math", "--limit", "3")[0] == 0
    (path,) = Path("runs").glob("*/*")
    assert run_harness("export", "lm-eval", str(path), "-o", "theirs")[0] == 0
    code, _, err = run_harness("import", "lm-eval", "theirs")
    assert (code, "give another --label or --out" in err) == (3, True)
    assert run_harness("import", "lm-eval", "theirs", "--label", "again")[0] == 0
    assert run_harness("compare", str(path), "runs/again")[0] == 0
