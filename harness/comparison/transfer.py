"""What training on some domains did to the others: ratio, gap closed, normalised gain, Transferability Index."""

import math
from collections.abc import Collection, Iterable, Sequence

import msgspec
import numpy as np

from harness.comparison.average import Average, average_over
from harness.comparison.contrast import Contrast
from harness.comparison.sample import CellMeans
from harness.errors import UsageError
from harness.findings import Ratio, Transfer
from harness.schema import Estimate
from harness.stats.average import quiet_variance
from harness.stats.domains import Overall
from harness.stats.estimate import NO_VARIANCE, Floats
from harness.stats.resample import percentile_interval
from harness.stats.tango import agreement_interval
from harness.stats.transfer import (
    Pair,
    gap_closed,
    is_distinguishable,
    normalised_gain,
    transfer_ratio,
    transferability_index,
)

FEW_DIFFERENT = 10
"""With fewer examples that differ, resampling a task does not show how far its change may be off."""


def find_trained(given: Iterable[str], suites: Collection[str]) -> tuple[str, ...]:
    """Return those suites that a list of training domains means; `chat` also means `lab-chat`.

    Raises:
        UsageError: if a name is not even a domain.
    """
    known = {"chat", "math", "code", "general", "lab-chat", "lab-math", "lab-code", *suites}
    names = tuple(given)
    unknown = [name for name in names if name not in known and f"lab-{name}" not in known]
    if unknown:
        raise UsageError(
            f"the training domain {', '.join(unknown)} is not known: expected some of {', '.join(sorted(known))}"
        )
    return tuple(suite for suite in dict.fromkeys(suites) if suite in names or suite.removeprefix("lab-") in names)


def measure_transfer(
    contrasts: Sequence[Contrast], trained_on: Collection[str], overall: Overall, level: float
) -> Transfer:
    """Measure transfer of one candidate.

    Args:
        contrasts: all tasks of the comparison.
        trained_on: those of its suites that the candidate was trained on; empty if not known or not measured.
        overall: what an average over several domains weighs equally.
        level: coverage of the intervals.
    """
    suites = list(dict.fromkeys(contrast.comparison.suite for contrast in contrasts))
    averages = {suite: average_over(contrasts, [suite], overall, level) for suite in suites}
    averages["overall"] = average_over(contrasts, suites, overall, level)
    labels = dict.fromkeys(label for contrast in contrasts for label in contrast.references)
    return Transfer(
        trained_on=tuple(trained_on),
        ratio=_ratio(contrasts, trained_on, suites, overall, level),
        normalised_gain={name: _normalised_gain(average) for name, average in averages.items()},
        gap_closed={
            label: {name: _gap_closed(average, label) for name, average in averages.items()} for label in labels
        },
        transferability_index=_transferability(contrasts, trained_on, suites, level),
    )


def _ratio(
    contrasts: Sequence[Contrast], trained_on: Collection[str], suites: Sequence[str], overall: Overall, level: float
) -> Ratio:
    untrained = [suite for suite in suites if suite not in trained_on]
    if reason := _no_split(trained_on, untrained):
        return Ratio(estimate=_nothing(level), reason=reason)
    top, bottom = (average_over(contrasts, names, overall, level) for names in (untrained, trained_on))
    (top_error, top_degrees), (bottom_error, bottom_degrees) = top.analytic, bottom.analytic
    return transfer_ratio(
        msgspec.structs.replace(top.difference, stderr=top_error),
        msgspec.structs.replace(bottom.difference, stderr=bottom_error),
        min(top_degrees, bottom_degrees),
        level,
    )


def _no_split(trained_on: Collection[str], untrained: Collection[str]) -> str | None:
    if not trained_on:
        return "it is not known what the candidate was trained on, or that was not measured; pass --trained-on DOMAIN"
    return None if untrained else "no domain was measured that the candidate was not trained on"


def _normalised_gain(average: Average) -> Ratio:
    base = average.draws(lambda contrast: contrast.base.score_draws)
    quiet = [quiet_variance(contrast.comparison.base.score) for contrast in average.members]
    return normalised_gain(_pair(average, average.base.value, base, quiet), average.level)


def _gap_closed(average: Average, label: str) -> Ratio:
    missing = [contrast.comparison.task for contrast in average.members if label not in contrast.references]
    if missing:
        return Ratio(
            estimate=_nothing(average.level), reason=f"{label} was not measured on the examples of {', '.join(missing)}"
        )
    gaps = [contrast.references[label].score - contrast.base.score for contrast in average.members]
    drawn = [contrast.references[label].score_draws - contrast.base.score_draws for contrast in average.members]
    quiet = [
        _quiet_gap(contrast, gap, draws, average.level)
        for contrast, gap, draws in zip(average.members, gaps, drawn, strict=True)
    ]
    draws = np.stack(drawn, axis=1) @ average.weights
    return gap_closed(_pair(average, float(average.weights @ gaps), draws, quiet), average.level)


def _quiet_gap(contrast: Contrast, gap: float, draws: Floats, level: float) -> float:
    """Return what the agreement bound implies for a reference's difference that showed no variance; 0 for others."""
    difference = contrast.comparison.difference
    if not draws.std() < NO_VARIANCE:
        return 0.0
    low, high = agreement_interval(gap, difference.num_clusters, level)
    return quiet_variance(msgspec.structs.replace(difference, value=gap, stderr=0.0, ci_low=low, ci_high=high))


