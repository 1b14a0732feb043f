"""Rules over flat arrays as blocks of a machine: a Plan with one kernel, bound to the arrays.

    p' = p - rate g      Nest: k0(n, p, numbers + 0, g, p)      one vector loop over n elements

The number of elements is an extent, so another number needs no new compilation. Arrays that the
machine cannot address are copied to it before a call, and back after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from unfold.backends.native.bind import Bound
from unfold.backends.native.protocol import Block, Machine
from unfold.backends.protocol import Arrays
from unfold.core.affine import Affine
from unfold.core.plan import Access, Buffer, Dim, Kernel, Load, Nest, Plan, Store, Stored
from unfold.core.program import Program
from unfold.core.rule import Applied, Rule
from unfold.core.scalar import X

ELEMENT = "element"  # the axis that a rule runs over
NUMBERS, SUMS = "#numbers", "#sums"


def bind(machine: Machine, rules: Sequence[tuple[Rule, Arrays]]) -> tuple[Applied, ...]:
    """Compile rules, and bind each to its arrays."""
    plans = [(plan_of(rule), arrays, _kind(arrays)) for rule, arrays in rules]
    blocks = [machine.blocks(plan, dtype)[0] for plan, _, dtype in plans]
    functions = machine.functions([b.text for b in blocks])
    made = zip(plans, blocks, functions, strict=True)
    return tuple(_Bound(machine, *plan, block, function) for plan, block, function in made)


def plan_of(rule: Rule) -> Plan:
    """Return a rule as a Plan; its kernel has no name of the rule in it."""
    return Plan(
        program=Program(rule.name, {}, {}),
        buffers={b.name: b for b in _buffers(rule)},
        packs={},
        statements=[Nest((), [_kernel(rule)])],
        results=(SUMS,) if rule.sums else (),
    )


def _buffers(rule: Rule) -> list[Buffer]:
    arrays = [Buffer(n, (Stored(ELEMENT),), (), "parameter") for n in rule.arrays]
    numbers = Buffer(NUMBERS, (), (len(rule.numbers),), "input")
    return [*arrays, numbers, Buffer(SUMS, (), (len(rule.sums),))]


def _kernel(rule: Rule) -> Kernel:
    kernel, names = Kernel(Dim(ELEMENT)), dict[str, X]()
    for number, (name, x) in enumerate(rule.lines):
        for read in x.variables():
            if read not in names:
                names[read] = X(f"x{len(kernel.leaves)}")
                kernel.leaves[names[read].head] = Load(_access(rule, read))
        kernel.lines.append((f"y{number}", x.substitute(names)))
        names[name] = X(f"y{number}")
    kernel.stores = [(names[n].head, Store(_access(rule, n))) for n in rule.changed]
    for position, name in enumerate(rule.sums):
        store = Store(Access(SUMS, offset=position), "sum", reset=0.0)
        kernel.stores.append((names[name].head, store))
    return kernel


def _access(rule: Rule, name: str) -> Access:
    if name in rule.arrays:
        return Access(name, ((ELEMENT, Affine.axis(ELEMENT)),))
    return Access(NUMBERS, offset=rule.numbers.index(name))


def _kind(arrays: Arrays) -> str:
    return next(iter(arrays.values())).dtype.name


class _Bound:
    """A block, bound to arrays and to places for numbers and sums."""

    def __init__(
        self, machine: Machine, plan: Plan, arrays: Arrays, dtype: str, block: Block, function: int
    ) -> None:
        extents = {ELEMENT: next(iter(arrays.values())).size}
        products, memory = machine.products(dtype), machine.memory
        self.bound = Bound(plan, [block], [function], products, memory, dtype, extents)
        for name, array in arrays.items():
            self.bound.keep(name, array)
        held = self.bound.held
        self._copied = [(a, held[n]) for n, a in arrays.items() if held[n] is not a]
        self._numbers, self._sums = (self.bound.views.get(n) for n in (NUMBERS, SUMS))
        self._call = machine.caller(self.bound.table.ctypes.data, 1)
        self._upload, self._download = memory.upload, memory.download

    def __call__(self, *numbers: float) -> list[float]:
        """Change the arrays and return the sums."""
        if numbers:
            self._upload(numbers, self._numbers)
        for array, own in self._copied:
            self._upload(array, own)
        self._call()
        for array, own in self._copied:
            array[...] = self._download([own])
        return [] if self._sums is None else self._sums.tolist()
