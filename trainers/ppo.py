"""Proximal policy optimisation as verl's main_ppo runs it for GRLO: the algorithm, from rewards to new weights.

Schulman et al. 2017 (arXiv 1707.06347) with generalised advantage estimation (Schulman et al. 2015, arXiv 1506.02438).
The formulas are those of verl/trainer/ppo/core_algos.py (volcengine/verl), which follow TRL's PPO; where TRL 1.12
differs, the function says so. Rollouts are sample.py's, the networks model.py's, the loop over steps loop.py's.
Imports torch: load lazily.

Shapes: B responses; T tokens of prompt and response, padded on the right; N response tokens, row after row;
V vocabulary.
"""

# ruff: noqa: N815 (names of fields end in the array's shape)

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.model import Learner, Sequences, computing, response_log_probs, response_values, token_entropy
from trainers.spec import Recipe

_MAX_LOG_RATIO = 20.0
"""verl clamps here, so that exp stays finite."""
_MAX_KL = 10.0


def gae(rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Return advantages and returns of response tokens, 0 elsewhere.

    With δ_t = r_t + γ V_{t+1} − V_t, the advantage is A_t = δ_t + γ λ A_{t+1} and the return A_t + V_t; after the last
    response token there is nothing (V = A = 0). Tokens outside the mask are stepped over, as in verl's
    compute_gae_advantage_return. Whitening is another function.
    """
    advantages_BT = torch.zeros_like(values_BT)
    next_value_B, advantage_B = torch.zeros_like(values_BT[:, 0]), torch.zeros_like(values_BT[:, 0])
    for t in reversed(range(values_BT.shape[1])):
        mask_B = mask_BT[:, t]
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        advantage_B = torch.where(mask_B, delta_B + gamma * lam * advantage_B, advantage_B)
        next_value_B = torch.where(mask_B, values_BT[:, t], next_value_B)
        advantages_BT[:, t] = torch.where(mask_B, advantage_B, 0.0)
    return advantages_BT, (advantages_BT + values_BT) * mask_BT


def whiten(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Return (x − mean) / sqrt(variance + 1e-8) over the masked values, 0 elsewhere.

    The variance has n − 1 in the denominator (verl's and TRL's masked_whiten). A single value becomes 0: there is
    nothing to compare it with.
    """
    values_N = values_BT[mask_BT]
    if len(values_N) < 2:
        return torch.zeros_like(values_BT)
    return (values_BT - values_N.mean()) * torch.rsqrt(values_N.var() + 1e-8) * mask_BT


def policy_loss(
    log_probs_N: Tensor, old_log_probs_N: Tensor, advantages_N: Tensor, clip: float, dual_clip: float = math.inf
) -> tuple[Tensor, Tensor]:
    """Return each token's clipped policy loss, and whether the clip decided it.

    With ρ = exp(log π − log π_old): max(−A ρ, −A clip(ρ, 1 − ε, 1 + ε)), and where A < 0 at most −A c. verl has c = 3
    (clip_ratio_c; Ye et al. 2020, arXiv 1912.09729); TRL has no such bound, which is c = inf.
    """
    ratio_N = (log_probs_N - old_log_probs_N).clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()
    free_N = -advantages_N * ratio_N
    clipped_N = -advantages_N * ratio_N.clamp(1 - clip, 1 + clip)
    losses_N = torch.maximum(free_N, clipped_N)
    bound_N = torch.where(advantages_N < 0, -advantages_N * dual_clip, math.inf)
    return torch.minimum(losses_N, bound_N), (clipped_N > free_N) | (losses_N > bound_N)


def value_loss(values_N: Tensor, old_values_N: Tensor, returns_N: Tensor, clip: float) -> Tensor:
    """Return each token's clipped value loss: ½ max((V − R)², (clip(V, V_old − c, V_old + c) − R)²)."""
    near_N = torch.minimum(torch.maximum(values_N, old_values_N - clip), old_values_N + clip)
    return 0.5 * torch.maximum((values_N - returns_N) ** 2, (near_N - returns_N) ** 2)


def kl_k3(log_probs_N: Tensor, reference_log_probs_N: Tensor) -> Tensor:
    """Return each token's estimate of KL(π ‖ reference): r − 1 − log r with r = reference / π, at most 10.

    Unbiased under samples from π and never negative (Schulman 2020, joschu.net/blog/kl-approx.html, estimator k3);
    verl's low_var_kl with its clamps.
    """
    log_ratio_N = (reference_log_probs_N - log_probs_N).clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO)
    return (log_ratio_N.exp() - log_ratio_N - 1).clamp(max=_MAX_KL)


