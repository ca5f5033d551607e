"""The table that ends a run."""

import io

from rich.console import Console

from harness.cli.table import scores_table
from tests.judged_runs import judged_run


def test_further_metrics_stand_in_their_own_unit() -> None:
    """Ratings and lengths as they are, shares in points."""
    console = Console(width=100, file=io.StringIO())
    console.print(scores_table(judged_run("grlo", 0.45, 300).record))
    lines = {line.rsplit("  ")[0].strip(): line.split() for line in console.file.getvalue().splitlines()}  # type: ignore[attr-defined]
    assert lines["rating (of 10)"][3:] == ["4.50", "4.00", "–", "5.00"]
    assert lines["baseline_characters (mean)"][2:] == ["900", "900", "–", "900"]
    assert lines["lc_win_rate"][1:] == ["45.0", "37.0", "–", "53.0"]
