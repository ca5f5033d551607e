"""Engine `openai` against a local server that fails on demand, and against a real one where there is one."""

import asyncio
import json
import logging
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import msgspec
import pytest

from harness.engines.openai import OpenAiEngine, resolve_openai
from harness.engines.openai_faults import fault_of_status
from harness.engines.openai_pace import Pace, backoff, retry_after
from harness.engines.openai_wire import Speech, make_call
from harness.engines.recipe import EngineRecipe, make_engine, resolve_engine
from harness.errors import EngineError, SpecError
from harness.schema import Choice, EngineSpec, Generation, Message, Request, RequestKey, Sampling
from harness.spec import EngineConfig
from harness.store import read_lines
from tests.engines.fault_server import (
    Asked,
    FaultServer,
    Reply,
    answer_text,
    break_off,
    drop,
    hang,
    logprob_of,
    page,
    refuse,
    too_many,
    truncate,
)
from trainers.lab import SHIPPED

KEY = "sk-test-4f1d9c0b7e"
GREEDY = Sampling(max_tokens=50)


def make_request(number: int, sampling: Sampling = GREEDY, *, chat: bool = True) -> Request:
    key = RequestKey(task="toy", example_id=f"q{number}", index=0)
    text = f"question {number}"
    if chat:
        return Request(key=key, sampling=sampling, seed=number, messages=(Message(role="user", content=text),))
    return Request(key=key, sampling=sampling, seed=number, prompt=text)


def new_engine(server: FaultServer, source: str = "", enable_thinking: bool | None = None, **settings) -> OpenAiEngine:
    config = EngineConfig(name="openai", base_url=server.url, **settings)
    return OpenAiEngine(EngineRecipe(config, source, enable_thinking=enable_thinking), resolve_openai(config))


def ask(server: FaultServer, requests: list[Request], source: str = "", **settings) -> dict[RequestKey, Generation]:
    """Ask all; check that each request ends exactly once."""
    engine = new_engine(server, source, **settings)
    try:
        generations = list(engine.generate(requests))
    finally:
        engine.close()
    by_key = {generation.key: generation for generation in generations}
    assert len(generations) == len(requests)
    assert set(by_key) == {request.key for request in requests}
    return by_key


def error_of(server: FaultServer, requests: list[Request], source: str = "", **settings) -> str:
    """Return the one line that stops the engine."""
    with pytest.raises(EngineError) as caught:
        ask(server, requests, source, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def always(reply: Reply) -> Callable[[Asked, int], Reply | None]:
    """Fail every completion in the same way; list the models."""
    return lambda asked, before: None if asked.path == "/v1/models" else reply


def asked_for(server: FaultServer) -> list[Asked]:
    """Return the completions that were asked for."""
    return [asked for asked in server.asked if asked.path.endswith("/completions")]


# --- what is sent and what is read


def test_chat_and_plain_prompts_go_to_their_endpoints() -> None:
    """A conversation goes to /chat/completions, a text to /completions; tokens and finish reasons come back."""
    with FaultServer().running() as server:
        found = ask(server, [make_request(0), make_request(1, chat=False)])
    assert {asked.body["messages"][0]["content"] for asked in server.asked if "chat" in asked.path} == {"question 0"}
    assert {asked.body["prompt"] for asked in server.asked if asked.path == "/v1/completions"} == {"question 1"}
    chat, plain = found[make_request(0).key], found[make_request(1).key]
    assert (chat.text, chat.finish_reason) == (answer_text("question 0"), "stop")
    assert (plain.text, plain.finish_reason) == (answer_text("question 1"), "length")
    assert (chat.num_prompt_tokens, chat.num_completion_tokens) == (7, 3)


def test_only_what_the_run_sets_is_sent() -> None:
    """A greedy request has OpenAI's own fields only; seed, stop, top_k and the rest come when they are set."""
    drawn = Sampling(temperature=0.6, top_p=0.9, top_k=20, max_tokens=9, stop=("\n\n",), repetition_penalty=1.1)
    with FaultServer().running() as server:
        ask(server, [make_request(0)])
        ask(server, [make_request(1, drawn)], enable_thinking=False)
    greedy, sampled = (asked.body for asked in asked_for(server))
    assert greedy == {
        "model": "toy", "messages": [{"role": "user", "content": "question 0"}],
        "temperature": 0.0, "top_p": 1.0, "max_tokens": 50,
    }  # fmt: skip
    del sampled["messages"]
    assert sampled == {
        "model": "toy", "temperature": 0.6, "top_p": 0.9, "max_tokens": 9, "seed": 1, "stop": ["\n\n"], "top_k": 20,
        "repetition_penalty": 1.1, "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("vllm", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("llamacpp", {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}),
    ],
)
def test_known_servers_are_told_every_setting(owner: str, expected: dict[str, float]) -> None:
    """vLLM would fill what is left out from generation_config.json, llama.cpp with a top-k of 40."""
    with FaultServer(models=[{"id": "toy", "owned_by": owner}]).running() as server:
        ask(server, [make_request(0)])
    (asked,) = asked_for(server)
    assert expected.items() <= asked.body.items()


def test_llamacpp_is_told_to_sample_as_the_others_do() -> None:
    """Its own order filters before the temperature, and its penalty looks at 64 tokens."""
    with FaultServer(models=[{"id": "toy", "owned_by": "llamacpp"}]).running() as server:
        ask(server, [make_request(0)])
    (asked,) = asked_for(server)
    assert asked.body["samplers"] == ["penalties", "temperature", "top_k", "top_p", "min_p"]
    assert asked.body["repeat_last_n"] == -1


