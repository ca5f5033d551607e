"""How the page's numbers were made: every estimator with its source, and when a report uses it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.findings import Comparison
from harness.study.findings import StudyFindings


@dataclass(frozen=True)
class Method:
    """One estimator or test."""

    name: str
    says: str
    """What it estimates, and how, in a sentence or two."""
    source: str
    """Who proposed it; empty where it needs no source."""
    is_used: Callable[[StudyFindings], bool]


def used_methods(findings: StudyFindings) -> tuple[Method, ...]:
    """Return the methods behind the numbers of a report."""
    return tuple(method for method in METHODS if method.is_used(findings))


def _always(findings: StudyFindings) -> bool:
    return True


def _compares(findings: StudyFindings) -> bool:
    return bool(findings.transfer.comparisons)


def _estimates(findings: StudyFindings) -> Iterator[str]:
    """Yield the method of each task's score and difference."""
    yield from (task.score.method for standing in findings.standings for task in standing.tasks)
    yield from (task.difference.method for each in findings.transfer.comparisons for task in each.tasks)


def _has_method(word: str) -> Callable[[StudyFindings], bool]:
    return lambda findings: any(word in method for method in _estimates(findings))


def _p_method(word: str) -> Callable[[StudyFindings], bool]:
    return lambda findings: any(
        word in task.p_method.lower() for each in findings.transfer.comparisons for task in each.tasks
    )


def _any_comparison(holds: Callable[[Comparison], bool]) -> Callable[[StudyFindings], bool]:
    return lambda findings: any(holds(each) for each in findings.transfer.comparisons)


def _averages(findings: StudyFindings) -> bool:
    return any(len({task.task for task in standing.tasks}) > 1 for standing in findings.standings)


def _judges(kind: str) -> Callable[[StudyFindings], bool]:
    return lambda findings: any(found.kind == kind for found in findings.judged)


def _has_metric(name: str) -> Callable[[StudyFindings], bool]:
    return lambda findings: any(name in found.metrics for found in findings.judged)


