"""What runs inside the sandbox: a zygote that forks, per request, one supervisor and one program. Stdlib only.

It is told code, inputs and limits, never an expected value, so there is nothing here that a program could steal. What a
program writes to its result pipe is relayed unread; the judge (`program_judge.py`) decides what it means.
"""

import ctypes
import gc
import mmap
import os
import pickle
import random
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
from typing import Any

from harness.scorers.sandbox_filter import PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prepared_filter
from harness.scorers.sandbox_frames import read_frame, widen_pipe, write_frame
from harness.scorers.sandbox_program import SHARED_BYTES, SHARED_HEAD, Emitter, Sink, guard, run_inputs

PRELOADED = (
    "bisect cmath collections copy datetime functools heapq math operator queue re shutil statistics string subprocess "
    "typing"
)
"""Modules that generated programs import most; loaded once, so that a program pays nothing for them."""

CHUNK_BYTES = 1 << 20
TICK_SECONDS = 0.05
STARVED_FACTOR = 5
"""Wall-clock time allowed per CPU second, beside the idle allowance."""

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x08000000, 0x20000000
MS_NOSUID_NODEV = 2 | 4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38

_libc = ctypes.CDLL(None, use_errno=True)
_filter = prepared_filter()


def call(name: str, *args: Any) -> None:
    """Call a libc function that returns 0 on success."""
    if getattr(_libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def prctl(option: int, value: int) -> None:
    """Set a process attribute; the arguments are padded to the kernel's five unsigned longs."""
    zero = ctypes.c_ulong(0)
    call("prctl", ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero)


def drop_privileges(uid: int | None) -> None:
    """Become the worker's own user, without capabilities or the system calls that nobody here needs, for good."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = struct.pack("=Ii", 0x20080522, 0)
    call("capset", ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if _filter is not None:
        zero = ctypes.c_ulong(0)
        mode = ctypes.c_ulong(SECCOMP_MODE_FILTER)
        call("prctl", ctypes.c_int(PR_SET_SECCOMP), mode, ctypes.byref(_filter), zero, zero)


def set_limits(limits: dict[str, Any], cpu_seconds: float) -> None:
    """Set the kernel's limits, hard ones, which a program cannot raise again."""
    cpu = int(cpu_seconds) + 2
    for name, value in [
        ("AS", limits["memory_bytes"]),
        ("DATA", limits["memory_bytes"]),
        ("STACK", limits["memory_bytes"]),
        ("FSIZE", limits["file_bytes"]),
        ("NOFILE", limits["open_files"]),
        ("NPROC", limits["processes"]),
        ("CPU", cpu),
        ("CORE", 0),
    ]:
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def become_program(config: dict[str, Any], request: dict[str, Any], blobs: list[bytes], emitter: Emitter) -> None:
    """Turn this freshly forked process into the program's: cut every tie to the supervisor, then run."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(emitter.fd, 3)
    os.closerange(4, 256)
    emitter.fd = 3
    drop_privileges(config["uid"])
    set_limits(config["limits"], request["program_cpu"])
    inputs = pickle.loads(blobs[1])  # noqa: S301 - from the judge, by way of the host
    code = blobs[0].decode("utf-8", "surrogatepass")
    random.seed(0)  # a program that draws numbers gets the same verdict on every run
    sys.argv = [""]
    sys.stdin = sys.stdout = sys.stderr = Sink()
    gc.enable()
    guard(code)
    emitter.record(b"R")  # from here on the program is to blame; an error before this line is the sandbox's own
    emitter.flush()
    os.dup2(0, 2)
    run_inputs(code, request["entry_point"], inputs, emitter)
    emitter.flush()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process of ours (its per-process clock), dead or alive until it is reaped."""
    return time.clock_gettime((~pid << 3) | 2)


class Watch:
    """Relays a program's output to the host and decides when it has had enough."""

    def __init__(
        self, pid: int, source: int, shared: mmap.mmap, config: dict[str, Any], request: dict[str, Any]
    ) -> None:
        self.pid, self.source, self.shared, self.request = pid, source, shared, request
        self.limits = config["limits"]
        self.progress = 0
        self.started = time.monotonic()
        self.progress_cpu = 0.0
        self.sent = 0
        os.set_blocking(source, False)
        self.poll = select.poll()
        self.poll.register(source, select.POLLIN)
        self.poll.register(0, 0)  # reports only that the host hung up

    def relay(self) -> str | None:
        """Pass on what can be read now; say `ended` at the end and `output` beyond the size limit."""
        try:
            data = os.read(self.source, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if not data:
            return "ended"
        self.sent += len(data)
        if self.sent > self.limits["output_bytes"]:
            return "output"
        write_frame(1, None, data)
        return None

    def drain(self) -> None:
        """Pass on what a dead program has left in the pipe and in the shared memory."""
        before = -1
        while before < self.sent <= self.limits["output_bytes"]:
            before = self.sent
            self.relay()
        filled, _ = SHARED_HEAD.unpack_from(self.shared)
        write_frame(1, None, self.shared[SHARED_HEAD.size : min(SHARED_BYTES, SHARED_HEAD.size + filled)])

    def exceeded(self) -> str | None:
        """Return which time limit has been passed, if any."""
        cpu = cpu_seconds(self.pid)
        _, count = SHARED_HEAD.unpack_from(self.shared)
        if count != self.progress:
            self.progress, self.progress_cpu = count, cpu
        if cpu - self.progress_cpu > self.request["input_cpu"]:
            return "input_cpu"
        if cpu > self.request["program_cpu"]:
            return "program_cpu"
        # A starved program gets little CPU time, a sleeping one none: the margin tells them apart.
        if time.monotonic() - self.started > self.limits["idle_seconds"] + STARVED_FACTOR * cpu:
            return "idle"
        return None

    def run(self) -> tuple[str, int | None]:
        """Watch until the program ends or must end; return why, and its wait status if it ended by itself."""
        checked = self.started
        while True:
            ready = dict(self.poll.poll(TICK_SECONDS * 1000))
            if 0 in ready:
                os.kill(self.pid, signal.SIGKILL)
                os._exit(1)
            if self.source in ready:
                reason = self.relay()
                if reason == "ended":
                    return "ended", wait_briefly(self.pid)
                if reason is not None:
                    return reason, None
            if time.monotonic() - checked < TICK_SECONDS:
                continue
            checked = time.monotonic()
            if self.source not in ready and (status := reap(self.pid)) is not None:
                return "ended", status  # a descendant still holds the pipe open
            if reason := self.exceeded():
                return reason, None


def reap(pid: int) -> int | None:
    """Return the wait status if the process has ended."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return status if done else None


def wait_briefly(pid: int) -> int | None:
    """Wait up to a second for a process that has closed its pipe."""
    deadline = time.monotonic() + 1.0
    while (status := reap(pid)) is None and time.monotonic() < deadline:
        time.sleep(0.0002)
    return status


def end_program(pid: int, status: int | None, config: dict[str, Any]) -> None:
    """Kill the program and everything it started, and wait until they are gone."""
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if config["namespaces"]:
        return  # it was the init of its own process namespace: the kernel has killed the rest
    if config["uid"] is not None:
        sweeper = os.fork()
        if sweeper == 0:
            os.setresuid(config["uid"], config["uid"], config["uid"])
            os.kill(-1, signal.SIGKILL)
            os._exit(0)
        os.waitpid(sweeper, 0)
    me = os.getpid()
    while True:  # orphans of the program are children of this subreaper
        with open(f"/proc/{me}/task/{me}/children") as listing:
            children = listing.read().split()
        if not children:
            return
        for orphan in map(int, children):
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


def isolate(config: dict[str, Any]) -> str | None:
    """Give the coming program namespaces of its own and an empty /tmp; without namespaces, an empty folder."""
    if config["namespaces"]:
        call("unshare", CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
        options = f"size={config['limits']['tmp_bytes']},nr_inodes=4096,mode=1777".encode()
        call("mount", b"tmpfs", b"/tmp", b"tmpfs", ctypes.c_ulong(MS_NOSUID_NODEV), options)
        os.chdir("/tmp")  # noqa: S108 - the sandbox's own /tmp
        return None
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = tempfile.mkdtemp(prefix="harness-program-")
    if config["uid"] is not None:
        os.chown(folder, config["uid"], config["uid"])
    os.chdir(folder)
    return folder


def supervise(config: dict[str, Any]) -> None:
    """Serve one request: read it, fork the program, watch it, report."""
    request, blobs = read_frame(0)
    try:
        folder = isolate(config)
        source, sink = os.pipe()
        widen_pipe(source)
        shared = mmap.mmap(-1, SHARED_BYTES)
        pid = os.fork()
    except OSError as error:  # the machine's fault, not the program's: there is none yet
        write_frame(1, {"reason": "setup", "code": None, "error": str(error)})
        return
    if pid == 0:
        exit_code = 1
        try:
            emitter = Emitter(sink, shared, request["threshold"], request["iterate"])
            become_program(config, request, blobs, emitter)
            exit_code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            raise
        finally:
            os._exit(exit_code)
    os.close(sink)
    watch = Watch(pid, source, shared, config, request)
    reason, status = watch.run()
    end_program(pid, status, config)
    watch.drain()
    if folder is not None:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)  # the program may have made parts of it unreadable
    code = None if status is None else os.waitstatus_to_exitcode(status)
    write_frame(1, {"reason": reason, "code": code})


def probe(config: dict[str, Any]) -> str | None:
    """Check once that programs will be able to run here; return what is in the way."""
    child = os.fork()
    if child == 0:
        try:
            empty = isolate(config)
            if empty is not None:
                os.rmdir(empty)
            drop_privileges(config["uid"])
            for folder in [os.path.dirname(os.__file__), *config["site"]]:
                os.listdir(folder)
        except OSError as error:
            write_frame(1, {"ready": False, "error": f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")})
            os._exit(1)
        os._exit(0)
    return None if os.waitpid(child, 0)[1] == 0 else "failed"


def serve(config: dict[str, Any]) -> None:
    """Fork one supervisor per request until the host closes the pipe."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while dict(poll.poll()).get(0, 0) & select.POLLIN:
        pid = os.fork()
        if pid == 0:
            try:
                supervise(config)
            except EOFError:
                os._exit(2)
            os._exit(0)
        if os.waitpid(pid, 0)[1] != 0:
            return  # the request may be half read: the host starts a new sandbox


def main(config: dict[str, Any]) -> None:
    """Prepare everything a program will need, then serve."""
    prctl(PR_SET_DUMPABLE, 0)  # where users are shared (no root), programs may still not read or trace us
    for name in PRELOADED.split():
        __import__(name)
    if probe(config) is not None:
        return
    gc.collect()
    gc.disable()
    gc.freeze()
    write_frame(1, {"ready": True})
    serve(config)
