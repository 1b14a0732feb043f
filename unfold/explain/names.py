"""The names of a Plan's values in terms of the spec: equations and axes, gradients as ∂h.

    i.7                      i                                a part of the equation i
    ∂i:13                    ∂i                               a part of the gradient by i
    W_i|W_f                  [W_i W_f]                        joined by packing
    W~ij~ji                  W transposed                     so that a category picks rows
    i.7 = W_i|W_f @ x[t]     i, f: [W_i W_f] @ x[t]           one product for both

In: the Program of a Plan (`Plan.program`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import prod

from unfold.core.affine import Affine
from unfold.core.op import OPS, SUM, Source, View
from unfold.core.origin import Adjoint, Beside, Joined, LastIndex, Next, StateAxis, Transposed
from unfold.core.paths import readers
from unfold.core.plan import Access
from unfold.core.printing import show_index
from unfold.core.program import BATCH, Program, Ref, Value

PRODUCTS = {"ij,j->i": "@", "i,ij->j": "@", "ij,jk->ik": "@", "i,i->": "@", "i,j->ij": "⊗"}
SHORT = 24  # characters of an expression that is shown in place of a name
HIDDEN = (Source.CONSTANT, Source.COUNT, Source.INDEX, Source.INSIDE)
TURNED = (Transposed, Beside)
ARRANGED = (View.PIECES, View.PART, View.COPY, View.RESHAPE)


def is_adjoint(value: Value) -> bool:
    """Return whether a value is a gradient, or a part of one."""
    return isinstance(value.origin.equation, Adjoint)


class Names:
    """Names of values, and equations as the spec would write them.

    Args:
        program: decomposed and packed.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    def readers(self, name: str) -> list[Value]:
        """Return the equations that read a value."""
        return [self.program[n] for n in readers(self.program)[name]]

    @cached_property
    def order(self) -> Mapping[str, int]:
        """The place of each equation in the order of the spec, gradients after it."""
        nodes = dict.fromkeys(v.node or v.name for v in self.program)
        return {n: i for i, n in enumerate(nodes)}

    def sorted(self, equations: Iterable[str]) -> tuple[str, ...]:
        """Return equations without repetition, in the order of the spec."""
        return tuple(sorted(dict.fromkeys(equations), key=lambda e: self.order.get(e, 0)))

    def equation(self, name: str) -> str:
        """Return the equation of the spec, or the gradient, that a value belongs to."""
        value = self.program.values.get(name)
        return (value.node or name) if value is not None else name

    def equations(self, name: str) -> tuple[str, ...]:
        """Return the equations that a value serves.

        A shared product serves all of its equations; a gradient sent back through a product
        serves the gradients that read it.
        """
        value = self.program.values.get(name)
        if value is not None and isinstance(value.origin, Joined):
            return self.sorted(self.equation(n) for n in value.origin.parts)
        if value is None or not value.is_contraction or value.is_named:
            return (self.equation(name),)
        if not (found := self.readers(name)):
            return (self.equation(name),)
        if self.is_split(name):
            return self.sorted(self.equation(v.name) for v in found)
        if is_adjoint(value):
            return self.sorted(self._destinations(value)) or (self.equation(name),)
        return (self.equation(name),)

    def _destinations(self, value: Value) -> Iterator[str]:
        """Yield the equations that read a value, through other parts of its own equation."""
        seen, work = {value.name}, [value]
        while work:
            source = work.pop()
            for reader in self.readers(source.name):
                if isinstance(reader.origin, Joined):
                    yield from self.equations(reader.name)
                elif reader.node != value.node or reader.is_named:
                    yield self.equation(reader.name)
                elif reader.name not in seen:
                    seen.add(reader.name)
                    work.append(reader)

    def show(self, name: str) -> str:
        """Return the name of a value, parts by their equation."""
        if name not in self.program.values:
            return f"last {self.lasts[name]}" if name in self.lasts else name
        origin = self.program[name].origin
        if isinstance(origin, Joined):
            return f"[{' '.join(map(self.show, origin.parts))}]"
        if isinstance(origin, TURNED):
            return f"{self.source(name)} transposed"
        whole = origin.equation
        return f"{whole.of} for the next chunk" if isinstance(whole, Next) else whole.name or name

    def source(self, name: str) -> str:
        """Return the name of a value, or of what was transposed."""
        value = self.program.values.get(name)
        origin = value.origin if value is not None else None
        return self.source(origin.of.name) if isinstance(origin, TURNED) else self.show(name)

    @cached_property
    def lasts(self) -> Mapping[str, str]:
        """The axes, by the names of the buffers that hold their last indices."""
        return {LastIndex(a).name: a for a in self.program.axes}

    def part(self, name: str) -> str:
        """Return a value's part of its equation, such as `max`; nothing for the equation itself."""
        value = self.program.values[name]
        plain = not isinstance(value.origin.equation, Adjoint | Next)
        if plain and self.is_boundary(value):
            return f"{self.ref(value.operands[1])} or its boundary"
        return "" if value.is_named or isinstance(value.origin, TURNED) else value.row.told

    def at(self, name: str, index: Iterable[tuple[str, Affine]]) -> str:
        """Return a value at an index point, without its batch index.

        A part of an equation is written out if that is short: `(r[t] * h[t-1])`.
        """
        index = tuple(index)
        value = self.program.values.get(name)
        shown = self.show(name) + show_index([i for a, i in index if a != BATCH])
        if value is None or isinstance(value.origin, (*TURNED, Joined)):
            return shown
        if value.is_named or is_adjoint(value):
            return shown
        text = self._written(value, index)
        return f"part of {shown}" if "part of" in text or len(text) > SHORT else text

    def _written(self, value: Value, index: tuple[tuple[str, Affine], ...]) -> str:
        """Return a part of an equation in terms of its operands."""
        symbol, operands = OPS[value.op].symbol, value.operands
        if self.is_boundary(value):
            return self.ref(operands[1].substitute(dict(index)))
        if not symbol or not operands:
            return "part of it"
        return f"({symbol.format(*(self.ref(r.substitute(dict(index))) for r in operands))})"

    def is_boundary(self, value: Value) -> bool:
        """Whether a value equals another one inside its domain, and its boundary outside."""
        first = self.program[value.operands[0].value] if value.operands else None
        return value.row.chooses and first is not None and first.source is Source.INSIDE

    def is_split(self, product: str) -> bool:
        """Whether several equations have their parts of a product."""
        return all(v.row.view is View.PART for v in self.readers(product))

    def joined(self, product: str) -> int:
        """Return the number of products of the spec that were joined in one."""
        value = self.program[product]
        origins = (self.program[r.value].origin for r in value.operands)
        return max((len(o.parts) if isinstance(o, Joined) else 1 for o in origins), default=1)

    def axis(self, name: str) -> str:
        """Return the name of an axis; the state for the next chunk has one of its own."""
        axis = self.program.axes.get(name)
        origin = axis.origin if axis is not None else None
        return (origin.along if isinstance(origin, StateAxis) else name).rpartition(".")[2]

    def access(self, access: Access) -> str:
        """Return the value that an access reads."""
        return self.at(access.buffer, access.index)

    def ref(self, ref: Ref) -> str:
        """Return the value that a reference reads."""
        return self.at(ref.value, zip(self.program[ref.value].axes, ref.index, strict=True))

    def product(self, value: Value) -> str:
        """Return a product in the notation of the spec."""
        left, right = (self.ref(r) for r in value.operands)
        letters = str(value.attributes["equation"]).replace(" ", "")
        symbol = PRODUCTS.get(letters)
        text = f"{left} {symbol} {right}" if symbol else f"einsum<{letters}>({left}, {right})"
        over = ",".join(a for a in value.reduced if a != BATCH)
        if over:
            return f"sum[{over}]({text})" if symbol else f"sum[{over}]{text}"
        return text

    def call(self, value: Value) -> str:
        """Return an operator with its own kernel in the notation of the spec."""
        shown = [r for r in value.operands if self.program[r.value].source is not Source.COUNT]
        axes = dict.fromkeys(a for r in shown for a in r.axes if a in value.reduced)
        name = value.op.replace("_", " ")
        return f"{name}[{','.join(axes)}]({', '.join(map(self.ref, shown))})"

    def is_copy(self, value: Value) -> bool:
        """Whether a value only rearranges others."""
        alone = value.is_contraction and len(value.operands) == 1
        return alone or value.row.view in ARRANGED

    def slow(self, name: str, known: Mapping[str, str]) -> str:
        """Return why a product runs as loops over vectors; nothing for other values.

        Args:
            name: of the value.
            known: `Plan.slow`.
        """
        value = self.program.values.get(name)
        if name in known or value is None or value.reduction is not SUM:
            return known.get(name, "")
        if not value.type.shape or set(value.reduced) <= {BATCH}:
            return ""
        product = self.program[value.operands[0].value]
        if product.op != "mul" or len({self._size(r) for r in product.operands}) == 1:
            return ""
        return "a sum of multiples of vectors, each sequence with its own"

    def _size(self, ref: Ref) -> int:
        """Return the features of a value before it was repeated."""
        value = self.program[ref.value]
        while value.row.view in (View.REPEAT, View.RESHAPE, View.COPY):
            value = self.program[value.operands[0].value]
        return prod(map(int, value.type.stored))

    def inside(self, name: str, stored: Iterable[str]) -> tuple[str, ...]:
        """Return the values that are written out where a stored value is computed."""
        return self._operands(name, stored)[0]

    def reads(self, name: str, stored: Iterable[str]) -> tuple[str, ...]:
        """Return the stored values that are read where a stored value is computed."""
        return self._operands(name, stored)[1]

    def _operands(
        self, name: str, stored: Iterable[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        kept, inside, read = set(stored), dict[str, None](), dict[str, None]()
        work = list(self.program[name].operands)
        while work:
            value = self.program[work.pop().value]
            if value.name in kept:
                read[value.name] = None
            elif value.name not in inside and value.source not in HIDDEN:
                inside[value.name] = None
                work += value.operands
        return tuple(inside), tuple(read)
