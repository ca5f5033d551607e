"""How many cases are tried: the same ones every time, so that a red suite is red for everybody.

`HYPOTHESIS_PROFILE=explore` tries many more, and others each time; what it finds becomes an `@example`.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=100)
settings.register_profile(
    "explore",
    database=None,
    deadline=None,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
