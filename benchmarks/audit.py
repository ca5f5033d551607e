"""How fast are training prompts searched for evaluation examples? Ours beside two plain ways of doing the same.

Ours: one index of the examples, prompts streamed through it (exact, 8- and 13-gram, verified near-duplicates).
Plain loop: per example and prompt, shared words, runs of 13 words and shingles compared as Python sets, on a sample of
the prompts and scaled up. datasketch alone: MinHash of every prompt and an LSH query, without n-grams, unverified.
All three start from the same words. `--copies N` searches the prompts N times over, to see memory and time grow.

    OMP_NUM_THREADS=1 python benchmarks/audit.py --data-dir DIR [--copies 1]
"""

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from figures import Figure, Results, add_json, save

from harness.audit.near import NUM_PERMUTATIONS, choose_bands, jaccard, shingle_words
from harness.audit.overlap import OverlapSearch, batches
from harness.audit.prompts import Prompt, open_prompts
from harness.audit.text import Words, split_words, word_grams
from harness.schema import Example

THRESHOLD = 0.8
SAMPLE = 40
"""Prompts that the plain loop is timed on."""


def search(examples: Sequence[Example], prompts: Sequence[Prompt], copies: int) -> tuple[float, float, int]:
    """Return the seconds of indexing and of searching, and the near examples found."""
    started = time.monotonic()
    found = OverlapSearch({"test": ("math", examples)}, THRESHOLD, 0.5)
    indexed = time.monotonic()
    for _ in range(copies):
        for batch in batches(prompts):
            found.add(batch)
    return indexed - started, time.monotonic() - indexed, found.finish()[0].num_near


def plain_loop(examples: Sequence[Words], prompts: Sequence[Words]) -> float:
    """Return the seconds that comparing every pair takes, scaled up from a sample of the prompts."""
    tests = [(words, set(word_grams(words, 13)), set(word_grams(words, 8)), shingle_words(words)) for words in examples]
    started = time.monotonic()
    num_found = 0
    for words in prompts[:SAMPLE]:
        long, short, shingles = set(word_grams(words, 13)), set(word_grams(words, 8)), shingle_words(words)
        for test in tests:
            num_found += words == test[0] or bool(long & test[1]) or bool(short & test[2])
            num_found += jaccard(shingles, test[3]) >= THRESHOLD
    return (time.monotonic() - started) * len(prompts) / SAMPLE


def datasketch_alone(examples: Sequence[Words], prompts: Sequence[Words]) -> tuple[float, int]:
    """Return the seconds that MinHash and LSH of all prompts take, and the candidates, which nothing verifies."""
    from datasketch import MinHash, MinHashLSH

    def sketch(texts: Sequence[Words]) -> list[MinHash]:
        encoded = ([" ".join(shingle).encode() for shingle in shingle_words(words)] for words in texts)
        return MinHash.bulk(encoded, num_perm=NUM_PERMUTATIONS)

    started = time.monotonic()
    index = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=choose_bands(THRESHOLD))
    for number, minhash in enumerate(sketch(examples)):
        index.insert(number, minhash)
    candidates = {number for minhash in sketch(prompts) for number in index.query(minhash)}
    return time.monotonic() - started, len(candidates)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=1)
    add_json(parser)
    options = parser.parse_args()
    rows = open_prompts(options.data_dir / "math" / "test.jsonl.gz")
    examples = [Example("test", str(row.row), row.text, None) for row in rows]
    prompts = list(open_prompts(options.data_dir / "train_simplerl_zoo_8k" / "train.jsonl.gz"))
    indexing, searching, num_near = search(examples, prompts, options.copies)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    num_prompts = len(prompts) * options.copies
    print(f"{len(examples):,} examples, {num_prompts:,} prompts")
    print(
        f"ours: index {indexing:.1f} s, search {searching:.1f} s ({num_prompts / searching:,.0f} prompts/s), ", end=""
    )
    print(f"{num_near:,} near, peak memory {peak:.0f} MB")
    if options.copies > 1:
        save(options.json, Results((Figure(f"searching {num_prompts:,} training prompts", searching, "s"),)))
        return
    started = time.monotonic()
    tests = [split_words(example.input) for example in examples]
    trains = [split_words(prompt.text) for prompt in prompts]
    words = time.monotonic() - started
    ours = indexing + searching
    loop = plain_loop(tests, trains) + words
    print(f"plain loop: {loop:.0f} s (scaled up from {SAMPLE} prompts), ours/plain {ours / loop:.4f}")
    alone, candidates = datasketch_alone(tests, trains)
    print(f"datasketch alone: {alone + words:.1f} s, {candidates:,} candidates, ", end="")
    print(f"ours/datasketch {ours / (alone + words):.2f}")
    what = f"{len(examples):,} examples searched for in {num_prompts:,} training prompts"
    peer = "datasketch's MinHash alone: no n-grams, nothing verified"
    save(options.json, Results((Figure(what, ours, "s", alone + words, peer, "overlap with training prompts"),)))


if __name__ == "__main__":
    main()
