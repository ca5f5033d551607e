"""What is put to a judge, named by its content: whoever asks the same thing about the same texts has the same key."""

import hashlib
from collections.abc import Collection, Mapping

from harness.judging.records import Question, Template, VerdictKey
from harness.judging.template import shown_names
from harness.spec import canonical_json


def text_digest(text: str) -> str:
    """Return 24 hex digits of the sha256 of exactly this text: no normalisation, since judges see none."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def pair_question(template: Template, fields: Mapping[str, str], first: str, second: str, where: str) -> Question:
    """Return the question which of two answers is better.

    Args:
        template: of pairs.
        fields: what it shows beside the answers, by name; more of them than it shows do no harm.
        first: the answer shown first, reasoning stripped.
        second: the answer shown second.
        where: task, example and sides, for people.
    """
    answers = {"answer_a": first, "answer_b": second}
    key = VerdictKey(
        template=template.identity,
        prompt=_prompt_digest(template, fields, answers),
        a=text_digest(first),
        b=text_digest(second),
    )
    return Question(key=key, template=template, fields={**fields, **answers}, where=where)


def single_question(template: Template, fields: Mapping[str, str], answer: str, where: str) -> Question:
    """Return the question how good one answer is; arguments as of pair_question."""
    prompt = _prompt_digest(template, fields, ("answer",))
    key = VerdictKey(template=template.identity, prompt=prompt, a=text_digest(answer), b=None)
    return Question(key=key, template=template, fields={**fields, "answer": answer}, where=where)


def _prompt_digest(template: Template, fields: Mapping[str, str], answers: Collection[str]) -> str:
    shown = {name: fields[name] for name in shown_names(template) if name in fields and name not in answers}
    return text_digest(canonical_json(shown).decode())
