"""Engine `openai`: asks a server with an OpenAI-compatible API: vLLM, SGLang, llama.cpp, transformers serve, a vendor.

The server has the weights, the chat template and the arithmetic; nothing is loaded here. Requests go out from an event
loop in a thread of its own; openai_server.py says how, openai_wire.py what. The key goes from the environment into the
client and nowhere else.
"""

import asyncio
import os
import threading
from collections.abc import Collection, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from importlib.metadata import version
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

from harness.engines.openai_server import Server, Tally
from harness.engines.recipe import EngineRecipe
from harness.errors import EngineError, SpecError
from harness.schema import EngineSpec, Generation, Request
from harness.spec import EngineConfig

T = TypeVar("T")

DEFAULT_KEY = EngineConfig().api_key_env

CLOSE_SECONDS = 30.0
"""How long hanging up may take."""


def resolve_openai(config: EngineConfig) -> EngineSpec:
    """Return the engine's spec: the server knows dtype and device, and its address decides no token.

    Raises:
        SpecError: if there is no address, or it has parts that do not belong there.
        EngineError: if the key that is asked for is not in the environment.
    """
    if not config.base_url:
        raise SpecError("engine openai needs a server's address: --set engine.base_url=http://localhost:8000/v1")
    _check_address(config.base_url)
    read_key(config)
    return EngineSpec(name="openai", dtype="served", device="served")


def _check_address(address: str) -> None:
    """Refuse what is no address of an API; parts that may be secret are not repeated."""
    expected = "expected an address such as http://localhost:8000/v1"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SpecError(f"engine.base_url cannot be read; {expected}") from None
    if "@" in address or parts.query or parts.fragment:
        raise SpecError(
            f"engine.base_url has a user name, password, query or fragment; {expected}, and the key in ${DEFAULT_KEY} "
            "(or in the variable that engine.api_key_env names)"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise SpecError(f"engine.base_url is {address!r}; {expected}")
    if parts.path.rstrip("/").endswith("/completions"):
        raise SpecError(f"engine.base_url is {address!r}, one endpoint of the API; {expected}")


def read_key(config: EngineConfig) -> str | None:
    """Return the key, None if there is none.

    Raises:
        EngineError: if a variable was named and is empty, or what it holds can be no key.
    """
    key = os.environ.get(config.api_key_env, "").strip()
    if not key and config.api_key_env != DEFAULT_KEY:
        raise EngineError(f"engine.api_key_env names ${config.api_key_env}, which is not set; export the key there")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise EngineError(f"${config.api_key_env} holds characters that a key cannot have; export the key alone")
    return key or None


class OpenAiEngine:
    """Implements harness.interfaces.Engine over a server."""

    def __init__(self, recipe: EngineRecipe, spec: EngineSpec) -> None:
        """Keep the settings; the server is first asked when there is a request.

        Args:
            recipe: Its source is the model's name, empty for the server's only one.
            spec: What resolve_openai returned.
        """
        self.spec = spec
        self._recipe = recipe
        self._tally = Tally()
        self._loop: _LoopThread | None = None
        self._server: Server | None = None

    def describe(self) -> dict[str, Any]:
        """Return settings that do not decide tokens, and what the server says of itself; None before it was asked."""
        config, tally = self._recipe.config, self._tally
        model = tally.model
        return {
            "server": urlsplit(config.base_url or "").netloc,
            "server_version": tally.version,
            "model": model.id if model else None,
            "model_is_listed": tally.is_listed,
            "owned_by": model.owned_by if model else None,
            "max_model_len": model.max_model_len if model else None,
            "turn_ends": dict(tally.turn_ends),
            "answered_as": tally.answered_as,
            "served_by": list(tally.served_by),
            "client": f"openai {version('openai')}",
            "concurrency": config.concurrency,
            "concurrency_reached": tally.most_under_way,
            "timeout": config.timeout,
            "retries": config.retries,
            "num_retries": dict(sorted(tally.retries.items())),
            "num_with_reasoning": tally.notes["reasoning"],
            "num_content_filtered": tally.notes["content_filter"],
            "num_cut_at_stop": tally.notes["stop"],
            "num_choices_joined": tally.notes["joined"],
            "num_words_unlisted": tally.notes["unlisted"],
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yield one generation per request as the server answers; reads no further ahead than answers leave room.

        Closing the generator, or an error, cancels what is under way.
        """
        iterator = iter(requests)
        room = 2 * self._recipe.config.concurrency  # as many again as may be under way, so that none waits for a reader
        done: SimpleQueue[Future[Generation]] = SimpleQueue()
        pending: set[Future[Generation]] = set()
        tasks: set[asyncio.Task[Any]] = set()
        is_open = True
        try:
            while is_open or pending:
                while is_open and len(pending) < room:
                    request = next(iterator, None)
                    is_open = request is not None
                    if request is not None:
                        loop, server = self._connect()
                        future = loop.submit(_note_task(server.ask(request), tasks))
                        pending.add(future)
                        future.add_done_callback(done.put)
                if pending:
                    future = done.get()
                    pending.discard(future)
                    yield future.result()
        finally:
            if pending and self._loop is not None:
                self._loop.submit(_cancel(tasks))

    def close(self) -> None:
        """Hang up."""
        loop, server = self._loop, self._server
        self._loop = self._server = None
        if loop is not None and server is not None:
            loop.close(server)

    def _connect(self) -> "tuple[_LoopThread, Server]":
        if self._loop is not None and self._server is not None:
            return self._loop, self._server
        config = self._recipe.config
        self._server = server = Server(config, read_key(config), self._tally)
        self._loop = loop = _LoopThread()
        try:
            loop.submit(server.connect(self._recipe.source, self._recipe.enable_thinking)).result()
        except BaseException:
            self.close()
            raise
        return loop, server


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self, server: Server) -> None:
        self.submit(_hang_up(server)).result(CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _note_task(work: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> T:
    """Do the work; its task is in the set meanwhile."""
    task = asyncio.current_task()
    assert task is not None, "coroutines run in tasks"
    tasks.add(task)
    try:
        return await work
    finally:
        tasks.discard(task)


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end.

    Not while any task has yet to begin: anyio, which opens the connections, would drop its work unawaited, and Python
    warns of that.
    """
    while any(_is_new(task) for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    cancelled = tuple(tasks)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)


def _is_new(task: asyncio.Task[Any]) -> bool:
    work = task.get_coro()
    return iscoroutine(work) and getcoroutinestate(work) == CORO_CREATED


async def _hang_up(server: Server) -> None:
    """Cancel whatever is under way, then close the connections."""
    await _cancel(asyncio.all_tasks() - {asyncio.current_task()})
    await server.close()
