"""Scores IFEval (Zhou et al. 2023, arXiv 2311.07911): does a response follow the instructions that can be verified?

The checks are lm-eval's, run in worker processes. Protocol and agreement with published labels: docs/scoring.md.
"""

from importlib.metadata import version
from typing import Any

from harness.errors import DataError
from harness.schema import Example, Generation, Outcome, Score, ScorerOptions
from harness.scorers.worker import WorkerPool, WorkerTimeout

PROTOCOL = 1
"""Raised whenever a verdict may change."""

TIMEOUT_SECONDS = 30.0
MEMORY_BYTES = 8 << 30

_FIELDS = ("key", "prompt", "instruction_id_list", "kwargs")


class InstructionScorer:
    """Instruction following, checked by rules.

    Reads of an example's metadata: `key`, `prompt`, `instruction_id_list`, `kwargs`. The value is prompt-level strict;
    `parts` holds `prompt_loose` (one verdict), `inst_strict` and `inst_loose` (one per instruction).
    """

    name = "ifeval"

    def __init__(self, options: ScorerOptions) -> None:
        """Prepare the scorer; no process starts before it is checked or asked."""
        self.version = f"{PROTOCOL}+lm-eval-{version('lm_eval')},langdetect-seed=0,timeout={TIMEOUT_SECONDS:g}s"
        self._pool = WorkerPool(
            "harness.scorers.instruction_checks:check",
            num_workers=options.num_workers,
            timeout_seconds=TIMEOUT_SECONDS,
            memory_bytes=MEMORY_BYTES,
            environment={"HARNESS_DATA": options.data_dir} if options.data_dir else None,
        )

    def check(self) -> None:
        """Start a worker: that tells whether lm-eval's checks and NLTK's tables are there."""
        self._pool.check()

    def score(self, example: Example, generation: Generation) -> Score:
        """Judge one generation; a check that does not end in time has outcome `timeout`."""
        missing = [field for field in _FIELDS if field not in example.metadata]
        if missing:
            raise DataError(f"{example.task} {example.example_id} lacks {', '.join(missing)}, which IFEval needs")
        response = generation.text.encode("utf-8", "replace").decode("utf-8")
        if not response.strip():
            return self._failed(example, generation, "no_answer", "the response is empty")
        payload = {field: example.metadata[field] for field in _FIELDS}
        try:
            verdicts = self._pool.call(payload | {"response": response})
        except WorkerTimeout:
            detail = f"the checks did not end within {TIMEOUT_SECONDS:g} s, also when tried alone"
            return self._failed(example, generation, "timeout", detail)
        return self._judged(example, generation, verdicts)

    def _judged(self, example: Example, generation: Generation, verdicts: dict[str, list[bool]]) -> Score:
        names: list[str] = example.metadata["instruction_id_list"]
        strict, loose = (tuple(float(verdict) for verdict in verdicts[kind]) for kind in ("strict", "loose"))
        violated = [name for name, verdict in zip(names, strict, strict=True) if not verdict]
        return self._make(
            generation,
            value=float(all(strict)),
            outcome="scored",
            parts={"prompt_loose": (float(all(loose)),), "inst_strict": strict, "inst_loose": loose},
            detail=f"violated: {', '.join(violated)}" if violated else None,
        )

    def _failed(self, example: Example, generation: Generation, outcome: Outcome, detail: str) -> Score:
        zeros = tuple(0.0 for _ in example.metadata["instruction_id_list"])
        parts = {"prompt_loose": (0.0,), "inst_strict": zeros, "inst_loose": zeros}
        return self._make(generation, value=0.0, outcome=outcome, parts=parts, detail=detail)

    def _make(self, generation: Generation, **fields: Any) -> Score:
        return Score(key=generation.key, answer=None, scorer=f"{self.name}@{self.version}", **fields)

    def close(self) -> None:
        """Stop the worker processes."""
        self._pool.close()
