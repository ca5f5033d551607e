"""The published figures: read strictly, cited, and as they are printed."""

import pytest

from harness.errors import UsageError
from reports.published import find_published, load_publications
from tasks.registry import TASKS

NOT_YET_TASKS = {"arena_hard", "gpqa_diamond", "mmlu_pro"}
"""Names reserved for tasks that the project does not have yet."""


def test_every_figure_is_of_a_task_of_this_project() -> None:
    """A misspelt name would silently stand beside nothing."""
    known = {*TASKS, *NOT_YET_TASKS, "overall"}
    for stem, publication in load_publications().items():
        assert set(publication.protocol) <= {*known, "*"}, stem
        for key, model in publication.models.items():
            assert model.figures, key
            assert set(model.figures) <= known, key


def test_every_publication_is_cited() -> None:
    """Authors, title and arXiv number; every model with its table or section."""
    publications = load_publications()
    assert list(publications) == ["general_reasoner", "grlo", "qwen3_report"]
    assert publications["grlo"].citation == (
        "Yin, Fu, Dong, Shi 2026: GRLO: Towards Generalizable Reinforcement Learning in Open-Ended Environments from "
        "Zero, arXiv 2605.15464"
    )
    assert all(model.where for it in publications.values() for model in it.models.values())


def test_figures_are_as_printed() -> None:
    """Points; the paper's averages of its seven mathematics columns come out of them (table 3: 40.3, 53.4, 54.2)."""
    averages = {}
    for key, model in load_publications()["general_reasoner"].models.items():
        math = [value for task, value in model.figures.items() if task in TASKS]
        assert len(math) == 7
        averages[key] = round(sum(math) / 7, 1)
    assert averages == {"qwen3-4b-base": 40.3, "general-reasoner-4b": 53.4, "qwen3-4b-non-thinking": 54.2}


def test_a_model_is_found_by_file_and_name() -> None:
    """With its publication, and how each figure was made."""
    found = find_published("general_reasoner/general-reasoner-4b")
    assert found.model.figures["math500"] == 80.6
    assert (found.protocol("aime24"), found.protocol("math500")) == ("avg@32", "greedy")
    assert find_published("grlo/grlo").protocol("gsm8k") == ""


def test_an_unknown_model_is_refused() -> None:
    """With the nearest name, or all of them."""
    with pytest.raises(UsageError, match="did you mean grlo/grlo"):
        find_published("grlo/grl0")
    with pytest.raises(UsageError, match="expected FILE/MODEL, one of general_reasoner/qwen3-4b-base"):
        find_published("xyz")