METHODS: tuple[Method, ...] = (
    Method(
        "Score of a task",
        "Mean over examples of each example's mean verdict; an answer that cannot be read and a timeout count as 0. "
        "The unit of independence is the example, or the cluster of examples that share a source.",
        "",
        _always,
    ),
    Method(
        "Wilson interval",
        "Of a score from one right-or-wrong verdict per example.",
        "Wilson 1927, JASA 22:209",
        _has_method("wilson"),
    ),
    Method(
        "t interval, corrected for skewness",
        "Of a mean over several generations per example: each arm is the longer of Student's and of Hall's "
        "transformation.",
        "Hall 1992, JRSS B 54:221",
        lambda findings: any("t" in method.split() for method in _estimates(findings)),
    ),
    Method(
        "Clustered standard error",
        "Where examples share a source, sums of clusters vary, not examples; degrees of freedom are those of the "
        "effective number of clusters.",
        "Miller 2024, arXiv 2411.00640",
        _has_method("cluster"),
    ),
    Method(
        "Paired difference",
        "Candidate minus base on the same examples, so that their difficulty cancels. The smallest detectable "
        "difference is the true one that an unadjusted test finds four times in five. The sample is of examples: what "
        "another training run of the same recipe would give is told by several runs of one checkpoint alone.",
        "Miller 2024, arXiv 2411.00640",
        _compares,
    ),
    Method(
        "Tango's score interval",
        "Of a paired difference of single right-or-wrong verdicts.",
        "Tango 1998, Statistics in Medicine 17:891",
        _has_method("tango"),
    ),
    Method(
        "Agreement bound",
        "Where no example differs otherwise than all do: the width that unseen examples could still add.",
        "Wilson 1927, JASA 22:209",
        _has_method("agreement"),
    ),
    Method(
        "Exact McNemar test",
        "Of single right-or-wrong verdicts: as many gained as lost.",
        "McNemar 1947, Psychometrika 12:153",
        _p_method("mcnemar"),
    ),
    Method(
        "Sign-flip permutation test",
        "Each example's difference is as likely to be its negative if training did nothing; exact for few examples, "
        "else 10,000 draws. Averages flip the signs of all their tasks jointly.",
        "Fisher 1935, The Design of Experiments",
        _compares,
    ),
    Method(
        "Holm's adjustment",
        "p-values are adjusted within three families: tasks, domains, overall averages, each over all candidates.",
        "Holm 1979, Scand. J. Stat. 6:65",
        _compares,
    ),
    Method(
        "Averages",
        "A domain is the unweighted mean of its tasks, overall that of domains or of tasks. One bootstrap resamples "
        "the examples of each task for all checkpoints together, rescaled; a task without variance keeps its own "
        "interval.",
        "Rao & Wu 1988, JASA 83:231; Zou & Donner 2008, Statistics in Medicine 27:1693",
        _averages,
    ),
    Method(
        "Best in bold",
        "The best score of a column is bold only where its paired difference to every other one is significant: the "
        "largest p-value counts, Holm-adjusted over the columns of its kind.",
        "Hung & Fithian 2019, Ann. Statist. 47:758 (the winner against the runner-up); Berger 1982, Technometrics "
        "24:295 (against all); Holm 1979, Scand. J. Stat. 6:65",
        lambda findings: bool(findings.leads),
    ),
    Method(
        "Candidate against control",
        "The overall difference of a candidate to an arm that was trained on a reward without meaning, paired by "
        "example; p-values are adjusted over all such pairs.",
        "Holm 1979, Scand. J. Stat. 6:65",
        lambda findings: bool(findings.against_controls),
    ),
    Method(
        "Elicitation and accuracy",
        "Each generation is in a cell: did it end by itself, could an answer be extracted. A difference is the sum of "
        "what moving between cells adds (elicitation) and of what being right more often within a cell adds "
        "(accuracy). An account, not a cause.",
        "Kitagawa 1955, JASA 50:1168",
        _compares,
    ),
    Method(
        "Win rate",
        "Share of the prompts on which a judge prefers the checkpoint's answer to a baseline's. A judge that reads "
        "both sees each pair in both orders, and its verdicts are averaged; a reward model weighs each by itself.",
        "Zheng et al. 2023, arXiv 2306.05685; Dubois et al. 2024, arXiv 2404.04475",
        _judges("pair"),
    ),
    Method(
        "Length-controlled win rate",
        "What the win rate would be if both answers were equally long, by a logistic model of the verdicts on the "
        "difference of lengths. Prompts are resampled and the model is fitted anew, so its own error is in the "
        "interval. Length effect: the difference of win rates minus that of length-controlled ones, from the same "
        "draws.",
        "Dubois et al. 2024, arXiv 2404.04475",
        _has_metric("lc_win_rate"),
    ),
    Method(
        "Style-controlled win rate",
        "The same for differences of length, headers, list items and bold phrases in a Bradley-Terry model.",
        "Li et al. 2024, arXiv 2406.11939",
        _has_metric("style_win_rate"),
    ),
    Method(
        "Ratings",
        "A judge rates each answer by itself, from 1 to 10; where it is told the reference answer, that is the data "
        "set's.",
        "Zheng et al. 2023, arXiv 2306.05685",
        _judges("rating"),
    ),
    Method(
        "pass@k",
        "Chance that at least one of k generations is right, unbiased, from n ≥ k generations.",
        "Chen et al. 2021, arXiv 2107.03374",
        lambda findings: bool(findings.curves) or _has_coverage(findings),
    ),
    Method(
        "Coverage of the base",
        "Of the examples a candidate newly solves, the share that the base solves too when it may try k times; beside "
        "it the same on examples that both leave unsolved.",
        "Yue et al. 2025, arXiv 2504.13837",
        lambda findings: _has_coverage(findings),
    ),
    Method(
        "Transfer ratio",
        "Mean difference on domains it was not trained on over that on domains it was, with Fieller's interval; not "
        "identifiable where the denominator cannot be told from 0.",
        "Fieller 1954, JRSS B 16:175",
        _any_comparison(lambda each: {domain.is_trained for domain in each.domains} == {True, False}),
    ),
    Method(
        "Normalised gain",
        "(candidate − base)/(100 − base).",
        "Hake 1998, Am. J. Phys. 66:64",
        _compares,
    ),
    Method(
        "Gap closed",
        "(candidate − base)/(reference − base), with Fieller's interval.",
        "Fieller 1954, JRSS B 16:175",
        _any_comparison(lambda each: bool(each.transfer.gap_closed)),
    ),
    Method(
        "Transferability Index",
        "Changes of a group of benchmarks, each divided by their population standard deviation, against those of the "
        "trained group.",
        "Huan et al. 2025, arXiv 2507.00432v2, section 2.1",
        _any_comparison(lambda each: bool(each.transfer.transferability_index)),
    ),
    Method(
        "Several runs of one checkpoint",
        "Interquartile mean over repetition-task scores with a stratified bootstrap over repetitions: what another "
        "training seed, or another repetition, would give.",
        "Agarwal et al. 2021, arXiv 2108.13264",
        lambda findings: bool(findings.transfer.repeats),
    ),
    Method(
        "Elicited base",
        "The base in the best of its prompt styles: the style of each half of the examples was chosen on the other "
        "half, so that choosing costs no bias.",
        "Chernozhukov et al. 2018, Econometrics J. 21:C1 (cross-fitting)",
        _any_comparison(lambda each: each.base_kind == "elicited"),
    ),
    Method(
        "Cost",
        "All stages of training from the base on. The front holds checkpoints than which no other, nor the base at no "
        "cost, scores as much for fewer GPU-hours, by point estimates.",
        "",
        lambda findings: bool(findings.costs),
    ),
    Method(
        "Contamination",
        "An example counts as contaminated where a training prompt equals it after normalisation, has nearly the same "
        "word shingles (Jaccard similarity by MinHash), or covers much of it with common runs of 13 words. Differences "
        "are computed on the clean part too.",
        "Brown et al. 2020, arXiv 2005.14165, appendix C; Broder 1997, SEQUENCES 21",
        lambda findings: bool(findings.audits),
    ),
    Method(
        "Difference in difference",
        "The difference to the base on contaminated examples minus that on clean ones: two independent parts, t with "
        "Satterthwaite's degrees of freedom; where all examples of a part agree, the arms of both intervals combined.",
        "Welch 1947, Biometrika 34:28; Satterthwaite 1946, Biometrics Bulletin 2:110; Zou & Donner 2008, Statistics in "
        "Medicine 27:1693",
        lambda findings: any(audit.differences for audit in findings.audits),
    ),
    Method(
        "Claims",
        "Supported where the whole interval lies on the claimed side, refuted where it lies on the other, else "
        "undecided; each claim by itself. That nothing drops is supported by every interval at the study's level, and "
        "refuted by one of Bonferroni's.",
        "Berger 1982, Technometrics 24:295 (intersection-union)",
        lambda findings: bool(findings.claims),
    ),
)


def _has_coverage(findings: StudyFindings) -> bool:
    return any(task.coverage.pass_at_k for each in findings.transfer.comparisons for task in each.tasks)
