"""What a difference is made of: generations that moved between cells, and accuracy that changed within them."""

from dataclasses import dataclass

import numpy as np

from harness.stats.estimate import Floats


@dataclass(frozen=True)
class Parts:
    """The two parts of a difference, cell by cell; together they add up to it."""

    elicitation: Floats
    """Shape (..., C): from generations that moved into or out of the cell."""
    within: Floats
    """Shape (..., C): from another accuracy within the cell."""


def decompose(base_share: Floats, base_correct: Floats, candidate_share: Floats, candidate_correct: Floats) -> Parts:
    """Decompose a difference over cells, symmetrically in base and candidate.

    Kitagawa (1955, JASA 50:1168), also known after Oaxaca and Blinder. With share s of generations and accuracy
    a = correct/share in cell c, 0 the base and 1 the candidate,

        Σ correct₁ − Σ correct₀ = Σ_c ½(s₁ − s₀)(a₀ + a₁)  [elicitation]  +  Σ_c ½(a₁ − a₀)(s₀ + s₁)  [within],

    an identity that needs no assumption; it accounts for the difference and claims no cause. A cell that is empty on
    one side has no accuracy there; the other side's is taken, so that all it adds is elicitation (what filled or
    emptied it). A cell empty on both sides adds 0. Leading dimensions are decomposed one by one, so bootstrap draws
    stacked in front give draws of the parts.

    Args:
        base_share: shape (..., C), share of the base's generations in each cell; sums to 1 over cells.
        base_correct: shape (..., C), sum of scores in each cell / number of all generations.
        candidate_share: as base_share.
        candidate_correct: as base_correct.

    Returns:
        Elicitation and within, each of shape (..., C). nan in, nan out (no examples).
    """
    base_accuracy = _accuracy(base_share, base_correct)
    candidate_accuracy = _accuracy(candidate_share, candidate_correct)
    old = np.where(base_share == 0, candidate_accuracy, base_accuracy)
    new = np.where(candidate_share == 0, base_accuracy, candidate_accuracy)
    return Parts(
        elicitation=0.5 * (candidate_share - base_share) * (old + new),
        within=0.5 * (new - old) * (base_share + candidate_share),
    )


def _accuracy(share: Floats, correct: Floats) -> Floats:
    # 0 in an empty cell is a placeholder that is replaced or multiplied by 0; a nan share is not 0 and stays nan
    return np.divide(correct, share, out=np.zeros(np.shape(share)), where=share != 0)
