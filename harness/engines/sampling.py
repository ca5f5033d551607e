"""Next-token choice from logits, reproducible per request: noise is a hash of (request seed, step, token id).

The processors (repetition penalty, temperature, top-k, top-p) have the order and meaning of transformers' own. Nothing
here holds a random generator, so the batch around a request cannot change what it draws. Imports torch: load lazily.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from harness.schema import Sampling

_CACHED = 2**17
"""Logits that are worked on at a time on a CPU: some ten passes over 1 MB of them, which its cache can hold."""
_MARGIN = 44
"""Columns looked at beyond top-k, so that tokens tied with the k-th are among them without sorting the vocabulary."""


class Rules(NamedTuple):
    """How each row of a batch draws: one entry per row."""

    temperature: Tensor
    """1 where the row is greedy."""
    top_k: Tensor
    """0 keeps all tokens; 1 where the row is greedy."""
    top_p: Tensor
    penalty: Tensor
    noise: Tensor
    """1 where the row is sampled, 0 where it is greedy."""
    seeds: Tensor
    filters: bool
    """Whether any sampled row cuts tokens off."""
    max_top_k: int
    """Largest top_k of the batch; 0 where some row keeps all tokens."""
    penalises: bool
    samples: bool


class Choice(NamedTuple):
    """What a step came to, one entry per row."""

    tokens: Tensor
    doubtful: Tensor
    """True where errors of up to the tolerance in the logits could change the token."""
    finite: Tensor
    """False where the logits are NaN or infinite, so that the token means nothing."""


def make_rules(samplings: Sequence[Sampling], seeds: Sequence[int], device: str | torch.device = "cpu") -> Rules:
    """Put the sampling parameters of a batch into tensors."""
    greedy = [s.temperature == 0 for s in samplings]
    top_k = [1 if g else s.top_k for g, s in zip(greedy, samplings, strict=True)]

    def column(values: Sequence[float], dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)[:, None]

    return Rules(
        temperature=column([1.0 if g else s.temperature for g, s in zip(greedy, samplings, strict=True)]),
        top_k=column(top_k, torch.int64),
        top_p=column([1.0 if g else s.top_p for g, s in zip(greedy, samplings, strict=True)]),
        penalty=column([s.repetition_penalty for s in samplings]),
        noise=column([0.0 if g else 1.0 for g in greedy]),
        seeds=column([_signed(seed) for seed in seeds], torch.int64),
        filters=any(not g and (s.top_k > 0 or s.top_p < 1) for g, s in zip(greedy, samplings, strict=True)),
        max_top_k=0 if 0 in top_k else max(top_k),
        penalises=any(s.repetition_penalty != 1 for s in samplings),
        samples=not all(greedy),
    )


def select_rows(rules: Rules, rows: Tensor | slice) -> Rules:
    """Return the rules of some rows of the batch."""
    return rules._replace(**{name: getattr(rules, name)[rows] for name in _PER_ROW})


_PER_ROW = ("temperature", "top_k", "top_p", "penalty", "noise", "seeds")


def choose_tokens(logits: Tensor, rules: Rules, step: int, seen: Tensor | None, tolerance: float) -> Choice:
    """Choose the next token of each row: argmax where greedy, else Gumbel-max over the processed logits.

    The largest of logit / temperature + Gumbel noise is a draw from the softmax (Gumbel 1954; Maddison et al. 2014,
    arXiv 1411.0030). Of tokens that tie exactly, the lowest id wins.

    Args:
        logits: Next-token logits, rows × vocabulary.
        rules: Sampling parameters of the rows.
        step: Number of tokens the rows have generated so far.
        seen: Rows × vocabulary, True where a token is in the row's prompt or completion; used by the penalty only.
        tolerance: Size of errors in the logits, in their own unit, under which `doubtful` must be raised.
    """
    at_a_time = max(1, _CACHED // logits.shape[-1])
    looks_at_all = rules.samples and not rules.max_top_k
    if looks_at_all and logits.device.type == "cpu" and len(logits) > at_a_time:
        blocks = [slice(start, start + at_a_time) for start in range(0, len(logits), at_a_time)]
        parts = [
            choose_tokens(logits[rows], select_rows(rules, rows), step, None if seen is None else seen[rows], tolerance)
            for rows in blocks
        ]
        return Choice(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
    scores = logits if logits.dtype == torch.float64 else logits.float()
    if rules.penalises and seen is not None:
        scores = penalise(scores, rules.penalty, seen)
    if rules.filters:
        return _choose_filtered(scores, rules, step, tolerance)
    ids = torch.arange(scores.shape[-1], device=scores.device)
    noisy = perturb(scores.double() / rules.temperature, rules, step, ids) if rules.samples else scores
    best = noisy.topk(min(2, noisy.shape[-1]), dim=-1).values
    # argmax, unlike topk, promises the first of equal values.
    doubtful = ~(best[:, :1] - best[:, -1:] >= tolerance / rules.temperature)
    return Choice(noisy.argmax(dim=-1), doubtful[:, 0], best[:, 0].isfinite())


def _choose_filtered(scores: Tensor, rules: Rules, step: int, tolerance: float) -> Choice:
    values, ids = candidates(scores, rules, tolerance)
    slack = tolerance / rules.temperature
    noisy = perturb(values, rules, step, ids)
    kept = keep_mask(values, rules)
    best = noisy.masked_fill(~kept, -torch.inf).max(dim=-1, keepdim=True)
    # The winner is certain if it is kept for sure and beats everything that may be kept.
    sure, possible = keep_bounds(values, rules, slack)
    rivals = noisy.masked_fill(~possible, -torch.inf).scatter(-1, best.indices, -torch.inf)
    certain = sure.gather(-1, best.indices) & (best.values - rivals.amax(dim=-1, keepdim=True) >= slack)
    return Choice(ids.gather(-1, best.indices)[:, 0], ~certain[:, 0], best.values[:, 0].isfinite())


def penalise(scores: Tensor, penalty: Tensor, seen: Tensor) -> Tensor:
    """Divide positive and multiply negative scores of tokens seen before (Keskar et al. 2019, arXiv 1909.05858)."""
    penalty = penalty.to(scores.dtype)
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def candidates(scores: Tensor, rules: Rules, tolerance: float) -> tuple[Tensor, Tensor]:
    """Return the tokens that filters may keep: scores over temperature, largest first, and their ids.

    All of the vocabulary where a row has no top-k, or where more tokens than the margin tie with the k-th. Equal scores
    are ordered by id, which topk alone does not promise.
    """
    size = scores.shape[-1]
    width = min(rules.max_top_k + _MARGIN, size) if rules.max_top_k else size
    if width < size:
        values, ids = scores.topk(width, dim=-1)
        cut = values.gather(-1, rules.top_k - 1) - tolerance
        if bool((values[:, -1:] < cut).all()):
            order = ids.argsort(dim=-1)
            values, ids = values.gather(-1, order), ids.gather(-1, order)
            values, order = values.sort(dim=-1, descending=True, stable=True)
            return values.double() / rules.temperature, ids.gather(-1, order)
    values, ids = scores.sort(dim=-1, descending=True, stable=True)
    return values.double() / rules.temperature, ids


def keep_mask(values: Tensor, rules: Rules) -> Tensor:
    """Return which candidates (largest first) top-k and then top-p keep; tokens tied with the k-th are kept."""
    kept = values >= _kth(values, rules.top_k)
    probabilities = values.masked_fill(~kept, -torch.inf).softmax(dim=-1)
    # Mass of each token and all less likely ones: a token goes if that is no more than 1 - top_p.
    kept = kept & (_mass_from(probabilities) > 1 - rules.top_p)
    kept[:, 0] = True
    return kept


def keep_bounds(values: Tensor, rules: Rules, slack: Tensor) -> tuple[Tensor, Tensor]:
    """Return which candidates are kept for sure, and which may be, if each value is wrong by up to half of `slack`."""
    last = values.shape[-1]
    kth = _kth(values, rules.top_k)
    after = torch.where((rules.top_k > 0) & (rules.top_k < last), _kth(values, rules.top_k + 1), -torch.inf)
    possible = values >= kth - slack
    sure = possible & (values > after + slack)
    # Fewer tokens kept means less mass below each: the bounds of the mass come from the bounds of the set. Tokens that
    # tie within the slack may swap places, so they count as below in one bound and as above in the other.
    ascending = -values
    # Clamped because NaN is found nowhere.
    first_tied = torch.searchsorted(ascending, ascending - slack).clamp(max=last - 1)
    first_below = torch.searchsorted(ascending, ascending + slack, right=True)
    most = _mass_from(values.masked_fill(~possible, -torch.inf).softmax(dim=-1)).gather(-1, first_tied)
    own = values.masked_fill(~sure, -torch.inf).softmax(dim=-1)
    below = torch.nn.functional.pad(_mass_from(own), (0, 1)).gather(-1, first_below)
    cut = 1 - rules.top_p
    unfiltered = rules.top_p >= 1
    sure = sure & (unfiltered | (below + own > cut + slack))
    top_is_alone = values[:, :1] - values[:, 1:2] > slack if last > 1 else torch.ones_like(unfiltered)
    sure[:, :1] |= top_is_alone
    possible = possible & (unfiltered | (most > cut - slack))
    possible |= values >= values[:, :1] - slack
    return sure, possible


def _kth(values: Tensor, rank: Tensor) -> Tensor:
    """Return the rank-th largest value of each row, -inf where rank is 0 (keep all)."""
    index = rank.clamp(1, values.shape[-1]) - 1
    return torch.where(rank > 0, values.gather(-1, index), -torch.inf)


def _mass_from(probabilities: Tensor) -> Tensor:
    """Return, for columns ordered largest first, the mass of each column and all after it."""
    return probabilities.flip(-1).cumsum(dim=-1).flip(-1)


def perturb(values: Tensor, rules: Rules, step: int, ids: Tensor) -> Tensor:
    """Add Gumbel noise to the rows that are sampled; `ids` are the token ids of the columns."""
    return values + rules.noise * gumbel_noise(rules.seeds, step, ids)


def gumbel_noise(seeds: Tensor, step: int, ids: Tensor) -> Tensor:
    """Return standard Gumbel noise for (seed, step, token id), the same in whatever company it is drawn."""
    return -torch.log(-torch.log(uniform_noise(seeds, step, ids)))


def uniform_noise(seeds: Tensor, step: int, ids: Tensor) -> Tensor:
    """Return float64 noise, uniform on the open interval (0, 1), from a counter-based hash.

    Row key = mix(mix(seed) xor mix'(step)); value = mix(key + (id + 1) · φ), the splitmix64 generator (Steele, Lea and
    Flood 2014) of that key at position id. Integer arithmetic wraps modulo 2^64 on CPU and GPU alike, so the bits
    agree; the logarithm that follows may differ in the last place.

    Args:
        seeds: One per row, as a column of int64.
        step: Number of tokens generated so far.
        ids: Token ids, per column or rows × columns.
    """
    key = _mix(_mix(seeds) ^ _signed(_mix_int(step + 1)))
    bits = _mix(key + (ids + 1) * _GOLDEN)
    # 52 bits and a half: one bit more would round to exactly 1, whose noise is infinite.
    return (((bits >> 12) & (2**52 - 1)).double() + 0.5) * 2.0**-52


def _signed(value: int) -> int:
    """Return the int64 with the same low 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def _mix(z: Tensor) -> Tensor:
    """Scramble 64 bits: splitmix64's finaliser. Masks make the arithmetic shifts of int64 logical."""
    z = (z ^ ((z >> 30) & (2**34 - 1))) * _signed(_MULTIPLIERS[0])
    z = (z ^ ((z >> 27) & (2**37 - 1))) * _signed(_MULTIPLIERS[1])
    return z ^ ((z >> 31) & (2**33 - 1))


def _mix_int(value: int) -> int:
    """Scramble a step number on its own, so that close seeds and close steps cannot cancel."""
    z = value * 0x9E3779B97F4A7C15 % 2**64
    z = (z ^ (z >> 30)) * _MULTIPLIERS[0] % 2**64
    z = (z ^ (z >> 27)) * _MULTIPLIERS[1] % 2**64
    return z ^ (z >> 31)
