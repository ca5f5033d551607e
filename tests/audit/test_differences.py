"""Differences on the clean part, and the difference in difference: by hand, against scipy, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.audit.differences import clean_differences, difference_in_difference
from harness.audit.findings import TaskOverlap
from tests.labels import make_label, make_task

CONTAMINATED = np.array([True] * 4 + [False] * 6)
BASE = np.array([0.0, 0.5, 0.0, 0.25, 0.5, 0.5, 0.0, 1.0, 0.25, 0.75])
CANDIDATE = np.array([1.0, 0.75, 0.5, 1.0, 0.5, 0.75, 0.25, 1.0, 0.0, 1.0])


def overlap(contaminated: tuple[str, ...], task: str = "gsm8k") -> TaskOverlap:
    """Return what an audit says of a task with these contaminated examples."""
    return TaskOverlap(task, "math", 10, 0, 0, 0, 0, 0, contaminated)


def test_the_difference_in_difference_by_hand() -> None:
    """d = 1, ¼, ½, ¾ (mean 0.625, s² = 5/48) and 0, ¼, ¼, 0, −¼, ¼ (mean 1/12, s² = 1/24); SE² = s²/4 + s²/6."""
    found = difference_in_difference(BASE, CANDIDATE, None, CONTAMINATED, single_binary=False)
    variances = (5 / 48 / 4, 1 / 24 / 6)
    degrees = sum(variances) ** 2 / (variances[0] ** 2 / 3 + variances[1] ** 2 / 5)
    assert found.value == pytest.approx(0.625 - 1 / 12)
    assert found.stderr == pytest.approx(math.sqrt(sum(variances)))
    reach = stats.t.ppf(0.975, degrees) * math.sqrt(sum(variances))
    assert (found.ci_low, found.ci_high) == pytest.approx((found.value - reach, found.value + reach))
    assert (found.method, found.num_examples, found.num_clusters) == ("Welch", 10, 10)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_it_is_welchs_interval(level: float) -> None:
    """The same as scipy's unpooled interval of two samples of differences."""
    rng = np.random.default_rng(5)
    base, candidate = rng.random(40), rng.random(40)
    contaminated = np.arange(40) < 12
    found = difference_in_difference(base, candidate, None, contaminated, level, single_binary=False)
    delta = candidate - base
    peer = stats.ttest_ind(delta[:12], delta[12:], equal_var=False).confidence_interval(level)
    assert (found.ci_low, found.ci_high) == pytest.approx((peer.low, peer.high))


def test_clusters_are_the_units() -> None:
    """Examples doubled within clusters: the interval of the single examples, but for degrees that stay the same."""
    clusters = np.repeat(np.arange(10), 2)
    doubled = difference_in_difference(
        np.repeat(BASE, 2), np.repeat(CANDIDATE, 2), clusters, np.repeat(CONTAMINATED, 2), single_binary=False
    )
    single = difference_in_difference(BASE, CANDIDATE, None, CONTAMINATED, single_binary=False)
    assert (doubled.ci_low, doubled.ci_high) == pytest.approx((single.ci_low, single.ci_high))
    assert (doubled.num_examples, doubled.num_clusters) == (20, 10)


def test_a_cluster_in_both_parts_counts_against_itself() -> None:
    """Pairs of a contaminated and a clean example that move together: the difference of the parts varies less."""
    rng = np.random.default_rng(6)
    shared = rng.random(30) * 0.5
    base, candidate = np.zeros(60), np.concatenate([shared, shared + rng.random(30) * 0.01])
    contaminated = np.arange(60) < 30
    paired = difference_in_difference(base, candidate, np.tile(np.arange(30), 2), contaminated, single_binary=False)
    alone = difference_in_difference(base, candidate, None, contaminated, single_binary=False)
    gaps = candidate[:30] - candidate[30:]
    assert paired.stderr == pytest.approx(gaps.std(ddof=1) / math.sqrt(30))
    assert paired.stderr < alone.stderr / 10


