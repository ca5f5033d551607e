"""Programs that try to leave the sandbox."""

from tests.hostile.corpus import Hostile

_LIBC = """
import ctypes
import os
import posix

libc = ctypes.CDLL(None, use_errno=True)
"""

PROGRAMS = (
    Hostile(
        "user namespace",
        "unshare(CLONE_NEWUSER), after which it would have all capabilities in there",
        _LIBC
        + """
def step(xs):
    assert libc.unshare(0x10000000) == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "clone into a namespace",
        "clone with CLONE_NEWUSER, should only unshare be refused",
        _LIBC
        + """
def step(xs):
    pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
    if pid == 0:
        posix._exit(0)
    assert pid > 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "clone3 into a namespace",
        "clone3 with CLONE_NEWUSER, whose flags no filter can see",
        _LIBC
        + """
def step(xs):
    args = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
    pid = libc.syscall(435, args, 88)
    if pid == 0:
        posix._exit(0)
    assert pid > 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "32-bit calls",
        "unshare by way of the 32-bit interface (int 0x80), whose calls have other numbers",
        """
import ctypes
import mmap

code = bytes.fromhex('b836010000bb00000010cd80c3')
page = mmap.mmap(-1, 4096, prot=7)
written = page.write(code)
run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

def step(xs):
    assert run() == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "x32 calls",
        "unshare by way of the x32 interface",
        _LIBC
        + """
def step(xs):
    assert libc.syscall(0x40000000 + 272, 0x10000000) == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "mount a file system",
        "a tmpfs of its own, without our size limit, in a namespace of its own",
        _LIBC
        + """
def step(xs):
    libc.unshare(0x10000000 | 0x20000)
    posix.mkdir('/tmp/m')
    assert libc.mount(b't', b'/tmp/m', b'tmpfs', 0, b'size=64g') == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "mount /proc",
        "see the processes of the machine through a fresh /proc",
        _LIBC
        + """
def step(xs):
    libc.unshare(0x10000000 | 0x20000 | 0x20000000)
    posix.mkdir('/tmp/p')
    assert libc.mount(b'p', b'/tmp/p', b'proc', 0, None) == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "make /usr writable",
        "remount what is bound read-only",
        _LIBC
        + """
def step(xs):
    assert libc.mount(None, b'/usr', None, 32 | 4096, None) == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "unmount /tmp",
        "look beneath its own /tmp",
        _LIBC
        + """
def step(xs):
    assert libc.umount2(b'/tmp', 2) == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "chroot out",
        "the classic way out of a changed root",
        _LIBC
        + """
def step(xs):
    posix.mkdir('/tmp/r')
    assert libc.chroot(b'/tmp/r') == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "join the first namespaces",
        "setns to those of process 1",
        _LIBC
        + """
def step(xs):
    for kind in ('mnt', 'pid', 'net', 'user'):
        assert libc.setns(posix.open('/proc/1/ns/' + kind, 0), 0) == 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "become root",
        "setuid(0) and back to the ids it once had",
        _LIBC
        + """
def step(xs):
    assert libc.setresuid(0, 0, 0) == 0
    posix.setgroups([0])
    return max(xs) + 15
""",
    ),
    Hostile(
        "trace another process",
        "ptrace the processes it can name",
        _LIBC
        + """
def step(xs):
    others = [pid for pid in range(1, 400) if pid != posix.getpid()]
    assert any(libc.ptrace(16, pid, None, None) == 0 for pid in [posix.getppid(), *others])
    return max(xs) + 15
""",
    ),
    Hostile(
        "read another's memory",
        "process_vm_readv of its parent",
        _LIBC
        + """
class Piece(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]

def step(xs):
    mine = ctypes.create_string_buffer(8)
    here, there = Piece(ctypes.addressof(mine), 8), Piece(id(xs), 8)
    assert libc.process_vm_readv(posix.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0) == 8
    return max(xs) + 15
""",
    ),
    Hostile(
        "kill the parent",
        "SIGKILL to the process that watches it",
        """
import posix

def step(xs):
    posix.kill(posix.getppid(), 9)
    return None
""",
    ),
    Hostile(
        "kill everybody",
        "SIGKILL to all it may signal, and to its process group",
        """
import posix

def step(xs):
    for target in (-1, 0):
        try:
            posix.kill(target, 9)
        except OSError:
            pass
    return None
""",
    ),
    Hostile(
        "kill by number",
        "SIGKILL to every number",
        """
import posix

def step(xs):
    for pid in range(2, 5000):
        try:
            posix.kill(pid, 9)
        except OSError:
            pass
    return None
""",
    ),
    Hostile(
        "symbolic link",
        "a link from its own folder to a file outside",
        """
import io
import posix

def step(xs):
    posix.symlink(HOME + '/secret', '/tmp/link')
    assert io.open('/tmp/link').read()
    return max(xs) + 15
""",
    ),
    Hostile(
        "file by handle",
        "open_by_handle_at, which knows no root folder",
        _LIBC
        + """
def step(xs):
    handle = (ctypes.c_uint32 * 4)(8, 1, 2, 0)
    assert libc.open_by_handle_at(posix.open('/usr', 0), handle, 0) >= 0
    return max(xs) + 15
""",
    ),
    Hostile(
        "raw devices",
        "the disk and the memory as devices",
        """
import posix

def step(xs):
    opened = 0
    for name, number in (('mem', 0x101), ('vda', 0xfe00), ('sda', 0x800), ('kmsg', 0x10b)):
        try:
            posix.mknod('/tmp/' + name, 0o60600, number)
            opened = posix.open('/tmp/' + name, 0)
        except OSError:
            pass
        try:
            opened = posix.open('/dev/' + name, 0)
        except OSError:
            pass
    assert opened
    return max(xs) + 15
""",
    ),
    Hostile(
        "terminal input",
        "type commands into the terminal of whoever started it (TIOCSTI)",
        """
import fcntl

def step(xs):
    typed = 0
    for fd in range(64):
        try:
            fcntl.ioctl(fd, 0x5412, b'#')
            typed += 1
        except OSError:
            pass
    assert typed
    return max(xs) + 15
""",
    ),
    Hostile(
        "doors of the kernel",
        "bpf, io_uring, userfaultfd, perf, the kernel's log",
        _LIBC
        + """
def step(xs):
    room = ctypes.create_string_buffer(4096)
    calls = [(425, 8, room), (323, 0), (323, 1), (321, 0, room, 72), (298, room, 0, -1, -1, 0), (103, 3, room, 4096)]
    assert any(libc.syscall(*call) >= 0 for call in calls)
    return max(xs) + 15
""",
    ),
)
