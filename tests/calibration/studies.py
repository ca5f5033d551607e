"""Whole comparisons through `compare_labels`: averages, ratios, gap closed, the parts of a difference, families."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import norm

from harness.comparison.report import CompareOptions, Sides, compare_labels
from harness.findings import Comparison
from harness.pairing import LabelVerdicts
from harness.stats.decompose import decompose
from harness.stats.domains import task_weights
from harness.stats.transfer import transferability_index
from harness.verdicts import TaskVerdicts
from tests.calibration.draws import PARTS, Rng, draw_parts
from tests.calibration.experiment import Claim, Experiment, holds
from tests.labels import make_label, make_task

LABELS = ("base", "new", "best")
SPREAD = 0.2
"""Standard deviation of an example's difficulty, on all labels alike."""
CORNER = "the index's square root has a corner where the untrained gain is 0 (statistics.md)"


@dataclass(frozen=True)
class Part:
    """One task of a study."""

    name: str
    suite: str
    num_examples: int
    k: int
    accuracies: tuple[float, float, float]
    """Of what finished, before difficulty: base, candidate, reference."""
    finishes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    cluster_size: int = 1


LARGE = (
    Part("ifeval", "chat", 300, 1, (0.40, 0.60, 0.70), (0.8, 1, 1)),
    Part("gsm8k", "math", 400, 1, (0.50, 0.58, 0.70), (0.7, 0.9, 1)),
    Part("minerva", "math", 160, 4, (0.25, 0.30, 0.50), cluster_size=4),
    Part("humaneval", "code", 164, 1, (0.40, 0.46, 0.60), (0.9, 0.95, 1)),
)
SAMPLED = tuple(
    Part(f"{suite}{number}", suite, n, 4, (0.35, gain, 0.6), (0.6, 0.9, 0.95))
    for suite, gain in (("chat", 0.50), ("math", 0.42))
    for number, n in enumerate((200, 100, 300))
)
SMALL = (
    Part("talk", "chat", 60, 1, (0.30, 0.75, 0.85)),
    Part("aime", "math", 30, 8, (0.0, 0.06, 0.25)),
    Part("sources", "math", 48, 1, (0.60, 0.70, 0.95), (0.9, 0.95, 1), cluster_size=6),
    Part("programs", "code", 20, 1, (0.85, 0.93, 0.97)),
)
EQUAL = tuple(Part(p.name, p.suite, p.num_examples, p.k, (p.accuracies[0],) * 3) for p in LARGE)
EQUAL_SMALL = tuple(Part(p.name, p.suite, p.num_examples, p.k, (p.accuracies[0],) * 3) for p in SMALL)


@cache
def clipped_mean(accuracy: float) -> float:
    """Return the mean over difficulties of an accuracy that is kept within 0 and 1."""
    quantiles = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    return float(np.clip(accuracy + SPREAD * quantiles, 0, 1).mean())


def draw_part(rng: Rng, part: Part) -> list[TaskVerdicts]:
    """Return one task's verdicts of base, candidate and reference."""
    num_sources = part.num_examples // part.cluster_size
    numbers = np.repeat(np.arange(num_sources), part.cluster_size)
    difficulty = rng.normal(0, SPREAD, num_sources)[numbers, None]
    clusters = tuple(f"s{i}" for i in numbers) if part.cluster_size > 1 else None
    found = []
    for accuracy, finish in zip(part.accuracies, part.finishes, strict=True):
        shape = (part.num_examples, part.k)
        finished = rng.random(shape) < finish
        right = finished & (rng.random(shape) < np.clip(accuracy + difficulty, 0, 1))
        extra = {"answered": finished, "truncated": ~finished, "clusters": clusters}
        found.append(make_task(part.name, right, part.suite, **extra))  # type: ignore[arg-type]
    return found


def draw_study(rng: Rng, parts: Sequence[Part]) -> list[LabelVerdicts]:
    """Return base, candidate and reference on all tasks."""
    tasks = [draw_part(rng, part) for part in parts]
    return [make_label(label, *column) for label, column in zip(LABELS, zip(*tasks, strict=True), strict=True)]


def compare(rng: Rng, parts: Sequence[Part]) -> Comparison:
    """Compare candidate and base of a drawn study, trained on chat."""
    base, new, best = draw_study(rng, parts)
    options = CompareOptions(
        seed=int(rng.integers(1 << 30)), num_resamples=400, trained_on={"new": ("chat",)}, length_effects=False
    )
    return compare_labels(Sides(base, (new,), (best,)), options).comparisons[0]


@cache
def truths(parts: tuple[Part, ...]) -> dict[str, float]:
    """Return what a study's numbers are in truth."""
    weights = task_weights({part.name: part.suite for part in parts})
    scores = {p.name: [f * clipped_mean(a) for a, f in zip(p.accuracies, p.finishes, strict=True)] for p in parts}

    def average(suites: Sequence[str], side: int) -> float:
        members = [part for part in parts if part.suite in suites]
        own = task_weights({part.name: part.suite for part in members})
        return sum(own[part.name] * scores[part.name][side] for part in members)

    everything = list(dict.fromkeys(part.suite for part in parts))
    base, new, best = (average(everything, side) for side in range(3))
    chat, others = [average(s, 1) - average(s, 0) for s in (["chat"], everything[1:])]
    split = {
        part.name: decompose(
            *(array for side in (0, 1) for array in (
                np.array([part.finishes[side], 1 - part.finishes[side]]), np.array([scores[part.name][side], 0.0])))
        )
        for part in parts
    }  # fmt: skip
    return {
        "score": new,
        "domain": average(["math"], 1) - average(["math"], 0),
        "overall": new - base,
        "ratio": others / chat if chat else np.nan,
        "gap": (new - base) / (best - base) if best > base else np.nan,
        "gain": (new - base) / (1 - base),
        "elicitation": sum(weights[name] * float(split[name].elicitation.sum()) for name in weights),
        "within": sum(weights[name] * float(split[name].within.sum()) for name in weights),
    }


