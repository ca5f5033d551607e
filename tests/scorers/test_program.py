"""Programs are scored as EvalPlus scores them, and no program can score by other means or do harm."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import DataError, ScorerError
from harness.schema import Example, Generation, RequestKey, Score, ScorerOptions
from harness.scorers import expected, program, program_problem
from harness.scorers.program import ProgramScorer
from tests.hostile.outside import settled_descendants
from tests.scorers.program_data import read_problems

GOOD = "def square(x):\n    return x * x\n"


def lab_example(reference: str = "    return x * x\n", **fields: object) -> Example:
    metadata = {
        "dataset": "lab",
        "task_id": "lab/square",
        "prompt": "def square(x):\n",
        "entry_point": "square",
        "canonical_solution": reference,
        "base_input": [[1], [2], [3]],
        "plus_input": [[-4], [0], [5]],
        "atol": 0,
    }
    return Example(task="lab_code", example_id="1", input="", target=None, metadata=metadata | fields)


def generation(text: str) -> Generation:
    return Generation(
        key=RequestKey(task="lab_code", example_id="1", index=0),
        text=text,
        finish_reason="stop",
        num_prompt_tokens=None,
        num_completion_tokens=None,
        seconds=0.0,
    )


@pytest.fixture(scope="module")
def scorer() -> Iterator[ProgramScorer]:
    made = ProgramScorer(ScorerOptions(num_workers=2))
    yield made
    made.close()


@pytest.fixture(scope="module")
def strict() -> Iterator[ProgramScorer]:
    """A scorer with limits that are reached sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "INPUT_CPU_SECONDS", 0.5)
        patch.setitem(program.LIMITS, "memory_bytes", 1 << 29)
        patch.setitem(program.LIMITS, "output_bytes", 1 << 24)
        patch.setitem(program.LIMITS, "idle_seconds", 1)
        made = ProgramScorer(ScorerOptions(num_workers=2))
        yield made
        made.close()


def judge(scorer: ProgramScorer, text: str, **fields: object) -> Score:
    return scorer.score(lab_example(**fields), generation(text))  # type: ignore[arg-type]


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_right_program_scores_one(scorer: ProgramScorer) -> None:
    """A program that agrees with the reference on all inputs scores 1 on base and plus."""
    score = judge(scorer, f"Here you are:\n```python\n{GOOD}```\nIt squares.")
    assert (score.value, score.outcome, score.parts) == (1.0, "scored", {"base": (1.0,)})
    assert score.answer is not None
    assert score.answer.strip() == GOOD.strip()
    assert score.scorer == f"evalplus@{scorer.version}"


@pytest.mark.parametrize(
    ("text", "base", "outcome", "detail"),
    [
        ("def square(x):\n    return x + x\n", 0.0, "scored", "base input 0: wrong output"),
        ("def square(x):\n    return abs(x) * x\n", 1.0, "scored", "plus input 0: wrong output"),
        ("def square(x):\n    return str(x * x)\n", 0.0, "scored", "base input 0: wrong output"),
        ("def square(x):\n    print(x * x)\n    return\n", 0.0, "scored", "base input 0: wrong output"),
        ("def square(x):\n    return 9 // (3 - x)\n", 0.0, "scored", "base input 0: wrong output"),
        ("def square(x):\n    return [1, 4][x - 1]\n", 0.0, "scored", "base input 2: raised IndexError"),
        (
            "def square(x):\n    raise KeyboardInterrupt\n    return\n",
            0.0,
            "scored",
            "base input 0: raised KeyboardInterrupt",
        ),
        ("def square(x):\n    return square(x)\n", 0.0, "scored", "base input 0: raised RecursionError"),
        ("import nothing_of_this_name\n" + GOOD, 0.0, "scored", "loading it raised ModuleNotFoundError"),
        ("", 0.0, "no_answer", "no program that defines square"),
        ("I would rather not.", 0.0, "no_answer", "no program that defines square"),
        ("def cube(x):\n    return x ** 3\n", 0.0, "no_answer", "no program that defines square"),
        ("def square(x):\n    return x *\n", 0.0, "no_answer", "no program that defines square"),
        ("\0", 0.0, "no_answer", "no program that defines square"),
        ("```python\n" + "(" * 5000 + "\n```", 0.0, "no_answer", "no program that defines square"),
    ],
)
def test_other_programs_score_zero(scorer: ProgramScorer, text: str, base: float, outcome: str, detail: str) -> None:
    """Anything else scores 0 and says why in one line."""
    score = judge(scorer, text)
    assert (score.value, score.parts["base"], score.outcome, score.detail) == (0.0, (base,), outcome, detail)


