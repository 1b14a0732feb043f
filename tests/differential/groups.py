"""Groups of random equations that may read one another.

    n1[t]: tanh(W1 @ n1[t-2] + n2[t-1])
    n2[t]: argmax(W2 @ n1[t])

A group reads everything before it at any index, and its own members with a delay along one axis in
one direction; so it is legal by construction, but for rare shapes that nothing decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tests.differential.case import Equation, Piece
from tests.differential.draft import Cycle, Draft, Place, Shape, Source
from tests.differential.expressions import Writer
from tests.differential.sections import Written

DEPTH = {1: 2.0, 2: 3.0, 3: 1.5}
CELLS = {"lstm": 4.0, "gru": 3.0, "rnn": 2.0, "lstm_peephole": 1.0, "gru_cho": 1.0}


class Groups:
    """Adds groups of equations to a draft.

    Args:
        draft: with its axes and inputs.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft, self.writer, self.written = draft, Writer(draft), Written()

    def add(self) -> None:
        """Add a group of some kind."""
        d = self.draft
        kinds = {
            self._plain: 3.0,
            self._recurrent: 7.0,
            self._grid: 2.0 * (len(d.axes) > 1),
            self._feedback: 2.2,
            self._cell: 1.2,
            self._split: 0.7,
            self._tree: 0.25,
        }
        before = tuple(d.values)
        for source in d.weigh(kinds)():
            self.written.before[source.name] = before
            d.values.append(source)

    def _equation(
        self, source: Source, piece: Piece, options: Mapping[str, str] | None = None
    ) -> None:
        target = f"{source.name}[{', '.join(source.axes)}]" if source.axes else source.name
        self.written.equations.append(Equation(target, piece, options or {}))

    def _declared(self, source: Source, piece: Piece) -> dict[str, str]:
        """Return the shape as an option where the equations of a cycle may not decide it."""
        clear = piece.parts and piece.parts[0].template.startswith("{0} @ {1}")
        if source.kind != "real" or (clear and self.draft.chance(0.6)):
            return {}
        return {"shape": f"[{', '.join(source.shape)}]"}

    def _depth(self) -> int:
        return self.draft.weigh(DEPTH)

    def _shape(self) -> Shape:
        d = self.draft
        rank = d.weigh({0: 2.0, 1: 6.0, 2: 1.2})
        return tuple(d.size() for _ in range(rank))

    def _expression(self, source: Source, place: Place) -> Piece:
        """Return an expression of a source's kind and shape."""
        if source.kind == "category":
            return self.writer.category(source.shape[0], place, self._depth() - 1)
        if source.kind == "bool":
            return self.writer.condition(source.shape, place, self._depth())
        return self.writer.real(source.shape, place, self._depth())

    # Equations without a cycle

    def _plain(self) -> list[Source]:
        d = self.draft
        count = d.weigh({0: 1.0, 1: 6.0, 2: 3.0, 3: 0.5})
        axes = tuple(d.rng.sample(list(d.axes), min(count, len(d.axes))))
        kind = d.weigh({"real": 8.0, "category": 0.8, "bool": 0.5})
        shape = self._shape() if kind == "real" else (d.size(),)
        if kind == "bool" and d.chance(0.5):
            shape = ()
        source = Source(d.name("n"), axes, shape, kind)
        piece = self._expression(source, Place(axes))
        self._equation(source, piece)
        return [replace(source, bound=piece.bound)]

    def _split(self) -> list[Source]:
        d = self.draft
        axes, count, part = (d.pick(list(d.axes)),), d.rng.randint(2, 3), d.size()
        names = [d.name("n") for _ in range(count)]
        whole = self.writer.real((d.derived(f"{count} * {part}"),), Place(axes), self._depth())
        target = ", ".join(f"{n}[{axes[0]}]" for n in names)
        piece = Piece(f"split({{0}}, {count})", (whole,), "split")
        self.written.equations.append(Equation(target, piece))
        return [Source(n, axes, (part,), bound=whole.bound) for n in names]

    # Cycles

    def _main(self) -> str:
        d = self.draft
        other = list(d.axes)
        return "t" if d.chance(0.75) else d.pick(other)

    def _recurrent(self) -> list[Source]:
        d = self.draft
        main = self._main()
        members: list[Source] = []
        for _ in range(d.weigh({1: 5.0, 2: 3.0, 3: 1.0})):
            axes = [main]
            others = [a for a in d.axes if a != main]
            if others and d.chance(0.25):
                axes.insert(d.rng.randrange(2), d.pick(others))
            kind = d.weigh({"real": 9.0, "category": 0.8, "bool": 0.4})
            shape = self._shape() if kind == "real" else (d.size(),)
            members.append(Source(d.name("n"), tuple(axes), shape, kind))
        direction = 1 if d.chance(0.7) else -1
        self.written.tags.append(
            "group that runs " + ("forwards" if direction > 0 else "backwards")
        )
        if len(members) > 1:
            self.written.tags.append(f"{len(members)} mutually recursive equations")
        self._cycle(Cycle(main, direction, tuple(members)))
        return members

    def _grid(self) -> list[Source]:
        """Add a recurrence along two axes: a grid, or micro-steps."""
        d = self.draft
        main = self._main()
        second = d.pick([a for a in d.axes if a != main])
        count = d.weigh({1: 4.0, 2: 1.0})
        shapes = [self._shape() for _ in range(count)]
        members = tuple(Source(d.name("n"), (main, second), s) for s in shapes)
        signs = [1 if d.chance(0.7) else -1 for _ in range(2)]
        cycle = Cycle(main, signs[0], members, (second, signs[1]))
        self.written.grids |= {m.name: cycle for m in members}
        self.written.tags.append("micro-steps" if d.axes[second].window else "grid")
        self._cycle(cycle)
        return list(members)

    def _cycle(self, cycle: Cycle) -> None:
        for position, member in enumerate(cycle.members):
            place = Place(member.axes, (), cycle, position)
            if self.draft.chance(0.12) and member.kind == "real":
                piece = self.squashed(self._expression(member, place))
            else:
                piece = self._recurrence(member, place)
            self._equation(member, piece, self._declared(member, piece))

    def squashed(self, piece: Piece) -> Piece:
        """Keep what runs in a cycle from growing."""
        text = piece.text
        if piece.bound <= 1.0 or text.startswith(("argmax", "sample", "where", "(")):
            return piece
        name = self.draft.weigh({"tanh": 5.0, "sigmoid": 1.0, "sin": 1.0, "erf": 0.3})
        return Piece(f"{name}({{0}})", (piece,), name)

    def _own(self, member: Source, place: Place) -> Piece:
        """Return something of a member's shape that reads the cycle."""
        d, w = self.draft, self.writer
        assert place.cycle is not None
        members = [m for m in place.cycle.members if m.kind != "bool"]
        if not members:
            return w.real(member.shape, place, 1)
        source = member if member in members and d.chance(0.6) else d.pick(members)
        read = d.read(source, place)
        if source.kind == "category" and len(member.shape) == 1:
            W = d.parameter((*member.shape, *source.shape), place)
            return Piece("{0} @ {1}", (W, read), "matrix @ category")
        if source.kind == "category":
            read = w.hot(read)
        if source.shape == member.shape and (d.chance(0.4) or len(member.shape) != 1):
            return read
        if len(member.shape) == 1 and len(source.shape) == 1:
            W = d.parameter((*member.shape, *source.shape), place)
            return Piece("{0} @ {1}", (W, read), "matrix @ vector")
        number = Piece("norm({0})", (read,), "norm") if source.shape else read
        return Piece("{0} * {1}", (number, w.closed(w.leaf(member.shape, place))), "*")

    def _recurrence(self, member: Source, place: Place) -> Piece:
        d, w = self.draft, self.writer
        if member.kind == "category":
            logits = replace(member, kind="real")
            piece = self._recurrence(logits, place)
            name = d.weigh({"argmax": 4.0, "sample": 1.0})
            return Piece(f"{name}({{0}})", (piece,), f"{name} in a cycle")
        if member.kind == "bool":
            return self._latch(member, place)
        own, rest = self._own(member, place), w.real(member.shape, place, self._depth() - 1)
        o, x = w.closed(own), w.closed(rest)
        form = d.weigh(
            {"sum": 6, "product": 1, "gate": 1.5, "linear": 1.5, "hold": 1, "largest": 0.4}
        )
        if form == "linear":
            text = f"{d.pick(['0.9', '0.5', '-0.7'])} * {{0}} + 0.3 * {{1}}"
            return Piece(text, (o, w.closed(w.tame(x, 3.0))), "linear recurrence")
        squash = d.weigh({"tanh": 6.0, "sigmoid": 1.5, "sin": 0.7, "relu": 0.0})
        if form == "gate":
            parts = (w.closed(w.leaf(member.shape, place)), o, x)
            text = "sigmoid({0}) * {1} + (1 - sigmoid({0})) * tanh({2})"
            return Piece(text, parts, "gated recurrence")
        if form == "hold":
            condition = w.condition((), place, 1)
            text = f"where({{0}}, {{1}}, {squash}({{2}}))"
            return Piece(text, (condition, o, x), "recurrence that holds")
        if form == "largest":
            return Piece(f"maximum({{0}}, {squash}({{1}}))", (o, x), "recurrence of a maximum")
        if len(member.shape) == 1 and d.chance(0.1):
            name = d.pick(["softmax({0} + {1})", "layer_norm({0} + {1}, epsilon=0.1)"])
            return Piece(name, (o, x), "normalised recurrence")
        sign = "+" if form == "sum" else "*"
        return Piece(f"{squash}({{0}} {sign} {{1}})", (o, x), f"{squash} of a {form}")

    def _latch(self, member: Source, place: Place) -> Piece:
        """Return a condition that reads itself, next to one whose shape is certain."""
        d, w = self.draft, self.writer
        W = d.parameter((*member.shape, d.size()), place)
        size = next(p.shape[1] for p in d.parameters if W.text.partition("[")[0] == p.name)
        own, vector = d.read(member, place), w.real((size,), place, 1)
        form = d.pick(
            [
                "{0} @ {1} > 0.137 and {2}",
                "{2} or {0} @ {1} < 0.0519",
                "where(t < 2, ({0} @ {1} > 0.1), {2})",
            ]
        )
        form = form if "t" in place.axes else "(not {2}) and {0} @ {1} < 0.0519"
        return Piece(form, (W, w.closed(vector), own), "recurrent condition")

    def _feedback(self) -> list[Source]:
        """Add a truth or output that is read, something between, and the output."""
        d = self.draft
        truths = [v for v in d.values if v.axes == ("t",) and v.name[0] in "xc"]
        classes = [v for v in truths if v.kind == "category"]
        truth = d.pick(classes if classes and d.chance(0.75) else truths)
        direction = 1 if d.chance(0.8) else -1
        read = Source(d.name("n"), ("t",), truth.shape, truth.kind)
        state = Source(d.name("n"), ("t",), (d.size(),))
        output = Source(d.name("n"), ("t",), truth.shape, truth.kind)
        inner = output
        if truth.kind == "category" and d.chance(0.4):  # the choice is made where it is read
            output = Source(output.name, ("t",), truth.shape)
        members = (read, state, output) if d.chance(0.6) else (read, output)
        cycle = Cycle("t", direction, members)
        delay = d.weigh({1: 5.0, 2: 1.0})
        index = f"t{-direction * delay:+d}"
        text = f"{output.name}[{index}]"
        if output.kind != inner.kind:
            text = d.pick([f"argmax({text})", f"argmax({text})", f"sample({text})"])
        branch = f"feedback(teacher={truth.name}[{index}], free={text})"
        self._equation(read, Piece(branch, tag=f"feedback of a {truth.kind}"), None)
        for position, member in enumerate(members[1:], 1):
            place = Place(member.axes, (), cycle, position)
            piece = self._recurrence(member, place)
            self._equation(member, piece, self._declared(member, piece))
        self.written.truths.append(truth.name)
        return list(members)

    def _tree(self) -> list[Source]:
        """Add a recurrence whose delay grows: the children of a node in an array."""
        d, w = self.draft, self.writer
        n = Source(d.name("n"), ("t",), (d.size(),))
        rest = w.closed(w.real(n.shape, Place(("t",)), 1))
        left, right = (d.parameter((*n.shape, *n.shape), Place(("t",))) for _ in range(2))
        text = f"tanh({{0}} @ {n.name}[2*t+1] + {{1}} @ {n.name}[2*t+2] + {{2}})"
        self._equation(n, Piece(text, (left, right, rest), "tree"))
        return [n]

    # Cells

    def _cell(self) -> list[Source]:
        d, w = self.draft, self.writer
        axes: tuple[str, ...] = (self._main(),)
        if len(d.axes) > 1 and d.chance(0.2):
            axes = (*axes, d.pick([a for a in d.axes if a not in axes]))
            axes = axes if d.chance(0.5) else axes[::-1]
        hidden, kind, name = d.size(), d.weigh(CELLS), d.name("n")
        argument = w.real((w.vector_size(Place(axes)),), Place(axes), d.rng.randrange(2))
        classes = d.sources(Place(axes), lambda v: v.kind == "category")
        if classes and d.chance(0.2):
            argument = d.read(d.pick(classes), Place(axes))
        options: dict[str, str] = {}
        if len(axes) == 1 and d.chance(0.3):
            options["reverse"] = axes[0]
        if d.chance(0.25):
            options["stack"] = str(d.rng.randint(2, 3))
        self.written.tags += [f"cell {kind}", *(f"cell: {o}" for o in options)]
        self.written.tags += ["cell with an outer axis"] if len(axes) > 1 else []
        piece = Piece(f"{kind}({{0}}, hidden={hidden})", (argument,))
        source = Source(name, axes, (hidden,))
        self._equation(source, piece, options)
        found = [source]
        if d.chance(0.2):  # another instance with the same parameters
            twin = Source(d.name("n"), axes, (hidden,))
            other = replace(piece, parts=(Piece("tanh({0})", (argument,), "tanh"),))
            self._equation(twin, other, {"share": name, **options})
            self.written.tags.append("cell: share")
            found.append(twin)
        inside = {"lstm": "s", "lstm_peephole": "s", "gru": "g", "gru_cho": "z"}.get(kind)
        if inside and "stack" not in options and len(axes) == 1:
            found.append(Source(f"{name}.{inside}", axes, (hidden,)))
        return found
