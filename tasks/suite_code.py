"""Code: HumanEval+ and MBPP+ (EvalPlus, Liu et al. 2023, arXiv 2305.01210).

Protocol: EvalPlus's inputs, tolerance and right/wrong rules, run in the sandbox (docs/sandbox.md). A program scores 1
if it passes the base and the plus inputs; the base verdict is reported beside it. Not covered: pass@k for k > 1.
"""

from harness.interfaces import Scorer
from harness.rows import Row
from harness.schema import Example, ScorerOptions
from tasks.dataset import DataSource, ParseRow, Shots
from tasks.prompts import CODE, CODE_FROM_DOCSTRING
from tasks.task import BenchmarkTask, presets

PROTOCOL = "EvalPlus 0.3.1: sanitised program, base and plus inputs, in the sandbox"
MAX_TOKENS = 1024
PROBLEM_FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")
"""What the checker needs of an EvalPlus problem; contracts and original tests are left out."""


def program_scorer(options: ScorerOptions) -> Scorer:
    """Return the scorer of all code tasks."""
    from harness.scorers.program import ProgramScorer

    return ProgramScorer(options)


def program_example(task: str, dataset: str, row: Row, question: str) -> Example:
    """Return the example of an EvalPlus problem."""
    metadata = {field: row[field] for field in PROBLEM_FIELDS} | {"dataset": dataset}
    target = row["prompt"] + row["canonical_solution"]
    return Example(task=task, example_id=row["task_id"], input=question, target=target, metadata=metadata)


def _parse_as(dataset: str) -> ParseRow:
    def parse(task: str, number: int, row: Row) -> Example:
        return program_example(task, dataset, row, row["prompt"].strip())

    return parse


def _mbpp_shot(task: str, number: int, row: Row) -> Example:
    """Put the sentence and its first assertion into a docstring, as EvalPlus does."""
    question = f'"""\n{row["text"]}\n{row["test_list"][0]}\n"""'
    code = row["code"].replace("\r\n", "\n").strip()
    return Example(task=task, example_id=str(row["task_id"]), input=question, target=code)


def reference_program(example: Example) -> str:
    """Return the reference program as it is.

    Not in a fence: from a fenced answer EvalPlus's sanitizer drops the helper of Mbpp/630, which has no `return`.
    """
    return str(example.target)


def wrong_program(example: Example) -> str:
    """Return a program that has the right name, runs, and equals everything it is compared with."""
    name = example.metadata["entry_point"]
    return (
        "```python\nclass Anything(int):\n    def __eq__(self, other):\n        return True\n"
        f"    __hash__ = int.__hash__\n\ndef {name}(*args, **kwargs):\n    return Anything(-98765)\n```"
    )


HUMANEVAL_PLUS = BenchmarkTask(
    name="humaneval_plus",
    version="1",
    suite="code",
    title="HumanEval+: 164 functions from docstrings, with 80 times the tests",
    paper="Chen et al. 2021, arXiv 2107.03374; Liu et al. 2023, arXiv 2305.01210",
    licence="MIT (HumanEval), Apache-2.0 (EvalPlus v0.1.10)",
    protocol=PROTOCOL,
    metric="plus",
    source=DataSource(
        parse=_parse_as("humaneval"),
        sha256="adfd9cff1064bf490a52da1481c9b4462eab99bed3bd0d8e8ad3d4970be29ea8",
        num_examples=164,
        local="humanevalplus/HumanEvalPlus-v0.1.10.jsonl.gz",
        evalplus="HumanEvalPlus@v0.1.10",
    ),
    prompt=CODE,
    scorer_factory=program_scorer,
    presets=presets(MAX_TOKENS),
    near_miss=wrong_program,
    gold=reference_program,
)
# MBPP's paper shows problems 2, 3 and 4, but those are among MBPP+'s questions: of the ten problems set aside for
# prompts, these three are not.
MBPP_SHOTS = Shots(
    source=DataSource(
        parse=_mbpp_shot,
        sha256="7209ea3924f7b60be6557754acdac2df3e3ac13f196c7b439959016634d5fded",
        num_examples=3,
        local="mbpp/mbpp.jsonl",
        hub="google-research-datasets/mbpp",
        hub_config="full",
        hub_split="prompt",
    ),
    ids=("1", "5", "10"),
)
MBPP_PLUS = BenchmarkTask(
    name="mbpp_plus",
    version="1",
    suite="code",
    title="MBPP+: 378 short functions from a sentence and an assertion, with 35 times the tests",
    paper="Austin et al. 2021, arXiv 2108.07732; Liu et al. 2023, arXiv 2305.01210",
    licence="CC-BY-4.0 (MBPP), Apache-2.0 (EvalPlus v0.2.0)",
    protocol=PROTOCOL,
    metric="plus",
    source=DataSource(
        parse=_parse_as("mbpp"),
        sha256="562badb5718cd32f463ef9560fc55491451f4bb9111c445488006bd3c96010e4",
        num_examples=378,
        local="mbppplus/MbppPlus-v0.2.0.jsonl.gz",
        evalplus="MbppPlus@v0.2.0",
    ),
    prompt=CODE_FROM_DOCSTRING,
    scorer_factory=program_scorer,
    presets=presets(MAX_TOKENS),
    near_miss=wrong_program,
    gold=reference_program,
    shots=MBPP_SHOTS,
)
TASKS = (HUMANEVAL_PLUS, MBPP_PLUS)
