"""The sandbox isolates and limits programs, and says in one line what is missing where it cannot."""

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import SandboxError
from harness.scorers import sandbox_command
from harness.scorers.sandbox import ProcessEndedError, ProgramRequest, ProgramResult, Zygote, check_sandbox


def request(body: str, *inputs: object, cpu: float = 4.0) -> ProgramRequest:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return ProgramRequest(f"def f(x):\n{lines}\n", "f", pickle.dumps([[x] for x in inputs]), False, 1 << 18, cpu, 60.0)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote("bubblewrap")
    yield made
    made.close()


def run(zygote: Zygote, body: str, *inputs: object, cpu: float = 4.0) -> ProgramResult:
    return zygote.run(request(body, *(inputs or (0,)), cpu=cpu))


def test_check_describes_a_sandbox_that_works() -> None:
    """`harness doctor` gets one line about a sandbox that has really run a program."""
    line = check_sandbox("bubblewrap")
    assert line.startswith("bubblewrap ")
    assert "no network" in line
    assert "\n" not in line


def test_packages_installed_under_tmp_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment in /tmp works, although each program gets a /tmp of its own."""
    folder = Path("/tmp") / f"harness-test-{os.getpid()}" / "site-packages"
    folder.mkdir(parents=True)
    try:
        (folder / "found_me.py").write_text("VALUE = 42\n")
        monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
        made = Zygote("bubblewrap")
        try:
            result = run(made, "import found_me, os\nreturn [found_me.VALUE, os.listdir('/tmp')]")
        finally:
            made.close()
    finally:
        shutil.rmtree(folder.parent)
    assert (result.reason, result.code) == ("ended", 0), result.output
    assert b"K*" in result.output, "42, pickled"


def test_missing_bubblewrap_gives_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without bwrap the error says how to install it and what the weaker choice is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"apt-get install bubblewrap.*dnf install bubblewrap.*--sandbox=process"):
        check_sandbox("bubblewrap")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            r"not allowed to work here \(bwrap: No permissions.*--privileged.*--sandbox=process",
        ),
        ("exit 1", r"the sandbox does not start"),
        ("echo broken >&2; exit 1", r"the sandbox does not start \(broken"),
    ],
)
def test_bubblewrap_that_cannot_work(
    script: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bwrap that may not create namespaces, or fails otherwise, is one clear error."""
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match=message):
        check_sandbox("bubblewrap")


@pytest.mark.parametrize(
    ("body", "reason", "code"),
    [
        ("return x", "ended", 0),
        ("import os; os._exit(7)", "ended", 7),
        ("import ctypes; ctypes.string_at(0)", "ended", -11),
        ("while True: pass", "input_cpu", None),
    ],
)
def test_result_says_how_the_program_ended(zygote: Zygote, body: str, reason: str, code: int | None) -> None:
    """Exit codes, signals and limits are told apart."""
    result = run(zygote, body, cpu=0.2)
    assert (result.reason, result.code) == (reason, code)


def test_outputs_before_the_end_are_kept(zygote: Zygote) -> None:
    """What a program returned before it had to be stopped is not lost."""
    result = run(zygote, "while x == 3: pass\nreturn x", 1, 2, 3, cpu=0.2)
    assert result.reason == "input_cpu"
    assert result.output.count(b"V\0\0\0") == 2


def test_cpu_of_one_input_counts_not_their_sum(zygote: Zygote) -> None:
    """Many inputs that each stay below the limit of one input may together pass it."""
    body = "import time\nend = time.process_time() + 0.15\nwhile time.process_time() < end: pass"
    assert run(zygote, body, *range(8), cpu=0.6).reason == "ended"


def test_programs_see_almost_nothing(zygote: Zygote) -> None:
    """Inside there is no home, no /proc, no environment of ours, and no process but the program."""
    body = (
        "import os, posix\n"
        "seen = [os.listdir('/'), os.path.exists('/proc/self'), os.path.exists('/root' '/.ssh'), os.listdir('/dev'),\n"
        "        os.getppid(), os.getuid() == 0 and x, sorted(os.environ), os.listdir('/sandbox/harness')]\n"
        "raise type(repr(seen), (Exception,), {})"
    )
    seen = run(zygote, body, os.getuid() == 0).output.decode()
    assert "False, False, ['" in seen
    assert "'proc'" not in seen
    assert "'home'" not in seen
    assert "HARNESS" not in seen
    assert "['scorers']" in seen


def test_each_worker_has_its_own_user_or_namespace() -> None:
    """Parallel workers do not share a user id, because the kernel counts processes per user."""
    uids = {sandbox_command._worker_uid() for _ in range(8)}
    assert uids == {None} or (len(uids) == 8 and 0 not in uids)


def test_our_packages_are_hidden_where_python_packages_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed into site-packages, our own modules and reference solutions are covered up."""
    site = sandbox_command._site_folders()[0]
    monkeypatch.setattr(sandbox_command, "_package_root", lambda: Path(site))
    monkeypatch.setattr(sandbox_command, "OUR_PACKAGES", ("numpy", "no_such_package"))
    arguments = sandbox_command._system_binds()
    assert arguments[-2:] == ["--tmpfs", sandbox_command._seen_as(f"{site}/numpy")]


def test_sandbox_ends_with_its_host() -> None:
    """A sandbox whose host is killed leaves no process behind, even in the middle of a program."""
    code = (
        "import os, pickle, sys, threading, time\n"
        "from harness.scorers.sandbox import ProgramRequest, Zygote\n"
        "zygote = Zygote('bubblewrap')\n"
        "loop = ProgramRequest('def f():\\n    while True: pass', 'f', pickle.dumps([[]]), False, 9, 60.0, 60.0)\n"
        "threading.Thread(target=zygote.run, args=(loop,), daemon=True).start()\n"
        "time.sleep(0.3)\nprint(zygote._process._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as host:
        assert host.stdout is not None
        sandbox_pid = int(host.stdout.readline())
        host.kill()
    assert wait_until_gone(sandbox_pid)


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_killed_sandbox_is_noticed() -> None:
    """A sandbox that dies under a request is an error of the machinery, not a result."""
    zygote = Zygote("bubblewrap")
    zygote._process.kill()
    zygote._process._process.wait()
    with pytest.raises(ProcessEndedError):
        run(zygote, "return x")
    zygote.close()


def test_process_mode_works_or_says_why() -> None:
    """The weaker mode runs and limits programs; as root it refuses a Python that other users cannot read."""
    if os.getuid() == 0 and any(not folder.stat().st_mode & 0o001 for folder in Path(os.__file__).parents):
        with pytest.raises(SandboxError, match="readable by other users"):
            check_sandbox("process")
        return
    assert check_sandbox("process").startswith("process: kernel limits only")
    zygote = Zygote("process")
    try:
        assert run(zygote, "while True: pass", cpu=0.2).reason == "input_cpu"
        assert run(zygote, "return bytearray(1 << 40)").output[5:6] == b"E"
        body = (
            "import posix, time\nif posix.fork() == 0:\n    posix.setsid()\n    time.sleep(60)\nreturn posix.getpid()"
        )
        assert run(zygote, body).reason == "ended"
        assert run(zygote, "import posix\nreturn posix.listdir('.')").output[5:10] == b"V\0\0\0\4"
    finally:
        zygote.close()
