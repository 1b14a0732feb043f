"""Programs written by hand, for tests of what comes after elaboration.

    net = Net(t=5)
    net.input("x", "t")
    net.node("h", "t", net.layer(net.read("h", T - 1)) + net.read("x", T))
    program = net.program(outputs=("h",))

Every value is a real vector of two elements unless a type says otherwise; `layer` multiplies by a
matrix of its own.
"""

from __future__ import annotations

from dataclasses import replace

import unfold.ops  # noqa: F401  (fills the op table)
from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.origin import Written
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.core.types import Type

VECTOR = Type((2,))
MATRIX = Type((2, 2))
T, L, S, I, J, K = (Affine.axis(a) for a in "tlsijk")  # noqa: E741


def last(axis: str) -> Affine:
    """Return the largest index of an axis."""
    return Affine.last(axis)


class Net:
    """A Program under construction, one named equation after the other."""

    def __init__(self, **extents: int | Affine) -> None:
        self.builder = Builder({BATCH: Axis(BATCH, Affine.number(1), from_data=True)})
        for axis, extent in extents.items():
            whole = Affine.number(extent) if isinstance(extent, int) else extent
            self.builder.axes[axis] = Axis(axis, whole, from_data=True)
        self.matrices = 0

    def _source(self, op: str, name: str, axes: tuple[str, ...], type: Type) -> Term:
        return self.builder.add(Value(name, axes, type, op, origin=Written(name)))

    def input(self, name: str, axes: str = "", type: Type = VECTOR) -> Term:
        """Add an input over single-letter axes."""
        return self._source("input", name, (BATCH, *axes), type)

    def parameter(self, name: str, axes: str = "", type: Type = VECTOR) -> Term:
        """Add a parameter."""
        return self._source("parameter", name, tuple(axes), type)

    def read(self, name: str, *index: Affine | int, batched: bool = True) -> Term:
        """Refer to a value, defined yet or not, at an index point."""
        whole = tuple(Affine.number(i) if isinstance(i, int) else i for i in index)
        known = self.builder.values.get(name)
        batch = known.batched if known else batched
        ref = Ref(name, (Affine.axis(BATCH),) * batch + whole)
        return Term(self.builder, ref, known.type if known else VECTOR)

    def layer(self, term: Term, matrix: str | None = None) -> Term:
        """Multiply by a matrix: a new one, or one that has a name."""
        if matrix is None:
            self.matrices += 1
            matrix = f"W{self.matrices}"
        if matrix not in self.builder.values:
            self.parameter(matrix, type=MATRIX)
        weights = self.builder.term(matrix)
        return self.builder.emit("einsum", (weights, term), {"equation": "ij,j->i"})

    def node(self, name: str, axes: str, term: Term, **boundary: Ref) -> Term:
        """Name the result of an equation; what was emitted since the last one becomes its parts."""
        values = self.builder.values
        whole = {*axes} if BATCH in values[term.ref.value].reduced else {*axes, BATCH}
        own = tuple(a for a in self.builder.axes if a in whole)
        parts = {n: v for n, v in values.items() if v.node == "" and v.op != "constant"}
        for part in parts.values():
            del values[part.name]
        renamed = {n: f"{name}{n}" for n in parts}
        for n, part in parts.items():
            operands = tuple(Ref(renamed.get(r.value, r.value), r.index) for r in part.operands)
            values[renamed[n]] = Value(
                renamed[n], part.axes, part.type, part.op, operands, part.attributes,
                part.reduced, part.boundary, replace(part.origin, of=Written(name)),
            )  # fmt: skip
        result = Ref(renamed.get(term.ref.value, term.ref.value), term.ref.index)
        last_part = values.get(result.value)
        here = last_part is not None and result.value in renamed.values()
        if here and last_part is not None and result == last_part.here and last_part.axes == own:
            del values[result.value]
            value = Value(
                name, own, last_part.type, last_part.op, last_part.operands,
                last_part.attributes, last_part.reduced, boundary, Written(name),
            )  # fmt: skip
        else:
            value = Value(
                name, own, term.type, "identity", (result,), boundary=boundary, origin=Written(name)
            )
        self.builder.counters.clear()
        return self.builder.add(value)

    def program(self, *outputs: str, loss: str | None = None) -> Program:
        """Return the Program."""
        values = self.builder.values
        first = {n: v for n, v in values.items() if v.op in ("input", "parameter")}
        return Program("net", dict(self.builder.axes), {**first, **values}, outputs, loss)


def rnn(extent: int = 5) -> Program:
    """h[t] = tanh(W h[t-1] + U x[t]), o[t] = V h[t]."""
    net = Net(t=extent)
    net.input("x", "t")
    total = net.layer(net.read("h", T - 1), "W") + net.layer(net.read("x", T), "U")
    net.node("h", "t", total.apply("tanh"))
    net.node("o", "t", net.layer(net.read("h", T), "V"))
    return net.program("o")


def lstm(extent: int) -> Program:
    """Ten equations over t: an LSTM with a product, gates, memory and output."""
    net = Net(t=extent)
    net.input("x", "t")
    net.node("a", "t", net.layer(net.read("h", T - 1), "W"))
    net.node("z", "t", net.read("a", T) + net.read("x", T))
    for gate in ("i", "f", "q"):
        net.node(gate, "t", net.read("z", T).apply("sigmoid"))
    net.node("g", "t", net.read("z", T).apply("tanh"))
    net.node("u", "t", net.read("i", T) * net.read("g", T))
    net.node("k", "t", net.read("f", T) * net.read("s", T - 1))
    net.node("s", "t", net.read("k", T) + net.read("u", T))
    net.node("h", "t", net.read("q", T) * net.read("s", T))
    return net.program("h")