@dataclass(frozen=True)
class Learned:
    """What a step came to; the fields of StepLog that the update knows."""

    kl: float
    entropy: float
    policy_loss: float
    value_loss: float
    clip_share: float
    grad_norm: float
    tokens_trained: int


@dataclass(frozen=True)
class _Experience:
    """What the networks said of the rollouts before the update."""

    log_probs_BT: Tensor
    reference_log_probs_BT: Tensor | None
    values_BT: Tensor
    advantages_BT: Tensor
    returns_BT: Tensor


class PpoUpdate:
    """Turns rollouts and their rewards into new weights of actor and critic."""

    def __init__(self, recipe: Recipe, actor: Any, critic: Any, reference: Any | None, device: str, dtype: str) -> None:
        """Make the optimisers.

        Args:
            recipe: Of the run.
            actor: The policy; its probabilities before the update are the old ones.
            critic: Says a value before each token.
            reference: The frozen base; None where the KL divergence from it is neither in the loss nor measured.
            device: Where the networks are.
            dtype: Of matrix products.
        """
        self._recipe = recipe
        self.actor = Learner("policy", actor, recipe.optimiser.learning_rate, recipe)
        self.critic = Learner("critic", critic, recipe.optimiser.critic_learning_rate, recipe)
        self._reference = reference
        self._device, self._dtype = device, dtype

    def step(self, batch: Sequences, rewards_B: Tensor, step: int) -> Learned:
        """Learn from one batch of rollouts.

        Args:
            batch: In the order of the prompts.
            rewards_B: One per response.
            step: From 1.
        """
        experience, entropy = self._look(batch, rewards_B)
        parts = list(self._mini_batches(len(batch)))
        value_losses = [self._learn_values(batch, rows_B, experience, step) for rows_B in parts]
        kl = math.nan
        if experience.reference_log_probs_BT is not None:
            mask_BT = batch.mask_BT
            kl = float(kl_k3(experience.log_probs_BT[mask_BT], experience.reference_log_probs_BT[mask_BT]).mean())
        learned = [(math.nan, math.nan, math.nan)]
        is_policy_trained = step > self._recipe.ppo.critic_warmup_steps
        if is_policy_trained:
            learned = [self._learn_policy(batch, rows_B, experience, step) for rows_B in parts]
        loss, clip_share, norm = (sum(column) / len(column) for column in zip(*learned, strict=True))
        return Learned(
            kl=kl,
            entropy=entropy,
            policy_loss=loss,
            value_loss=sum(value_losses) / len(value_losses),
            clip_share=clip_share,
            grad_norm=norm,
            tokens_trained=int(batch.mask_BT.sum()) * self._recipe.epochs * is_policy_trained,
        )

    @torch.no_grad()
    def _look(self, batch: Sequences, rewards_B: Tensor) -> tuple[_Experience, float]:
        """Ask every network about the rollouts; return that with advantages, and the policy's mean entropy."""
        log_probs_BT = torch.zeros(batch.mask_BT.shape, device=self._device)
        values_BT, reference_BT, entropy_BT = (torch.zeros_like(log_probs_BT) for _ in range(3))
        for rows_B in self._micro_batches(batch, torch.arange(len(batch), device=self._device)):
            part = batch.pick(rows_B)
            width = part.tokens_BT.shape[1]
            with computing(self._device, self._dtype):
                log_probs_N, logits_NV = self._log_probs(self.actor.model, part)
                log_probs_BT[rows_B, :width] = part.spread(log_probs_N)
                entropy_BT[rows_B, :width] = part.spread(token_entropy(logits_NV))
                values_BT[rows_B, :width] = part.spread(response_values(self.critic.model, part))
                if self._reference is not None:
                    reference_BT[rows_B, :width] = part.spread(self._log_probs(self._reference, part)[0])
        rewards_BT = torch.zeros_like(values_BT)
        rewards_BT.scatter_(1, batch.lengths_B[:, None] - 1, rewards_B.to(values_BT)[:, None])
        advantages_BT, returns_BT = gae(
            rewards_BT, values_BT, batch.mask_BT, self._recipe.ppo.gamma, self._recipe.ppo.lam
        )
        experience = _Experience(
            log_probs_BT=log_probs_BT,
            reference_log_probs_BT=None if self._reference is None else reference_BT,
            values_BT=values_BT,
            advantages_BT=whiten(advantages_BT, batch.mask_BT),
            returns_BT=returns_BT,
        )
        return experience, float(entropy_BT[batch.mask_BT].mean())

    def _log_probs(self, model: Any, part: Sequences) -> tuple[Tensor, Tensor]:
        return response_log_probs(model, part, self._recipe.temperature)

    def _learn_values(self, batch: Sequences, rows_B: Tensor, experience: _Experience, step: int) -> float:
        """Take one step of the critic; return the value loss per token."""
        sums: list[float] = []

        def loss(part: Sequences, micro_B: Tensor) -> Tensor:
            values_N = response_values(self.critic.model, part)
            old_N = part.collect(experience.values_BT[micro_B])
            returns_N = part.collect(experience.returns_BT[micro_B])
            total = value_loss(values_N, old_N, returns_N, self._recipe.ppo.value_clip).sum()
            sums.append(float(total.detach()))
            return total

        self.critic.update(self._shares(batch, rows_B, loss), step)
        return sum(sums) / int(batch.mask_BT[rows_B].sum())

    def _learn_policy(
        self, batch: Sequences, rows_B: Tensor, experience: _Experience, step: int
    ) -> tuple[float, float, float]:
        """Take one step of the policy; return policy loss and share of clipped tokens, and the gradient's norm."""
        recipe, sums = self._recipe, []

        def loss(part: Sequences, micro_B: Tensor) -> Tensor:
            log_probs_N, logits_NV = self._log_probs(self.actor.model, part)
            old_N = part.collect(experience.log_probs_BT[micro_B])
            advantages_N = part.collect(experience.advantages_BT[micro_B])
            losses_N, clipped_N = policy_loss(log_probs_N, old_N, advantages_N, recipe.clip, recipe.ppo.dual_clip)
            sums.append((float(losses_N.detach().sum()), float(clipped_N.sum())))
            total = losses_N.sum()
            if recipe.kl:
                assert experience.reference_log_probs_BT is not None
                reference_N = part.collect(experience.reference_log_probs_BT[micro_B])
                total = total + recipe.kl * kl_k3(log_probs_N, reference_N).sum()
            if recipe.entropy:
                total = total - recipe.entropy * token_entropy(logits_NV).sum()
            return total

        norm = self.actor.update(self._shares(batch, rows_B, loss), step)
        num_tokens = int(batch.mask_BT[rows_B].sum())
        loss_sum, num_clipped = (sum(column) for column in zip(*sums, strict=True))
        return loss_sum / num_tokens, num_clipped / num_tokens, norm

    def _shares(
        self, batch: Sequences, rows_B: Tensor, loss: Callable[[Sequences, Tensor], Tensor]
    ) -> Iterator[Tensor]:
        """Yield the parts of a mini-batch's mean loss per token, one per micro-batch: their sum is that mean, exactly.

        verl's dp_actor.py averages the micro-batches' means instead: there a token's weight depends on its neighbours.
        """
        num_tokens = int(batch.mask_BT[rows_B].sum())
        for micro_B in self._micro_batches(batch, rows_B):
            with computing(self._device, self._dtype):
                total = loss(batch.pick(micro_B), micro_B)
            yield total / num_tokens

    def _mini_batches(self, size: int) -> Iterator[Tensor]:
        """Yield the rows of each optimiser step, in the order of the batch in every epoch (verl: shuffle = False)."""
        for _ in range(self._recipe.epochs):
            yield from torch.arange(size, device=self._device).split(self._recipe.mini_batch)

    def _micro_batches(self, batch: Sequences, rows_B: Tensor) -> Iterator[Tensor]:
        """Yield rows that are in memory at once: of like length, longest first, so that lack of memory shows early."""
        order_B = batch.lengths_B[rows_B].argsort(descending=True, stable=True)
        yield from rows_B[order_B].split(self._recipe.micro_batch or self._recipe.mini_batch)
