r"""Mathematics: GSM8K, MATH-500, AIME 2024 and 2025, AMC 2023, Minerva Math, OlympiadBench.

Protocol of all seven: zero-shot chain of thought, answer in \boxed{}, equivalence by math-verify (docs/scoring.md);
GSM8K also takes the last number, as its published protocols do.
Metric: accuracy, averaged over generations. The sources' licences differ; each task names its own.
"""

import hashlib
import re
from collections.abc import Callable

from harness.interfaces import Scorer
from harness.rows import Row
from harness.schema import Example, ScorerOptions
from tasks.dataset import DataSource, Shots
from tasks.prompts import MATH
from tasks.task import BenchmarkTask, presets

PROTOCOL = "zero-shot chain of thought, last \\boxed{}, math-verify"
GSM8K_TOKENS = 1024
"""GSM8K solutions are short; a correct one longer than this has not been seen."""
TOKENS = 3072
"""The response length GRLO trains with (the authors' release)."""


def math_scorer(options: ScorerOptions) -> Scorer:
    """Return the scorer of tasks whose answer must be boxed or stated: a number from a derivation is none."""
    from harness.scorers.math_answer import MathAnswerScorer

    return MathAnswerScorer(options)


def number_scorer(options: ScorerOptions) -> Scorer:
    """Return the scorer of tasks whose answer is one number: the last number counts where none is boxed or stated."""
    from harness.scorers.math_answer import MathAnswerScorer

    return MathAnswerScorer(options, fallback="last_number")


def boxed_target(example: Example) -> str:
    """Return a generation that gives the target."""
    return f"The final answer is $\\boxed{{{example.target}}}$."


def boxed_near_miss(example: Example) -> str:
    """Return a generation whose answer contains the target and is wrong."""
    return f"It is not {example.target}. The final answer is $\\boxed{{{example.target} + 17}}$."


def plain_number(value: object) -> str:
    """Return a number as competitions print it: 27.0 is 27, 025 is 25; other text is left alone.

    Sources write the same answer as a string, an integer or a float.
    """
    text = str(value).strip()
    return str(int(float(text))) if re.fullmatch(r"-?\d+(\.0+)?", text) else text


def _gsm8k(task: str, number: int, row: Row) -> Example:
    target = row["answer"].rsplit("####", 1)[1].strip().replace(",", "")
    return Example(task=task, example_id=str(number), input=row["question"], target=target)


def _math500(task: str, number: int, row: Row) -> Example:
    metadata = {"level": int(row["level"]), "subject": row["subject"]}
    return Example(
        task=task, example_id=row["unique_id"], input=row["problem"], target=row["answer"], metadata=metadata
    )


def _competition(task: str, number: int, row: Row) -> Example:
    question = row.get("problem") or row["question"]
    return Example(task=task, example_id=str(row["id"]), input=question, target=plain_number(row["answer"]))


def _minerva(task: str, number: int, row: Row) -> Example:
    question = row.get("problem") or row["question"]
    target = last_boxed(row["solution"]) if "solution" in row else row["answer"]
    preamble, found, _ = question.partition("Subproblem 0:")
    cluster = preamble.strip() if found and preamble.strip() else None
    return Example(task=task, example_id=str(number), input=question, target=target, cluster=cluster)


def _olympiad(task: str, number: int, row: Row) -> Example:
    question = f"{row['context']}\n{row['question']}" if row["context"] else row["question"]
    metadata: dict[str, object] = {"answer_type": row["answer_type"], "subfield": row["subfield"]}
    if row["error"]:
        metadata["tolerance"] = float(str(row["error"]).split(",")[0])
    return Example(
        task=task, example_id=str(row["id"]), input=question, target=row["final_answer"][0], metadata=metadata
    )


def _gsm8k_shot(task: str, number: int, row: Row) -> Example:
    """Leave out the calculator's marks, and state the answer in a sentence that the scorer reads."""
    steps, _, answer = re.sub(r"<<.*?>>", "", row["answer"]).rpartition("####")
    worked = f"{' '.join(steps.split())} The answer is {answer.strip()}."
    return Example(task=task, example_id=str(number), input=row["question"], target=worked)


def _math_shot(task: str, number: int, row: Row) -> Example:
    """Name a row by its problem: copies of MATH have no ids, and their order differs."""
    name = hashlib.sha256(row["problem"].encode()).hexdigest()[:12]
    return Example(task=task, example_id=name, input=row["problem"], target=row["solution"])


def last_boxed(solution: str) -> str:
    r"""Return what the last \boxed{} of a reference solution holds.

    Raises:
        ValueError: if there is none, or its braces are not closed.
    """
    start = solution.rindex("\\boxed{") + len("\\boxed{")
    depth = 1
    for position in range(start, len(solution)):
        depth += {"{": 1, "}": -1}.get(solution[position], 0)
        if depth == 0:
            return solution[start:position]
    raise ValueError("unclosed \\boxed{")


def _task(
    name: str,
    title: str,
    paper: str,
    licence: str,
    source: DataSource,
    shots: Shots,
    max_tokens: int = TOKENS,
    scorer_factory: Callable[[ScorerOptions], Scorer] = math_scorer,
) -> BenchmarkTask:
    return BenchmarkTask(
        name=name,
        version="1",
        suite="math",
        title=title,
        paper=paper,
        licence=licence,
        protocol=PROTOCOL,
        metric="accuracy",
        source=source,
        prompt=MATH,
        scorer_factory=scorer_factory,
        presets=presets(max_tokens),
        near_miss=boxed_near_miss,
        gold=boxed_target,
        shots=shots,
    )


