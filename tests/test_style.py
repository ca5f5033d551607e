"""House rules that no linter knows."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_test_states_its_fact() -> None:
    """Each test function has a one-line docstring: the fact under test."""
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert silent == []


def test_modules_stay_readable() -> None:
    """No module over 400 lines, no function over 70."""
    tail = []
    for package in ("harness", "tasks", "trainers", "reports"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if text.count("\n") > 400:
                tail.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 70:
                    tail.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert tail == []
