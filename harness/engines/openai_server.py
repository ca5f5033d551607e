"""A server with an OpenAI-compatible API: asks it until it answers, as fast as it bears, and knows when it is gone."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from harness.engines.failed import failed
from harness.engines.hf import TURN_ENDS
from harness.engines.openai_client import Client, Model
from harness.engines.openai_faults import Fault
from harness.engines.openai_pace import Pace, Turn, backoff
from harness.engines.openai_wire import DIALECTS, Answer, Speech, make_call, probe_request
from harness.errors import EngineError
from harness.schema import Generation, Request
from harness.spec import EngineConfig

FEW_TRIES = 3
"""For what any server that works answers at once: whether it is there at all, a greeting."""

MOST_NAMES = 10
"""Models that an error lists, and builds that are recorded."""


@dataclass
class Tally:
    """What is known of a server by now."""

    model: Model | None = None
    is_listed: bool | None = None
    """Whether GET /models names the model."""
    version: str | None = None
    turn_ends: dict[str, int] = field(default_factory=dict)
    """Tokens that completions are asked to end at, beside the server's own; none where it does not know the wish."""
    answered_as: str | None = None
    """The model as the first answer named it."""
    served_by: dict[str, None] = field(default_factory=dict)
    """Models and builds that answers named, in the order of their first answer."""
    retries: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    most_under_way: int = 0