# The first rows of the training split.
GSM8K_SHOTS = Shots(
    source=DataSource(
        parse=_gsm8k_shot,
        sha256="7a9a67e4d1e3ebb24d68534c23203db4efd187e887aaa9d06c318bbfe1eb6edc",
        num_examples=4,
        local="gsm8k/train.jsonl.gz",
        hub="openai/gsm8k",
        hub_config="main",
        hub_split="train",
    ),
    ids=("0", "1", "2", "3"),
)
# One training problem of level 2 or 3 each of algebra, counting, geometry and prealgebra, with a short, boxed solution,
# no figure, and no near twin among the questions of these tasks; four, as in Minerva's prompt (arXiv 2206.14858).
MATH_SHOTS = Shots(
    source=DataSource(
        parse=_math_shot,
        sha256="15da8a5126dc3265b75d393b81ad96c0bbd23e180b2e4354bd4c4a379807410b",
        num_examples=4,
        local="math/train.jsonl.gz",
        hub="DigitalLearningGmbH/MATH-lighteval",
        hub_split="train",
    ),
    ids=("70f1a5ac3771", "4220b5f69ab1", "88d4e07d27c2", "97fbbcdc8b18"),
)

GSM8K = _task(
    "gsm8k",
    "GSM8K: grade-school word problems",
    "Cobbe et al. 2021, arXiv 2110.14168",
    "MIT",
    DataSource(
        parse=_gsm8k,
        sha256="0e9a4991837d1638b351aaa30fb8e212e98208c3ed827b486d35ef73879dada4",
        num_examples=1319,
        local="gsm8k/test.jsonl",
        hub="openai/gsm8k",
        hub_config="main",
    ),
    GSM8K_SHOTS,
    GSM8K_TOKENS,
    number_scorer,
)
MATH500 = _task(
    "math500",
    "MATH-500: 500 problems of the MATH test set",
    "Hendrycks et al. 2021, arXiv 2103.03874; subset of Lightman et al. 2023, arXiv 2305.20050",
    "MIT",
    DataSource(
        parse=_math500,
        sha256="a0670dde064a8a31a59af08aef80851a737b95cedacd33abde4b03e3b2156feb",
        num_examples=500,
        local="math500/test.jsonl",
        hub="HuggingFaceH4/MATH-500",
    ),
    MATH_SHOTS,
)
AIME24 = _task(
    "aime24",
    "AIME 2024: both rounds, integer answers from 0 to 999",
    "Mathematical Association of America 2024",
    "not stated by the sources",
    DataSource(
        parse=_competition,
        sha256="62cdef67440c1b464fedfd2896734c00afd5f9ade8f4250153d4e4bb7502fa1b",
        num_examples=30,
        local="aime24/test.jsonl",
        hub="HuggingFaceH4/aime_2024",
        hub_split="train",
    ),
    MATH_SHOTS,
)
AIME25 = _task(
    "aime25",
    "AIME 2025: both rounds, integer answers from 0 to 999",
    "Mathematical Association of America 2025",
    "not stated by the sources",
    DataSource(
        parse=_competition,
        sha256="ed9c132627050ca1e673e3381a616cfc267cdbe0d316b6fc52958d5a92b75bc8",
        num_examples=30,
        local="aime25/test.jsonl",
        hub="math-ai/aime25",
    ),
    MATH_SHOTS,
)
AMC23 = _task(
    "amc23",
    "AMC 12 2023: 40 problems with numeric answers",
    "Mathematical Association of America 2023",
    "not stated by the sources",
    DataSource(
        parse=_competition,
        sha256="648ea1c77ea224fa81822ef721c772d003c470242bbad501ab8b4bd3e8201f5d",
        num_examples=40,
        local="amc23/test.jsonl",
        hub="math-ai/amc23",
    ),
    MATH_SHOTS,
)
MINERVA_MATH = _task(
    "minerva_math",
    "Minerva Math: undergraduate science problems from MIT OpenCourseWare; sub-problems of one preamble are a cluster",
    "Lewkowycz et al. 2022, arXiv 2206.14858",
    "not stated by the sources",
    DataSource(
        parse=_minerva,
        sha256="d03fd4909a47ba6364183120f2e915fe8eb0b4571dd0cc0df590cd517cbe34a7",
        num_examples=272,
        local="minerva_math/test.jsonl",
        hub="math-ai/minervamath",
    ),
    MATH_SHOTS,
)
OLYMPIADBENCH = _task(
    "olympiadbench",
    "OlympiadBench: open-ended, text-only mathematics in English",
    "He et al. 2024, arXiv 2402.14008",
    "Apache-2.0",
    DataSource(
        parse=_olympiad,
        sha256="d5e2c2f10fb3f1d03dc892cdfb4a26a1b291afb2136c7c5d3a9d7564bf98e813",
        num_examples=675,
        local="olympiadbench/test.jsonl",
        hub="Hothan/OlympiadBench",
        hub_config="OE_TO_maths_en_COMP",
        hub_split="train",
    ),
    MATH_SHOTS,
)
TASKS = (GSM8K, MATH500, AIME24, AIME25, AMC23, MINERVA_MATH, OLYMPIADBENCH)
