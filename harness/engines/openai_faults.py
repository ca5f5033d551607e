"""What can go wrong with a request to a server, and what each fault means: ask again, give the request up, or stop."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from harness.engines.openai_pace import retry_after

Blame = Literal["passing", "request", "engine"]
"""`passing`: worth another try; `request`: this one will never be answered; `engine`: none will."""

_TRY_AGAIN = frozenset({408, 409, 425, 429})
_NO_SERVICE = frozenset({401, 402, 403, 404, 405, 407, 410, 501, 505})
_BUSY = frozenset({429, 503, 504, 529})
_SETTINGS = {
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_k": "sampling.top_k",
    "repetition_penalty": "sampling.repetition_penalty",
    "repeat_penalty": "sampling.repetition_penalty",
    "seed": "sampling.seed",
    "stop": "the task's stop strings",
    "chat_template_kwargs": "enable_thinking",
    "enable_thinking": "enable_thinking",
    "echo": "echo",
    "logprobs": "logprobs",
    "top_logprobs": "likelihoods of words",
}
"""Field of a request's body to what users know it by."""


@dataclass
class Fault:
    """One request went wrong once."""

    cause: str
    """Under which it is counted: a status, `timeout`, `connection`, `unreadable`, `setting`."""
    message: str
    blame: Blame = "passing"
    is_busy: bool = False
    """Whether the server has more to do than it can."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""


def fault_of_timeout(seconds: float) -> Fault:
    """Return the fault of a request that took too long."""
    return Fault("timeout", f"no answer within {seconds:g} s", is_busy=True)


def fault_of_connection(error: BaseException) -> Fault:
    """Return the fault of a connection that could not be made, or broke."""
    return Fault("connection", _one_line(str(error.__cause__ or error)) or type(error).__name__)


def fault_of_answer(error: msgspec.MsgspecError | UnicodeDecodeError, content: bytes) -> Fault:
    """Return the fault of an answer that is cut off or is something else altogether."""
    start = _one_line(content[:80].decode("utf-8", "replace"))
    return Fault("unreadable", f"the answer is not what the API promises ({_one_line(str(error))}): {start!r}")


def fault_of_status(status: int, content: bytes, headers: Mapping[str, str], sent: Collection[str]) -> Fault:
    """Return the fault that an HTTP status stands for.

    Args:
        status: The status, 300 or above.
        content: The answer, mostly JSON.
        headers: The answer's headers.
        sent: Fields of the request's body.
    """
    message, code, param = _read_error(content)
    told = f"{status} {message}".strip()
    if status in _NO_SERVICE or code == "insufficient_quota":
        return Fault(str(status), told, "engine")
    if status in _TRY_AGAIN or status >= 500:
        return Fault(str(status), told, is_busy=status in _BUSY, retry_after=retry_after(headers))
    if status in (400, 422) and (name := _find_setting(message, param, sent)):
        return Fault("setting", f"{name} ({_SETTINGS[name]}): {told}", "engine")
    return Fault(str(status), told, "request")


def _read_error(content: bytes) -> tuple[str, str, str]:
    """Return message, code and the field it is about, from the shapes that servers give errors."""
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        body = content.decode("utf-8", "replace")
    found = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(found, dict):
        return _one_line(str(found or "")), "", ""
    message = found.get("message") or found.get("detail") or found
    return _one_line(str(message)), str(found.get("code") or ""), str(found.get("param") or "")


def _find_setting(message: str, param: str, sent: Collection[str]) -> str | None:
    """Return the field that a refusal names; `stop` counts only in quotes, being a word of plain English."""
    for name in _SETTINGS:
        pattern = rf"['\"`]{name}['\"`]" if name == "stop" else rf"\b{name}\b"
        if name in sent and (param == name or re.search(pattern, message)):
            return name
    return None


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "..."
