"""Every failure a user can meet, with its exit code. A failed generation is data, not one of these."""

EXIT_OK = 0
"""The command did what it was asked."""
EXIT_NEGATIVE = 1
"""The command ran and its verdict is negative: a task check failed, a regression was found."""
EXIT_INCONCLUSIVE = 2
"""The gate ran, and the examples are too few to tell a pass from a regression."""
EXIT_COULD_NOT_RUN = 3
"""Bad usage, bad input or a missing requirement; nothing was measured."""
EXIT_INCOMPLETE = 4
"""The run is stored, but some requests ended in outcome `error`; run the same command again to retry them."""
EXIT_INTERRUPTED = 130
"""Stopped by Ctrl-C; run the same command again to resume."""


class HarnessError(Exception):
    """A problem the user can act on: says what was given, what was expected and what to do next, in one line."""

    exit_code = EXIT_COULD_NOT_RUN


class UsageError(HarnessError):
    """A flag, task name or setting that does not exist or does not fit."""


class SpecError(HarnessError):
    """A TOML file or `--set` value that does not describe a run."""


class CheckpointError(HarnessError):
    """A checkpoint that is missing, damaged, or lacks what the run needs of it."""


class DataError(HarnessError):
    """Benchmark rows that are missing, unreadable, or not the ones that were expected."""


class StoreError(HarnessError):
    """A run directory that cannot be written, read, or trusted."""


class LockedError(StoreError):
    """Another process is writing the same run."""


class EngineError(HarnessError):
    """An engine that cannot start, or died."""


class SandboxError(HarnessError):
    """No way to run generated programs safely on this machine."""


class ScorerError(HarnessError):
    """A scorer whose own machinery failed; never a verdict on a generation."""


class TrainingError(HarnessError):
    """A training run that cannot start or has to stop; what was saved before stays."""


class BudgetError(HarnessError):
    """More calls of a judge than were allowed; verdicts that were given before stay."""
