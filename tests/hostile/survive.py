"""Programs that try to outlive the time limit, or themselves."""

from tests.hostile.corpus import Hostile

PROGRAMS = (
    Hostile(
        "deaf to signals",
        "an endless loop that ignores every signal it may",
        """
import signal

def step(xs):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        pass
""",
        slow=True,
    ),
    Hostile(
        "catches everything",
        "an endless loop that survives each exception",
        """
def step(xs):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
        slow=True,
    ),
    Hostile(
        "cleans up for ever",
        "a finally without end, and an object that fights its own deletion",
        """
class Stubborn:

    def __del__(self):
        while True:
            pass

def step(xs):
    try:
        return Stubborn() and None
    finally:
        while True:
            pass
""",
        slow=True,
    ),
    Hostile(
        "huge power",
        "one call in C that takes hours and looks at no signal",
        """
def step(xs):
    return 9 ** 9 ** 9 % 10
""",
    ),
    Hostile(
        "regular expression",
        "backtracking without end, in C",
        """
import re

def step(xs):
    return bool(re.match('(a|a)*$', 'a' * 60 + 'b'))
""",
        slow=True,
    ),
    Hostile(
        "huge sum",
        "sum over an endless range, in C",
        """
def step(xs):
    return sum(range(10 ** 15))
""",
        slow=True,
    ),
    Hostile(
        "sleep",
        "waits, and so uses no CPU time",
        """
import time

def step(xs):
    time.sleep(600)
""",
    ),
    Hostile(
        "wait for a lock",
        "waits for what never comes, without a timeout",
        """
import threading

def step(xs):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
""",
        slow=True,
    ),
    Hostile(
        "daemon",
        "a process in a session of its own, twice forked",
        """
import posix
import time

def step(xs):
    if posix.fork() == 0:
        posix.setsid()
        if posix.fork() == 0:
            time.sleep(987)
        posix._exit(0)
    return None
""",
    ),
    Hostile(
        "daemon that lets go",
        "the same, with all descriptors closed and all signals ignored",
        """
import os
import posix
import signal
import time

def step(xs):
    if posix.fork() == 0:
        posix.setsid()
        os.closerange(0, 256)
        for number in (1, 2, 15):
            signal.signal(number, signal.SIG_IGN)
        if posix.fork() == 0:
            while True:
                time.sleep(1)
        posix._exit(0)
    posix._exit(0)
""",
    ),
    Hostile(
        "daemon that holds the pipe",
        "a child that never closes the result pipe, so that the end is not seen",
        """
import posix
import time

def step(xs):
    if posix.fork() == 0:
        while True:
            time.sleep(1)
    posix._exit(0)
""",
    ),
    Hostile(
        "runs away",
        "forks again and again, so that no process number stays true for long",
        """
import posix

def step(xs):
    for _ in range(1_000_000):
        try:
            if posix.fork():
                posix._exit(0)
        except OSError:
            pass
    while True:
        pass
""",
    ),
    Hostile(
        "threads in the background",
        "threads that loop after the answer",
        """
import threading

def burn():
    while True:
        pass

def step(xs):
    for _ in range(4):
        threading.Thread(target=burn).start()
    return None
""",
        slow=True,
    ),
    Hostile(
        "server",
        "a daemon that listens on a port",
        """
import posix
import socket
import time

def step(xs):
    if posix.fork() == 0:
        posix.setsid()
        server = socket.create_server(('127.0.0.1', 45678))
        local = socket.socket(socket.AF_UNIX)
        local.bind('\\0harness-left-behind')
        local.listen()
        time.sleep(987)
    time.sleep(0.1)
    return None
""",
    ),
    Hostile(
        "stopped",
        "children that stop themselves, to be neither running nor ended",
        """
import posix
import signal

def step(xs):
    for _ in range(5):
        if posix.fork() == 0:
            posix.setsid()
            posix.kill(posix.getpid(), signal.SIGSTOP)
    return None
""",
    ),
    Hostile(
        "files for the next",
        "files, folders and locks where the next program might look",
        """
import fcntl
import io
import os

def step(xs):
    for folder in ('.', '/tmp', '/dev/shm', '/var/tmp', HOME):
        try:
            os.makedirs(folder + '/left/deep', 0o000, exist_ok=True)
            fcntl.flock(io.open(folder + '/left-behind', 'w'), fcntl.LOCK_EX)
        except OSError:
            pass
    return None
""",
    ),
)
