import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ScorerError
from harness.scorers.worker import FunctionError, WorkerDied, WorkerPool, WorkerTimeout

HERE = str(Path(__file__).parent)
TARGET = "worker_targets:obey"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


def make_pool(**changes: Any) -> WorkerPool:
    settings: dict[str, Any] = {"num_workers": 2, "timeout_seconds": 20.0, "memory_bytes": 1 << 30}
    return WorkerPool(TARGET, **(settings | changes))


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    sys.path.insert(0, HERE)
    with make_pool() as shared:
        yield shared
    sys.path.remove(HERE)


def is_alive(pid: int) -> bool:
    """A zombie counts as dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


@pytest.mark.parametrize(
    "value",
    [1, "text", "ünïcode ∫ 数学 🙂", None, [1, {"a": [2.5, True]}], "x" * 10_000_000, ""],
    ids=["int", "str", "unicode", "null", "nested", "10 MB", "empty"],
)
def test_call_returns_what_the_function_returns(pool: WorkerPool, value: Any) -> None:
    """Values cross the process boundary unchanged, whatever their size."""
    assert pool.call({"do": "echo", "value": value}) == value


def test_prints_do_not_disturb_replies(pool: WorkerPool, capfd: pytest.CaptureFixture[str]) -> None:
    """What the function prints neither corrupts its reply nor reaches the terminal."""
    assert pool.call({"do": "print", "value": 200_000}) == 200_000
    assert capfd.readouterr() == ("", "")


def test_exception_carries_type_and_message(pool: WorkerPool) -> None:
    """An exception in the function is raised in the caller, and the worker lives on."""
    with pytest.raises(FunctionError, match="ValueError: bad luck"):
        pool.call({"do": "raise", "value": "bad luck"})
    assert pool.call({"do": "echo", "value": 1}) == 1


def test_memory_limit_is_an_error_of_the_function(pool: WorkerPool) -> None:
    """An allocation beyond the limit fails inside the worker."""
    with pytest.raises(FunctionError, match="MemoryError"):
        pool.call({"do": "allocate", "value": 4 << 30})


@pytest.mark.parametrize(("action", "ending"), [("exit", "exit code 5"), ("crash", "SIGSEGV")])
def test_item_that_kills_two_workers_is_an_error(pool: WorkerPool, action: str, ending: str) -> None:
    """A death is retried once, then reported with how the worker ended."""
    with pytest.raises(WorkerDied, match=ending):
        pool.call({"do": action, "value": 5})
    assert pool.call({"do": "echo", "value": 1}) == 1


def test_death_is_retried_on_a_fresh_worker(pool: WorkerPool, tmp_path: Path) -> None:
    """A worker that dies once costs nothing but time."""
    marker = str(tmp_path / "died")
    assert pool.call({"do": "exit_once", "value": marker}) == marker


def test_idle_worker_killed_from_outside_is_replaced() -> None:
    """A worker that the system killed between two calls is not noticed by the caller."""
    with make_pool(num_workers=1) as own:
        pid = own.call({"do": "pid"})
        os.kill(pid, signal.SIGKILL)
        assert own.call({"do": "pid"}) != pid


def test_hung_item_times_out_while_others_go_on() -> None:
    """A call past the limit raises WorkerTimeout; calls around it are answered."""
    with make_pool(timeout_seconds=1.0) as own, ThreadPoolExecutor(4) as threads:
        hung = threads.submit(own.call, {"do": "sleep", "value": 60})
        others = [threads.submit(own.call, {"do": "echo", "value": number}) for number in range(20)]
        assert [future.result(timeout=30) for future in others] == list(range(20))
        with pytest.raises(WorkerTimeout, match="longer than 1 s"):
            hung.result(timeout=30)


def test_hang_inside_one_c_call_times_out() -> None:
    """The limit holds even where the interpreter lock is never released."""
    with make_pool(timeout_seconds=1.0) as own, pytest.raises(WorkerTimeout):
        own.call({"do": "hold_interpreter", "value": 9})


def test_timeout_is_believed_only_alone(tmp_path: Path) -> None:
    """A call that is slow once succeeds when it is retried."""
    with make_pool(timeout_seconds=1.0) as own:
        assert own.call({"do": "slow_once", "value": str(tmp_path / "slow")}) == str(tmp_path / "slow")


def test_retry_runs_alone() -> None:
    """While a timeout is being retried no other call of the pool is running."""
    with make_pool(timeout_seconds=1.5, num_workers=3) as own, ThreadPoolExecutor(4) as threads:
        started = time.monotonic()
        hung = threads.submit(own.call, {"do": "sleep", "value": 60})
        while own._turns._num_waiting_alone == 0 and not own._turns._is_alone:
            assert time.monotonic() - started < 30
            time.sleep(0.01)
        late = threads.submit(own.call, {"do": "echo", "value": 1})
        with pytest.raises(WorkerTimeout):
            hung.result(timeout=30)
        assert late.result(timeout=30) == 1


def test_many_threads_share_few_workers(pool: WorkerPool) -> None:
    """Concurrent callers get their own answers, from at most num_workers processes."""
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: pool.call({"do": "echo", "value": number}), range(300)))
        pids = set(threads.map(lambda _: pool.call({"do": "pid"}), range(50)))
    assert answers == list(range(300))
    assert len(pids) <= 2


def test_no_process_before_the_first_call() -> None:
    """Making a pool starts nothing."""
    with make_pool() as own:
        assert not own._all


def test_check_starts_a_worker_that_calls_use() -> None:
    """What the check has started is not started again."""
    with make_pool(num_workers=1) as own:
        own.check()
        own.check()
        assert len(own._all) == 1
        assert own.call({"do": "echo", "value": 1}) == 1
        assert len(own._all) == 1


def test_close_leaves_no_process() -> None:
    """Idle and busy workers are gone after close; the interrupted call fails with a clear error."""
    own = make_pool()
    pid = own.call({"do": "pid"})
    failures: list[BaseException] = []

    def call_in_vain() -> None:
        try:
            own.call({"do": "sleep", "value": 60})
        except ScorerError as error:
            failures.append(error)

    busy = [threading.Thread(target=call_in_vain) for _ in range(2)]
    for thread in busy:
        thread.start()
    assert wait_until(lambda: len(own._all) == 2 and not own._idle)
    own.close()
    for thread in busy:
        thread.join(10)
    assert len(failures) == 2
    assert not own._all
    assert not is_alive(pid)
    with pytest.raises(ScorerError, match="closed"):
        own.call({"do": "pid"})


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:f", "ModuleNotFoundError"),
        ("worker_targets:no_such_function", "AttributeError"),
    ],
)
def test_function_that_cannot_be_loaded_is_reported_once(target: str, reason: str) -> None:
    """A start that fails says why, and is not tried again for each item."""
    with WorkerPool(target, num_workers=1, timeout_seconds=5, memory_bytes=0) as own:
        with pytest.raises(ScorerError, match=reason):
            own.call({})
        started = time.monotonic()
        with pytest.raises(ScorerError, match=reason):
            own.check()
        assert time.monotonic() - started < 0.05


def test_worker_that_has_grown_is_replaced() -> None:
    """A worker above recycle_bytes does not serve another call."""
    with make_pool(num_workers=1, recycle_bytes=100 << 20) as own:
        before = own.call({"do": "pid"})
        assert own.call({"do": "pid"}) == before
        own.call({"do": "keep", "value": 200 << 20})
        assert own.call({"do": "pid"}) != before


PARENT = """
import sys, threading, time
sys.path.insert(0, {here!r})
from harness.scorers.worker import WorkerPool
pool = WorkerPool("worker_targets:obey", num_workers=2, timeout_seconds=60, memory_bytes=1 << 30)
starter = threading.Thread(target=lambda: print(pool.call({{"do": "pid"}}), flush=True))
starter.start()
starter.join()
busy = threading.Thread(target=lambda: pool.call({busy!r}), daemon=True)
busy.start()
time.sleep(0.5)
print(pool.call({{"do": "pid"}}), flush=True)
time.sleep(60)
"""


def start_parent(busy: dict[str, Any]) -> tuple["subprocess.Popen[str]", list[int]]:
    """Start a process whose pool has one busy and one idle worker; return it and the workers' ids."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(here=HERE, busy=busy)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    assert parent.stdout is not None
    return parent, [int(parent.stdout.readline()) for _ in range(2)]


