"""Random expressions of a wanted shape: numbers, vectors and matrices, conditions and categories.

    writer.real(("a",), place, depth=2)   ->   tanh(W1 @ h2[t-1]) * x1[t+1]

Which production is taken is a weighted choice among those of the shape's rank (`productions`); one
that cannot make the shape gives way to another, and in the end a value is read. Values are kept
moderate: a piece knows about how large it gets, and is squashed before it grows.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.differential import productions
from tests.differential.case import Piece
from tests.differential.draft import Draft, Place, Shape, Source

MODERATE = 6.0
ATTEMPTS = 6
# Finite numbers made of constants that are infinite, undefined or too large for Python.
IEEE = [
    *("tanh(1 / 0)", "sigmoid(-inf)", "maximum(0.5, -1 / 0)", "exp(-10 ** 400)", "(1 / inf)"),
    *("where(nan == nan, 2, 0.25)", "where((-8) ** 0.5 < 1, 2, -0.3)", "(7 % inf / 7)"),
    *("minimum(0.3, inf)", "where(0 / 0 > 1 or 1 // 0 < inf, 2, 0.7)"),
]
Production = Callable[["Writer", Shape, Place, int], Piece | None]


class Writer:
    """Writes the expressions of a draft.

    Args:
        draft: whose values are read, and which receives parameters and sizes.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    # Numbers, vectors and matrices

    def real(self, shape: Shape, place: Place, depth: int) -> Piece:
        """Return an expression of a shape."""
        if depth > 0:
            table = productions.TABLES[len(shape)]
            compound = bool(shape) and not self.draft.sizes.get(shape[0], "1").isdigit()
            if compound and self.draft.chance(0.7):
                table = productions.COMPOUND
            for _ in range(ATTEMPTS):
                found = self.draft.weigh(table)(self, shape, place, depth - 1)
                if found is not None:
                    return self.tame(found)
        return self.leaf(shape, place)

    def tame(self, piece: Piece, limit: float = MODERATE) -> Piece:
        """Squash what may get larger than a limit."""
        if piece.bound <= limit:
            return piece
        if limit >= 1 and self.draft.chance(0.6):
            name = self.draft.pick(["tanh", "sigmoid", "sin"])
            return Piece(f"{name}({{0}})", (piece,), name, 1.0)
        return Piece(f"{limit / piece.bound:.2g} * {{0}}", (self.closed(piece),), "scaled", limit)

    @staticmethod
    def closed(piece: Piece) -> Piece:
        """Put brackets around a sum, so that it can be an operand."""
        simple = re.fullmatch(
            r"[\w.]+(\[[^\[\]()]*\])?|\w*(\[[\w, ]*\])?\(\{0\}.*\)", piece.template
        )
        if simple and not (piece.parts and piece.template.count("(") > 1):
            return piece
        return Piece("({0})", (piece,), "", piece.bound)

    def leaf(self, shape: Shape, place: Place) -> Piece:
        """Return a value of a shape, read or made from one of another shape."""
        d = self.draft
        found = d.sources(place, lambda v: v.kind == "real" and v.shape == shape)
        hot = d.sources(place, lambda v: v.kind == "category" and v.shape == shape)
        if not shape and d.chance(0.35):
            return self.number(place)
        if hot and d.chance(0.2):
            return self.hot(d.read(d.pick(hot), place))
        if found and d.chance(0.85):
            return d.read(d.pick(found), place)
        if d.chance(0.5) or not d.readable(place):
            return d.parameter(shape, place)
        made = productions.LEAVES[len(shape)](self, shape, place, 0)
        return self.tame(made) if made is not None else d.parameter(shape, place)

    def hot(self, category: Piece) -> Piece:
        """Return a category as its one-hot vector, written out."""
        return Piece("one_hot({0})", (category,), "one_hot")

    def vector_size(self, place: Place) -> str:
        """Return the size of some vector that can be read, or any."""
        found = self.draft.sources(place, lambda v: v.kind == "real" and len(v.shape) == 1)
        if found and self.draft.chance(0.7):
            return self.draft.pick(found).shape[0]
        return self.draft.size()

    def number(self, place: Place) -> Piece:
        """Return a constant, or the number of a step."""
        d = self.draft
        if place.all_axes and d.chance(0.5):
            axis = d.pick(place.all_axes)
            forms = [f"0.1 * {axis}", f"({axis} % 3)", f"0.2 * ({axis} + 1)", f"({axis} // 2)"]
            if len(place.all_axes) == 1:
                forms += [f"({axis} + 1) / (last + 1)", f"0.1 * (last - {axis})", f"{axis} / 5"]
            return Piece(d.pick(forms), tag="bare index", bound=2.0)
        if d.sizes and d.chance(0.05):
            return Piece(f"(1 / {d.pick(list(d.sizes))})", tag="bare size")
        if d.chance(0.15):
            return Piece(d.pick(IEEE), tag="constant beyond numbers", bound=2.0)
        return Piece(d.pick(["0.5", "1", "-0.3", "0.7", "2", "0.25", "1e-2"]), bound=2.0)

    # Conditions

    def condition(self, shape: Shape, place: Place, depth: int) -> Piece:
        """Return a condition: one number's, or one for each element."""
        d = self.draft
        table: dict[Callable[[Shape, Place, int], Piece | None], float] = {
            self._compared: 4.0,
            self._placed: 0.0 if shape else 4.0,
            self._classed: 0.0 if shape else 2.0,
            self._joined: 2.0 if depth > 0 else 0.0,
            self._flag: 3.0,
        }
        while True:
            found = d.weigh(table)(shape, place, depth - 1)
            if found is not None:
                return found

    def _compared(self, shape: Shape, place: Place, depth: int) -> Piece:
        sign = self.draft.pick(["<", "<=", ">", ">="])
        left = self.closed(self.real(shape, place, depth))
        if self.draft.chance(0.6):
            value = self.draft.pick(["0.137", "-0.211", "0.0519", "0.333"])
            return Piece(f"({{0}} {sign} {value})", (left,), f"comparison {sign}")
        right = self.closed(self.real(shape, place, depth - 1))
        if right.text == left.text:
            right = Piece("0.0519")
        return Piece(f"({{0}} {sign} {{1}})", (left, right), f"comparison {sign}")

    def _placed(self, shape: Shape, place: Place, depth: int) -> Piece | None:
        """Compare an index with a number or another one."""
        d = self.draft
        if not place.all_axes:
            return None
        axis, other = d.pick(place.all_axes), d.pick(place.all_axes)
        forms = [f"{axis} % 2 == 0", f"{axis} % 3 != 1", f"{axis} == 0", f"{axis} > 0"]
        forms += [f"{axis} < 2", f"{axis} >= 1"]
        if axis != other:
            forms += [f"{axis} <= {other}", f"{axis} < {other}", f"{axis} == {other}"] * 2
            forms += [f"{axis} != {other}", f"({axis} + {other}) % 2 == 1"]
        if len(place.all_axes) == 1:
            forms += [f"{axis} == last", f"{axis} < last"]
        return Piece(f"({d.pick(forms)})", tag="comparison of indices")

    def _classed(self, shape: Shape, place: Place, depth: int) -> Piece | None:
        """Compare a category with a class or with another category."""
        d = self.draft
        found = d.sources(place, lambda v: v.kind == "category")
        if not found:
            return None
        source = d.pick(found)
        same = [v for v in found if v.shape == source.shape]
        sign, left = d.pick(["==", "!="]), d.read(source, place)
        if d.chance(0.5):
            number = d.rng.randrange(d.extent(source.shape[0]))
            return Piece(f"({{0}} {sign} {number})", (left,), "comparison of a category")
        right = d.read(d.pick(same), place)
        return Piece(f"({{0}} {sign} {{1}})", (left, right), "comparison of categories")

    def _joined(self, shape: Shape, place: Place, depth: int) -> Piece:
        word = self.draft.pick(["and", "or", "not"])
        left = self.condition(shape, place, depth)
        if word == "not":
            return Piece("(not {0})", (left,), "not")
        right = self.condition((), place, depth)
        return Piece(f"({{0}} {word} {{1}})", (left, right), word)

    def _flag(self, shape: Shape, place: Place, depth: int) -> Piece | None:
        found = self.draft.sources(place, lambda v: v.kind == "bool" and v.shape == shape)
        return self.draft.read(self.draft.pick(found), place) if found else None

    # Categories

    def category(self, classes: str, place: Place, depth: int) -> Piece:
        """Return a category with some number of classes."""
        d = self.draft
        found = d.sources(place, lambda v: v.kind == "category" and v.shape == (classes,))
        form = d.weigh({"argmax": 4.0, "sample": 1.0, "read": 3.0 * bool(found), "where": 1.0})
        if form == "read":
            return d.read(d.pick(found), place)
        if form == "where" and depth > 0:
            condition = self.condition((), place, depth - 1)
            parts = (condition, *(self.category(classes, place, depth - 1) for _ in range(2)))
            return Piece("where({0}, {1}, {2})", parts, "where of categories")
        logits = self.real((classes,), place, depth)
        if form == "sample":
            heat = d.pick(["", ", temperature=0.7", ", temperature=2"])
            return Piece(f"sample({{0}}{heat})", (logits,), "sample")
        return Piece("argmax({0})", (logits,), "argmax")

    # Axes

    def depends(self, piece: Piece, axis: str, *, certainly: bool = False) -> Piece:
        """Return a piece of the same shape that depends on an axis, certainly in its values."""
        if re.search(rf"\b{axis}\b", piece.text) and not (certainly and self.draft.chance(0.9)):
            return piece
        return Piece(f"{{0}} + 0.1 * {axis}", (self.closed(piece),), "", piece.bound + 0.5)

    def batched(self, shape: Shape, place: Place, depth: int) -> Piece:
        """Return an expression that certainly differs between sequences."""
        d = self.draft
        inputs = [v for v in d.values if v.batched and v.kind == "real"]
        piece = self.real(shape, place, depth)
        if re.search(r"\b[xq]\d", piece.text):
            return piece
        source: Source = d.pick([v for v in inputs if v.name.startswith("x")])
        read = d.read(source, place)
        number = Piece("sum({0})", (read,), "sum of features") if source.shape else read
        if len(source.shape) == 2:
            number = Piece("norm({0})", (read,), "norm")
        return Piece("{0} + 0.3 * {1}", (self.closed(piece), number), "", piece.bound + 1)
