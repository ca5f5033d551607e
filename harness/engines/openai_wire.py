"""What is sent to an OpenAI-compatible server, and what its answers say. Pure functions; nothing here is sent.

Servers take more settings than OpenAI's own, under names that differ, and fill those that are left out with their own
defaults (llama.cpp: top-k 40) or the checkpoint's. A server known by its `owned_by` is told all of them; any other only
what the run sets, since many servers refuse what they do not know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import msgspec

from harness.engines.choices import context_request
from harness.engines.failed import failed
from harness.engines.openai_words import is_word_choice, weigh_words
from harness.errors import EngineError
from harness.schema import Choice, FinishReason, Generation, Likelihood, Message, Request, Sampling
from harness.spec import content_hash

FINISH: dict[str | None, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
}
"""Servers' words; any other, such as content_filter, is `unknown`: the text is graded as it is."""


@dataclass(frozen=True)
class Dialect:
    """How a server calls the settings that OpenAI does not have."""

    all_tokens: int
    """The top_k that keeps all."""
    penalty: str = "repetition_penalty"
    further: Mapping[str, Any] = field(default_factory=dict)
    """What else it takes for the settings to mean what they mean elsewhere."""
    continuing: Mapping[str, Any] = field(default_factory=dict)
    """What makes it go on with a last message that is the assistant's, and not begin another."""


_CONTINUING = {"add_generation_prompt": False, "continue_final_message": True}

DIALECTS = {
    "vllm": Dialect(all_tokens=-1, continuing=_CONTINUING),
    "sglang": Dialect(all_tokens=-1, continuing=_CONTINUING),
    # left alone it filters before it applies the temperature, and penalises the last 64 tokens only; it goes on with
    # an assistant's message by itself
    "llamacpp": Dialect(
        all_tokens=0,
        penalty="repeat_penalty",
        further={"samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"], "repeat_last_n": -1},
    ),
}
"""By what the server says of its models, `owned_by`."""


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None


class _Logprobs(msgspec.Struct):
    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _ChatToken(msgspec.Struct):
    top_logprobs: list[_Alternative] = []


class _ChatLogprobs(msgspec.Struct):
    content: list[_ChatToken] | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: _ChatLogprobs | None = None


class _TextChoice(msgspec.Struct):
    text: str
    finish_reason: str | None = None
    index: int = 0
    logprobs: _Logprobs | None = None


