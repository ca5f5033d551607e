"""Candidates against controls: would any training have done as well?"""

import pytest

from harness.stats.multiple import holm
from harness.study.control import contrast_controls
from tests.labels import make_label, make_task
from tests.study.cases import binary, draw_labels, make_study


def test_each_pair_is_compared_as_compare_would() -> None:
    """Candidate minus control, overall, paired by example."""
    study = make_study(draw_labels(4))
    (found,) = contrast_controls(study)
    expected = study.compare("random", "grlo", study.base_tasks).overall
    assert (found.candidate, found.control) == ("grlo", "random")
    assert found.difference == expected.difference
    assert found.p_adjusted == expected.p_value


def test_several_pairs_share_an_adjustment() -> None:
    """Holm's over all pairs; a control that did as well has a large p."""
    counts = {"base": 20, "new": 60, "old": 50, "random": 50}
    labels = {name: make_label(name, make_task("t", binary(count, 100))) for name, count in counts.items()}
    study = make_study(labels)
    found = {item.candidate: item for item in contrast_controls(study)}
    raw = [study.compare("random", label, ("t",)).overall.p_value for label in ("new", "old")]
    assert [found[label].p_adjusted for label in ("new", "old")] == pytest.approx(holm(raw))
    assert found["new"].difference.value == pytest.approx(0.1)
    assert found["old"].p_adjusted == 1


def test_fewer_tasks_are_another_average() -> None:
    """Where a side lacks one of the base's tasks, nothing is compared."""
    both = (make_task("t", binary(5, 10)), make_task("u", binary(5, 10)))
    labels = {
        "base": make_label("base", *both),
        "grlo": make_label("grlo", *both),
        "random": make_label("random", both[0]),
    }
    assert contrast_controls(make_study(labels)) == ()
    assert contrast_controls(make_study({name: labels[name] for name in ("base", "grlo")})) == ()