def test_vllm_is_told_to_end_where_the_other_engines_do() -> None:
    """It is asked which ends of a turn are tokens of the model; other servers keep to their own."""
    with FaultServer(models=[{"id": "toy", "owned_by": "vllm"}]).running() as server:
        engine = new_engine(server)
        list(engine.generate([make_request(0)]))
        assert engine.describe()["turn_ends"] == {"<|im_end|>": 7}
        engine.close()
    assert asked_for(server)[-1].body["stop_token_ids"] == [7]
    with FaultServer().running() as server:
        ask(server, [make_request(0)])
    assert "stop_token_ids" not in asked_for(server)[0].body


def test_a_begun_turn_is_continued_or_refused() -> None:
    """A server would close an assistant's last message and begin another, which is another prompt than engine hf's."""
    begun = msgspec.structs.replace(
        make_request(0), messages=(Message(role="user", content="question 0"), Message("assistant", "It is"))
    )
    with FaultServer(models=[{"id": "toy", "owned_by": "vllm"}]).running() as server:
        ask(server, [begun, make_request(1)])
    bodies = {len(asked.body["messages"]): asked.body for asked in asked_for(server)}
    assert (bodies[2]["add_generation_prompt"], bodies[2]["continue_final_message"]) == (False, True)
    assert "continue_final_message" not in bodies[1]
    with FaultServer().running() as server:
        assert "toy begins the model's turn" in error_of(server, [begun])
        assert not asked_for(server)


def test_reasoning_and_filtered_answers_are_counted() -> None:
    """The text is what was said aloud; a content filter leaves the finish reason unknown."""
    message = {"content": "4", "reasoning_content": "2 + 2 is 4"}
    reply = Reply(body={"choices": [{"message": message, "finish_reason": "content_filter"}]})
    with FaultServer(always(reply)).running() as server:
        engine = new_engine(server)
        (generation,) = engine.generate([make_request(0)])
        described = engine.describe()
        engine.close()
    assert (generation.text, generation.finish_reason, generation.num_completion_tokens) == ("4", "unknown", None)
    assert (described["num_with_reasoning"], described["num_content_filtered"]) == (1, 1)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("content_filter", "unknown"),
        (None, "unknown"),
    ],
)
def test_servers_words_for_an_end_are_understood(word: str | None, expected: str) -> None:
    """An end of text has several names; what is not known is not taken for one."""
    call = make_call(make_request(0, chat=False), Speech("toy"))
    content = json.dumps({"choices": [{"text": "4", "finish_reason": word}]}).encode()
    assert call.read(content).generation.finish_reason == expected


def test_the_request_id_is_that_of_the_key() -> None:
    """The same request has the same X-Request-Id in every run; each try is numbered."""
    fails = lambda asked, before: refuse(500, "once") if asked.request_id and before == 0 else None  # noqa: E731
    with FaultServer(fails).running() as one, FaultServer().running() as two:
        ask(one, [make_request(0)])
        ask(two, [make_request(0), make_request(1)])
    first, second = (asked.headers["x-request-id"] for asked in asked_for(one))
    base = first.removesuffix("-0")
    assert (len(base), second) == (32, f"{base}-1")
    ids = {asked.prompt: asked.headers["x-request-id"] for asked in asked_for(two)}
    assert ids["question 0"] == first
    assert ids["question 1"] != first


# --- the model's name


def test_the_only_model_is_taken() -> None:
    """Without a name the server's only model is asked; a listed name is taken among several."""
    with FaultServer(models=[{"id": "a"}, {"id": "b"}]).running() as server:
        ask(server, [make_request(0)], "b")
        assert "lists several models: it has a, b" in error_of(server, [make_request(0)])
        assert "does not list c: it has a, b" in error_of(server, [make_request(0)], "c")
    assert [asked.body["model"] for asked in asked_for(server)] == ["b"]


def test_a_model_named_by_the_user_is_the_servers_to_refuse() -> None:
    """engine.model need not be listed; the server's 404 stops the engine and names what there is."""
    with FaultServer().running() as server:
        message = error_of(server, [make_request(i) for i in range(50)], "c", model="c")
    assert "404 The model `c` does not exist" in message
    assert "it has toy" in message


# --- bad settings


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, "--set engine.base_url=http://localhost:8000/v1"),
        ("localhost:8000/v1", "expected an address"),
        ("ftp://localhost/v1", "expected an address"),
        ("http://localhost:99999/v1", "cannot be read"),
        ("http://localhost:8000/v1/chat/completions", "one endpoint"),
        (f"http://user:{KEY}@localhost:8000/v1", "user name, password"),
        (f"user:{KEY}@localhost/v1", "user name, password"),
        (f"http://localhost:8000/v1?key={KEY}", "query"),
    ],
)
def test_a_bad_address_is_refused(address: str | None, message: str) -> None:
    """One line says what is expected, without repeating what may be secret."""
    with pytest.raises(SpecError, match=message) as caught:
        resolve_openai(EngineConfig(name="openai", base_url=address))
    assert KEY not in str(caught.value)


