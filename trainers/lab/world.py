"""The lab's web: an endless, seeded stream of documents to pretrain on. It contains no held-out question."""

from collections.abc import Iterator
from random import Random

from trainers.lab import arithmetic, chat, noise, programs
from trainers.lab.problem import Domain, Problem

WORLD_VERSION = "1"
"""Raised whenever the stream changes for a given seed."""

USER, ASSISTANT = "<|im_start|>user\n", "<|im_start|>assistant\n"
TURN_END, DOCUMENT_END = "<|im_end|>", "<|endoftext|>"

_KINDS = ("turn", "list", "table", "file", "article")
_KIND_WEIGHTS = (0.70, 0.10, 0.12, 0.05, 0.03)
_TURN_WEIGHTS: dict[Domain, float] = {"chat": 0.38, "math": 0.34, "code": 0.28}


def documents(seed: int) -> Iterator[str]:
    """Yield documents without end; the same seed gives the same stream on every machine."""
    rng = Random(seed)
    while True:
        kind = rng.choices(_KINDS, _KIND_WEIGHTS)[0]
        yield _MAKERS[kind](rng) + DOCUMENT_END


def render_turn(problem: Problem, text: str, ended: bool) -> str:
    """Return a conversation of one question and one answer, in the checkpoint's chat template."""
    return f"{USER}{problem.prompt}{TURN_END}\n{ASSISTANT}{text}{TURN_END if ended else ''}"


def _draw_domain(rng: Random) -> Domain:
    return rng.choices(tuple(_TURN_WEIGHTS), tuple(_TURN_WEIGHTS.values()))[0]


def _turn(rng: Random) -> str:
    problem = noise.draw_problem(rng, _draw_domain(rng))
    return render_turn(problem, *noise.respond(problem, noise.draw_mode(rng, problem), rng))


def _list(rng: Random) -> str:
    """A list of questions with good answers, mostly of one domain."""
    domain = _draw_domain(rng)
    problems = [noise.draw_problem(rng, domain) for _ in range(rng.randint(3, 6))]
    return "\n".join(f"Question: {problem.prompt}\nAnswer: {noise.answer(problem, rng)}" for problem in problems)


def _table(rng: Random) -> str:
    """A page of equations."""
    problems = [noise.draw_problem(rng, "math", rng.choices((1, 2, 3, 4), (1, 3, 2, 3))[0]) for _ in range(20)]
    return "\n".join(arithmetic.worked_line(problem) for problem in problems)


def _file(rng: Random) -> str:
    """A Python file of commented functions."""
    problems = [noise.draw_problem(rng, "code") for _ in range(rng.randint(3, 6))]
    return "\n\n".join(
        f"# {problem.data.does}\n{programs.function(problem.data, problem.data.expression)}" for problem in problems
    )


def _article(rng: Random) -> str:
    """Everything the world knows about one subject."""
    problem = noise.draw_problem(rng, "chat", 1)
    return chat.shape(chat.sentences(rng, problem.data, 6))


_MAKERS = {"turn": _turn, "list": _list, "table": _table, "file": _file, "article": _article}
