"""What comes of a call: its result, or the one line in which it was refused."""

from collections.abc import Callable
from typing import TypeVar

from harness.errors import HarnessError

T = TypeVar("T")


def attempt(refusal: type[HarnessError], call: Callable[[], T]) -> tuple[T | None, str]:
    """Return (result, ""), or (None, the message) if the call was refused; any other exception comes through."""
    try:
        return call(), ""
    except refusal as error:
        message = str(error)
    assert message
    assert message.splitlines() == [message], "a refusal is one line"
    return None, message
