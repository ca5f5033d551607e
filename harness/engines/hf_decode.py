"""Decodes one batch of prompts with a key-value cache and drops rows as they end. Who shares a batch is hf.py's to say.

A row's tokens depend on its own request only: noise is a hash of its seed (sampling.py), and where rounding in the
batch could decide, the row's logits are computed again alone. Imports torch: load lazily.
"""

import inspect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.engines.sampling import Choice, Rules, choose_tokens, make_rules, select_rows
from harness.errors import EngineError
from harness.schema import FinishReason, Generation, Request

TOLERANCES = {torch.float32: 5e-4, torch.float64: 1e-9}
"""Gap in the logits under which a row is computed again alone. Measured errors are in docs/engines.md. Types of lower
precision have none: their ties are too many to settle, so there they may fall either way."""


@dataclass
class Row:
    """One request while it is being decoded."""

    request: Request
    prompt: list[int]
    """Token ids."""
    limit: int
    """Most tokens to generate: max_tokens, or what the model's context leaves."""
    ends: frozenset[int]
    """Tokens that end the completion."""
    tokens: list[int] = field(default_factory=list)
    seconds: float = 0.0
    ended: bool = False

    @property
    def cost(self) -> int:
        """Tokens of cache the row may need."""
        return len(self.prompt) + self.limit


@dataclass
class Counts:
    """How often batches were too close to call, and by how much they were off."""

    tokens: int = 0
    recomputed: int = 0
    changed: int = 0
    """Recomputed tokens that came out different."""
    max_logit_error: float = 0.0
    """Largest difference seen between a logit in the batch and alone."""


class StopStrings:
    """Finds stop strings in completions, across token boundaries."""

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(text for text in stop if text)
        self._last = {text[-1] for text in self._stop}
        self._skipped = set(tokenizer.all_special_ids)
        # Every other token is at least one byte long, so this many hold any stop string, with a few for safety.
        self._window = max((len(text.encode()) for text in self._stop), default=0) + 8
        self._may_complete: dict[int, bool] = {}

    def cut(self, tokens: list[int]) -> str | None:
        """Return the text before the first stop string if the last token completes one, else None."""
        if not self._stop or not self._can_complete(tokens[-1]):
            return None
        tail = [token for token in tokens[-4 * self._window :] if token not in self._skipped][-self._window :]
        text = decode_text(self._tokenizer, tail)
        if not any(stop in text for stop in self._stop):
            return None
        text = decode_text(self._tokenizer, tokens)
        found = [text.index(stop) for stop in self._stop if stop in text]
        return text[: min(found)] if found else None

    def _can_complete(self, token: int) -> bool:
        """Whether the token's text may hold the last character of a stop string; spares decoding at every step."""
        known = self._may_complete.get(token)
        if known is None:
            text = self._tokenizer.decode([token], clean_up_tokenization_spaces=False)
            # Part of a character, or a token that shows its text only in company, decides nothing on its own.
            unclear = not text.strip() or "\ufffd" in text
            known = self._may_complete[token] = unclear or any(char in text for char in self._last)
        return known


def decode_text(tokenizer: Any, tokens: list[int]) -> str:
    """Return the text of token ids, without special tokens."""
    text: str = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


@dataclass
class _Batch:
    """Rows under way and the tensors that go with them."""

    rows: list[Row]
    rules: Rules
    mask: Tensor
    """Rows × (prompt + room): 1 where there is a token, now or later."""
    positions: Tensor
    """Position of each row's next token."""
    width: int
    """Columns in use, padding included."""
    cache: Any
    logits: Tensor
    seen: Tensor | None
    step: int = 0


