"""Measures what a lab checkpoint knows and why it fails: `python -m trainers.lab.measure CHECKPOINT`.

Plain transformers generation graded by the tasks' own scorers; the table in docs/lab.md. `harness eval` is the
measurement proper: this adds first-answer accuracy, causes of failure and how much signal sampling gives to training.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.interfaces import Scorer
from harness.schema import Example, Generation, RequestKey, ScorerOptions
from trainers.lab import SHIPPED
from trainers.lab.causes import CAUSES, Cause, find_cause, first_answer
from trainers.lab.problem import DOMAINS, Domain
from trainers.lab.tasks import DATA_FOLDER

NUM_SAMPLES = 8
BATCH = 128


@dataclass(frozen=True)
class Judged:
    """One generation with its verdicts."""

    example_id: str
    level: int
    ended: bool
    value: float
    first_value: float
    """What its first answer alone is worth."""
    cause: Cause


class Sampler:
    """A checkpoint that answers chat prompts in batches."""

    def __init__(self, path: str, max_tokens: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(path, padding_side="left")
        self._model: Any = AutoModelForCausalLM.from_pretrained(path).eval()
        self._max_tokens = max_tokens
        eos = self._model.generation_config.eos_token_id
        self._eos = set(eos if isinstance(eos, list) else [eos])

    def answer(self, prompts: Sequence[str], temperature: float, seed: int) -> list[tuple[str, bool]]:
        """Return text and whether it ended, in the order of the prompts."""
        import torch

        torch.manual_seed(seed)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        answers: dict[int, tuple[str, bool]] = {}
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            answers |= zip(chosen, self._answer_batch([prompts[i] for i in chosen], temperature), strict=True)
        return [answers[index] for index in range(len(prompts))]

    def _answer_batch(self, prompts: list[str], temperature: float) -> Iterable[tuple[str, bool]]:
        import torch

        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = self._tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        encoded = self._tokenizer(texts, return_tensors="pt", padding=True)
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
        with torch.inference_mode():
            output = self._model.generate(**encoded, max_new_tokens=self._max_tokens, **how)
        for ids in output[:, encoded["input_ids"].shape[1] :].tolist():
            length = next((i for i, token in enumerate(ids) if token in self._eos), len(ids))
            yield self._tokenizer.decode(ids[:length], skip_special_tokens=True), length < len(ids)


def judge(domain: Domain, scorer: Scorer, example: Example, row: dict[str, Any], answer: tuple[str, bool]) -> Judged:
    """Grade an answer as it is, and its first answer alone."""
    text, ended = answer

    def grade(graded: str, finished: bool) -> float:
        key = RequestKey(task=example.task, example_id=example.example_id, index=0)
        reason = "stop" if finished else "length"
        generation = Generation(
            key=key,
            text=graded,
            finish_reason=reason,  # type: ignore[arg-type] # mypy widens the conditional's literals
            num_prompt_tokens=None,
            num_completion_tokens=None,
            seconds=0.0,
        )
        return scorer.score(example, generation).value

    value, first_value = grade(text, ended), grade(first_answer(domain, text), True)
    cause = find_cause(domain, row, text, ended, value, first_value)
    return Judged(example.example_id, row["level"], ended, value, first_value, cause)


def measure(domain: Domain, sampler: Sampler, limit: int, temperature: float, num_samples: int) -> list[Judged]:
    """Return verdicts of `num_samples` answers to each of `limit` held-out examples, spread over the levels."""
    from tasks.registry import TASKS

    task = TASKS[f"lab_{domain}"]
    rows = [json.loads(line) for line in (DATA_FOLDER / f"lab_{domain}.jsonl").read_text().splitlines()]
    pairs = list(zip(task.load(None, None).examples, rows, strict=True))
    pairs = [pairs[index * len(pairs) // limit] for index in range(limit)]
    repeated = [pair for pair in pairs for _ in range(num_samples)]
    answers = sampler.answer([row.get("question", row.get("prompt")) for _, row in repeated], temperature, seed=0)
    scorer = task.scorer_factory(ScorerOptions(num_workers=1))
    try:
        return [judge(domain, scorer, *pair, answer) for pair, answer in zip(repeated, answers, strict=True)]
    finally:
        scorer.close()


def summarise(judged: list[Judged]) -> dict[str, float]:
    """Return means over generations, and over examples what any of their generations reached."""
    total = len(judged)
    by_example: dict[str, list[float]] = {}
    for item in judged:
        by_example.setdefault(item.example_id, []).append(item.value)
    causes = Counter(item.cause for item in judged)
    ended = [item.value for item in judged if item.ended]
    return {
        "score": sum(item.value for item in judged) / total,
        "first answer": sum(item.first_value for item in judged) / total,
        "any right": sum(any(values) for values in by_example.values()) / len(by_example),
        "mixed": sum(0 < sum(values) < len(values) for values in by_example.values()) / len(by_example),
        "ended": len(ended) / total,
        "right if ended": sum(ended) / len(ended) if ended else float("nan"),
        **{cause: causes[cause] / total for cause in CAUSES if cause != "right"},
    }


def by_level(judged: list[Judged]) -> str:
    """Return score and first-answer accuracy of each level."""
    cells = []
    for level in sorted({item.level for item in judged}):
        group = [item for item in judged if item.level == level]
        score = sum(item.value for item in group) / len(group)
        first = sum(item.first_value for item in group) / len(group)
        cells.append(f"level {level}: {100 * score:.0f} ({100 * first:.0f})")
    return ", ".join(cells)


def render(columns: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table, one column per domain and sampling, percentages."""
    names = list(next(iter(columns.values())))
    lines = ["| % | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(f"{100 * column[name]:.1f}" for column in columns.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help=f"folder, or one of {', '.join(SHIPPED)}")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--limit", type=int, default=200, help="examples per task, greedy")
    parser.add_argument("--sampled-limit", type=int, default=64, help="examples per task, sampled")
    known = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sampler = Sampler(str(SHIPPED.get(known.checkpoint, Path(known.checkpoint))), known.max_tokens)
    columns, levels = {}, []
    for domain in DOMAINS:
        greedy = measure(domain, sampler, known.limit, 0.0, 1)
        sampled = measure(domain, sampler, known.sampled_limit, 1.0, NUM_SAMPLES)
        columns[f"{domain}, greedy"], columns[f"{domain}, T = 1"] = summarise(greedy), summarise(sampled)
        levels.append(f"{domain}: greedy score (first answer) by level: {by_level(greedy)}")
    sys.stdout.write("\n".join([render(columns), "", *levels]) + "\n")


if __name__ == "__main__":
    main()
