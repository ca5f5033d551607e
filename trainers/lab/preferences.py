"""Preference pairs about chat, for the lab's reward model: a better and a worse reply to the same prompt.

All of it comes from the generator, none from a model, and no held-out prompt is in it. Which reply is better is known
by construction (a good answer was spoiled, once or twice); the rules of `lab_chat` are never asked.

What these pairs leave open, and a policy finds: no reply begins with a space, no word is garbled, and few prompts give
two instructions.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from random import Random

from trainers.lab import chat, noise
from trainers.lab.problem import Problem
from trainers.lab.subjects import SUBJECTS, Subject

GROSS_MODES: tuple[noise.Mode, ...] = ("ramble", "off_topic", "evasive", "contradict", "misformat", "wrong")
"""How the web fails (noise.py)."""
HOPELESS_MODES: tuple[noise.Mode, ...] = ("ramble", "off_topic", "evasive")
"""Modes that are worse than any single small flaw."""
PAIR_WEIGHTS = {"clean over mode": 4, "clean over flaw": 10, "flaw over two": 4, "flaw over mode": 2}
HARD_FLAWS = {"wrong_fact": 3, "stray": 3, "broken": 3}
"""How many times as often as the other small flaws those are drawn that a model finds hardest to see."""
SAME_FACTS = 0.7
"""How often the two replies of a pair state the same facts, so that the flaw alone differs."""
TEST_BYTES = 13
"""A prompt whose sha256 has a second byte below this is only ever in the test pairs: 13/256, about one in twenty."""
USUAL_LIMIT = 96
"""Tokens of a reply that never ends: the lab's limit."""
ODD_LIMITS = (24, 128)
"""Range of other limits, used one time in three: what counts is that the end is missing, not where."""


@dataclass(frozen=True)
class Reply:
    """What the assistant said."""

    text: str
    max_tokens: int | None = None
    """None if the turn ended; else the text is cut at so many tokens and has no end-of-turn token."""


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt."""

    prompt: str
    chosen: Reply
    rejected: Reply
    kind: str
    """Key of PAIR_WEIGHTS."""
    flaw: str
    """Mode or small flaw that makes the difference."""


@dataclass(frozen=True)
class Draft:
    """A reply in parts, so that flaws can be put into it one by one."""

    statements: tuple[str, ...]
    starts_with: str | None
    ends_with: str | None
    is_list: bool
    before: str = ""
    after: str = ""
    max_tokens: int | None = None

    def reply(self) -> Reply:
        """Put the parts together."""
        joint = "\n" if self.is_list else " "
        lines = [chat.shape([text]) for text in _with_words([*self.statements], self.starts_with, self.ends_with)]
        body = joint.join(f"- {line}" if self.is_list else line for line in lines)
        return Reply(self.before + body + self.after, self.max_tokens)


Flaw = Callable[[Draft, chat.ChatData, Random], Draft | None]


def _with_words(texts: list[str], starts_with: str | None, ends_with: str | None) -> list[str]:
    if starts_with is not None:
        texts[0] = f"{starts_with}, {texts[0]}"
    if ends_with is not None:
        texts[-1] = f"{texts[-1]}, {ends_with}"
    return texts


def make_pairs(seed: int, *, test: bool) -> Iterator[Pair]:
    """Yield pairs without end; training and test pairs have no prompt in common.

    Args:
        seed: same seed, same pairs.
        test: whether to make test pairs.
    """
    rng = Random(f"preferences {seed} {test}")
    while True:
        problem = noise.draw_problem(rng, "chat")
        if is_test_prompt(problem.prompt) == test:
            yield _make_pair(problem, rng)


def is_test_prompt(prompt: str) -> bool:
    """Return whether a prompt is kept for test pairs."""
    return hashlib.sha256(prompt.encode()).digest()[1] < TEST_BYTES


def _make_pair(problem: Problem, rng: Random) -> Pair:
    kind = rng.choices(tuple(PAIR_WEIGHTS), tuple(PAIR_WEIGHTS.values()))[0]
    clean = _draft(problem, rng)
    if kind == "clean over mode":
        return _over_mode(problem, clean, rng.choice(GROSS_MODES), kind, rng)
    if kind == "clean over flaw":
        source = clean if rng.random() < SAME_FACTS else _draft(problem, rng)
        worse, flaw = _spoil(source, problem, rng, FLAWS)
        return Pair(problem.prompt, clean.reply(), worse.reply(), kind, flaw)
    # One flaw in the sentences and one around them: the second never mends or hides the first.
    first, second = rng.sample((STATEMENT_FLAWS, FRAME_FLAWS), 2)
    better, _ = _spoil(clean, problem, rng, [flaw for flaw in first if flaw != "endless"])
    if kind == "flaw over mode":
        return _over_mode(problem, better, rng.choice(HOPELESS_MODES), kind, rng)
    worse, flaw = _spoil(better, problem, rng, second)
    return Pair(problem.prompt, better.reply(), worse.reply(), kind, flaw)


def _over_mode(problem: Problem, better: Draft, mode: noise.Mode, kind: str, rng: Random) -> Pair:
    text, ended = noise.respond(problem, mode, rng)
    worse = Reply(text, None if ended else _draw_limit(rng))
    return Pair(problem.prompt, better.reply(), worse, kind, mode)


def _draft(problem: Problem, rng: Random) -> Draft:
    data: chat.ChatData = problem.data
    count = data.num_items or data.num_sentences or rng.choices((1, 2, 3, 4), (2, 5, 4, 1))[0]
    texts = chat.sentences(rng, data, count)
    return Draft(tuple(texts), data.starts_with, data.ends_with, data.num_items is not None)


def _draw_limit(rng: Random) -> int:
    return USUAL_LIMIT if rng.random() < 2 / 3 else rng.randint(*ODD_LIMITS)


def _spoil(draft: Draft, problem: Problem, rng: Random, flaws: Iterable[str]) -> tuple[Draft, str]:
    """Put one of the flaws into a draft; which ones fit depends on what was asked and what the draft says."""
    names, before = tuple(flaws), draft.reply()
    weights = [HARD_FLAWS.get(name, 1) for name in names]
    while True:
        flaw = rng.choices(names, weights)[0]
        spoiled = FLAWS[flaw](draft, problem.data, rng)
        if spoiled is not None and spoiled.reply() != before:
            return spoiled, flaw


def _other(subject: Subject, rng: Random) -> Subject:
    return rng.choice([other for other in SUBJECTS if other.name != subject.name])


def _replace_one(draft: Draft, text: str, rng: Random) -> Draft:
    """Put a statement in the place of one of the draft's."""
    position = rng.randrange(len(draft.statements))
    return _replace_at(draft, position, text)