def _pair(average: Average, second: float, second_draws: Floats, second_quiet: Sequence[float]) -> Pair:
    """Join the average difference and another average, with their covariance.

    Draws of a task in which no variance was seen are all equal, so they leave its error out; what its own interval
    implies is added to the variances (`average.quiet_variance`).
    """
    difference = average.difference
    covariance = np.cov(average.draws(lambda contrast: contrast.difference_draws), second_draws)
    quiet = [quiet_variance(contrast.comparison.difference) for contrast in average.members]
    covariance += np.diag([average.weights**2 @ quiet, average.weights**2 @ np.array(second_quiet)])
    return Pair(
        first=difference.value,
        second=second,
        covariance=covariance,
        degrees=_degrees(average),
        num_examples=difference.num_examples,
        num_clusters=difference.num_clusters,
    )


def _degrees(average: Average) -> float:
    """Degrees of freedom of the difference; where it shows none, those of its smallest task."""
    degrees = average.analytic[1]
    smallest = min(contrast.comparison.difference.num_clusters for contrast in average.members) - 1
    return float(smallest) if math.isnan(degrees) else degrees


def _transferability(
    contrasts: Sequence[Contrast], trained_on: Collection[str], suites: Sequence[str], level: float
) -> dict[str, Ratio]:
    """Return the index of every untrained suite, with a percentile interval over resampled examples."""
    untrained = [suite for suite in suites if suite not in trained_on]
    groups = [
        [contrast for contrast in contrasts if contrast.comparison.suite in names]
        for names in (trained_on, *([suite] for suite in untrained))
    ]
    reason = _no_split(trained_on, untrained) or _trained_obstacle(contrasts, trained_on, level)
    if reason:
        return {suite: Ratio(estimate=_nothing(level), reason=reason) for suite in untrained or suites}
    values, draws = (
        transferability_index(
            [_columns(group, "base", drawn) for group in groups],
            [_columns(group, "candidate", drawn) for group in groups],
            trained=0,
        )
        for drawn in (False, True)
    )
    found = {}
    for place, suite in enumerate(untrained, 1):
        obstacle = _index_obstacle([groups[0], groups[place]])
        ratio = Ratio(estimate=_nothing(level), reason=obstacle)
        found[suite] = ratio if obstacle else _index(float(values[place]), draws[:, place], contrasts, level)
    return found


def _index_obstacle(groups: Sequence[Sequence[Contrast]]) -> str | None:
    """Say why resampling cannot tell how sure the index is; None where it can."""
    if min(len(group) for group in groups) < 2:
        return "the index needs at least two tasks in each domain"
    members = [contrast for group in groups for contrast in group]
    few = [c.comparison.task for c in members if np.count_nonzero(c.pair.differences) < FEW_DIFFERENT]
    if few:
        return (
            f"fewer than {FEW_DIFFERENT} examples of {', '.join(few)} differ, and the index would take them for exact"
        )
    alone = [c.comparison.task for c in members if c.comparison.difference.num_clusters < 2]
    return f"{', '.join(alone)} is one cluster" if alone else None


def _trained_obstacle(contrasts: Sequence[Contrast], trained_on: Collection[str], level: float) -> str | None:
    """Say why nothing can be divided by the trained difference; None where it can."""
    trained = average_over(contrasts, trained_on, "tasks", level)  # the index pools the trained domains' tasks
    if is_distinguishable(trained.difference.value, *trained.analytic, level):
        return None
    return f"the trained difference is not distinguishable from 0 at the {100 * level:g} % level"


def _columns(group: Sequence[Contrast], side: str, drawn: bool) -> Floats:
    """Return the group's scores in points, shape (T,), or their draws, (B, T)."""
    means: list[CellMeans] = [getattr(contrast, side) for contrast in group]
    return 100 * np.stack([np.asarray(mean.score_draws if drawn else mean.score) for mean in means], axis=-1)


def _index(value: float, draws: Floats, contrasts: Sequence[Contrast], level: float) -> Ratio:
    if not np.isfinite(value):
        return Ratio(
            estimate=_nothing(level),
            reason="undefined: all tasks of a domain changed alike, or the trained domain did not change",
        )
    undefined = float(np.mean(~np.isfinite(draws)))
    if undefined:
        return Ratio(
            estimate=_nothing(level),
            reason=f"all tasks of a domain change alike in {undefined:.1%} of the resamples; it needs more tasks",
        )
    low, high = (float(end) for end in percentile_interval(draws, level))
    estimate = Estimate(
        value=value,
        stderr=math.nan,  # a ratio's bootstrap draws have no finite variance to estimate
        ci_low=low,
        ci_high=high,
        level=level,
        method="bootstrap",
        num_examples=sum(contrast.comparison.difference.num_examples for contrast in contrasts),
        num_clusters=sum(contrast.comparison.difference.num_clusters for contrast in contrasts),
    )
    return Ratio(estimate=estimate)


def _nothing(level: float) -> Estimate:
    nan = math.nan
    return Estimate(nan, nan, nan, nan, level, "undefined", 0, 0)
