r"""Text that LaTeX shows as it is: every special character escaped, for pdflatex without further packages."""

import re

from reports.table import true_minus

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "*": r"\textasteriskcentered{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # never the argument of a `\\` before it
    "]": "{]}",
    "-": "-{}",  # where a hyphen follows: no dash is made of them
    "\u00a0": "~",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "÷": r"$\div$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "∑": r"$\sum$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\textsection{}",
    "¶": r"\textparagraph{}",
    "°": r"$^{\circ}$",
    "²": "$^2$",
    "³": "$^3$",
    "½": r"$\frac{1}{2}$",
    "✓": r"$\surd$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "ε": r"$\epsilon$",
    "θ": r"$\theta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "µ": r"$\mu$",
    "π": r"$\pi$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "φ": r"$\phi$",
    "χ": r"$\chi$",
    "ω": r"$\omega$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "Ω": r"$\Omega$",
}
_SHOWN_OTHERWISE = re.compile(f"-(?=-)|[{re.escape(''.join(_SPECIAL.keys() - {'-'}))}]")
_BLANKS = re.compile(r"[\x00-\x20\x7f]+")
"""Control characters too, which pdflatex refuses."""


def escape(text: str) -> str:
    """Return text for LaTeX, on one line. Accented letters pass; what is unknown is left to the paper's fonts."""
    return _SHOWN_OTHERWISE.sub(lambda found: _SPECIAL[found[0]], _BLANKS.sub(" ", text))


def escape_number(text: str) -> str:
    """Return a number for LaTeX: a hyphen before a digit is a minus sign."""
    return escape(true_minus(text))
