"""Programs that try to send out or find what is not theirs, above all the expected outputs."""

from tests.hostile.corpus import Hostile

PROGRAMS = (
    Hostile(
        "connect",
        "a TCP connection to a server outside",
        """
import socket

def step(xs):
    socket.create_connection(('127.0.0.1', PORT), timeout=2)
    return max(xs) + 15
""",
    ),
    Hostile(
        "resolve a name",
        "DNS, which carries out what is put into the name",
        """
import socket

def step(xs):
    assert socket.getaddrinfo('secret.example.org', 80)
    return max(xs) + 15
""",
    ),
    Hostile(
        "host of a virtual machine",
        "a vsock, which no network namespace confines",
        """
import socket

def step(xs):
    socket.socket(40, socket.SOCK_STREAM)
    return max(xs) + 15
""",
    ),
    Hostile(
        "unix socket",
        "a socket file outside, as of a container daemon",
        """
import socket

def step(xs):
    socket.socket(socket.AF_UNIX).connect(HOME + '/socket')
    return max(xs) + 15
""",
    ),
    Hostile(
        "abstract socket",
        "a socket without a file",
        """
import socket

def step(xs):
    socket.socket(socket.AF_UNIX).connect(ABSTRACT)
    return max(xs) + 15
""",
    ),
    Hostile(
        "read home",
        "a key file in the home folder",
        """
import io

def step(xs):
    assert 'secret' in io.open(HOME + '/secret').read()
    return max(xs) + 15
""",
    ),
    Hostile(
        "read the environment",
        "a token that the harness was started with",
        """
import posix

def step(xs):
    assert posix.environ[b'HARNESS_SECRET']
    return max(xs) + 15
""",
    ),
    Hostile(
        "environment of others",
        "/proc/N/environ and cmdline of its ancestors",
        """
import io
import posix

def step(xs):
    assert io.open('/proc/%d/environ' % posix.getppid(), 'rb').read()
    return max(xs) + 15
""",
    ),
    Hostile(
        "list processes",
        "what runs on the machine",
        """
import posix

def step(xs):
    assert [name for name in posix.listdir('/proc') if name.isdigit()]
    return max(xs) + 15
""",
    ),
    Hostile(
        "reference solution",
        "the file of problems, whose solutions it runs",
        """
import io
import json
import os

def step(xs):
    for top in (HOME, ROOT + '/tasks', '/tmp', '/sandbox'):
        for folder, _, names in os.walk(top):
            for name in names:
                if name.endswith('.jsonl'):
                    for line in io.open(folder + '/' + name):
                        row = json.loads(line)
                        if 'largest of xs plus 15' in row.get('prompt', ''):
                            scope = {}
                            exec(row['prompt'] + row['canonical_solution'], scope)
                            return scope['step'](xs)
    return None
""",
    ),
    Hostile(
        "cached expected outputs",
        "the cache folder of the harness",
        """
import io
import os
import pickle

def step(xs):
    for top in (HOME, os.path.expanduser('~'), os.environ.get('XDG_CACHE_HOME', '/none')):
        for folder, _, names in os.walk(top):
            for name in names:
                if name.endswith(('.pkl', '.bin')):
                    data = io.open(folder + '/' + name, 'rb').read()
                    for task in pickle.loads(data).values():
                        return dict(zip([1, 3, 5, 4, 30, 12, 17], [*task['base'], *task['plus']]))[max(xs)]
    return None
""",
    ),
    Hostile(
        "frames of the caller",
        "the list of expected outputs among the local variables of whoever calls it",
        """
import sys

def step(xs):
    frame = sys._getframe(1)
    while frame:
        if 'expected' in frame.f_locals and 'i' in frame.f_locals:
            return frame.f_locals['expected'][frame.f_locals['i']]
        frame = frame.f_back
    return None
""",
    ),
    Hostile(
        "frames by traceback",
        "the same through an exception, where sys._getframe is gone",
        """
def step(xs):
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
    while frame:
        for name, value in frame.f_locals.items():
            if name in ('expected', 'exp', 'expected_output'):
                return value[frame.f_locals['i']]
        frame = frame.f_back
    return None
""",
    ),
    Hostile(
        "frames by inspect",
        "anything in any frame that looks like the expected outputs",
        """
import inspect

def step(xs):
    for info in inspect.stack():
        for value in info.frame.f_locals.values():
            if isinstance(value, list) and value and all(isinstance(one, int) and one > 15 for one in value):
                return value[[1, 3, 5, 4, 30, 12, 17].index(max(xs)) % len(value)]
    return None
""",
    ),
    Hostile(
        "objects in memory",
        "the garbage collector's list of all objects",
        """
import gc

def step(xs):
    for one in gc.get_objects():
        if isinstance(one, list) and one in ([16, 18, 20], [19, 45, 27, 32]):
            if len(one) == 3 and max(xs) in (1, 3, 5):
                return one[[1, 3, 5].index(max(xs))]
            if len(one) == 4 and max(xs) in (4, 30, 12, 17):
                return one[[4, 30, 12, 17].index(max(xs))]
    return None
""",
    ),
    Hostile(
        "raw memory",
        "its own memory as a file, searched for what its forebears held",
        """
import io

def step(xs):
    for line in io.open('/proc/self/maps'):
        if '[heap]' in line:
            start, end = (int(part, 16) for part in line.split()[0].split('-'))
            memory = io.open('/proc/self/mem', 'rb')
            memory.seek(start)
            assert b'max(xs) + 15' in memory.read(end - start)
            return max(xs) + 15
    return None
""",
    ),
    Hostile(
        "modules",
        "whatever module holds the tests",
        """
import sys

def step(xs):
    for module in list(sys.modules.values()):
        for value in list(vars(module).values()) if hasattr(module, '__dict__') else []:
            if isinstance(value, dict) and 'canonical_solution' in value:
                scope = {}
                exec(value['prompt'] + value['canonical_solution'], scope)
                return scope['step'](xs)
    return None
""",
    ),
    Hostile(
        "our code",
        "import the project's tasks and scorers",
        """
import tasks.registry
import harness.scorers.program

def step(xs):
    return max(xs) + 15
""",
    ),
    Hostile(
        "inherited descriptors",
        "read whatever is open",
        """
import fcntl
import posix

def step(xs):
    for fd in range(64):
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, posix.O_NONBLOCK)
            if b'expected' in posix.read(fd, 1 << 20):
                return max(xs) + 15
        except OSError:
            pass
    return None
""",
    ),
    Hostile(
        "notes of an earlier program",
        "leave the outputs in the kernel's key ring for a later run",
        """
import ctypes

libc = ctypes.CDLL(None, use_errno=True)

def step(xs):
    assert libc.syscall(248, b'user', b'harness-note', b'16 18 20', 8, -4) > 0
    return max(xs) + 15
""",
    ),
)
