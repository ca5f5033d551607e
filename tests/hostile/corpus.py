"""What a hostile program is: a text that defines the function asked for and gets its result by any means but solving.

Where an attack can be seen to work, the program answers rightly if it did, so that its score says what happened.
The words HOME, ROOT, PORT and ABSTRACT in a text stand for a folder with a secret, the project's folder, the port of a
server and the name of a socket outside the sandbox; `stage` in `outside.py` fills them in.
"""

from dataclasses import dataclass
from typing import Any

FAMILIES = {
    "escape": "leave the sandbox: namespaces, mounts, other processes, doors of the kernel",
    "exfiltrate": "reach the network, files, the environment, or the expected outputs",
    "exhaust": "use up memory, processes, files, disk, CPU, or the checker itself",
    "impersonate": "pass for right: objects equal to everything, patched functions, early and clean exits",
    "tamper": "write the verdict: result pipes, shared memory, the checker's state and files",
    "survive": "outlive the time limit or the program: signals, daemons, calls that never return",
}

STEP: dict[str, Any] = {
    "task_id": "Lab/0",
    "prompt": 'def step(xs):\n    """returns the largest of xs plus 15"""\n',
    "entry_point": "step",
    "canonical_solution": "    return max(xs) + 15\n",
    "base_input": [[[1]], [[3, 1, 2]], [[5, 5, 5]]],
    "plus_input": [[[0, -1, 4]], [[10, 20, 30, 7]], [[2, 4, 6, 8, 9, 11, 12]], [[17, 3]]],
    "atol": 0,
}
"""The first problem of the lab (tests compare it with the file), which nearly all programs are for."""

HALVES: dict[str, Any] = {
    "task_id": "Lab/halves",
    "prompt": 'def halves(xs):\n    """returns half of each number in xs"""\n',
    "entry_point": "halves",
    "canonical_solution": "    return [x / 2 for x in xs]\n",
    "base_input": [[[1]], [[4]]],
    "plus_input": [[[-3]]],
    "atol": 0,
}
"""A problem whose outputs are compared with a tolerance."""


@dataclass(frozen=True)
class Hostile:
    """One program."""

    name: str
    tries: str
    text: str
    problem: str = "step"
    """Function of the problem it is given for."""
    slow: bool = False
    """Whether it takes long or much memory to stop, and is left to the campaign."""

    @property
    def row(self) -> dict[str, Any]:
        """The problem as EvalPlus states it."""
        return {"step": STEP, "halves": HALVES}[self.problem]


def honest(row: dict[str, Any]) -> str:
    """Return the right program for a problem."""
    return str(row["prompt"] + row["canonical_solution"])
