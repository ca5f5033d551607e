"""Whether a judge is kin of what a checkpoint was trained against: its verdicts are then no independent evidence.

It knows what the training.json of the checkpoint and of those it was trained from tell, and names; not the training
data that two models have in common.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checkpoint import fingerprint_folder, read_training
from harness.errors import CheckpointError
from harness.judging.records import JudgeIdentity
from harness.schema import CheckpointRef
from harness.spec import JudgeConfig

_FAMILY_WORDS = 2
"""Words at the beginning of a hub name that a family has in common: Skywork-Reward."""


@dataclass(frozen=True)
class TrainedAgainst:
    """A reward model in a checkpoint's history."""

    checkpoint: str
    """Who was trained: the checkpoint's label, or the one it was trained from as its training.json names that."""
    ckpt: str
    """The reward model, as the recipe named it."""
    weights: str | None
    """Digest of its weights; None where the ledger does not tell."""


def kinship(
    judge: JudgeIdentity, config: JudgeConfig, checkpoint: CheckpointRef, history: tuple[TrainedAgainst, ...]
) -> str | None:
    """Return one sentence that says why a judge is kin of a checkpoint; None if nothing is known that makes it so.

    Args:
        judge: the judge.
        config: its settings; `family` names further relatives.
        checkpoint: whose answers it judges.
        history: what read_history returned of the checkpoint.
    """
    label = checkpoint.label
    is_served = checkpoint.fingerprint.tokenizer == "served" and config.ckpt == checkpoint.path
    if is_served or judge.model == checkpoint.fingerprint.weights:
        return f"{judge.name} judges itself: {label} is the same model"
    by_closeness = (
        (_is_same_model, "{label} was trained against {judge} itself"),
        (_is_same_name, "{label} was trained against a reward model of the judge's name, {ckpt}"),
        (_is_family, "{label} was trained against {ckpt}, of one family with {judge}"),
    )
    for is_kin, sentence in by_closeness:
        for term in history:
            if is_kin(judge, config, term):
                whose = label if term.checkpoint == label else f"{term.checkpoint}, which {label} goes back to,"
                return sentence.format(label=whose, judge=judge.name, ckpt=term.ckpt)
    return None


def read_history(
    checkpoint: CheckpointRef, folder: Path | None, known: Mapping[str, Path]
) -> tuple[TrainedAgainst, ...]:
    """Return the reward models that a checkpoint, and those it was trained from, were trained against.

    A checkpoint that it was trained from is looked for where its training.json says, and by its weights among those
    that are known. Where it is not at hand, what came before it is not known either.

    Args:
        checkpoint: the one that is judged.
        folder: of its files; None where there are none.
        known: folders of the shipped checkpoints by name.

    Raises:
        CheckpointError: if a training.json cannot be read.
    """
    found: list[TrainedAgainst] = []
    name, seen = checkpoint.label, set()
    while folder is not None and folder.resolve() not in seen:
        seen.add(folder.resolve())
        training = read_training(folder) or {}
        terms = dict.fromkeys(_find_terms(training))
        pinned = {ckpt for ckpt, weights in terms if weights}
        found += [TrainedAgainst(name, *term) for term in terms if term[1] or term[0] not in pinned]
        name, folder = _find_base(training.get("base"), known)
    return tuple(found)


def _find_terms(part: Any) -> Iterator[tuple[str, str | None]]:
    """Yield name and weights of every reward model that a ledger speaks of, wherever it does."""
    if isinstance(part, list):
        for item in part:
            yield from _find_terms(item)
    elif isinstance(part, dict):
        if part.get("kind") == "reward_model" and isinstance(part.get("ckpt"), str):
            yield part["ckpt"], _weights(part)
        for item in part.values():
            yield from _find_terms(item)


def _find_base(base: Any, known: Mapping[str, Path]) -> tuple[str, Path | None]:
    """Return name and folder of the checkpoint that training began from; no folder if it is not at hand."""
    base = {"path": base} if isinstance(base, str) else base
    path = base.get("path") if isinstance(base, dict) else None
    if not isinstance(path, str):
        return "", None
    named = [known[path]] if path in known else [Path(path).expanduser()]
    weights = _weights(base)
    others = known.values() if weights else ()
    for folder in (*named, *others):
        if _has_weights(folder, weights):
            names = [name for name, shipped in known.items() if shipped == folder]
            return (names or [path])[0], folder
    return path, None


def _has_weights(folder: Path, weights: str | None) -> bool:
    """Whether a folder holds a checkpoint, and the one that is meant where its weights are told."""
    if not folder.is_dir():
        return False
    try:
        return weights in (None, fingerprint_folder(folder).weights)
    except CheckpointError:
        return False  # it is no checkpoint, or no longer one: not what was meant


def _weights(part: Mapping[str, Any]) -> str | None:
    fingerprint = part.get("fingerprint", part)
    weights = fingerprint.get("weights") if isinstance(fingerprint, dict) else None
    return weights if isinstance(weights, str) else None


def _is_same_model(judge: JudgeIdentity, config: JudgeConfig, term: TrainedAgainst) -> bool:
    return judge.model == term.weights


def _is_same_name(judge: JudgeIdentity, config: JudgeConfig, term: TrainedAgainst) -> bool:
    return _without_revision(config.ckpt) == _without_revision(term.ckpt)


def _is_family(judge: JudgeIdentity, config: JudgeConfig, term: TrainedAgainst) -> bool:
    """Whether the user says so, or owner and first words of the names agree; a folder's owner is not known."""
    (owner, words), (other, other_words) = _split_name(config.ckpt), _split_name(term.ckpt)
    first, other_first = words[:_FAMILY_WORDS], other_words[:_FAMILY_WORDS]
    is_same_owner = owner == other or None in (owner, other)
    is_told = len(first) == _FAMILY_WORDS or None not in (owner, other)
    if is_same_owner and is_told and first == other_first:
        return True
    name = term.ckpt.casefold()
    begins = tuple(prefix.casefold() for prefix in config.family if prefix)
    return name.startswith(begins) or name.rpartition("/")[2].startswith(begins)


def _split_name(ckpt: str) -> tuple[str | None, list[str]]:
    """Return the owner in a hub name, None where it is a folder's, and the words of the rest."""
    name = _without_revision(ckpt).casefold().rstrip("/")
    is_folder = name.startswith((".", "/", "~")) or name.count("/") != 1
    owner, _, last = name.rpartition("/")
    return None if is_folder else owner, re.split(r"[-_\s]+", last)


def _without_revision(ckpt: str) -> str:
    return ckpt.partition("@")[0]
