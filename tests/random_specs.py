"""A generator of small random specs: axes, delays, directions, reductions, sharing, boundaries.

Every value is a vector of two numbers or a number. Equations are written one after the other; one
reads earlier ones at any index and itself or later ones with a delay in its direction. Some of the
specs still have an illegal cycle: who uses them discards those (`CycleError`).

    h[t]: tanh(W @ h[t-2] + x[t+1] * sum[s](u[s]))
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hypothesis import strategies as st

FUNCTIONS = ("tanh", "sigmoid", "sin", "softplus", "silu")
AXES = {"t": "t: 5", "s": "s: 4", "l": "l: 2", "u": "u: t // 2 + 1", "r": "r: t"}


@dataclass(frozen=True)
class Node:
    """A value that can be read: its axes, and its direction along t."""

    name: str
    axes: tuple[str, ...]
    direction: int = 0


@dataclass
class Draft:
    """A spec that is being written."""

    draw: st.DrawFn
    values: list[Node] = field(default_factory=list)
    matrices: int = 0

    def pick(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def index(self, axis: str, node: Node) -> str:
        """Return an index along an axis of what is read."""
        others = [a for a in node.axes if a != axis]
        forms = ["0", "1", "last"]
        if axis in node.axes:
            forms += [axis] * 6 + [f"{axis}-1", f"{axis}-2", f"{axis}+1", f"{axis}+3"]
            forms += [f"last-{axis}", f"2*{axis}-1", f"2*{axis}"]
            forms += [f"{axis}//2", f"(2*{axis}-1)%3", f"({axis}+2)%(last+1)"]
        forms += [f"{o}" for o in others] + [f"{axis}-{o}" for o in others if axis in node.axes]
        forms += [f"({axis}-{o})%(last+1)" for o in others if axis in node.axes]
        forms += [f"({axis}-{o})//2" for o in others if axis in node.axes]
        return self.pick(*forms)

    def read(self, source: Node, node: Node, bound: tuple[str, ...] = ()) -> str:
        """Return a reference, or a reduction of one over an axis that the reader lacks."""
        if source.direction and source not in self.values:  # itself, or an equation still to come
            delay = self.draw(st.integers(1, 3)) * source.direction
            index = [f"{a}{-delay:+d}" if a == "t" else a for a in source.axes]
            return f"{source.name}[{','.join(index)}]"
        missing = [a for a in source.axes if a not in (*node.axes, *bound)]
        if missing and not bound and self.draw(st.booleans()):
            axis = missing[0]
            inner = self.read(source, Node("", (*node.axes, axis)), (axis,))
            if re.search(rf"\b{axis}\b", inner):
                return f"{self.pick('sum', 'mean', 'logsumexp')}[{axis}]({inner})"
        reader = Node("", (*node.axes, *bound))
        index = [self.index(a, reader) for a in source.axes]
        return f"{source.name}[{','.join(index)}]" if index else source.name

    def factor(self, sources: list[Node], node: Node) -> str:
        source = self.draw(st.sampled_from(sources))
        text = self.read(source, node)
        form = self.pick("plain", "plain", "matrix", "matrix", "function", "parity", "norm", "edge")
        if form == "matrix":
            return f"({self.matrix(node)} @ {text})"
        if form == "function":
            return f"{self.pick(*FUNCTIONS)}({text})"
        if form == "norm":
            return f"{text} * (b @ {text})"
        if form == "edge":  # not finite, or without a finite derivative, where it is not chosen
            own = f"relu({text})" if self.draw(st.booleans()) else text
            partial = self.pick("log({})", "sqrt({})", "1 / {}", "{} ** -0.5", "exp(-9e3 * {})")
            return f"where({own} > 0.3, {partial.format(own)}, b)"
        if form == "parity" and "t" in node.axes:
            return f"where(t % 2 == 0, {text}, b)"
        return text

    def matrix(self, node: Node) -> str:
        """Return a matrix: a new one, one that is shared, or one with an axis."""
        if "l" in node.axes and self.draw(st.booleans()):
            return "L[l]"
        if "t" in node.axes and self.draw(st.booleans()):
            return self.pick("V[t]", "V[t-1]", "V[t+1]", "V[last-t]", "V[last]", "W1")
        self.matrices = max(self.matrices, self.draw(st.integers(1, 2)))
        return f"W{self.draw(st.integers(1, self.matrices))}"

    def alignment(self) -> str:
        """Return the loss of labels s along t or of labels t along s: few of them have a blank."""
        frames, labels = self.draw(st.permutations(["t", "s"]))
        choices = [n for n in self.values if not set(n.axes) - {frames}]
        source = self.draw(st.sampled_from([n for n in choices if n.axes]))
        log_probs = self.read(source, Node("", (frames,)), (frames,))
        if not re.search(rf"\b{frames}\b(?!-{frames})", log_probs):
            log_probs = f"{log_probs} * {frames}"
        label = {"t": "x", "s": "z"}[labels]
        other = self.pick("0.5", f"cos({frames})")
        return (
            f"ctc[{frames},{labels}](concat({log_probs}, {other}), argmax({label}[{labels}]),"
            " blank=last, impossible=1)"
        )

    def equation(self, node: Node, later: list[Node]) -> str:
        sources = self.values * 2 + [n for n in (node, *later) if n.direction == node.direction]
        sources = [n for n in sources if n in self.values or set(n.axes) <= set(node.axes)]
        terms = [self.factor(sources, node) for _ in range(self.draw(st.integers(1, 3)))]
        text = self.pick(" + ", " * ").join(terms)
        key = f"{node.name}[{','.join(node.axes)}]" if node.axes else node.name
        return f"  {key}: {self.pick(*FUNCTIONS[:3])}({text} + 0.1 * b)"


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Return the text of a spec with inputs x[t] and z[s]."""
    draft = Draft(draw)
    draft.values = [Node("x", ("t",)), Node("z", ("s",)), Node("b", ())]
    shapes = [("t",), ("t",), ("t", "l"), ("t", "s"), ("s",), ("l",), ("u",), ("t", "r"), ()]
    nodes = []
    for number in range(draw(st.integers(1, 4))):
        axes = draw(st.sampled_from(shapes))
        direction = draw(st.sampled_from([1, 1, -1])) if "t" in axes else 0
        nodes.append(Node(f"n{number}", axes, direction))
    equations = []
    for number, node in enumerate(nodes):
        equations.append(draft.equation(node, nodes[number + 1 :]))
        draft.values.append(node)
    initial, losses = ["  x: zeros", "  z: zeros"], []  # a loss may read them outside
    for node in nodes:
        if node.axes:
            kinds = ["", "ones", "learned", "0.5", "b", "W1 @ b"]
            if len(node.axes) == 1:
                kinds += ["{-1: learned, -2: b, last+1: 0.5}", f"b * {node.axes[0]}"]
            kind = draw(st.sampled_from(kinds))
            initial += [f"  {node.name}: {kind}"] if kind else []
        index = f"[{','.join(node.axes)}]" if node.axes else ""
        loss = f"{node.name}{index} @ {node.name}{index}"
        kind = draw(st.sampled_from(["sum", "mean"]))
        losses.append(f"{kind}[{','.join(node.axes)}]({loss})" if node.axes else loss)
    if draw(st.integers(0, 9)) == 9:
        losses.append(draft.alignment())
    lines = ["unfold: 1", "name: random", f"axes: {{{', '.join(AXES.values())}}}"]
    lines += ["inputs: {x[t]: [2], z[s]: [2]}"]
    lines += ["parameters: {b: [2], W1: [2,2], W2: [2,2], L[l]: [2,2], V[t]: [2,2]}"]
    lines += ["nodes:", *equations]
    lines += ["initial:", *initial]
    return "\n".join([*lines, f"loss: {' + '.join(losses)}", ""])