class Server:
    """Lives in one event loop, from connect() to close()."""

    def __init__(self, config: EngineConfig, key: str | None, tally: Tally) -> None:
        self._config = config
        self._tally = tally
        self._client = Client(config, key)
        self._has_key = key is not None
        self._pace = Pace(config.concurrency)
        self._models: list[Model] = []
        self._speech = Speech(model="")
        self._works = False
        self._num_failed = self._num_timeouts = 0
        self._probing = asyncio.Lock()

    async def connect(self, name: str, enable_thinking: bool | None) -> None:
        """Find the model.

        Args:
            name: The model's name; empty for the server's only one.
            enable_thinking: Passed to the server's chat template unless None.

        Raises:
            EngineError: if the server does not answer, or it is not clear which model is meant.
        """
        self._models = await self._list_models(is_needed=not name)
        model = self._choose_model(name)
        self._tally.model, self._tally.is_listed = model, model in self._models
        if model.owned_by == "vllm":
            self._tally.version = await self._client.ask_version()
            self._tally.turn_ends = await self._find_turn_ends(model.id)
        ends = tuple(self._tally.turn_ends.values())
        self._speech = Speech(
            model.id, DIALECTS.get(model.owned_by or ""), enable_thinking, ends, self._config.top_logprobs
        )

    async def ask(self, request: Request) -> Generation:
        """Return the answer to a request, or why there is none after as many tries as are allowed.

        Raises:
            EngineError: if no request will be answered.
        """
        self._check_room(request)
        call = make_call(request, self._speech)
        rng = random.Random(request.seed)
        seconds = 0.0
        for attempt in range(self._config.retries + 1):
            async with self._pace.turn() as turn:
                outcome = await self._client.send(call, f"{call.request_id}-{attempt}", self._config.timeout)
            seconds += turn.seconds
            self._tally.most_under_way = self._pace.most_under_way
            if isinstance(outcome, Answer):
                return self._accept(outcome, seconds)
            is_last = attempt == self._config.retries
            await self._learn(outcome, request, turn, is_last)
            if outcome.blame == "request" or is_last:
                break
            self._tally.retries[outcome.cause] += 1
            await asyncio.sleep(backoff(rng, attempt))
        assert isinstance(outcome, Fault), "an answer was returned above"
        tries = f" (tried {attempt + 1} times)" if attempt else ""
        return failed(request, outcome.message + tries, seconds=seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _accept(self, answer: Answer, seconds: float) -> Generation:
        self._check_same_model(answer.model)
        self._note_success()
        self._pace.widen()
        self._tally.notes.update(answer.notes)
        if len(self._tally.served_by) < MOST_NAMES:
            self._tally.served_by.update(dict.fromkeys(name for name in (answer.model, answer.build) if name))
        return msgspec.structs.replace(answer.generation, seconds=seconds)

    def _check_same_model(self, name: str | None) -> None:
        """Stop where another model answers than before; its name in answers may be another than in the list.

        Raises:
            EngineError: naming both.
        """
        first = self._tally.answered_as = self._tally.answered_as or name
        if name and name != first:
            raise EngineError(
                f"the server at {self._client.host} answered as {first} and now answers as {name}: another model than "
                "before; choose one that stays the same (engine.model), and begin anew"
            )

    async def _learn(self, fault: Fault, request: Request, turn: Turn, is_last: bool) -> None:
        """Go slower, or find out whether the server is to blame for a fault."""
        if fault.blame == "engine":
            raise self._refusal(fault)
        if fault.blame == "request":
            if not self._works:
                await self._probe(request)
            return
        self._num_failed += 1
        self._num_timeouts += fault.cause == "timeout"
        if fault.is_busy:
            self._pace.narrow(turn)
        if fault.retry_after is not None:
            if fault.retry_after > self._config.timeout:
                raise EngineError(
                    f"the server at {self._client.host} asks to wait {fault.retry_after:.0f} s ({fault.message}), "
                    "longer than engine.timeout; run the same command again later: it resumes"
                )
            self._pace.pause(fault.retry_after)
        most = self._config.retries
        used_up = is_last and self._num_failed > most
        # each takes engine.timeout, so that nobody waits until one request has used up its tries
        if used_up or (fault.cause == "timeout" and self._num_timeouts > most):
            await self._probe(request)

    def _note_success(self) -> None:
        self._works, self._num_failed, self._num_timeouts = True, 0, 0

    async def _probe(self, request: Request) -> None:
        """Greet the server, unless another task has just done so.

        Raises:
            EngineError: if it does not answer.
        """
        async with self._probing:
            if self._works and self._num_failed <= self._config.retries:
                return
            call = make_call(probe_request(request), self._speech)
            for attempt in range(FEW_TRIES):
                outcome = await self._client.send(call, f"{call.request_id}-probe")
                if isinstance(outcome, Answer):
                    self._note_success()
                    return
                if outcome.blame != "passing":
                    break
                await asyncio.sleep(max(outcome.retry_after or 0.0, backoff(random.Random(attempt), attempt)))
            assert isinstance(outcome, Fault), "an answer was returned above"
            raise self._refusal(outcome)

    async def _find_turn_ends(self, model: str) -> dict[str, int]:
        """Return the well-known ends of a turn that the model has a token for.

        The other engines end at them as well; a server alone would go on where a base's own settings do not name them.
        """
        found = {text: await self._client.find_token(model, text) for text in TURN_ENDS}
        return {text: token for text, token in found.items() if token is not None}

    async def _list_models(self, is_needed: bool) -> list[Model]:
        """Ask for the models; no long wait for a server that cannot be reached, or a list that is not needed."""
        for attempt in range(self._config.retries + 1):
            found = await self._client.list_models()
            if not isinstance(found, Fault):
                return found
            is_unreached = found.cause in ("connection", "timeout")
            enough = FEW_TRIES if is_unreached or not is_needed else self._config.retries + 1
            if found.blame != "passing" or attempt + 1 >= enough:
                break
            await asyncio.sleep(max(found.retry_after or 0.0, backoff(random.Random(attempt), attempt)))
        assert isinstance(found, Fault), "a list was returned above"
        # some servers do not list their models
        if is_needed or is_unreached or found.cause in ("401", "403"):
            raise self._refusal(found)
        return []

    def _choose_model(self, name: str) -> Model:
        """Return the model that is meant.

        A name that the user took from the checkpoint has to be listed. One given as engine.model need not be: some
        servers list other names than they answer to, and refuse a wrong one themselves.
        """
        listed = {model.id: model for model in self._models}
        if name in listed:
            return listed[name]
        if name and (self._config.model or not listed):
            return Model(name)
        if not name and len(listed) == 1:
            return self._models[0]
        wanted = f"does not list {name}" if name else "lists several models" if listed else "lists no model"
        raise EngineError(
            f"the server at {self._client.host} {wanted}{self._listing()}; name one with --set engine.model=NAME"
        )

    def _check_room(self, request: Request) -> None:
        model = self._tally.model
        longest = model.max_model_len if model else None
        if longest is not None and not request.choices and request.sampling.max_tokens >= longest:
            raise EngineError(
                f"{request.key.task} asks for up to {request.sampling.max_tokens} tokens, and the server at "
                f"{self._client.host} has a context of {longest} for prompt and completion: lower it with "
                "--set sampling.max_tokens=N, or start the server with a longer one"
            )

    def _refusal(self, fault: Fault) -> EngineError:
        """Return what to tell the user when no request will be answered."""
        server, told = f"the server at {self._client.host}", fault.message
        if fault.cause in ("401", "403", "407"):
            what = "refuses the key in" if self._has_key else "wants a key, which is read from"
            return EngineError(f"{server} {what} ${self._config.api_key_env} ({told})")
        if fault.cause in ("404", "405", "501"):
            return EngineError(
                f"{server} has no such model or endpoint ({told}){self._listing()}; check engine.model, and "
                "engine.base_url, which mostly ends in /v1"
            )
        if fault.cause == "setting":
            return EngineError(f"{server} does not take {told}; leave it out, or use another server")
        if fault.blame == "engine":
            return EngineError(f"{server} stops here: {told}")
        if fault.blame == "request":
            return EngineError(f"{server} refuses every request: {told}")
        if fault.cause in ("connection", "timeout"):
            return EngineError(
                f"{server} does not answer ({told}); start it and run the same command again: it resumes"
            )
        return EngineError(f"{server} fails every request ({told}); run the same command again later: it resumes")

    def _listing(self) -> str:
        names = [model.id for model in self._models]
        if not names:
            return ""
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        return f": it has {', '.join(names[:MOST_NAMES])}{more}"
