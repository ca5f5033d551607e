"""How a judged task is judged: constants that the suites declare, read by the scorer."""

from dataclasses import dataclass, field
from typing import Literal

Format = Literal["chatml", "fastchat", "arena"]
"""alpaca_eval's .txt with <|im_start|> marks; FastChat's judge_prompts.jsonl; Arena-Hard's .yaml (system prompt and
prompt_template)."""


@dataclass(frozen=True)
class TemplateFile:
    """The data set's own file with the judge's prompts: read through the loader, never retyped."""

    format: Format
    local: str
    """File under the data folder."""
    url: str
    """Where its authors have it, at a fixed commit."""
    names: dict[str, str] = field(default_factory=dict)
    """Use → name within the file; of FastChat's: general, general_2, reference, reference_2 (second turns)."""
    max_tokens: int = 2048
    """Of a verdict in writing, where the file does not say."""


@dataclass(frozen=True)
class JudgeProtocol:
    """What is asked about an answer, and what the verdicts come to.

    Examples of `pair` have the baseline's answer as their target. Metadata that is read: `difficulty` (of AlpacaEval's
    model); of `rating`: `turn` (1 or 2), `needs_reference`, and the example's target is the reference answer. Second
    turns have the first's in `earlier_questions` and `earlier_references`, and when they are judged the runner adds
    what was answered, `earlier_answers`; lists, all three.
    """

    kind: Literal["pair", "rating"]
    templates: TemplateFile | None
    """None: the harness's own template `pair`."""
    baseline: str = ""
    """Name of the model that answers are compared with."""
    strong_weight: int = 1
    """How often A>>B counts where A>B counts once (Arena-Hard: 3)."""
    controls: tuple[Literal["length", "style"], ...] = ()
    """`length`: AlpacaEval 2's length-controlled win rate; `style`: Arena-Hard's style-controlled one."""
    highest: int = 10
    """Of ratings, which start at 1; a score is rating / highest."""
