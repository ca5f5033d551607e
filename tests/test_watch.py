"""Finding checkpoints, telling whole ones from those still being written, and the trajectory file."""

import math
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.errors import CheckpointError, LockedError, StoreError
from harness.schema import Estimate, Fingerprint
from harness.watch import (
    FoundCheckpoint,
    Settling,
    Trajectory,
    TrajectoryPoint,
    find_checkpoints,
    find_flaw,
    parse_step,
    run_label,
    seconds_to_age,
    settings_id,
    take_snapshot,
)
from tests.support import toy_plan, toy_spec


def write_checkpoint(folder: Path, name: str = "model.safetensors") -> Path:
    """Write what makes a folder a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    save_file({"weight": np.zeros(100, dtype=np.float32)}, folder / name)
    return folder


def point(checkpoint: str, step: int | None, settings: str = "s", value: float = 0.5) -> TrajectoryPoint:
    score = Estimate(
        value=value,
        stderr=math.nan,
        ci_low=0.1,
        ci_high=0.9,
        level=0.95,
        method="wilson",
        num_examples=1,
        num_clusters=1,
    )
    return TrajectoryPoint(
        checkpoint=checkpoint,
        step=step,
        path=f"/models/{checkpoint}",
        weights=f"w{step}",
        run=f"x-{checkpoint}/0",
        spec_id="0",
        settings=settings,
        finished_at="2026-01-01T00:00:00+00:00",
        tasks={"toy": score},
        truncated={"toy": 0.0},
        no_answer={"toy": 0.25},
    )


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-100", 100),
        ("global_step_200", 200),
        ("step_300", 300),
        ("epoch2-step0040", 40),
        ("7", 7),
        ("final", None),
    ],
)
def test_a_step_is_the_last_integer_of_a_name(name: str, step: int | None) -> None:
    """Whatever stands around it."""
    assert parse_step(name) == step


def test_checkpoints_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    """9 before 10 before 100, then those without a step, the folder itself among them."""
    for name in ("checkpoint-100", "checkpoint-9", "final", "checkpoint-10", "."):
        write_checkpoint(tmp_path / "run-4b" / name)
    found = [(item.name, item.step) for item in find_checkpoints(tmp_path / "run-4b")]
    assert found == [("checkpoint-9", 9), ("checkpoint-10", 10), ("checkpoint-100", 100), ("final", None),
                     ("run-4b", None)]  # fmt: skip


def test_nested_layouts_go_by_the_step_folder(tmp_path: Path) -> None:
    """verl keeps the model two levels below the step; its critic is another model."""
    model = write_checkpoint(tmp_path / "global_step_20" / "actor" / "huggingface")
    write_checkpoint(tmp_path / "global_step_20" / "critic" / "huggingface")
    assert find_checkpoints(tmp_path) == (FoundCheckpoint("global_step_20", 20, model),)
    write_checkpoint(tmp_path / "global_step_40" / "a" / "b" / "too_deep")
    write_checkpoint(tmp_path / "global_step_60" / "critic" / "huggingface")
    assert len(find_checkpoints(tmp_path)) == 1


def test_what_is_no_checkpoint_is_ignored(tmp_path: Path) -> None:
    """Hidden and temporary folders, folders with half of what is needed, files, and links to a checkpoint beside."""
    real = write_checkpoint(tmp_path / "step_1")
    for name in (".hidden", "tmp-checkpoint-5"):
        write_checkpoint(tmp_path / name)
    (write_checkpoint(tmp_path / "no_weights") / "model.safetensors").unlink()
    (write_checkpoint(tmp_path / "no_config") / "config.json").unlink()
    (tmp_path / "log.txt").write_text("")
    (tmp_path / "latest").symlink_to("step_1")
    assert [item.path for item in find_checkpoints(tmp_path)] == [real]


def test_a_link_to_elsewhere_is_a_checkpoint(tmp_path: Path) -> None:
    """Large files may lie on another disk."""
    write_checkpoint(tmp_path / "disk" / "x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "step_7").symlink_to(tmp_path / "disk" / "x")
    assert [item.name for item in find_checkpoints(tmp_path / "run")] == ["step_7"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A mistyped folder would else be watched for ever."""
    with pytest.raises(CheckpointError, match="no folder"):
        find_checkpoints(tmp_path / "nope")


def test_names_of_run_folders(tmp_path: Path) -> None:
    """Prefix and checkpoint, safe for a folder; the watched folder itself goes by the prefix."""
    assert run_label("grlo", FoundCheckpoint("step 3 (ema)", 3, tmp_path)) == "grlo-step-3-ema-"
    assert run_label("grlo", FoundCheckpoint("outputs", None, tmp_path, is_root=True)) == "grlo"


