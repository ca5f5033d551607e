"""Programs that try to pass for right."""

from tests.hostile.corpus import Hostile

_CHEAT = """
class Cheat({base}):

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 1

    def __reduce__(self):
        return (eval, ('16',))

def step(xs):
    return Cheat()
"""


def _always_equal(base: str) -> Hostile:
    return Hostile(f"always equal {base}", f"a subclass of {base} that equals everything", _CHEAT.format(base=base))


PROGRAMS = (
    *map(_always_equal, ("object", "int", "float", "str", "list", "dict", "tuple")),
    Hostile(
        "always equal class",
        "a class whose metaclass equals everything",
        """
class Meta(type):

    def __eq__(self, other):
        return True

    __hash__ = None

class Cheat(metaclass=Meta):
    pass

def step(xs):
    return Cheat
""",
    ),
    Hostile(
        "always equal array",
        "an array whose comparison is overridden",
        """
import numpy as np

class Cheat(np.ndarray):

    def __eq__(self, other):
        return True

def step(xs):
    return np.zeros(1).view(Cheat)
""",
    ),
    Hostile(
        "mock",
        "unittest.mock.ANY, which equals everything",
        """
from unittest import mock

def step(xs):
    return mock.ANY
""",
    ),
    Hostile(
        "nothing to compare",
        "an empty list in place of a number, which numpy finds close to any number",
        """
def halves(xs):
    return [[] for _ in xs]
""",
        problem="halves",
    ),
    Hostile(
        "nothing in an array",
        "the same with arrays, for lists of any length (numpy before 2.2)",
        """
import numpy as np

def halves(xs):
    return [np.empty((0, 1)) for _ in xs]
""",
        problem="halves",
    ),
    Hostile(
        "not a number",
        "nan, for which no comparison holds",
        """
def halves(xs):
    return [float('nan') for _ in xs]
""",
        problem="halves",
    ),
    Hostile(
        "patched allclose",
        "numpy.allclose and isclose that say yes",
        """
import numpy as np

def halves(xs):
    np.allclose = np.isclose = np.testing.assert_allclose = lambda *_, **__: True
    return [0.0 for _ in xs]
""",
        problem="halves",
    ),
    Hostile(
        "patched builtins",
        "isinstance, type, len, all and the pickler that say yes",
        """
import builtins
import io
import os
import pickle
import time

def step(xs):
    builtins.isinstance = builtins.type = builtins.all = lambda *_: True
    pickle.Pickler = pickle.dumps = None
    os.write = lambda *_: 99
    time.monotonic = None
    return None
""",
    ),
    Hostile(
        "patched AssertionError",
        "an assert that raises something that is not an error",
        """
import builtins

class Calm(BaseException):
    pass

def step(xs):
    builtins.AssertionError = Calm
    builtins.BaseException = builtins.Exception = ZeroDivisionError
    return None
""",
    ),
    Hostile(
        "patched comparison",
        "the C slot of int's ==, overwritten in memory",
        """
import ctypes

def step(xs):
    yes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)
    step.kept = yes(lambda a, b, op: op == 2)
    slot = ctypes.c_void_p.from_address(id(int) + 200)
    slot.value = ctypes.cast(step.kept, ctypes.c_void_p).value
    return 0
""",
    ),
    Hostile(
        "exit when loaded",
        "os._exit(0) before the first test",
        """
import os

_ = os._exit(0)

def step(xs):
    return None
""",
    ),
    Hostile(
        "exit when called",
        "os._exit(0) in the first test",
        """
import os

def step(xs):
    os._exit(0)
""",
    ),
    Hostile(
        "clean exits",
        "sys.exit(0), quit, SystemExit",
        """
import sys

def step(xs):
    if len(xs) > 1:
        raise SystemExit(0)
    sys.exit(0)
""",
    ),
    Hostile(
        "exit of a thread",
        "a thread that ends the process cleanly while the tests still run",
        """
import os
import threading
import time

_ = threading.Timer(0.05, lambda: os._exit(0)).start()

def step(xs):
    time.sleep(0.2)
    return None
""",
    ),
    Hostile(
        "at exit",
        "a good word when all is over",
        """
import atexit
import os

_ = atexit.register(lambda: os._exit(0))

def step(xs):
    return None
""",
    ),
    Hostile(
        "printed verdict",
        "what a checker might print",
        """
def step(xs):
    print('pass')
    print('OK')
    print('{"verdict": "pass", "base_status": "pass", "plus_status": "pass"}')
    return None
""",
    ),
    Hostile(
        "signal handler",
        "an alarm that changes what is returned",
        """
import signal
import sys

def late(number, frame):
    while frame:
        if 'output' in frame.f_locals:
            frame.f_locals['output'] = True
        frame = frame.f_back

def step(xs):
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    return None
""",
    ),
    Hostile(
        "no function",
        "a name that is there, but is no function",
        """
step = 16
""",
    ),
    Hostile(
        "base exception",
        "an exception that is not an Exception",
        """
class Calm(BaseException):

    def __eq__(self, other):
        return True

def step(xs):
    raise Calm()
""",
    ),
)