@pytest.mark.parametrize(
    ("reference", "text", "value"),
    [
        ("    return x / 3\n", "def square(x):\n    return x / 3 + 1e-9\n", 1.0),
        ("    return x / 3\n", "def square(x):\n    return x / 3 + 1e-5\n", 0.0),
        ("    return x\n", "def square(x):\n    return float(x)\n", 1.0),
        ("    return (x, 1)\n", "def square(x):\n    return [x, 1]\n", 0.0),
        (
            "    return {x: [1]}\n",
            "import collections\ndef square(x):\n    return collections.OrderedDict({x: [1]})\n",
            1.0,
        ),
        ("    return x\n", "import numpy as np\ndef square(x):\n    return np.int64(x)\n", 1.0),
        ("    return x == 1\n", "def square(x):\n    return int(x == 1)\n", 1.0),
        ("    return [x] * 10**6\n", "def square(x):\n    return [x] * 10**6\n", 1.0),
        ("    return [x] * 10**6\n", "def square(x):\n    return [float(x)] * 10**6\n", 1.0),
        ("    return [x] * 10**6\n", "def square(x):\n    return [x] * (10**6 - 1) + [7]\n", 0.0),
        ("    return [x / 2]\n", "def square(x):\n    return [[]]\n", 0.0),
        ("    return [x / 2]\n", "def square(x):\n    return [bytearray()]\n", 0.0),
        ("    return []\n", "def square(x):\n    return []\n", 1.0),
        ("    return [[], [x / 2]]\n", "def square(x):\n    return [[], [x / 2]]\n", 1.0),
        ("    return x / 4\n", "import fractions\ndef square(x):\n    return fractions.Fraction(x, 4)\n", 1.0),
        ("    return None\n", "def square(x):\n    return None\n", 1.0),
        ("    return 'é\\ud800' * x\n", "def square(x):\n    return 'é\\ud800' * x\n", 1.0),
    ],
)
def test_equality_is_evalplus_equality(scorer: ProgramScorer, reference: str, text: str, value: float) -> None:
    """Outputs are compared as Python values with EvalPlus's tolerance, whatever their size."""
    assert judge(scorer, text, reference=reference).value == value


def test_completion_continues_prompt() -> None:
    """Where generations continue the prompt, the program is prompt + text."""
    scorer = ProgramScorer(ScorerOptions(num_workers=1, continuation=True))
    try:
        assert judge(scorer, "    return x * x\n\nprint(square(").value == 1.0
    finally:
        scorer.close()


def test_no_inputs_of_a_kind(scorer: ProgramScorer) -> None:
    """A problem without plus inputs is decided by its base inputs."""
    assert judge(scorer, GOOD, plus_input={}).value == 1.0


def test_same_score_again(scorer: ProgramScorer) -> None:
    """A program that draws numbers or depends on set order gets the same score every time."""
    text = "import random\ndef square(x):\n    return [random.random(), list({'a', 'b', 'c', 'd'}), hash('x')]\n"
    assert judge(scorer, text) == judge(scorer, text)
    drawn = {
        judge(scorer, f"import random\ndef square(x):\n    return x * x + (random.random() < {p})\n").value
        for p in (0.5, 0.5, 0.5)
    }
    assert len(drawn) == 1


def test_many_threads_share_the_workers(scorer: ProgramScorer) -> None:
    """Scores from eight threads over two workers come back to the right callers."""
    texts = [GOOD if i % 3 else "def square(x):\n    return 0\n" for i in range(24)]
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda text: judge(scorer, text).value, texts))
    assert values == [float(i % 3 > 0) for i in range(24)]


