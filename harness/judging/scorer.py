"""Scores a judged task's answers by a judge: against a baseline's answer, or on FastChat's scale from 1 to 10."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import UsageError
from harness.judging.answers import Answer, read_answer, strip_reasoning
from harness.judging.bench import Bench
from harness.judging.metrics import task_metrics
from harness.judging.pairwise import Match, PairRules, ask_all, judge_pairs, unread_score
from harness.judging.protocol import JudgeProtocol
from harness.judging.question import single_question
from harness.judging.records import Question, Template
from harness.schema import Estimate, Example, Generation, Score
from harness.spec import JudgeConfig, content_hash

Item = tuple[Example, Generation]


@dataclass(frozen=True)
class _Rating:
    """An answer to be rated."""

    example: Example
    generation: Generation
    answer: Answer


class JudgeScorer:
    """A BatchScorer. Tasks may share its bench, which it closes."""

    name = "judge"

    def __init__(
        self,
        task: str,
        protocol: JudgeProtocol,
        templates: Mapping[str, Template],
        bench: Bench,
        config: JudgeConfig,
        kin: str | None = None,
    ) -> None:
        """Take what is judged and by whom; nothing is asked yet.

        Args:
            task: its name.
            protocol: of the task.
            templates: by use: pair; or general, general_2, reference, reference_2.
            bench: the judge, its store and its budget.
            config: of the judge.
            kin: why the judge is kin of the checkpoint; None if nothing is known that makes it so.
        """
        self._task = task
        self._protocol = protocol
        self._templates = templates
        self._bench = bench
        self._config = config
        self._kin = kin
        judge = bench.identity
        told = {key: value for key, value in asdict(protocol).items() if key != "templates"}
        used = {} if judge.kind == "reward" else {use: template.identity for use, template in templates.items()}
        digest = content_hash([judge.digest, used, list(config.strip), config.swap, told])
        self.version = f"{task}-{judge.name.replace('/', '_')}-{digest[:8]}"

    def check(self) -> None:
        """Check that such a judge can judge such a task.

        Raises:
            UsageError: if a reward model is to give ratings.
        """
        if self._protocol.kind == "rating" and self._bench.identity.kind == "reward":
            raise UsageError(
                f"{self._task} asks for ratings from 1 to {self._protocol.highest}, which a reward model such as "
                f"{self._bench.identity.name} cannot give; pass --judge with a language model"
            )

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge one generation; score_all asks about many at once."""
        return next(self.score_all([(example, generation)]))

    def score_all(self, items: Iterable[Item]) -> Iterator[Score]:
        """Yield one score per generation, each as soon as its verdicts are there."""
        return self._compare(items) if self._protocol.kind == "pair" else self._rate(items)

    def metrics(self, examples: Sequence[Example], scores: Sequence[Score]) -> dict[str, Estimate]:
        """Return what the verdicts come to, beside their mean."""
        return task_metrics(self._protocol, examples, scores)

    def describe(self) -> dict[str, Any]:
        """Return what the run's record says of its judge."""
        judge = self._bench.identity
        return {
            "name": judge.name,
            "kind": judge.kind,
            "digest": judge.digest,
            "kin": self._kin,
            "num_calls": self._bench.num_calls,
        }

    def close(self) -> None:
        """Close the judge and its store; another task's scorer may have done so already."""
        self._bench.close()

    @property
    def _identity(self) -> str:
        return f"{self.name}@{self.version}"

    def _compare(self, items: Iterable[Item]) -> Iterator[Score]:
        is_reward = self._bench.identity.kind == "reward"
        rules = PairRules(
            scorer=self._identity,
            template=None if is_reward else self._templates["pair"],
            swap=self._config.swap,
            strong_weight=self._protocol.strong_weight,
        )
        yield from judge_pairs(self._bench, (self._match(*item) for item in items), rules)

    def _match(self, example: Example, generation: Generation) -> Match:
        assert example.target is not None, "the baseline's answer is the target"
        difficulty = example.metadata.get("difficulty")
        return Match(
            key=generation.key,
            question=example.input,
            candidate=read_answer(generation, self._config.strip),
            baseline=Answer(example.target, is_finished=True),
            where=f"{example.task}/{example.example_id}#{generation.key.index} against {self._protocol.baseline}",
            difficulty=None if difficulty is None else float(difficulty),
        )

    def _rate(self, items: Iterable[Item]) -> Iterator[Score]:
        asked = []
        for example, generation in items:
            rating = _Rating(example, generation, read_answer(generation, self._config.strip))
            asked.append((rating, (self.question(example, generation),)))
        for rating, (verdict,) in ask_all(self._bench, asked):
            if verdict.value is None:
                yield unread_score(rating.generation.key, self._identity, verdict)
            else:
                yield self._rating_score(rating, verdict.value, verdict.label)

    def question(self, example: Example, generation: Generation) -> Question:
        """Return what is asked about an answer that is rated: by the template of its turn, and of its reference.

        FastChat's templates of second turns number questions, answers and references; those of first turns number the
        reference alone.
        """
        answer = read_answer(generation, self._config.strip)
        earlier = example.metadata.get("earlier_questions", ())
        answers = [strip_reasoning(text, self._config.strip) for text in example.metadata.get("earlier_answers", ())]
        assert len(answers) == len(earlier), f"{example.example_id}: the runner adds what was answered before"
        fields = {"question": example.input}
        fields |= _numbered("question", [*earlier, example.input]) | _numbered("answer", [*answers, answer.text])
        use = "general"
        if example.metadata.get("needs_reference"):
            assert example.target is not None, "the reference answer is the target"
            use = "reference"
            fields |= _numbered("ref_answer", [*example.metadata.get("earlier_references", ()), example.target])
        template = self._templates[f"{use}_2" if earlier else use]
        where = f"{example.task}/{example.example_id}#{generation.key.index}"
        return single_question(template, fields, answer.text, where)

    def _rating_score(self, rating: _Rating, value: float, label: str) -> Score:
        turn = float(rating.example.metadata["turn"])
        return Score(
            key=rating.generation.key,
            value=value / self._protocol.highest,
            outcome="scored",
            answer=label,
            scorer=self._identity,
            parts={"empty": (float(rating.answer.is_empty),)},
            detail="; ".join([f"rated {value:g} of {self._protocol.highest}", *rating.answer.remarks]),
            measures={"rating": value, "turn": turn, "length": float(len(rating.answer.text))},
        )


def _numbered(name: str, texts: Sequence[str]) -> dict[str, str]:
    """Return texts as fields name_1, name_2, …"""
    return {f"{name}_{number}": text for number, text in enumerate(texts, 1)}
