"""The names of a Plan's values in terms of the spec: equations and axes, gradients as ∂h.

    i.7                      i                                a part of the equation i
    ∂i:13                    ∂i                               a part of the gradient by i
    W_i|W_f                  [W_i W_f]                        joined by packing
    W~ij~ji                  W transposed                     so that a category picks rows
    i.7 = W_i|W_f @ x[t]     i, f: [W_i W_f] @ x[t]           one product for both

In: the Program that planning works on (`unfold.passes.planning.prepare`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from unfold.core.affine import Affine
from unfold.core.plan import Access
from unfold.core.printing import show_index
from unfold.core.program import BATCH, Program, Ref, Value

PRODUCTS = {"ij,j->i": "@", "i,ij->j": "@", "ij,jk->ik": "@", "i,i->": "@", "i,j->ij": "⊗"}
REDUCTIONS = {"feature_max": "max", "feature_sum": "sum", "sum_to": "sum"}
HIDDEN = ("constant", "count", "index", "inside")


class Names:
    """Names of values, and equations as the spec would write them.

    Args:
        program: decomposed and packed.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    @cached_property
    def readers(self) -> Mapping[str, list[Value]]:
        """The equations that read each value."""
        found: dict[str, list[Value]] = {n: [] for n in self.program.values}
        for value in self.program:
            for name in dict.fromkeys(r.value for r in value.operands):
                found[name].append(value)
        return found

    def equation(self, name: str) -> str:
        """Return the equation of the spec, or the gradient, that a value belongs to."""
        if "|" in name or "~" in name or name not in self.program.values:
            return self.show(name)
        return self.program[name].node or name

    def equations(self, name: str) -> tuple[str, ...]:
        """Return the equations that a value belongs to: one, or those whose products it joins."""
        slices = [v for v in self.readers.get(name, []) if v.op == "slice"]
        value = self.program.values.get(name)
        if slices and value is not None and value.op == "einsum":
            if {v.name for v in slices} == {v.name for v in self.readers[name]}:
                return tuple(dict.fromkeys(self.equation(v.name) for v in slices))
        return (self.equation(name),)

    def show(self, name: str) -> str:
        """Return the name of a value, parts by their equation."""
        if "|" in name:
            return f"[{' '.join(self.show(n) for n in name.split('|'))}]"
        if "~" in name:
            return f"{self.show(name.partition('~')[0])} transposed"
        if name.startswith("last."):
            return f"last {name.removeprefix('last.')}"
        value = self.program.values.get(name)
        return value.node if value is not None and value.node else name

    def part(self, name: str) -> str:
        """Return the name of a value as something that is made, `loss (max)` for a part of one."""
        value = self.program.values[name]
        if value.is_named or value.op == "concat" or "~" in name:
            return self.show(name)
        return f"{self.show(name)} ({REDUCTIONS.get(value.op, value.op)})"

    def at(self, name: str, index: Iterable[tuple[str, Affine]]) -> str:
        """Return a value at an index point, without its batch index."""
        return self.show(name) + show_index([i for a, i in index if a != BATCH])

    def access(self, access: Access) -> str:
        """Return what an access reads."""
        return self.at(access.buffer, access.index)

    def ref(self, ref: Ref) -> str:
        """Return what a reference reads."""
        return self.at(ref.value, zip(self.program[ref.value].axes, ref.index, strict=True))

    def product(self, value: Value) -> str:
        """Return a product as the spec would write it."""
        left, right = (self.ref(r) for r in value.operands)
        letters = str(value.attributes["equation"]).replace(" ", "")
        symbol = PRODUCTS.get(letters)
        text = f"{left} {symbol} {right}" if symbol else f"einsum<{letters}>({left}, {right})"
        over = ",".join(a for a in value.reduced if a != BATCH)
        if over:
            return f"sum[{over}]({text})" if symbol else f"sum[{over}]{text}"
        return text

    def is_copy(self, value: Value) -> bool:
        """Whether a value only arranges others anew."""
        alone = value.op == "einsum" and len(value.operands) == 1
        return alone or value.op in ("concat", "slice", "identity", "pad", "reshape")

    def inside(self, name: str, stored: Iterable[str]) -> tuple[str, ...]:
        """Return the values that are written out where a stored value is computed."""
        kept, found = set(stored), dict[str, None]()
        work = list(self.program[name].operands)
        while work:
            ref = work.pop()
            value = self.program[ref.value]
            if value.name in kept or value.name in found or value.op in HIDDEN:
                continue
            found[value.name] = None
            work += value.operands
        return tuple(found)
