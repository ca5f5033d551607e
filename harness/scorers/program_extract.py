"""Finds the program in a text as EvalPlus's sanitizer does, only faster. Runs in the judge's process."""

import ast
import re
import signal
import symtable
import sys
import types
from collections.abc import Callable
from typing import Any

ALLOW_INCOMPLETE_INPUT = 0x4000
"""Flag of `compile` (CPython 3.11+, used by `codeop`): a parse that fails only for lack of more text says so."""
_UNTERMINATED = re.compile(r"unterminated f?-?string literal \(detected at line (\d+)\)")


def _parses(text: str) -> str:
    """Return `yes`, `no`, or `more`: not yet, but further lines might complete it."""
    try:
        compile(text, "<text>", "exec", ast.PyCF_ONLY_AST | ALLOW_INCOMPLETE_INPUT)
    except SyntaxError as error:
        if "incomplete input" not in str(error):
            return "no"
    except (ValueError, MemoryError, RecursionError, OverflowError):
        return "no"
    else:
        return "yes"
    try:
        compile(text, "<text>", "exec", ast.PyCF_ONLY_AST)
    except SyntaxError as error:
        # A quote left open on an earlier line is final, but looks like missing input to the tokenizer.
        found = _UNTERMINATED.search(str(error))
        return "no" if found and int(found.group(1)) < text.count("\n") + 1 else "more"
    except (ValueError, MemoryError, RecursionError, OverflowError):
        return "no"
    return "yes"


def longest_code(text: str) -> str:
    """Return the longest run of lines that parses: what EvalPlus's `code_extract` returns, in far fewer parses.

    For each first line only the last lines are tried that would beat the best so far, and none beyond a line at which
    parsing has failed for good. EvalPlus tries all pairs, which takes minutes for a long answer.
    """
    lines = text.split("\n")
    filled = [0]
    for line in lines:
        filled.append(filled[-1] + bool(line.strip()))
    best, most = (0, 0), 0
    for first in range(len(lines)):
        if filled[-1] - filled[first] <= most:
            break
        for last in range(first + 1, len(lines)):
            count = filled[last + 1] - filled[first]
            if count <= most:
                continue
            answer = _parses("\n".join(lines[first : last + 1]))
            if answer == "no":
                break
            if answer == "yes":
                best, most = (first, last), count
    return "\n".join(lines[best[0] : best[1] + 1])


def load_sanitizer() -> Callable[..., str]:
    """Import EvalPlus's `sanitize`, with the search above and without `datasets`, which it loads for something else."""
    sys.modules.setdefault("datasets", types.ModuleType("datasets")).load_dataset = None  # type: ignore[attr-defined]
    import evalplus.sanitize

    evalplus.sanitize.code_extract = longest_code
    return evalplus.sanitize.sanitize  # type: ignore[no-any-return]


def _only_defines(text: str) -> bool:
    """Tell whether a text is a module of imports, definitions and assignments, each name bound once.

    There is nothing to strip from it, while EvalPlus's sanitizer would drop helpers without `return`, such as the
    generator in the reference solution of Mbpp/630.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    names: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif not isinstance(node, ast.Import | ast.ImportFrom) and not _is_text(node):
            return False
    return len(names) == len(set(names))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _TooSlowError(Exception):
    """Extraction used up its CPU time."""


def _stop(_signal: int, _frame: Any) -> None:
    raise _TooSlowError


def extract(header: dict[str, Any], blobs: list[bytes]) -> dict[str, Any]:
    """Return the program EvalPlus's sanitizer finds in a text, or why there is none."""
    text = blobs[0].decode("utf-8", "surrogatepass")
    entry_point = header["entry_point"]
    signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, header["cpu"])
    try:
        program = text if _only_defines(text) else load_sanitizer()(text, entrypoint=entry_point)
        bound = _binds(program, entry_point)
    except _TooSlowError:
        return {"program": None, "reason": f"finding a program took more than {header['cpu']} s of CPU time"}
    except (ValueError, RecursionError, MemoryError, SyntaxError):
        bound = False  # what is left of the text is no program, or one that no parser can take
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if not bound:
        return {"program": None, "reason": f"no program that defines {entry_point}"}
    return {"program": program}


def _binds(program: str, name: str) -> bool:
    """Tell whether a program gives the name a value at module level."""
    table = symtable.symtable(program, "<program>", "exec")
    if name not in table.get_identifiers():
        return False
    symbol = table.lookup(name)
    return symbol.is_assigned() or symbol.is_imported()