def test_the_spec_has_neither_address_nor_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a checkpoint is served does not name a run."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    spec = resolve_openai(EngineConfig(name="openai", base_url="https://example.org/v1"))
    assert spec == EngineSpec(name="openai", dtype="served", device="served")


def test_a_key_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named variable that is not set is an error; so are characters no key has."""
    config = EngineConfig(name="openai", base_url="http://localhost:1/v1", api_key_env="MY_KEY")
    with pytest.raises(EngineError, match=r"\$MY_KEY, which is not set"):
        resolve_openai(config)
    monkeypatch.setenv("MY_KEY", f"{KEY} and more")
    with pytest.raises(EngineError, match=r"\$MY_KEY holds characters") as caught:
        resolve_openai(config)
    assert KEY not in str(caught.value)


# --- faults


def test_nothing_is_lost_or_doubled_on_a_bad_day() -> None:
    """2,000 requests, a fifth of which meet faults, and two bursts of 429: each ends once, answered in full once."""
    kinds = [
        lambda: refuse(500, "sorry"),
        drop,
        break_off,
        truncate,
        page,
        lambda: refuse(502, "bad gateway"),
        too_many,
    ]
    rng = random.Random(0)
    trouble = {f"question {i}": rng.choices(kinds, k=rng.randint(1, 2)) for i in rng.sample(range(2000), 400)}
    hanging = {f"question {i}" for i in rng.sample(range(2000), 4)}
    bursts = (300, 1500)
    busy_until = 0.0

    def fails(asked: Asked, before: int) -> Reply | None:
        nonlocal busy_until
        if not asked.path.endswith("/completions"):
            return None
        if asked.number in bursts:
            busy_until = time.monotonic() + 0.5
        if time.monotonic() < busy_until:
            return too_many(1, as_date=asked.number > 1000)
        if asked.prompt in hanging:
            hanging.discard(asked.prompt)
            return hang()
        left = trouble.get(asked.prompt)
        return left.pop()() if left else None

    requests = [make_request(i) for i in range(2000)]
    rng.shuffle(requests)
    with FaultServer(fails).running() as server:
        engine = new_engine(server, timeout=2.0)
        generations = list(engine.generate(iter(requests)))
        described = engine.describe()
        engine.close()
    texts = {generation.key.example_id: generation.text for generation in generations}
    assert len(generations) == 2000
    assert texts == {f"q{i}": answer_text(f"question {i}") for i in range(2000)}
    assert {generation.finish_reason for generation in generations} == {"stop"}
    del server.answered[""]
    assert Counter(server.answered.values()) == {1: 2000}
    assert set(described["num_retries"]) == {"429", "500", "502", "connection", "timeout", "unreadable"}
    assert described["num_retries"]["timeout"] == 4
    assert not any(trouble.values())


def test_a_request_that_always_fails_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its retries it ends in an error that says why; the others are answered."""
    monkeypatch.setattr("harness.engines.openai_pace.FIRST_DELAY", 0.001)
    fails = lambda asked, before: refuse(500, "poison") if "3" in str(asked.body.get("messages")) else None  # noqa: E731
    with FaultServer(fails).running() as server:
        found = ask(server, [make_request(i) for i in range(6)], retries=2)
        poisoned = found.pop(make_request(3).key)
        alone = ask(server, [make_request(3)], retries=2)[make_request(3).key]
    assert (poisoned.finish_reason, poisoned.error) == ("error", "500 poison (tried 3 times)")
    assert alone.error == "500 poison (tried 3 times)", "a greeting showed that the server works"
    assert all(generation.error is None for generation in found.values())