class Decoder:
    """Runs batches through a causal language model of transformers."""

    def __init__(self, model: Any, tokenizer: Any, pad_token: int) -> None:
        self.counts = Counts()
        self.tolerance = TOLERANCES.get(model.dtype, 0.0)
        """0 where rows are never computed again."""
        self._model = model
        self._tokenizer = tokenizer
        self._pad_token = pad_token
        self._device = model.device
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._stops: dict[tuple[str, ...], StopStrings] = {}

    def decode(self, rows: Sequence[Row]) -> Iterator[Generation]:
        """Yield a generation for each row as it ends; rows that end are marked so, the others can be tried again."""
        for row in rows:
            row.tokens = []
        started = time.perf_counter()
        batch = self._start(list(rows))
        while True:
            tokens, finite = self._next_tokens(batch)
            ended = []
            for row, token, is_finite in zip(batch.rows, tokens, finite, strict=True):
                row.tokens.append(token)
                if (end := self._end(row, is_finite)) is not None:
                    ended.append((row, end))
            share = (time.perf_counter() - started) / len(batch.rows)
            for row in batch.rows:
                row.seconds += share
            # The clock rests while the consumer works.
            for row, (reason, text) in ended:
                row.ended = True
                yield _generation(row, reason, text)
            started = time.perf_counter()
            if ended and not _keep_unfinished(batch, tokens):
                return
            self._feed(batch, [row.tokens[-1] for row in batch.rows])

    def _end(self, row: Row, finite: bool) -> tuple[FinishReason, str] | None:
        """Return how and with which text the row ended, None if it goes on."""
        if not finite:
            return "error", ""
        if row.tokens[-1] in row.ends:
            return "stop", decode_text(self._tokenizer, row.tokens[:-1])
        if stop := row.request.sampling.stop:
            if stop not in self._stops:
                self._stops[stop] = StopStrings(self._tokenizer, stop)
            if (text := self._stops[stop].cut(row.tokens)) is not None:
                return "stop", text
        if len(row.tokens) >= row.limit:
            return "length", decode_text(self._tokenizer, row.tokens)
        return None

    @torch.inference_mode()
    def _start(self, rows: list[Row]) -> _Batch:
        """Run the model on the prompts, each distinct one once, however many of the rows share it."""
        prompts = list(dict.fromkeys(tuple(row.prompt) for row in rows))
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self._pad_token)
        mask = torch.zeros((len(prompts), width), dtype=torch.int64)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        output = self._forward(ids, mask, positions, None)
        if getattr(output, "past_key_values", None) is None:
            raise EngineError(f"{type(self._model).__name__} keeps no key-value cache; engine hf cannot decode with it")
        logits, cache, positions = output.logits[:, -1], output.past_key_values, positions[:, -1:] + 1
        if len(prompts) < len(rows):
            place = {prompt: i for i, prompt in enumerate(prompts)}
            owner = torch.tensor([place[tuple(row.prompt)] for row in rows], device=self._device)
            cache.reorder_cache(owner)
            logits, mask, positions = logits[owner], mask[owner], positions[owner]
        mask = torch.nn.functional.pad(mask, (0, max(row.limit for row in rows)), value=1)
        rules = make_rules([r.request.sampling for r in rows], [r.request.seed for r in rows], self._device)
        seen = self._seen(rows, logits.shape[-1]) if rules.penalises else None
        return _Batch(rows, rules, mask, positions, width, cache, logits, seen)

    def _seen(self, rows: list[Row], size: int) -> Tensor:
        seen = torch.zeros((len(rows), size), dtype=torch.bool)
        for i, row in enumerate(rows):
            seen[i, torch.tensor(row.prompt + row.tokens)] = True
        return seen.to(self._device)

    @torch.inference_mode()
    def _feed(self, batch: _Batch, tokens: list[int]) -> None:
        """Run the model on each row's newest token."""
        ids = torch.tensor(tokens, device=self._device)[:, None]
        if batch.seen is not None:
            batch.seen.scatter_(1, ids, True)
        batch.width += 1
        output = self._forward(ids, batch.mask[:, : batch.width], batch.positions, batch.cache)
        batch.positions += 1
        batch.step += 1
        batch.logits = output.logits[:, -1]

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Any:
        extra = {"position_ids": positions} if self._takes_positions else {}
        return self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **extra, **self._last_only
        )

    @torch.inference_mode()
    def _next_tokens(self, batch: _Batch) -> tuple[list[int], list[bool]]:
        """Return each row's next token and whether its logits are finite."""
        choice = choose_tokens(batch.logits, batch.rules, batch.step, batch.seen, self.tolerance)
        # One transfer for all three.
        tokens, doubtful, finite = torch.stack([column.long() for column in choice]).tolist()
        self.counts.tokens += len(tokens)
        if self.tolerance and any(doubtful):
            for i, (is_doubtful, is_finite) in enumerate(zip(doubtful, finite, strict=True)):
                if is_doubtful and is_finite:
                    tokens[i] = self._settle(batch, i, tokens[i])
        return tokens, [bool(value) for value in finite]

    def _settle(self, batch: _Batch, index: int, token: int) -> int:
        """Return the row's next token from logits that no batch has touched: one row, no padding, no cache."""
        row = batch.rows[index]
        ids = torch.tensor([row.prompt + row.tokens], device=self._device)
        logits = self._model(input_ids=ids, use_cache=False, **self._last_only).logits[:, -1]
        only = torch.tensor([index], device=self._device)
        seen = None if batch.seen is None else batch.seen[only]
        choice: Choice = choose_tokens(logits, select_rows(batch.rules, only), batch.step, seen, 0.0)
        settled = int(choice.tokens)
        self.counts.recomputed += 1
        self.counts.changed += settled != token
        error = float((logits[0] - batch.logits[index]).abs().nan_to_num(0).max())
        self.counts.max_logit_error = max(self.counts.max_logit_error, error)
        return settled


def _keep_unfinished(batch: _Batch, tokens: list[int]) -> bool:
    """Drop ended rows from the batch; return whether any are left."""
    kept = [i for i, row in enumerate(batch.rows) if not row.ended]
    if not kept:
        return False
    rows = torch.tensor(kept, device=batch.logits.device)
    batch.rows = [batch.rows[i] for i in kept]
    batch.rules = select_rows(batch.rules, rows)
    batch.mask = batch.mask[rows]
    batch.positions = batch.positions[rows]
    batch.seen = None if batch.seen is None else batch.seen[rows]
    batch.cache.reorder_cache(rows)
    return True


def _generation(row: Row, reason: FinishReason, text: str) -> Generation:
    damaged = "the model's logits are not finite: its weights hold NaN or infinity, or the dtype overflows"
    return Generation(
        key=row.request.key,
        text=text,
        finish_reason=reason,
        num_prompt_tokens=len(row.prompt),
        num_completion_tokens=len(row.tokens),
        seconds=row.seconds,
        error=damaged if reason == "error" else None,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU allocator raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
