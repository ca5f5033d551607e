"""Runs in words."""

from harness.schema import Sampling
from reports.page.identity import describe_sampling


def test_greedy_sampling_names_no_temperature() -> None:
    """What has no effect is left out."""
    assert describe_sampling(Sampling(seed=7)) == "greedy, k = 1, at most 2,048 tokens"


def test_drawn_sampling_names_everything_that_decides() -> None:
    """Temperature, seed, cuts, count, limit, penalty and stops."""
    sampling = Sampling(0.6, 0.95, 20, 3072, 8, ("\n\n",), 5, 1.1)
    assert describe_sampling(sampling) == (
        "temperature 0.6, seed 5, top-p 0.95, top-k 20, k = 8, at most 3,072 tokens, repetition penalty 1.1, "
        "stop '\\n\\n'"
    )


def test_imported_sampling_is_not_known() -> None:
    """-1 and 0 mean not known."""
    assert describe_sampling(Sampling(temperature=-1.0, max_tokens=0)) == "sampling not known, k = 1"