def grid(rows: int, columns: int) -> Program:
    """Four equations over i and j: h[i,j] needs h[i-1,j] and h[i,j-1]."""
    net = Net(i=rows, j=columns)
    net.input("x", "ij")
    net.node("a", "ij", net.layer(net.read("h", I - 1, J)) + net.read("x", I, J))
    net.node("h", "ij", net.read("a", I, J) * net.read("h", I, J - 1))
    return net.program("h")


def highway(extent: int, depth: int) -> Program:
    """Micro-steps l within steps t: s[t,l] needs s[t,l-1], and s[t,-1] is s[t-1,last]."""
    net = Net(t=extent, l=depth)
    net.input("x", "t")
    here = net.layer(net.read("s", T, L - 1), "R") + net.layer(net.read("x", T), "U")
    before = Ref("s", (Affine.axis(BATCH), T - 1, last("l")))
    net.node("s", "tl", here.apply("tanh"), l=before)
    net.node("o", "t", net.layer(net.read("s", T, last("l")), "V"))
    return net.program("o")


def attention(source: int, target: int) -> Program:
    """A decoder over t that attends to an encoder over s, started from the encoder's last state."""
    net = Net(s=source, t=target)
    net.input("x", "s")
    net.node("h", "s", net.layer(net.read("h", S - 1), "W") + net.layer(net.read("x", S), "U"))
    net.node("C", "", net.layer(net.read("h", last("s")), "M"))
    scored = net.layer(net.read("d", T - 1), "A") + net.layer(net.read("h", S), "B")
    net.node("e", "st", scored.apply("tanh"))
    top = net.read("e", S, T).apply("exp")
    net.node("a", "st", top / net.builder.sum(top, "s"))
    net.node("c", "t", net.builder.sum(net.read("a", S, T) * net.read("h", S), "s"))
    start = Ref("C", (Affine.axis(BATCH),))
    net.node("d", "t", net.layer(net.read("d", T - 1), "D") + net.read("c", T), t=start)
    net.node("o", "t", net.layer(net.read("d", T), "V"))
    return net.program("o")


def both_ways(extent: int) -> Program:
    """h runs forward, g backward; o sees both, and the last of g."""
    net = Net(t=extent)
    net.input("x", "t")
    net.node("h", "t", net.layer(net.read("h", T - 1)) + net.layer(net.read("x", T), "U"))
    net.node("g", "t", net.layer(net.read("g", T + 1)) + net.layer(net.read("x", T), "P"))
    net.node("o", "t", net.layer(net.read("h", T)) + net.layer(net.read("g", T)))
    net.node("y", "", net.layer(net.read("g", last("t"))))
    return net.program("o", "y")


def windows() -> Program:
    """A window of three, a stride of two, a reversal, and a reduction over everything."""
    net = Net(t=9, u=(T + 1) // 2, k=3)
    net.input("x", "t")
    net.parameter("F", "k")
    u = Affine.axis("u")
    product = net.read("x", T + K - 1) * net.read("F", K, batched=False)
    net.node("y", "t", net.builder.sum(product, "k"))
    net.node("p", "u", net.read("y", u * 2) + net.layer(net.read("p", u - 1)))
    net.node("r", "t", net.read("y", last("t") - T) + net.read("x", 0))
    total = net.builder.emit("sum", (net.read("r", T),), reduced=(BATCH, "t"))
    net.node("w", "", total)
    return net.program("p", "w")


def odd_strides() -> Program:
    """The adjoint of a stride: q[t] reads p[(t-1)/2] where that is a whole number."""
    net = Net(t=7, u=3)
    net.input("x", "u")
    net.node("p", "u", net.layer(net.read("x", Affine.axis("u"))))
    net.node("q", "t", net.layer(net.read("p", (T - 1) // 2)) + net.layer(net.read("q", T - 1)))
    return net.program("q")


def delays() -> Program:
    """Two recurrences with delays of 1, 2 and 5 that feed one another's layers."""
    net = Net(t=40)
    net.input("x", "t")
    net.node("h", "t", net.layer(net.read("h", T - 2)) + net.read("x", T))
    own = net.layer(net.layer(net.read("g", T - 5))) + net.read("g", T - 1).apply("tanh")
    net.node("g", "t", own + net.read("h", T + 3))
    return net.program("g")


def chained_boundaries() -> Program:
    """Outside of l the value two steps ago; outside of t a parameter, then an equation."""
    net = Net(t=6, l=3)
    net.input("x", "t")
    net.parameter("start")
    net.node("c", "", net.layer(net.layer(net.read("x", last("t")))))
    before = Ref("s", (Affine.axis(BATCH), T - 2, L))
    given = Ref("c", (Affine.axis(BATCH),))
    term = net.layer(net.read("s", T, L - 1)) + net.read("x", T)
    net.node("s", "tl", term, l=before, t=given)
    net.node("r", "t", net.read("r", T - 1) + net.read("x", T), t=Ref("start"))
    return net.program("s", "r")


SMALL = {
    "rnn": rnn(),
    "lstm": lstm(7),
    "grid": grid(4, 3),
    "highway": highway(4, 3),
    "attention": attention(3, 4),
    "both ways": both_ways(5),
    "windows": windows(),
    "odd strides": odd_strides(),
    "delays": delays(),
    "chained boundaries": chained_boundaries(),
}
