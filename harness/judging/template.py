"""A judge's prompt: filled with what is judged, and how a verdict is read from what the judge writes.

Where the data sets' own prompts come from is template_files.py's business. The rules of reading are the data sets':
FastChat's `fastchat/llm_judge/common.py` for `letters` and `rating`, Arena-Hard's `gen_judgment.py` for `comparison`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from harness.errors import SpecError
from harness.judging.records import Reading, Template
from harness.reading import parse_record, read_toml
from harness.schema import Message, Positive, Record

FOLLOW_UP = 1
"""Version of the words of ask_verdict_alone; part of what names a judge."""

RATINGS = (1.0, 10.0)
"""Lowest and highest rating; one outside is none."""

_NAME = re.compile(r"\{(\w+)\}")
_LETTERS = {"A": 1.0, "B": 0.0, "C": 0.5}
_COMPARISONS = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
_MIRRORED = {"B<<A": "A>>B", "B<A": "A>B", "B=A": "A=B", "A<B": "B>A", "A<<B": "B>>A"}
# Scripts that put spaces between words; in others a verdict may touch its neighbours: 答案是A
_LETTER = r"0-9A-Za-z_\u00c0-\u024f\u0370-\u052f"
_SENTENCE_END = re.compile(r"[.!?。！？\n]+")
_NEGATION = re.compile(r"\b(?:not|no|nor|neither|cannot|never)\b|n['’]t\b", re.IGNORECASE)


class _TemplateTable(Record, frozen=True):
    """A template file."""

    user: str
    reading: Reading
    name: str = ""
    """Empty takes the file's."""
    system: str = ""
    words: tuple[str, str] = ("A", "B")
    max_tokens: Positive = 2048


def read_template(path: Path) -> Template:
    """Return the template of a TOML file.

    Raises:
        SpecError: if it cannot be read, lacks a field, or does not show what is to be judged.
    """
    table = parse_record(read_toml(path), _TemplateTable, str(path))
    template = Template(
        name=table.name or path.stem,
        system=table.system.strip(),
        user=table.user.strip(),
        reading=table.reading,
        words=table.words,
        max_tokens=table.max_tokens,
    )
    needed = ("question", "answer") if table.reading == "rating" else ("question", "answer_a", "answer_b")
    if missing := [f"{{{name}}}" for name in needed if name not in _NAME.findall(template.user)]:
        raise SpecError(f"{path}: user does not show {', '.join(missing)}, which a judge by {table.reading} has to see")
    words = table.words
    if words[0] == words[1] or not all(re.fullmatch(rf"[{_LETTER}]+", word) for word in words):
        raise SpecError(f"{path}: words is {list(words)}, expected two different words of letters and digits")
    return template


PAIR = read_template(Path(__file__).parent / "templates" / "pair.toml")
"""The harness's own template for any two answers."""


def shown_names(template: Template) -> tuple[str, ...]:
    """Return the names that stand in braces in a template, sorted."""
    return tuple(sorted({*_NAME.findall(template.system), *_NAME.findall(template.user)}))


def render(template: Template, fields: Mapping[str, str]) -> tuple[Message, ...]:
    """Return the conversation that asks a judge.

    Names in braces are replaced in one pass, so that an answer may contain braces and the names of fields. Braces
    around anything else stay.
    """

    def fill(text: str) -> str:
        return _NAME.sub(lambda match: fields.get(match[1], match[0]), text)

    system = (Message(role="system", content=fill(template.system)),) if template.system else ()
    return *system, Message(role="user", content=fill(template.user))


def read_verdict(template: Template, text: str) -> tuple[float, str] | None:
    """Return value and label of the verdict in a judge's text; None if there is none to be read.

    The value is the share of a win of the answer shown first, or the rating.
    """
    match template.reading:
        case "tokens":
            word = _read_word(template.words, text)
            return None if word is None else (float(word == template.words[0]), word)
        case "letters":
            return _read_letter(text)
        case "comparison":
            return _read_comparison(text)
        case "rating":
            return _read_rating(text)


def ask_verdict_alone(template: Template) -> str:
    """Return what a judge is told that gave no verdict."""
    match template.reading:
        case "tokens":
            first, second = template.words
            return f"Reply with your verdict alone: {first} if the first answer is better, {second} if the second is."
        case "letters":
            return "Reply with your verdict alone: [[A]], [[B]], or [[C]] for a tie."
        case "comparison":
            return f"Reply with your verdict alone, one of {', '.join(f'[[{label}]]' for label in _COMPARISONS)}."
        case "rating":
            return "Reply with your rating alone: a number from 1 to 10 in double square brackets."


def _read_word(words: tuple[str, str], text: str) -> str | None:
    """Return the word that a text begins or ends with, in its own case; None for none, or for both.

    A word in passing is no verdict ("A good answer", "A is better than B", "I'd not say B"): its sentence names the
    other one not at all and denies nothing; and at the beginning it stands alone or before a mark, and the other one
    begins no later sentence, as in a list.
    """
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if re.search(r"\w", sentence)]
    if not sentences:
        return None
    either = "|".join(map(re.escape, words))
    word = re.compile(rf"(?<![{_LETTER}])(?<![{_LETTER}]['’-])({either})(?![{_LETTER}+])(?!['’-][{_LETTER}])")
    first = re.match(rf"\W*{word.pattern}\s*(?:$|[^\w\s])", sentences[0])
    last = re.search(rf"{word.pattern}\W*$", sentences[-1])
    named = {match[1] for match in (first, last) if match}
    if len(named) != 1:
        return None
    openings = {opening[1] for opening in (re.match(rf"\W*{word.pattern}", each) for each in sentences) if opening}
    is_first = first is not None and openings == named and _names_alone(word, sentences[0])
    is_last = last is not None and _names_alone(word, sentences[-1])
    return named.pop() if is_first or is_last else None


def _names_alone(word: re.Pattern[str], sentence: str) -> bool:
    """Return whether a sentence names one word only, and denies nothing."""
    return len(set(word.findall(sentence))) == 1 and not _NEGATION.search(sentence)


def _read_letter(text: str) -> tuple[float, str] | None:
    """Read [[A]], [[B]] or [[C]] as FastChat's run_judge_pair does: the first of them, in this order, that occurs."""
    return next(((value, letter) for letter, value in _LETTERS.items() if f"[[{letter}]]" in text), None)


def _read_comparison(text: str) -> tuple[float, str] | None:
    """Read [[A>>B]] … [[B>>A]] by Arena-Hard's get_score: one label, however often it is repeated.

    Version 0.1 takes a text with different labels for none; later ones take its last label, which may be one that the
    judge only weighed. Here it is none, and the judge is asked for its verdict alone. Of the later rule are: any case,
    labels read from the other side (B<A), and [A>B] where no label has two brackets.
    """
    labels = re.findall(r"\[\[([AB<>=]+)\]\]", text.upper()) or re.findall(r"\[([AB<>=]+)\]", text.upper())
    found = {_MIRRORED.get(label, label) for label in labels}
    label = found.pop() if len(found) == 1 else ""
    return (_COMPARISONS[label], label) if label in _COMPARISONS else None


def _read_rating(text: str) -> tuple[float, str] | None:
    """Read [[7]] as FastChat's run_judge_single does: the first such number, else the first in single brackets."""
    match = re.search(r"\[\[(\d+\.?\d*)\]\]", text, re.ASCII) or re.search(r"\[(\d+\.?\d*)\]", text, re.ASCII)
    if match is None or not RATINGS[0] <= float(match[1]) <= RATINGS[1]:
        return None
    return float(match[1]), match[1]
