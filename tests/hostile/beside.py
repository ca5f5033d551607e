"""Runs hostile programs through `evalplus.evaluate`, in a container of ours, because EvalPlus itself has none.

The container (bubblewrap: no network, read-only system, own processes and /tmp, a user without rights, kernel limits)
is there for the machine's sake. What the programs would like to reach outside EvalPlus is inside it: the secret, the
servers, the file of problems. Each program is judged beside an honest one, for another problem, in the same run.
"""

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Any, Literal

from harness.scorers.sandbox_command import _interpreter, _seen_as, _site_folders, _system_binds, _worker_uid
from tests.hostile.corpus import Hostile, honest
from tests.hostile.outside import LEFT_FILES, fill_in

SECONDS = 60.0
"""Time for one run; EvalPlus itself gives a program a few seconds, and an honest run takes about four."""
HOME = "/tmp/home"
PORT = 45679
ABSTRACT = "\0outside"
LIMITS = {"NPROC": 64, "FSIZE": 64 << 20, "CPU": 90, "NOFILE": 256, "AS": 6 << 30, "CORE": 0}

DRIVER = """
import json, os, resource, signal, socket, subprocess, sys, time
job = json.loads(sys.stdin.readline())
for name, value in job['limits'].items():
    resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (value, value))
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(job['uid'], job['uid'], job['uid'])
    os.setresuid(job['uid'], job['uid'], job['uid'])
home = job['home']
os.makedirs(home)
os.chdir(home)
open('secret', 'w').write('a secret')
for name in ('problems', 'given'):
    open(name + '.jsonl', 'w').write(''.join(json.dumps(row) + chr(10) for row in job[name]))
servers = [socket.create_server(('127.0.0.1', job['port'])), *(socket.socket(socket.AF_UNIX) for _ in range(2))]
servers[1].bind(home + '/socket')
servers[2].bind(job['abstract'])
for server in servers:
    server.listen()
environment = {**os.environ, 'HOME': home, 'XDG_CACHE_HOME': home + '/cache', 'HARNESS_SECRET': 'a secret',
               'HUMANEVAL_OVERRIDE_PATH': home + '/problems.jsonl', 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
command = [sys.executable, '-m', 'evalplus.evaluate', '--dataset', 'humaneval', '--samples', home + '/given.jsonl']
process = subprocess.Popen([*command, '--parallel', '1'], env=environment, start_new_session=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
deadline, result, ending = time.monotonic() + job['seconds'], None, 'hung'
while time.monotonic() < deadline:
    ended = process.poll() is not None
    try:
        result = json.load(open(home + '/given_eval_results.json'))['eval']
    except (OSError, ValueError, KeyError):
        pass
    if result or ended:
        ending = 'ended' if result else 'crashed'
        break
    time.sleep(0.05)
time.sleep(0.2)
try:
    os.killpg(process.pid, signal.SIGKILL)  # it lingers for up to 20 s when it is done
except ProcessLookupError:
    pass
process.wait()
time.sleep(0.3)
left = []
for name in os.listdir('/proc'):
    try:
        if name.isdigit() and int(name) not in (1, os.getpid()) and ') Z ' not in open(f'/proc/{name}/stat').read():
            left.append('process')
    except OSError:
        pass
found = [name for name in job['traces'] for folder in (home, '/tmp', '/dev/shm') if os.path.lexists(f'{folder}/{name}')]
print(json.dumps({'ending': ending, 'result': result, 'left': left + found}), flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Beside:
    """What EvalPlus made of one program."""

    passed: bool
    ending: Literal["ended", "crashed", "hung"]
    neighbour_passed: bool
    """Whether the honest program in the same run passed."""
    left: tuple[str, ...]
    """Processes and files found in the container when EvalPlus had ended."""


def _container() -> list[str]:
    """Return the command up to the driver; the user is changed inside, where bubblewrap runs as root."""
    if os.getuid() == 0:
        arguments = ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"]
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        arguments = ["--unshare-all"]
    room = ["--perms", "1777", "--size", str(256 << 20), "--tmpfs"]
    places = ["--dev", "/dev", *room, "/dev/shm", *room, "/tmp", "--proc", "/proc", "--remount-ro", "/"]
    return ["bwrap", "--die-with-parent", *arguments, *_system_binds(), *places, "--chdir", "/"]


def run_beside(program: Hostile) -> Beside:
    """Judge one program with EvalPlus."""
    text = fill_in(program.text, {"HOME": HOME, "ROOT": f"{HOME}/project", "PORT": PORT, "ABSTRACT": ABSTRACT})
    rows = [{**program.row, "task_id": f"HumanEval/{number}", "contract": ""} for number in range(2)]
    solutions = [text, honest(program.row)]
    samples = [{"task_id": row["task_id"], "solution": solutions[number]} for number, row in enumerate(rows)]
    job = {
        "uid": _worker_uid(),
        "limits": LIMITS,
        "home": HOME,
        "port": PORT,
        "abstract": ABSTRACT,
        "problems": rows,
        "given": samples,
        "seconds": SECONDS,
        "traces": LEFT_FILES,
    }
    return _read(_drive(json.dumps(job) + "\n"))


def _drive(job: str) -> str:
    """Run the driver in its container; nothing comes back from one that was killed or hangs."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": ":".join(map(_seen_as, _site_folders()))}
    command = [*_container(), _seen_as(_interpreter()), "-B", "-c", DRIVER]
    with subprocess.Popen(
        command,
        env=environment,
        text=True,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            output, _ = process.communicate(job, SECONDS + 30)
        except subprocess.TimeoutExpired:
            output = json.dumps({"ending": "hung", "result": None, "left": []})
        except BrokenPipeError:
            output = ""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return output


def _read(output: str) -> Beside:
    if not output.strip():
        return Beside(False, "crashed", False, ())
    reply: dict[str, Any] = json.loads(output.splitlines()[-1])
    verdicts = [
        [one["base_status"] == one["plus_status"] == "pass" for one in rows]
        for _, rows in sorted((reply["result"] or {}).items())
    ]
    passed, neighbour, *_ = [*verdicts, [False], [False]]
    return Beside(all(passed), reply["ending"], all(neighbour), tuple(reply["left"]))
