"""Ratios of differences with Fieller's interval (transfer ratio, gap closed, normalised gain), Transferability Index.

Pure functions of estimates and arrays; which tasks are trained and which are not is the caller's knowledge.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.findings import Ratio
from harness.schema import Estimate
from harness.stats.estimate import Floats
from harness.stats.quantile import t_quantile

NO_VARIANCE = 1e-24
"""An error variance below this is 0 up to rounding (draws that are all equal)."""
NO_SPREAD = 1e-9
"""A standard deviation below this, in points, is 0 up to rounding."""


@dataclass(frozen=True)
class Pair:
    """Two estimates, how they vary together, and how well that is known."""

    first: float
    second: float
    covariance: Floats
    """Shape (2, 2): error variances of first and second on the diagonal."""
    degrees: float
    """Degrees of freedom of the variances; inf for a normal quantile."""
    num_examples: int
    num_clusters: int


def fieller(pair: Pair, level: float = 0.95, names: tuple[str, str] = ("numerator", "denominator")) -> Ratio:
    """Estimate first/second with Fieller's interval.

    The interval holds every ρ for which first − ρ·second is not distinguishable from 0 by Student's t (Fieller 1954,
    JRSS B 16:175). With estimates n and d, error variances v_n and v_d, covariance c and quantile t:

        (n d − t² c ± t sqrt(v_n d² − 2 c n d + v_d n² − t² (v_n v_d − c²))) / (d² − t² v_d).

    Assumes n and d nearly normal. The standard error is the first-order one, sqrt(v_n − 2 ρ c + ρ² v_d)/|d|.

    Args:
        pair: numerator and denominator.
        level: coverage of the interval.
        names: what numerator and denominator are, for the reason.

    Returns:
        The ratio. All nan, with the reason, where t² v_d ≥ d² (the denominator is not distinguishable from 0, and the
        set of ρ is unbounded); where anything is undefined (no or one example); and where the numerator or the ratio
        shows no variance, which would claim an interval without width. A denominator without variance that is not 0
        counts as known exactly.
    """
    n, d, t = pair.first, pair.second, t_quantile(pair.degrees, level)
    (v_n, c), (_, v_d) = pair.covariance.tolist()
    reason = _obstacle(pair, t, level, names)
    if reason:
        return Ratio(estimate=_estimate(pair, level, (math.nan,) * 4, "undefined"), reason=reason)
    discriminant = v_n * d**2 - 2 * c * n * d + v_d * n**2 - t**2 * (v_n * v_d - c**2)
    half = t * math.sqrt(max(0.0, discriminant))
    centre, scale = n * d - t**2 * c, d**2 - t**2 * v_d
    stderr = math.sqrt(v_n - 2 * c * n / d + v_d * (n / d) ** 2) / abs(d)
    numbers = (n / d, stderr, (centre - half) / scale, (centre + half) / scale)
    return Ratio(estimate=_estimate(pair, level, numbers, "fieller"))


def is_distinguishable(value: float, stderr: float, degrees: float, level: float) -> bool:
    """Say whether a value differs from 0 by more than its error allows: |value| > t · stderr. nan never does."""
    return abs(value) > t_quantile(degrees, level) * stderr


def transfer_ratio(untrained: Estimate, trained: Estimate, degrees: float, level: float = 0.95) -> Ratio:
    """Estimate the mean difference on untrained tasks per point of difference on trained ones.

    1 means that what was gained where it was trained was gained elsewhere in full, 0 that nothing was. The two are
    measured on different examples, so their errors are independent (covariance 0); Fieller's interval.

    Args:
        untrained: difference averaged over untrained domains.
        trained: difference averaged over trained domains.
        degrees: degrees of freedom of the two standard errors, e.g. the smaller of the two.
        level: coverage of the interval.

    Returns:
        The ratio, or why there is none. Uses value and stderr alone: where some tasks showed no variance, pass
        estimates whose stderr is that of `average.effective_stderr`.
    """
    covariance = np.diag([untrained.stderr**2, trained.stderr**2])
    counts = untrained.num_examples + trained.num_examples, untrained.num_clusters + trained.num_clusters
    pair = Pair(untrained.value, trained.value, covariance, degrees, *counts)
    return fieller(pair, level, ("untrained difference", "trained difference"))


def gap_closed(pair: Pair, level: float = 0.95) -> Ratio:
    """Estimate (candidate − base)/(reference − base), the share of the gap to a reference that the candidate closed.

    Args:
        pair: first the candidate's difference, second the reference's difference to the same base on the same
            examples; their covariance is positive, since they share the base.
        level: coverage of the interval.

    Returns:
        The ratio with Fieller's interval, or why there is none. It may lie outside [0, 1].
    """
    return fieller(pair, level, ("difference", "reference's difference"))


def normalised_gain(pair: Pair, level: float = 0.95) -> Ratio:
    """Estimate (s − b)/(1 − b), the share of the possible gain that was gained (Hake 1998, Am. J. Phys. 66:64).

    In points it reads (s − b)/(100 − b).

    Args:
        pair: first the difference s − b, second the base's score b in [0, 1], with their covariance.
        level: coverage of the interval.

    Returns:
        The ratio with Fieller's interval, or why there is none (a base at or near the ceiling).
    """
    (v_n, c), (_, v_d) = pair.covariance.tolist()
    room = Pair(
        first=pair.first,
        second=1 - pair.second,
        covariance=np.array([[v_n, -c], [-c, v_d]]),
        degrees=pair.degrees,
        num_examples=pair.num_examples,
        num_clusters=pair.num_clusters,
    )
    return fieller(room, level, ("difference", "room above the base"))


def transferability_index(
    base: Sequence[Floats], model: Sequence[Floats], trained: int, scales: Sequence[float] | None = None
) -> Floats:
    """Return the Transferability Index of every group of benchmarks (arXiv 2507.00432v2, section 2.1), in percent.

    With R_b the score of benchmark b in points and ΔR_b its change from base to model, for each group g:
    σ_g = Std{ΔR_b : b ∈ g}; δ_b = ΔR_b/σ_g; s_b = sign(δ_b) sqrt|δ_b|; ŵ_b = (100 − R_b^base)/Σ_u (100 − R_u^base);
    DI_g = Σ_b ŵ_b s_b; TI_g = 100 · DI_g/DI_trained.

    The paper does not say which standard deviation it means: the population's is used; between groups of equal size
    the choice cancels. It also reads as if σ_g were each model's own, while all values printed in its Table 1 follow
    from the table's scores only if σ_g is one constant per group for all models (σ_other/σ_math = 1.1355,
    σ_non/σ_math = 1.2755; which models were pooled is not said). The text is the default here; `scales` gives
    constants, e.g. of ΔR pooled over all models of a study.

    Args:
        base: one array per group, shape (..., number of its benchmarks), base scores in 0-100. Leading dimensions are
            resamples, so that an interval can be bootstrapped.
        model: as base, scores of the model.
        trained: position of the trained group.
        scales: σ_g of each group; None takes each group's own.

    Returns:
        Shape (..., number of groups); 100 for the trained group. nan for a group with fewer than two benchmarks,
        with σ_g = 0 or with all base scores at 100, and for all groups where DI_trained is 0 or nan.
    """
    gains = [
        _domain_index(np.asarray(old), np.asarray(new), scales[group] if scales is not None else None)
        for group, (old, new) in enumerate(zip(base, model, strict=True))
    ]
    gain = np.stack(gains, axis=-1)
    unit = gain[..., trained, None]
    return 100 * gain / np.where(unit == 0, np.nan, unit)


def _domain_index(base: Floats, model: Floats, scale: float | None) -> Floats:
    change = model - base
    if base.shape[-1] < 2:
        return np.full(change.shape[:-1], np.nan)
    deviation = change.std(axis=-1, keepdims=True) if scale is None else np.full((*change.shape[:-1], 1), scale)
    delta = change / np.where(deviation < NO_SPREAD, np.nan, deviation)
    room = 100 - base
    total = room.sum(axis=-1, keepdims=True)
    weight = room / np.where(total == 0, np.nan, total)
    return np.asarray((weight * np.sign(delta) * np.sqrt(np.abs(delta))).sum(axis=-1))


def _obstacle(pair: Pair, t: float, level: float, names: tuple[str, str]) -> str | None:
    n, d = pair.first, pair.second
    (v_n, c), (_, v_d) = pair.covariance.tolist()
    if not all(math.isfinite(x) for x in (n, d, v_n, c, v_d, t)):
        return f"the {names[0]} or the {names[1]}, or its error, is undefined"
    if d == 0 or t**2 * v_d >= d**2:
        return f"the {names[1]} is not distinguishable from 0 at the {100 * level:g} % level"
    ratio = n / d
    if v_n < NO_VARIANCE:
        return f"no variance seen in the {names[0]}"
    if v_n - 2 * ratio * c + ratio**2 * v_d <= 1e-12 * (v_n + ratio**2 * v_d):
        return f"no variance seen in the ratio of {names[0]} and {names[1]}"
    return None


def _estimate(pair: Pair, level: float, numbers: tuple[float, ...], method: str) -> Estimate:
    value, stderr, low, high = numbers
    return Estimate(
        value=value,
        stderr=stderr,
        ci_low=low,
        ci_high=high,
        level=level,
        method=method,
        num_examples=pair.num_examples,
        num_clusters=pair.num_clusters,
    )
