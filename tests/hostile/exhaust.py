"""Programs that try to use up what others need."""

from tests.hostile.corpus import Hostile

PROGRAMS = (
    Hostile(
        "a terabyte",
        "allocate it at once",
        """
def step(xs):
    return len(bytearray(1 << 40))
""",
    ),
    Hostile(
        "memory step by step",
        "address space until there is none",
        """
def step(xs):
    held = []
    while True:
        held.append(bytearray(1 << 29))
""",
    ),
    Hostile(
        "memory that is used",
        "4 GiB of real memory",
        """
def step(xs):
    held = []
    while True:
        held.append(b'x' * (1 << 28))
""",
        slow=True,
    ),
    Hostile(
        "shared memory",
        "System V segments, which no limit of the process counts",
        """
import ctypes

libc = ctypes.CDLL(None, use_errno=True)

def step(xs):
    held = [libc.shmget(0, 1 << 30, 0o1600) for _ in range(8)]
    kept = sum(libc.shmctl(one, 0, None) == 0 for one in held if one >= 0)
    assert kept == 8
    return max(xs) + 15
""",
    ),
    Hostile(
        "fork bomb",
        "processes without end",
        """
import posix

def step(xs):
    while True:
        try:
            posix.fork()
        except OSError:
            return None
""",
    ),
    Hostile(
        "fork and burn",
        "children that use CPU while the program itself waits",
        """
import posix

def step(xs):
    try:
        while posix.fork():
            pass
    except OSError:
        pass
    while True:
        pass
""",
        slow=True,
    ),
    Hostile(
        "threads",
        "a thousand of them",
        """
import threading
import time

def step(xs):
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(60,)).start()
    return max(xs) + 15
""",
    ),
    Hostile(
        "fill the disk",
        "files until no space is left; right if it wrote 256 MiB",
        """
import posix

def step(xs):
    written = 0
    for number in range(64):
        fd = posix.open('big%d' % number, posix.O_CREAT | posix.O_WRONLY)
        for _ in range(8):
            written += posix.write(fd, bytes(1 << 20))
        posix.close(fd)
        if written >= 1 << 28:
            return max(xs) + 15
""",
        slow=True,
    ),
    Hostile(
        "one large file",
        "past the size of a file, which kills; right if it holds 32 MiB",
        """
import posix
import signal

def step(xs):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    fd = posix.open('large', posix.O_CREAT | posix.O_WRONLY)
    posix.ftruncate(fd, 1 << 25)
    return max(xs) + 15
""",
    ),
    Hostile(
        "many files",
        "empty ones, until no inode is left; right if there are 20,000",
        """
import posix

def step(xs):
    for number in range(20_000):
        posix.close(posix.open('n%d' % number, posix.O_CREAT))
    return max(xs) + 15
""",
    ),
    Hostile(
        "open files",
        "descriptors; right if it holds 5,000",
        """
import posix

def step(xs):
    held = [posix.pipe() for _ in range(2500)]
    return max(xs) + 15
""",
    ),
    Hostile(
        "raise the limits",
        "setrlimit back to what was taken",
        """
import importlib
import sys

def step(xs):
    sys.modules.pop('resource', None)
    resource = importlib.import_module('resource')
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):
        assert resource.getrlimit(kind)[1] != resource.RLIM_INFINITY
        resource.setrlimit(kind, (1 << 40, 1 << 40))
    return max(xs) + 15
""",
    ),
    Hostile(
        "endless loop",
        "CPU",
        """
def step(xs):
    while True:
        pass
""",
    ),
    Hostile(
        "slow in every input",
        "each just below the limit of one",
        """
import time

def step(xs):
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    return None
""",
        slow=True,
    ),
    Hostile(
        "deep recursion",
        "overflow of the C stack",
        """
import sys

_ = sys.setrecursionlimit(10 ** 9)

def step(xs):
    return sorted([0], key=lambda _: step(xs))
""",
        slow=True,
    ),
    Hostile(
        "huge return",
        "256 MiB in one value",
        """
def step(xs):
    return b'x' * (1 << 28)
""",
        slow=True,
    ),
    Hostile(
        "huge print",
        "a gigabyte of text on stdout and stderr",
        """
import sys

def step(xs):
    for _ in range(500):
        print('x' * 1_000_000)
        print('x' * 1_000_000, file=sys.stderr)
    return None
""",
        slow=True,
    ),
    Hostile(
        "huge integer",
        "a number of 13 million digits",
        """
def step(xs):
    return 7 ** (1 << 24)
""",
        slow=True,
    ),
    Hostile(
        "integer to text",
        "its digits, written out in quadratic time",
        """
import sys

_ = sys.set_int_max_str_digits(0)

def step(xs):
    return str(7 ** (1 << 23))
""",
        slow=True,
    ),
    Hostile(
        "huge text",
        "a list of a million long strings that are one and the same",
        """
def step(xs):
    return ['x' * 100_000] * 1_000_000
""",
        slow=True,
    ),
    Hostile(
        "endless iterator",
        "an answer that has no end",
        """
import itertools

def step(xs):
    return itertools.count()
""",
    ),
    Hostile(
        "doubling value",
        "two hundred levels of the same list twice, and a list that holds itself",
        """
def step(xs):
    a = []
    for _ in range(200):
        a = [a, a]
    b = [a]
    b.append(b)
    return [b]
""",
        slow=True,
    ),
    Hostile(
        "nested value",
        "a list in a list, a million deep",
        """
def step(xs):
    a = []
    for _ in range(1_000_000):
        a = [a]
    return a
""",
        slow=True,
    ),
    Hostile(
        "colliding numbers",
        "a set whose members all have the same hash, built in quadratic time",
        """
def step(xs):
    return {(2 ** 61 - 1) * one for one in range(20_000)}
""",
        slow=True,
    ),
)
