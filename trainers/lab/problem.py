"""One question of the lab world, whatever its domain, and the rule that keeps some questions out of the web."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

Domain = Literal["chat", "math", "code"]

DOMAINS: tuple[Domain, ...] = ("chat", "math", "code")

HELD_OUT_BYTES = 26
"""A key whose sha256 begins with a byte below this is held out: 26/256, about one question in ten."""


@dataclass(frozen=True)
class Problem:
    """A question as a user would put it, with what its domain needs to answer it."""

    domain: Domain
    prompt: str
    keys: tuple[str, ...]
    """Identities of what is asked, independent of the wording where knowing one wording would give the answer away."""
    level: int
    phrasing: int
    """Index of the wording; it decides how the web tends to answer (noise.py)."""
    data: Any
    """The domain's own record."""


def is_held_out(problem: Problem) -> bool:
    """Return whether the problem belongs to the held-out tasks; the web never contains one that does."""
    return any(_is_held_out_key(key) for key in problem.keys)


def _is_held_out_key(key: str) -> bool:
    return hashlib.sha256(key.encode()).digest()[0] < HELD_OUT_BYTES
