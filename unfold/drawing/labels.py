"""Labels of boxes: index points, and raised and lowered words.

A label uses the notation of TeX: `^{…}` raises and `_{…}` lowers; between dollars, as in
`$s_t$`, a single character needs no braces and `\\alpha` is a letter. An axis in there stands for
the index point, which is then not repeated after the label.

    label("h", {"t": "3"})  ==  "h[3]"           label("h^{(t)}", {"t": "3"})  ==  "h⁽³⁾"
    label("h^{(t)}", {"t": "t"})  ==  "h⁽ᵗ⁾"     label("$s_{t-1}$", {"t": "3"})  ==  "s₂"

Words are raised by characters that are raised, so they look alike in every format; words that have
none are put in brackets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

RAISED = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyz,…⋯",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ,…⋯",
        strict=True,
    )
)
LOWERED = dict(
    zip(
        "0123456789+-=()aehijklmnoprstuvx,…⋯",
        "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ,…⋯",
        strict=True,
    )
)
_BRACED = re.compile(r"([\^_])\{([^{}]*)\}")
_SINGLE = re.compile(r"([\^_])(?:\{([^{}]*)\}|(\w))")
_LETTER = re.compile(r"\\(var)?([A-Za-z]+)")
_WORD = re.compile(r"([^\W\d]\w*)(?:\s*([+-])\s*(\d+))?")


def label(text: str, at: Mapping[str, str]) -> str:
    """Return a label in its printed form.

    Args:
        text: as the user writes it, or a name.
        at: the text of the index, by axis; empty if the index is not shown.
    """
    used: set[str] = set()
    typed = len(text) > 2 and text[0] == text[-1] == "$"

    def script(found: re.Match[str]) -> str:
        words = next(w for w in found.groups()[1:] if w is not None)
        return _script(found[1], _at(words, at, used))

    if typed:
        text = _SINGLE.sub(script, _LETTER.sub(_letter, text[1:-1]))
    else:
        text = _BRACED.sub(script, text)
    rest = [index for axis, index in at.items() if axis not in used]
    return text + (f"[{','.join(rest)}]" if rest else "")


def _at(words: str, at: Mapping[str, str], used: set[str]) -> str:
    """Replace axes by index points, and record which."""

    def point(found: re.Match[str]) -> str:
        axis, sign, number = found.groups()
        if axis not in at:
            return found[0]
        used.add(axis)
        if sign and at[axis].lstrip("-").isdigit():
            return str(int(at[axis]) + int(sign + number))
        return found[0].replace(axis, at[axis], 1)

    return _WORD.sub(point, words)


def _script(kind: str, words: str) -> str:
    """Raise or lower words."""
    forms = RAISED if kind == "^" else LOWERED
    plain = words.replace(" ", "")
    if all(c in forms for c in plain):
        return "".join(forms[c] for c in plain)
    return f"{kind}{words}" if len(words) == 1 or words[:1] == "(" else f"{kind}({words})"


def _letter(found: re.Match[str]) -> str:
    """Return the letter that a command of LaTeX names, or its words."""
    name = found[2]
    kind = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {kind} LETTER {name.upper()}")
    except KeyError:
        return name
