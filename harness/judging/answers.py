"""An answer as a judge gets to see it: without its reasoning; and how long and how marked up it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.schema import Generation

_CODE_BLOCK = re.compile("```([^`]*)```")
# Arena-Hard begins list items with ^\s*, which counts the same and takes the square of the time on blank lines.
_STYLES = {
    "headers": (r"^#{1,6}\s",),
    "lists": (r"^[^\S\n]*\d+\.\s", r"^[^\S\n]*[-*+]\s"),
    "bold": (r"\*\*[^*\n]+\*\*", r"__[^_\n]+__"),
}
STYLES = tuple(_STYLES)
"""What `count_styles` counts."""


@dataclass(frozen=True)
class Answer:
    """What is judged of one generation."""

    text: str
    """Reasoning stripped."""
    is_finished: bool
    """False where it hit max_tokens."""
    before: tuple[tuple[str, str], ...] = ()
    """(role, text) of what was said between the first question and this answer, which is this side's own."""

    @property
    def shown(self) -> str:
        """The text as a template shows it: of a later turn, with what was said before it."""
        if not self.before:
            return self.text
        opening, *rest = *self.before, ("assistant", self.text)
        return "\n\n".join([opening[1], *(f"[{role}]\n{text}" for role, text in rest)])

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be judged; it is judged all the same."""
        return not self.text.strip()

    @property
    def remarks(self) -> list[str]:
        """What a person should know of it beside the verdict."""
        remarks = ["the answer is empty"] if self.is_empty else []
        return remarks + ([] if self.is_finished else ["the answer hit max_tokens"])

    def measures(self, prefix: str = "") -> dict[str, float]:
        """Return its length in characters and its counts of markup, the names beginning with a prefix."""
        counts = {"length": len(self.text), **count_styles(self.text)}
        return {f"{prefix}{name}": float(count) for name, count in counts.items()}


def read_answer(generation: Generation, tags: Sequence[str], before: Sequence[tuple[str, str]] = ()) -> Answer:
    """Return what of a generation is judged; a text that does not say why it ended counts as finished."""
    return Answer(strip_reasoning(generation.text, tags), generation.finish_reason != "length", tuple(before))


def strip_reasoning(text: str, tags: Sequence[str]) -> str:
    """Return an answer without the reasoning between <tag> and </tag>.

    Of each tag, in this order: every closed block goes, wherever it stands; a closing tag without an opening one takes
    all before it along, since some chat templates (Qwen3's) write the opening tag into the prompt; an opening tag at
    the beginning of a line that is never closed takes all after it along, since the model ran into max_tokens while it
    was still thinking: where it opens the text nothing was answered, and the answer is empty. An unclosed tag within a
    line is taken for part of the answer. A text without such tags stays as it is, to the last blank.

    Args:
        text: the generation.
        tags: names of tags, such as think.
    """
    stripped = text
    for tag in tags:
        opening, closing = re.escape(f"<{tag}>"), re.escape(f"</{tag}>")
        stripped = re.sub(f"{opening}.*?{closing}", "", stripped, flags=re.DOTALL)
        stripped = re.sub(f"^.*{closing}", "", stripped, flags=re.DOTALL)
        stripped = re.sub(rf"^[ \t]*{opening}.*\Z", "", stripped, flags=re.DOTALL | re.MULTILINE)
    return text if stripped == text else stripped.strip()


def count_styles(text: str) -> dict[str, int]:
    """Return the numbers of headers, list items and bold phrases, as Arena-Hard counts them for its style control.

    The patterns are those of its utils/add_markdown_info.py. What stands between ``` and ``` is left out first; as
    there, the same text is then left out wherever else it stands.
    """
    for block in _CODE_BLOCK.findall(text):
        text = text.replace(block, "")
    return {
        name: sum(len(re.findall(pattern, text, re.MULTILINE)) for pattern in patterns)
        for name, patterns in _STYLES.items()
    }
