"""Rollouts: layout, end of turn, and draws that follow from seed and step alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import TrainingError
from tests.trainers.small import make_inputs, make_recipe
from trainers.base import Base, open_base
from trainers.model import load_policy, response_log_probs
from trainers.prompts import TrainingPrompt, load_prompts, tokenize_prompt
from trainers.sample import Sampler, rollout_seed


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the tiny base and prompts."""
    return make_inputs(tmp_path_factory.mktemp("sample"))


def make_sampler(inputs: Path, **changes: Any) -> tuple[Sampler, tuple[TrainingPrompt, ...], Base]:
    recipe = make_recipe(inputs, **changes)
    base = open_base(recipe)
    prompts = load_prompts(recipe, base.tokenizer).prompts
    return Sampler(load_policy(inputs / "base", "cpu"), base.tokenizer, recipe, "cpu", "float32"), prompts, base


def test_a_row_is_prompt_response_padding(inputs: Path) -> None:
    """The mask covers the response and nothing else, and counts its tokens."""
    sampler, prompts, base = make_sampler(inputs)
    rollouts = sampler.sample(prompts, 1)
    for row, (prompt, completion) in enumerate(zip(prompts, rollouts.completions, strict=True)):
        tokens, mask = rollouts.sequences.tokens_BT[row], rollouts.sequences.mask_BT[row]
        ids = tokenize_prompt(prompt.messages, base.tokenizer)
        end = len(ids) + completion.num_tokens
        assert tokens[: len(ids)].tolist() == ids
        assert mask.nonzero()[:, 0].tolist() == list(range(len(ids), end))
        assert int(rollouts.sequences.lengths_B[row]) == end
        response = tokens[mask].tolist()
        assert completion.text == base.tokenizer.decode(response, skip_special_tokens=True)
    assert rollouts.num_tokens == int(rollouts.sequences.mask_BT.sum())


def test_a_turn_is_finished_by_its_end_token_alone(inputs: Path) -> None:
    """Finished responses have an end token, last; cut ones have max_response_tokens and none."""
    sampler, prompts, _ = make_sampler(inputs, temperature=4.0, max_response_tokens=100)
    rollouts = sampler.sample(prompts * 8, 1)
    finished = [completion.is_finished for completion in rollouts.completions]
    assert any(finished)
    assert not all(finished)
    for row, completion in enumerate(rollouts.completions):
        response = rollouts.sequences.tokens_BT[row][rollouts.sequences.mask_BT[row]].tolist()
        assert not sampler.ends & set(response[:-1])
        assert (response[-1] in sampler.ends) == completion.is_finished
        assert completion.is_finished or completion.num_tokens == 100


def test_draws_follow_from_seed_and_step(inputs: Path) -> None:
    """A new sampler draws the same at the same step, others at another step or seed."""
    sampler, prompts, _ = make_sampler(inputs)
    drawn = sampler.sample(prompts, 3).sequences.tokens_BT
    torch.manual_seed(99)
    again, _, _ = make_sampler(inputs)
    assert torch.equal(again.sample(prompts, 3).sequences.tokens_BT, drawn)
    texts = [completion.text for completion in again.sample(prompts, 4).completions]
    other, _, _ = make_sampler(inputs, seed=1)
    assert texts != [completion.text for completion in sampler.sample(prompts, 3).completions]
    assert texts != [completion.text for completion in other.sample(prompts, 4).completions]


def test_seeds_of_rollouts_differ() -> None:
    """Steps and places do not collide: 1 then 11 is not 11 then 1."""
    seeds = {rollout_seed(seed, step, index) for seed in range(3) for step in range(20) for index in range(20)}
    assert len(seeds) == 3 * 20 * 20
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_draw_does_not_depend_on_its_company(inputs: Path) -> None:
    """The first prompts' responses are the same without the others in the batch."""
    sampler, prompts, _ = make_sampler(inputs)
    texts = [completion.text for completion in sampler.sample(prompts, 1).completions]
    assert [completion.text for completion in sampler.sample(prompts[:2], 1).completions] == texts[:2]


def test_tokens_are_drawn_as_often_as_the_policy_says(inputs: Path) -> None:
    """The first token's frequencies in 3,000 draws are its probabilities at the recipe's temperature."""
    sampler, prompts, _ = make_sampler(inputs, temperature=1.5, max_response_tokens=1)
    batch = sampler.sample(prompts[:1] * 3000, 1).sequences
    with torch.no_grad():
        _, logits_NV = response_log_probs(load_policy(inputs / "base", "cpu"), batch.pick(torch.tensor([0])), 1.5)
    expected = logits_NV[0].softmax(-1)
    counts = torch.bincount(batch.tokens_BT[batch.mask_BT], minlength=len(expected))
    common = expected * 3000 > 20
    assert int(common.sum()) > 5
    errors = (counts - 3000 * expected)[common] / (3000 * expected * (1 - expected))[common].sqrt()
    assert float(errors.abs().max()) < 4


def test_weights_that_are_not_finite_are_said(inputs: Path) -> None:
    """NaN in the policy stops sampling with its reason."""
    sampler, prompts, _ = make_sampler(inputs)
    next(sampler._model.parameters()).data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="logits are not finite"):
        sampler.sample(prompts, 1)
