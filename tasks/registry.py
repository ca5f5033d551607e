"""All tasks and suites by name, as literals that grep finds."""

from collections.abc import Iterable

from harness.errors import UsageError
from harness.spec import LM_EVAL_PREFIX, did_you_mean
from tasks import suite_chat, suite_code, suite_judged, suite_lab, suite_math
from tasks.task import BenchmarkTask

TASKS: dict[str, BenchmarkTask] = {
    "ifeval": suite_chat.IFEVAL,
    "alpaca_eval2": suite_judged.ALPACA_EVAL2,
    "arena_hard_v0.1": suite_judged.ARENA_HARD_V01,
    "arena_hard_v2": suite_judged.ARENA_HARD_V2,
    "arena_hard_v2_creative": suite_judged.ARENA_HARD_V2_CREATIVE,
    "mt_bench": suite_judged.MT_BENCH,
    "gsm8k": suite_math.GSM8K,
    "math500": suite_math.MATH500,
    "aime24": suite_math.AIME24,
    "aime25": suite_math.AIME25,
    "amc23": suite_math.AMC23,
    "minerva_math": suite_math.MINERVA_MATH,
    "olympiadbench": suite_math.OLYMPIADBENCH,
    "humaneval_plus": suite_code.HUMANEVAL_PLUS,
    "mbpp_plus": suite_code.MBPP_PLUS,
    "lab_chat": suite_lab.LAB_CHAT,
    "lab_math": suite_lab.LAB_MATH,
    "lab_code": suite_lab.LAB_CODE,
}

SUITES: dict[str, tuple[str, ...]] = {
    "chat": ("ifeval", "alpaca_eval2", "arena_hard_v2", "mt_bench"),
    "math": ("gsm8k", "math500", "aime24", "aime25", "amc23", "minerva_math", "olympiadbench"),
    "code": ("humaneval_plus", "mbpp_plus"),
    "lab": ("lab_chat", "lab_math", "lab_code"),
    "lab-chat": ("lab_chat",),
    "lab-math": ("lab_math",),
    "lab-code": ("lab_code",),
}


def select_tasks(names: Iterable[str]) -> tuple[BenchmarkTask, ...]:
    """Return the tasks that task and suite names stand for, each once, in the order named.

    Raises:
        UsageError: if a name is neither a task nor a suite, with a suggestion; or if none is given.
    """
    chosen: dict[str, BenchmarkTask] = {}
    for name in names:
        if name.startswith(LM_EVAL_PREFIX):
            raise UsageError(
                f"{name}: tasks of lm-eval are for `harness eval`, `elicit`, `watch` and `study`; this takes our own"
            )
        if name not in TASKS and name not in SUITES:
            hint = did_you_mean(name, [*TASKS, *SUITES]) or f"; suites: {', '.join(SUITES)}; see `harness tasks list`"
            raise UsageError(f"no task or suite named {name}{hint}")
        for member in SUITES.get(name, (name,)):
            chosen[member] = TASKS[member]
    if not chosen:
        raise UsageError("no task was named; pass --suite chat,math,code or --task gsm8k (see `harness tasks list`)")
    return tuple(chosen.values())
