"""Functions that the worker tests run in worker processes."""

import ctypes
import os
import sys
import time
from typing import Any

KEPT: list[bytes] = []

print("printed while loading")


def obey(payload: dict[str, Any]) -> Any:
    """Do what the payload says."""
    action, value = payload["do"], payload.get("value")
    if action == "sleep":
        time.sleep(value)
    elif action == "print":
        print("x" * value, flush=True)
        os.write(2, b"y" * value)
    elif action == "raise":
        raise ValueError(value)
    elif action == "exit":
        os._exit(value)
    elif action == "crash":
        ctypes.string_at(0)
    elif action == "allocate":
        return len(bytearray(value))
    elif action == "keep":
        KEPT.append(b"x" * value)
    elif action == "hold_interpreter":
        return len(str(9 ** (9**value)))
    elif action == "exit_once":
        if not os.path.exists(value):
            open(value, "w").close()
            os._exit(3)
    elif action == "slow_once":
        if not os.path.exists(value):
            open(value, "w").close()
            time.sleep(60)
    elif action == "pid":
        return os.getpid()
    elif action == "argv":
        return [sys.argv[0], os.getcwd()]
    return value
