"""Programs that cheat, break out or do damage, by name. HOME and PORT are filled in by the test."""

HOSTILE = {
    "always equal": """
class Cheat:

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1

    def __reduce__(self):
        return (eval, ('1',))

def square(x):
    return Cheat()
""",
    "always equal int": """
class Cheat(int):

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1

    def __reduce__(self):
        return (eval, ('1',))

def square(x):
    return Cheat()
""",
    "always equal float": """
class Cheat(float):

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1

    def __reduce__(self):
        return (eval, ('1',))

def square(x):
    return Cheat()
""",
    "always equal list": """
class Cheat(list):

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1

    def __reduce__(self):
        return (eval, ('1',))

def square(x):
    return Cheat()
""",
    "always equal str": """
class Cheat(str):

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1

    def __reduce__(self):
        return (eval, ('1',))

def square(x):
    return Cheat()
""",
    "metaclass": """
class M(type):

    def __eq__(s, o):
        return True
    __hash__ = None

class C(metaclass=M):
    pass

def square(x):
    return C
""",
    "caller frames": """
import sys

def square(x):
    f = sys._getframe(1)
    while f:
        for v in f.f_locals.values():
            if isinstance(v, dict) and 'expected' in v:
                return v['expected'][0]
        if 'expected' in f.f_locals:
            return f.f_locals['expected'][f.f_locals['i']]
        f = f.f_back
    return None
""",
    "objects": """
import gc

def square(x):
    for o in gc.get_objects():
        if isinstance(o, list) and o == [1, 4, 9]:
            return o[x - 1]
    return None
""",
    "printed verdict": """
def square(x):
    print('PASS')
    print('{"verdict": "pass"}')
    return None
""",
    "forged records": r"""
import os, posix

def square(x):
    for fd in range(0, 64):
        try:
            posix.write(fd, b'V\x00\x00\x00\x02K\x01.' * 9 + b'.' + b'\x00' * 20)
        except OSError:
            pass
    os._exit(0)
    return None
""",
    "forged reply": """
import posix, struct

def square(x):
    h = b'{"reason": "ended", "code": 0, "verdict": "pass"}'
    for fd in range(0, 64):
        try:
            posix.write(fd, struct.pack('>IQ', len(h), 0) + h)
        except OSError:
            pass
    return None
""",
    "patched builtins": """
import builtins, pickle, io, os, time

def square(x):
    builtins.type = builtins.isinstance = lambda *a: True
    pickle.Pickler = pickle.dumps = None
    os.write = lambda *a: 99
    time.monotonic = None
    return None
""",
    "exit now": """
import os
os._exit(0)

def square(x):
    return x
""",
    "exit in call": """
import os

def square(x):
    os._exit(0)
    return x
""",
    "sys.exit": """
import sys

def square(x):
    sys.exit(0)
    return x
""",
    "quit": """
def square(x):
    quit()
    return x
""",
    "base exception": """
class E(BaseException):
    pass

def square(x):
    raise E()
    return x
""",
    "null pointer": """
import ctypes

def square(x):
    ctypes.string_at(0)
    return x
""",
    "deep recursion": """
import sys
sys.setrecursionlimit(10 ** 9)

def square(x):
    return sorted([0], key=lambda _: square(x))
""",
    "kill parent": """
import posix

def square(x):
    posix.kill(posix.getppid(), 9)
    return None
""",
    "kill everybody": """
import posix

def square(x):
    try:
        posix.kill(-1, 9)
    except OSError:
        pass
    return None
""",
    "kill by number": """
import posix

def square(x):
    for p in range(1, 5000):
        try:
            posix.kill(p, 9)
        except OSError:
            pass
    return None
""",
    "stop itself": """
import posix, signal

def square(x):
    posix.kill(posix.getpid(), 9)
    return None
""",
    "close all": """
import os

def square(x):
    os.closerange(0, 1000)
    return x * x
""",
    "alarm": """
import signal
signal.alarm(1)
signal.setitimer(signal.ITIMER_REAL, 0.01)

def square(x):
    for _ in range(10 ** 6):
        pass
    return None
""",
    "memory": """
def square(x):
    return len(bytearray(1 << 40))
""",
    "memory step by step": """
def square(x):
    a = []
    while True:
        a.append(bytearray(1 << 29))
    return a
""",
    "huge return": """
def square(x):
    return b'x' * (1 << 28)
""",
    "huge print": """
def square(x):
    for _ in range(1000):
        print('x' * 1000000)
    return None
""",
    "endless iterator": """
import itertools

def square(x):
    return itertools.count()
""",
    "cyclic value": """
def square(x):
    a = []
    for _ in range(200):
        a = [a, a]
    b = []
    b.append(b)
    return [b]
""",
    "fork bomb": """
import posix

def square(x):
    while True:
        try:
            posix.fork()
        except OSError:
            return None
    return None
""",
    "threads": """
import threading, time

def square(x):
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(60,)).start()
    return x
""",
    "more time": """
import importlib, sys

def square(x):
    del sys.modules['resource']
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (9999, 9999))
    return x * x
""",
    "write system": """
import io

def square(x):
    io.open('/usr/harness-was-here', 'w')
    return x * x
""",
    "write root": """
import posix

def square(x):
    posix.close(posix.open('/harness-was-here', posix.O_WRONLY | posix.O_CREAT))
    return x * x
""",
    "write its code": """
import io

def square(x):
    io.open('/sandbox/harness/scorers/sandbox_child.py', 'a').write('#')
    return x * x
""",
    "read home": """
import io, posix

def square(x):
    io.open(HOME + '/.profile').read()
    return x * x
""",
    "read processes": """
import posix

def square(x):
    return posix.listdir('/proc')
""",
    "read environment": """
import posix

def square(x):
    return posix.environ[b'HARNESS_SECRET']
""",
    "connect": """
import socket

def square(x):
    socket.create_connection(('127.0.0.1', PORT), timeout=2)
    return x * x
""",
    "subprocess": """
import _posixsubprocess, subprocess

def square(x):
    subprocess.run(['true'])
    return x * x
""",
    "system": """
import posix

def square(x):
    return posix.system('kill -9 -1')
""",
    "our code": """
import tasks.registry

def square(x):
    return x * x
""",
    "our scorer": """
import harness.scorers.program

def square(x):
    return x * x
""",
    "pickle bomb": r"""
import struct
import posix

def square(x):
    p = b'\x80\x05cposix\nsystem\n(S"true"\ntR.'
    posix.write(3, b'V' + struct.pack('>I', len(p)) + p)
    posix._exit(0)
    return x
""",
    "pickle memo bomb": r"""
import struct
import posix

def square(x):
    p = b'\x80\x05K\x01r\xff\xff\xff\xff.'
    posix.write(3, b'V' + struct.pack('>I', len(p)) + p)
    posix._exit(0)
    return x
""",
}