@pytest.mark.parametrize(
    "busy",
    [{"do": "sleep", "value": 60}, {"do": "hold_interpreter", "value": 9}],
    ids=["asleep", "in one C call"],
)
def test_workers_die_with_a_killed_parent(busy: dict[str, Any]) -> None:
    """SIGKILL of the parent ends idle and busy workers, also those started by a thread that has ended."""
    parent, pids = start_parent(busy)
    assert all(is_alive(pid) for pid in pids)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_interrupt_from_the_terminal_does_not_reach_workers() -> None:
    """Ctrl-C goes to the parent's process group; workers stay silent and alive until the parent ends."""
    parent, pids = start_parent({"do": "echo"})
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        assert os.getpgid(pid) != os.getpgid(parent.pid)
    time.sleep(0.2)
    assert all(is_alive(pid) for pid in pids)
    os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=20)
    assert errors.count("Traceback") == 1
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_interrupted_caller_does_not_leave_a_desynchronised_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception while waiting for a reply discards that worker, so no later call gets a stale reply."""
    with make_pool(num_workers=1) as own:
        own.call({"do": "pid"})
        with contextlib.suppress(KeyboardInterrupt), monkeypatch.context() as patch:
            patch.setattr(own, "_exchange", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            own.call({"do": "echo", "value": "lost"})
        assert own.call({"do": "echo", "value": "mine"}) == "mine"
