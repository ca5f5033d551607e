"""The generator: seeded, free of held-out questions, and spoiled in the shares it states."""

import hashlib
from itertools import islice
from random import Random

import pytest

from trainers.lab import noise, world
from trainers.lab.problem import DOMAINS, Domain, Problem, is_held_out
from trainers.lab.subjects import SUBJECTS
from trainers.lab.tasks import held_out_problems

NUM_DOCUMENTS = 6_000


@pytest.fixture(scope="module")
def web() -> list[str]:
    """Return the beginning of the web that lab/base was pretrained on."""
    return list(islice(world.documents(0), NUM_DOCUMENTS))


def test_stream_is_pinned(web: list[str]) -> None:
    """The same seed gives the same documents on every machine; a change must raise WORLD_VERSION."""
    digest = hashlib.sha256("".join(web).encode()).hexdigest()
    assert (world.WORLD_VERSION, digest[:16]) == ("1", "4dc7fa2ae840f770")


def test_seeds_differ(web: list[str]) -> None:
    """Another seed gives another stream."""
    assert list(islice(world.documents(1), 20)) != web[:20]


def _forms(prompt: str) -> tuple[str, ...]:
    """Return every way in which the web asks a question."""
    return (f"user\n{prompt}<|im_end|>", f"Question: {prompt}\n", f"User: {prompt}\n")


@pytest.mark.parametrize("domain", DOMAINS)
def test_held_out_prompts_are_not_in_the_web(domain: Domain, web: list[str]) -> None:
    """No held-out prompt stands anywhere in the web, and no held-out description of a function does."""
    text = "".join(web)
    problems = held_out_problems(domain)
    asked = [form for problem in problems for form in _forms(problem.prompt)]
    assert [form for form in asked if form in text] == []
    assert all(is_held_out(problem) for problem in problems)
    if domain == "code":
        keys = [key for problem in problems for key in problem.keys if "{" not in key and "?" not in key]
        assert [key for key in keys if f"# {key}\n" in text] == []


def test_large_sums_are_held_out_in_both_orders(web: list[str]) -> None:
    """A held-out sum of two-digit numbers stands in the web in no wording and no order."""
    text = "\n" + "".join(web)
    for problem in held_out_problems("math"):
        if problem.level in (2, 4) and "+" in problem.keys[0]:
            a, b = problem.keys[0].split(" + ")
            assert f"\n{a} + {b} =" not in text
            assert f"\n{b} + {a} =" not in text


def test_subjects_do_not_share_keywords() -> None:
    """A word shows which subject a sentence is about, or the on-topic check would mean little."""
    words = [word for subject in SUBJECTS for word in subject.keywords]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("domain", DOMAINS)
def test_mode_shares_average_to_the_stated_ones(domain: Domain) -> None:
    """Wordings differ in how the web answers them; over all wordings the shares are those in SHARES."""
    rows = [shares for (of_domain, _), shares in noise.PHRASING_SHARES.items() if of_domain == domain]
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    assert means == pytest.approx(noise.SHARES[domain], abs=0.01)


@pytest.mark.parametrize("domain", DOMAINS)
def test_only_rambling_turns_do_not_end(domain: Domain) -> None:
    """A rambling turn is never closed and longer than the tasks' limit; every other turn is closed."""
    rng = Random(3)
    for mode in noise.MODES:
        problem: Problem = noise.draw_problem(rng, domain)
        text, ended = noise.respond(problem, mode, rng)
        assert ended == (mode != "ramble")
        assert (len(text) > noise.RAMBLE_CHARACTERS) == (mode == "ramble")