def test_a_refused_request_is_not_sent_again() -> None:
    """A prompt that is too long is that request's error; the first of a run makes sure by a greeting."""
    long = "This model's maximum context length is 64 tokens"
    fails = lambda asked, before: refuse(400, long) if "question" in str(asked.body.get("messages")) else None  # noqa: E731
    with FaultServer(fails).running() as server:
        found = ask(server, [make_request(i) for i in range(5)])
    assert {generation.error for generation in found.values()} == {f"400 {long}"}
    assert sum("question" in asked.prompt for asked in asked_for(server)) == 5
    assert {asked.prompt for asked in asked_for(server)} - {f"question {i}" for i in range(5)} == {"Hi"}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refuse(401, f"Incorrect API key provided: {KEY}"), "refuses the key in $OPENAI_API_KEY"),
        (refuse(401, "x" * 285 + KEY), "refuses the key in $OPENAI_API_KEY"),
        (refuse(403, "no access"), "refuses the key in $OPENAI_API_KEY (403 no access)"),
        (refuse(404, "Not Found"), "mostly ends in /v1"),
        (refuse(429, "out of money", code="insufficient_quota"), "stops here: 429 out of money"),
        (refuse(400, "Unknown parameter: 'top_k'", param="top_k"), "does not take top_k (sampling.top_k)"),
        (Reply(422, {"detail": "Unexpected fields in the request: {'top_k'}"}), "does not take top_k"),
        (refuse(400, "no chat template"), "refuses every request: 400 no chat template"),
        (too_many(7200), "asks to wait 7200 s"),
    ],
)
def test_what_concerns_all_requests_stops_the_engine(
    reply: Reply, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such an answer is one clear line, not two thousand error records."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    requests = [make_request(i, Sampling(temperature=1.0, top_k=5)) for i in range(200)]
    with FaultServer(always(reply)).running() as server:
        error = error_of(server, requests, concurrency=4)
    assert message in error
    assert KEY[:8] not in error
    assert len(asked_for(server)) < 20  # twice what may be under way, and a probe for each, however slow the reader


def test_a_server_that_wants_a_key_says_so() -> None:
    """Without a key in the environment the message names the variable."""
    with FaultServer(lambda asked, before: refuse(401, "no key")).running() as server:
        assert "wants a key, which is read from $OPENAI_API_KEY" in error_of(server, [make_request(0)])


def test_a_server_that_is_not_there_is_found_out_at_once() -> None:
    """A refused connection at the start is not waited for."""
    with FaultServer().running() as server:
        server.die()
        started = time.monotonic()
        error = error_of(server, [make_request(0)])
    assert f"the server at 127.0.0.1:{server.port} does not answer" in error
    assert "start it and run the same command again: it resumes" in error
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("reply", [None, hang()])
def test_a_server_that_goes_away_stops_the_engine(reply: Reply | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead or hanging in the middle: what was answered is kept, then one line says to start it again."""
    monkeypatch.setattr("harness.engines.openai_pace.FIRST_DELAY", 0.001)
    down = threading.Event()
    fails = lambda asked, before: reply if down.is_set() else None  # noqa: E731
    with FaultServer(fails).running() as server:
        engine = new_engine(server, timeout=0.5, retries=3, concurrency=4)
        generations = engine.generate(make_request(i) for i in range(10_000))
        done = [next(generations) for _ in range(20)]
        down.set()
        if reply is None:
            server.die()
        with pytest.raises(EngineError, match=r"does not answer .* run the same command again: it resumes"):
            done.extend(generations)
        engine.close()
    assert 20 <= len(done) < 10_000
    assert all(generation.error is None for generation in done)


# --- pace


def test_requests_are_read_as_places_become_free() -> None:
    """A million requests are not read ahead: never more than twice as many as may be under way."""
    num_read = 0

    def requests() -> Iterator[Request]:
        nonlocal num_read
        for i in range(10**6):
            num_read += 1
            yield make_request(i)

    with FaultServer(seconds=0.005).running() as server:
        engine = new_engine(server, concurrency=5)
        generations = engine.generate(requests())
        for num_done in range(1, 101):
            next(generations)
            assert num_read <= num_done + 10
        generations.close()
        engine.close()
    assert server.most_under_way <= 5


def test_closing_the_generator_hangs_up() -> None:
    """Requests under way are cancelled, so that the server stops working on them; the engine can be used again."""
    slow = threading.Event()
    fails = lambda asked, before: hang() if slow.is_set() and "messages" in asked.body else None  # noqa: E731
    with FaultServer(fails).running() as server:
        engine = new_engine(server, concurrency=8)
        generations = engine.generate(make_request(i) for i in range(1000))
        next(generations)
        slow.set()
        wait_until(lambda: server.num_under_way == 8)
        generations.close()
        wait_until(lambda: server.num_under_way == 0)
        slow.clear()
        assert len(list(engine.generate([make_request(0)]))) == 1
        engine.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "openai"]


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)


def test_seconds_add_up_to_the_time_it_took() -> None:
    """40 requests of 50 ms, many at once: their shares add up to less than the wall clock, not to 40 × 50 ms."""
    with FaultServer(seconds=0.05).running() as server:
        started = time.monotonic()
        found = ask(server, [make_request(i) for i in range(40)])
        wall = time.monotonic() - started
    shares = [generation.seconds for generation in found.values()]
    assert all(share > 0 for share in shares)
    assert 0.05 < sum(shares) <= wall


def test_more_requests_go_out_while_the_server_bears_it() -> None:
    """From 8 the number under way grows to what is allowed; fewer are sent to a server that is too busy."""
    with FaultServer(seconds=0.05).running() as server:
        ask(server, [make_request(i) for i in range(400)], concurrency=32)
    assert 8 < server.most_under_way <= 32
    fails = lambda asked, before: too_many() if server.num_under_way > 4 and "messages" in asked.body else None  # noqa: E731
    with FaultServer(fails, seconds=0.01).running() as server:
        ask(server, [make_request(i) for i in range(200)], concurrency=64)
    num_refused = len(asked_for(server)) - 200
    assert 0 < num_refused < 200


def test_the_limit_halves_once_for_all_that_were_under_way() -> None:
    """Eight requests refused together halve the limit once; a later one halves it again; never below one."""
    pace = Pace(64)

    class Sent:
        sent_at = time.monotonic()

    for _ in range(8):
        pace.narrow(Sent)
    assert pace._limit == 4.0
    for expected in (2.0, 1.0, 1.0):
        Sent.sent_at = time.monotonic()
        pace.narrow(Sent)
        assert pace._limit == expected


def test_the_limit_grows_fast_at_first_and_only_where_it_is_used() -> None:
    """One place an answer until the server was busy, then one a round of answers; none while places are free."""
    pace = Pace(64)
    pace.widen()
    assert pace._limit == 8.0, "nothing was under way"
    pace._num_under_way = 7
    pace.widen()
    assert pace._limit == 9.0
    pace._has_been_busy, pace._num_under_way = True, 8
    pace.widen()
    assert pace._limit == pytest.approx(9 + 1 / 9)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Of two waits that a server asks for, the later end counts; nothing is sent before it."""

    async def enter() -> float:
        pace = Pace(8)
        begun = time.monotonic()
        pace.pause(0.2)
        pace.pause(0.0)
        async with pace.turn() as turn:
            return turn.sent_at - begun

    assert asyncio.run(enter()) >= 0.2


def test_waits_grow_and_stay_below_their_bound() -> None:
    """Full jitter: from 0 to half a second, doubling up to half a minute; a seed gives the same waits."""
    draws = [[backoff(random.Random(seed), attempt) for seed in range(500)] for attempt in range(9)]
    bounds = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    for waits, bound in zip(draws, bounds, strict=True):
        assert 0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound
    assert draws[3] == [backoff(random.Random(seed), 3) for seed in range(500)]


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    """A date counts from the server's own clock where it tells it; nonsense is no wish at all."""
    now = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after": later, "date": format_datetime(now, usegmt=True)}) == 90.0
    assert retry_after({"retry-after": "Mon, 05 Jan 1970 12:00:00 GMT"}) == 0.0
    assert [retry_after({"retry-after": text}) for text in ("", "soon", "-3", "nan")] == [None] * 4


def test_servers_give_errors_in_several_shapes() -> None:
    """OpenAI's, FastAPI's, a plain text, and a mere string under `error`."""
    bodies = [b'{"error": {"message": "busy"}}', b'{"detail": "busy"}', b"busy", b'{"error": "busy"}', b'"busy"']
    assert [fault_of_status(503, body, {}, ()).message for body in bodies] == ["503 busy"] * 5


# --- likelihoods


def weigh(server: FaultServer, prompt: str, *choices: Choice) -> Generation:
    key = RequestKey(task="toy", example_id="0", index=0)
    return ask(server, [Request(key=key, sampling=GREEDY, seed=1, prompt=prompt, choices=choices)])[key]


def test_choices_are_weighed_by_echo() -> None:
    """Only the choice's tokens count; spaces at the end of the context are the choice's; one call does it all."""
    with FaultServer().running() as server:
        found = weigh(server, "Is it so? ", Choice(text="no"), Choice(text="certainly not"))
    (asked,) = asked_for(server)
    assert asked.body["prompt"] == ["Is it so?", "Is it so? no", "Is it so? certainly not"]
    short, long = found.likelihoods
    assert (short.logprob, short.is_greedy, short.num_tokens) == (logprob_of(" no"), True, 1)
    assert (long.logprob, long.is_greedy, long.num_tokens) == (logprob_of(" certainly") + logprob_of(" not"), False, 2)
    assert (found.text, found.finish_reason, found.num_completion_tokens, found.num_prompt_tokens) == ("", "stop", 0, 9)


def test_choices_may_have_contexts_of_their_own() -> None:
    """Each choice is weighed after its own prompt."""
    with FaultServer().running() as server:
        found = weigh(
            server, "unused", Choice(text=" ran", prompt="the dog"), Choice(text=" ran", prompt="a small cat")
        )
    assert asked_for(server)[0].body["prompt"] == ["the dog", "a small cat", "the dog ran", "a small cat ran"]
    assert [item.logprob for item in found.likelihoods] == [logprob_of(" ran")] * 2


def test_a_choice_without_tokens_is_an_error() -> None:
    """An empty choice has no likelihood; the others of its request are not reported either."""
    with FaultServer().running() as server:
        found = weigh(server, "yes or", Choice(text=" no"), Choice(text=""))
    assert (found.finish_reason, found.likelihoods) == ("error", ())
    assert found.error == "choice 2 is empty: it adds no token to its context"


def test_what_a_server_cannot_weigh_stops_the_engine() -> None:
    """Several words after a conversation, a text that follows nothing, a server without echo: one line each."""
    key = RequestKey(task="toy", example_id="0", index=0)
    chat = Request(
        key=key, sampling=GREEDY, seed=1, messages=(Message(role="user", content="?"),), choices=(Choice(text="a b"),)
    )
    plain = Request(key=key, sampling=GREEDY, seed=1, prompt="is", choices=(Choice(text=" a"),))
    bare = Request(key=key, sampling=GREEDY, seed=1, prompt=" ", choices=(Choice(text="a"),))
    silent = Reply(body={"choices": [{"text": "", "index": i} for i in range(2)]})
    with FaultServer().running() as server:
        assert "--prompting completion" in error_of(server, [chat])
        assert "follow nothing" in error_of(server, [bare])
    with FaultServer(always(silent)).running() as server:
        assert "(echo with logprobs)" in error_of(server, [plain])
    with FaultServer(always(refuse(400, "echo is not supported"))).running() as server:
        assert "does not take echo" in error_of(server, [plain])


def test_a_choice_that_joins_its_context_is_counted() -> None:
    """Where the choice changes the context's last token, the text is weighed as the server splits it as a whole."""
    with FaultServer().running() as server:
        engine = new_engine(server)
        key = RequestKey(task="toy", example_id="0", index=0)
        choices = (Choice(text="d"), Choice(text=" d"))
        (found,) = engine.generate([Request(key=key, sampling=GREEDY, seed=1, prompt="a b", choices=choices)])
        described = engine.describe()
        engine.close()
    assert found.error == "choice 1 is empty: it adds no token to its context"
    assert described["num_choices_joined"] == 1


def choose(server: FaultServer, *words: str) -> tuple[Generation, dict]:
    """Weigh words after a conversation; return what came, and what the engine says of itself."""
    key = RequestKey(task="toy", example_id="0", index=0)
    turns = (Message(role="system", content="Judge."), Message(role="user", content="m or M?"))
    choices = tuple(Choice(text=word) for word in words)
    engine = new_engine(server)
    try:
        (found,) = engine.generate([Request(key=key, sampling=GREEDY, seed=1, messages=turns, choices=choices)])
        return found, engine.describe()
    finally:
        engine.close()


def listing(*listed: tuple[str, float], model: str = "toy") -> Reply:
    """Answer with the likeliest first tokens."""
    top = [{"token": token, "logprob": logprob, "bytes": []} for token, logprob in listed]
    content = [{"token": "x", "logprob": -9.0, "top_logprobs": top}] if listed else []
    choice = {"message": {"content": "x"}, "finish_reason": "length", "logprobs": {"content": content}}
    return Reply(body={"model": model, "choices": [choice], "usage": {"prompt_tokens": 7}})


def test_words_after_a_conversation_are_weighed_by_the_first_token() -> None:
    """One call; a token counts where it is exactly the word, and tokens of the same text are added up."""
    reply = listing(("M", -0.5), (" m", -1.0), ("m", -2.0), ("m", -2.0), ("Both", -5.0))
    with FaultServer(always(reply)).running() as server:
        found, described = choose(server, "m", "M")
    (asked,) = asked_for(server)
    assert asked.path == "/v1/chat/completions"
    assert [message["role"] for message in asked.body["messages"]] == ["system", "user"]
    del asked.body["messages"]
    assert asked.body == {
        "model": "toy", "temperature": 1.0, "top_p": 1.0, "max_tokens": 1, "seed": 1, "logprobs": True,
        "top_logprobs": 20,
    }  # fmt: skip
    low, high = found.likelihoods
    assert (low.logprob, low.is_greedy, low.num_tokens) == (pytest.approx(-2.0 + math.log(2)), False, 1)
    assert (high.logprob, high.is_greedy, high.num_tokens) == (-0.5, True, 1)
    assert (found.text, found.finish_reason, found.num_prompt_tokens, found.num_completion_tokens) == ("", "stop", 7, 0)
    assert described["num_words_unlisted"] == 0


def test_a_word_that_is_not_listed_has_no_probability() -> None:
    """As AlpacaEval has it, where the other word is listed; it is counted, and stands in a run's files as a number."""
    with FaultServer(always(listing(("M", -0.1), (" m", -3.0)))).running() as server:
        found, described = choose(server, "m", "M")
    low, high = (item.logprob for item in found.likelihoods)
    assert math.exp(low) == 0.0
    assert 1 / (1 + math.exp(low - high)) == 1.0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Generation) == found
    assert described["num_words_unlisted"] == 1


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([("The", -0.1), (" m", -3.0)], "the answer begins with none of 'm', 'Mm', but likeliest with 'The', ' m'"),
        ([("M", -0.1), ("m", -3.0)], "'Mm' may begin with the token 'M': only words of one token can be weighed"),
        ([], "the server answered with no token at all"),
    ],
)
def test_words_that_cannot_be_weighed_are_errors_of_their_request(listed: list[tuple[str, float]], said: str) -> None:
    """None is listed; one may have been split by the tokenizer; the answer is empty."""
    with FaultServer(always(listing(*listed))).running() as server:
        found, _ = choose(server, "m", "Mm")
    assert (found.finish_reason, found.error, found.likelihoods) == ("error", said, ())


