import msgspec
import numpy as np
import pytest
import torch
from scipy import stats
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness.engines.sampling import (
    candidates,
    choose_tokens,
    keep_mask,
    make_rules,
    penalise,
    select_rows,
    uniform_noise,
)
from harness.schema import Sampling

SAMPLINGS = [
    Sampling(temperature=0.6, top_p=0.95, top_k=20),
    Sampling(temperature=1.0, top_p=0.5),
    Sampling(temperature=2.0, top_k=3),
    Sampling(temperature=0.3, top_p=0.9, top_k=50, repetition_penalty=1.3),
    Sampling(temperature=1.0, top_k=1000),
    Sampling(temperature=1.0, top_p=0.01),
    Sampling(temperature=0.7, top_p=0.8, repetition_penalty=0.8),
]


def random_logits(rows: int, size: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return torch.randn((rows, size), generator=torch.Generator().manual_seed(seed)) * scale


def processed(logits: torch.Tensor, sampling: Sampling, prompt: torch.Tensor) -> torch.Tensor:
    """Our processed logits over the whole vocabulary."""
    rules = make_rules([sampling] * len(logits), range(len(logits)))
    seen = torch.zeros(logits.shape, dtype=torch.bool).scatter_(1, prompt, True)
    values, ids = candidates(penalise(logits, rules.penalty, seen), rules, 0.0)
    values = values.masked_fill(~keep_mask(values, rules), -torch.inf)
    return torch.full(logits.shape, -torch.inf, dtype=torch.float64).scatter_(1, ids, values)


def theirs(logits: torch.Tensor, sampling: Sampling, prompt: torch.Tensor) -> torch.Tensor:
    """The logits as the processors of transformers leave them, in the order generate applies them."""
    chain = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)])
    chain.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    return chain(prompt, logits.clone())


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_processors_equal_those_of_transformers(sampling):
    """Penalty, temperature, top-k and top-p leave the same tokens with the same values as transformers' own."""
    logits = random_logits(64, 300)
    prompt = torch.randint(0, 300, (64, 12), generator=torch.Generator().manual_seed(1))
    ours, expected = processed(logits, sampling, prompt), theirs(logits, sampling, prompt)
    assert torch.equal(ours.isfinite(), expected.isfinite())
    torch.testing.assert_close(ours.float(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sampling", [Sampling(temperature=1.0), Sampling(temperature=0.6, top_p=0.9)])
def test_rows_of_a_large_vocabulary_are_chosen_as_each_alone(sampling, monkeypatch):
    """Blocks that the cache can hold change nothing, the penalty's columns included."""
    sampling = Sampling(temperature=sampling.temperature, top_p=sampling.top_p, repetition_penalty=1.3)
    logits, seeds = random_logits(7, 5000), list(range(7))
    seen = torch.rand(7, 5000, generator=torch.Generator().manual_seed(2)) < 0.1
    rules = make_rules([sampling] * 7, seeds)
    monkeypatch.setattr("harness.engines.sampling._CACHED", 10_000)
    blocks = choose_tokens(logits, rules, 3, seen, 1e-3)
    monkeypatch.setattr("harness.engines.sampling._CACHED", 2**30)
    whole = choose_tokens(logits, rules, 3, seen, 1e-3)
    for ours, expected in zip(blocks, whole, strict=True):
        assert torch.equal(ours, expected)
    assert len(set(blocks.tokens.tolist())) > 1


def test_tokens_tied_with_the_kth_are_kept():
    """Top-k keeps every token that ties with the k-th, as transformers does, even more of them than are looked at."""
    logits = random_logits(8, 400).round()
    sampling = Sampling(temperature=1.0, top_k=5)
    prompt = torch.zeros((8, 1), dtype=torch.long)
    ours, expected = processed(logits, sampling, prompt), theirs(logits, sampling, prompt)
    assert torch.equal(ours.isfinite(), expected.isfinite())
    assert (ours.isfinite().sum(dim=1) > 5).any()


def test_noise_is_the_documented_hash():
    """The noise equals splitmix64 written out in Python's unbounded integers, and never changes."""

    def mix(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    golden = 0x9E3779B97F4A7C15
    seeds, ids, step = [0, 1, 2**63 - 1, 123456789], [0, 1, 151935], 7
    expected = [
        [
            ((mix((mix(mix(s) ^ mix((step + 1) * golden % 2**64)) + (i + 1) * golden) % 2**64) >> 12) + 0.5) / 2**52
            for i in ids
        ]
        for s in seeds
    ]
    noise = uniform_noise(torch.tensor(seeds)[:, None], step, torch.tensor(ids))
    assert noise.tolist() == expected
    assert noise[3, 2].item() == 0.42223098966305994


def test_noise_is_uniform():
    """Noise over tokens, over steps and over seeds each passes a Kolmogorov–Smirnov test."""
    ids = torch.arange(100_000)
    over_ids = uniform_noise(torch.tensor([[42]]), 3, ids)[0]
    over_seeds = uniform_noise(ids[:, None], 3, torch.tensor([5]))[:, 0]
    over_steps = torch.cat([uniform_noise(torch.tensor([[42]]), step, torch.arange(4))[0] for step in range(5000)])
    for noise in (over_ids, over_seeds, over_steps):
        assert stats.kstest(noise.numpy(), "uniform").pvalue > 0.01
        assert noise.min() > 0
        assert noise.max() < 1


@pytest.mark.parametrize("shift", [1, 2, 1000])
def test_noise_of_neighbours_is_independent(shift):
    """Noise of seeds, steps or tokens that lie close together shares nothing: a 16 × 16 table of pairs is flat."""
    base = uniform_noise(torch.arange(2000)[:, None], 10, torch.arange(50))
    neighbours = {
        "seed": uniform_noise(torch.arange(2000)[:, None] + shift, 10, torch.arange(50)),
        "step": uniform_noise(torch.arange(2000)[:, None], 10 + shift, torch.arange(50)),
        "token": uniform_noise(torch.arange(2000)[:, None], 10, torch.arange(50) + shift),
    }
    for name, other in neighbours.items():
        table, _, _ = np.histogram2d(base.flatten(), other.flatten(), bins=16, range=[[0, 1], [0, 1]])
        assert stats.chisquare(table.flatten()).pvalue > 0.001, name


@pytest.mark.parametrize("sampling", [Sampling(temperature=1.0), SAMPLINGS[0], SAMPLINGS[1]])
def test_frequencies_follow_the_softmax(sampling):
    """Draws over many seeds have the frequencies of the processed logits' softmax."""
    count = 40_000
    logits = random_logits(1, 60, seed=3, scale=1.5)
    prompt = torch.zeros((1, 1), dtype=torch.long)
    expected = theirs(logits, sampling, prompt).softmax(dim=-1)[0].double() * count
    rules = make_rules([sampling] * count, range(count))
    drawn = choose_tokens(logits.expand(count, -1), rules, 0, None, 0.0).tokens
    counts = torch.bincount(drawn, minlength=60).double()
    assert (counts[expected == 0] == 0).all()
    likely = expected >= 5
    rest = expected[~likely].sum()
    observed = torch.cat([counts[likely], counts[~likely].sum()[None]])[: likely.sum() + (rest > 0)]
    wanted = torch.cat([expected[likely], rest[None]])[: likely.sum() + (rest > 0)]
    assert stats.chisquare(observed, wanted * (observed.sum() / wanted.sum())).pvalue > 0.01


def test_rows_do_not_influence_each_other():
    """Each row of a batch of unlike rows draws what it draws alone."""
    samplings = [*SAMPLINGS, Sampling(), Sampling(temperature=1.0), Sampling(repetition_penalty=1.5)] * 5
    seeds = [i * i * 7919 for i in range(len(samplings))]
    logits = random_logits(len(samplings), 500, seed=5)
    seen = random_logits(len(samplings), 500, seed=6) > 2
    rules = make_rules(samplings, seeds)
    together = choose_tokens(logits, rules, 4, seen, 1e-6)
    alone = [
        int(choose_tokens(logits[i : i + 1], make_rules([s], [seed]), 4, seen[i : i + 1], 1e-6).tokens)
        for i, (s, seed) in enumerate(zip(samplings, seeds, strict=True))
    ]
    assert together.tokens.tolist() == alone
    some = torch.tensor([30, 2, 11])
    subset = choose_tokens(logits[some], select_rows(rules, some), 4, seen[some], 1e-6)
    assert subset.tokens.tolist() == [alone[i] for i in some]


def test_greedy_takes_the_first_of_equal_logits():
    """Temperature 0 is argmax, the lowest id on a tie, alone and beside sampled rows."""
    logits = torch.zeros((2, 300))
    logits[:, [17, 40, 200]] = 5.0
    greedy = Sampling(temperature=0, top_p=0.5, top_k=7)
    assert choose_tokens(logits, make_rules([greedy] * 2, [1, 2]), 0, None, 0.0).tokens.tolist() == [17, 17]
    assert choose_tokens(logits, make_rules([greedy, SAMPLINGS[0]], [1, 2]), 0, None, 0.0).tokens[0] == 17


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0), *SAMPLINGS])
def test_tokens_without_doubt_survive_errors_in_the_logits(sampling):
    """A token that is not marked doubtful stays the same when each logit is off by just under half the tolerance."""
    tolerance, rows = 0.02, 4000
    logits = random_logits(rows, 100, seed=9)
    rules = make_rules([msgspec.structs.replace(sampling, repetition_penalty=1.0)] * rows, range(rows))
    first = choose_tokens(logits.double(), rules, 0, None, tolerance)
    for seed in range(5):
        noise = torch.rand((rows, 100), generator=torch.Generator().manual_seed(seed)) - 0.5
        noise = torch.where(noise > 0, 0.5, -0.5) if seed % 2 else noise
        second = choose_tokens(logits.double() + noise * tolerance * 0.999, rules, 0, None, tolerance)
        assert (first.tokens == second.tokens)[~first.doubtful].all()
    assert 0 < first.doubtful.double().mean() < 0.5


