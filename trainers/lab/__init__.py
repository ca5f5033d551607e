"""The lab: the whole study in miniature. Its checkpoints come with the package."""

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"

SHIPPED: dict[str, Path] = {
    "lab/base": CHECKPOINTS / "base",
}
