"""Prompt templates as constants, each with its source. A template's digest is part of a run's identity.

The wording is ours wherever no fixed protocol gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.interfaces import Earlier
from harness.schema import Example
from harness.spec import content_hash


@dataclass(frozen=True)
class Prompt:
    """How one kind of task asks its question, in each style; `{input}` is replaced by the example's input."""

    name: str
    chat: str
    """User message."""
    completion: str
    """Plain text for a base model to continue; also the frame of each worked example of few_shot."""
    standard: str
    """Plain text in which base models are usually asked this family of tasks."""
    stop: tuple[str, ...] = ()
    """Strings that end a generation in the completion frame: the base model going on to a next question."""
    standard_stop: tuple[str, ...] = ()
    """The same for the standard frame."""
    joint: str = " "
    """Stands between a worked example's question and its answer."""
    separator: str = "\n\n"
    """Stands between worked examples."""
    continues: tuple[str, ...] = ()
    """Styles in which a generation goes on with the input's own text, so that a program is input + generation."""

    def identity(self, prompting: str, shots_sha256: str = "") -> str:
        """Return name@digest of the template in use; for few_shot, with the hash of the worked examples."""
        texts = {
            "chat": [self.chat],
            "completion": [self.completion, *self.stop],
            "few_shot": [self.completion, *self.stop, self.joint, self.separator, shots_sha256],
            "standard": [self.standard, *self.standard_stop],
        }
        return f"{self.name}/{prompting}@{content_hash(texts[prompting])[:8]}"

    def stops(self, prompting: str) -> tuple[str, ...]:
        """Return the strings that end a generation; a chat answer ends its own turn."""
        return {"chat": (), "standard": self.standard_stop}.get(prompting, self.stop)

    def render(self, prompting: str, text: str) -> str:
        """Return the template of a style without worked examples, filled."""
        templates = {"chat": self.chat, "completion": self.completion, "standard": self.standard}
        return templates[prompting].replace("{input}", text)

    def render_shots(self, shots: Sequence[Example], text: str) -> str:
        """Return worked examples and the question, all in the completion frame."""
        return self.render_after("completion", [(shot.input, str(shot.target)) for shot in shots], text)

    def render_after(self, prompting: str, answered: Earlier, text: str) -> str:
        """Return answered questions and one more, all in the frame of a style."""
        before = [f"{self.render(prompting, question)}{self.joint}{answer}" for question, answer in answered]
        return self.separator.join([*before, self.render(prompting, text)])


# Chat: the sentence that Qwen's model cards recommend for mathematics (https://huggingface.co/Qwen/Qwen3-4B, "Best
# Practices"), after the problem. Completion: the Question/Answer frame of GSM8K evaluations (lm-eval's gsm8k task),
# zero-shot. Standard: the chat text with no template around it. R1-Zero-style training starts from bases asked without
# a template, which is how Qwen2.5's answer best (Liu et al. 2025, arXiv 2503.20783); there the question stands
# alone, here the sentence follows because the scorer reads the box it asks for. Chosen over Minerva's
# Problem/Solution (arXiv 2206.14858), which differs from the completion frame in two words only. Without a frame no
# string surely ends an answer; these begin a next turn or problem.
MATH = Prompt(
    name="math",
    chat="{input}\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
    completion="Question: {input}\nAnswer: Let's think step by step.",
    standard="{input}\n\nPlease reason step by step, and put your final answer within \\boxed{}.\n\n",
    stop=("\nQuestion:", "\n\nQuestion"),
    standard_stop=("\nQuestion:", "\nProblem:", "\nUser:", "\nHuman:"),
)

# EvalPlus's protocol (https://github.com/evalplus/evalplus, evalplus/provider/utility.py): chat models get the problem
# in a fenced block and answer with a fenced, self-contained program; base models continue the problem's text until a
# new top-level statement starts. Standard: the instruction as plain text with the answer's fence already open, which
# is how EvalPlus begins a chat model's answer; the generation is then a whole program up to the closing fence. There
# are no worked examples: HumanEval is a zero-shot continuation (Chen et al. 2021, arXiv 2107.03374).
CODE = Prompt(
    name="code",
    chat=(
        "Write a self-contained Python program that solves the problem below. "
        "Answer with one markdown code block.\n```python\n{input}\n```"
    ),
    completion="{input}",
    standard=(
        "Write a self-contained Python program that solves the problem below.\n```python\n{input}\n```\n\n"
        "This program solves the problem and passes its tests:\n```python\n"
    ),
    stop=("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ", "\nif __name__", "\nprint("),
    standard_stop=("\n```",),
    continues=("completion",),
)

# As CODE, for MBPP+: its problem is a docstring, and the program has yet to start, so a first `def` must not stop it.
# Worked examples come in the same docstrings, three as in MBPP's paper (Austin et al. 2021, arXiv 2108.07732).
CODE_FROM_DOCSTRING = Prompt(
    name="code_from_docstring",
    chat=CODE.chat,
    completion="{input}",
    standard=CODE.standard,
    stop=('\n"""', "\nassert ", "\nif __name__", "\nprint("),
    standard_stop=CODE.standard_stop,
    joint="\n",
    continues=("completion", "few_shot"),
)

# The input is the whole prompt (IFEval, arXiv 2311.07911: instructions are given verbatim). Standard: a dialogue in
# plain words, the frame in which base models were first made to converse (Askell et al. 2021, arXiv 2112.00861).
VERBATIM = Prompt(
    name="verbatim",
    chat="{input}",
    completion="{input}\n",
    standard="User: {input}\n\nAssistant:",
    standard_stop=("\nUser:",),
)

# Conversations of several turns, in frames that stand elsewhere in this file: an answer that was given stands where a
# worked example's would, and the next turn's frame follows.
DIALOGUE = Prompt(
    name="dialogue",
    chat="{input}",
    completion="Question: {input}\nAnswer:",
    standard="User: {input}\n\nAssistant:",
    stop=("\nQuestion:",),
    standard_stop=("\nUser:",),
)

# The lab's pretraining text has questions outside of chat turns in two forms (docs/lab.md): lists of Question and
# Answer, and dialogues in plain words within answers that ramble on.
LAB = Prompt(
    name="lab",
    chat="{input}",
    completion="Question: {input}\nAnswer:",
    standard="User: {input}\nAssistant:",
    stop=("\nQuestion:",),
    standard_stop=("\nUser:", "\nQuestion:"),
    separator="\n",
)