def test_a_server_that_lists_no_tokens_stops_the_engine() -> None:
    """It leaves out what it was asked for, or refuses it by name; longer choices are refused as ever."""
    silent = Reply(body={"choices": [{"message": {"content": "m"}}]})
    with (
        FaultServer(always(silent)).running() as server,
        pytest.raises(EngineError, match=r"\(logprobs with top_logpr"),
    ):
        choose(server, "m", "M")
    few = refuse(400, "Requested sample logprobs of 20, which is greater than max allowed: 5", param="top_logprobs")
    with FaultServer(always(few)).running() as server, pytest.raises(EngineError, match=r"does not take .*: 5"):
        choose(server, "m", "M")
    with FaultServer().running() as server, pytest.raises(EngineError, match="single words only"):
        choose(server, "yes, it is", "no")


def test_a_model_that_changes_its_name_stops_the_engine() -> None:
    """The first answer's name counts, whatever the list calls it; another one ends the run with both."""
    alias = listing(("m", -1.0), model="toy-2024-05")
    with FaultServer(always(alias)).running() as server:
        _, described = choose(server, "m", "M")
    assert (described["model"], described["answered_as"]) == ("toy", "toy-2024-05")

    def swap(asked: Asked, before: int) -> Reply | None:
        choice = {"message": {"content": "x"}, "finish_reason": "stop"}
        model = "toy-mini" if asked.number > 5 else None if asked.number == 2 else "toy"
        return None if asked.path == "/v1/models" else Reply(body={"model": model, "choices": [choice]})

    with FaultServer(swap).running() as server:
        error = error_of(server, [make_request(i) for i in range(20)])
    assert "answered as toy and now answers as toy-mini" in error


