"""Every figure of a study report by its file stem, in the report's order."""

from reports.figures.decomposition import draw_decomposition
from reports.figures.deltas import draw_deltas
from reports.figures.domains import draw_domains
from reports.figures.forest import draw_forest
from reports.figures.lengths import draw_lengths
from reports.figures.matrix import draw_matrix
from reports.figures.pareto import draw_pareto
from reports.figures.pass_at_k import draw_pass_at_k
from reports.figures.style import Draw
from reports.figures.trajectory import draw_trajectory

FIGURES: dict[str, Draw] = {
    "deltas": draw_deltas,
    "domains": draw_domains,
    "pareto": draw_pareto,
    "matrix": draw_matrix,
    "decomposition": draw_decomposition,
    "trajectory": draw_trajectory,
    "pass_at_k": draw_pass_at_k,
    "forest": draw_forest,
    "lengths": draw_lengths,
}
