"""The step log: cut where a run resumes, shown on a terminal, written for TensorBoard."""

import io
import math
from pathlib import Path

from rich.console import Console

from tests.trainers.small import make_log, make_recipe
from trainers.log import COLUMNS, Several, Silent, StepFile, TensorBoard, Terminal, describe, read_steps


def test_steps_after_the_resumed_one_are_cut(tmp_path: Path) -> None:
    """Steps that will be done again go, a torn last line too."""
    path = tmp_path / "steps.jsonl"
    file = StepFile(path, 0)
    for step in range(1, 6):
        file.append(make_log(step))
    file.close()
    with path.open("ab") as torn:
        torn.write(b'{"step": 6, "rew')
    again = StepFile(path, 3)
    assert [log.step for log in again.logs] == [1, 2, 3]
    again.append(make_log(4, reward_mean=0.9))
    again.close()
    assert [log.step for log in read_steps(path)] == [1, 2, 3, 4]
    assert read_steps(path)[-1].reward_mean == 0.9


def test_a_number_that_was_not_measured_is_nan(tmp_path: Path) -> None:
    """JSON has no nan; it comes back as one."""
    file = StepFile(tmp_path / "steps.jsonl", 0)
    file.append(make_log(1, kl=math.nan))
    file.close()
    assert b'"kl":null' in (tmp_path / "steps.jsonl").read_bytes()
    assert math.isnan(read_steps(tmp_path / "steps.jsonl")[0].kl)


def test_without_a_terminal_every_step_is_a_line(tmp_path: Path) -> None:
    """Name, step of all, and what tells whether it learns."""
    output = io.StringIO()
    terminal = Terminal(Console(file=output, width=80))
    terminal.start(make_recipe(tmp_path, steps=30), 4)
    terminal.step(make_log(4, reward_mean=0.25, finish_rate=0.75))
    terminal.note("[not] markup")
    terminal.close()
    assert output.getvalue() == "small 4/30 reward 0.250  finished 75%  10 tokens 2.0 s\n[not] markup\n"


def test_a_terminal_shows_a_bar() -> None:
    """The bar begins at the resumed step and carries the newest numbers."""
    output = io.StringIO()
    terminal = Terminal(Console(file=output, width=120, force_terminal=True))
    terminal.start(make_recipe(Path("."), steps=30), 4)
    terminal.step(make_log(4))
    terminal.close()
    assert "4/30" in output.getvalue()
    assert describe(make_log(4)) in output.getvalue()


def test_tensorboard_gets_every_column(tmp_path: Path) -> None:
    """One scalar per number and step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = Several([TensorBoard(tmp_path), Silent()])
    board.start(make_recipe(tmp_path), 1)
    for step in (1, 2):
        board.step(make_log(step, reward_mean=0.5 * step))
    board.note("nothing")
    board.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(COLUMNS)
    assert [(event.step, event.value) for event in events.Scalars("reward_mean")] == [(1, 0.5), (2, 1.0)]