def test_damaged_cache_is_made_again(scorer: ProgramScorer) -> None:
    """A cache file that was cut short is recomputed, not believed."""
    example = lab_example(task_id="lab/cached")
    fresh = ProgramScorer(ScorerOptions(num_workers=1))
    key = program_problem.problem_key(program_problem.read_problem(example), fresh.version)
    try:
        assert fresh.score(example, generation(GOOD)).value == 1.0
        path = expected._path(key)
        path.write_bytes(path.read_bytes()[:-3])
        assert expected.read_expected(key) is None
    finally:
        fresh.close()
    again = ProgramScorer(ScorerOptions(num_workers=1))
    try:
        assert again.score(example, generation(GOOD)).value == 1.0
        assert expected.read_expected(key) is not None
    finally:
        again.close()


def test_bad_problem_is_not_the_programs_fault(scorer: ProgramScorer) -> None:
    """A missing field or a reference that fails is an error of the task, never a verdict."""
    metadata = {name: value for name, value in lab_example().metadata.items() if name != "entry_point"}
    broken = Example(task="t", example_id="1", input="", target=None, metadata=metadata)
    with pytest.raises(DataError, match="lacks the EvalPlus field 'entry_point'"):
        scorer.score(broken, generation(GOOD))
    with pytest.raises(ScorerError, match="reference solution of lab/square does not run"):
        judge(scorer, GOOD, reference="    return 1 // 0\n")


# --- programs that do not end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("def square(x):\n    while True: pass\n    return x\n", "base input 0: took more CPU time than one input may"),
        (
            "import time\ndef square(x):\n    time.sleep(600)\n    return x\n",
            "base input 0: slept or waited for too long",
        ),
        (
            "import signal\ndef square(x):\n    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
            "    signal.setitimer(signal.ITIMER_PROF, 0)\n    while x == 3:\n        try:\n"
            "            while True: pass\n        except BaseException: pass\n    return x * x\n",
            "base input 2: took more CPU time than one input may",
        ),
    ],
)
def test_endless_program_times_out(strict: ProgramScorer, text: str, detail: str) -> None:
    """A program that does not end has outcome timeout, believed after a second try on its own."""
    score = judge(strict, text)
    assert (score.value, score.outcome, score.detail) == (0.0, "timeout", detail)
    assert judge(strict, GOOD).value == 1.0


def test_wrong_before_slow_is_wrong(strict: ProgramScorer) -> None:
    """A program that is wrong on an input before the one it hangs on is wrong, not late."""
    score = judge(strict, "def square(x):\n    while x == 3: pass\n    return 0\n")
    assert (score.outcome, score.detail) == ("scored", "base input 0: wrong output")


def test_nothing_survives_a_program(strict: ProgramScorer) -> None:
    """Neither daemons nor files of one program are there for the next."""
    leave = (
        "import posix, time, io\ndef square(x):\n    if posix.fork() == 0:\n        posix.setsid()\n"
        "        if posix.fork() == 0:\n            time.sleep(987.5)\n        posix._exit(0)\n"
        "    io.open('/tmp/left', 'w').write('x')\n    return x * x\n"
    )
    judge(strict, GOOD)
    before = settled_descendants()
    judge(strict, leave)
    assert settled_descendants() == before
    found = "import posix\ndef square(x):\n    return x * x if posix.listdir('/tmp') == [] else 'found'\n"
    assert judge(strict, found).value == 1.0


# --- reference solutions ---------------------------------------------------------------------------------------------

QUICK = ["HumanEval/0", "HumanEval/2", "HumanEval/32", "HumanEval/38", "HumanEval/53", "HumanEval/100", "HumanEval/129",
         "HumanEval/163", "Mbpp/2", "Mbpp/7", "Mbpp/115", "Mbpp/124", "Mbpp/252", "Mbpp/295", "Mbpp/558", "Mbpp/581",
         "Mbpp/630", "Mbpp/737", "Mbpp/787", "Mbpp/801"]  # fmt: skip


def test_reference_solutions_score_one(scorer: ProgramScorer, data_dir: Path) -> None:
    """References of plain, special-cased and unusual problems score 1, and an empty function scores 0 on each."""
    problems = {example.example_id: example for example in read_problems(data_dir)}
    scores = {}
    for name in (name for name in QUICK if name in problems):
        example = problems[name]
        reference = example.metadata["prompt"] + example.metadata["canonical_solution"]
        empty = f"def {example.metadata['entry_point']}(*args):\n    return 'nothing'\n"
        scores[name] = (
            scorer.score(example, generation(reference)).value,
            scorer.score(example, generation(empty)).value,
        )
    assert scores == dict.fromkeys(scores, (1.0, 0.0))
