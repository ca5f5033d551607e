"""The filter (seccomp) in front of the kernel: system calls that no solution of a problem needs, and that reach around
the namespaces and limits or leave something behind. Stdlib only.

A denied call fails with an error, as on a kernel without it; the program goes on. Processors that are not listed get no
filter.
"""

import ctypes
import platform
import struct
from typing import NamedTuple

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, ERROR = 0x7FFF0000, 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Offsets in the kernel's description of a call; of the argument, its low 32 bits."""

NEW_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEW*, of `clone`."""
SOCKET_FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink: those that the network namespace confines. Vsock, to the host of a virtual machine, it
does not; the others are doors to parts of the kernel that nobody needs."""

_CALLS = {
    "unshare": (272, 97),  # user namespaces, in them mounts: a tmpfs without our size limit, all of the kernel's doors
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "ptrace": (101, 117),  # other processes
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),  # keys belong to the user, and so outlive the program
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),  # shared memory that no limit counts while it is not attached
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "bpf": (321, 280),  # large and often attacked parts of the kernel
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "syslog": (103, 116),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
}
"""Refused calls, by their numbers on x86-64 and ARM64, with the reason for each group."""


class Processor(NamedTuple):
    """What the numbers of system calls depend on."""

    architecture: int
    """As the kernel names it (AUDIT_ARCH_*)."""
    column: int
    """In `_CALLS`."""
    clone: int
    socket: int


PROCESSORS = {"x86_64": Processor(0xC000003E, 0, 56, 41), "aarch64": Processor(0xC00000B7, 1, 220, 198)}
CLONE3 = 435
FOREIGN_NUMBERS = 0x40000000
"""From here on x86-64 counts the calls of another interface (x32) to the same functions."""


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def filter_program(processor: Processor) -> bytes:
    """Return the filter as the kernel takes it: a small program that it runs before each system call."""
    deny = _step(RETURN, ERROR | EPERM)
    steps = [
        _step(LOAD, ARCHITECTURE),
        _step(JUMP_EQUAL, processor.architecture, if_true=1),
        deny,  # calls of the 32-bit interface, which have other numbers
        _step(LOAD, NUMBER),
        _step(JUMP_GREATER_EQUAL, FOREIGN_NUMBERS, if_false=1),
        deny,
    ]
    for numbers in _CALLS.values():
        steps += [_step(JUMP_EQUAL, numbers[processor.column], if_false=1), deny]
    # The flags of clone3 are in memory, out of the filter's sight. Told that there is no clone3, libc uses clone.
    steps += [_step(JUMP_EQUAL, CLONE3, if_false=1), _step(RETURN, ERROR | ENOSYS)]
    steps += [
        _step(JUMP_EQUAL, processor.clone, if_false=4),
        _step(LOAD, FIRST_ARGUMENT),
        _step(JUMP_ANY_BIT, NEW_NAMESPACE_FLAGS, if_false=1),
        deny,
        _step(RETURN, ALLOW),
        _step(JUMP_EQUAL, processor.socket, if_true=1),
        _step(RETURN, ALLOW),
        _step(LOAD, FIRST_ARGUMENT),
    ]
    for family in SOCKET_FAMILIES:
        steps += [_step(JUMP_EQUAL, family, if_false=1), _step(RETURN, ALLOW)]
    return b"".join([*steps, _step(RETURN, ERROR | EAFNOSUPPORT)])


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def prepared_filter() -> _FilterProgram | None:
    """Return this machine's filter; None on a processor whose numbers are not known here."""
    processor = PROCESSORS.get(platform.machine())
    if processor is None or struct.calcsize("P") != 8:
        return None
    steps = filter_program(processor)
    return _FilterProgram(len(steps) // 8, steps)
