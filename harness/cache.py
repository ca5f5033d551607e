"""The one folder for things that can be made again: weight hashes, expected outputs of reference programs."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache folder: $HARNESS_CACHE, else $XDG_CACHE_HOME/grlo-harness, else ~/.cache/grlo-harness."""
    if explicit := os.environ.get("HARNESS_CACHE"):
        return Path(explicit)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "grlo-harness"
    return Path.home() / ".cache" / "grlo-harness"
