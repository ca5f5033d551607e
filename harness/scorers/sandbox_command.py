"""The command lines that start sandboxed processes, and the limits programs run under."""

import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Literal

from harness.errors import SandboxError

Mode = Literal["bubblewrap", "process"]

LIMITS: dict[str, int] = {
    "memory_bytes": 4 << 30,  # address space of each process, as EvalPlus
    "file_bytes": 16 << 20,  # one file
    "tmp_bytes": 64 << 20,  # the private /tmp
    "processes": 16,  # processes and threads of one program
    "open_files": 64,
    "output_bytes": 256 << 20,  # all encoded outputs of one run
    "idle_seconds": 30,  # wall-clock time minus CPU time: stops programs that sleep
}
"""What every program gets; the time limits come with each request. Part of the scorer's version."""

INSTALL_LINE = (
    "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap), "
    "or choose the weaker --sandbox=process"
)
OUR_PACKAGES = ("harness", "tasks", "trainers", "reports")
"""Hidden from programs even where they are installed into site-packages: they hold reference solutions."""

_BOOTSTRAP = """
import importlib, json, sys
config = json.loads(sys.argv[1])
sys.path.insert(0, config["package"])
module = importlib.import_module("harness.scorers." + config["module"])
sys.path.remove(config["package"])
for name in ("harness", "harness.scorers"):
    sys.modules[name].__path__ = []
sys.path += config["site"]
module.main(config)
"""
_KEEP_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL")
_counter = itertools.count()


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


def _site_folders() -> list[str]:
    names = ("site-packages", "dist-packages")
    return [path for path in sys.path if os.path.basename(path) in names and os.path.isdir(path)]


def _package_root() -> Path:
    return Path(__file__).resolve().parents[2]


def _inside(path: str, folders: list[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _seen_as(path: str) -> str:
    """Return where a host path is inside the sandbox: the same place, but for /tmp, which each program gets empty."""
    return f"/sandbox/host{path}" if _inside(path, ["/tmp"]) else path  # noqa: S108 - a path to compare with


def _system_binds() -> list[str]:
    """Return bwrap arguments for the system, the Python installation and its packages, all read-only."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = f"/{name}"
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            arguments += ["--ro-bind", path, path]
    arguments += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    arguments += ["--perms", "0755", "--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null"]
    arguments += ["--dev-bind", "/dev/urandom", "/dev/urandom", "--dev-bind", "/dev/zero", "/dev/zero"]
    bound = ["/usr"]
    for path in [sys.base_prefix, sys.base_exec_prefix, *_site_folders()]:
        if not _inside(path, bound):
            arguments += [*_open_parents(_seen_as(path)), "--ro-bind", path, _seen_as(path)]
            bound.append(path)
    for package in OUR_PACKAGES:
        folder = str(_package_root() / package)
        if _inside(folder, bound) and os.path.isdir(folder):
            arguments += ["--tmpfs", _seen_as(folder)]
    return arguments


def _open_parents(path: str) -> list[str]:
    """Return bwrap arguments that make the folders above a bind point passable; bwrap itself makes them private."""
    parents = [str(parent) for parent in reversed(Path(path).parents) if str(parent) != "/"]
    return [argument for parent in parents for argument in ("--perms", "0755", "--dir", parent)]


def _own_binds(modules: tuple[str, ...]) -> list[str]:
    here = Path(__file__).resolve().parent
    arguments = _open_parents("/sandbox/harness/scorers/x")
    for module in modules:
        arguments += ["--ro-bind", str(here / f"{module}.py"), f"/sandbox/harness/scorers/{module}.py"]
    return arguments


def _bubblewrap(modules: tuple[str, ...]) -> list[str]:
    """Return the bwrap command up to the program to start.

    Two usual options are left out on purpose. `--die-with-parent` fires when the *thread* that started the sandbox
    ends; ours leaves by itself when the host's end of its pipe closes. `--new-session` would take the inside out of
    the process group by which a sandbox that hangs is killed; the host has put it into a session of its own already.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError(f"generated programs need bubblewrap and `bwrap` is not on PATH: {INSTALL_LINE}")
    if os.getuid() == 0:
        arguments = ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        arguments += ["--cap-drop", "ALL"]
    else:
        arguments = ["--unshare-all"]
    for capability in _KEEP_CAPABILITIES:
        arguments += ["--cap-add", capability]
    tail = ["--dir", "/tmp", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108 - inside the sandbox
    return [program, *arguments, *_system_binds(), *_own_binds(modules), *tail]


def _worker_uid() -> int | None:
    """Return a user id that no other worker on this machine has, or None if we are not root.

    The kernel counts processes per user over the whole machine, so workers must not share one.
    """
    if os.getuid() != 0:
        return None
    last = Path("/proc/self/uid_map").read_text().splitlines()[-1].split()
    available = int(last[0]) + int(last[2])
    serial = (os.getpid() % (1 << 22)) * 128 + next(_counter) % 128
    if available >= 1 << 31:
        return (1 << 29) + serial
    return 10_000 + serial % max(1, available - 10_001)


def sandbox_command(mode: Mode, module: str, modules: tuple[str, ...]) -> list[str]:
    """Return the command that runs `module`'s main in a sandbox that can see `modules` of this package."""
    if sys.platform != "linux":
        raise SandboxError(f"generated programs can only be run on Linux, and this is {sys.platform}")
    namespaces = mode == "bubblewrap"
    seen_as = _seen_as if namespaces else str
    config = {
        "module": module,
        "package": "/sandbox" if namespaces else str(_package_root()),
        "site": [seen_as(folder) for folder in _site_folders()],
        "namespaces": namespaces,
        "uid": _worker_uid(),
        "limits": LIMITS,
    }
    prefix = _bubblewrap(modules) if namespaces else []
    python = [seen_as(_interpreter()), "-S", "-P", "-B", "-c", _BOOTSTRAP, json.dumps(config)]
    # Memory pressure must end programs, not the run: the shell raises their out-of-memory score before anything starts.
    shell = ["/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"', "sh"]
    return [*shell, *prefix, *python]
