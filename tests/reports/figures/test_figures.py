"""Each figure shows the findings' numbers, or says why there is nothing to show."""

import math

import msgspec
import pytest
from matplotlib.figure import Figure

from harness.findings import Decomposition
from harness.schema import Estimate
from harness.study.findings import StudyFindings
from reports.figures.captions import caption
from reports.figures.catalogue import FIGURES
from reports.figures.lengths import domain_lengths
from reports.figures.pareto import cost_points
from reports.figures.style import LIGHT, Missing
from tests.reports.figures.layout import shown_texts
from tests.studies import make_findings

CHANGE = msgspec.structs.replace


def _draw(name: str, findings: StudyFindings) -> Figure:
    figure = FIGURES[name](findings, LIGHT)
    assert isinstance(figure, Figure)
    return figure


def _texts(name: str, findings: StudyFindings) -> list[str]:
    return [text for text, _ in shown_texts(_draw(name, findings))]


def _described(name: str, findings: StudyFindings) -> list[str]:
    return str(_draw(name, findings).get_label()).split("\n")


def test_deltas_show_differences_with_daggers() -> None:
    """Beside each row stands the paired difference, marked where it is significant after Holm's adjustment."""
    texts = _texts("deltas", make_findings())
    assert {"+30.8†", "+39.2†", "+5.0", "−0.2", "chat: ifeval", "math (mean)", "trained on math"} <= set(texts)


def test_deltas_mark_intervals_from_the_base() -> None:
    """A whisker spans base + interval of the difference, so it holds the base's mark exactly where that holds 0."""
    findings = make_findings()
    ax = _draw("deltas", findings).axes[0]
    overall = findings.transfer.comparisons[0].overall
    ends = [100 * (overall.base.value + x) for x in (overall.difference.ci_low, overall.difference.ci_high)]
    drawn = [float(x) for line in ax.lines if line.get_marker() == "|" for x in line.get_xdata()]
    assert all(any(x == pytest.approx(end) for x in drawn) for end in ends)


def test_forest_adds_the_elicited_base() -> None:
    """Differences to an elicited base stand below those to the plain one, with a line in the legend and the caption."""
    findings = make_findings()
    stricter = CHANGE(findings.transfer.comparisons[0], base_kind="elicited")
    both = CHANGE(findings, transfer=CHANGE(findings.transfer, comparisons=(*findings.transfer.comparisons, stricter)))
    assert "to the elicited base" in _texts("forest", both)
    assert "to the elicited base" not in _texts("forest", findings)
    assert "elicited base" in caption("forest", both)
    assert len(_draw("deltas", both).axes) == 3


def test_matrix_cells_hold_signed_differences() -> None:
    """Rows are candidates, columns domains and overall; cells trained on are framed."""
    figure = _draw("matrix", make_findings())
    texts = [text for text, _ in shown_texts(figure)]
    assert {"chat", "math", "code", "overall"} <= set(texts)
    assert "GRLO\ntrained on chat" in texts
    assert "−2.1" in texts
    assert "GRLO (trained on chat), chat: +30.8 (+25.8 to +35.8), trained on" in _described("matrix", make_findings())
    frames = [patch for patch in figure.axes[0].patches if patch.get_linewidth() == 2.0]
    assert len(frames) == 3


def test_decomposition_parts_add_up() -> None:
    """The description's parts sum to the difference, to the rounding shown."""
    lines = _described("decomposition", make_findings())[1:]
    assert len(lines) == 12
    for line in lines:
        numbers = line.split(": ")[1].replace("−", "-").replace(" elicitation,", "").replace(" within", "")
        total, parts = numbers.split(" = ")
        elicitation, within = map(float, parts.split())
        assert float(total.split()[0]) == pytest.approx(elicitation + within, abs=0.11)


def test_bars_of_unlike_signs_start_at_zero() -> None:
    """Where one part is negative, both bars grow from 0, to either side; else they are stacked."""
    findings = make_findings()
    found = findings.transfer.comparisons[0]
    split = Decomposition(_estimate(-0.1), _estimate(0.3), ())
    changed = CHANGE(found, overall=CHANGE(found.overall, difference=_estimate(0.2), decomposition=split))
    one = CHANGE(findings, transfer=CHANGE(findings.transfer, comparisons=(changed,)))
    bars = [patch for patch in _draw("decomposition", one).axes[0].patches if abs(patch.get_height() - 0.62) < 1e-9]
    assert [(bar.get_x(), bar.get_width()) for bar in bars[-2:]] == [(0.0, -10.0), (0.0, pytest.approx(30.0))]
    assert bars[1].get_x() == pytest.approx(bars[0].get_width())


