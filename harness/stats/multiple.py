"""Adjustment of p-values for the number of questions asked at once. No other correction than Holm's lives here."""

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the given order (Holm 1979, Scand. J. Statist. 6:65).

    Rejecting where the adjusted value is ≤ α keeps the chance of any false rejection in the family ≤ α, whatever the
    dependence between the tests. The i-th smallest of m is max_{j≤i} min(1, (m − j + 1) p_(j)). nan (a test that could
    not be made) stays nan and does not count in the family. One p-value is returned as it is; none give [].

    Call it once per family: statsmodels collects garbage in every call, some 0.1 s in a large process.
    """
    from statsmodels.stats.multitest import multipletests

    defined = [p for p in p_values if not math.isnan(p)]
    if not defined:
        return [math.nan] * len(p_values)
    adjusted = iter(multipletests(defined, method="holm")[1])
    return [p if math.isnan(p) else float(next(adjusted)) for p in p_values]
