"""Writes held-out rows of lab_chat, lab_math and lab_code: `python -m trainers.lab.tasks`. Same bytes each time."""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from trainers.lab import arithmetic, chat, programs
from trainers.lab.problem import DOMAINS, Domain, Problem, is_held_out

DATA_FOLDER = Path(__file__).parents[2] / "tasks" / "data"
SEED = 2026
LEVEL_COUNTS: dict[Domain, dict[int, int]] = {
    "chat": {1: 40, 2: 90, 3: 70},
    "math": {1: 50, 2: 50, 3: 50, 4: 50},
    "code": {1: 70, 2: 70, 3: 60},
}
_MODULES = {"chat": chat, "math": arithmetic, "code": programs}


def held_out_problems(domain: Domain) -> list[Problem]:
    """Return the task's problems, no two of them with the same prompt, level by level."""
    rng = Random(f"{SEED} {domain}")
    problems: dict[str, Problem] = {}
    for level, count in LEVEL_COUNTS[domain].items():
        wanted = len(problems) + count
        while len(problems) < wanted:
            problem: Problem = _MODULES[domain].make(rng, level)
            if is_held_out(problem) and problem.prompt not in problems:
                problems[problem.prompt] = problem
    return list(problems.values())


def make_rows(domain: Domain) -> list[dict[str, Any]]:
    """Return the rows of one task as they are stored."""
    rng = Random(f"{SEED} {domain} targets")
    makers = {"chat": _chat_row, "math": _math_row, "code": _code_row}
    return [
        {"id": f"{domain}-{index:04d}", **makers[domain](problem, index, rng)}
        for index, problem in enumerate(held_out_problems(domain))
    ]


def _chat_row(problem: Problem, _index: int, rng: Random) -> dict[str, Any]:
    return {
        "prompt": problem.prompt,
        "topic": problem.data.subject.topic,
        "level": problem.level,
        "target": chat.answer(problem, rng),
        "checks": chat.checks(problem),
    }


def _math_row(problem: Problem, _index: int, _rng: Random) -> dict[str, Any]:
    return {"question": problem.prompt, "answer": str(problem.data.result), "level": problem.level}


def _code_row(problem: Problem, index: int, _rng: Random) -> dict[str, Any]:
    target = programs.block(programs.function(problem.data, problem.data.expression))
    return {
        "question": problem.prompt,
        "level": problem.level,
        "target": target,
        **programs.evalplus_problem(problem, index),
    }


def render(domain: Domain) -> str:
    """Return the task's file as text."""
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in make_rows(domain))


def main() -> None:
    """Write the three files."""
    DATA_FOLDER.mkdir(parents=True, exist_ok=True)
    for domain in DOMAINS:
        path = DATA_FOLDER / f"lab_{domain}.jsonl"
        path.write_text(render(domain))
        sys.stdout.write(f"wrote {path.name}\n")


if __name__ == "__main__":
    main()