class _Reply(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None


class _ChatReply(_Reply, kw_only=True):
    choices: list[_ChatChoice]


class _TextReply(_Reply, kw_only=True):
    choices: list[_TextChoice]


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    generation: Generation
    """Its seconds are 0."""
    model: str | None = None
    """As the answer names it."""
    build: str | None = None
    """The answer's `system_fingerprint`."""
    notes: tuple[str, ...] = ()
    """What is worth counting: `reasoning` was apart from the text, the `content_filter` ended it, a `stop` string was
    still in it, the beginning of a choice `joined` the last token of its context, a word was `unlisted` among the
    likeliest beginnings."""


@dataclass(frozen=True)
class Call:
    """A request as it is sent."""

    request_id: str
    """The same for the same request of a plan, whatever the run."""
    kind: Literal["chat", "text"]
    body: dict[str, Any]
    read: Callable[[bytes], Answer]
    """Raises msgspec.MsgspecError if the content is not an answer."""


@dataclass(frozen=True)
class Speech:
    """How a server is spoken to."""

    model: str
    dialect: Dialect | None = None
    enable_thinking: bool | None = None
    end_tokens: tuple[int, ...] = ()
    """Tokens that end a completion beside the server's own."""
    num_listed: int = 20
    """Tokens whose probabilities are asked for where words are weighed."""


def make_call(request: Request, speech: Speech) -> Call:
    """Return a request as a server wants it.

    Raises:
        EngineError: if it asks for likelihoods of what a server cannot weigh, or to continue a turn of a server that is
            not known to do so.
    """
    request_id = content_hash(msgspec.to_builtins(request.key))[:32]
    if request.choices and is_word_choice(request):
        body = {"model": speech.model, **_weighing_fields(request, speech), **_chat_fields(request, speech)}
        return Call(request_id, "chat", body, partial(_read_words, request))
    if request.choices:
        prompts = _choice_prompts(request)
        body = {"prompt": prompts, "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}
        return Call(request_id, "text", {"model": speech.model, **body}, partial(_read_choices, request, prompts))
    body = {"model": speech.model, **_sampling_fields(request, speech.dialect)}
    if speech.end_tokens:
        body["stop_token_ids"] = [*speech.end_tokens]
    if request.messages is None:
        body["prompt"] = request.prompt or ""
        return Call(request_id, "text", body, partial(_read_text, request))
    return Call(request_id, "chat", body | _chat_fields(request, speech), partial(_read_chat, request))


def probe_request(request: Request) -> Request:
    """Return a request of the same kind and settings that any server which works can answer at once."""
    is_chat = request.messages is not None
    return msgspec.structs.replace(
        request,
        messages=(Message(role="user", content="Hi"),) if is_chat else None,
        prompt=None if is_chat else "Hi",
        choices=(Choice(text=" there"),) if request.choices else (),
        sampling=msgspec.structs.replace(request.sampling, max_tokens=1),
    )


def _sampling_fields(request: Request, dialect: Dialect | None) -> dict[str, Any]:
    sampling = request.sampling
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.temperature > 0:
        fields["seed"] = request.seed
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    penalty = dialect.penalty if dialect else "repetition_penalty"
    if dialect or sampling.repetition_penalty != 1:
        fields[penalty] = sampling.repetition_penalty
    if dialect or sampling.top_k:
        fields["top_k"] = sampling.top_k or (dialect.all_tokens if dialect else 0)
    if dialect:
        fields["min_p"] = 0.0
        fields |= dialect.further
    return fields


def _weighing_fields(request: Request, speech: Speech) -> dict[str, Any]:
    """Return what makes a server tell the probabilities of a first token as the model has them.

    One token is drawn at temperature 1 and thrown away: some servers (SGLang) list probabilities as the temperature
    leaves them.
    """
    plain = msgspec.structs.replace(request, sampling=Sampling(temperature=1.0, max_tokens=1))
    return {**_sampling_fields(plain, speech.dialect), "logprobs": True, "top_logprobs": speech.num_listed}


def _chat_fields(request: Request, speech: Speech) -> dict[str, Any]:
    messages = request.messages or ()
    fields: dict[str, Any] = {"messages": [{"role": message.role, "content": message.content} for message in messages]}
    if messages and messages[-1].role == "assistant":
        fields |= _continuing_fields(request, speech.dialect)
    if speech.enable_thinking is not None:
        fields["chat_template_kwargs"] = {"enable_thinking": speech.enable_thinking}
    return fields


def _continuing_fields(request: Request, dialect: Dialect | None) -> Mapping[str, Any]:
    if dialect is None:
        raise EngineError(
            f"{request.key.task} begins the model's turn, and this server is not known to go on with it (vLLM, SGLang "
            "and llama.cpp are): pass --prompting completion, or use engine hf or vllm"
        )
    return dialect.continuing


def _read_chat(request: Request, content: bytes) -> Answer:
    reply = msgspec.json.decode(content, type=_ChatReply)
    choice = _only(reply.choices)
    has_reasoning = bool(choice.message.reasoning_content or choice.message.reasoning)
    return _answer(request, reply, choice.message.content or "", choice.finish_reason, has_reasoning)


def _read_text(request: Request, content: bytes) -> Answer:
    reply = msgspec.json.decode(content, type=_TextReply)
    choice = _only(reply.choices)
    return _answer(request, reply, choice.text, choice.finish_reason)


def _read_words(request: Request, content: bytes) -> Answer:
    """Weigh words by the first token's likeliest alternatives."""
    reply = msgspec.json.decode(content, type=_ChatReply)
    logprobs = _only(reply.choices).logprobs
    tokens = logprobs.content if logprobs else None
    if tokens is None or (tokens and not tokens[0].top_logprobs):
        raise EngineError(
            "the server does not give the likeliest first tokens of an answer (logprobs with top_logprobs), by which "
            f"{request.key.task} weighs words: use engine hf or vllm, a server that does (OpenAI, vLLM, SGLang, "
            'llama.cpp), or --prompting completion (for a judge, read = "text")'
        )
    listed = [(item.token, item.logprob) for token in tokens[:1] for item in token.top_logprobs]
    likelihoods, num_missing, error = weigh_words(request.choices, listed)
    usage = reply.usage or _Usage()
    if error:
        return Answer(failed(request, error, usage.prompt_tokens), reply.model, reply.system_fingerprint)
    generation = Generation(
        key=request.key,
        text="",
        finish_reason="stop",
        num_prompt_tokens=usage.prompt_tokens,
        num_completion_tokens=0,
        seconds=0.0,
        likelihoods=likelihoods,
    )
    return Answer(generation, reply.model, reply.system_fingerprint, ("unlisted",) * num_missing)


def _only(choices: list[Any]) -> Any:
    if len(choices) != 1:
        raise msgspec.ValidationError(f"it has {len(choices)} choices where one was asked for")
    return choices[0]


def _answer(request: Request, reply: _Reply, text: str, finish: str | None, has_reasoning: bool = False) -> Answer:
    usage = reply.usage or _Usage()
    cut = _cut(text, request.sampling.stop)
    generation = Generation(
        key=request.key,
        text=cut,
        finish_reason="stop" if cut != text else FINISH.get(finish, "unknown"),
        num_prompt_tokens=usage.prompt_tokens,
        num_completion_tokens=usage.completion_tokens,
        seconds=0.0,
    )
    happened = {"reasoning": has_reasoning, "content_filter": finish == "content_filter", "stop": cut != text}
    notes = tuple(name for name, is_true in happened.items() if is_true)
    return Answer(generation, reply.model, reply.system_fingerprint, notes)


def _cut(text: str, stop: tuple[str, ...]) -> str:
    """Return the text before the first stop string: some servers leave it there (transformers serve)."""
    starts = [start for start in (text.find(word) for word in stop) if start >= 0]
    return text[: min(starts)] if starts else text


def _choice_prompts(request: Request) -> list[str]:
    """Return each context alone, but for the white space at its end, which is the choice's, and each whole text."""
    contexts = [context_request(request, choice) for choice in request.choices]
    if any(item.messages is not None for item in contexts):
        raise EngineError(
            f"{request.key.task} asks how likely answers of several words are, and a server does not show how it "
            "renders a conversation, after which it weighs single words only: pass --prompting completion, or use "
            "engine hf or vllm"
        )
    if not all((item.prompt or "").strip() for item in contexts):
        raise EngineError(
            f"{request.key.task} asks how likely texts are that follow nothing, which a server cannot tell: "
            "use engine hf or vllm"
        )
    texts = [item.prompt or "" for item in contexts]
    wholes = [text + choice.text for text, choice in zip(texts, request.choices, strict=True)]
    return list(dict.fromkeys([*(text.rstrip() for text in texts), *wholes]))


def _read_choices(request: Request, prompts: list[str], content: bytes) -> Answer:
    """Weigh the choices: what comes after as many tokens as the context has alone (lm-eval's rule, as engine hf's).

    Each list of tokens ends with the one token that was generated, since servers refuse to generate none.
    """
    reply = msgspec.json.decode(content, type=_TextReply)
    by_index = {choice.index: choice.logprobs for choice in reply.choices}
    known = {prompt: by_index.get(number) or _Logprobs() for number, prompt in enumerate(prompts)}
    if not all(len(item.tokens) > 1 and item.top_logprobs for item in known.values()):
        raise EngineError(
            "the server does not give the log-probabilities of a prompt's tokens (echo with logprobs), which "
            f"{request.key.task} needs: use engine hf or vllm, or a server that does (vLLM, SGLang)"
        )
    likelihoods, num_tokens, num_joined, error = [], 0, 0, None
    for number, choice in enumerate(request.choices, 1):
        context = context_request(request, choice).prompt or ""
        before, whole = known[context.rstrip()].tokens[:-1], known[context + choice.text]
        num_tokens += len(whole.tokens) - 1
        num_joined += whole.tokens[: len(before)] != before
        likelihoods.append(_weigh(whole, len(before)))
        if not likelihoods[-1].num_tokens:
            error = f"choice {number} is empty: it adds no token to its context"
    generation = Generation(
        key=request.key,
        text="",
        finish_reason="error" if error else "stop",
        num_prompt_tokens=num_tokens,
        num_completion_tokens=0,
        seconds=0.0,
        error=error,
        likelihoods=() if error else tuple(likelihoods),
    )
    return Answer(generation, reply.model, reply.system_fingerprint, ("joined",) * num_joined)


def _weigh(logprobs: _Logprobs, start: int) -> Likelihood:
    """Add up the tokens from `start` to the last but one."""
    chosen = [value for value in logprobs.token_logprobs[start:-1] if value is not None]
    best = [max(top.values()) for top in (logprobs.top_logprobs or [])[start:-1] if top]
    if not len(chosen) == len(best) == len(logprobs.tokens[start:-1]):
        raise msgspec.ValidationError("it lacks log-probabilities of the choice's tokens")
    is_greedy = all(value >= most for value, most in zip(chosen, best, strict=True))
    return Likelihood(logprob=sum(chosen), is_greedy=is_greedy, num_tokens=len(chosen))
