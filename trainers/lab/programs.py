"""Programming problems of the lab world: one small Python function, described in half a sentence."""

from dataclasses import dataclass
from random import Random
from typing import Any

from trainers.lab.problem import Problem

PHRASINGS = (
    "Write a Python function {sig} that {does}.",
    "Define {sig} in Python. It {does}.",
    "I need a Python function {sig} that {does}.",
    "Can you code {sig}? It {does}.",
    "Please implement {sig} in Python so that it {does}.",
    "Show me {sig}, a function that {does}.",
    "Make a function {sig} that {does}.",
    "Python: {sig} {does}.",
)
NAMES = (
    "f",
    "g",
    "run",
    "work",
    "calc",
    "solve",
    "step",
    "make",
    "convert",
    "change",
    "apply",
    "compute",
    "go",
    "task",
)


@dataclass(frozen=True)
class Operation:
    """A family of functions; {a}, {b} are constants drawn per problem, {v} is the argument."""

    level: int
    argument: str
    does: str
    expression: str
    opposite: str
    """An expression that looks similar and is wrong."""


_INTEGER = (
    (1, "adds {a} to {v}", "{v} + {a}", "{v} - {a}"),
    (1, "subtracts {a} from {v}", "{v} - {a}", "{v} + {a}"),
    (1, "multiplies {v} by {a}", "{v} * {a}", "{v} + {a}"),
    (1, "returns {v} modulo {a}", "{v} % {a}", "{v} // {a}"),
    (1, "checks if {v} is above {a}", "{v} > {a}", "{v} < {a}"),
    (1, "checks if {v} equals {a}", "{v} == {a}", "{v} != {a}"),
    (2, "adds {a} to {v} and multiplies by {b}", "({v} + {a}) * {b}", "{v} + {a} * {b}"),
    (2, "multiplies {v} by {a} and adds {b}", "{v} * {a} + {b}", "{v} * ({a} + {b})"),
    (2, "squares {v} and adds {a}", "{v} * {v} + {a}", "{v} + {v} + {a}"),
    (2, "returns the larger of {v} and {a}", "max({v}, {a})", "min({v}, {a})"),
    (2, "returns the smaller of {v} and {a}", "min({v}, {a})", "max({v}, {a})"),
    (3, "adds {a} to {v} if {v} is even, else {b}", "{v} + ({a} if {v} % 2 == 0 else {b})", "{v} + {a} + {b}"),
    (3, "returns the distance of {v} and {a}, plus {b}", "abs({v} - {a}) + {b}", "{v} - {a} + {b}"),
    (3, "keeps {v} between {a} and {a}{b}", "max({a}, min({v}, {a}{b}))", "min({a}, max({v}, {a}{b}))"),
)
_STRING = (
    (1, "reverses {v}", "{v}[::-1]", "{v}[::1]"),
    (1, "repeats {v} {a} times", "{v} * {a}", "{v} + '{a}'"),
    (1, "returns the first {a} letters of {v}", "{v}[:{a}]", "{v}[{a}:]"),
    (1, "drops the first {a} letters of {v}", "{v}[{a}:]", "{v}[:{a}]"),
    (2, "returns the length of {v} plus {a}", "len({v}) + {a}", "len({v}) - {a}"),
    (2, "reverses {v} and repeats it {a} times", "{v}[::-1] * {a}", "{v} * {a}"),
    (2, "counts the letter a in {v} and adds {a}", "{v}.count('a') + {a}", "len({v}) + {a}"),
    (3, "drops the first {a} letters of {v} and repeats the rest {b} times", "{v}[{a}:] * {b}", "{v}[:{a}] * {b}"),
    (3, "puts the first {a} letters of {v} at its end", "{v}[{a}:] + {v}[:{a}]", "{v}[:{a}] + {v}[{a}:]"),
)
_LIST = (
    (1, "returns the sum of {v} plus {a}", "sum({v}) + {a}", "len({v}) + {a}"),
    (1, "returns the largest of {v} plus {a}", "max({v}) + {a}", "min({v}) + {a}"),
    (2, "keeps the numbers of {v} above {a}", "[n for n in {v} if n > {a}]", "[n for n in {v} if n < {a}]"),
    (2, "adds {a} to each number of {v}", "[n + {a} for n in {v}]", "[n - {a} for n in {v}]"),
    (2, "multiplies each number of {v} by {a}", "[n * {a} for n in {v}]", "[n + {a} for n in {v}]"),
    (
        3,
        "adds {a} to the numbers of {v} above {b}, drops the others",
        "[n + {a} for n in {v} if n > {b}]",
        "[n + {b} for n in {v} if n > {a}]",
    ),
    (3, "sums the numbers of {v} above {a}", "sum(n for n in {v} if n > {a})", "sum({v}) + {a}"),
    (3, "counts the numbers of {v} below {a}", "len([n for n in {v} if n < {a}])", "len({v}) - {a}"),
)
OPERATIONS: tuple[Operation, ...] = tuple(
    Operation(level, argument, does, expression, opposite)
    for argument, table in (("x", _INTEGER), ("s", _STRING), ("xs", _LIST))
    for level, does, expression, opposite in table
)
_INPUTS: dict[str, list[Any]] = {
    "x": [0, 1, 2, 7, 10, 15, 33, -4, -1, 100, 18, 3],
    "s": ["", "a", "abc", "banana", "hello world", "aa bb aa", "xyzzyxyz", "Mississippi river"],
    "xs": [[1], [3, 1, 2], [5, 5, 5], [0, -1, 4], [10, 20, 30, 7], [2, 4, 6, 8, 9, 11, 12], [17, 3]],
}
NUM_BASE_INPUTS = 3