def test_close_calls_are_doubtful():
    """A near tie at the top, at the top-k boundary or at the top-p boundary is marked when it could decide."""
    flat = torch.tensor([[1.0, 1.0 + 1e-6, -5.0, -5.0]])
    edge = torch.tensor([[2.0, 2.0 - 1e-6, 2.0 - 2e-6, -9.0]])
    cases = [
        (flat, Sampling()),
        (edge, Sampling(temperature=1.0, top_k=2)),
        (edge, Sampling(temperature=1.0, top_p=0.5)),
    ]
    for logits, sampling in cases:
        rules = make_rules([sampling] * 50, range(50))
        assert choose_tokens(logits.expand(50, -1), rules, 0, None, 1e-3).doubtful.any()
        assert not choose_tokens(logits.expand(50, -1), rules, 0, None, 0.0).doubtful.any()


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0), SAMPLINGS[0], SAMPLINGS[1]])
@pytest.mark.parametrize("damage", [torch.nan, torch.inf])
def test_damaged_logits_are_reported(sampling, damage):
    """A row with NaN or infinite logits is told apart from its sound neighbour."""
    logits = random_logits(2, 200)
    logits[0, 7] = damage
    finite = choose_tokens(logits, make_rules([sampling] * 2, [1, 2]), 0, None, 1e-4).finite
    assert finite.tolist() == [False, True]
