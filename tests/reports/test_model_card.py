"""The model-index block, read back by huggingface_hub."""

import math
from pathlib import Path

import msgspec
import pytest
from huggingface_hub import EvalResult, ModelCard, metadata_load

from harness.errors import UsageError
from harness.schema import Estimate, RunRecord, TaskSummary
from reports.model_card import model_card
from tests.labels import make_run, make_task

SCORE = Estimate(0.5974, 0.0135, 0.571, 0.624, 0.95, "t", 1319, 1319)


def make_record(label: str, *tasks: str, score: Estimate = SCORE, num_examples: int = 1319) -> RunRecord:
    """Return a finished run that scores alike on every task."""
    run = make_run(label, [make_task(name, [[1.0] * 8]) for name in tasks])
    summaries = tuple(
        TaskSummary(
            task=name,
            version="1",
            suite="math",
            metric="avg@8 accuracy",
            score=score,
            other_metrics={},
            num_examples=num_examples,
            num_generations=8,
            num_planned=8 * num_examples,
            num_scored=8 * num_examples,
            num_no_answer=0,
            num_timeout=0,
            num_error=0,
            num_truncated=0,
            num_finish_unknown=0,
            num_completion_tokens=None,
            seconds=1.0,
        )
        for name in tasks
    )
    return msgspec.structs.replace(run.record, tasks=summaries)


def read_back(card: str) -> list[EvalResult]:
    """Return the results as the hub's own library reads them."""
    results = ModelCard(card).data.eval_results
    assert results is not None
    return list(results)


def test_the_hubs_library_reads_the_block(tmp_path: Path) -> None:
    """As the metadata of a README.md, and as results."""
    card = model_card([make_record("grlo", "gsm8k", "humaneval_plus")], "my-org/grlo-4b", "https://example.org/report")
    file = tmp_path / "README.md"
    file.write_text(card)
    metadata = metadata_load(file)
    assert metadata is not None
    assert metadata["model-index"][0]["name"] == "my-org/grlo-4b"
    gsm8k, humaneval = read_back(card)
    assert (gsm8k.task_type, gsm8k.dataset_type, gsm8k.dataset_config) == ("text-generation", "openai/gsm8k", "main")
    assert (gsm8k.dataset_split, gsm8k.metric_type, gsm8k.metric_value) == ("test", "accuracy", 59.74)
    assert gsm8k.metric_name == "avg@8 accuracy, points (95 % interval 57.1–62.4)"
    assert gsm8k.source_url == "https://example.org/report"
    assert (humaneval.dataset_type, humaneval.metric_type) == ("evalplus/humanevalplus", "pass@1")


def test_a_number_comes_with_its_error_and_settings() -> None:
    """Standard error in points, k, prompt and sampling."""
    (result,) = read_back(model_card([make_record("grlo", "math500")], "grlo"))
    assert result.metric_args is not None
    assert (result.metric_args["stderr"], result.metric_args["num_generations"]) == (1.35, 8)
    assert (result.metric_args["temperature"], result.metric_args["prompt"]) == (1.0, "prompt/chat@1")
    assert result.source_url is None


def test_data_that_no_hub_has_names_no_split() -> None:
    """A task of the lab is its own data set."""
    (result,) = read_back(model_card([make_record("grlo", "lab_math")], "grlo"))
    assert (result.dataset_type, result.dataset_split, result.dataset_config) == ("lab_math", None, None)


def test_a_part_of_the_examples_is_said_to_be_one() -> None:
    """`--limit 200` is not the benchmark; nor is a run with errors."""
    (result,) = read_back(model_card([make_record("grlo", "gsm8k", num_examples=200)], "grlo"))
    assert str(result.metric_name).endswith(", first 200 of 1,319 examples")
    record = make_record("grlo", "gsm8k")
    record = msgspec.structs.replace(record, tasks=(msgspec.structs.replace(record.tasks[0], num_error=3),))
    (result,) = read_back(model_card([record], "grlo"))
    assert str(result.metric_name).endswith(", without 3 of 10,552 generations that ended in error")


def test_a_score_without_an_error_says_so() -> None:
    """One example has no standard error, and YAML no nan that the hub takes."""
    card = model_card([make_record("grlo", "gsm8k", score=Estimate(1.0, *[math.nan] * 3, 0.95, "t", 1, 1))], "grlo")
    (result,) = read_back(card)
    assert "(no interval)" in str(result.metric_name)
    assert "nan" not in card


def test_sampling_that_is_not_known_is_left_out() -> None:
    """Of imported generations."""
    record = make_record("grlo", "gsm8k")
    imported = msgspec.structs.replace(record, spec=msgspec.structs.replace(record.spec, prompting="imported"))
    (result,) = read_back(model_card([imported], "grlo"))
    assert "temperature" not in (result.metric_args or {})


def test_runs_of_several_checkpoints_are_refused() -> None:
    """A card is of one model."""
    with pytest.raises(UsageError, match="of one checkpoint, but these runs are of 2: base, grlo"):
        model_card([make_record("base", "gsm8k"), make_record("grlo", "math500")], "grlo")


def test_a_task_in_two_runs_is_refused() -> None:
    """The hub holds one result a task."""
    with pytest.raises(UsageError, match="gsm8k is in two runs"):
        model_card([make_record("grlo", "gsm8k"), make_record("grlo", "gsm8k", "math500")], "grlo")


def test_a_task_without_a_score_is_refused() -> None:
    """nan is no number to publish."""
    with pytest.raises(UsageError, match="gsm8k has no score"):
        model_card([make_record("grlo", "gsm8k", score=Estimate(*[math.nan] * 4, 0.95, "t", 0, 0))], "grlo")