def test_a_snapshot_sees_every_change_of_a_file(tmp_path: Path) -> None:
    """Another size, the same size written again with the old time, a new name, a name gone; not a sub-folder."""
    path = write_checkpoint(tmp_path) / "config.json"
    seen = [take_snapshot(tmp_path)]
    (tmp_path / "logs").mkdir()
    assert take_snapshot(tmp_path) == seen[0]
    old_times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_text("[]")
    os.utime(path, ns=old_times)
    seen.append(take_snapshot(tmp_path))
    path.write_text('{"a": 1}')
    seen.append(take_snapshot(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    seen.append(take_snapshot(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    seen.append(take_snapshot(tmp_path))
    assert len(set(seen)) == 5
    assert take_snapshot(tmp_path / "gone") == ()


def test_files_settle_when_they_look_the_same_for_long_enough(tmp_path: Path) -> None:
    """The first look never suffices; a change starts the clock again."""
    settling, path = Settling(30), tmp_path / "config.json"
    path.write_text("{}")
    looks = []
    for now, text in ((0, None), (29, None), (30, '{"a": 1}'), (59, None), (60, None), (61, None)):
        if text:
            path.write_text(text)
        looks.append(settling.is_settled(tmp_path, take_snapshot(tmp_path), now))
    assert looks == [False, False, False, False, True, True]


def test_age_is_that_of_the_newest_file(tmp_path: Path) -> None:
    """A file that carries an old time over from elsewhere is as new as its arrival."""
    path = tmp_path / "config.json"
    path.write_text("{}")
    os.utime(path, (0, 0))
    arrived = path.stat().st_ctime
    snapshot = take_snapshot(tmp_path)
    assert seconds_to_age(snapshot, 30, arrived + 29) == pytest.approx(1, abs=1e-3)
    assert seconds_to_age(snapshot, 30, arrived + 31) == 0
    assert seconds_to_age(snapshot, 30, arrived - 3600) == 30, "a clock that runs ahead delays nothing further"


def test_weights_are_whole_or_the_flaw_is_named(tmp_path: Path) -> None:
    """A cut file, a shard that the index names and that is missing."""
    whole = FoundCheckpoint("whole", None, write_checkpoint(tmp_path / "whole"))
    assert find_flaw(whole) is None
    cut = write_checkpoint(tmp_path / "cut")
    os.truncate(cut / "model.safetensors", 300)
    assert "300 bytes where its header says" in str(find_flaw(FoundCheckpoint("cut", None, cut)))
    sharded = write_checkpoint(tmp_path / "sharded", "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (sharded / "model.safetensors.index.json").write_bytes(msgspec.json.encode(index))
    assert "model-2.safetensors" in str(find_flaw(FoundCheckpoint("sharded", None, sharded)))


def test_a_trajectory_is_read_back(tmp_path: Path) -> None:
    """An undefined stderr is nan again, and a line torn by a kill is dropped."""
    trajectory = Trajectory(tmp_path, "x")
    trajectory.append(point("step_1", 1))
    trajectory.close()
    whole = trajectory.path.read_bytes()
    trajectory.path.write_bytes(whole + whole[:-40])
    trajectory = Trajectory(tmp_path, "x")
    (found,) = trajectory.points
    assert math.isnan(found.tasks["toy"].stderr)
    assert msgspec.json.encode(found) == msgspec.json.encode(point("step_1", 1))
    trajectory.close()


def test_a_second_watch_of_a_trajectory_is_refused(tmp_path: Path) -> None:
    """The message names the file, the holder, and the way out."""
    trajectory = Trajectory(tmp_path, "x")
    with pytest.raises(LockedError, match=rf"x.trajectory.jsonl is being written by process {os.getpid()}.*--label"):
        Trajectory(tmp_path, "x")
    Trajectory(tmp_path, "y").close()
    trajectory.close()
    Trajectory(tmp_path, "x").close()


def test_a_damaged_trajectory_is_an_error_and_frees_its_lock(tmp_path: Path) -> None:
    """Line and reason are named, nothing is guessed; the advice costs no run."""
    path = tmp_path / "x.trajectory.jsonl"
    path.write_bytes(msgspec.json.encode(point("step_1", 1)) + b"\n{broken}\n")
    with pytest.raises(StoreError, match=r"jsonl line 2 cannot be read \(JSON is malformed.*\); move it away"):
        Trajectory(tmp_path, "x")
    path.unlink()
    Trajectory(tmp_path, "x").close()


def test_a_trajectory_shows_the_last_point_of_each_checkpoint(tmp_path: Path) -> None:
    """A checkpoint written again is measured again; points of other settings are not mixed in."""
    trajectory = Trajectory(tmp_path, "x")
    for item in (point("step_10", 10), point("final", None), point("step_9", 9), point("step_10", 10, value=0.75),
                 point("step_9", 9, "other")):  # fmt: skip
        trajectory.append(item)
    shown = [(item.checkpoint, item.tasks["toy"].value) for item in trajectory.latest({"s"})]
    assert shown == [("step_9", 0.5), ("step_10", 0.75), ("final", 0.5)]
    trajectory.close()


def test_settings_are_a_spec_without_its_checkpoint(tmp_path: Path) -> None:
    """Other weights leave them as they are, another prompting does not."""
    spec = toy_spec(toy_plan(tmp_path))
    fingerprint = Fingerprint(weights="other", tokenizer="other", template="other")
    other = msgspec.structs.replace(spec.checkpoint, fingerprint=fingerprint, label="other", path="other")
    assert settings_id(msgspec.structs.replace(spec, checkpoint=other)) == settings_id(spec)
    assert settings_id(msgspec.structs.replace(spec, prompting="completion")) != settings_id(spec)