CLAIMS = {
    "score": "overall score of a checkpoint",
    "domain": "domain average of differences",
    "overall": "overall average of differences",
    "ratio": "transfer ratio: Fieller",
    "gap": "gap closed: Fieller",
    "gain": "normalised gain: Fieller",
    "elicitation": "overall elicitation part",
    "within": "overall within part",
}


def study(parts: tuple[Part, ...], design: str, *, is_nasty: bool = False) -> Experiment:
    """Every average and ratio of one comparison."""

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        truth, found = truths(parts), compare(rng, parts)
        domain = next(domain for domain in found.domains if domain.name == "math")
        estimates = {
            "score": found.overall.candidate,
            "domain": domain.difference,
            "overall": found.overall.difference,
            "ratio": found.transfer.ratio.estimate,
            "gap": found.transfer.gap_closed["best"]["overall"].estimate,
            "gain": found.transfer.normalised_gain["overall"].estimate,
            "elicitation": found.overall.decomposition.elicitation,
            "within": found.overall.decomposition.within,
        }
        return tuple(holds(estimates[name], truth[name]) for name in CLAIMS)

    return Experiment(design, tuple(Claim(what) for what in CLAIMS.values()), trial, 0.2, is_nasty)


def index(parts: tuple[Part, ...], design: str, limit: str = "") -> Experiment:
    """The Transferability Index of the untrained domain."""

    def trial(rng: Rng) -> tuple[bool | None]:
        sides = [
            [np.array([100 * p.finishes[s] * clipped_mean(p.accuracies[s]) for p in parts if p.suite == suite])
             for suite in ("chat", "math")]
            for s in (0, 1)
        ]  # fmt: skip
        truth = float(transferability_index(*sides, trained=0)[1])
        return (holds(compare(rng, parts).transfer.transferability_index["math"].estimate, truth),)

    return Experiment(design, (Claim("Transferability Index: bootstrap", limit=limit),), trial, 0.1, bool(limit))


def nothing_differs(parts: tuple[Part, ...], design: str, *, is_nasty: bool = False) -> Experiment:
    """A candidate equal to its base: Holm's families of tasks and domains, and the overall test."""

    def trial(rng: Rng) -> tuple[bool, ...]:
        found = compare(rng, parts)
        families = (found.tasks, found.domains, (found.overall,))
        return tuple(min(row.p_adjusted for row in family) <= 0.05 for family in families)

    claims = tuple(
        Claim(f"any false alarm of a comparison: {family}", "alarms", 0.05)
        for family in ("tasks (Holm)", "domains (Holm)", "overall")
    )
    return Experiment(design, claims, trial, 0.2, is_nasty)


def parts_of(case: str, *, is_nasty: bool) -> Experiment:
    """The two parts of one task's difference."""
    n, k, finishes, accuracies = PARTS[case]
    shares = [np.array([finish, 1 - finish]) for finish in finishes]
    correct = [np.array([f * a, 0.0]) for f, a in zip(finishes, accuracies, strict=True)]
    truth = decompose(shares[0], correct[0], shares[1], correct[1])

    def trial(rng: Rng) -> tuple[bool | None, ...]:
        found = draw_parts(rng, n, k, finishes, accuracies)
        pairs = (found.elicitation, truth.elicitation), (found.within, truth.within)
        return tuple(holds(estimate, float(value.sum())) for estimate, value in pairs)

    claims = (Claim("elicitation part of a task"), Claim("within part of a task"))
    return Experiment(case, claims, trial, 0.2, is_nasty)


def gains(accuracies: tuple[float, ...]) -> tuple[Part, ...]:
    """Three tasks of 500 a domain; chat gains 10 to 20 points, mathematics what is given."""
    chat = [Part(f"c{i}", "chat", 500, 1, (0.4, 0.5 + 0.05 * i, 0.7)) for i in range(3)]
    return (*chat, *(Part(f"m{i}", "math", 500, 1, (0.4, new, 0.7)) for i, new in enumerate(accuracies)))


EXPERIMENTS = [
    study(LARGE, "four tasks of 160 to 400 examples, one clustered"),
    study(SAMPLED, "six tasks of 100 to 300 examples, k = 4"),
    study(SMALL, "tasks of 20 to 60 examples near the edges, 8 clusters", is_nasty=True),
    nothing_differs(EQUAL, "four tasks of 160 to 400 examples, nothing differs"),
    nothing_differs(EQUAL_SMALL, "tasks of 20 to 60 examples near the edges, nothing differs", is_nasty=True),
    *(parts_of(case, is_nasty=case != "k = 4, n = 164") for case in PARTS),
    index(gains((0.5, 0.55, 0.45)), "two domains of three tasks of 500, both gained"),
    index(gains((0.43, 0.40, 0.37)), "two domains of three tasks of 500, no gain untrained", CORNER),
]
