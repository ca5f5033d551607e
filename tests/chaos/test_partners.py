"""Processes that a command depends on and that die: scorers' workers, a judge's server."""

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

from tasks.registry import TASKS
from tests.chaos.command import count_orphans, living_descendants, run, start
from tests.chaos.inputs import JUDGE, write_two_runs
from tests.chaos.results import find_differences, read_results
from tests.engines.fault_server import Asked, FaultServer, Reply

ANSWERED = ("lab_math", "lab_code")
SCORED = ("eval", "--ckpt", "scripted:replay=script.jsonl,seconds=0.02", "--task", ",".join(ANSWERED))
SERVED = """
ckpt = "toy"
template = "pair"
read = "text"

[engine]
name = "openai"
base_url = "{url}"
concurrency = 2
retries = 1
"""


def write_answers(folder: Path) -> None:
    """Write answers to replay, of which every third is wrong."""
    folder.mkdir(exist_ok=True)
    lines = []
    for task in (TASKS[name] for name in ANSWERED):
        for number, example in enumerate(task.load(None, None).examples):
            text = task.near_miss(example) if number % 3 == 0 else task.gold(example)
            lines.append(json.dumps({"task": task.name, "example_id": example.example_id, "text": text}) + "\n")
    (folder / "script.jsonl").write_text("".join(lines))


def test_scorers_that_the_kernel_kills_change_no_verdict(home: Path, tmp_path: Path, adopted: None) -> None:
    """Four scoring processes killed one by one, as by the kernel when memory is short: their work is judged again."""
    for folder in (home, tmp_path / "whole"):
        write_answers(folder)
    limit = ("--limit", "60", "--workers", "2")
    assert run((*SCORED, *limit), tmp_path / "whole")[0] == 0
    draw, before, num_killed, wanted = random.Random(3), living_descendants(), 0, 1
    process = start((*SCORED, *limit), home)
    while process.poll() is None and num_killed < 4:
        num_scores = sum(path.read_bytes().count(b"\n") for path in home.glob("runs/*/*/scores.jsonl"))
        workers = sorted(living_descendants() - before - {process.pid})
        if workers and num_scores >= wanted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(workers), signal.SIGKILL)
                num_killed += 1
                wanted = num_scores + 5  # by then, what was cut short has been judged again
        time.sleep(0.02 * draw.random())
    _, err = process.communicate()
    assert num_killed == 4, err
    assert process.returncode in (0, 4), err
    if process.returncode == 4:  # a verdict that could not be had is an error, and is tried again
        code, _, err = run((*SCORED, *limit), home)
        assert code == 0, err
    assert count_orphans(before) == 0
    whole, cut = read_results(tmp_path / "whole"), read_results(home)
    assert find_differences(whole, cut, home).differing == ()


def test_a_judge_whose_server_goes_away_is_asked_the_rest_later(home: Path) -> None:
    """A judge's server that dies ends in one line or in errors; when it is back, only what is missing is asked."""
    asked: list[str] = []

    def say(request: Asked, tries: int) -> Reply | None:
        if request.path != "/v1/chat/completions":
            return None
        if is_dying and len(asked) >= 6:
            return Reply(cut_at=-1)
        asked.append(request.prompt)
        choice = {"message": {"role": "assistant", "content": "A"}, "finish_reason": "stop", "index": 0}
        usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
        return Reply(body={"id": "x", "model": "toy", "choices": [choice], "usage": usage})

    server = FaultServer(say)
    is_dying = True
    with server.running():
        write_two_runs(home, SERVED.format(url=server.url))
        code, _, err = run(JUDGE, home)
        assert code in (3, 4), err
        assert "Traceback" not in err
        num_stored = sum(path.read_bytes().count(b"\n") for path in home.glob("verdicts/*/verdicts.jsonl"))
        assert num_stored == 6
        is_dying = False
        code, _, err = run(JUDGE, home)
    assert code == 0, err
    assert len(asked) == len(set(asked)), "nothing is asked twice"
    (counts,) = (keys for name, keys in read_results(home).keys.items() if name.endswith("verdicts.jsonl"))
    assert (len(counts), set(counts.values())) == (len(asked), {1})
