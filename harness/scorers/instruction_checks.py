"""Checks one IFEval response with lm-eval's implementation. Runs in a worker process, never in the parent.

Importing this module makes sure that NLTK's sentence tables are there, because lm-eval would otherwise try to download
them in the middle of an import.
"""

import os
import random
import socket
from pathlib import Path
from typing import Any

import nltk
from langdetect import DetectorFactory

from harness.errors import DataError

_TABLES = "tokenizers/punkt_tab/english"
_DOWNLOAD_SECONDS = 20


def _find_tables() -> bool:
    try:
        nltk.data.find(_TABLES)
    except LookupError:
        return False
    return True


def _require_tables() -> None:
    """Look in NLTK_DATA, in HARNESS_DATA and in NLTK's own places; then try to download."""
    if data_dir := os.environ.get("HARNESS_DATA"):
        nltk.data.path.append(str(Path(data_dir) / "nltk_data"))
    if _find_tables():
        return
    if os.environ.get("HF_HUB_OFFLINE") != "1":
        socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
        nltk.download("punkt_tab", quiet=True)
    if not _find_tables():
        raise DataError(
            "IFEval needs NLTK's punkt_tab tables, which are not here and could not be downloaded; set NLTK_DATA to a "
            "folder that holds tokenizers/punkt_tab/english, or run with internet: python -m nltk.downloader punkt_tab"
        )


_require_tables()
os.environ["LOCAL_RANK"] = "1"  # keeps lm-eval from looking for the tables again
DetectorFactory.seed = 0

from lm_eval.tasks.ifeval.utils import (  # noqa: E402 - only after the tables are there
    InputExample,
    test_instruction_following_loose,
    test_instruction_following_strict,
)


def check(payload: dict[str, Any]) -> dict[str, list[bool]]:
    """Return for each instruction whether the response follows it, strictly and loosely.

    Args:
        payload: `key`, `prompt`, `instruction_id_list`, `kwargs` of the example, and the `response`.
    """
    example = InputExample(
        key=payload["key"],
        instruction_id_list=payload["instruction_id_list"],
        prompt=payload["prompt"],
        kwargs=payload["kwargs"],
    )
    verdicts = {}
    for name, test in (("strict", test_instruction_following_strict), ("loose", test_instruction_following_loose)):
        random.seed(0)  # lm-eval draws an argument where an example gives none
        verdicts[name] = [bool(verdict) for verdict in test(example, payload["response"]).follow_instruction_list]
    return verdicts