def test_a_stop_string_is_no_part_of_the_text() -> None:
    """Some servers leave it in; the text ends before the first, and that is counted."""
    reply = Reply(body={"choices": [{"text": "4\nQ: 5\nA:", "finish_reason": "length"}]})
    with FaultServer(always(reply)).running() as server:
        engine = new_engine(server)
        (found,) = engine.generate([make_request(0, Sampling(stop=("A:", "\nQ:")), chat=False)])
        described = engine.describe()
        engine.close()
    assert (found.text, found.finish_reason) == ("4", "stop")
    assert described["num_cut_at_stop"] == 1


# --- the command line


def eval_command(server: FaultServer, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "harness.cli.main", "eval", "--engine", "openai", "--ckpt", "org/toy",
        "--task", "lab_math",
        "--set", f"engine.base_url={server.url}", "--set", "engine.model=toy", "--out", str(out), *more,
    ]  # fmt: skip


def test_a_killed_run_resumes_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    """SIGKILL in the middle; what is stored is not asked again, and the files are those of an uninterrupted run."""
    with FaultServer(seconds=0.02).running() as server:
        command = eval_command(server, tmp_path / "cut", "--set", "engine.concurrency=4")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: sum(server.answered.values()) > 60, 60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored_before = {item.key for item in stored(tmp_path / "cut")}
        num_before = len(server.asked)
        done = subprocess.run(command, capture_output=True, text=True)
        asked_again = {asked.request_id for asked in server.asked[num_before:]}
        whole = subprocess.run(eval_command(server, tmp_path / "whole"), capture_output=True, text=True)
    assert (done.returncode, whole.returncode) == (0, 0), done.stderr + whole.stderr
    assert 0 < len(stored_before) < 200
    assert len(asked_again) == 200 - len(stored_before) + 1, "the missing requests, and the list of models"
    cut, uncut = stored(tmp_path / "cut"), stored(tmp_path / "whole")
    assert len(cut) == 200
    assert {(item.key, item.text) for item in cut} == {(item.key, item.text) for item in uncut}


