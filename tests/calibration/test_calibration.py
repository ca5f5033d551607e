"""The calibration's rule, its page and its quick part: gross errors only. The whole: `python -m tests.calibration`."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.stats.multiple import holm
from tests.calibration.campaign import SECTIONS
from tests.calibration.experiment import Claim, Experiment, Row, draw_chunk, measure
from tests.calibration.table import Made, render

ALL = [(title, experiment) for title, found in SECTIONS.items() for experiment in found]
SLOW = ("Averages, transfer and the parts of a difference", "Judged conversation")
QUICK = [experiment for title, experiment in ALL if title not in SLOW]
COVERS, ALARMS, FINDS = (Claim("x"), Claim("x", "alarms", 0.05), Claim("x", "finds", 0.8))


@pytest.fixture(scope="module", autouse=True)
def quick_garbage_collection() -> Iterator[None]:
    """statsmodels collects garbage on every call; keep what is loaded out of that, itself included."""
    holm([0.5])
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("claim", "num_true", "num_samples", "verdict"),
    [
        (COVERS, 9500, 10_000, "holds"),
        (COVERS, 10_000, 10_000, "holds"),
        (COVERS, 9230, 10_000, "holds"),  # 2.7 points low, e = 0.27
        (COVERS, 9200, 10_000, "too low by 3.0"),
        (COVERS, 15, 16, "undecided"),
        (COVERS, 8, 16, "too low by 45.0"),
        (ALARMS, 660, 10_000, "holds"),  # 1.6 points high, e = 0.25
        (ALARMS, 700, 10_000, "too high by 2.0"),
        (ALARMS, 0, 10_000, "holds"),
        (FINDS, 7600, 10_000, "holds"),
        (FINDS, 7500, 10_000, "too low by 5.0"),
        (FINDS, 9000, 10_000, "too high by 10.0"),
    ],
)
def test_the_rule(claim: Claim, num_true: int, num_samples: int, verdict: str) -> None:
    """What is promised, less a tolerance and three simulation errors."""
    assert Row(claim, "d", False, num_samples, 0, num_true).verdict == verdict


def test_undefined_samples_are_no_part_of_the_share() -> None:
    """8 of 8 defined ones; none defined is no verdict."""
    assert Row(COVERS, "d", False, 10, 2, 8).measured == 1
    assert Row(COVERS, "d", False, 10, 10, 0).verdict == "undecided"


def test_rows_count_each_claim() -> None:
    """Two claims, one undefined every other time."""
    turns = iter(range(1000))
    experiment = Experiment("d", (COVERS, ALARMS), lambda rng: (True, None if next(turns) % 2 else False))
    first, second = measure(experiment, 20, 0)
    assert (first.num_samples, first.num_undefined, first.num_true) == (20, 0, 20)
    assert (second.num_samples, second.num_undefined, second.num_true) == (20, 10, 0)


def test_chunks_have_seeds_of_their_own() -> None:
    """The same seed draws the same, another chunk or seed other samples."""
    experiment = Experiment("d", (COVERS,), lambda rng: (bool(rng.random() < 0.5),))
    first, again, other, seeded = (draw_chunk(experiment, c, 400, s) for c, s in ((0, 1), (0, 1), (1, 1), (0, 2)))
    assert first == again
    assert first not in (other, seeded)


def test_experiments_are_told_apart() -> None:
    """Seeds and rows follow the design's words, so that no two rows are the same."""
    rows = [(claim.what, experiment.design) for _, experiment in ALL for claim in experiment.claims]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("experiment", QUICK, ids=lambda x: f"{x.claims[0].what}, {x.design}")
def test_promises_hold(experiment: Experiment) -> None:
    """Of 60 samples, or as few as its share allows; promises with a known limit are not asked."""
    for row in measure(experiment, 60, 0):
        assert not row.is_broken or row.claim.limit, row


@pytest.mark.parametrize(
    "experiment", [x for title, x in ALL if title in SLOW], ids=lambda x: f"{x.claims[0].what}, {x.design}"
)
def test_slow_samples_answer_every_claim(experiment: Experiment) -> None:
    """One sample each of whole comparisons and refits; their shares are measured by the command."""
    (answers,) = draw_chunk(experiment, 0, 1, 0)[:1]
    assert len(answers) == len(experiment.claims)
    assert any(answer is not None for answer in answers)


def test_the_page_says_what_fails() -> None:
    """A broken promise is bold, with the number of its limit where it is known; a nasty design bears a mark."""
    known = Claim("power", "finds", 0.8, "a known reason")
    rows = [Row(COVERS, "edge", True, 1000, 0, 900), Row(known, "few", False, 1000, 10, 500)]
    page = render({"One": rows}, Made(1000, 7, 30.0))
    assert "| x | edge † | 95 | 90.0 | 1.0 | 1,000 | – | **too low by 5.0** |" in page
    assert "| power | few | 80 | 50.5 | 1.6 | 1,000 | 10 | **too low by 29.5** (1) |" in page
    assert "1. a known reason" in page
    assert "**2 rows: 0 hold, 0 are undecided for want of samples, 1 fail in a way that is\n" in page
    assert "known and stated below, 1 fail otherwise.**" in page
    assert "seed 7" in page


def test_the_stored_page_has_every_row() -> None:
    """docs/calibration.md was written by the experiments that there are."""
    page = (Path(__file__).parents[2] / "docs/calibration.md").read_text(encoding="utf-8")
    for _, experiment in ALL:
        for claim in experiment.claims:
            assert f"| {claim.what} | {experiment.design}{' †' if experiment.is_nasty else ''} |" in page
