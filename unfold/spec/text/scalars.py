"""Put brackets of the language into YAML, and YAML's scalars back onto the characters of the file.

Two steps around the YAML parser. `mask_brackets`, before it: inside `{ }` YAML reads the brackets
and commas of `s[t-1, last]` or `lstm(x[t], hidden=64)` as its own, so they are replaced, one
character by one, with a stand-in that means nothing to YAML. `place_scalar`, after it: the value of
a scalar is rebuilt from the *original* characters, each with its offset, for all five ways to write
one.

    {s[l]: s[t-1, last], h: f(x, y)}      the masked characters:
      ^ ^   ^    ^    ^       ^ ^

A group is masked only if it opens and closes on one line, and `[` only directly after a name or
another group, where it can never start a list in YAML. Quoted text is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from unfold.spec.text.text import SourceText, Text

STAND_IN = "\ue000"
_MASKED = str.maketrans(dict.fromkeys("[]{},", STAND_IN))
_BRACKET_OR_QUOTED = re.compile(
    r"""(?<![^\s\[{,:(=])(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*')|[()\[\]{}\n\r]"""
)
_CLOSES = {")": "(", "]": "[", "}": "{"}
_WHITE = re.compile(r"[ \t\r\n]*")
_BREAK = re.compile(r"\r\n|\r|\n")
_ESCAPE = re.compile(r"\\(?:(?:\r\n|\r|\n)[ \t]*|x..|u.{4}|U.{8}|.)", re.DOTALL)
_BLOCK_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|\r|\n)?")
_ESCAPES = {
    "0": "\0", "a": "\x07", "b": "\x08", "t": "\t", "\t": "\t", "n": "\n", "v": "\x0b", "f": "\x0c",
    "r": "\r", "e": "\x1b", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def mask_brackets(text: str) -> str:
    """Return `text`, equally long, with the brackets and commas of indices and calls masked."""
    closed: list[tuple[int, int]] = []
    open_brackets: list[tuple[str, int, bool]] = []
    for found in _BRACKET_OR_QUOTED.finditer(text):
        piece, at = found.group(), found.start()
        if piece in "\r\n":
            open_brackets.clear()
        elif piece in "([{":
            before = text[at - 1 : at]
            after_group = bool(closed) and closed[-1][1] == at
            ours = piece == "(" or (
                piece == "[" and (before.isalnum() or before == "_" or after_group)
            )
            open_brackets.append((piece, at, ours))
        elif piece in ")]}" and open_brackets and open_brackets[-1][0] == _CLOSES[piece]:
            _, start, ours = open_brackets.pop()
            if ours:
                while closed and closed[-1][0] > start:
                    closed.pop()
                closed.append((start, at + 1))
    pieces, end = [], 0
    for start, stop in closed:
        pieces += [text[end:start], text[start:stop].translate(_MASKED)]
        end = stop
    return "".join([*pieces, text[end:]])


def place_scalar(value: str, style: str | None, start: int, end: int, source: SourceText) -> Text:
    """Return a scalar as text whose every character knows its offset in the file.

    Arguments:
        value: the scalar's value as YAML sees it, perhaps with masked characters.
        style: None or "" for plain, else the character that opens it: one of ' " | >.
        start: offset of its first character in the file, the quote or indicator included.
        end: offset after its last one.
        source: the file, unmasked.
    """
    text = source.text
    if style in ("|", ">"):
        placed, offsets = _place_block(value, text, start, end)
        return Text(placed, source, offsets, quoted=True, opening=start)
    quoted = style in ("'", '"')
    first, last = (start + 1, end - 1) if quoted else (start, end)
    raw = text[first:last]
    if "\n" not in raw and "\r" not in raw and not (quoted and ("\\" in raw or "''" in raw)):
        return Text(raw, source, range(first, last + 1), quoted=quoted, opening=start)
    placed, offsets = _place_flow(text, first, last, style or "")
    return Text(placed, source, offsets, quoted=quoted, opening=start)


def _place_flow(text: str, first: int, last: int, quote: str) -> tuple[str, Sequence[int]]:
    """Fold lines and resolve escapes of a plain or quoted scalar; return its value and offsets."""
    characters: list[str] = []
    offsets: list[int] = []
    at, joined = first, False
    while at < last:
        stop = _end_of_match(_WHITE, text, at, last)
        if stop > at:
            breaks = [found.start() for found in _BREAK.finditer(text, at, stop)]
            if not breaks:
                kept = range(at, stop)
            elif joined:
                kept = breaks
            else:
                kept = breaks[1:] or [stop - 1]
            folded = " " if len(breaks) == 1 and not joined else "\n"
            characters += [folded if breaks else text[offset] for offset in kept]
            offsets += kept
            joined = False
        elif quote == '"' and text[at] == "\\":
            stop = _end_of_match(_ESCAPE, text, at, last)
            joined = text[at + 1] in "\r\n"
            if not joined:
                characters.append(_unescape(text[at + 1 : stop]))
                offsets.append(at)
        else:
            stop = at + 2 if quote == "'" and text[at] == "'" else at + 1
            characters.append(text[at])
            offsets.append(at)
            joined = False
        at = stop
    return "".join(characters), [*offsets, last]


def _end_of_match(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    found = pattern.match(text, start, end)
    return found.end() if found else start


def _unescape(escape: str) -> str:
    """Return the character of an escape, given without its backslash."""
    if escape[0] in "xuU" and len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _ESCAPES.get(escape, escape)


def _place_block(value: str, text: str, start: int, end: int) -> tuple[str, Sequence[int]]:
    """Align a literal or folded scalar with its lines; return its value, unmasked, and offsets.

    The characters that are not white space are in the file in the same order. White space between
    two of them is matched from the right, because indentation, which is not part of the value,
    comes first.
    """
    at = _end_of_match(_BLOCK_HEADER, text, start, end)
    characters: list[str] = []
    offsets: list[int] = []
    position = 0
    while position < len(value):
        stop = _end_of_match(_WHITE, value, position, len(value))
        solid = _end_of_match(_WHITE, text, at, end)
        white = value[position:stop]
        offsets += _match_white(white, text, at, solid, from_right=stop < len(value))
        characters.append(white)
        if stop == len(value):
            break
        if value[stop] not in (text[solid], STAND_IN):
            raise AssertionError(f"lost alignment at {value[stop]!r} against {text[solid]!r}")
        characters.append(text[solid])
        offsets.append(solid)
        position, at = stop + 1, solid + 1
    return "".join(characters), [*offsets, end]


def _match_white(white: str, text: str, first: int, last: int, *, from_right: bool) -> list[int]:
    """Return the offset of each character of `white` among the white space `text[first:last]`."""
    candidates = range(first, last)
    matched: list[int] = []
    at = len(candidates) - 1 if from_right else 0
    step = -1 if from_right else 1
    for character in white[::step]:
        while 0 <= at < len(candidates):
            written = text[candidates[at]]
            at += step
            if written == character or (character == "\n" and written == "\r"):
                matched.append(candidates[at - step])
                break
        else:
            matched.append(first if from_right else last)
    return matched[::step]