def test_pareto_names_points_and_lines() -> None:
    """Few checkpoints are named beside their marks; those without a cost are named in the caption."""
    findings = make_findings()
    texts = _texts("pareto", findings)
    assert {"GRLO", "RLVR", "RANDOM", "BASE", "RELEASED", "Pareto front"} <= set(texts)
    assert [point.label for point in cost_points(findings)] == ["random", "grlo", "rlvr"]
    unknown = CHANGE(findings, costs=(findings.costs[0], CHANGE(findings.costs[1], gpu_hours=None), findings.costs[2]))
    assert "RLVR" not in _texts("pareto", unknown)
    assert caption("pareto", unknown).endswith("overall score is not known: RLVR.")
    assert "GRLO: 22.7 GPU-hours" in "\n".join(_described("pareto", findings))


def test_lengths_are_means_over_tasks() -> None:
    """A domain's share is the unweighted mean over its tasks, and a quantity nobody knows takes no panel."""
    findings = make_findings()
    outcomes = {task.task: task.outcomes.truncated for task in findings.standings[1].tasks}
    expected = (outcomes["gsm8k"] + outcomes["aime24"]) / 2
    assert domain_lengths(findings, "truncated")["math"]["grlo"] == pytest.approx(expected)
    assert len(_draw("lengths", findings).axes) == 6
    assert len(_draw("lengths", _with_outcomes(findings, mean_tokens=math.nan)).axes) == 3


def test_trajectory_skips_points_without_a_step() -> None:
    """Points without a number are left out, and one point is no trajectory."""
    findings = make_findings()
    points = findings.trajectories["grlo"]
    assert _described("trajectory", findings)[1].endswith("to 50.0 (44.0 to 56.0) at step 150")
    unnumbered = (*points[:3], CHANGE(points[3], step=None))
    assert _described("trajectory", CHANGE(findings, trajectories={"grlo": unnumbered}))[1].endswith("at step 100")
    single = CHANGE(findings, trajectories={"grlo": points[:1]})
    assert isinstance(FIGURES["trajectory"](single, LIGHT), Missing)


def test_trajectory_of_a_checkpoint_without_a_run() -> None:
    """A checkpoint that has a trajectory but no row of its own is drawn under its label."""
    findings = make_findings()
    texts = _texts("trajectory", CHANGE(findings, trajectories={"unfinished": findings.trajectories["grlo"]}))
    assert "unfinished" in texts


def test_pass_at_k_has_a_panel_per_task() -> None:
    """Each task has its panel, k is labelled at powers of two."""
    texts = _texts("pass_at_k", make_findings())
    assert {"ifeval", "gsm8k", "aime24", "humaneval_plus", "1", "2", "4"} <= set(texts)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("deltas", "no candidate is compared with the base"),
        ("domains", "no checkpoint has a domain's average"),
        ("pareto", "no checkpoint has both an overall score and a known number of GPU-hours"),
        ("matrix", "no candidate is compared with the base"),
        ("decomposition", "no difference can be decomposed: the runs do not say how generations ended"),
        ("trajectory", "no trajectory has two steps with a number on the study's tasks"),
        ("pass_at_k", "no checkpoint has several generations per example"),
        ("forest", "no candidate is compared with the base"),
        ("lengths", "no run says how long its completions are or how they ended"),
    ],
)
def test_nothing_to_draw_is_said(name: str, reason: str) -> None:
    """A figure without content is a reason, never an empty panel."""
    findings = make_findings()
    empty = CHANGE(
        _with_outcomes(findings, mean_tokens=math.nan, truncated=math.nan),
        transfer=CHANGE(findings.transfer, comparisons=()),
        curves=(),
        costs=(),
        trajectories={},
    )
    if name == "domains":
        bare = tuple(CHANGE(row, domains={}, overall=None) for row in findings.standings)
        empty = CHANGE(empty, standings=bare)
    assert FIGURES[name](empty, LIGHT) == Missing(reason)


@pytest.mark.parametrize("name", FIGURES)
def test_captions_say_level_and_marks(name: str) -> None:
    """Every figure has a caption in sentences, with the intervals' level wherever intervals are drawn."""
    text = caption(name, make_findings())
    assert text[0].isupper()
    assert text.endswith(".")
    assert "{" not in text
    assert ("95 %" in text) == (name not in ("matrix", "lengths"))


def _estimate(value: float) -> Estimate:
    return Estimate(value, 0.01, value - 0.02, value + 0.02, 0.95, "t", 10, 10)


def _with_outcomes(findings: StudyFindings, **values: float) -> StudyFindings:
    standings = tuple(
        CHANGE(row, tasks=tuple(CHANGE(task, outcomes=CHANGE(task.outcomes, **values)) for task in row.tasks))
        for row in findings.standings
    )
    return CHANGE(findings, standings=standings)
