"""BenchmarkTask: the one implementation of harness.interfaces.Task, a frozen value filled in by the suite modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.interfaces import Earlier, Scorer
from harness.judging.protocol import JudgeProtocol
from harness.schema import STYLES, Choice, Example, LoadedData, Message, Sampling, ScorerOptions, Style
from harness.spec import did_you_mean
from tasks.dataset import DataSource, Shots, check_hash, load_rows, load_shots
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
    judging: JudgeProtocol | None = None
    """What a judge is asked about the answers; None where the scorer needs none."""
    shots: Shots | None = None
    """Worked examples of the few_shot style; None where the task has no such style."""
    exemplars: LoadedData | None = field(default=None, repr=False)
    """The worked examples, once they are loaded."""

    @property
    def data_sha256(self) -> str:
        """Registered hash of the normalised rows."""
        return self.source.sha256

    @property
    def shots_name(self) -> str:
        """Name under which other worked examples than the registered ones are accepted."""
        return f"{self.name}/shots"

    @property
    def given(self) -> str:
        """What a user names to have it."""
        return self.name

    @property
    def weighs(self) -> bool:
        """Whether likelihoods of given choices are asked for; here answers are always generated."""
        return False

    @property
    def styles(self) -> tuple[Style, ...]:
        """How this task can be asked."""
        return tuple(style for style in STYLES if style != "few_shot" or self.shots is not None)

    def with_exemplars(
        self, data_dir: Path | None, hub_dir: Path | None, accepted: Mapping[str, str]
    ) -> "BenchmarkTask":
        """Return the task with its worked examples loaded, which few_shot prompts need.

        Raises:
            DataError: if they cannot be had, or are other than the registered (or accepted) ones.
        """
        assert self.shots is not None, f"{self.name} has no few_shot style"
        data = load_shots(self.name, self.shots, data_dir, hub_dir)
        check_hash(self.shots_name, self.shots.source.sha256, data, accepted.get(self.shots_name))
        return replace(self, exemplars=data)

    def load(self, data_dir: Path | None, hub_dir: Path | None) -> LoadedData:
        """Return every example in its fixed order; see tasks.dataset.load_rows."""
        return load_rows(self.name, self.source, data_dir, hub_dir)

    def follows(self, example: Example) -> str | None:
        """Return the example_id of the turn that this one goes on from."""
        return example.metadata.get("follows")

    def messages(self, example: Example, earlier: Earlier = ()) -> tuple[Message, ...]:
        """Return the conversation that asks the example of a chat model; answers go in without blanks at their ends."""
        before: list[Message] = []
        for question, answer in earlier:
            before.append(Message(role="user", content=self.prompt.render("chat", question)))
            before.append(Message(role="assistant", content=answer.strip()))
        return *before, Message(role="user", content=self.prompt.render("chat", example.input))

    def plain_prompt(self, example: Example, prompting: str, earlier: Earlier = ()) -> str:
        """Return the plain text that asks the example of a base model, in one of the plain styles."""
        if prompting != "few_shot":
            answered = [(question, answer.strip()) for question, answer in earlier]
            return self.prompt.render_after(prompting, answered, example.input)
        assert self.exemplars is not None, f"{self.name}: the worked examples were not loaded"
        return self.prompt.render_shots(self.exemplars.examples, example.input)

    def choices(self, example: Example, prompting: str) -> tuple[Choice, ...]:
        """Return no choices: every task here has its answers generated."""
        return ()

    def prompt_id(self, prompting: str) -> str:
        """Return name@digest of the prompt template in use, worked examples included."""
        if prompting != "few_shot":
            return self.prompt.identity(prompting)
        assert self.shots is not None, f"{self.name} has no few_shot style"
        return self.prompt.identity(prompting, (self.exemplars or self.shots.source).sha256)

    def continues(self, prompting: str) -> bool:
        """Return whether a generation in this style goes on with the example's own text."""
        return prompting in self.prompt.continues

    def sampling(self, preset: str, prompting: str) -> Sampling:
        """Return the named sampling preset, with the stop strings that the prompting needs.

        Raises:
            UsageError: if there is no such preset.
        """
        if preset not in self.presets:
            hint = did_you_mean(preset, self.presets)
            raise UsageError(f"{self.name} has no preset {preset}{hint}; it has {', '.join(self.presets)}")
        return msgspec.structs.replace(self.presets[preset], stop=self.prompt.stops(prompting))
