"""Processes that a command depends on and that die: scorers' workers, a judge's server."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

from tests.chaos.command import living_descendants, run, start
from tests.chaos.inputs import JUDGE, write_two_runs
from tests.chaos.results import find_differences, read_results
from tests.engines.fault_server import Asked, FaultServer, Reply

SCORED = ("eval", "--ckpt", "scripted:mixed", "--suite", "lab", "--limit", "40", "--workers", "2")
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


def test_scorers_that_the_kernel_kills_change_no_verdict(home: Path, tmp_path: Path, adopted: None) -> None:
    """Workers killed one by one, as by the kernel when memory is short: what they judged is judged again, alike."""
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(SCORED, whole)[0] == 0
    draw, before, num_killed = random.Random(3), living_descendants(), 0
    process = start(SCORED, home)
    while process.poll() is None and num_killed < 3:
        if workers := sorted(living_descendants() - before - {process.pid}):
            time.sleep(0.1 + 0.2 * draw.random())
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(workers), signal.SIGKILL)
                num_killed += 1
    _, err = process.communicate()
    assert num_killed > 0
    while process.returncode == 4:  # a verdict that could not be had is an error, and is tried again
        process = start(SCORED, home)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert find_differences(read_results(whole), read_results(home), home).differing == ()


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
