"""Two sides are lined up by example, in whatever order their rows and runs come."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.pairing import LabelVerdicts, PairedTask, describe_left_out, gather_labels, pair_tasks
from tests.labels import make_label, make_run, make_task

VALUES = st.sampled_from((0.0, 0.25, 1.0, float("nan")))
"""nan: the request ended in error."""
IDS = st.text("ab/é ", min_size=1, max_size=2)
SIDES = st.dictionaries(IDS, VALUES, min_size=1, max_size=12)
CLUSTERS = st.dictionaries(IDS, st.sampled_from((None, "x", "y")))
Rows = list[tuple[str, float]]


def label_of(name: str, rows: Rows, clusters: dict[str, str | None]) -> LabelVerdicts:
    ids = tuple(example_id for example_id, _ in rows)
    values = np.array([value for _, value in rows])
    return make_label(name, make_task("t", values, ids=ids, clusters=tuple(clusters.get(each) for each in ids)))


def pairs_of(pair: PairedTask) -> dict[str, tuple[float, float, str | None]]:
    sides = zip(pair.base.means.tolist(), pair.candidate.means.tolist(), pair.base.clusters, strict=True)
    return dict(zip(pair.base.example_ids, sides, strict=True))


@given(SIDES, SIDES, CLUSTERS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    left: dict[str, float], right: dict[str, float], clusters: dict[str, str | None], draw: object
) -> None:
    """Shuffled rows make the same pairs with the same counts; what is left out is counted by cause, and said."""
    shared = left.keys() & right.keys()
    ended = {each for each in shared if not np.isnan(left[each]) and not np.isnan(right[each])}
    if not ended:  # refused: the test below
        return
    results = []
    for _ in range(2):
        sides: list[Rows] = [list(left.items()), list(right.items())]
        for rows in sides:
            draw.shuffle(rows)  # type: ignore[attr-defined]
        base, candidate = (label_of(name, rows, clusters) for name, rows in zip("bc", sides, strict=True))
        (pair,) = pair_tasks(base, candidate)
        assert pair.base.example_ids == pair.candidate.example_ids
        results.append((pairs_of(pair), pair.num_unshared, pair.num_failed, describe_left_out(pair)))
    assert results[0] == results[1]
    pairs, num_unshared, num_failed, said = results[0]
    assert pairs == {each: (left[each], right[each], clusters.get(each)) for each in ended}
    assert num_unshared == len(left.keys() ^ right.keys())
    assert num_failed == len(shared) - len(ended)
    assert len(said) == (num_unshared > 0) + (num_failed > 0)
    assert [int(line.split()[1]) for line in said] == [count for count in (num_unshared, num_failed) if count]


@given(SIDES, st.data())
def test_clusters_stay_with_their_examples(side: dict[str, float], data: st.DataObject) -> None:
    """Two examples are in one cluster of the pair exactly if they were before."""
    names = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(side), max_size=len(side)))
    clusters: dict[str, str | None] = dict(zip(side, names, strict=True))
    rows = [(each, 1.0) for each in side]
    (pair,) = pair_tasks(label_of("b", rows, clusters), label_of("c", rows[::-1], clusters))
    sizes = Counter(names)
    if max(sizes.values()) == 1:
        assert pair.clusters is None
    else:
        assert pair.clusters is not None
        found = [[pair.clusters[i] == pair.clusters[j] for j in range(len(rows))] for i in range(len(rows))]
        assert found == [[left == right for right in names] for left in names]


@given(SIDES, SIDES)
def test_nothing_in_common_is_refused_with_both_names(left: dict[str, float], right: dict[str, float]) -> None:
    """No pair is an error that names the labels and the task, never an empty comparison."""
    right = {f"{each}!": value for each, value in right.items()}
    with pytest.raises(UsageError, match="one and two have no example of t in common"):
        pair_tasks(label_of("one", list(left.items()), {}), label_of("two", list(right.items()), {}))


@given(st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_repeats_count_alike_in_any_order(repeats: list[list[float]], draw: object) -> None:
    """The runs of a label may come in any order: each example has the same verdicts, and the same mean."""
    runs = [make_run("a", [make_task("t", np.array(values))], attempt=i) for i, values in enumerate(repeats)]
    (before,) = gather_labels(runs)
    draw.shuffle(runs)  # type: ignore[attr-defined]
    (after,) = gather_labels(runs)
    np.testing.assert_array_equal(np.sort(before.tasks["t"].values), np.sort(after.tasks["t"].values))
    np.testing.assert_allclose(before.tasks["t"].means, after.tasks["t"].means, rtol=1e-15)
