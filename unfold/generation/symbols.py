"""The symbols of the output, and the text they stand for.

    alphabet = Alphabet.of("\\nabc", level="char")
    alphabet.encode("cab")  →  [3, 1, 2]        alphabet.decode([3, 1, 2])  →  "cab"

A vocabulary is that of the training data: characters of a string, bytes, or words of a list.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unfold.errors import DataError

Array = np.ndarray
LINE = "\n"
SHOWN = 8


@dataclass(frozen=True)
class Alphabet:
    """Symbols by number.

    Attributes:
        symbols: symbol i stands for text `symbols[i]`; for bytes, character i for byte i.
        level: "char", "byte" or "word"; words are separated by spaces.
    """

    symbols: tuple[str, ...]
    level: str = "char"

    @classmethod
    def of(cls, symbols: str | Sequence[str], level: str = "char") -> Alphabet:
        """Make one from a string of characters or a list of words."""
        if not isinstance(symbols, str) and any(len(s) != 1 for s in symbols):
            level = "word"
        return cls(tuple(symbols), level)

    def encode(self, text: str) -> Array:
        """Return the symbols of a text.

        Raises:
            DataError: it has one that the training data do not have.
        """
        if self.level == "byte":
            raw = text.encode("utf-8", errors="surrogatepass")
            return np.frombuffer(raw, dtype=np.uint8).astype(np.int64)
        pieces = text.split() if self.level == "word" else list(text)
        known = {symbol: code for code, symbol in enumerate(self.symbols)}
        for place, piece in enumerate(pieces, start=1):
            if piece not in known:
                raise DataError(self._unknown(piece, place))
        return np.array([known[p] for p in pieces], dtype=np.int64)

    def _unknown(self, piece: str, place: int) -> str:
        what = "word" if self.level == "word" else "character"
        others = {s.lower(): s for s in self.symbols}
        near = others.get(piece.lower())
        shown = ", ".join(map(repr, self.symbols[:SHOWN]))
        more = f" and {len(self.symbols) - SHOWN} more" if len(self.symbols) > SHOWN else ""
        help = f"write {near!r}" if near else f"the model knows {shown}{more}"
        message = f"the prompt has the {what} {piece!r} at position {place}"
        return f"{message}; the training text has no {what} {piece!r}\n  help: {help}"

    def decode(self, codes: Array) -> str:
        """Return the text of symbols; -1, which is not a symbol, is left out."""
        return self.decoder()(codes, final=True)

    def decoder(self) -> Callable[..., str]:
        """Return a function that decodes a text piece by piece, a character of many bytes too."""
        partial = codecs.getincrementaldecoder("utf-8")(errors="replace")
        begun: list[bool] = []

        def decode(codes: Array, *, final: bool = False) -> str:
            known = [int(c) for c in codes if c >= 0]
            if self.level == "byte":
                return partial.decode(bytes(known), final)
            words = [self.symbols[c] if c < len(self.symbols) else "\ufffd" for c in known]
            if self.level == "char":
                return "".join(words)
            before = " " if begun and words else ""
            begun.extend([True] * bool(words))
            return before + " ".join(words)

        return decode

    @property
    def start(self) -> int:
        """The symbol before the start of a text: the end of a line, if there are lines."""
        if self.level == "byte":
            return ord(LINE)
        return self.symbols.index(LINE) if LINE in self.symbols else 0