def _replace_at(draft: Draft, position: int, text: str) -> Draft:
    statements = draft.statements
    return replace(draft, statements=(*statements[:position], text, *statements[position + 1 :]))


def _wrong_fact(draft: Draft, data: chat.ChatData, rng: Random) -> Draft | None:
    """One fact belongs to another subject."""
    true = chat.facts(data.subject)
    position = rng.randrange(len(draft.statements))
    kind = next((kind for kind, text in true.items() if text == draft.statements[position]), None)
    if kind is None:
        return None
    text = chat.facts(replace(_other(data.subject, rng), name=data.subject.name))[kind]
    return None if text in true.values() else _replace_at(draft, position, text)


def _stray(draft: Draft, data: chat.ChatData, rng: Random) -> Draft:
    """One sentence is about another subject."""
    return _replace_one(draft, rng.choice(list(chat.facts(_other(data.subject, rng)).values())), rng)


def _broken(draft: Draft, _data: chat.ChatData, rng: Random) -> Draft:
    """One sentence lacks a word."""
    position = rng.randrange(len(draft.statements))
    words = draft.statements[position].split(" ")
    del words[rng.randrange(1, len(words))]
    return _replace_at(draft, position, " ".join(words))


def _denied(draft: Draft, data: chat.ChatData, rng: Random) -> Draft:
    """One sentence denies what is true."""
    true, name = chat.facts(data.subject), data.subject.name
    text = true[rng.choice(("kind", "adjectives", "extra"))].replace(f"{name} is", f"{name} is not", 1)
    return _replace_one(draft, text, rng)


def _not_asked(draft: Draft, data: chat.ChatData, rng: Random) -> Draft | None:
    """All is true, but the question is not answered."""
    true = chat.facts(data.subject)
    asked = true.get(data.aspect)
    unused = [text for text in true.values() if text not in draft.statements]
    if asked not in draft.statements or not unused:
        return None
    return _replace_at(draft, draft.statements.index(asked), rng.choice(unused))


