"""Figures that papers and model cards print, each file with its citation, to stand beside what is measured here.

Read only: nothing is computed from them, and no table mixes them with measured numbers. One TOML file a publication.
"""

import tomllib
from importlib.resources import files
from typing import Annotated, NamedTuple

import msgspec

from harness.errors import UsageError
from harness.reading import parse_record
from harness.schema import Record
from harness.spec import did_you_mean

Points = Annotated[float, msgspec.Meta(ge=0, le=100)]


class PublishedModel(Record, frozen=True):
    """What a publication says of one model."""

    title: str
    """As the publication calls it."""
    where: str
    """Table or section."""
    note: str = ""
    """How its figures were made, where that differs from the file's other models."""
    figures: dict[str, Points] = msgspec.field(default_factory=dict)
    """By task, under this project's names, or `overall`: the publication's own average, over its own tasks."""


class Publication(Record, frozen=True):
    """One TOML file."""

    title: str
    authors: str
    arxiv: str
    """Identifier, such as 2605.15464."""
    models: dict[str, PublishedModel]
    note: str = ""
    """What holds for all of its figures."""
    protocol: dict[str, str] = msgspec.field(default_factory=dict)
    """How a figure was made, by task; `*` for the others."""

    @property
    def citation(self) -> str:
        """Who says so, in one line."""
        return f"{self.authors}: {self.title}, arXiv {self.arxiv}"


class Published(NamedTuple):
    """One model of one publication."""

    name: str
    """FILE/MODEL, as a study names it."""
    publication: Publication
    model: PublishedModel

    def protocol(self, task: str) -> str:
        """Return how a figure was made; empty if the file does not say."""
        return self.publication.protocol.get(task, self.publication.protocol.get("*", ""))


def load_publications() -> dict[str, Publication]:
    """Return every publication by the stem of its file, in alphabetical order."""
    found = {}
    for file in sorted(files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            data = tomllib.loads(file.read_text(encoding="utf-8"))
            found[file.name.removesuffix(".toml")] = parse_record(data, Publication, file.name)
    return found


def find_published(name: str) -> Published:
    """Return the model that FILE/MODEL names.

    Raises:
        UsageError: if there is none, with a suggestion.
    """
    known = {
        f"{stem}/{key}": Published(f"{stem}/{key}", publication, model)
        for stem, publication in load_publications().items()
        for key, model in publication.models.items()
    }
    if name not in known:
        hint = did_you_mean(name, known) or f"; expected FILE/MODEL, one of {', '.join(known)}"
        raise UsageError(f"published {name}: no such figures{hint}")
    return known[name]
