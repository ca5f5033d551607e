"""How likely words are as the beginning of a served model's answer: from the first token's list of the likeliest ones.

A server does not show how it renders a conversation, so that longer choices cannot be weighed after one; the first
token of an answer to it is told by any that has `top_logprobs`. Pure functions.
"""

import math
from collections.abc import Sequence

from harness.schema import Choice, Likelihood, Request

NOT_LISTED = -1000.0
"""Log-probability of a word that is not among them: none, as AlpacaEval has it. No infinity, for which JSON has no
word; its exponential is 0."""

_LONGEST = 16
"""Characters of a word that can be one token."""


def is_word_choice(request: Request) -> bool:
    """Whether all that is asked is how likely single words are after one and the same conversation."""
    return request.messages is not None and all(
        choice.messages is None and choice.prompt is None and _is_word(choice.text) for choice in request.choices
    )


def weigh_words(
    choices: Sequence[Choice], listed: Sequence[tuple[str, float]]
) -> tuple[tuple[Likelihood, ...], int, str | None]:
    """Return the likelihoods of words, how many of them are not listed, and why there are none, if so.

    A word counts where a token is exactly its text, spaces included (AlpacaEval's rule); tokens of the same text are
    added up. A word of several tokens whose first one is listed cannot be weighed; any other that is not listed is less
    likely than all that are.

    Args:
        choices: the words.
        listed: the first token's likeliest alternatives with their log-probabilities.
    """
    if not listed:
        return (), 0, "the server answered with no token at all"
    values: dict[str, list[float]] = {}
    for token, logprob in listed:
        values.setdefault(token, []).append(logprob)
    missing = [choice.text for choice in choices if choice.text not in values]
    shown = ", ".join(repr(token) for token, _ in listed[:3])
    for word in missing:
        if parts := [token for token in values if token and word.startswith(token)]:
            return (), 0, f"{word!r} may begin with the token {parts[0]!r}: only words of one token can be weighed"
    if len(missing) == len(choices):
        words = ", ".join(map(repr, missing))
        return (), 0, f"the answer begins with none of {words}, but likeliest with {shown}"
    best = max(logprob for _, logprob in listed)
    likelihoods = tuple(
        Likelihood(
            logprob=_add(values.get(choice.text, [])),
            is_greedy=max(values.get(choice.text, [NOT_LISTED])) >= best,
            num_tokens=1,
        )
        for choice in choices
    )
    return likelihoods, len(missing), None


def _is_word(text: str) -> bool:
    return len(text.split()) == 1 and not text[-1].isspace() and len(text) <= _LONGEST


def _add(logprobs: Sequence[float]) -> float:
    """Return the logarithm of the sum of probabilities."""
    if len(logprobs) < 2:
        return max(logprobs[0], NOT_LISTED) if logprobs else NOT_LISTED
    most = max(logprobs)
    return most + math.log(math.fsum(math.exp(value - most) for value in logprobs))
