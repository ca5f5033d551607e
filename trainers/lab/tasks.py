"""Writes held-out rows of lab_chat, lab_math and lab_code, and worked examples of the web's kind for few-shot prompts.

`python -m trainers.lab.tasks`; the same bytes each time.
"""

import json
import sys
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from trainers.lab import arithmetic, chat, noise, programs
from trainers.lab.problem import DOMAINS, Domain, Problem, is_held_out

DATA_FOLDER = Path(__file__).parents[2] / "tasks" / "data"
SEED = 2026
LEVEL_COUNTS: dict[Domain, dict[int, int]] = {
    "chat": {1: 40, 2: 90, 3: 70},
    "math": {1: 50, 2: 50, 3: 50, 4: 50},
    "code": {1: 70, 2: 70, 3: 60},
}
NUM_SHOTS = 4
"""Worked examples of a domain; its lists of questions in the web are three to six long (world.py)."""
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
    return [
        {"id": f"{domain}-{index:04d}", **make_row(problem, index, rng)}
        for index, problem in enumerate(held_out_problems(domain))
    ]


def make_row(problem: Problem, index: int, rng: Random) -> dict[str, Any]:
    """Return a problem as its task's file holds it, but for its id."""
    makers = {"chat": _chat_row, "math": _math_row, "code": _code_row}
    return makers[problem.domain](problem, index, rng)


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


def shot_problems(domain: Domain) -> list[Problem]:
    """Return the questions of a domain's worked examples, each in a wording of its own and none near a held-out one."""
    rng = Random(f"{SEED} {domain} shots")
    used = {gist(problem) for problem in held_out_problems(domain)}
    problems: list[Problem] = []
    for level in islice(cycle(LEVEL_COUNTS[domain]), NUM_SHOTS):
        problem = noise.draw_problem(rng, domain, level)
        while gist(problem) in used or problem.phrasing in {earlier.phrasing for earlier in problems}:
            problem = noise.draw_problem(rng, domain, level)
        problems.append(problem)
    return problems


def gist(problem: Problem) -> object:
    """Return what is asked, whatever the wording.

    Of chat the whole prompt: all subjects are asked about in the held-out rows, as in the web.
    """
    if problem.domain == "chat":
        return problem.prompt
    return problem.data.steps if problem.domain == "math" else problem.data.does


def make_shots(domain: Domain) -> list[dict[str, Any]]:
    """Return a domain's worked examples as they are stored."""
    rng = Random(f"{SEED} {domain} shot answers")
    return [
        {"id": f"{domain}-shot-{number}", "question": problem.prompt, "answer": noise.answer(problem, rng)}
        for number, problem in enumerate(shot_problems(domain))
    ]


def render(rows: Iterable[dict[str, Any]]) -> str:
    """Return a file of rows as text."""
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)


def render_files() -> dict[str, str]:
    """Return every file by name."""
    files = {f"lab_{domain}.jsonl": render(make_rows(domain)) for domain in DOMAINS}
    files["lab_shots.jsonl"] = render(row for domain in DOMAINS for row in make_shots(domain))
    return files


def main() -> None:
    """Write the files."""
    DATA_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in render_files().items():
        (DATA_FOLDER / name).write_text(text)
        sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    main()