def stored(out: Path) -> list[Generation]:
    """Return a run's generations."""
    (path,) = out.glob("*/*/generations.jsonl")
    return list(read_lines(path, Generation))


def test_the_key_is_sent_and_kept_nowhere(
    tmp_path: Path, run_harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a run's files, its output or the loudest logs; not even if the server repeats it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    repeats = lambda asked, before: refuse(400, f"bad: {KEY}") if "- 1" in str(asked.body.get("messages")) else None  # noqa: E731
    with FaultServer(repeats).running() as server:
        printed = run_harness(*eval_command(server, tmp_path / "runs", "--limit", "20")[3:])
    with FaultServer(always(refuse(401, f"not yours: {KEY}"))).running() as strict:
        command = eval_command(strict, tmp_path / "refused", "--debug")
        refused = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENAI_LOG": "debug"})
    assert {asked.headers["authorization"] for asked in server.asked + strict.asked} == {f"Bearer {KEY}"}
    (failed, *_) = [item for item in stored(tmp_path / "runs") if item.error]
    assert failed.error == "400 bad: [key]"
    assert "not yours: [key]" in refused.stderr
    assert "HTTP Request: POST" in refused.stderr
    assert "HTTP Request: POST" in caplog.text
    for text in (repr(printed), caplog.text, refused.stdout, refused.stderr):
        assert KEY not in text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_the_run_records_its_server(tmp_path: Path, run_harness) -> None:
    """run.json has host, model, client and retries; the spec has none of them."""
    fails = lambda asked, before: refuse(500, "sorry") if asked.number == 3 else None  # noqa: E731
    with FaultServer(fails).running() as server:
        code, out, err = run_harness(*eval_command(server, tmp_path, "--limit", "12", "--json")[3:])
    assert code == 0, err
    record = json.loads(out)
    assert record["spec"]["engine"] == {"name": "openai", "dtype": "served", "device": "served"}
    described = record["sessions"][-1]["engine"]
    assert described["server"] == f"127.0.0.1:{server.port}"
    assert (described["model"], described["owned_by"]) == ("toy", "tests")
    assert (described["served_by"], described["num_retries"]) == (["toy", "build-1"], {"500": 1})
    assert described["client"].startswith("openai ")


def test_settings_of_other_engines_are_refused(run_harness) -> None:
    """A dtype is the server's business."""
    command = ["eval", "--engine", "openai", "--ckpt", "toy", "--task", "lab_math", "--set", "engine.dtype=float32"]
    code, _, err = run_harness(*command, "--set", "engine.base_url=http://localhost:1/v1")
    assert code == 3
    assert "engine.dtype" in err


def test_an_interrupted_run_hangs_up(tmp_path: Path) -> None:
    """Ctrl-C while all requests hang: one line, at once, and the server has nothing left to do."""
    fails = lambda asked, before: hang() if asked.number > 40 else None  # noqa: E731
    with FaultServer(fails).running() as server:
        command = eval_command(server, tmp_path)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: len(server.asked) > 45, 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        wait_until(lambda: server.num_under_way == 0)
    assert process.returncode == 130
    assert err.strip() == "harness: interrupted; run the same command again to resume"


# --- real servers


BASE = SHIPPED["lab/base"]


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[str]:
    """Serve lab/base on loopback by another program; yields the API's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    command = [sys.executable, "-c", script, "serve", str(BASE), "--device", "cpu", "--port", str(port)]
    if kind == "vllm":
        forgetful = shutil.copytree(
            BASE, folder / "base"
        )  # its own settings do not name <|im_end|>, as many bases' do not
        for name in ("config.json", "generation_config.json"):
            settings = json.loads((forgetful / name).read_text()) | {"eos_token_id": 0}
            (forgetful / name).write_text(json.dumps(settings))
        command = [
            str(Path(sys.executable).with_name("vllm")), "serve", str(forgetful), "--served-model-name", "lab/base",
            "--dtype", "float32", "--max-model-len", "2048", "--enforce-eager", "--max-num-seqs", "16",
            "--generation-config", "vllm", "--port", str(port),
        ]  # fmt: skip
    settings = {"HF_HOME": str(folder), "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **settings})
    try:
        wait_until(lambda: is_open(port) or process.poll() is not None, 240)
        assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["transformers", "vllm"])
def real_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server of another project, with lab/base; yields its kind and address."""
    needed = {"transformers": "fastapi", "vllm": "vllm"}[request.param]
    pytest.importorskip(needed, reason=f"{request.param} serve needs {needed}")
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as address:
        yield request.param, address


@pytest.mark.parametrize("prompting", ["chat", "completion"])
def test_a_real_server_says_what_engine_hf_says(
    real_server: tuple[str, str], prompting: str, tmp_path: Path, run_harness
) -> None:
    """60 greedy requests of all lab tasks: text, finish reason and token counts are those of engine hf."""
    kind, address = real_server
    command = ["eval", "--ckpt", "lab/base", "--suite", "lab", "--limit", "20", "--prompting", prompting]
    model = ["--set", f"engine.model={BASE}"] if kind == "transformers" else []
    there = ["--engine", "openai", "--set", f"engine.base_url={address}", *model]
    code, _, err = run_harness(*command, *there, "--out", str(tmp_path / "there"))
    assert code == 0, err
    code, _, err = run_harness(*command, "--engine", "hf", "--out", str(tmp_path / "here"))
    assert code == 0, err
    # transformers serve parses an answer to a conversation, and drops the white space at its end
    ends = str.rstrip if (kind, prompting) == ("transformers", "chat") else str
    there, here = (
        {
            item.key: (ends(item.text), item.finish_reason, item.num_prompt_tokens, item.num_completion_tokens)
            for item in stored(tmp_path / name)
        }
        for name in ("there", "here")
    )
    assert len(here) == 60
    assert there == here


def test_a_real_server_weighs_as_engine_hf_weighs(real_server: tuple[str, str]) -> None:
    """vLLM's likelihoods are those of engine hf; transformers serve has none, and says so in one line."""
    kind, address = real_server
    rng = random.Random(0)
    words = ["what", "is", "the", "sum", "of", "12", "sea", "blue", "Answer:", "return", "café", "😀"]
    requests = [
        Request(
            key=RequestKey(task="toy", example_id=str(i), index=0), sampling=GREEDY, seed=i,
            prompt=" ".join(rng.choices(words, k=9)) + rng.choice(["", " ", "\n"]),
            choices=tuple(Choice(text=" " + " ".join(rng.choices(words, k=k))) for k in (1, 2, 3)),
        )
        for i in range(20)
    ]  # fmt: skip
    config = EngineConfig(name="openai", base_url=address, model=str(BASE) if kind == "transformers" else None)
    engine = OpenAiEngine(EngineRecipe(config, config.model or ""), resolve_openai(config))
    if kind == "transformers":
        with pytest.raises(EngineError, match=r"echo|prompt must be a string"):
            list(engine.generate(requests))
        engine.close()
        return
    there = {item.key: item for item in engine.generate(requests)}
    engine.close()
    recipe = EngineRecipe(EngineConfig(name="hf", device="cpu"), str(BASE))
    for here in make_engine(recipe, resolve_engine(recipe)).generate(requests):
        assert there[here.key].num_prompt_tokens == here.num_prompt_tokens
        for one, other in zip(there[here.key].likelihoods, here.likelihoods, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
            assert (one.is_greedy, one.num_tokens) == (other.is_greedy, other.num_tokens)


def test_a_real_server_weighs_words_after_a_conversation(real_server: tuple[str, str]) -> None:
    """vLLM finds words as likely as engine hf, which weighs the line break at the end of the template as well."""
    kind, address = real_server
    requests = [
        Request(
            key=RequestKey(task="toy", example_id=str(i), index=0), sampling=GREEDY, seed=i,
            messages=(Message(role="user", content=f"What is {i} + {3 * i}?"),),
            choices=tuple(Choice(text=str(digit)) for digit in range(1, 4)),
        )
        for i in range(20)
    ]  # fmt: skip
    config = EngineConfig(name="openai", base_url=address, model=str(BASE) if kind == "transformers" else None)
    engine = OpenAiEngine(EngineRecipe(config, config.model or ""), resolve_openai(config))
    if kind == "transformers":
        with pytest.raises(EngineError, match="logprobs"):
            list(engine.generate(requests))
        engine.close()
        return
    there = {item.key: item for item in engine.generate(requests)}
    num_unlisted = engine.describe()["num_words_unlisted"]
    engine.close()
    recipe = EngineRecipe(EngineConfig(name="hf", device="cpu"), str(BASE))
    differences = [
        abs(one.logprob - other.logprob)
        for here in make_engine(recipe, resolve_engine(recipe)).generate(requests)
        for one, other in zip(there[here.key].likelihoods, here.likelihoods, strict=True)
        if one.logprob > -1000
    ]
    assert len(differences) == 60 - num_unlisted > 30
    assert max(differences) < 1e-3
