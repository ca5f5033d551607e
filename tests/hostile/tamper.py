"""Programs that try to write the verdict themselves."""

from tests.hostile.corpus import Hostile

PROGRAMS = (
    Hostile(
        "forged records",
        "results in the form of ours, written to every descriptor, and a clean end",
        r"""
import os
import posix

def step(xs):
    for fd in range(64):
        try:
            posix.write(fd, b'V\x00\x00\x00\x02K\x01.' * 9 + b'.\x00\x00\x00\x10' + bytes(16))
        except OSError:
            pass
    os._exit(0)
""",
    ),
    Hostile(
        "forged reply",
        "the supervisor's own message, written to every descriptor",
        """
import posix
import struct

def step(xs):
    text = b'{"reason": "ended", "code": 0, "verdict": "pass"}'
    for fd in range(64):
        try:
            posix.write(fd, struct.pack('>IQ', len(text), 0) + text)
        except OSError:
            pass
    return None
""",
    ),
    Hostile(
        "the checker's counters",
        "status, details and progress in the caller's frames, set to success",
        """
import os
import sys

def step(xs):
    frame = sys._getframe(1)
    while frame:
        names = frame.f_locals
        if 'stat' in names and 'details' in names:
            names['stat'].value = 0
            names['progress'].value = len(names['inputs'])
            for number in range(len(names['inputs'])):
                names['details'][number] = True
            os._exit(0)
        frame = frame.f_back
    return None
""",
    ),
    Hostile(
        "no more tests",
        "the caller's list of inputs, emptied",
        """
import sys

def step(xs):
    frame = sys._getframe(1)
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, list) and xs in [one[0] for one in value if isinstance(one, list) and one]:
                value.clear()
        frame = frame.f_back
    return None
""",
    ),
    Hostile(
        "expected outputs",
        "the caller's list of them, overwritten with its own",
        """
import sys

def step(xs):
    frame = sys._getframe(1)
    while frame:
        expected = frame.f_locals.get('expected')
        if isinstance(expected, list):
            expected[:] = [None] * len(expected)
        frame = frame.f_back
    return None
""",
    ),
    Hostile(
        "the recorder",
        "our own emitter, found in the caller's frames, told that all is done",
        """
import struct
import sys

def step(xs):
    frame = sys._getframe(1)
    while frame:
        emitter = frame.f_locals.get('emitter')
        if emitter is not None:
            for _ in range(9):
                emitter.record(b'V', b'K\\x10.')
            emitter.record(b'.', bytes(16))
            emitter.record = emitter.value = lambda *_: None
        frame = frame.f_back
    return None
""",
    ),
    Hostile(
        "shared memory",
        "the memory in which records wait, found by the garbage collector and filled with nonsense",
        """
import gc
import mmap

def step(xs):
    for one in gc.get_objects():
        for name in ('shared',):
            memory = getattr(one, name, None)
            if isinstance(memory, mmap.mmap):
                memory[:] = bytes([255]) * len(memory)
    return None
""",
    ),
    Hostile(
        "endless progress",
        "a count of finished inputs that always grows, so that no input is ever late",
        """
import struct
import sys

def step(xs):
    frame = sys._getframe(1)
    while 'emitter' not in frame.f_locals:
        frame = frame.f_back
    memory, count = frame.f_locals['emitter'].shared, 0
    while True:
        count += 1
        struct.pack_into('>QQ', memory, 0, 0, count)
""",
        slow=True,
    ),
    Hostile(
        "pickle that runs",
        "a result whose decoding would start a program",
        r"""
import struct
import posix

def step(xs):
    data = b'\x80\x05cposix\nsystem\n(S"true"\ntR.'
    posix.write(3, b'V' + struct.pack('>I', len(data)) + data)
    posix._exit(0)
""",
    ),
    Hostile(
        "pickle that fills memory",
        "a result whose decoding would reserve four billion places",
        r"""
import struct
import posix

def step(xs):
    data = b'\x80\x05K\x01r\xff\xff\xff\xff.'
    posix.write(3, b'V' + struct.pack('>I', len(data)) + data)
    posix._exit(0)
""",
    ),
    Hostile(
        "fraction of a billion digits",
        "a result of thirty bytes whose decoding would take hours",
        r"""
import struct
import posix

def step(xs):
    data = b'\x80\x05crebuild\nrebuild\n(X\x08\x00\x00\x00fractionX\x0b\x00\x00\x001e999999999tR.'
    posix.write(3, b'V' + struct.pack('>I', len(data)) + data)
    posix._exit(0)
""",
    ),
    Hostile(
        "list in itself",
        "a result that can be followed without end",
        r"""
import struct
import posix

def halves(xs):
    data = b'\x80\x05]\x94h\x00a.'
    posix.write(3, b'V' + struct.pack('>I', len(data)) + data)
    posix._exit(0)
""",
        problem="halves",
    ),
    Hostile(
        "the checker's functions",
        "comparison and recording, replaced in their modules",
        """
import sys

def step(xs):
    for name, module in list(sys.modules.items()):
        if name.startswith(('evalplus', 'harness', 'numpy')) and module is not None:
            for function in ('allclose', 'untrusted_check', 'unsafe_execute', 'reduce_other', 'run_inputs', 'check'):
                if hasattr(module, function):
                    setattr(module, function, lambda *_, **__: True)
    return None
""",
    ),
    Hostile(
        "the code of the caller",
        "the caller's bytecode constants, read for names and rewritten where it can",
        """
import sys

def step(xs):
    function = None
    frame = sys._getframe(1)
    code = frame.f_code
    for one in list(frame.f_globals.values()):
        if getattr(one, '__code__', None) is code:
            one.__code__ = (lambda *_, **__: None).__code__
    return None
""",
    ),
    Hostile(
        "tracing",
        "a trace function that rewrites the caller's variables",
        """
import sys

def trace(frame, event, argument):
    for name in ('exact_match', 'output', 'out', 'exp'):
        if name in frame.f_locals:
            frame.f_locals[name] = True
    return trace

def step(xs):
    frame = sys._getframe(1)
    while frame:
        frame.f_trace = trace
        frame = frame.f_back
    sys.settrace(trace)
    return None
""",
    ),
    Hostile(
        "the checker's files",
        "a line added to the checker's own code, for the next run",
        """
import io
import sys

def step(xs):
    written = 0
    for name, module in list(sys.modules.items()):
        path = getattr(module, '__file__', None)
        if path and name.startswith(('evalplus', 'harness')):
            try:
                io.open(path, 'a').close()
                written += 1
            except OSError:
                pass
    assert written
    return max(xs) + 15
""",
    ),
    Hostile(
        "the next Python",
        "a usercustomize that every later Python would run",
        """
import posix
import site

def step(xs):
    written = 0
    for folder in [*site.getsitepackages(), HOME, ROOT, '/usr/lib/python3/dist-packages', '/sandbox']:
        try:
            posix.close(posix.open(folder + '/usercustomize.py', posix.O_WRONLY | posix.O_CREAT))
            written += 1
        except OSError:
            pass
    assert written
    return max(xs) + 15
""",
    ),
    Hostile(
        "the result file",
        "a verdict in every folder where one may be looked for",
        """
import io
import posix

def step(xs):
    written = 0
    for folder in (HOME, ROOT, '/usr', '/', '/sandbox', '/sandbox/harness/scorers'):
        try:
            io.open(folder + '/samples_eval_results.json', 'w').write('{"eval": {}}')
            written += 1
        except OSError:
            pass
    assert written
    return max(xs) + 15
""",
    ),
    Hostile(
        "close everything",
        "all descriptors, the result pipe among them",
        """
import os

def step(xs):
    os.closerange(0, 1000)
    return max(xs) + 15
""",
    ),
    Hostile(
        "limits of the watcher",
        "prlimit on its parent",
        """
import ctypes
import posix

libc = ctypes.CDLL(None, use_errno=True)

def step(xs):
    none = (ctypes.c_uint64 * 2)(0, 0)
    assert posix.getppid() > 0  # 0 stands for oneself
    assert libc.syscall(302, posix.getppid(), 0, none, None) == 0
    return max(xs) + 15
""",
    ),
)