def _repeat(draft: Draft, data: chat.ChatData, rng: Random) -> Draft | None:
    """One sentence comes twice; where three were asked for, all of them do."""
    if data.num_sentences is None and data.num_items is None:
        return replace(draft, statements=(*draft.statements, rng.choice(draft.statements)))
    # At -1 the first and then all sentences are appended: too many as well. Kept, since lab/reward was trained on it.
    return _replace_at(draft, -1, draft.statements[0]) if len(draft.statements) > 2 else None


def _count(draft: Draft, data: chat.ChatData, rng: Random) -> Draft | None:
    """One sentence or item too many or too few; six where the prompt leaves it open."""
    unused = [text for text in chat.facts(data.subject).values() if text not in draft.statements]
    if data.num_sentences is None and data.num_items is None:
        return replace(draft, statements=(*draft.statements, *unused))
    if len(draft.statements) > 1 and rng.random() < 0.5:
        return replace(draft, statements=draft.statements[:-1])
    return replace(draft, statements=(*draft.statements, rng.choice(unused))) if unused else None


def _opener(draft: Draft, data: chat.ChatData, rng: Random) -> Draft:
    """The first word is missing, another one, or nobody asked for it."""
    words = [word for word in (*chat.OPENERS, None) if word != data.starts_with]
    return replace(draft, starts_with=rng.choice(words))


def _closer(draft: Draft, data: chat.ChatData, rng: Random) -> Draft:
    """The last words are missing, other ones, or nobody asked for them."""
    words = [word for word in (*chat.CLOSERS, None) if word != data.ends_with]
    return replace(draft, ends_with=rng.choice(words))


def _no_list(draft: Draft, data: chat.ChatData, _rng: Random) -> Draft | None:
    """A paragraph where a list was asked for."""
    return replace(draft, is_list=False) if data.num_items is not None else None


def _hedge(draft: Draft, _data: chat.ChatData, rng: Random) -> Draft:
    """An evasion around the answer."""
    if rng.random() < 0.5:
        return replace(draft, before=f"{rng.choice(noise.EVASIONS)} ")
    return replace(draft, after=f" {rng.choice(noise.EVASIONS)}")


def _taken_back(draft: Draft, data: chat.ChatData, rng: Random) -> Draft:
    """The answer is taken back, with or without a denial after it."""
    retraction = rng.choice(noise.RETRACTIONS)
    denial = _denied(draft, data, rng).statements
    said = chat.shape([next((text for text in denial if " is not " in text), denial[0])])
    return replace(draft, after=f" {retraction}{said}" if rng.random() < 0.7 else f" {retraction.strip()}")


def _leak(draft: Draft, _data: chat.ChatData, rng: Random) -> Draft:
    """It goes on into another question and its answer, and ends there."""
    other = noise.draw_problem(rng, "chat")
    return replace(draft, after=rng.choice(noise.FOLLOW_UPS).format(q=other.prompt, a=noise.answer(other, rng)))


def _endless(draft: Draft, data: chat.ChatData, rng: Random) -> Draft:
    """It stays on the subject and never ends."""
    facts = list(chat.facts(data.subject).values())
    more = [chat.shape(rng.sample(facts, len(facts))) for _ in range(4)]
    return replace(draft, after=" " + " ".join(more), max_tokens=_draw_limit(rng))


STATEMENT_FLAWS: dict[str, Flaw] = {
    "wrong_fact": _wrong_fact,
    "stray": _stray,
    "broken": _broken,
    "denied": _denied,
    "not_asked": _not_asked,
    "repeat": _repeat,
    "count": _count,
}
"""Small flaws of the sentences; a function returns None where its flaw does not fit."""
FRAME_FLAWS: dict[str, Flaw] = {
    "opener": _opener,
    "closer": _closer,
    "no_list": _no_list,
    "hedge": _hedge,
    "taken_back": _taken_back,
    "leak": _leak,
    "endless": _endless,
}
"""Small flaws around the sentences."""
FLAWS = STATEMENT_FLAWS | FRAME_FLAWS


def render(pairs: Iterable[Pair]) -> str:
    """Return pairs as lines of JSON."""
    return "".join(json.dumps(asdict(pair), ensure_ascii=True) + "\n" for pair in pairs)


def digest(pairs: Iterable[Pair]) -> str:
    """Return the sha256 of the rendered pairs."""
    return hashlib.sha256(render(pairs).encode()).hexdigest()
