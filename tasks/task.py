"""BenchmarkTask: the one implementation of harness.interfaces.Task, a frozen value filled in by the suite modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.interfaces import Scorer
from harness.schema import Example, LoadedData, Message, Sampling, ScorerOptions
from harness.spec import did_you_mean
from tasks.dataset import DataSource, load_rows
from tasks.prompts import Prompt

AVG_AT_8 = Sampling(temperature=0.6, top_p=0.95, top_k=20, num_generations=8)
"""The group's protocol for mathematics and question answering (arXiv 2605.15239)."""


def presets(max_tokens: int, sampled: Sampling = AVG_AT_8) -> dict[str, Sampling]:
    """Return the presets `greedy` and `avg@8` with a task's token limit."""
    return {
        "greedy": Sampling(max_tokens=max_tokens),
        "avg@8": msgspec.structs.replace(sampled, max_tokens=max_tokens),
    }


@dataclass(frozen=True)
class BenchmarkTask:
    """Data set + prompt + scorer + metric, versioned."""

    name: str
    version: str
    suite: str
    title: str
    """Full name and what it measures."""
    paper: str
    """Where it was published."""
    licence: str
    """Licence of the data."""
    protocol: str
    """Whose rules prompt and scoring follow."""
    metric: str
    """Primary metric of one generation."""
    source: DataSource
    prompt: Prompt
    scorer_factory: Callable[[ScorerOptions], Scorer]
    presets: Mapping[str, Sampling]
    near_miss: Callable[[Example], str] | None = field(repr=False)
    """A wrong answer that a careless scorer would pass and that must score 0; None where no one text is wrong."""
    gold: Callable[[Example], str] | None = field(repr=False)
    """A generation that must score 1; None where the data has no reference answers."""
    known_exceptions: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Examples whose reference cannot score 1, with the reason."""

    @property
    def data_sha256(self) -> str:
        """Registered hash of the normalised rows."""
        return self.source.sha256

    def load(self, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
        """Return every example in its fixed order; see tasks.dataset.load_rows."""
        return load_rows(self.name, self.source, data_dir, hub_dir)

    def messages(self, example: Example) -> tuple[Message, ...]:
        """Return the conversation that asks the example of a chat model."""
        return (Message(role="user", content=self.prompt.render("chat", example.input)),)

    def completion_prompt(self, example: Example) -> str:
        """Return the plain text that asks the example of a base model."""
        return self.prompt.render("completion", example.input)

    def prompt_id(self, prompting: str) -> str:
        """Return name@digest of the prompt template in use."""
        return self.prompt.identity(prompting)

    def sampling(self, preset: str, prompting: str) -> Sampling:
        """Return the named sampling preset, with the stop strings that the prompting needs.

        Raises:
            UsageError: if there is no such preset.
        """
        if preset not in self.presets:
            hint = did_you_mean(preset, self.presets)
            raise UsageError(f"{self.name} has no preset {preset}{hint}; it has {', '.join(self.presets)}")
        stop = self.prompt.stop if prompting == "completion" else ()
        return msgspec.structs.replace(self.presets[preset], stop=stop)
