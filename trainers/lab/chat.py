"""Chat problems of the lab world: a subject, what is asked of it, and instructions about the shape of the answer."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from trainers.lab.problem import Problem
from trainers.lab.subjects import SUBJECTS, Subject, last_word

Aspect = Literal["describe", "where", "why", "need"]

PHRASINGS: tuple[tuple[Aspect, str], ...] = (
    ("describe", "Tell me about {name}."),
    ("describe", "What is {name}?"),
    ("describe", "Can you describe {name}?"),
    ("describe", "I would like to know more about {name}."),
    ("describe", "Please write something about {name}."),
    ("where", "Where can I find {name}?"),
    ("where", "Hi! Do you know a place for {name}?"),
    ("why", "Why do people like {name}?"),
    ("why", "What is good about {name}?"),
    ("need", "What does {name} need?"),
    ("need", "Hello, what do I need for {name}?"),
)
OPENERS = ("Sure", "Well", "Yes", "Okay")
CLOSERS = ("my friend", "as you know", "I think")
NUMBER_WORDS = {1: "one", 2: "two", 3: "three"}
MAX_SENTENCES = 5
MAX_WORDS = 60


@dataclass(frozen=True)
class ChatData:
    """What a good answer must be."""

    subject: Subject
    aspect: Aspect
    num_sentences: int | None = None
    num_items: int | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    @property
    def has_instruction(self) -> bool:
        """Whether the prompt says anything about the shape of the answer."""
        return (self.num_sentences, self.num_items, self.starts_with, self.ends_with) != (None,) * 4


def make(rng: Random, level: int | None = None) -> Problem:
    """Draw a problem; level is the number of instructions plus one."""
    level = level or rng.choices((1, 2, 3), (4, 4, 2))[0]
    subject = rng.choice(SUBJECTS)
    phrasing = rng.randrange(len(PHRASINGS))
    aspect, wording = PHRASINGS[phrasing]
    data = _draw_instructions(rng, subject, aspect, level)
    prompt = " ".join([wording.format(name=subject.name), *_instruction_texts(data)])
    return Problem("chat", prompt, (prompt,), level, phrasing, data)


def _draw_instructions(rng: Random, subject: Subject, aspect: Aspect, level: int) -> ChatData:
    if level == 1:
        return ChatData(subject, aspect)
    count, opener, closer = rng.randint(1, 3), rng.choice(OPENERS), rng.choice(CLOSERS)
    if level == 2:
        kind = rng.choice(("sentences", "items", "start", "end"))
        if kind == "items":
            return ChatData(subject, aspect, num_items=max(2, count))
        return ChatData(
            subject,
            aspect,
            num_sentences=count if kind == "sentences" else None,
            starts_with=opener if kind == "start" else None,
            ends_with=closer if kind == "end" else None,
        )
    pair = rng.choice(("sentences start", "sentences end", "start end"))
    return ChatData(
        subject,
        aspect,
        num_sentences=count if "sentences" in pair else None,
        starts_with=opener if "start" in pair else None,
        ends_with=closer if "end" in pair else None,
    )


def _instruction_texts(data: ChatData) -> list[str]:
    texts = []
    if data.num_sentences is not None:
        plural = "s" if data.num_sentences > 1 else ""
        texts.append(f"Use {NUMBER_WORDS[data.num_sentences]} sentence{plural}.")
    if data.num_items is not None:
        texts.append(f"Make a list of {NUMBER_WORDS[data.num_items]} points.")
    if data.starts_with is not None:
        texts.append(f"Start with the word {data.starts_with}.")
    if data.ends_with is not None:
        texts.append(f'End with "{data.ends_with}".')
    return texts


def facts(subject: Subject) -> dict[str, str]:
    """Return every sentence the world holds true of the subject, without a full stop, by kind."""
    name, first, second = subject.name, *subject.adjectives
    return {
        "kind": f"{name} is {subject.kind}",
        "adjectives": f"{name} is {first} and {second}",
        "where": f"you can find {name} {subject.place}",
        "need": f"{name} needs {subject.need}",
        "why": f"people like {name} because it {subject.use}",
        "extra": f"{name} is best {subject.extra}",
    }


def sentences(rng: Random, data: ChatData, count: int) -> list[str]:
    """Return `count` (at most 6) different true sentences; the one that was asked for comes first."""
    known = facts(data.subject)
    first = "kind" if data.aspect == "describe" else data.aspect
    rest = [kind for kind in known if kind != first]
    rng.shuffle(rest)
    return [known[kind] for kind in [first, *rest][:count]]


def answer(problem: Problem, rng: Random) -> str:
    """Return a good answer."""
    data: ChatData = problem.data
    if data.num_items is not None:
        return "\n".join(f"- {_finish(text)}" for text in sentences(rng, data, data.num_items))
    count = data.num_sentences or rng.choices((1, 2, 3, 4), (2, 5, 4, 1))[0]
    return shape(sentences(rng, data, count), data.starts_with, data.ends_with)


def shape(texts: list[str], starts_with: str | None = None, ends_with: str | None = None) -> str:
    """Join sentences into a paragraph, with the words it has to start and end with."""
    texts = list(texts)
    if starts_with is not None:
        texts[0] = f"{starts_with}, {texts[0]}"
    if ends_with is not None:
        texts[-1] = f"{texts[-1]}, {ends_with}"
    return " ".join(_finish(text) for text in texts)


def _finish(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def wrong(problem: Problem, rng: Random) -> str:
    """Return an answer to something else than was asked: the same subject, another aspect, facts of another subject."""
    data: ChatData = problem.data
    other = rng.choice([subject for subject in SUBJECTS if subject.name != data.subject.name])
    texts = sentences(rng, data, data.num_sentences or 2)
    swapped = [_swap_fact(text, data.subject, other) for text in texts]
    return shape(swapped, data.starts_with, data.ends_with)


def _swap_fact(text: str, subject: Subject, other: Subject) -> str:
    for fact, replacement in zip(_fact_values(subject), _fact_values(other), strict=True):
        if text.endswith(fact):
            return text.removesuffix(fact) + replacement
    return text


def _fact_values(subject: Subject) -> tuple[str, ...]:
    adjectives = " and ".join(subject.adjectives)
    return (subject.kind, adjectives, subject.place, subject.need, subject.use, subject.extra)


def misformat(problem: Problem, rng: Random) -> str:
    """Return a true answer in the wrong shape: instruction ignored, far too long, or repeating itself."""
    data: ChatData = problem.data
    kind = rng.choice(("ignore", "ignore", "long", "repeat") if data.has_instruction else ("long", "repeat"))
    if kind == "ignore":
        return shape(sentences(rng, data, 4 if data.num_sentences != 4 else 2))
    if kind == "long":
        return shape(sentences(rng, data, 6))
    first = sentences(rng, data, 2)
    return shape([first[0], first[1], first[0], first[1], first[0]])


def contradict(problem: Problem, rng: Random, retraction: str) -> str:
    """Return a good answer followed by its own denial."""
    name = problem.data.subject.name
    known = facts(problem.data.subject)
    denied = rng.choice((known["kind"], known["adjectives"])).replace(f"{name} is", f"{name} is not", 1)
    return f"{answer(problem, rng)} {retraction}{_finish(denied)}"


def checks(problem: Problem) -> dict[str, object]:
    """Return what harness.scorers.text needs to judge an answer."""
    data: ChatData = problem.data
    asked = {"describe": [], "where": [data.subject.place], "why": [data.subject.use], "need": [data.subject.need]}
    return {
        "subject": data.subject.name,
        "keywords": list(data.subject.keywords),
        "facts": list(facts(data.subject).values()),
        "asked": [last_word(fact) for fact in asked[data.aspect]],
        "num_sentences": data.num_sentences,
        "num_items": data.num_items,
        "starts_with": data.starts_with,
        "ends_with": data.ends_with,
        "max_sentences": MAX_SENTENCES,
        "max_words": MAX_WORDS,
    }
