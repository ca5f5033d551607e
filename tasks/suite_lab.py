"""Lab: held-out questions of the miniature world (docs/lab.md), one task a domain, graded by the real suites' scorers.

The rows are embedded; `python -m trainers.lab.tasks` makes them again, byte for byte. A score here is a real
measurement of a small world and says nothing about billion-parameter models.
"""

from harness.interfaces import Scorer
from harness.rows import Row
from harness.schema import Example, Sampling, ScorerOptions
from tasks.dataset import DataSource, Shots
from tasks.prompts import LAB
from tasks.suite_code import PROBLEM_FIELDS, program_scorer, wrong_program
from tasks.suite_math import number_scorer
from tasks.task import BenchmarkTask, presets

MAX_TOKENS = 96
"""Every reference answer is well below."""
PRESETS = presets(MAX_TOKENS, Sampling(temperature=1.0, num_generations=8))
PAPER = "this project, docs/lab.md"
LICENCE = "Apache-2.0"


def text_scorer(options: ScorerOptions) -> Scorer:
    """Return the scorer of lab chat."""
    from harness.scorers.text import TextChecksScorer

    return TextChecksScorer(options)


def _chat(task: str, number: int, row: Row) -> Example:
    metadata = {"topic": row["topic"], "level": row["level"], "checks": row["checks"]}
    return Example(task=task, example_id=row["id"], input=row["prompt"], target=row["target"], metadata=metadata)


def _math(task: str, number: int, row: Row) -> Example:
    metadata = {"level": row["level"]}
    return Example(task=task, example_id=row["id"], input=row["question"], target=row["answer"], metadata=metadata)


def _code(task: str, number: int, row: Row) -> Example:
    metadata = {field: row[field] for field in PROBLEM_FIELDS} | {"dataset": "lab", "level": row["level"]}
    return Example(task=task, example_id=row["id"], input=row["question"], target=row["target"], metadata=metadata)


def _shot(task: str, number: int, row: Row) -> Example:
    return Example(task=task, example_id=row["id"], input=row["question"], target=row["answer"])


def _shots(domain: str, sha256: str) -> Shots:
    """Return four questions of the kind the web holds, none of them held out, with good answers."""
    source = DataSource(parse=_shot, sha256=sha256, num_examples=4, embedded="lab_shots.jsonl")
    return Shots(source=source, ids=tuple(f"{domain}-shot-{number}" for number in range(4)))


LAB_CHAT = BenchmarkTask(
    name="lab_chat",
    version="1",
    suite="lab-chat",
    title="Lab chat: a short answer on the asked subject, as instructed, that ends",
    paper=PAPER,
    licence=LICENCE,
    protocol="rule checks of harness.scorers.text",
    metric="accuracy",
    source=DataSource(
        parse=_chat,
        sha256="223c1e0cab4a3290376626d89b3dee05cbe50ecdfa815e3ee391f45ddb6df56e",
        num_examples=200,
        embedded="lab_chat.jsonl",
    ),
    prompt=LAB,
    scorer_factory=text_scorer,
    presets=PRESETS,
    near_miss=lambda example: f"I would rather speak of something else than {example.metadata['topic']}.",
    gold=lambda example: str(example.target),
    shots=_shots("chat", "00d28f1fbea21da3ff3a87a20c41a9d06cb98fbefa637ad2856c9c9ec9017de1"),
)
LAB_MATH = BenchmarkTask(
    name="lab_math",
    version="1",
    suite="lab-math",
    title="Lab mathematics: arithmetic in words and figures, four levels",
    paper=PAPER,
    licence=LICENCE,
    protocol="answer extraction and math-verify, as gsm8k",
    metric="accuracy",
    source=DataSource(
        parse=_math,
        sha256="2efe3a4e5d96e5896c3d26a3ec22e9a76888a863a3673868b21f53cd58ed8470",
        num_examples=200,
        embedded="lab_math.jsonl",
    ),
    prompt=LAB,
    scorer_factory=number_scorer,
    presets=PRESETS,
    near_miss=lambda example: f"The answer is {int(example.target or 0) + 1}.",
    gold=lambda example: f"The answer is {example.target}.",
    shots=_shots("math", "2412dc22ff814a7ba8dcddf36c2b4a13fb56e7adb4a9d5873af22bcb4852fade"),
)
LAB_CODE = BenchmarkTask(
    name="lab_code",
    version="1",
    suite="lab-code",
    title="Lab code: small Python functions, three levels",
    paper=PAPER,
    licence=LICENCE,
    protocol="sanitised program run in the sandbox, as humaneval_plus",
    metric="plus",
    source=DataSource(
        parse=_code,
        sha256="c9b08fdd113a966dd5bdad06417bb1e5559a88d6441f494d7513090fd6224263",
        num_examples=200,
        embedded="lab_code.jsonl",
    ),
    prompt=LAB,
    scorer_factory=program_scorer,
    presets=PRESETS,
    near_miss=wrong_program,
    gold=lambda example: str(example.target),
    shots=_shots("code", "e169d438d9b8321235418efdaf1309496d6f1b5a9e75b34c81e59ecb27310f73"),
)
TASKS = (LAB_CHAT, LAB_MATH, LAB_CODE)
