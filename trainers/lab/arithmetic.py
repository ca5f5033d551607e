"""Arithmetic problems of the lab world: one operation on two numbers, or a short story of two steps."""

from dataclasses import dataclass
from random import Random

from trainers.lab.problem import Problem

EXPRESSIONS = (
    "What is {e}?",
    "Compute {e}.",
    "Calculate {e} for me.",
    "{e} = ?",
    "How much is {e}?",
    "Please work out {e}.",
    "Can you tell me {e}?",
    "I need the result of {e}.",
)
STORIES = (
    "{who} has {a} {what}. {who} buys {b} more and gives away {c}. How many {what} does {who} have?",
    "{who} has {a} bags with {b} {what} each and finds {c} more. How many {what} are there?",
    "There are {a} {what} in a box. {who} takes {b} and puts back {c}. How many {what} are in the box?",
    "{who} reads {a} pages a day for {b} days and then {c} pages more. How many pages are read?",
)
NAMES = ("Tom", "Anna", "Ben", "Mia", "Sam", "Lena")
THINGS = ("apples", "books", "coins", "stones", "cards", "eggs")


@dataclass(frozen=True)
class MathData:
    """The steps that lead to the result, each an expression and its value."""

    steps: tuple[tuple[str, int], ...]

    @property
    def result(self) -> int:
        """Value of the last step."""
        return self.steps[-1][1]


def _step(a: int, operator: str, b: int) -> tuple[str, int]:
    value = {"+": a + b, "-": a - b, "*": a * b}[operator]
    return f"{a} {operator} {b}", value


def _keys(steps: tuple[tuple[str, int], ...], prompt: str) -> tuple[str, ...]:
    """Return the large steps in any wording; small facts (both numbers below 10) are held out by wording only."""
    large = []
    for expression, _ in steps:
        a, operator, b = expression.split(" ")
        if max(int(a), int(b)) >= 10:
            first, second = (a, b) if operator == "-" else sorted((a, b), key=int)
            large.append(f"{first} {operator} {second}")
    return tuple(large) or (prompt,)


def make(rng: Random, level: int | None = None) -> Problem:
    """Draw a problem: 1 single digits, 2 two digits, 3 stories and products, 4 three digits."""
    level = level or rng.choices((1, 2, 3, 4), (3, 4, 3, 2))[0]
    if level == 3 and rng.random() < 0.6:
        return _story(rng)
    steps = (_draw_expression(rng, level),)
    phrasing = rng.randrange(len(EXPRESSIONS))
    prompt = EXPRESSIONS[phrasing].format(e=steps[0][0])
    return Problem("math", prompt, _keys(steps, prompt), level, phrasing, MathData(steps))


def _draw_expression(rng: Random, level: int) -> tuple[str, int]:
    if level == 1:
        operator = rng.choice("+-*")
        a, b = rng.randint(1, 9), rng.randint(1, 9)
    elif level == 3:
        operator, a, b = "*", rng.randint(11, 29), rng.randint(2, 9)
    else:
        operator = rng.choice("+-")
        low, high = (10, 99) if level == 2 else (100, 999)
        a, b = rng.randint(low, high), rng.randint(low, high)
        if level == 2 and rng.random() < 0.3:
            b = rng.randint(1, 9)
    if operator == "-" and b > a:
        a, b = b, a
    return _step(a, operator, b)


def _story(rng: Random) -> Problem:
    index = rng.randrange(len(STORIES))
    a, b, c = rng.randint(4, 30), rng.randint(2, 9), rng.randint(1, 9)
    if index in (1, 3):
        a, (first, second) = rng.randint(2, 9), ("*", "+")
    elif index == 0:
        first, second = "+", "-"
    else:
        a, (first, second) = max(a, b), ("-", "+")
    one = _step(a, first, b)
    steps = (one, _step(one[1], second, c))
    prompt = STORIES[index].format(who=rng.choice(NAMES), what=rng.choice(THINGS), a=a, b=b, c=c)
    return Problem("math", prompt, (prompt, *_keys(steps, prompt)), 3, len(EXPRESSIONS) + index, MathData(steps))


def _say(rng: Random, steps: tuple[tuple[str, int], ...], result: int) -> str:
    shown = [f"{expression} = {value}." for expression, value in steps[:-1]]
    last = f"{steps[-1][0]} = {result}."
    if shown:
        return " ".join([*shown, last, f"The answer is {result}."])
    return rng.choices((f"{last} The answer is {result}.", f"The answer is {result}.", last), (3, 4, 3))[0]


def answer(problem: Problem, rng: Random) -> str:
    """Return a good answer: the steps of a story, and the result last."""
    return _say(rng, problem.data.steps, problem.data.result)


def _near(rng: Random, value: int) -> int:
    return value + rng.choice((-10, -2, -1, 1, 2, 10))


def wrong(problem: Problem, rng: Random) -> str:
    """Return an answer in good form with a wrong result."""
    return _say(rng, problem.data.steps, _near(rng, problem.data.result))


def misformat(problem: Problem, rng: Random) -> str:
    """Return an answer that says the right number and buries it under others."""
    expression, result = problem.data.steps[-1][0], problem.data.result
    return rng.choice(
        (
            f"It is {result}, as you see from {expression}.",
            f"It is {result}, see page {rng.randint(2, 90)} of the book.",
            f"It is {result}. I checked it {rng.randint(2, 6)} times.",
            f"It is {result}. This was question {rng.randint(2, 40)} of {rng.randint(41, 60)}.",
        )
    )


def contradict(problem: Problem, rng: Random, retraction: str) -> str:
    """Return a good answer, taken back for a wrong one."""
    return f"{answer(problem, rng)} {retraction}The answer is {_near(rng, problem.data.result)}."


def worked_line(problem: Problem) -> str:
    """Return the bare equations, as a table of a textbook has them."""
    return ", ".join(f"{expression} = {value}" for expression, value in problem.data.steps)
