"""All experiments, drawn on several processes: any number of them gives the same rows."""

import gc
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.calibration import differences, gates, judged, repeated, scores, studies
from tests.calibration.experiment import NUM_CHUNKS, Experiment, Row, count, draw_chunk

SECTIONS: dict[str, list[Experiment]] = {
    "Scores": scores.EXPERIMENTS,
    "Differences, tests and what is detectable": differences.EXPERIMENTS,
    "Averages, transfer and the parts of a difference": studies.EXPERIMENTS,
    "Several runs": repeated.EXPERIMENTS,
    "The gate": gates.EXPERIMENTS,
    "Judged conversation": judged.EXPERIMENTS,
}
Key = tuple[str, int, int]
"""Section, experiment in it, chunk."""


def draw(key: Key, asked: int, seed: int) -> list[tuple[bool | None, ...]]:
    """Return the answers of one chunk; what a worker is given."""
    section, number, chunk = key
    return [tuple(answer) for answer in draw_chunk(SECTIONS[section][number], chunk, asked, seed)]


def run(asked: int, seed: int, workers: int) -> dict[str, list[Row]]:
    """Return the rows of all experiments, section by section."""
    keys = [(title, i, c) for title, found in SECTIONS.items() for i in range(len(found)) for c in range(NUM_CHUNKS)]
    keys.sort(key=lambda key: SECTIONS[key[0]][key[1]].share)  # the slowest first, so that no worker waits at the end
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers: arrays are small, processes as many as cores
    answers: dict[Key, list[tuple[bool | None, ...]]] = {}
    with Progress(*bar) as progress, ProcessPoolExecutor(workers, get_context("spawn"), gc.freeze) as pool:
        shown = progress.add_task("simulating", total=len(keys))
        waiting = {pool.submit(draw, key, asked, seed): key for key in keys}
        for done in as_completed(waiting):
            answers[waiting[done]] = done.result()
            progress.advance(shown)
    return {
        title: [
            row
            for i, experiment in enumerate(found)
            for row in count(experiment, [x for c in range(NUM_CHUNKS) for x in answers[title, i, c]])
        ]
        for title, found in SECTIONS.items()
    }
