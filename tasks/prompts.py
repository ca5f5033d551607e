"""Prompt templates as constants, each with its source. A template's digest is part of a run's identity."""

from dataclasses import dataclass

from harness.spec import content_hash


@dataclass(frozen=True)
class Prompt:
    """How one kind of task asks its question."""

    name: str
    chat: str
    """User message; `{input}` is replaced by the example's input."""
    completion: str
    """Plain text for a base model to continue."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion-style generation: the base model going on to a next question."""

    def identity(self, prompting: str) -> str:
        """Return name@digest of the template in use."""
        text = [self.chat] if prompting == "chat" else [self.completion, *self.stop]
        return f"{self.name}/{prompting}@{content_hash(text)[:8]}"

    def render(self, prompting: str, text: str) -> str:
        """Return the template in use, filled."""
        template = self.chat if prompting == "chat" else self.completion
        return template.replace("{input}", text)


# The sentence that Qwen's model cards recommend for mathematics (https://huggingface.co/Qwen/Qwen3-4B, "Best
# Practices"), after the problem. Completion style: the Question/Answer frame of GSM8K evaluations (lm-eval's gsm8k
# task), zero-shot.
MATH = Prompt(
    name="math",
    chat="{input}\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
    completion="Question: {input}\nAnswer: Let's think step by step.",
    stop=("\nQuestion:", "\n\nQuestion"),
)

# EvalPlus's protocol (https://github.com/evalplus/evalplus, evalplus/provider/utility.py): chat models get the problem
# in a fenced block and answer with a fenced, self-contained program; base models continue the problem's text until a
# new top-level statement starts.
CODE = Prompt(
    name="code",
    chat=(
        "Write a self-contained Python program that solves the problem below. "
        "Answer with one markdown code block.\n```python\n{input}\n```"
    ),
    completion="{input}",
    stop=("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ", "\nif __name__", "\nprint("),
)

# As CODE, for MBPP+: its problem is a docstring, and the program has yet to start, so a first `def` must not stop it.
CODE_FROM_DOCSTRING = Prompt(
    name="code_from_docstring",
    chat=CODE.chat,
    completion="{input}",
    stop=('\n"""', "\nassert ", "\nif __name__", "\nprint("),
)

# The input is the whole prompt (IFEval, arXiv 2311.07911: instructions are given verbatim).
VERBATIM = Prompt(name="verbatim", chat="{input}", completion="{input}\n")

# The lab's pretraining text writes questions like this outside of chat turns (docs/lab.md).
LAB = Prompt(name="lab", chat="{input}", completion="Question: {input}\nAnswer:", stop=("\nQuestion:",))
