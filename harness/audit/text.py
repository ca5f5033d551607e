"""The form in which training prompts and evaluation examples are compared: a sequence of words.

Two texts that differ in case, spacing, punctuation or the LaTeX around the same formula have the same words; two
problems that differ in a number, a letter or an operator have not. docs/audit.md says what is dropped and why.
"""

import re
import unicodedata

Words = tuple[str, ...]

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SYMBOLS = str.maketrans({"×": "*", "·": "*", "⋅": "*", "−": "-", "÷": "/", "⁄": "/", "≤": "<=", "≥": ">=", "≠": "!="})

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:begin|end) *\{[a-z*]+\}", " "),  # the frame of a formula, not its content
        (r"\\[hv]space\*? *\{[^}]*\}|\\phantom *\{[^}]*\}", " "),
        (r",\\!|\{,\}", ","),  # 10,\!000 and 10{,}000 are 10,000
        (r"\\[,;:!> ~\\]|\\q?quad(?![a-z])|~", " "),  # LaTeX's spaces and line breaks
        (r"\\[()\[\]]|\\?\$", " "),  # delimiters of formulas, and the dollar sign with them
        (r"\\(?:left|right|[bB]ig+[lrm]?|(?:display|text|script)style|(?:no)?limits)(?![a-z])", " "),  # sizes
        (r"\\(?:text|math)(?:bf|it|rm|sf|tt|bb|cal|frak)?(?![a-z])|\\(?:mbox|operatorname\*?)(?![a-z])", " "),  # fonts
        (r"\\[dtc]?frac *(\d) *(\d)", r" frac \1 \2 "),  # \frac12
        (r"\\[dtc]frac(?![a-z])", " frac "),
        (r"\\(?:cdot|times)(?![a-z])", " * "),
        (r"\\leq?(?:slant)?(?![a-z])", " <= "),
        (r"\\geq?(?:slant)?(?![a-z])", " >= "),
        (r"\\neq?(?![a-z])", " != "),
        (r"\\lt(?![a-z])", " < "),
        (r"\\gt(?![a-z])", " > "),
        (r"(?<=[a-z])['’‘`](?=[a-z])", ""),  # don't
        (r"(?<=\d),(?=\d{3}(?!\d))", ""),  # 10,000
        (r"(?m)^[ \t]*[-*+] (?=[ \t]*[^\s\d])", " "),  # bullets of lists
        (r"--+|\*\*+", " "),  # dashes, bold type
        (r"(?<=[^\W\d_]{2})-(?=[^\W\d_])|(?<=[^\W\d_])-(?=[^\W\d_]{2})", " "),  # hyphens; a-b stays a difference
    )
)

_WORD = re.compile(
    r"\d+(?:\.\d+)?"  # 3.5 is not 35
    r"|\.\d+"
    r"|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # scripts without spaces: a character is a word
    r"|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
    r"|<=|>=|!="
    r"|(?:(?<=\d)|(?<=\b[a-z]))!"  # n! is a factorial, "Go!" is not
    r"|[-+*/^=<>%|]"
)


def split_words(text: str) -> Words:
    """Return the words of a text's normal form: runs of letters, numbers, and mathematical operators."""
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text).casefold().translate(_SYMBOLS)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return tuple(_WORD.findall(text))


def word_grams(words: Words, length: int) -> list[Words]:
    """Return the runs of `length` neighbouring words, in order; none of a shorter text."""
    return [words[start : start + length] for start in range(len(words) - length + 1)]
