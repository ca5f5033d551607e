"""Hostile programs by family, and the campaign that runs them all: `python -m tests.hostile`."""

from tests.hostile import escape, exfiltrate, exhaust, impersonate, survive, tamper
from tests.hostile.corpus import Hostile

PROGRAMS: dict[str, tuple[Hostile, ...]] = {
    "escape": escape.PROGRAMS,
    "exfiltrate": exfiltrate.PROGRAMS,
    "exhaust": exhaust.PROGRAMS,
    "impersonate": impersonate.PROGRAMS,
    "tamper": tamper.PROGRAMS,
    "survive": survive.PROGRAMS,
}