@pytest.mark.parametrize("num_contaminated", [0, 1, 9, 10])
def test_fewer_than_two_units_in_a_part_have_no_interval(num_contaminated: int) -> None:
    """One example says nothing of its variance; none has no value either."""
    found = difference_in_difference(BASE, CANDIDATE, None, np.arange(10) < num_contaminated, single_binary=False)
    assert math.isnan(found.stderr)
    assert math.isnan(found.ci_low)
    assert math.isnan(found.value) == (num_contaminated in (0, 10))
    assert found.method.startswith("undefined")


def test_a_part_that_agrees_is_not_taken_for_certain() -> None:
    """Three contaminated examples that were all gained leave the truth wide open."""
    rng = np.random.default_rng(7)
    base = np.concatenate([np.zeros(3), rng.binomial(1, 0.3, 200)]).astype(float)
    candidate = np.concatenate([np.ones(3), rng.binomial(1, 0.5, 200)]).astype(float)
    found = difference_in_difference(base, candidate, None, np.arange(203) < 3, single_binary=True)
    assert found.method == "combined arms (no variance seen in a part)"
    assert found.ci_high - found.ci_low > 0.5
    assert found.ci_low < found.value < found.ci_high


@pytest.mark.parametrize(("num_contaminated", "num_clean", "k"), [(50, 150, 1), (10, 120, 1), (4, 100, 4)])
def test_the_interval_covers(num_contaminated: int, num_clean: int, k: int) -> None:
    """The true difference in difference lies in a 95 % interval about 95 % of the time, or more."""
    rng = np.random.default_rng(8)
    contaminated = np.arange(num_contaminated + num_clean) < num_contaminated
    before, after = np.where(contaminated, 0.3, 0.3), np.where(contaminated, 0.6, 0.5)
    covered = 0
    for _ in range(600):
        base, candidate = (rng.binomial(k, chance) / k for chance in (before, after))
        found = difference_in_difference(base, candidate, None, contaminated, single_binary=k == 1)
        covered += found.ci_low <= 0.1 <= found.ci_high
    assert 0.93 <= covered / 600 <= 0.995


def test_clean_differences_of_two_labels() -> None:
    """Each part is that part's paired difference; ids that the runs lack count for nothing."""
    base = make_label("base", make_task("gsm8k", BASE[:, None]), make_task("aime24", BASE[:, None]))
    candidate = make_label("grlo", make_task("gsm8k", CANDIDATE[:, None]), make_task("ifeval", BASE[:, None], "chat"))
    ids = ("q0", "q1", "q2", "q3", "not run")
    (found,) = clean_differences([overlap(ids), overlap((), "aime24"), overlap((), "mbpp")], base, candidate)
    assert (found.label, found.task, found.num_contaminated, found.num_clean) == ("grlo", "gsm8k", 4, 6)
    assert found.all_examples.value == pytest.approx(0.3)
    assert found.contaminated.value == pytest.approx(0.625)
    assert found.clean.value == pytest.approx(1 / 12)
    assert found.difference_in_difference.value == pytest.approx(0.625 - 1 / 12)
    assert found.base_clean.value == pytest.approx(0.5)
    assert found.candidate_clean.value == pytest.approx(7 / 12)
    assert (found.base_clean.num_examples, found.clean.level) == (6, 0.95)


def test_a_clean_task_keeps_its_difference() -> None:
    """Without contamination the clean difference is that of all examples, and the other part is undefined."""
    labels = [make_label(name, make_task("gsm8k", values)) for name, values in (("a", BASE), ("b", CANDIDATE))]
    (found,) = clean_differences([overlap(())], labels[0], labels[1], level=0.9)
    assert found.clean == found.all_examples
    assert found.clean.level == 0.9
    assert math.isnan(found.contaminated.value)
    assert math.isnan(found.difference_in_difference.value)
