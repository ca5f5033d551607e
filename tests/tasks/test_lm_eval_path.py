"""Our tasks in stock lm-eval: the same prompts, limits and verdicts as `harness eval`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from harness.schema import Generation, Score
from harness.store import read_lines
from tasks.registry import SUITES, TASKS
from trainers.lab import SHIPPED

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path(__file__).parents[2] / "tasks" / "lm_eval"
LEFT_OUT = {"lab_chat", *(name for name, task in TASKS.items() if task.judging is not None)}
"""Judged by why a generation ended, which lm-eval does not tell; or by a judge, which it has none of."""


class Loader(yaml.SafeLoader):
    """Reads task files without importing what they name."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def run_stock(names: list[str], limit: int, chat: bool, **metadata: Any) -> dict[str, list[dict[str, Any]]]:
    """Return stock lm-eval's logged samples of lab/base by task."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(SHIPPED["lab/base"]), "dtype": "float32", "device": "cpu"},
        tasks=names,
        task_manager=TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=metadata),
        limit=limit,
        batch_size=limit,
        apply_chat_template=chat,
        bootstrap_iters=0,
    )
    assert found is not None
    return dict(found["samples"])


def assert_agreement(run_harness: Run, names: list[str], limit: int, style: str, out: Path) -> None:
    """Run both, and compare what was generated and what it scored, example by example."""
    metadata = {} if style in ("chat", "completion") else {"prompting": style}
    theirs = run_stock([f"grlo_{name}" for name in names], limit, style == "chat", **metadata)
    task_flags = ("--task", ",".join(names), "--limit", str(limit), "--prompting", style)
    code, _, err = run_harness("eval", "--ckpt", "lab/base", "--engine", "hf", *task_flags, "--out", str(out))
    assert code == 0, err
    (folder,) = out.glob("*/*")
    texts = {item.key: item.text for item in read_lines(folder / "generations.jsonl", Generation)}
    scores = {item.key: item for item in read_lines(folder / "scores.jsonl", Score)}
    ours = {(key.task, key.example_id): (texts[key], scores[key]) for key in scores}
    for name in names:
        samples = theirs[f"grlo_{name}"]
        assert len(samples) == limit
        for sample in samples:
            text, score = ours[name, sample["doc"]["example_id"]]
            assert sample["resps"] == [[text]]
            assert sample[TASKS[name].metric] == score.value
            for part, units in score.parts.items():
                assert sample[part] == (list(units) if part.startswith("inst_") else units[0])


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep progress bars out of the output."""
    monkeypatch.setenv("TQDM_DISABLE", "1")


def test_the_command_prints_the_folder(run_harness: Run) -> None:
    """`harness tasks lm-eval-path` is what --include_path takes."""
    code, out, _ = run_harness("tasks", "lm-eval-path")
    assert (code, Path(out.strip())) == (0, FOLDER)


def test_every_task_has_a_file() -> None:
    """One small file a task, tagged by suite; its metrics are those of the registry's scorers."""
    found = {}
    for path in FOLDER.glob("*.yaml"):
        file = yaml.load(path.read_text(encoding="utf-8"), Loader)
        name = file["dataset_kwargs"]["task"]
        assert (path.stem, file["task"], file["include"]) == (name, f"grlo_{name}", "_template_yaml")
        assert name in SUITES[file["tag"].removeprefix("grlo_")]
        found[name] = [entry["metric"] for entry in file.get("metric_list", [{"metric": "accuracy"}])]
    assert found.keys() == TASKS.keys() - LEFT_OUT
    assert {name: metrics[0] for name, metrics in found.items()} == {name: TASKS[name].metric for name in found}


@pytest.mark.parametrize("style", ["chat", "completion"])
def test_lab_tasks_agree(style: str, run_harness: Run, tmp_path: Path) -> None:
    """Stock lm-eval and `harness eval` generate and score the same, with and without the chat template."""
    assert_agreement(run_harness, ["lab_math", "lab_code"], 5, style, tmp_path)


def test_other_plain_styles_agree(run_harness: Run, tmp_path: Path) -> None:
    """Metadata names another plain style; worked examples are ours."""
    assert_agreement(run_harness, ["lab_math"], 5, "few_shot", tmp_path)


@pytest.mark.parametrize("style", ["chat", "completion"])
def test_real_tasks_agree(style: str, run_harness: Run, tmp_path: Path, data_dir: Path) -> None:
    """One task of each suite on real rows; in plain text a HumanEval+ program is prompt + generation."""
    assert os.environ["HARNESS_DATA"] == str(data_dir)
    assert_agreement(run_harness, ["gsm8k", "ifeval", "humaneval_plus"], 5, style, tmp_path)


def test_a_users_own_limits_win() -> None:
    """Stop strings and limits given by --gen_kwargs, which lm-eval lays over a task's, are left alone."""
    from lm_eval.tasks import TaskManager

    loaded = TaskManager(include_path=str(FOLDER), include_defaults=False).load(["grlo_lab_math"])
    (task,) = loaded["tasks"].values()
    task.build_all_requests(limit=1)
    assert task.instances[0].args[1]["until"] == list(TASKS["lab_math"].prompt.stops("completion"))
    task.set_config(key="generation_kwargs", value={"until": ["\n"], "max_gen_toks": 7}, update=True)
    task.build_all_requests(limit=1)
    assert (task.instances[0].args[1]["until"], task.instances[0].args[1]["max_gen_toks"]) == (["\n"], 7)


def test_other_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are checked against the registered hash, as everywhere."""
    from harness.errors import DataError
    from tasks.lm_eval.utils import documents

    (tmp_path / "gsm8k").mkdir()
    row = {"question": "1 + 1?", "answer": "#### 2"}
    (tmp_path / "gsm8k" / "test.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="other rows than the registered ones"):
        documents("gsm8k")
