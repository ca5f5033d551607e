"""The two parts of a difference: their intervals hold the truth, also where a cell is rare."""

import numpy as np
import pytest

from harness.stats.decompose import decompose
from tests.calibration.draws import PARTS, draw_parts


@pytest.mark.parametrize("case", PARTS)
def test_parts_cover(case: str) -> None:
    """Of 300 simulated comparisons, 95 % intervals of both parts hold the truth in at least 91 % (95 less 3 SE)."""
    n, k, finishes, accuracies = PARTS[case]
    shares = [np.array([finish, 1 - finish]) for finish in finishes]
    correct = [np.array([finish * accuracy, 0.0]) for finish, accuracy in zip(finishes, accuracies, strict=True)]
    truth = decompose(shares[0], correct[0], shares[1], correct[1])
    rng = np.random.default_rng(2)
    found = [draw_parts(rng, n, k, finishes, accuracies) for _ in range(300)]
    for parts, value in (
        ([d.elicitation for d in found], float(truth.elicitation.sum())),
        ([d.within for d in found], float(truth.within.sum())),
    ):
        assert np.mean([part.ci_low <= value <= part.ci_high for part in parts]) >= 0.91