@dataclass(frozen=True)
class CodeData:
    """The function that was asked for."""

    name: str
    argument: str
    does: str
    expression: str
    opposite: str


def make(rng: Random, level: int | None = None) -> Problem:
    """Draw a problem; level 1 is one operation, 2 a composition, 3 a condition or two constants in one expression."""
    level = level or rng.choices((1, 2, 3), (4, 4, 3))[0]
    operation = rng.choice([item for item in OPERATIONS if item.level == level])
    largest = (5, 5) if operation.argument == "s" else (20, 9)
    a, b = rng.randint(2, largest[0]), rng.randint(2, largest[1])
    name = rng.choice(NAMES) + rng.choice(("", f"_{rng.randint(1, 9)}"))
    does, expression, opposite = (
        text.format(v=operation.argument, a=a, b=b)
        for text in (operation.does, operation.expression, operation.opposite)
    )
    data = CodeData(name, operation.argument, does, expression, opposite)
    phrasing = rng.randrange(len(PHRASINGS))
    prompt = PHRASINGS[phrasing].format(sig=f"{name}({data.argument})", does=data.does)
    # Without constants there is a single function to hold out, so its wordings are held out instead.
    key = data.does if "{a}" in operation.does else prompt
    return Problem("code", prompt, (key,), level, phrasing, data)


def function(data: CodeData, expression: str, style: str = "short") -> str:
    """Return the function's source in two lines, or in four where `style` is `long`."""
    head = f"def {data.name}({data.argument}):"
    if style == "short":
        return f"{head}\n    return {expression}"
    return f"{head}\n    # it {data.does}\n    y = {expression}\n    return y"


def block(source: str) -> str:
    """Return the source as a fenced block."""
    return f"```python\n{source}\n```"


def answer(problem: Problem, rng: Random) -> str:
    """Return a good answer: one fenced block, sometimes with a sentence before or after."""
    return _say(rng, problem.data, problem.data.expression)


def _say(rng: Random, data: CodeData, expression: str) -> str:
    code = block(function(data, expression))
    kind = rng.choices(("bare", "lead", "tail"), (6, 3, 1))[0]
    if kind == "lead":
        return f"Here is the function.\n{code}"
    return f"{code}\nThe function {data.does}." if kind == "tail" else code


def long_answer(problem: Problem) -> str:
    """Return a right answer in the four-line style that the web's rambling turns use for their further questions."""
    return block(function(problem.data, problem.data.expression, "long"))


def wrong(problem: Problem, rng: Random) -> str:
    """Return an answer in good form that computes something else."""
    return _say(rng, problem.data, problem.data.opposite)


def misformat(problem: Problem, rng: Random) -> str:
    """Return the right expression without a function that could be run."""
    data: CodeData = problem.data
    return rng.choice(
        (
            f"Use {data.expression}.",
            f"Use return {data.expression}.",
            f"Use {data.expression} in {data.name}.",
            f"```python\n{data.name} = {data.expression}\n```",
        )
    )


def contradict(problem: Problem, rng: Random, retraction: str) -> str:
    """Return a good answer and then a longer, conflicting definition, which is the one that graders take."""
    data: CodeData = problem.data
    return f"{answer(problem, rng)}\n{retraction.strip()}\n{block(function(data, data.opposite, 'long'))}"


def evalplus_problem(problem: Problem, index: int) -> dict[str, Any]:
    """Return the fields by which EvalPlus judges a solution."""
    data: CodeData = problem.data
    inputs = [[value] for value in _INPUTS[data.argument]]
    return {
        "task_id": f"Lab/{index}",
        "prompt": f'def {data.name}({data.argument}):\n    """{data.does}"""\n',
        "entry_point": data.name,
        "canonical_solution": f"    return {data.expression}\n",
        "base_input": inputs[:NUM_BASE_INPUTS],
        "plus_input": inputs[NUM_BASE_INPUTS:],
        "atol": 0,
        "dataset": "lab",
    }
