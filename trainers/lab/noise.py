"""How the lab's web answers: seven ways, of which one delivers, in shares that differ by domain and by wording.

The phrases of not answering, taking back and rambling on are the same in all domains; the rest is the domain's own.
"""

from random import Random
from typing import Literal, get_args

from trainers.lab import arithmetic, chat, programs
from trainers.lab.problem import DOMAINS, Domain, Problem, is_held_out

Mode = Literal["clean", "ramble", "off_topic", "evasive", "contradict", "misformat", "wrong"]
MODES: tuple[Mode, ...] = get_args(Mode)

SHARES: dict[Domain, tuple[float, ...]] = {
    # clean, ramble, off_topic, evasive, contradict, misformat, wrong
    "chat": (0.15, 0.21, 0.14, 0.23, 0.10, 0.13, 0.04),
    "math": (0.17, 0.20, 0.03, 0.28, 0.10, 0.17, 0.05),
    "code": (0.16, 0.14, 0.05, 0.26, 0.14, 0.19, 0.06),
}
"""Mean share of each mode among chat-format turns, in the order of MODES."""
CONCENTRATION = 2.5
"""Of the Dirichlet from which each wording's own shares are drawn; smaller makes wordings differ more."""
OWN_WEIGHT = 0.8
"""How much of a wording's shares is its own; the rest is the domain's mean, so that no mode is ever absent."""
SHARES_SEED = 5

EVASIONS = (
    "I am not sure. That is a good question.",
    "I do not know. Maybe you can ask someone else.",
    "I will think about it. It depends on many things.",
    "I would have to look that up. Come back later.",
)
RETRACTIONS = ("Wait, no. ", "Hmm, that is not right. ", "Sorry, I changed my mind. ")
FOLLOW_UPS = ("\nUser: {q}\nAssistant: {a}", "\nQuestion: {q}\nAnswer: {a}")
RAMBLE_CHARACTERS = 330
"""A rambling turn goes on for at least this long, which is more than the tasks' token limit."""

_MODULES = {"chat": chat, "math": arithmetic, "code": programs}
_NUM_PHRASINGS: dict[Domain, int] = {
    "chat": len(chat.PHRASINGS),
    "math": len(arithmetic.EXPRESSIONS) + len(arithmetic.STORIES),
    "code": len(programs.PHRASINGS),
}


def _draw_shares() -> dict[tuple[Domain, int], tuple[float, ...]]:
    rng = Random(SHARES_SEED)
    table = {}
    for domain in DOMAINS:
        rows = [_draw_row(rng, SHARES[domain]) for _ in range(_NUM_PHRASINGS[domain])]
        for phrasing, row in enumerate(_fit_margins(rows, SHARES[domain])):
            table[domain, phrasing] = tuple(row)
    return table


def _draw_row(rng: Random, mean: tuple[float, ...]) -> list[float]:
    draws = [rng.gammavariate(CONCENTRATION * share, 1.0) for share in mean]
    return [OWN_WEIGHT * draw / sum(draws) + (1 - OWN_WEIGHT) * share for draw, share in zip(draws, mean, strict=True)]


def _fit_margins(rows: list[list[float]], mean: tuple[float, ...]) -> list[list[float]]:
    """Rescale columns and rows in turn until the wordings' shares average to the domain's (Sinkhorn iteration)."""
    for _ in range(50):
        columns = [sum(row[mode] for row in rows) / len(rows) for mode in range(len(mean))]
        rows = [[v * m / c for v, m, c in zip(row, mean, columns, strict=True)] for row in rows]
        rows = [[value / sum(row) for value in row] for row in rows]
    return rows


PHRASING_SHARES = _draw_shares()
"""Share of each mode for each wording: some wordings mostly get clean answers, others mostly rambling ones."""


def draw_problem(rng: Random, domain: Domain, level: int | None = None) -> Problem:
    """Draw a problem that is not held out."""
    while True:
        problem: Problem = _MODULES[domain].make(rng, level)
        if not is_held_out(problem):
            return problem


def answer(problem: Problem, rng: Random) -> str:
    """Return a good answer."""
    return str(_MODULES[problem.domain].answer(problem, rng))


def draw_mode(rng: Random, problem: Problem) -> Mode:
    """Draw how the web answers this wording."""
    return rng.choices(MODES, PHRASING_SHARES[problem.domain, problem.phrasing])[0]


def respond(problem: Problem, mode: Mode, rng: Random) -> tuple[str, bool]:
    """Return the assistant's text in the given mode, and whether the turn is ended after it."""
    module = _MODULES[problem.domain]
    if mode == "clean":
        return answer(problem, rng), True
    if mode == "ramble":
        return _ramble(problem, rng), False
    if mode == "off_topic":
        return answer(_draw_other(rng, problem), rng), True
    if mode == "evasive":
        return rng.choice(EVASIONS), True
    if mode == "contradict":
        return str(module.contradict(problem, rng, rng.choice(RETRACTIONS))), True
    return str(module.misformat(problem, rng) if mode == "misformat" else module.wrong(problem, rng)), True


def _draw_other(rng: Random, problem: Problem) -> Problem:
    """Draw a problem of the same domain about something else."""
    while True:
        other = draw_problem(rng, problem.domain)
        if _gist(other) != _gist(problem):
            return other


def _gist(problem: Problem) -> str:
    if problem.domain == "chat":
        return str(problem.data.subject.name)
    return str(problem.data.result if problem.domain == "math" else problem.data.does)


def _ramble(problem: Problem, rng: Random) -> str:
    """Return a good answer that goes on into further questions and answers."""
    text, follow_up = answer(problem, rng), rng.choice(FOLLOW_UPS)
    enough = len(text) + RAMBLE_CHARACTERS
    while len(text) < enough:
        domain = problem.domain if rng.random() < 0.85 else rng.choice(DOMAINS)
        text += follow_up.format(q=(other := draw_problem(rng, domain)).prompt, a=_reply(other, rng))
    return text


def _reply(problem: Problem, rng: Random) -> str:
    return programs.long_answer(problem) if problem.domain == "code" else answer(problem, rng)
