"""Chat: IFEval, verifiable instructions (Zhou et al. 2023, arXiv 2311.07911). Judged chat is in suite_judged.py.

Protocol: the paper's prompt- and instruction-level accuracy, strict and loose, by lm-eval's checks.
"""

from harness.interfaces import Scorer
from harness.rows import Row
from harness.schema import Example, ScorerOptions
from tasks.dataset import DataSource
from tasks.prompts import VERBATIM
from tasks.task import BenchmarkTask, presets

MAX_TOKENS = 1280
"""As lm-eval's ifeval task."""


def instruction_scorer(options: ScorerOptions) -> Scorer:
    """Return the scorer of IFEval."""
    from harness.scorers.instructions import InstructionScorer

    return InstructionScorer(options)


def _ifeval(task: str, number: int, row: Row) -> Example:
    kwargs = [{name: value for name, value in given.items() if value is not None} for given in row["kwargs"]]
    metadata = {
        "key": int(row["key"]),
        "prompt": row["prompt"],
        "instruction_id_list": list(row["instruction_id_list"]),
        "kwargs": kwargs,
    }
    return Example(task=task, example_id=str(row["key"]), input=row["prompt"], target=None, metadata=metadata)


IFEVAL = BenchmarkTask(
    name="ifeval",
    version="1",
    suite="chat",
    title="IFEval: 541 prompts with instructions a program can check",
    paper="Zhou et al. 2023, arXiv 2311.07911",
    licence="Apache-2.0",
    protocol="the paper's, by lm-eval 0.4.13's checks",
    metric="prompt_strict",
    source=DataSource(
        parse=_ifeval,
        sha256="1a081be6855bd95b0991c9343eb179b5b8ea7c21be9e1816d1daf7e2fd8306ba",
        num_examples=541,
        local="ifeval/input_data.jsonl",
        hub="google/IFEval",
        hub_split="train",
    ),
    prompt=VERBATIM,
    scorer_factory=instruction_scorer,
    presets=presets(MAX_TOKENS),
    near_miss=None,
    gold=None,
)
TASKS = (IFEVAL,)
